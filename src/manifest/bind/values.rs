//! From what was written to what it means: every value of a merged file becomes the one value that Compose prints and
//! hashes for it. Empty values go, keys come into the order of the tables, and what begins with `x-` moves under
//! [`EXTENSIONS`].

use super::shellwords;
use crate::manifest::attributes::{EXTENSIONS, Field, Kind, Layout, SERVICE};
use crate::manifest::diagnostic::Report;
use crate::manifest::document::{Entry, Map, Node, Span, Value, go_sprint};
use crate::manifest::read::cast::{self, truth};
use crate::manifest::units;

/// Brings an object into the form that compose-go has it in; what cannot be is reported and left out.
pub(in crate::manifest) fn bind(node: &mut Node, layout: &Layout, report: &mut Report) {
    Binder { report, path: Vec::new() }.object(node, layout);
}

struct Binder<'r> {
    report: &'r mut Report,
    path: Vec<String>,
}

/// Why a value cannot be what it has to be.
struct Wrong(String);

fn wrong<T>(wanted: &str, node: &Node) -> Result<T, Wrong> {
    Err(Wrong(match node.scalar() {
        Some(text) => format!("must be {wanted}, this is `{text}`"),
        None => format!("must be {wanted}, this is {}", node.kind()),
    }))
}

impl Binder<'_> {
    fn object(&mut self, node: &mut Node, layout: &Layout) {
        let span = node.span;
        let Some(map) = node.as_map_mut() else { return };
        let mut old = std::mem::take(map);
        let mut new = Map::with_capacity_and_hasher(layout.fields.len().min(old.len() + 4), Default::default());
        for field in layout.fields {
            let key = field.printed.unwrap_or(field.key);
            let written = old.shift_remove(field.key).filter(|e| !e.node.is_null());
            match written {
                Some(mut entry) => {
                    self.path.push(field.key.to_owned());
                    self.field(&mut entry.node, field);
                    self.path.pop();
                    if field.kept || !is_empty(&entry.node, field.kind) {
                        new.insert(key.to_owned(), entry);
                    }
                }
                None => {
                    if let Some(value) = absent(field) {
                        let mut node = Node::new(value, span);
                        if let Kind::Struct(layout) = field.kind {
                            self.object(&mut node, layout);
                        }
                        new.insert(key.to_owned(), Entry { key: span, node });
                    }
                }
            }
        }
        let extensions: Map = old.into_iter().filter(|(key, _)| key.starts_with("x-")).collect();
        if !extensions.is_empty() {
            new.insert(EXTENSIONS.to_owned(), Entry { key: span, node: Node::new(Value::Map(extensions), span) });
        }
        *map = new;
    }

    fn field(&mut self, node: &mut Node, field: &Field) {
        match field.kind {
            Kind::Struct(layout) | Kind::StructOpt(layout) => self.object(node, layout),
            Kind::List(layout) => {
                for (n, element) in node.as_list_mut().into_iter().flatten().enumerate() {
                    self.path.push(format!("[{n}]"));
                    if element.is_null() {
                        element.value = Value::Map(Map::default());
                    }
                    self.object(element, layout);
                    self.path.pop();
                }
            }
            Kind::Map(layout) | Kind::MapOpt(layout) => {
                let optional = matches!(field.kind, Kind::MapOpt(_));
                if optional {
                    gather_extensions(node, self.report, false);
                }
                let Some(map) = node.as_map_mut() else { return };
                map.sort_unstable_keys();
                for (name, entry) in map.iter_mut() {
                    if entry.node.is_null() {
                        if optional || std::ptr::eq(layout, &SERVICE) {
                            continue;
                        }
                        entry.node.value = Value::Map(Map::default());
                    }
                    self.path.push(name.clone());
                    self.object(&mut entry.node, layout);
                    self.path.pop();
                }
            }
            kind => {
                if matches!(
                    kind,
                    Kind::Options
                        | Kind::Pairs
                        | Kind::Labels
                        | Kind::Environment
                        | Kind::StrictMap
                        | Kind::MultiOptions
                        | Kind::Hosts
                ) {
                    gather_extensions(node, self.report, true);
                }
                // What the check has said already is not said again.
                if let Err(Wrong(what)) = scalar(node, kind)
                    && !self.report.has_error_at(node.span)
                {
                    let path = self.path.join(".").replace(".[", "[");
                    self.report.error(node.span, "wrong-type", format!("{path} {what}"));
                }
            }
        }
    }
}

