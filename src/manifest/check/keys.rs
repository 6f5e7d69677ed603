//! Checks a file against the tables of keys: every mistake, each with its place.

use std::collections::HashMap;

use crate::manifest::attributes::{Keys, Kind, Layout, Shape, Type};
use crate::manifest::diagnostic::{Report, suggestion};
use crate::manifest::document::{Map, Node, Value};

/// Where a value stands: put into words only where something is wrong with it.
#[derive(Clone, Copy)]
pub(in crate::manifest) enum Path<'p> {
    /// What it is called by.
    Top(&'p str),
    /// A key below.
    Key(&'p Path<'p>, &'p str),
    /// An element of a list.
    Element(&'p Path<'p>, usize),
}

impl std::fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Top(name) => f.write_str(name),
            Self::Key(Self::Top(""), key) => f.write_str(key),
            Self::Key(above, key) => write!(f, "{above}.{key}"),
            Self::Element(above, n) => write!(f, "{above}[{n}]"),
        }
    }
}

/// Checks a value; `path` is where it stands, for messages.
pub(in crate::manifest) fn check(node: &Node, shape: &Shape, path: &Path<'_>, report: &mut Report) {
    match shape {
        Shape::Any => {}
        Shape::Is(_) | Shape::OneOf(_) if !admits(shape, node) => wrong_type(node, shape, path, report),
        Shape::Is(_) => {}
        Shape::OneOf(alternatives) => one_of(node, alternatives, path, report),
        Shape::Word(words) => match node.as_text() {
            Some(word) if words.contains(&word) => {}
            Some(word) => {
                let message = format!("{path} must be {}", either(words.iter().map(|w| format!("`{w}`"))));
                report.error(node.span, "wrong-value", message).help = suggestion(word, words.iter().copied());
            }
            None => wrong_type(node, shape, path, report),
        },
        Shape::Matches(pattern) => match node.as_text() {
            Some(text) if (pattern.matches)(text) => {}
            Some(_) => {
                report.error(node.span, "wrong-value", format!("{path} must be {}", pattern.wanted));
            }
            None => wrong_type(node, shape, path, report),
        },
        Shape::Within(least, most) => match whole(node) {
            Some(n) if n < i128::from(*least) => {
                report.error(node.span, "wrong-value", format!("{path} must be at least {least}"));
            }
            Some(n) if n > i128::from(*most) => {
                report.error(node.span, "wrong-value", format!("{path} must be at most {most}"));
            }
            Some(_) => {}
            None => wrong_type(node, shape, path, report),
        },
        Shape::List(inner, unique) => match &node.value {
            Value::List(list) => {
                for (n, element) in list.iter().enumerate() {
                    check(element, inner, &Path::Element(path, n), report);
                }
                if *unique && list.len() > 1 {
                    doubles(list, path, report);
                }
            }
            _ => wrong_type(node, shape, path, report),
        },
        Shape::Map(keys, inner) => match &node.value {
            Value::Map(map) => names(map, *keys, inner, path, report),
            _ => wrong_type(node, shape, path, report),
        },
        Shape::Object(layout) => match &node.value {
            Value::Map(_) => object(node, layout, path, report),
            _ => wrong_type(node, shape, path, report),
        },
    }
}

/// Checks a value that may be of several shapes: by the one that its kind admits.
fn one_of(node: &Node, alternatives: &[Shape], path: &Path<'_>, report: &mut Report) {
    let fitting: Vec<_> = alternatives.iter().filter(|s| admits(s, node)).collect();
    match fitting.as_slice() {
        [one] => check(node, one, path, report),
        several => {
            // Alternatives of one type differ in what is said about it only: the last is the stricter one.
            let passes = |s: &&&Shape| {
                let mut trial = Report::default();
                check(node, s, path, &mut trial);
                !trial.has_errors()
            };
            if !several.iter().any(|s| passes(&s))
                && let Some(last) = several.last()
            {
                check(node, last, path, report);
            }
        }
    }
}

/// Checks a mapping from names.
fn names(map: &Map, keys: Keys, inner: &Shape, path: &Path<'_>, report: &mut Report) {
    for (key, entry) in map {
        let fits = match keys {
            Keys::Any => !key.is_empty(),
            Keys::Names | Keys::NamesOrAnything => is_name(key),
            Keys::LowerOrAnything => !key.is_empty() && key.bytes().all(|b| b.is_ascii_lowercase()),
        };
        if fits {
            check(&entry.node, inner, &Path::Key(path, key), report);
        } else if matches!(keys, Keys::Names) {
            let message = format!("`{key}` cannot be a name in {path}");
            report.error(entry.key, "bad-name", message).help =
                Some("a name has letters, digits, `.`, `_` and `-` only".into());
        }
    }
}

/// Checks a mapping with known keys.
pub(in crate::manifest) fn object(node: &Node, layout: &Layout, path: &Path<'_>, report: &mut Report) {
    for (key, entry) in node.as_map().into_iter().flatten() {
        let here = Path::Key(path, key);
        match layout.field(key) {
            Some(field) if matches!(field.kind, Kind::Duration | Kind::DurationOpt) && whole(&entry.node).is_some() => {
                let number = entry.node.scalar().unwrap_or_default();
                let message = format!("{here} must be a duration, this is a number without a unit");
                report.error(entry.node.span, "wrong-type", message).help =
                    Some(format!("write {number}s for seconds"));
            }
            Some(field) => check(&entry.node, &field.shape, &here, report),
            None if layout.extensible && key.starts_with("x-") => {}
            None if layout.open => {}
            None => {
                let help = suggestion(key, layout.fields.iter().map(|f| f.key));
                report.error(entry.key, "unknown-key", format!("unknown key `{here}`")).help = help;
            }
        }
    }
    for key in layout.required {
        if node.get(key).is_none() {
            let message = format!("{path} has no `{key}`");
            report.error(node.span, "missing-key", message);
        }
    }
}

