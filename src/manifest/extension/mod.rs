//! `x-evenkeel`: what Compose has no word for.

mod health;
mod read;
mod recovery;
mod throttle;

pub(super) use recovery::check as check_recovery;

use crate::manifest::attributes::EXTENSIONS;
use crate::manifest::diagnostic::{Report, suggestion};
use crate::manifest::document::{Node, Value};
use crate::manifest::read::cast;
use crate::model::ProjectName;
use crate::model::project::{DriftMode, ProjectExtension};
use crate::model::service::{FailureAction, Reload, Rollout, ServiceExtension, Supervise};

/// What is acted on.
const PROJECT: [&str; 4] = ["suspend", "depends_on", "prune", "drift"];
const PRUNE: [&str; 2] = ["orphans", "volumes"];
const SERVICE: [&str; 10] =
    ["type", "critical", "suspend", "drift", "supervise", "rollout", "reload", "recovery", "health", "throttle"];
/// Signals that programs take as news.
const RELOADS: [&str; 4] = ["SIGHUP", "SIGUSR1", "SIGUSR2", "SIGWINCH"];
const ROLLOUT: [&str; 2] = ["on_failure", "monitor"];

/// What DESIGN names for later versions: accepted with a remark, so that a manifest can be written ahead.
const PROJECT_LATER: [&str; 0] = [];
const PRUNE_LATER: [&str; 0] = [];
const SERVICE_LATER: [&str; 0] = [];

/// Reads the top-level `x-evenkeel`.
pub(super) fn project(tree: &Node, report: &mut Report) -> ProjectExtension {
    let node = of(tree);
    let mut extension = ProjectExtension::default();
    for (key, value) in keys(node, &PROJECT, &PROJECT_LATER, report) {
        match key {
            "suspend" => extension.suspend = truth(value, "x-evenkeel.suspend", report),
            "depends_on" => {
                let Some(list) = value.as_list() else {
                    report.error(value.span, "wrong-type", "x-evenkeel.depends_on must be a list of projects");
                    continue;
                };
                for element in list {
                    match ProjectName::parse(&element.scalar().unwrap_or_default()) {
                        Ok(name) => extension.depends_on.push(name),
                        Err(error) => {
                            report.error(element.span, "bad-name", error.to_string());
                        }
                    }
                }
            }
            "drift" => extension.drift = drift(value, report).unwrap_or_default(),
            _ => {
                for (key, value) in keys(Some(value), &PRUNE, &PRUNE_LATER, report) {
                    if key == "orphans" {
                        extension.prune_orphans = Some(truth(value, "x-evenkeel.prune.orphans", report));
                    } else {
                        extension.prune_volumes = truth(value, "x-evenkeel.prune.volumes", report);
                    }
                }
            }
        }
    }
    extension
}

/// Reads the `x-evenkeel` of a service.
pub(super) fn service(service: &Node, report: &mut Report) -> ServiceExtension {
    let node = of(service);
    let mut extension = ServiceExtension::default();
    for (key, value) in keys(node, &SERVICE, &SERVICE_LATER, report) {
        match key {
            "type" => match value.as_text() {
                Some(text) => extension.kind = Some(text.to_owned()),
                None => {
                    report.error(value.span, "wrong-type", "x-evenkeel.type must be text");
                }
            },
            "drift" => extension.drift = drift(value, report),
            "critical" => extension.critical = truth(value, "x-evenkeel.critical", report),
            "supervise" => extension.supervise = supervise(value, report),
            "rollout" => extension.rollout = rollout(value, report),
            "reload" => extension.reload = reload(value, report),
            "recovery" => extension.recovery = recovery::recovery(value, report),
            "throttle" => extension.throttle = throttle::throttle(value, report),
            "health" => {
                extension.probe = health::health(value, report);
                health::check(value, report);
            }
            _ => extension.suspend = truth(value, "x-evenkeel.suspend", report),
        }
    }
    extension
}

fn drift(node: &Node, report: &mut Report) -> Option<DriftMode> {
    match node.as_text() {
        Some("enforce") => Some(DriftMode::Enforce),
        Some("report") => Some(DriftMode::Report),
        _ => {
            report.error(node.span, "wrong-type", "x-evenkeel.drift must be `enforce` or `report`");
            None
        }
    }
}

fn supervise(node: &Node, report: &mut Report) -> Supervise {
    match node.as_text() {
        Some("controller") => return Supervise::Controller,
        Some("engine") => {}
        _ => {
            report.error(node.span, "wrong-type", "x-evenkeel.supervise must be `engine` or `controller`");
        }
    }
    Supervise::Engine
}

fn reload(node: &Node, report: &mut Report) -> Option<Reload> {
    match node.as_text() {
        Some("restart") => Some(Reload::Restart),
        Some(signal) if RELOADS.contains(&signal) => Some(Reload::Signal(signal.to_owned())),
        _ => {
            let message = format!("x-evenkeel.reload must be `restart`, or one of {}", RELOADS.join(", "));
            report.error(node.span, "wrong-value", message);
            None
        }
    }
}