/// What stands for a key that is not written.
fn absent(field: &Field) -> Option<Value> {
    match field.kind {
        Kind::Struct(_) => Some(Value::Map(Map::default())),
        _ if !field.kept => None,
        Kind::Text => Some(Value::Text(String::new())),
        Kind::Flag => Some(Value::Bool(false)),
        Kind::Int | Kind::Uint => Some(Value::Int(0)),
        Kind::Bytes => Some(Value::Text("0".into())),
        Kind::Map(_) => Some(Value::Map(Map::default())),
        _ => Some(Value::Null),
    }
}

fn is_empty(node: &Node, kind: Kind) -> bool {
    match kind {
        Kind::FlagOpt
        | Kind::IntOpt
        | Kind::UintOpt
        | Kind::DurationOpt
        | Kind::Mode
        | Kind::Struct(_)
        | Kind::StructOpt(_) => false,
        Kind::Omitted => true,
        Kind::Duration => node.as_text() == Some("0s"),
        Kind::Bytes => node.as_text() == Some("0"),
        _ => match &node.value {
            Value::Null => true,
            Value::Bool(b) => !b,
            Value::Int(n) => *n == 0,
            Value::Float(x) => *x == 0.0,
            Value::Text(text) | Value::Date(text) => text.is_empty(),
            Value::List(list) => list.is_empty(),
            Value::Map(map) => map.is_empty(),
        },
    }
}

/// Compose takes every key that begins with `x-` for an extension, also where keys are names of one's own, and leaves
/// them behind in one entry.
fn gather_extensions(node: &mut Node, report: &mut Report, as_text: bool) {
    let span = node.span;
    let Some(map) = node.as_map_mut() else { return };
    if !map.keys().any(|key| key.starts_with("x-")) {
        return;
    }
    let mut gathered = Map::default();
    for key in map.keys().filter(|k| k.starts_with("x-")).cloned().collect::<Vec<_>>() {
        if let Some(entry) = map.shift_remove(&key) {
            let message = format!("Compose takes `{key}` for an extension of the file");
            report.warning(entry.key, "extension-key", message).help = Some(format!("write it in a list: `- {key}=…`"));
            gathered.insert(key, entry);
        }
    }
    let mut value = Node::new(Value::Map(gathered), span);
    if as_text {
        value.value = Value::Text(go_sprint(&value));
    }
    map.insert(EXTENSIONS.to_owned(), Entry { key: span, node: value });
}

fn scalar(node: &mut Node, kind: Kind) -> Result<(), Wrong> {
    node.value = match kind {
        Kind::Text => Value::Text(text(node)?),
        Kind::Flag | Kind::FlagOpt => match &node.value {
            Value::Bool(b) => Value::Bool(*b),
            Value::Text(t) => Value::Bool(truth(t).map_or_else(|| wrong("true or false", node), Ok)?),
            _ => return wrong("true or false", node),
        },
        Kind::Int | Kind::IntOpt | Kind::Uint | Kind::UintOpt | Kind::Count => number(node, kind)?,
        Kind::Float32 | Kind::Cpus => float(node)?,
        Kind::Duration | Kind::DurationOpt | Kind::Bytes | Kind::Mode => measure(node, kind)?,
        Kind::Command => match &node.value {
            Value::Text(t) => match shellwords::split(t) {
                Some(words) => Value::List(words.into_iter().map(|w| Node::text(w, node.span)).collect()),
                None => return Err(Wrong("has a quote or bracket that is opened and not closed".into())),
            },
            _ => return texts(node),
        },
        Kind::HealthTest => match &node.value {
            Value::Text(t) => Value::List(vec![Node::text("CMD-SHELL", node.span), Node::text(t.as_str(), node.span)]),
            _ => return texts(node),
        },
        Kind::TextOrTexts | Kind::Numbers if node.as_text().is_some() => {
            Value::List(vec![Node::new(std::mem::replace(&mut node.value, Value::Null), node.span)])
        }
        Kind::Texts | Kind::TextOrTexts => return texts(node),
        Kind::Numbers => return printed(node),
        Kind::Options | Kind::Pairs | Kind::Labels | Kind::Environment | Kind::StrictMap => pairs(node, kind)?,
        Kind::MultiOptions => return multi_options(node),
        Kind::Hosts => hosts(node)?,
        Kind::Ssh => ssh(node),
        Kind::Ulimits => return ulimits(node),
        Kind::EnvFiles => {
            for entry in node.as_list_mut().into_iter().flatten() {
                let Some(required) = entry.get_mut("required") else { continue };
                scalar(required, Kind::Flag)?;
            }
            return Ok(());
        }
        Kind::Omitted | Kind::Struct(_) | Kind::StructOpt(_) | Kind::List(_) | Kind::Map(_) | Kind::MapOpt(_) => {
            return Ok(());
        }
    };
    Ok(())
}