fn is_name(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

fn wrong_type(node: &Node, shape: &Shape, path: &Path<'_>, report: &mut Report) {
    let mut wanted = Vec::new();
    name_types(shape, &mut wanted);
    let message = format!("{path} must be {}, this is {}", either(wanted), node.kind());
    report.error(node.span, "wrong-type", message).help = hint(node, shape);
}

/// What most people mean who write this.
fn hint(node: &Node, shape: &Shape) -> Option<String> {
    match &node.value {
        Value::Int(_) | Value::Float(_) | Value::Bool(_) | Value::Date(_)
            if admits(shape, &Node::text("x", node.span)) =>
        {
            Some("put it in quotes".into())
        }
        Value::Null => Some("take the key out, or give it a value".into()),
        _ => None,
    }
}

fn either(words: impl IntoIterator<Item = String>) -> String {
    let mut words: Vec<String> = words.into_iter().collect();
    match (words.pop(), words.is_empty()) {
        (Some(last), false) => format!("{} or {last}", words.join(", ")),
        (Some(only), true) => only,
        (None, _) => String::new(),
    }
}

fn name_types(shape: &Shape, names: &mut Vec<String>) {
    let mut add = |name: &str| {
        if !names.iter().any(|n| n == name) {
            names.push(name.to_owned());
        }
    };
    match shape {
        Shape::Any => {}
        // Text stands for a variable where truths are wanted; nothing is seldom what is wanted.
        Shape::Is(types) if *types == [Type::Bool, Type::Text] => add("true or false"),
        Shape::Is(types) => types.iter().filter(|t| types.len() == 1 || **t != Type::Null).for_each(|t| {
            add(match t {
                Type::Null => "nothing",
                Type::Bool => "true or false",
                Type::Int => "a whole number",
                Type::Number => "a number",
                Type::Text => "text",
            });
        }),
        Shape::Word(_) | Shape::Matches(_) => add("text"),
        Shape::Within(..) => add("a whole number"),
        Shape::List(..) => add("a list"),
        Shape::Map(..) | Shape::Object(_) => add("a mapping"),
        Shape::OneOf(alternatives) => alternatives.iter().for_each(|s| name_types(s, names)),
    }
}

/// Whether the value is of the kind that a shape is about.
fn admits(shape: &Shape, node: &Node) -> bool {
    match shape {
        Shape::Any => true,
        Shape::Is(types) => types.iter().any(|t| match (t, &node.value) {
            (Type::Null, Value::Null)
            | (Type::Bool, Value::Bool(_))
            | (Type::Int | Type::Number, Value::Int(_))
            | (Type::Number, Value::Float(_))
            | (Type::Text, Value::Text(_)) => true,
            (Type::Int, Value::Float(x)) => x.fract() == 0.0,
            _ => false,
        }),
        Shape::Word(_) | Shape::Matches(_) => node.as_text().is_some(),
        Shape::Within(..) => whole(node).is_some(),
        Shape::List(..) => node.as_list().is_some(),
        Shape::Map(..) | Shape::Object(_) => node.as_map().is_some(),
        Shape::OneOf(alternatives) => alternatives.iter().any(|s| admits(s, node)),
    }
}

#[allow(clippy::cast_possible_truncation)]
fn whole(node: &Node) -> Option<i128> {
    match node.value {
        Value::Int(n) => Some(n),
        Value::Float(x) if x.fract() == 0.0 => Some(x as i128),
        _ => None,
    }
}

/// Reports what stands in a list twice.
fn doubles(list: &[Node], path: &Path<'_>, report: &mut Report) {
    let mut seen: HashMap<String, usize> = HashMap::default();
    for (n, node) in list.iter().enumerate() {
        let mut text = String::new();
        key(node, &mut text);
        if let Some(first) = seen.insert(text, n) {
            let at = report.place(list[first].span);
            let what = node.scalar().map_or_else(|| "the same".to_owned(), |s| format!("`{s}`"));
            let diagnostic =
                report.error(node.span, "duplicate", format!("{path}[{n}]: {what} stands in the list twice"));
            diagnostic.related.push((at, "first here".into()));
        }
    }
}

/// A text that equal values share and no others.
fn key(node: &Node, out: &mut String) {
    match &node.value {
        Value::List(list) => {
            out.push('[');
            list.iter().for_each(|n| {
                key(n, out);
                out.push(',');
            });
            out.push(']');
        }
        Value::Map(map) => {
            let mut keys: Vec<_> = map.iter().collect();
            keys.sort_by_key(|(k, _)| *k);
            out.push('{');
            for (name, entry) in keys {
                out.push_str(&format!("{name:?}:"));
                key(&entry.node, out);
                out.push(',');
            }
            out.push('}');
        }
        Value::Text(text) => out.push_str(&format!("{text:?}")),
        _ => out.push_str(&node.scalar().unwrap_or_else(|| "null".into())),
    }
}
