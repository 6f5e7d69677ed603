//! Short forms become long ones. Done to what was merged so far after each file, so that the next file meets long forms.
//!
//! Values of a wrong type are left as they are: the check has reported them.

use super::short;
use crate::manifest::diagnostic::Report;
use crate::manifest::document::{Entry, Map, Node, Span, Value, go_sprint};

/// Brings a file into the long forms.
pub(in crate::manifest) fn canonical(node: &mut Node, report: &mut Report) {
    let Some(map) = node.as_map_mut() else { return };
    for (_, entry) in section(map, "services") {
        service(&mut entry.node, report);
    }
    for name in ["networks", "volumes", "secrets", "configs"] {
        for (key, entry) in section(map, name) {
            external(&mut entry.node, &format!("{name}.{key}"), report);
        }
    }
}

/// The entries of a section that is a mapping.
pub(in crate::manifest) fn section<'m>(
    map: &'m mut Map,
    name: &str,
) -> impl Iterator<Item = (&'m String, &'m mut Entry)> {
    map.get_mut(name).and_then(|e| e.node.as_map_mut()).into_iter().flatten()
}

/// The same of a whole file.
pub(in crate::manifest) fn section_of<'n>(
    tree: &'n mut Node,
    name: &str,
) -> impl Iterator<Item = (&'n String, &'n mut Entry)> {
    tree.get_mut(name).and_then(Node::as_map_mut).into_iter().flatten()
}

fn service(node: &mut Node, report: &mut Report) {
    for key in ["dns", "label_file"] {
        with(node, key, text_to_list);
    }
    with(node, "depends_on", depends_on);
    with(node, "env_file", |n| {
        text_to_list(n);
        for entry in n.as_list_mut().into_iter().flatten() {
            wrap(entry, "path");
            default(entry, "required", || Value::Bool(true));
        }
    });
    with(node, "extends", |n| wrap(n, "service"));
    with(node, "gpus", |n| {
        if n.as_text().is_some() {
            let mut all = Node::new(Value::Map(Map::default()), n.span);
            all.set("count", Value::Text("all".into()));
            n.value = Value::List(vec![all]);
        }
    });
    for key in ["networks", "models"] {
        with(node, key, |n| {
            if let Value::List(list) = &n.value {
                let names = list.iter().filter_map(|n| Some((n.as_text()?.to_owned(), null(n.span))));
                n.value = Value::Map(names.collect());
            }
        });
    }
    for key in ["secrets", "configs"] {
        elements(node, key, |n| wrap(n, "source"));
    }
    elements(node, "devices", |n| device(n, report));
    with(node, "volumes", |n| volumes(n, report));
    with(node, "ports", |n| ports(n, report));
    with(node, "build", |n| {
        wrap(n, "context");
        elements(n, "secrets", |n| wrap(n, "source"));
        for key in ["provenance", "sbom"] {
            with(n, key, |n| n.value = Value::Text(go_sprint(n)));
        }
        with(n, "additional_contexts", |n| key_values(n, &[], "of the form KEY=VALUE", report));
        with(n, "ssh", |n| key_values(n, &["default"], "`default` or ID=PATH", report));
    });
    if let Some(watch) = node.get_mut("develop").and_then(|n| n.get_mut("watch")) {
        for entry in watch.as_list_mut().into_iter().flatten() {
            for key in ["ignore", "include"] {
                with(entry, key, text_to_list);
            }
        }
    }
    // An empty name server is none.
    with(node, "dns", |n| {
        if let Value::List(list) = &mut n.value {
            list.retain(|n| !n.is_null() && n.as_text() != Some(""));
        }
    });
}

/// Applies a rule to the value of a key, where there is one.
fn with(node: &mut Node, key: &str, rule: impl FnOnce(&mut Node)) {
    if let Some(value) = node.get_mut(key).filter(|n| !n.is_null()) {
        rule(value);
    }
}

fn elements(node: &mut Node, key: &str, mut rule: impl FnMut(&mut Node)) {
    with(node, key, |n| n.as_list_mut().into_iter().flatten().for_each(&mut rule));
}

fn null(span: Span) -> Entry {
    Entry { key: span, node: Node::new(Value::Null, span) }
}

/// `x` becomes `{key: x}`.
fn wrap(node: &mut Node, key: &str) {
    if node.as_text().is_some() {
        let span = node.span;
        let inner = Node::new(std::mem::replace(&mut node.value, Value::Null), span);
        node.value = Value::Map(Map::from_iter([(key.to_owned(), Entry { key: span, node: inner })]));
    }
}

fn default(node: &mut Node, key: &str, value: impl FnOnce() -> Value) {
    if node.as_map().is_some_and(|map| !map.contains_key(key)) {
        node.set(key, value());
    }
}

fn text_to_list(node: &mut Node) {
    if node.as_text().is_some() {
        let inner = Node::new(std::mem::replace(&mut node.value, Value::Null), node.span);
        node.value = Value::List(vec![inner]);
    }
}

