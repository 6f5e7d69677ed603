//! `x-evenkeel`: what Compose has no word for.

use super::diagnostic::{Report, suggestion};
use super::document::Node;
use super::schema;
use crate::model::ProjectName;
use crate::model::project::ProjectExtension;
use crate::model::service::ServiceExtension;

/// What DESIGN names for later versions: accepted with a remark, so that a manifest can be written ahead.
const PROJECT_LATER: [&str; 1] = ["drift"];
const SERVICE_LATER: [&str; 5] = ["supervise", "health", "recovery", "throttle", "rollout"];

/// Reads the top-level `x-evenkeel`.
pub(super) fn project(node: Option<&Node>, report: &mut Report) -> ProjectExtension {
    let mut extension = ProjectExtension::default();
    for (key, value) in keys(node, &["suspend", "depends_on", "prune"], &PROJECT_LATER, report) {
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
            _ => {
                for (key, value) in keys(Some(value), &["orphans"], &["volumes"], report) {
                    if key == "orphans" {
                        extension.prune_orphans = Some(truth(value, "x-evenkeel.prune.orphans", report));
                    }
                }
            }
        }
    }
    extension
}

/// Reads the `x-evenkeel` of a service.
pub(super) fn service(node: Option<&Node>, report: &mut Report) -> ServiceExtension {
    let mut extension = ServiceExtension::default();
    for (key, value) in keys(node, &["type", "critical", "suspend"], &SERVICE_LATER, report) {
        match key {
            "type" => match value.as_text() {
                Some(text) => extension.kind = Some(text.to_owned()),
                None => {
                    report.error(value.span, "wrong-type", "x-evenkeel.type must be text");
                }
            },
            "critical" => extension.critical = truth(value, "x-evenkeel.critical", report),
            _ => extension.suspend = truth(value, "x-evenkeel.suspend", report),
        }
    }
    extension
}

fn truth(node: &Node, path: &str, report: &mut Report) -> bool {
    schema::to_bool(node).unwrap_or_else(|| {
        report.error(node.span, "wrong-type", format!("{path} must be true or false, this is {}", node.kind()));
        false
    })
}

/// The entries with known keys; the others are reported.
fn keys<'n>(node: Option<&'n Node>, known: &[&str], later: &[&str], report: &mut Report) -> Vec<(&'n str, &'n Node)> {
    let Some(node) = node else { return Vec::new() };
    if node.as_map().is_none() && !node.is_null() {
        report.error(node.span, "wrong-type", format!("x-evenkeel must be a mapping, this is {}", node.kind()));
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
