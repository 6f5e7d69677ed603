//! What the Engine has, as far as Compose projects are concerned.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::fields::{Difference, Fields};
pub use super::health::Health;
use super::health::{HealthClass, Reach};
use super::project::IpamPool;
use super::service::Port;
use super::usage::{HostLoad, Load, Squeeze};
use super::{ContainerId, ImageId, InstanceId, NetworkId, ProjectName, ServiceName, Timestamp};

/// One project's part of the Engine: its containers and volumes, and every network (external ones are found by name).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Observed {
    /// Containers that carry the project's label.
    pub containers: BTreeMap<ContainerId, Container>,
    /// Networks that carry the project's label or a name that the project uses.
    pub networks: BTreeMap<NetworkId, Network>,
    /// Volumes that carry the project's label or a name that the project uses, by name.
    pub volumes: BTreeMap<String, Volume>,
    /// References that the target uses, and what the Engine has under them; `None`: nothing. An absent key was not
    /// looked up yet.
    pub images: BTreeMap<String, Option<ImageId>>,
    /// Ports of the host that running containers have, whosesoever: as of the last list.
    pub published: Arc<Vec<PublishedPort>>,
    /// What the host has left; `None`: nobody can tell.
    pub host: Option<HostLoad>,
}

/// A port of the host that a running container has.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PublishedPort {
    /// The number of the host's port.
    pub port: u16,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
    /// The host's address; `0.0.0.0`, `::` or empty: all of them.
    pub host_ip: String,
    /// The container that has it.
    pub container: ContainerId,
    /// Its name, without the leading slash.
    pub name: String,
    /// Its project, where it has one.
    pub project: Option<ProjectName>,
}

impl PublishedPort {
    /// Whether a container that publishes `port` cannot be started beside this one. One that leaves the choice to the Engine
    /// can.
    pub fn clashes(&self, port: &Port) -> bool {
        let wanted = port.published.as_deref().and_then(|p| p.parse().ok());
        let (ours, theirs) = (port.host_ip.as_deref().unwrap_or_default(), self.host_ip.as_str());
        let any = |ip: &str| matches!(ip, "" | "0.0.0.0" | "::");
        let family = ours.is_empty() || theirs.is_empty() || ours.contains(':') == theirs.contains(':');
        wanted == Some(self.port)
            && port.protocol == self.protocol
            && (ours == theirs || family && (any(ours) || any(theirs)))
    }
}

/// A container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Container {
    /// The Engine's id.
    pub id: ContainerId,
    /// Its name, without the leading slash.
    pub name: String,
    /// The label `com.docker.compose.project`.
    pub project: ProjectName,
    /// The label `com.docker.compose.service`.
    pub service: Option<ServiceName>,
    /// From the label; 0 where it is absent.
    pub number: u32,
    /// Made by `docker compose run`.
    pub oneoff: bool,
    /// When it was made.
    pub created: Timestamp,
    /// The label `com.docker.compose.config-hash`.
    pub config_hash: Option<String>,
    /// What it was made from.
    pub image: ImageId,
    /// The evenkeel that made it; `None`: Compose or a person did.
    pub instance: Option<InstanceId>,
    /// The services it depends on, from Compose's label: the order to stop in when no manifest tells any more.
    pub depends_on: BTreeSet<ServiceName>,
    /// What it is doing.
    pub state: ContainerState,
    /// What its check says.
    pub health: Health,
    /// The Engine restarts it by itself (a policy other than `no`).
    pub engine_restarts: bool,
    /// How often the Engine did so since the last start by hand.
    pub restart_count: u32,
    /// A terminating `kill` came before the last exit: a stop by hand, not an end of its own.
    pub killed: bool,
    /// The exit was seen when it happened.
    pub exit_watched: bool,
    /// The networks it is attached to: ids, and names as the Engine lists them (a container that never ran has no ids).
    pub networks: BTreeSet<String>,
    /// Its first process on the host, while it runs.
    #[serde(default)]
    pub pid: Option<u32>,
    /// The volumes that it mounts, by the path in the container.
    #[serde(default)]
    pub volumes: BTreeMap<String, String>,
    /// Where its ports can be reached.
    #[serde(default)]
    pub reach: Reach,
    /// What the service's probe found in this run; `None`: the manifest has none.
    #[serde(skip)]
    pub probed: Option<HealthClass>,
    /// How what it uses stands to what the manifest lets it; `None`: nobody watches.
    #[serde(skip)]
    pub load: Option<Load>,
    /// CPUs of the host, where somebody watches.
    #[serde(skip)]
    pub host_cpus: Option<u32>,
    /// What it is to give up for the sake of the host.
    #[serde(skip)]
    pub squeeze: Option<Squeeze>,
    /// The Engine's words when its last start failed.
    pub error: Option<String>,
    /// What it is made with; `None`: nobody can tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fields: Option<Arc<Fields>>,
    /// How that differs from what is desired; `None`: it was not compared.
    #[serde(skip)]
    pub differences: Option<Arc<Vec<Difference>>>,
}

