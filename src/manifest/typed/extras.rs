//! What surrounds a service: watching, hooks, providers, models.

use std::collections::BTreeMap;

use super::read::{is_set, list_of, nodes, optional_map, text, text_list};
use crate::manifest::document::Node;
use crate::model::service::{CredentialSpec, Develop, Hook, ModelUse, Provider, WatchRule};

pub(super) fn develop(node: &Node) -> Develop {
    let rule = |n: &Node| WatchRule {
        path: text(n, "path").unwrap_or_default(),
        action: text(n, "action").unwrap_or_default(),
        target: text(n, "target"),
        exec: n.get("exec").filter(|e| e.get("command").is_some_and(|c| !c.is_null())).map(hook),
        include: text_list(n, "include"),
        ignore: text_list(n, "ignore"),
        initial_sync: is_set(n, "initial_sync"),
    };
    Develop { watch: nodes(node, "watch").iter().map(rule).collect() }
}

fn hook(node: &Node) -> Hook {
    Hook {
        command: text_list(node, "command"),
        user: text(node, "user"),
        privileged: is_set(node, "privileged"),
        working_dir: text(node, "working_dir"),
        environment: optional_map(node, "environment"),
    }
}

pub(super) fn hooks(node: &Node, key: &str) -> Vec<Hook> {
    nodes(node, key).iter().map(hook).collect()
}

pub(super) fn provider(node: &Node) -> Provider {
    let options = node.get("options").and_then(Node::as_map).into_iter().flatten();
    let values = |n: &Node| n.scalar().map_or_else(|| list_of(Some(n)), |one| vec![one]);
    Provider {
        kind: text(node, "type").unwrap_or_default(),
        options: options.map(|(key, entry)| (key.clone(), values(&entry.node))).collect(),
    }
}

pub(super) fn models(node: &Node) -> BTreeMap<String, ModelUse> {
    let entries = node.get("models").and_then(Node::as_map).into_iter().flatten();
    entries
        .map(|(key, entry)| {
            let how =
                ModelUse { endpoint_var: text(&entry.node, "endpoint_var"), model_var: text(&entry.node, "model_var") };
            (key.clone(), how)
        })
        .collect()
}

pub(super) fn credential_spec(node: &Node) -> CredentialSpec {
    CredentialSpec { config: text(node, "config"), file: text(node, "file"), registry: text(node, "registry") }
}
