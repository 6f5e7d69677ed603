//! Lists in which a later entry stands in place of an earlier one of the same name, target or port.

use std::collections::HashMap;

use super::short;
use crate::manifest::diagnostic::Report;
use crate::manifest::document::{Node, Value, go_sprint};

/// What an entry is known by.
#[derive(Clone, Copy)]
enum By {
    /// The text before `=`.
    Key,
    /// The target of a mount.
    Target,
    /// The target of a device.
    Device,
    /// The text or number.
    Itself,
    /// Address, published port, port and protocol.
    Port,
    /// The path of an env file.
    Path,
    /// The target of a config or secret, which is below a folder where only its name is given.
    File(&'static str),
}

fn by(path: &[&str]) -> Option<By> {
    match path {
        ["services", _, rest @ ..] => match rest {
            [
                "annotations" | "cap_add" | "cap_drop" | "dns" | "dns_opt" | "dns_search" | "environment" | "labels"
                | "links" | "profiles" | "sysctls" | "tmpfs",
            ]
            | ["build", "args" | "additional_contexts" | "platform" | "tags" | "labels"]
            | ["deploy", "labels"]
            | ["networks", _, "aliases" | "link_local_ips"] => Some(By::Key),
            ["volumes"] => Some(By::Target),
            ["devices"] => Some(By::Device),
            ["expose"] => Some(By::Itself),
            ["ports"] => Some(By::Port),
            ["env_file"] => Some(By::Path),
            ["configs"] => Some(By::File("")),
            ["secrets"] => Some(By::File("/run/secrets")),
            _ => None,
        },
        ["networks", _, "labels"] | ["networks", _, "ipam", "options"] => Some(By::Key),
        _ => None,
    }
}

/// Leaves the last entry of each, at the place of the first.
pub(super) fn enforce(node: &mut Node, report: &mut Report) {
    walk(node, &mut Vec::new(), report);
}

fn walk<'n>(node: &'n mut Node, path: &mut Vec<&'n str>, report: &mut Report) {
    match &mut node.value {
        Value::Map(map) => {
            // Nothing unique stands deeper than six levels.
            if path.len() >= 6 {
                return;
            }
            for (key, entry) in map {
                path.push(key);
                walk(&mut entry.node, path, report);
                path.pop();
            }
        }
        Value::List(list) => {
            let Some(by) = by(path) else { return };
            if list.len() < 2 && list.iter().all(|n| n.as_map().is_none()) {
                return;
            }
            let mut kept: Vec<Node> = Vec::with_capacity(list.len());
            let mut places: HashMap<String, usize> = HashMap::default();
            for entry in std::mem::take(list) {
                let Some(name) = name(&entry, by, report) else {
                    kept.push(entry);
                    continue;
                };
                match places.get(&name) {
                    Some(place) => kept[*place] = entry,
                    None => {
                        places.insert(name, kept.len());
                        kept.push(entry);
                    }
                }
            }
            *list = kept;
        }
        _ => {}
    }
}

/// What an entry is known by; `None`: it is malformed, and stays for the check to say so.
fn name(entry: &Node, by: By, report: &mut Report) -> Option<String> {
    let text = entry.as_text();
    let is_map = entry.as_map().is_some();
    match by {
        By::Key => text.map(|t| t.split_once('=').map_or(t, |(key, _)| key).to_owned()),
        By::Itself => text.map(str::to_owned).or_else(|| entry.as_int().map(|n| n.to_string())),
        By::Path if is_map => entry.get("path").and_then(Node::as_text).map(str::to_owned),
        By::Path => text.map(str::to_owned),
        By::Target if is_map => target(entry, "volume", report),
        By::Target => match short::mount(text?, entry.span) {
            Ok(mount) => Some(mount.get("target").and_then(Node::as_text).unwrap_or_default().to_owned()),
            Err(message) => {
                report.error(entry.span, "bad-volume", message);
                None
            }
        },
        By::Device if is_map => target(entry, "device", report),
        By::Device => {
            let mut parts = text?.split(':');
            let first = parts.next()?;
            Some(parts.next().unwrap_or(first).to_owned())
        }
        By::Port if is_map => {
            let Some(target) = entry.get("target") else {
                report.error(entry.span, "missing-key", "a port has no `target`");
                return None;
            };
            // Text and a number differ here, as in Compose.
            let written = |key: &str, default: &str| match entry.get(key) {
                Some(node) if node.as_text().is_some() => node.as_text().unwrap_or_default().to_owned(),
                Some(node) => format!("={}", go_sprint(node)),
                None => default.to_owned(),
            };
            let (host, published) = (written("host_ip", "0.0.0.0"), written("published", "="));
            Some(format!("{host}:{published}:{}/{}", go_sprint(target), written("protocol", "tcp")))
        }
        By::Port => text.map(str::to_owned).or_else(|| entry.as_int().map(|n| n.to_string())),
        By::File(folder) => match text {
            Some(text) => Some(format!("{folder}/{text}")),
            None if is_map => Some(match entry.get("target") {
                Some(target) => go_sprint(target),
                None => format!("{folder}/{}", entry.get("source").map(go_sprint).unwrap_or_default()),
            }),
            None => None,
        },
    }
}

fn target(entry: &Node, what: &str, report: &mut Report) -> Option<String> {
    let target = entry.get("target").and_then(Node::as_text);
    if target.is_none() {
        report.error(entry.span, "missing-key", format!("a {what} has no `target`"));
    }
    target.map(str::to_owned)
}
