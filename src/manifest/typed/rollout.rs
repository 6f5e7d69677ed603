//! `deploy.update_config` and `deploy.rollback_config`.

use super::read::{count, duration, real, text};
use crate::manifest::diagnostic::Report;
use crate::manifest::document::Node;
use crate::model::Service;
use crate::model::service::{FailureAction, Order, UpdateConfig};

pub(super) fn config(node: &Node, report: &mut Report) -> UpdateConfig {
    let action = text(node, "failure_action");
    let known = action.as_deref().and_then(FailureAction::parse);
    // Compose takes any word here, so it is no error.
    if let (Some(word), None, Some(at)) = (&action, known, node.get("failure_action")) {
        let message = format!("`{word}` is no failure action, so it counts as not written");
        report.warning(at.span, "wrong-value", message).help = Some("use continue, pause or rollback".into());
    }
    UpdateConfig {
        parallelism: count(node, "parallelism"),
        delay: duration(node, "delay"),
        failure_action: known,
        monitor: duration(node, "monitor"),
        max_failure_ratio: real(node, "max_failure_ratio").unwrap_or(0.0),
        order: match text(node, "order").as_deref() {
            Some("start-first") => Some(Order::StartFirst),
            Some("stop-first") => Some(Order::StopFirst),
            _ => None,
        },
    }
}

/// Two containers of one replica that run at the same time must share nothing.
pub(super) fn check(node: &Node, service: &Service, report: &mut Report) {
    for key in ["update_config", "rollback_config"] {
        let order = node.get("deploy").and_then(|d| d.get(key)).and_then(|c| c.get("order"));
        let Some(order) = order.filter(|o| o.as_text() == Some("start-first")) else { continue };
        if let Some(shared) = service.shared_by_twins() {
            let message =
                format!("start-first is refused, as two containers of `{}` would share {shared}", service.name);
            report.warning(order.span, "start-first", message).help =
                Some("the old container is stopped first, as with `order: stop-first`".into());
        }
    }
}
