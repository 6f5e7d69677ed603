//! Mistakes that only show in the whole: what is named and not there, cycles, names used twice.

use std::collections::{BTreeMap, BTreeSet};

use super::diagnostic::{Report, suggestion};
use super::document::{Map, Node};
use crate::model::ServiceName;
use crate::model::project::Project;
use crate::model::service::MountSource;

/// Checks a project as a whole. `disabled`: services that no enabled profile has. Dependencies that may be absent and
/// are are dropped.
pub(super) fn whole(project: &mut Project, services: &Map, disabled: &BTreeSet<String>, report: &mut Report) {
    references(project, services, disabled, report);
    cycles(project, services, report);
    twice_named(project, services, report);
}

/// Undefined dependencies, networks and volumes.
fn references(project: &mut Project, nodes: &Map, disabled: &BTreeSet<String>, report: &mut Report) {
    let names: BTreeSet<ServiceName> = project.services.keys().cloned().collect();
    for (name, service) in &mut project.services {
        let Some(node) = nodes.get(name.as_str()).map(|e| &e.node) else { continue };
        let place = |section: &str, key: &str| {
            node.get(section).and_then(Node::as_map).and_then(|m| m.get(key)).map_or(node.span, |e| e.key)
        };
        for (dependency, how) in &service.depends_on {
            if names.contains(dependency) {
                continue;
            }
            let span = place("depends_on", dependency.as_str());
            if disabled.contains(dependency.as_str()) {
                if how.required {
                    let message = format!("`{name}` depends on `{dependency}`, whose profile is not enabled");
                    report.error(span, "undefined-dependency", message);
                }
            } else if how.required {
                let message = format!("`{name}` depends on `{dependency}`, and there is no such service");
                report.error(span, "undefined-dependency", message).help =
                    suggestion(dependency.as_str(), names.iter().map(ServiceName::as_str));
            }
        }
        service.depends_on.retain(|dependency, _| names.contains(dependency));
        for key in service.networks.keys() {
            if !project.networks.contains_key(key) {
                let message = format!("`{name}` uses the network `{key}`, which is not defined under `networks`");
                report.error(place("networks", key), "undefined-network", message).help =
                    suggestion(key, project.networks.keys().map(String::as_str));
            }
        }
        if let Some(mode) = service.network_mode.as_deref()
            && !matches!(mode, "host" | "none" | "bridge")
        {
            let span = node.get("network_mode").map_or(node.span, |n| n.span);
            let message = format!("network_mode `{mode}` is not supported by this version of evenkeel");
            report.error(span, "unsupported", message).help = Some("use host, none or bridge".into());
        }
        let mounts = node.get("volumes").and_then(Node::as_list).unwrap_or_default();
        for mount in &service.mounts {
            if let MountSource::Volume { key, .. } = &mount.source
                && !project.volumes.contains_key(key)
            {
                let at = mounts.iter().find(|n| n.get("source").and_then(Node::scalar).as_ref() == Some(key));
                let message = format!("`{name}` uses the volume `{key}`, which is not defined under `volumes`");
                report.error(at.map_or(node.span, |n| n.span), "undefined-volume", message).help =
                    suggestion(key, project.volumes.keys().map(String::as_str))
                        .or_else(|| Some(format!("add `{key}:` under `volumes`, or write `./{key}` for a path")));
            }
        }
    }
}

/// Each cycle of dependencies, once, with its path.
fn cycles(project: &Project, nodes: &Map, report: &mut Report) {
    // Without recursion: a chain of dependencies may be longer than the stack is deep.
    let next = |name: &ServiceName| project.services.get(name).into_iter().flat_map(|s| s.depends_on.keys());
    let (mut done, mut found) = (BTreeSet::new(), Vec::new());
    for start in project.services.keys() {
        let mut path: Vec<(&ServiceName, _)> = Vec::new();
        let mut on_path = BTreeSet::new();
        if done.insert(start) {
            on_path.insert(start);
            path.push((start, next(start)));
        }
        while let Some((name, rest)) = path.last_mut() {
            match rest.next() {
                None => {
                    on_path.remove(*name);
                    path.pop();
                }
                Some(dependency) if on_path.contains(dependency) => {
                    let names = path.iter().map(|(name, _)| *name).skip_while(|name| *name != dependency);
                    found.push(names.collect::<Vec<_>>());
                }
                Some(dependency) if done.insert(dependency) => {
                    on_path.insert(dependency);
                    path.push((dependency, next(dependency)));
                }
                Some(_) => {}
            }
        }
    }
    for cycle in found {
        let names: Vec<&str> = cycle.iter().chain(cycle.first()).map(|n| n.as_str()).collect();
        let first = cycle.first().map_or("", |n| n.as_str());
        let span = nodes.get(first).map(|e| e.node.get("depends_on").map_or(e.key, |n| n.span)).unwrap_or_default();
        report.error(span, "cycle", format!("dependency cycle: {}", names.join(" -> "))).help =
            Some("take one of these out of `depends_on`".into());
    }
}

fn twice_named(project: &Project, nodes: &Map, report: &mut Report) {
    let mut seen: BTreeMap<&str, &ServiceName> = BTreeMap::new();
    for (name, service) in &project.services {
        let Some(container) = service.container_name.as_deref() else { continue };
        if let Some(first) = seen.insert(container, name) {
            let node = nodes.get(name.as_str()).and_then(|e| e.node.get("container_name"));
            let message = format!("`{first}` and `{name}` have the same container_name `{container}`");
            report.error(node.map(|n| n.span).unwrap_or_default(), "conflict", message);
        }
    }
}
