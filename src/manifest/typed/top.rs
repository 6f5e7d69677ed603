//! Networks, volumes, configs, secrets and models of the top level.

use std::collections::BTreeMap;

use super::read::{flag, integer, is_set, nodes, text, text_list, text_map};
use crate::manifest::attributes::EXTENSIONS;
use crate::manifest::diagnostic::Report;
use crate::manifest::document::{Entry, Map, Node, Value};
use crate::manifest::merge::normalize;
use crate::manifest::render;
use crate::model::project::{AiModel, FileObject, Ipam, IpamPool, Network, Volume};

fn section<'n>(tree: &'n Node, name: &str) -> impl Iterator<Item = (&'n String, &'n Node)> {
    tree.get(name).and_then(Node::as_map).into_iter().flatten().map(|(key, entry)| (key, &entry.node))
}

/// The Engine's name for it: the loader has put one there.
fn name(node: &Node, key: &str) -> String {
    text(node, "name").unwrap_or_else(|| key.to_owned())
}

pub(super) fn networks(tree: &Node) -> BTreeMap<String, Network> {
    section(tree, "networks")
        .map(|(key, node)| {
            let external = is_set(node, "external");
            let network = Network {
                name: name(node, key),
                external,
                driver: text(node, "driver"),
                driver_opts: text_map(node, "driver_opts"),
                internal: is_set(node, "internal"),
                attachable: is_set(node, "attachable"),
                enable_ipv4: flag(node, "enable_ipv4"),
                enable_ipv6: flag(node, "enable_ipv6"),
                ipam: node
                    .get("ipam")
                    .and_then(Node::as_map)
                    .filter(|m| !m.is_empty())
                    .and(node.get("ipam"))
                    .map(address_management),
                labels: text_map(node, "labels"),
                config_hash: (!external).then(|| render::hash(node)),
            };
            (key.clone(), network)
        })
        .collect()
}

fn address_management(node: &Node) -> Ipam {
    let pool = |node: &Node| IpamPool {
        subnet: text(node, "subnet"),
        ip_range: text(node, "ip_range"),
        gateway: text(node, "gateway"),
        aux_addresses: text_map(node, "aux_addresses"),
    };
    Ipam { driver: text(node, "driver"), pools: nodes(node, "config").iter().map(pool).collect() }
}

pub(super) fn volumes(tree: &Node) -> BTreeMap<String, Volume> {
    section(tree, "volumes")
        .map(|(key, node)| {
            let external = is_set(node, "external");
            let volume = Volume {
                name: name(node, key),
                external,
                driver: text(node, "driver"),
                driver_opts: text_map(node, "driver_opts"),
                labels: text_map(node, "labels"),
                config_hash: (!external).then(|| volume_hash(node)),
            };
            (key.clone(), volume)
        })
        .collect()
}

/// As Compose hashes a volume: one without a driver has the one called `local`.
fn volume_hash(node: &Node) -> String {
    let mut whole = Map::default();
    for (key, entry) in node.as_map().into_iter().flatten() {
        whole.insert(key.clone(), entry.clone());
        if key == "name" && node.get("driver").is_none() {
            let driver = Entry { key: entry.key, node: Node::text("local", entry.key) };
            whole.insert("driver".into(), driver);
        }
    }
    render::hash(&Node::new(Value::Map(whole), node.span))
}

/// Configs or secrets. Those that no service uses are not in the tree any more.
pub(super) fn files(tree: &Node, section_name: &str, report: &mut Report) -> BTreeMap<String, FileObject> {
    let kind = section_name.trim_end_matches('s');
    let mut files = BTreeMap::new();
    for (key, node) in section(tree, section_name) {
        if is_set(node, "external") {
            let message = format!("the {kind} `{key}` is external: only a swarm keeps {section_name}");
            let place = node.get("external").map_or(node.span, |n| n.span);
            report.error(place, "unsupported", message).help = Some("use `file` or `environment`".into());
            continue;
        }
        for driver in ["driver", "template_driver"] {
            if let Some(at) = node.get(driver) {
                let message = format!("`{driver}` of the {kind} `{key}` needs a swarm");
                report.error(at.span, "unsupported", message);
            }
        }
        let variable = text(node, "environment");
        // An empty value is one all the same.
        let value = |node: &Node, key: &str| node.get(key).and_then(Node::as_text).map(str::to_owned);
        let hidden = node.get(EXTENSIONS).and_then(|n| value(n, normalize::SECRET_VALUE));
        let content = hidden.or_else(|| value(node, "content"));
        if let (Some(name), None) = (&variable, &content) {
            let message = format!("the {kind} `{key}` is the variable `{name}`, which is not set");
            report.error(node.get("environment").map_or(node.span, |n| n.span), "unset-variable", message);
        }
        let object = FileObject {
            name: name(node, key),
            file: text(node, "file").map(Into::into),
            environment: variable,
            content,
            labels: text_map(node, "labels"),
        };
        files.insert(key.clone(), object);
    }
    files
}

pub(super) fn models(tree: &Node) -> BTreeMap<String, AiModel> {
    section(tree, "models")
        .map(|(key, node)| {
            let model = AiModel {
                name: text(node, "name").unwrap_or_else(|| key.clone()),
                model: text(node, "model").unwrap_or_default(),
                context_size: integer(node, "context_size").unwrap_or(0),
                runtime_flags: text_list(node, "runtime_flags"),
            };
            (key.clone(), model)
        })
        .collect()
}
