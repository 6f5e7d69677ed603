//! Reading values of the canonical tree: each of its keys has one shape, so what does not fit reads as "not written".

use std::collections::BTreeMap;
use std::time::Duration;

use crate::manifest::document::{Node, Value};
use crate::manifest::units;
use crate::model::service::Bytes;

/// A scalar that is not empty; Compose does not tell an empty text from none.
pub(super) fn text(node: &Node, key: &str) -> Option<String> {
    node.get(key).and_then(Node::scalar).filter(|t| !t.is_empty())
}

pub(super) fn map_of(node: Option<&Node>) -> BTreeMap<String, String> {
    let entries = node.and_then(Node::as_map).into_iter().flatten();
    entries.map(|(key, entry)| (key.clone(), entry.node.scalar().unwrap_or_default())).collect()
}

pub(super) fn text_map(node: &Node, key: &str) -> BTreeMap<String, String> {
    map_of(node.get(key))
}

/// Values that may be absent: `KEY` without `=`.
pub(super) fn optional_map(node: &Node, key: &str) -> BTreeMap<String, Option<String>> {
    let entries = node.get(key).and_then(Node::as_map).into_iter().flatten();
    entries.map(|(key, entry)| (key.clone(), entry.node.scalar())).collect()
}

pub(super) fn list_of(node: Option<&Node>) -> Vec<String> {
    node.and_then(Node::as_list).unwrap_or_default().iter().filter_map(Node::scalar).collect()
}

pub(super) fn text_list(node: &Node, key: &str) -> Vec<String> {
    list_of(node.get(key))
}

pub(super) fn nodes<'n>(node: &'n Node, key: &str) -> &'n [Node] {
    node.get(key).and_then(Node::as_list).unwrap_or_default()
}

pub(super) fn flag(node: &Node, key: &str) -> Option<bool> {
    match node.get(key)?.value {
        Value::Bool(b) => Some(b),
        _ => None,
    }
}

pub(super) fn is_set(node: &Node, key: &str) -> bool {
    flag(node, key).unwrap_or(false)
}

/// A whole number, also as text.
pub(super) fn whole(node: Option<&Node>) -> Option<i64> {
    match &node?.value {
        Value::Int(n) => i64::try_from(*n).ok(),
        Value::Text(text) => text.parse().ok(),
        _ => None,
    }
}

pub(super) fn integer(node: &Node, key: &str) -> Option<i64> {
    whole(node.get(key))
}

/// A number that counts something.
pub(super) fn count<T: TryFrom<i64>>(node: &Node, key: &str) -> Option<T> {
    integer(node, key).and_then(|n| T::try_from(n).ok())
}

pub(super) fn real(node: &Node, key: &str) -> Option<f64> {
    node.get(key)?.scalar()?.parse().ok()
}

/// A size in bytes; 0 is "not written", as for Compose.
pub(super) fn bytes(node: &Node, key: &str) -> Option<Bytes> {
    integer(node, key).filter(|n| *n != 0).map(Bytes)
}

pub(super) fn duration(node: &Node, key: &str) -> Option<Duration> {
    units::duration(&node.get(key)?.scalar()?)
}

/// An octal file mode as text, or a number.
pub(super) fn mode(node: &Node, key: &str) -> Option<u32> {
    match &node.get(key)?.value {
        Value::Text(text) => u32::from_str_radix(text, 8).ok(),
        Value::Int(n) => u32::try_from(*n).ok(),
        _ => None,
    }
}

/// Billionths of a CPU. Reckoned with the precision that Compose has for it.
pub(super) fn nano_cpus(node: &Node, key: &str) -> Option<i64> {
    #[allow(clippy::cast_possible_truncation)]
    let nanos = real(node, key).map(|x| (x as f32 * 1e9) as i64);
    nanos.filter(|n| *n != 0)
}