fn rollout(node: &Node, report: &mut Report) -> Rollout {
    let mut rollout = Rollout::default();
    for (key, value) in keys(Some(node), &ROLLOUT, &[], report) {
        if key == "on_failure" {
            rollout.on_failure = value.as_text().and_then(FailureAction::parse);
            if rollout.on_failure.is_none() {
                let message = "x-evenkeel.rollout.on_failure must be `rollback`, `pause` or `continue`";
                report.error(value.span, "wrong-value", message);
            }
        } else {
            rollout.monitor = read::span(value, "rollout.monitor", report);
        }
    }
    rollout
}

/// The extension of a bound object.
pub(super) fn of(node: &Node) -> Option<&Node> {
    node.get(EXTENSIONS)?.get("x-evenkeel")
}

fn truth(node: &Node, path: &str, report: &mut Report) -> bool {
    let truth = match &node.value {
        Value::Bool(b) => Some(*b),
        Value::Text(text) => cast::truth(text),
        _ => None,
    };
    truth.unwrap_or_else(|| {
        report.error(node.span, "wrong-type", format!("{path} must be true or false, this is {}", node.kind()));
        false
    })
}

/// The entries with known keys; the others are reported.
fn keys<'n>(node: Option<&'n Node>, known: &[&str], later: &[&str], report: &mut Report) -> Vec<(&'n str, &'n Node)> {
    let Some(node) = node else { return Vec::new() };
    if node.as_map().is_none() && !node.is_null() {
        report.error(node.span, "wrong-type", format!("x-evenkeel must have a mapping here, this is {}", node.kind()));
    }
    let mut entries = Vec::new();
    for (key, entry) in node.as_map().into_iter().flatten() {
        if known.contains(&key.as_str()) {
            entries.push((key.as_str(), &entry.node));
        } else if later.contains(&key.as_str()) {
            report.warning(entry.key, "not-yet", format!("`{key}` of x-evenkeel is not acted on by this version"));
        } else {
            let help = suggestion(key, known.iter().chain(later).copied());
            report.error(entry.key, "unknown-key", format!("unknown key `{key}` of x-evenkeel")).help = help;
        }
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::attributes::{Layout, PROJECT_EXTENSION, SERVICE_EXTENSION, Shape, about};

    fn check(layout: &Layout, acted_on: &[&str], later: &[&str]) {
        let mut known: Vec<_> = acted_on.iter().chain(later).copied().collect();
        let mut described: Vec<_> = layout.fields.iter().map(|f| f.key).collect();
        known.sort_unstable();
        described.sort_unstable();
        assert_eq!(described, known, "{}", layout.name);
        for key in described {
            let words = about(layout.name, key).unwrap_or_default();
            assert_eq!(words.contains("Not acted on"), later.contains(&key), "{}.{key}: {words}", layout.name);
        }
    }

    #[test]
    fn the_tables_have_the_keys_that_are_read_and_say_which_are_not_acted_on() {
        check(&PROJECT_EXTENSION, &PROJECT, &PROJECT_LATER);
        check(&SERVICE_EXTENSION, &SERVICE, &SERVICE_LATER);
        let prune = PROJECT_EXTENSION.field("prune").map(|f| f.shape);
        let Some(Shape::OneOf([Shape::Object(prune), ..])) = prune else { panic!("prune is no mapping") };
        check(prune, &PRUNE, &PRUNE_LATER);
        let rollout = SERVICE_EXTENSION.field("rollout").map(|f| f.shape);
        let Some(Shape::Object(rollout)) = rollout else { panic!("rollout is no mapping") };
        check(rollout, &ROLLOUT, &[]);
        let recovery = SERVICE_EXTENSION.field("recovery").map(|f| f.shape);
        let Some(Shape::Object(recovery)) = recovery else { panic!("recovery is no mapping") };
        check(recovery, &recovery::RECOVERY, &[]);
        let throttle = SERVICE_EXTENSION.field("throttle").map(|f| f.shape);
        let Some(Shape::Object(throttle)) = throttle else { panic!("throttle is no mapping") };
        check(throttle, &throttle::THROTTLE, &[]);
        for (key, known) in [("cpu", &throttle::CPU[..]), ("memory", &throttle::MEMORY)] {
            let Some(Shape::Object(part)) = throttle.field(key).map(|f| f.shape) else { panic!("{key} is no mapping") };
            check(part, known, &[]);
        }
        let health = SERVICE_EXTENSION.field("health").map(|f| f.shape);
        let Some(Shape::Object(health)) = health else { panic!("health is no mapping") };
        check(health, &health::HEALTH, &[]);
        for (key, known) in [("http", &health::HTTP[..]), ("tcp", &health::TCP), ("grpc", &health::GRPC)] {
            let Some(Shape::Object(part)) = health.field(key).map(|f| f.shape) else { panic!("{key} is no mapping") };
            check(part, known, &[]);
        }
        let parts: [(&str, &[&str]); 4] = [
            ("backoff", &recovery::BACKOFF),
            ("breaker", &recovery::BREAKER),
            ("reset", &recovery::RESET),
            ("degraded", &recovery::DEGRADED),
        ];
        for (key, known) in parts {
            let Some(Shape::Object(part)) = recovery.field(key).map(|f| f.shape) else { panic!("{key} is no mapping") };
            check(part, known, &[]);
        }
    }
}
