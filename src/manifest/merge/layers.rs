//! Later files over earlier ones, as Compose does it: before anything is brought into one form, so that each rule meets
//! the forms that people write.

use crate::manifest::diagnostic::Report;
use crate::manifest::document::{Entry, Map, Node, Span, Value, go_sprint};

/// Lays `over` on `base`.
pub(super) fn merge(base: &mut Node, over: Node, report: &mut Report) {
    at(base, over, &mut Vec::new(), report);
}

/// Lays a service on the one it extends.
pub(super) fn extend(base: &mut Node, over: Node, report: &mut Report) {
    at(base, over, &mut vec!["services".into(), "x".into()], report);
}

/// How the values of a path are put together.
#[derive(Clone, Copy)]
enum Rule {
    /// The later one counts, also where it is null.
    Replace,
    /// Both as lists, the later after the earlier.
    Append,
    /// The same, without what is there already.
    AppendNew,
    /// Mappings; a list is a mapping from names to nothing.
    Names,
    /// The same; a name alone waits for the start.
    Dependencies,
    /// Mappings; a text is the context.
    Build,
    /// Mappings, unless the drivers differ.
    Logging,
    /// One pool for each subnet.
    Pools,
    /// By kind of value.
    Plain,
}

fn rule(path: &[String]) -> Rule {
    let keys: Vec<&str> = path.iter().map(String::as_str).collect();
    match keys.as_slice() {
        ["services", _, rest @ ..] => match rest {
            ["command" | "entrypoint"] | ["healthcheck", "test"] | ["ulimits", _] => Rule::Replace,
            [
                "annotations" | "dns" | "dns_opt" | "dns_search" | "env_file" | "label_file" | "environment" | "labels"
                | "sysctls" | "tmpfs",
            ]
            | ["build", "args" | "additional_contexts" | "labels"]
            | ["deploy", "labels"]
            | ["volumes", _, "volume", "labels"] => Rule::Append,
            ["extra_hosts"] | ["build", "extra_hosts"] => Rule::AppendNew,
            ["networks" | "models"] => Rule::Names,
            ["depends_on"] => Rule::Dependencies,
            ["build"] => Rule::Build,
            ["logging"] => Rule::Logging,
            _ => Rule::Plain,
        },
        ["networks" | "volumes", _, "labels"] => Rule::Append,
        ["networks", _, "ipam", "config"] => Rule::Pools,
        _ => Rule::Plain,
    }
}

fn at(base: &mut Node, over: Node, path: &mut Vec<String>, report: &mut Report) {
    match rule(path) {
        Rule::Replace => *base = over,
        Rule::Append => append(base, over),
        Rule::AppendNew => {
            let mut list = sequence(std::mem::replace(&mut base.value, Value::Null), base.span);
            let first = list.len();
            for node in sequence(over.value, over.span) {
                if !list[..first].iter().any(|n| n.same(&node)) {
                    list.push(node);
                }
            }
            base.value = Value::List(list);
        }
        Rule::Names => {
            as_mapping(base, &|_| Value::Null);
            let mut over = over;
            as_mapping(&mut over, &|_| Value::Null);
            mappings(base, over, path, report);
        }
        Rule::Dependencies => {
            as_mapping(base, &started);
            let mut over = over;
            as_mapping(&mut over, &started);
            mappings(base, over, path, report);
        }
        Rule::Build => {
            let mut over = over;
            as_build(base);
            as_build(&mut over);
            mappings(base, over, path, report);
        }
        Rule::Logging => {
            let differ = match (base.get("driver"), over.get("driver")) {
                (Some(a), Some(b)) => !a.same(b),
                _ => false,
            };
            if differ && over.as_map().is_some() {
                *base = over;
            } else {
                mappings(base, over, path, report);
            }
        }
        Rule::Pools => pools(base, over, path, report),
        Rule::Plain => match (&mut base.value, &over.value) {
            (_, Value::Null) => {}
            (Value::Map(_), _) => mappings(base, over, path, report),
            (Value::List(list), Value::List(_)) => {
                if let Value::List(more) = over.value {
                    list.extend(more);
                }
            }
            (Value::List(_), _) => cannot(base, &over, path, report),
            _ => *base = over,
        },
    }
}

