//! `ports`, `networks`, `links` and what namespaces are shared.

use indexmap::IndexMap;

use super::read::{integer, nodes, text, text_list, text_map};
use crate::manifest::diagnostic::Report;
use crate::manifest::document::Node;
use crate::model::ServiceName;
use crate::model::service::{Attachment, ExternalLink, Link, NamespaceMode, Port};

pub(super) fn ports(service: &Node, report: &mut Report) -> Vec<Port> {
    let mut ports = Vec::new();
    for node in nodes(service, "ports") {
        let target = integer(node, "target").and_then(|n| u16::try_from(n).ok()).filter(|n| *n > 0);
        let Some(target) = target else {
            report.error(node.span, "bad-port", "a port needs a `target` between 1 and 65535");
            continue;
        };
        ports.push(Port {
            target,
            protocol: text(node, "protocol").unwrap_or_else(|| "tcp".into()),
            published: text(node, "published"),
            host_ip: text(node, "host_ip"),
            mode: text(node, "mode"),
            name: text(node, "name"),
            app_protocol: text(node, "app_protocol"),
        });
    }
    ports
}

/// The one with the highest priority first, equals in the order of their names.
pub(super) fn networks(service: &Node) -> IndexMap<String, Attachment> {
    let map = service.get("networks").and_then(Node::as_map).into_iter().flatten();
    let mut networks: IndexMap<String, Attachment> =
        map.map(|(key, entry)| (key.clone(), attachment(&entry.node))).collect();
    networks.sort_by(|a, x, b, y| y.priority.cmp(&x.priority).then_with(|| a.cmp(b)));
    networks
}

fn attachment(node: &Node) -> Attachment {
    Attachment {
        written: !node.is_null(),
        aliases: text_list(node, "aliases"),
        driver_opts: text_map(node, "driver_opts"),
        gw_priority: integer(node, "gw_priority").unwrap_or(0),
        interface_name: text(node, "interface_name"),
        ipv4_address: text(node, "ipv4_address"),
        ipv6_address: text(node, "ipv6_address"),
        link_local_ips: text_list(node, "link_local_ips"),
        mac_address: text(node, "mac_address"),
        priority: integer(node, "priority").unwrap_or(0),
    }
}

pub(super) fn namespace(service: &Node, key: &str) -> Option<NamespaceMode> {
    text(service, key).map(NamespaceMode::from)
}

/// `NAME[:ALIAS]`.
fn aliased(text: &str) -> (String, Option<String>) {
    let mut parts = text.split(':').map(str::to_owned);
    (parts.next().unwrap_or_default(), parts.next())
}

pub(super) fn links(service: &Node) -> Vec<Link> {
    let link = |text: String| {
        let (name, alias) = aliased(&text);
        Link { service: ServiceName::trusted(name), alias }
    };
    text_list(service, "links").into_iter().map(link).collect()
}

pub(super) fn external_links(service: &Node) -> Vec<ExternalLink> {
    let link = |text: String| {
        let (container, alias) = aliased(&text);
        ExternalLink { container, alias }
    };
    text_list(service, "external_links").into_iter().map(link).collect()
}
