//! `x-evenkeel.recovery` of a service.

use super::{keys, of, read};
use crate::manifest::diagnostic::{Report, suggestion};
use crate::manifest::document::Node;
use crate::model::service::{Backoff, Cascade, FailureKind, MountSource, Recovery, Strategy};
use crate::model::{Project, Service, ServiceName};

pub(super) const RECOVERY: [&str; 12] = [
    "strategy",
    "unhealthy",
    "crashed",
    "out_of_memory",
    "over_limit",
    "max_attempts",
    "window",
    "backoff",
    "breaker",
    "reset",
    "degraded",
    "cascade",
];
pub(super) const BACKOFF: [&str; 4] = ["initial", "factor", "max", "jitter"];
pub(super) const BREAKER: [&str; 1] = ["cool_down"];
pub(super) const RESET: [&str; 1] = ["volumes"];
pub(super) const DEGRADED: [&str; 1] = ["stop"];

pub(super) fn recovery(node: &Node, report: &mut Report) -> Recovery {
    let mut recovery = Recovery::default();
    for (key, value) in keys(Some(node), &RECOVERY, &[], report) {
        let path = format!("recovery.{key}");
        match key {
            "strategy" => recovery.strategy = strategy(value, &path, report),
            "max_attempts" => recovery.max_attempts = read::count(value, &path, 1, report),
            "window" => recovery.window = read::period(value, &path, report),
            "backoff" => recovery.backoff = backoff(value, report),
            "breaker" => {
                for (_, value) in keys(Some(value), &BREAKER, &[], report) {
                    recovery.cool_down = read::period(value, "recovery.breaker.cool_down", report);
                }
            }
            "reset" => {
                for (_, value) in keys(Some(value), &RESET, &[], report) {
                    let names = read::names(value, "recovery.reset.volumes", report);
                    recovery.reset_volumes = names.into_iter().map(|(name, _)| name).collect();
                }
            }
            "degraded" => {
                for (_, value) in keys(Some(value), &DEGRADED, &[], report) {
                    let names = read::names(value, "recovery.degraded.stop", report);
                    recovery.give_up = names.into_iter().map(|(name, _)| ServiceName::trusted(name)).collect();
                }
            }
            "cascade" => {
                let words = [("hold", Cascade::Hold), ("stop", Cascade::Stop), ("ignore", Cascade::Ignore)];
                recovery.cascade = read::word(value, &path, words.into_iter(), report).unwrap_or_default();
            }
            _ => {
                let strategy = strategy(value, &path, report);
                if let Some(kind) = FailureKind::ALL.into_iter().find(|kind| kind.as_str() == key) {
                    recovery.by_kind[kind as usize] = strategy;
                }
            }
        }
    }
    recovery
}

fn strategy(node: &Node, path: &str, report: &mut Report) -> Option<Strategy> {
    read::word(node, path, Strategy::ALL.into_iter().map(|s| (s.as_str(), s)), report)
}

fn backoff(node: &Node, report: &mut Report) -> Backoff {
    let mut backoff = Backoff::default();
    for (key, value) in keys(Some(node), &BACKOFF, &[], report) {
        let path = format!("recovery.backoff.{key}");
        match key {
            "initial" => backoff.initial = read::period(value, &path, report),
            "factor" => backoff.factor = read::number(value, &path, 1.0..=f64::INFINITY, report),
            "max" => backoff.max = read::period(value, &path, report),
            _ => backoff.jitter = read::number(value, &path, 0.0..=1.0, report),
        }
    }
    if backoff.initial.zip(backoff.max).is_some_and(|(initial, max)| max < initial) {
        report.error(node.span, "conflict", "x-evenkeel.recovery.backoff.max is shorter than `initial`");
    }
    backoff
}

/// What a recovery names must be there, and must be the service's own to empty.
pub(in crate::manifest) fn check(service: &Node, own: &Service, project: &Project, report: &mut Report) {
    let Some(node) = of(service).and_then(|node| node.get("recovery")) else { return };
    let listed = |section: &str, key: &str| node.get(section).and_then(|n| n.get(key)).and_then(Node::as_list);
    for element in listed("reset", "volumes").into_iter().flatten() {
        let Some(key) = element.as_text() else { continue };
        if let Some((message, help)) = not_to_be_emptied(key, own, project) {
            report.error(element.span, "undefined-volume", message).help = help;
        }
    }
    for element in listed("degraded", "stop").into_iter().flatten() {
        let Some(name) = element.as_text() else { continue };
        if name == own.name.as_str() {
            let message = format!("`{name}` cannot be given up for itself");
            report.error(element.span, "conflict", message);
        } else if !project.services.contains_key(name) {
            let message = format!("x-evenkeel.recovery.degraded.stop names `{name}`, and there is no such service");
            report.error(element.span, "undefined-service", message).help =
                suggestion(name, project.services.keys().map(ServiceName::as_str));
        }
    }
    let asks = |strategy| {
        let asked = [own.extension.recovery.strategy].into_iter().chain(own.extension.recovery.by_kind);
        asked.flatten().any(|asked| asked == strategy)
    };
    if asks(Strategy::DegradedMode) && own.extension.recovery.give_up.is_empty() {
        let message = "`degraded_mode` without `degraded: {stop: [SERVICE]}` gives nothing up: it is a restart";
        report.warning(node.span, "conflict", message);
    }
    let resets = asks(Strategy::RestartWithReset);
    if resets && own.extension.recovery.reset_volumes.is_empty() {
        let message = "`restart_with_reset` without `reset: {volumes: [NAME]}` empties the container alone";
        report.warning(node.span, "conflict", message);
    }
    if !resets && let Some(reset) = node.get("reset") {
        let message = "`reset` says nothing without `strategy: restart_with_reset`";
        report.warning(reset.span, "conflict", message);
    }
}

fn not_to_be_emptied(key: &str, own: &Service, project: &Project) -> Option<(String, Option<String>)> {
    let mounts = |service: &Service| {
        service.mounts.iter().any(|m| matches!(&m.source, MountSource::Volume { key: used, .. } if used == key))
    };
    let Some(volume) = project.volumes.get(key).filter(|_| mounts(own)) else {
        let mounted = own.mounts.iter().filter_map(|m| match &m.source {
            MountSource::Volume { key, .. } => Some(key.as_str()),
            _ => None,
        });
        return Some((format!("`{}` mounts no volume `{key}`", own.name), suggestion(key, mounted)));
    };
    if volume.external {
        return Some((format!("the volume `{key}` is external, so it is never emptied"), None));
    }
    let other = project.services.values().find(|other| other.name != own.name && mounts(other))?;
    let message = format!("the volume `{key}` is also mounted by `{}`, so it is not emptied", other.name);
    Some((message, Some("give the service a volume of its own for what may be lost".to_owned())))
}