/// Whole numbers.
#[allow(clippy::cast_possible_truncation)]
fn number(node: &Node, kind: Kind) -> Result<Value, Wrong> {
    match kind {
        Kind::Uint | Kind::UintOpt => match &node.value {
            Value::Int(n) if *n >= 0 => Ok(Value::Int(*n)),
            Value::Float(x) if *x >= 0.0 => Ok(Value::Int(*x as i128)),
            _ => wrong("a whole number that is not negative", node),
        },
        Kind::Count => match &node.value {
            Value::Int(n) => Ok(Value::Int(*n)),
            Value::Text(t) if t.eq_ignore_ascii_case("all") => Ok(Value::Int(-1)),
            Value::Text(t) => {
                t.parse::<i64>().map_or_else(|_| wrong("`all` or a number", node), |n| Ok(Value::Int(n.into())))
            }
            _ => wrong("`all` or a number", node),
        },
        _ => match &node.value {
            Value::Int(n) => Ok(Value::Int(*n)),
            Value::Float(x) => Ok(Value::Int(*x as i128)),
            Value::Text(t) => cast::Cast::Int.apply(t).map_or_else(|_| wrong("a whole number", node), Ok),
            _ => wrong("a whole number", node),
        },
    }
}

/// What is written with a unit or in another base, and kept as text.
fn measure(node: &Node, kind: Kind) -> Result<Value, Wrong> {
    let text = match kind {
        Kind::Bytes => match &node.value {
            Value::Int(n) => n.to_string(),
            Value::Text(t) => match units::bytes(t) {
                Some(n) => n.to_string(),
                None => return wrong("a size, for example 64m, 1.5g or a number of bytes", node),
            },
            // As in Compose, which takes no notice of it.
            _ => "0".into(),
        },
        Kind::Mode => match &node.value {
            Value::Int(n) => format!("0{n:o}"),
            Value::Text(t) => match i64::from_str_radix(t, 8) {
                Ok(n) => format!("0{n:o}"),
                Err(_) => return wrong("a file mode in octal, for example \"0440\"", node),
            },
            _ => return wrong("a file mode in octal, for example \"0440\"", node),
        },
        _ => match units::go_parse(&go_sprint(node)) {
            Some(nanos) => units::go_print(nanos),
            None => return wrong("a duration, for example 500ms, 10s or 1m30s", node),
        },
    };
    Ok(Value::Text(text))
}

/// A mapping to lists, where a value alone is a list of one.
fn multi_options(node: &mut Node) -> Result<(), Wrong> {
    if let Some(map) = node.as_map_mut() {
        map.sort_unstable_keys();
        map.retain(|_, entry| entry.node.as_list().is_none_or(|list| !list.is_empty()));
    }
    for entry in node.as_map_mut().into_iter().flat_map(|m| m.values_mut()) {
        if entry.node.as_list().is_none() {
            let inner = Node::new(std::mem::replace(&mut entry.node.value, Value::Null), entry.node.span);
            entry.node.value = Value::List(vec![inner]);
        }
        printed(&mut entry.node)?;
    }
    Ok(())
}

/// Keys for a build: `ID` or `ID=PATH`, in order.
fn ssh(node: &Node) -> Value {
    let mut keys: Vec<_> = node
        .as_map()
        .into_iter()
        .flatten()
        .map(|(id, e)| match e.node.scalar() {
            Some(path) => Node::text(format!("{id}={path}"), e.key),
            None => Node::text(id.as_str(), e.key),
        })
        .collect();
    keys.sort_by(|a, b| a.as_text().cmp(&b.as_text()));
    Value::List(keys)
}

fn text(node: &Node) -> Result<String, Wrong> {
    match &node.value {
        Value::Text(text) => Ok(text.clone()),
        Value::Int(n) => Ok(n.to_string()),
        Value::Null => Ok(String::new()),
        _ => wrong("text", node),
    }
}

fn texts(node: &mut Node) -> Result<(), Wrong> {
    if node.as_list().is_none() {
        return wrong("a list", node);
    }
    for element in node.as_list_mut().into_iter().flatten() {
        element.value = Value::Text(text(element)?);
    }
    Ok(())
}

fn printed(node: &mut Node) -> Result<(), Wrong> {
    if node.as_list().is_none() {
        return wrong("a list", node);
    }
    for element in node.as_list_mut().into_iter().flatten() {
        element.value = Value::Text(go_sprint(element));
    }
    Ok(())
}

