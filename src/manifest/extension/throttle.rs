//! `x-evenkeel.throttle` of a service.

use std::time::Duration;

use super::{keys, read};
use crate::manifest::diagnostic::Report;
use crate::manifest::document::Node;
use crate::model::service::{CpuThrottle, MemoryThrottle, Throttle};

pub(super) const THROTTLE: [&str; 3] = ["priority", "cpu", "memory"];
pub(super) const CPU: [&str; 4] = ["above", "for", "to", "release"];
pub(super) const MEMORY: [&str; 3] = ["above", "for", "action"];

const LASTING: Duration = Duration::from_secs(30);

pub(super) fn throttle(node: &Node, report: &mut Report) -> Throttle {
    let mut throttle = Throttle::default();
    for (key, value) in keys(Some(node), &THROTTLE, &[], report) {
        match key {
            "cpu" => throttle.cpu = Some(cpu(value, report)),
            "memory" => throttle.memory = Some(memory(value, report)),
            _ => throttle.priority = read::count(value, "throttle.priority", 0, report).unwrap_or(throttle.priority),
        }
    }
    throttle
}

fn cpu(node: &Node, report: &mut Report) -> CpuThrottle {
    let mut cpu = CpuThrottle { above: 0.9, lasting: LASTING, to: 0.5, release: 0.6 };
    for (key, value) in keys(Some(node), &CPU, &[], report) {
        let path = format!("throttle.cpu.{key}");
        match key {
            "above" => cpu.above = part(value, &path, report).unwrap_or(cpu.above),
            "for" => cpu.lasting = read::span(value, &path, report).unwrap_or(cpu.lasting),
            "to" => cpu.to = part(value, &path, report).unwrap_or(cpu.to),
            _ => cpu.release = part(value, &path, report).unwrap_or(cpu.release),
        }
    }
    if cpu.release >= 1.0 {
        let message = "x-evenkeel.throttle.cpu.release must be below 100%, or it would be given back at once";
        report.error(node.span, "conflict", message);
    }
    if cpu.to > cpu.above {
        let message = "x-evenkeel.throttle.cpu.to is more than `above`, so nothing would be lowered";
        report.error(node.span, "conflict", message);
    }
    cpu
}

fn memory(node: &Node, report: &mut Report) -> MemoryThrottle {
    let mut memory = MemoryThrottle { above: 0.9, lasting: LASTING, restart: false };
    for (key, value) in keys(Some(node), &MEMORY, &[], report) {
        let path = format!("throttle.memory.{key}");
        match key {
            "above" => memory.above = part(value, &path, report).unwrap_or(memory.above),
            "for" => memory.lasting = read::span(value, &path, report).unwrap_or(memory.lasting),
            _ => {
                let words = [("alert", false), ("restart", true)];
                memory.restart = read::word(value, &path, words.into_iter(), report).unwrap_or_default();
            }
        }
    }
    memory
}

/// `90%`, as a part of one.
fn part(node: &Node, path: &str, report: &mut Report) -> Option<f64> {
    let text = node.scalar().unwrap_or_default();
    let percent = text.strip_suffix('%').and_then(|n| n.trim().parse::<f64>().ok());
    let part = percent.filter(|n| (1.0..=100.0).contains(n)).map(|n| n / 100.0);
    if part.is_none() {
        report.error(node.span, "wrong-value", format!("x-evenkeel.{path} must be a percentage, such as `90%`"));
    }
    part
}
