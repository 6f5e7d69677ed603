//! What Compose adds to a merged file: the default network, names, dependencies that follow from sharing.

use super::canonical::section;
use crate::manifest::attributes::EXTENSIONS;
use crate::manifest::document::{Entry, Map, Node, Span, Value, go_sprint};
use crate::manifest::read::interpolate::Variables;
use crate::manifest::read::source;

/// Normalizes a file whose paths are resolved.
pub(in crate::manifest) fn normalize(node: &mut Node, name: &str, environment: &Variables) {
    let span = node.span;
    let Some(map) = node.as_map_mut() else { return };
    let mut uses_default = false;
    for (_, entry) in section(map, "services") {
        service(&mut entry.node, environment, &mut uses_default);
    }
    if uses_default {
        let networks =
            map.entry("networks".into()).or_insert_with(|| Entry { key: span, node: Node::new(Value::Null, span) });
        if networks.node.is_null() {
            networks.node.value = Value::Map(Map::default());
        }
        if let Some(networks) = networks.node.as_map_mut() {
            networks.entry("default".into()).or_insert_with(|| null(span));
        }
    }
    for section_name in ["networks", "volumes", "configs", "secrets"] {
        for (key, entry) in section(map, section_name) {
            let resource = &mut entry.node;
            if resource.is_null() {
                resource.value = Value::Map(Map::default());
            }
            if resource.get("name").is_none_or(Node::is_null) {
                let external = resource
                    .get("external")
                    .is_some_and(|n| matches!(go_sprint(n).as_str(), "1" | "t" | "T" | "TRUE" | "true" | "True"));
                let name = if external { key.clone() } else { format!("{name}_{key}") };
                resource.set("name", Value::Text(name));
            }
        }
    }
}

fn null(span: Span) -> Entry {
    Entry { key: span, node: Node::new(Value::Null, span) }
}

fn service(node: &mut Node, environment: &Variables, uses_default: &mut bool) {
    let span = node.span;
    if node.as_map().is_none() {
        return;
    }
    if node.get("provider").is_none() && node.get("network_mode").is_none() {
        match node.get("networks").map(|n| n.as_map().map(|m| (m.is_empty(), m.contains_key("default")))) {
            None | Some(Some((true, _))) => {
                node.set("networks", Value::Map(Map::from_iter([("default".to_owned(), null(span))])));
                *uses_default = true;
            }
            Some(Some((false, true))) => *uses_default = true,
            Some(Some((false, false)) | None) => {}
        }
    }
    if node.get("pull_policy").and_then(Node::as_text) == Some("if_not_present") {
        node.set("pull_policy", Value::Text("missing".into()));
    }
    if let Some(build) = node.get_mut("build") {
        let empty = |node: &Node, key| node.get(key).is_none_or(Node::is_null);
        if empty(build, "context") {
            build.set("context", Value::Text(".".into()));
        }
        if empty(build, "dockerfile") && empty(build, "dockerfile_inline") {
            build.set("dockerfile", Value::Text("Dockerfile".into()));
        }
        if let Some(args) = build.get_mut("args") {
            resolve(args, environment, false);
        }
    }
    if let Some(variables) = node.get_mut("environment") {
        resolve(variables, environment, true);
    }
    for entry in node.get_mut("volumes").and_then(Node::as_list_mut).into_iter().flatten() {
        if let Some(Value::Text(target)) = entry.get_mut("target").map(|n| &mut n.value) {
            *target = source::clean_text(target);
        }
    }
    implied_dependencies(node);
}

/// Links, shared namespaces and shared volumes need the other service.
fn implied_dependencies(node: &mut Node) {
    let mut implied: Vec<(String, bool, Span)> = Vec::new();
    for link in node.get("links").and_then(Node::as_list).unwrap_or_default() {
        let Some(text) = link.as_text() else { continue };
        let parts: Vec<&str> = text.split(':').collect();
        let service = if parts.len() == 2 { parts[0] } else { text };
        implied.push((service.to_owned(), true, link.span));
    }
    for key in ["network_mode", "ipc", "pid", "uts", "cgroup"] {
        if let Some(mode) = node.get(key)
            && let Some(service) = mode.as_text().and_then(|t| t.strip_prefix("service:"))
        {
            implied.push((service.to_owned(), true, mode.span));
        }
    }
    for from in node.get("volumes_from").and_then(Node::as_list).unwrap_or_default() {
        let Some(text) = from.as_text().filter(|t| !t.starts_with("container:")) else { continue };
        implied.push((text.split(':').next().unwrap_or_default().to_owned(), false, from.span));
    }
    if implied.is_empty() {
        return;
    }
    let span = node.span;
    let Some(map) = node.as_map_mut() else { return };
    let depends_on = map
        .entry("depends_on".into())
        .or_insert_with(|| Entry { key: span, node: Node::new(Value::Map(Map::default()), span) });
    let Some(depends_on) = depends_on.node.as_map_mut() else { return };
    for (service, restart, span) in implied {
        depends_on.entry(service).or_insert_with(|| {
            let mut node = Node::new(Value::Map(Map::default()), span);
            node.set("condition", Value::Text("service_started".into()));
            node.set("restart", Value::Bool(restart));
            node.set("required", Value::Bool(true));
            Entry { key: span, node }
        });
    }
}

/// Values that are taken from outside.
fn resolve(node: &mut Node, environment: &Variables, keep: bool) {
    match &mut node.value {
        Value::Map(map) => map.retain(|key, entry| {
            if !entry.node.is_null() || key == EXTENSIONS {
                return true;
            }
            match environment.get(key) {
                Some(value) => entry.node.value = Value::Text(value.clone()),
                None => return keep,
            }
            true
        }),
        Value::List(list) => list.retain_mut(|element| {
            let Some(name) = element.as_text().filter(|t| !t.contains('=')) else { return true };
            match environment.get(name) {
                Some(value) => element.value = Value::Text(format!("{name}={value}")),
                None => return keep,
            }
            true
        }),
        _ => {}
    }
}

/// What `environment` names of secrets and configs comes to, and bare names of services in lists; done file by file, as
/// an included one may have an environment of its own.
pub(in crate::manifest) fn resolve_environment(node: &mut Node, environment: &Variables) {
    let Some(map) = node.as_map_mut() else { return };
    for (_, entry) in section(map, "services") {
        if let Some(variables) = entry.node.get_mut("environment").filter(|n| n.as_list().is_some()) {
            resolve(variables, environment, true);
        }
    }
    for (section_name, key) in [("secrets", SECRET_VALUE), ("configs", "content")] {
        for (_, entry) in section(map, section_name) {
            let name = entry.node.get("environment").and_then(Node::as_text);
            if let Some(value) = name.and_then(|n| environment.get(n)) {
                entry.node.set(key, Value::Text(value.clone()));
            }
        }
    }
}

/// Where the value of a secret that comes from the environment is kept: never printed, never hashed.
pub(in crate::manifest) const SECRET_VALUE: &str = "x-#value";