fn append(base: &mut Node, over: Node) {
    let mut list = sequence(std::mem::replace(&mut base.value, Value::Null), base.span);
    list.extend(sequence(over.value, over.span));
    base.value = Value::List(list);
}

fn mappings(base: &mut Node, over: Node, path: &mut Vec<String>, report: &mut Report) {
    if over.is_null() {
        return;
    }
    if base.is_null() {
        *base = over;
        return;
    }
    let (Value::Map(map), Value::Map(_)) = (&mut base.value, &over.value) else {
        cannot(base, &over, path, report);
        return;
    };
    let Value::Map(over) = over.value else { return };
    for (key, entry) in over {
        match map.get_mut(&key) {
            Some(old) => {
                path.push(key);
                at(&mut old.node, entry.node, path, report);
                path.pop();
            }
            None => {
                map.insert(key, entry);
            }
        }
    }
}

fn cannot(base: &Node, over: &Node, path: &[String], report: &mut Report) {
    let first = report.place(base.span);
    let message = format!("cannot override {}: it is {} here and {} before", path.join("."), over.kind(), base.kind());
    let diagnostic = report.error(over.span, "merge", message);
    diagnostic.related.push((first, "written here before".into()));
}

/// A value as a list: a mapping becomes `key=value`, sorted, as Go does it.
pub(super) fn sequence(value: Value, span: Span) -> Vec<Node> {
    match value {
        Value::List(list) => list,
        Value::Text(_) => vec![Node::new(value, span)],
        Value::Map(map) => {
            let mut list = Vec::new();
            for (key, entry) in map {
                let at = Span { ..entry.node.span };
                match &entry.node.value {
                    Value::Null => list.push(Node::text(key, entry.key)),
                    Value::List(values) => {
                        list.extend(values.iter().map(|v| Node::text(format!("{key}={}", go_sprint(v)), v.span)));
                    }
                    _ => list.push(Node::text(format!("{key}={}", go_sprint(&entry.node)), at)),
                }
            }
            list.sort_by(|a, b| a.as_text().cmp(&b.as_text()));
            list
        }
        _ => Vec::new(),
    }
}

fn started(span: Span) -> Value {
    let entry = |node| Entry { key: span, node };
    Value::Map(Map::from_iter([
        ("condition".to_owned(), entry(Node::text("service_started", span))),
        ("required".to_owned(), entry(Node::new(Value::Bool(true), span))),
    ]))
}

/// A list of names as a mapping.
fn as_mapping(node: &mut Node, value: &dyn Fn(Span) -> Value) {
    if let Value::List(list) = &node.value {
        let entries = list.iter().filter_map(|n| {
            Some((n.as_text()?.to_owned(), Entry { key: n.span, node: Node::new(value(n.span), n.span) }))
        });
        node.value = Value::Map(entries.collect());
    } else if node.as_map().is_none() {
        // As in Compose, what is neither says nothing here.
        node.value = Value::Null;
    }
}

fn as_build(node: &mut Node) {
    if let Value::Text(_) = &node.value {
        let span = node.span;
        let context = Node::new(std::mem::replace(&mut node.value, Value::Null), span);
        node.value = Value::Map(Map::from_iter([("context".to_owned(), Entry { key: span, node: context })]));
    }
}

/// Address pools: those of one subnet are one.
fn pools(base: &mut Node, over: Node, path: &mut Vec<String>, report: &mut Report) {
    let (Value::List(originals), Value::List(overs)) = (&mut base.value, &over.value) else {
        cannot(base, &over, path, report);
        return;
    };
    let subnet = |n: &Node| n.get("subnet").map(go_sprint);
    let mut merged: Vec<Node> = Vec::new();
    for original in originals.iter() {
        let mut original = original.clone();
        for over in overs {
            if subnet(over) != subnet(&original) && !merged.iter().any(|n| subnet(n) == subnet(over)) {
                merged.push(over.clone());
                continue;
            }
            mappings(&mut original, over.clone(), path, report);
            match merged.iter_mut().find(|n| subnet(n) == subnet(&original)) {
                Some(there) => *there = original.clone(),
                None => merged.push(original.clone()),
            }
        }
    }
    *originals = merged;
}