/// A number of 32 bits, as the shortest decimal that means it.
#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
fn float(node: &Node) -> Result<Value, Wrong> {
    let x = match &node.value {
        Value::Int(n) => *n as f32,
        Value::Float(x) => *x as f32,
        Value::Text(t) => match t.parse::<f64>() {
            Ok(x) => x as f32,
            Err(_) => return wrong("a number", node),
        },
        _ => return wrong("a number", node),
    };
    Ok(Value::Float(x.to_string().parse().unwrap_or_default()))
}

/// A mapping, or a list of `key=value`.
fn pairs(node: &Node, kind: Kind) -> Result<Value, Wrong> {
    let mut map = Map::default();
    match &node.value {
        Value::Map(entries) => {
            for (key, entry) in entries {
                let mut entry = entry.clone();
                entry.node.value = match &entry.node.value {
                    Value::Null if matches!(kind, Kind::Environment) => Value::Null,
                    Value::Null => Value::Text(String::new()),
                    _ if matches!(kind, Kind::StrictMap) => Value::Text(text(&entry.node)?),
                    _ => Value::Text(go_sprint(&entry.node)),
                };
                map.insert(key.clone(), entry);
            }
        }
        Value::List(list) if !matches!(kind, Kind::Options | Kind::StrictMap) => {
            for element in list {
                let written = go_sprint(element);
                let (key, value) = match written.split_once('=') {
                    Some((key, value)) => (key, Value::Text(value.to_owned())),
                    None if matches!(kind, Kind::Environment) => (written.as_str(), Value::Null),
                    None => (written.as_str(), Value::Text(String::new())),
                };
                if matches!(kind, Kind::Environment) && key.ends_with(char::is_whitespace) {
                    return Err(Wrong(format!("has a variable whose name ends in a space: `{key}`")));
                }
                map.insert(key.to_owned(), Entry { key: element.span, node: Node::new(value, element.span) });
            }
        }
        _ => return wrong("a mapping", node),
    }
    map.sort_unstable_keys();
    Ok(Value::Map(map))
}

/// Host names with addresses, as a sorted list of `host=address`.
fn hosts(node: &Node) -> Result<Value, Wrong> {
    let mut found: Vec<(String, String, Span)> = Vec::new();
    match &node.value {
        Value::Map(map) => {
            for (host, entry) in map {
                match &entry.node.value {
                    Value::List(list) => {
                        found.extend(list.iter().map(|a| (host.clone(), go_sprint(a), a.span)));
                    }
                    Value::Null => found.push((host.clone(), String::new(), entry.key)),
                    _ => found.push((host.clone(), text(&entry.node)?, entry.node.span)),
                }
            }
        }
        Value::List(list) => {
            for element in list {
                let written = go_sprint(element);
                let Some((host, addresses)) = written.split_once('=').or_else(|| written.split_once(':')) else {
                    return Err(Wrong(format!("must be HOST=ADDRESS, this is `{written}`")));
                };
                found.extend(addresses.split(',').map(|a| (host.to_owned(), a.to_owned(), element.span)));
            }
        }
        _ => return wrong("a mapping or a list", node),
    }
    let mut list = Vec::with_capacity(found.len());
    for (host, address, span) in found {
        if host.is_empty() || host.contains([':', '=']) {
            return Err(Wrong(format!("has a bad host name: `{host}`")));
        }
        let inner = address.strip_prefix('[').and_then(|a| a.strip_suffix(']')).filter(|a| !a.is_empty());
        list.push(Node::text(format!("{host}={}", inner.unwrap_or(&address)), span));
    }
    list.sort_by(|a, b| a.as_text().cmp(&b.as_text()));
    Ok(Value::List(list))
}

/// Limits: a number, or soft and hard ones. As in Compose a limit of 0 says nothing.
fn ulimits(node: &mut Node) -> Result<(), Wrong> {
    if let Some(map) = node.as_map_mut() {
        map.retain(|key, _| !key.starts_with("x-"));
        map.sort_unstable_keys();
    }
    for entry in node.as_map_mut().into_iter().flat_map(|m| m.values_mut()) {
        let value = &mut entry.node;
        match &mut value.value {
            Value::Int(0) => value.value = Value::Map(Map::default()),
            Value::Int(_) => {}
            Value::Map(map) => {
                let mut new = Map::default();
                for key in ["soft", "hard"] {
                    let Some(entry) = map.shift_remove(key) else { continue };
                    match entry.node.value {
                        Value::Int(0) => {}
                        Value::Int(_) => {
                            new.insert(key.to_owned(), entry);
                        }
                        _ => return wrong("a whole number", &entry.node),
                    }
                }
                *map = new;
            }
            _ => return wrong("a whole number or `soft` and `hard`", value),
        }
    }
    Ok(())
}
