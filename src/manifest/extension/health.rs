//! `x-evenkeel.health` of a service.

use super::{keys, read};
use crate::manifest::diagnostic::Report;
use crate::manifest::document::Node;
use crate::manifest::units;
use crate::model::service::{HttpProbe, Probe, ProbeKind};

pub(super) const HEALTH: [&str; 11] = [
    "http",
    "tcp",
    "grpc",
    "exec",
    "interval",
    "timeout",
    "retries",
    "successes",
    "start_period",
    "expected_latency",
    "alert_latency",
];
pub(super) const HTTP: [&str; 8] = ["port", "path", "scheme", "host", "verify", "status", "header", "body"];
pub(super) const TCP: [&str; 1] = ["port"];
pub(super) const GRPC: [&str; 2] = ["port", "service"];

pub(super) fn health(node: &Node, report: &mut Report) -> Option<Probe> {
    let mut kinds: Vec<(&str, Option<ProbeKind>)> = Vec::new();
    let mut probe = Probe {
        kind: ProbeKind::Exec(Vec::new()),
        interval: None,
        timeout: None,
        retries: None,
        successes: None,
        start_period: None,
        expected_latency: None,
        alert_latency: None,
    };
    for (key, value) in keys(Some(node), &HEALTH, &[], report) {
        let path = format!("health.{key}");
        match key {
            "http" => kinds.push((key, http(value, report))),
            "tcp" => kinds.push((key, port(value, &TCP, &path, report).map(|port| ProbeKind::Tcp { port }))),
            "grpc" => kinds.push((key, grpc(value, report))),
            "exec" => kinds.push((key, exec(value, report))),
            "interval" => probe.interval = read::period(value, &path, report),
            "timeout" => probe.timeout = read::period(value, &path, report),
            "retries" => probe.retries = read::count(value, &path, 1, report),
            "successes" => probe.successes = read::count(value, &path, 1, report),
            "start_period" => probe.start_period = read::span(value, &path, report),
            "expected_latency" => probe.expected_latency = read::span(value, &path, report),
            _ => probe.alert_latency = read::span(value, &path, report),
        }
    }
    match kinds.as_slice() {
        [] => {
            let message = "x-evenkeel.health says nothing of what to ask: `http`, `tcp`, `grpc` or `exec`";
            report.error(node.span, "missing-key", message);
            None
        }
        [(_, kind)] => Some(Probe { kind: kind.clone()?, ..probe }),
        [(first, _), (second, _), ..] => {
            let message = format!("x-evenkeel.health has `{first}` and `{second}`: only one of them can be there");
            report.error(node.span, "conflict", message);
            None
        }
    }
}

fn number(node: &Node, path: &str, report: &mut Report) -> Option<u16> {
    let port = node.scalar().and_then(|text| text.parse().ok()).filter(|port| *port > 0);
    if port.is_none() {
        report.error(node.span, "bad-port", format!("x-evenkeel.{path} must be a port, 1 to 65535"));
    }
    port
}

fn port(node: &Node, known: &[&str], path: &str, report: &mut Report) -> Option<u16> {
    let found = keys(Some(node), known, &[], report).into_iter().find(|(key, _)| *key == "port");
    let Some((_, value)) = found else {
        report.error(node.span, "missing-key", format!("x-evenkeel.{path} must name a `port`"));
        return None;
    };
    number(value, &format!("{path}.port"), report)
}

fn grpc(node: &Node, report: &mut Report) -> Option<ProbeKind> {
    let service = node.get("service").and_then(Node::scalar).unwrap_or_default();
    port(node, &GRPC, "health.grpc", report).map(|port| ProbeKind::Grpc { port, service })
}

fn exec(node: &Node, report: &mut Report) -> Option<ProbeKind> {
    let command = match (node.as_list(), node.as_text()) {
        (Some(list), _) => list.iter().filter_map(Node::scalar).collect(),
        (None, Some(line)) => vec!["/bin/sh".to_owned(), "-c".to_owned(), line.to_owned()],
        (None, None) => Vec::new(),
    };
    if command.first().is_none_or(String::is_empty) {
        let message = "x-evenkeel.health.exec must be a command: a list, or a line for the shell";
        report.error(node.span, "wrong-type", message);
        return None;
    }
    Some(ProbeKind::Exec(command))
}

fn http(node: &Node, report: &mut Report) -> Option<ProbeKind> {
    let mut probe = HttpProbe {
        port: port(node, &HTTP, "health.http", report)?,
        path: "/".to_owned(),
        tls: false,
        verify: true,
        host: None,
        status: Vec::new(),
        header: None,
        body: None,
    };
    for (key, value) in node.as_map().into_iter().flatten() {
        let (value, path) = (&value.node, format!("health.http.{key}"));
        match key.as_str() {
            "path" => match value.scalar() {
                Some(text) if text.starts_with('/') => probe.path = text,
                _ => {
                    report.error(value.span, "wrong-value", format!("x-evenkeel.{path} must begin with `/`"));
                }
            },
            "scheme" => {
                let words = [("http", false), ("https", true)];
                probe.tls = read::word(value, &path, words.into_iter(), report).unwrap_or_default();
            }
            "host" => probe.host = value.scalar(),
            "verify" => probe.verify = super::truth(value, &format!("x-evenkeel.{path}"), report),
            "status" => probe.status = status(value, &path, report),
            "header" => {
                probe.header = value.scalar().and_then(|text| {
                    let (name, value) = text.split_once(':')?;
                    Some((name.trim().to_lowercase(), value.trim().to_owned()))
                });
                if probe.header.is_none() {
                    report.error(value.span, "wrong-value", format!("x-evenkeel.{path} must be `NAME: VALUE`"));
                }
            }
            "body" => probe.body = value.scalar(),
            _ => {}
        }
    }
    Some(ProbeKind::Http(probe))
}

/// `200`, `"200-299"`, or a list of these.
fn status(node: &Node, path: &str, report: &mut Report) -> Vec<(u16, u16)> {
    let one = |node: &Node| {
        let text = node.scalar()?;
        let (from, to) = text.split_once('-').unwrap_or((&text, &text));
        let (from, to) = (from.trim().parse().ok()?, to.trim().parse().ok()?);
        (100 <= from && from <= to && to < 600).then_some((from, to))
    };
    let all = node.as_list().map_or_else(|| vec![node], |list| list.iter().collect());
    all.into_iter()
        .filter_map(|node| {
            let found = one(node);
            if found.is_none() {
                let message = format!("x-evenkeel.{path} must be statuses, such as 200 or 200-299");
                report.error(node.span, "wrong-value", message);
            }
            found
        })
        .collect()
}

/// Durations that contradict each other.
pub(super) fn check(node: &Node, report: &mut Report) {
    let span = |key: &str| node.get(key).and_then(Node::scalar).as_deref().and_then(units::duration);
    if let (Some(expected), Some(alert), Some(at)) =
        (span("expected_latency"), span("alert_latency"), node.get("alert_latency"))
        && alert < expected
    {
        let message = "x-evenkeel.health.alert_latency is shorter than `expected_latency`";
        report.error(at.span, "conflict", message);
    }
}
