//! How a service is reached and what it shares: ports, networks, namespaces, links.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::ServiceName;

/// One entry of `ports`: single ports, ranges were spread out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// The container's port.
    pub target: u16,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
    /// The host's port or range; `None`: the Engine picks one.
    pub published: Option<String>,
    /// The host's address.
    pub host_ip: Option<String>,
    /// `host` or `ingress`: Swarm's; a single Engine knows no difference.
    #[serde(default)]
    pub mode: Option<String>,
    /// A name for people.
    #[serde(default)]
    pub name: Option<String>,
    /// `http`, …: a hint for people and tools.
    #[serde(default)]
    pub app_protocol: Option<String>,
}

/// How a service is attached to a network.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Attachment {
    /// There is a mapping under the network's key, if only an empty one: the Engine is then told an (empty) address
    /// configuration, as by Compose.
    pub written: bool,
    /// Further names on that network.
    pub aliases: Vec<String>,
    /// Options of the network's driver.
    pub driver_opts: BTreeMap<String, String>,
    /// The network with the highest gives the default gateway; API 1.48 and later.
    pub gw_priority: i64,
    /// The interface's name in the container; API 1.49 and later.
    pub interface_name: Option<String>,
    /// A fixed address.
    pub ipv4_address: Option<String>,
    /// A fixed address.
    pub ipv6_address: Option<String>,
    /// Further link-local addresses.
    pub link_local_ips: Vec<String>,
    /// A fixed hardware address; on several networks from API 1.44 on.
    pub mac_address: Option<String>,
    /// The highest is attached first.
    pub priority: i64,
}

/// `network_mode`, `ipc`, `pid`: whose namespace the containers live in. Written and read as Compose's word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum NamespaceMode {
    /// The host's.
    Host,
    /// None at all (network), or one of its own that holds nothing to share (IPC).
    None,
    /// One of its own.
    Private,
    /// One of its own that others may join (IPC).
    Shareable,
    /// That of a service's first container.
    Service(ServiceName),
    /// That of a container by name or id.
    Container(String),
    /// Another word of the Engine's: `bridge`, a network's name, …
    Other(String),
}

impl From<String> for NamespaceMode {
    fn from(text: String) -> Self {
        match text.as_str() {
            "host" => Self::Host,
            "none" => Self::None,
            "private" => Self::Private,
            "shareable" => Self::Shareable,
            word => match (word.strip_prefix("service:"), word.strip_prefix("container:")) {
                (Some(service), _) => Self::Service(ServiceName::trusted(service)),
                (_, Some(container)) => Self::Container(container.to_owned()),
                _ => Self::Other(text),
            },
        }
    }
}

impl From<NamespaceMode> for String {
    fn from(mode: NamespaceMode) -> Self {
        mode.to_string()
    }
}

impl std::fmt::Display for NamespaceMode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Host => f.write_str("host"),
            Self::None => f.write_str("none"),
            Self::Private => f.write_str("private"),
            Self::Shareable => f.write_str("shareable"),
            Self::Service(name) => write!(f, "service:{name}"),
            Self::Container(name) => write!(f, "container:{name}"),
            Self::Other(word) => f.write_str(word),
        }
    }
}

/// One entry of `links`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The service whose containers are linked.
    pub service: ServiceName,
    /// The name they get; the service's own where it is not written.
    pub alias: Option<String>,
}

/// One entry of `external_links`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExternalLink {
    /// A container of anybody's.
    pub container: String,
    /// The name it gets; its own where it is not written.
    pub alias: Option<String>,
}
