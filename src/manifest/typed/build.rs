//! `build`.

use super::read::{bytes, is_set, optional_map, text, text_list, text_map};
use super::{mounts, resources};
use crate::manifest::diagnostic::Report;
use crate::manifest::document::{Node, Value};
use crate::model::service::Build;

/// Reads `build`, and says what of it no builder is handed.
pub(super) fn build(node: &Node, report: &mut Report) -> Build {
    what_is_not_handed_on(node, report);
    Build {
        context: text(node, "context").unwrap_or_default(),
        dockerfile: text(node, "dockerfile"),
        dockerfile_inline: text(node, "dockerfile_inline"),
        entitlements: text_list(node, "entitlements"),
        args: optional_map(node, "args"),
        provenance: text(node, "provenance"),
        sbom: text(node, "sbom"),
        ssh: text_list(node, "ssh"),
        labels: text_map(node, "labels"),
        cache_from: text_list(node, "cache_from"),
        cache_to: text_list(node, "cache_to"),
        no_cache: is_set(node, "no_cache"),
        additional_contexts: text_map(node, "additional_contexts"),
        pull: is_set(node, "pull"),
        extra_hosts: text_list(node, "extra_hosts"),
        isolation: text(node, "isolation"),
        network: text(node, "network"),
        target: text(node, "target"),
        secrets: mounts::references(node, "secrets"),
        shm_size: bytes(node, "shm_size"),
        tags: text_list(node, "tags"),
        ulimits: resources::ulimits(node),
        platforms: text_list(node, "platforms"),
        privileged: is_set(node, "privileged"),
    }
}

/// What a builder is not handed: refused where the result would be another one.
fn what_is_not_handed_on(node: &Node, report: &mut Report) {
    let why =
        |key: &str| format!("`{key}` is not handed to the Engine's builder: build the image elsewhere, and name it");
    for key in ["ssh", "secrets", "additional_contexts", "entitlements", "privileged", "provenance", "sbom", "cache_to"]
    {
        let Some(at) = node.get(key).filter(|n| asks_for_something(n)) else { continue };
        if matches!(key, "provenance" | "sbom" | "cache_to") {
            report.warning(at.span, "buildkit", format!("{}: it has no effect", why(key)));
        } else {
            report.error(at.span, "buildkit", why(key));
        }
    }
    if let Some(second) = node.get("platforms").and_then(Node::as_list).and_then(|all| all.get(1)) {
        report.error(second.span, "buildkit", why("more than one platform"));
    }
}

fn asks_for_something(node: &Node) -> bool {
    match &node.value {
        Value::Map(map) => !map.is_empty(),
        Value::List(list) => !list.is_empty(),
        _ => !node.is_null() && node.scalar().is_some_and(|text| !matches!(text.as_str(), "" | "false")),
    }
}