impl Container {
    /// A container as it is when it was just made, with nothing known of what it was made from, by whom, and for which
    /// service.
    pub fn made(id: ContainerId, name: impl Into<String>, project: ProjectName, created: Timestamp) -> Self {
        Self {
            id,
            name: name.into(),
            project,
            service: None,
            number: 1,
            oneoff: false,
            created,
            config_hash: None,
            image: ImageId::trusted(""),
            instance: None,
            depends_on: BTreeSet::new(),
            state: ContainerState::Created,
            health: Health::None,
            engine_restarts: false,
            restart_count: 0,
            killed: false,
            exit_watched: false,
            networks: BTreeSet::new(),
            pid: None,
            volumes: BTreeMap::new(),
            reach: Reach::default(),
            probed: None,
            load: None,
            host_cpus: None,
            squeeze: None,
            error: None,
            fields: None,
            differences: None,
        }
    }
}

/// What an image reference means on this host.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    /// The Engine's id.
    pub id: ImageId,
    /// What it contributes to containers.
    pub fields: Fields,
    /// Paths at which containers get a volume of their own.
    pub volumes: BTreeSet<String>,
}

/// What a container is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContainerState {
    /// Made, never started.
    Created,
    /// Its first process runs.
    Running {
        /// When that process began.
        since: Timestamp,
    },
    /// Its processes are frozen, as by `docker pause`.
    Paused,
    /// Ended, and the Engine is about to start it again.
    Restarting,
    /// The Engine is removing it.
    Removing,
    /// Its first process ended.
    Exited {
        /// The exit code of that process.
        code: i64,
        /// Ended by the kernel for want of memory.
        oom: bool,
        /// When that process began.
        started: Timestamp,
        /// When it ended.
        finished: Timestamp,
    },
    /// Half removed; good for nothing.
    Dead,
}

impl ContainerState {
    /// The Engine's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running { .. } => "running",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Removing => "removing",
            Self::Exited { .. } => "exited",
            Self::Dead => "dead",
        }
    }
}

impl Container {
    /// What its check and the service's probe say together.
    pub fn health(&self) -> Health {
        match self.probed {
            Some(class) => class.over(self.health),
            None => self.health,
        }
    }

    /// Whether a process of it lives.
    pub fn is_running(&self) -> bool {
        matches!(self.state, ContainerState::Running { .. } | ContainerState::Paused | ContainerState::Restarting)
    }
}

/// A network.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    /// The Engine's id.
    pub id: NetworkId,
    /// Its name: not unique.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
    /// The label `com.docker.compose.project`.
    pub project: Option<ProjectName>,
    /// The label `com.docker.compose.network`: the key in the manifest.
    pub key: Option<String>,
    /// How it was made; `None`: nobody can tell.
    pub made: Option<Arc<NetworkMade>>,
}

/// How a network was made.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NetworkMade {
    /// The name of its driver.
    pub driver: Option<String>,
    /// No way out of the host.
    pub internal: bool,
    /// Containers of others may attach.
    pub attachable: bool,
    /// It has IPv6.
    pub ipv6: bool,
    /// Options of the driver.
    pub options: BTreeMap<String, String>,
    /// Its address pools, in the order of the Engine.
    pub pools: Vec<IpamPool>,
}

/// How a volume was made.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct VolumeMade {
    /// The name of its driver.
    pub driver: String,
    /// Options of the driver.
    pub options: BTreeMap<String, String>,
}

/// A volume.
#[derive(Debug, Clone, PartialEq)]
pub struct Volume {
    /// Its name in the Engine, which is unique.
    pub name: String,
    /// The label `com.docker.compose.project`.
    pub project: Option<ProjectName>,
    /// The label `com.docker.compose.volume`: the key in the manifest.
    pub key: Option<String>,
    /// How it was made; `None`: nobody can tell.
    pub made: Option<Arc<VolumeMade>>,
}

/// What the negotiated API of this Engine can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// The major and minor version of the API.
    pub api: (u16, u16),
}

impl Capabilities {
    /// Whether a create call may name several networks: API 1.44 and later.
    pub fn several_networks_at_creation(self) -> bool {
        self.api >= (1, 44)
    }

    /// Whether `start_interval` of a health check is kept: API 1.44 and later; earlier ones drop it in silence.
    pub fn start_interval(self) -> bool {
        self.api >= (1, 44)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_clashes_on_the_same_address_or_on_all_of_its_family() {
        let taken = |host_ip: &str| PublishedPort {
            port: 80,
            protocol: "tcp".into(),
            host_ip: host_ip.into(),
            container: ContainerId::trusted("c"),
            name: "other".into(),
            project: None,
        };
        let wanted = |published: Option<&str>, host_ip: Option<&str>| Port {
            target: 8000,
            protocol: "tcp".into(),
            published: published.map(Into::into),
            host_ip: host_ip.map(Into::into),
            mode: None,
            name: None,
            app_protocol: None,
        };
        let all = |ip| taken("0.0.0.0").clashes(&wanted(Some("80"), ip));
        assert!(all(None) && all(Some("127.0.0.1")) && all(Some("0.0.0.0")));
        assert!(!all(Some("::1")), "the other family");
        assert!(taken("127.0.0.1").clashes(&wanted(Some("80"), None)));
        assert!(!taken("127.0.0.1").clashes(&wanted(Some("80"), Some("127.0.0.2"))));
        assert!(!taken("").clashes(&wanted(Some("81"), None)));
        assert!(!taken("").clashes(&wanted(None, None)), "the Engine picks another one");
        assert!(!taken("").clashes(&wanted(Some("80-90"), None)), "and so of a range");
        assert!(!taken("").clashes(&Port { protocol: "udp".into(), ..wanted(Some("80"), None) }));
    }
}
