//! Later files over earlier ones, both in the canonical form.

use super::diagnostic::Report;
use super::document::{Map, Node, Tag, Value};

/// Merges `over` into `base`.
pub(super) fn merge(base: &mut Node, over: Node, report: &mut Report) {
    at(base, over, &[], report);
}

fn at(base: &mut Node, over: Node, path: &[&str], report: &mut Report) {
    if over.tag == Some(Tag::Override) {
        *base = Node { tag: None, ..over };
        return;
    }
    if replaced_whole(path) {
        *base = over;
        return;
    }
    match (&mut base.value, over.value) {
        (_, Value::Null) => {}
        (Value::Map(base), Value::Map(over)) => maps(base, over, path, report),
        (Value::List(base), Value::List(over)) => lists(base, over, path),
        (Value::Null, value) => {
            base.value = value;
            base.span = over.span;
        }
        (Value::List(_) | Value::Map(_), Value::List(_) | Value::Map(_)) => {
            let message = format!("cannot override {}: one file has a list, the other a mapping", path.join("."));
            report.error(over.span, "merge", message);
        }
        (_, value) => {
            base.value = value;
            base.span = over.span;
        }
    }
}

fn maps(base: &mut Map, over: Map, path: &[&str], report: &mut Report) {
    for (key, entry) in over {
        if entry.node.tag == Some(Tag::Reset) {
            base.shift_remove(&key);
            continue;
        }
        let mut path = path.to_vec();
        path.push(&key);
        match base.get_mut(&key) {
            Some(old) => {
                at(&mut old.node, entry.node, &path, report);
                old.key = entry.key;
            }
            None => {
                base.insert(key.clone(), entry);
            }
        }
    }
}

/// Lists grow; an entry for the same port, target or value stands in place of the earlier one.
fn lists(base: &mut Vec<Node>, over: Vec<Node>, path: &[&str]) {
    let identity: fn(&Node) -> Option<String> = match path {
        ["services", _, "ports"] => |n| {
            let part = |key| n.get(key).and_then(Node::scalar).unwrap_or_default();
            Some([part("host_ip"), part("published"), part("target"), part("protocol")].join(":"))
        },
        ["services", _, "volumes"] => |n| n.get("target").and_then(Node::scalar),
        ["services", _, "env_file"] => |n| n.get("path").and_then(Node::scalar),
        ["services", _, _] => Node::scalar,
        _ => |_| None,
    };
    for node in over {
        let same = identity(&node).and_then(|id| base.iter().position(|b| identity(b).as_ref() == Some(&id)));
        match same {
            Some(position) => base[position] = node,
            None => base.push(node),
        }
    }
}

fn replaced_whole(path: &[&str]) -> bool {
    matches!(
        path,
        ["services", _, "command" | "entrypoint"]
            | ["services", _, "healthcheck", "test"]
            | ["services", _, "ulimits", _]
            | ["services", _, "environment", _]
    )
}

/// Drops what `!reset` and `!override` leave behind in a file that nothing was merged into.
pub(super) fn untag(node: &mut Node) {
    node.tag = None;
    match &mut node.value {
        Value::Map(map) => {
            map.retain(|_, entry| entry.node.tag != Some(Tag::Reset));
            map.values_mut().for_each(|e| untag(&mut e.node));
        }
        Value::List(list) => {
            list.retain(|n| n.tag != Some(Tag::Reset));
            list.iter_mut().for_each(untag);
        }
        _ => {}
    }
}
