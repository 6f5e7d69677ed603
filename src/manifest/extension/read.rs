//! Values of `x-evenkeel`, each with an error of its own where it is none.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::manifest::diagnostic::Report;
use crate::manifest::document::Node;
use crate::manifest::units;

/// One of these words.
pub(super) fn word<T: Copy>(
    node: &Node,
    path: &str,
    words: impl Iterator<Item = (&'static str, T)>,
    report: &mut Report,
) -> Option<T> {
    let words: Vec<_> = words.collect();
    let found = node.as_text().and_then(|text| words.iter().find(|(word, _)| *word == text));
    if found.is_none() {
        let known = words.iter().map(|(word, _)| format!("`{word}`")).collect::<Vec<_>>().join(", ");
        report.error(node.span, "wrong-value", format!("x-evenkeel.{path} must be one of {known}"));
    }
    found.map(|(_, value)| *value)
}

/// A duration.
pub(super) fn span(node: &Node, path: &str, report: &mut Report) -> Option<Duration> {
    let span = node.scalar().as_deref().and_then(units::duration);
    if span.is_none() {
        report.error(node.span, "wrong-value", format!("x-evenkeel.{path} must be a duration, such as `10s`"));
    }
    span
}

/// A duration that is longer than nothing.
pub(super) fn period(node: &Node, path: &str, report: &mut Report) -> Option<Duration> {
    let period = span(node, path, report)?;
    if period.is_zero() {
        report.error(node.span, "wrong-value", format!("x-evenkeel.{path} must be longer than nothing"));
        return None;
    }
    Some(period)
}

/// A whole number from `least` on.
pub(super) fn count(node: &Node, path: &str, least: u32, report: &mut Report) -> Option<u32> {
    let count = node.scalar().and_then(|text| text.parse().ok()).filter(|n| *n >= least);
    if count.is_none() {
        report.error(node.span, "wrong-value", format!("x-evenkeel.{path} must be a whole number from {least} on"));
    }
    count
}

/// A number within a range.
pub(super) fn number(node: &Node, path: &str, range: RangeInclusive<f64>, report: &mut Report) -> Option<f64> {
    let number = node.scalar().and_then(|text| text.parse().ok()).filter(|n| range.contains(n));
    if number.is_none() {
        let (least, most) = (range.start(), range.end());
        let range = if most.is_finite() { format!("from {least} to {most}") } else { format!("from {least} on") };
        report.error(node.span, "wrong-value", format!("x-evenkeel.{path} must be a number {range}"));
    }
    number
}

/// A list of names, each with its place.
pub(super) fn names<'n>(node: &'n Node, path: &str, report: &mut Report) -> Vec<(String, &'n Node)> {
    let Some(list) = node.as_list() else {
        report.error(node.span, "wrong-type", format!("x-evenkeel.{path} must be a list of names"));
        return Vec::new();
    };
    list.iter().filter_map(|element| Some((element.as_text()?.to_owned(), element))).collect()
}