fn depends_on(node: &mut Node) {
    if let Value::List(list) = &node.value {
        let names = list.iter().filter_map(|n| {
            let empty = Node::new(Value::Map(Map::default()), n.span);
            Some((n.as_text()?.to_owned(), Entry { key: n.span, node: empty }))
        });
        node.value = Value::Map(names.collect());
    }
    for entry in node.as_map_mut().into_iter().flat_map(|m| m.values_mut()) {
        default(&mut entry.node, "condition", || Value::Text("service_started".into()));
        default(&mut entry.node, "required", || Value::Bool(true));
    }
}

fn device(node: &mut Node, report: &mut Report) {
    let Some(text) = node.as_text() else { return };
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, permissions) = match parts[..] {
        [source] => (source, source, "rwm"),
        [source, target] => (source, target, "rwm"),
        [source, target, permissions] => (source, target, permissions),
        _ => {
            let message = format!("`{text}` is not of the form SOURCE[:TARGET[:PERMISSIONS]]");
            report.error(node.span, "bad-device", message);
            return;
        }
    };
    let target = if target.is_empty() { source } else { target };
    let values = [("source", source), ("target", target), ("permissions", permissions)]
        .map(|(key, value)| (key, Value::Text(value.to_owned())));
    node.value = Value::Map(Map::default());
    for (key, value) in values {
        node.set(key, value);
    }
}

fn volumes(node: &mut Node, report: &mut Report) {
    for entry in node.as_list_mut().into_iter().flatten() {
        let Some(text) = entry.as_text() else { continue };
        for option in short::unknown_options(text) {
            let message = format!("`{option}` is no option of a volume, so it is ignored");
            report.warning(entry.span, "unknown-option", message);
        }
        match short::mount(text, entry.span) {
            Ok(mount) => *entry = mount,
            Err(message) => {
                report.error(entry.span, "bad-volume", message);
            }
        }
    }
}

fn ports(node: &mut Node, report: &mut Report) {
    let Value::List(list) = &mut node.value else { return };
    let mut all = Vec::with_capacity(list.len());
    for entry in std::mem::take(list) {
        let text = match &entry.value {
            Value::Text(text) => text.clone(),
            Value::Int(n) => n.to_string(),
            Value::Float(_) => {
                report.error(entry.span, "bad-port", "a port is a whole number; put a range or a pair in quotes");
                continue;
            }
            _ => {
                all.push(entry);
                continue;
            }
        };
        match short::ports(&text, entry.span) {
            Ok(ports) => all.extend(ports),
            Err(message) => {
                report.error(entry.span, "bad-port", message);
            }
        }
    }
    *list = all;
}

/// A list of `key=value` becomes a mapping. `bare`: what may stand in it without a value; `wanted`: how to say what may.
fn key_values(node: &mut Node, bare: &[&str], wanted: &str, report: &mut Report) {
    let Value::List(list) = &node.value else { return };
    let mut map = Map::default();
    for entry in list {
        let Some(text) = entry.as_text() else { continue };
        match text.split_once('=') {
            Some((key, value)) => {
                map.insert(key.to_owned(), Entry { key: entry.span, node: Node::text(value, entry.span) });
            }
            None if bare.contains(&text) => {
                map.insert(text.to_owned(), null(entry.span));
            }
            None => {
                report.error(entry.span, "wrong-value", format!("`{text}` is not {wanted}"));
            }
        }
    }
    node.value = Value::Map(map);
}

/// The old form `external: {name: X}`.
fn external(node: &mut Node, path: &str, report: &mut Report) {
    let Some(external) = node.get("external").filter(|n| n.as_map().is_some()) else { return };
    let (span, old) = (external.span, external.get("name").cloned());
    if let Some(old) = old {
        let message = format!("{path}: `external.name` is old");
        report.warning(span, "old-external", message).help = Some("write `name:` and `external: true`".into());
        match node.get("name") {
            Some(name) if !name.same(&old) => {
                let message = format!("{path}: `name` and `external.name` differ");
                report.error(span, "conflict", message).help = Some("keep `name` only".into());
            }
            Some(_) => {}
            None => node.set("name", old.value),
        }
    }
    node.set("external", Value::Bool(true));
}

/// What is assumed where nothing is written; done once all files are merged.
pub(in crate::manifest) fn defaults(node: &mut Node) {
    let Some(map) = node.as_map_mut() else { return };
    for (_, entry) in section(map, "services") {
        let service = &mut entry.node;
        with(service, "build", |n| default(n, "context", || Value::Text(".".into())));
        elements(service, "secrets", |n| {
            let source = n.get("source").map(go_sprint).unwrap_or_else(|| "<nil>".into());
            default(n, "target", || Value::Text(format!("/run/secrets/{source}")));
        });
        elements(service, "ports", |n| {
            default(n, "protocol", || Value::Text("tcp".into()));
            default(n, "mode", || Value::Text("ingress".into()));
        });
        elements(service, "gpus", all_devices);
        let devices = service.get_mut("deploy").and_then(|n| n.get_mut("resources"));
        if let Some(reservations) = devices.and_then(|n| n.get_mut("reservations")) {
            elements(reservations, "devices", all_devices);
        }
    }
}

fn all_devices(node: &mut Node) {
    if node.get("count").is_none() && node.get("device_ids").is_none() {
        default(node, "count", || Value::Text("all".into()));
    }
}
