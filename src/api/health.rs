//! The controller's own health.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::ApiState;
use crate::control::publish::Snapshot;
use crate::model::Timestamp;
use crate::model::state::ProjectState;

/// What is wrong at present.
fn issues(snapshot: &Snapshot) -> Vec<String> {
    let mut issues = snapshot.issues.clone();
    if !snapshot.engine.up {
        issues.push(snapshot.engine.error.clone().unwrap_or_else(|| "the Docker Engine was not reached yet".into()));
    }
    issues.extend(snapshot.guard.iter().map(|g| format!("guard: {g}")));
    for (name, project) in &snapshot.projects {
        if !project.manifest_valid {
            issues.push(format!("the manifest of {name} does not load"));
        } else if project.state == ProjectState::Degraded {
            issues.push(format!("{name} is degraded"));
        }
    }
    issues
}

pub(super) async fn health(State(state): State<ApiState>) -> (StatusCode, Json<Value>) {
    let snapshot = state.control.snapshot();
    let issues = issues(&snapshot);
    let (status, code) = match (snapshot.engine.up, issues.is_empty()) {
        (false, _) => ("down", StatusCode::SERVICE_UNAVAILABLE),
        (true, false) => ("degraded", StatusCode::OK),
        (true, true) => ("healthy", StatusCode::OK),
    };
    let body = json!({
        "status": status,
        "service": "evenkeel",
        "timestamp": Timestamp::now(),
        "version": env!("CARGO_PKG_VERSION"),
        "engine": if snapshot.engine.up { "up" } else { "down" },
        "engine_version": snapshot.engine.version,
        "active_issues": issues,
    });
    (code, Json(body))
}

/// The process answers.
pub(super) async fn livez() -> &'static str {
    "ok\n"
}

/// The engine answers and the manifests were read.
pub(super) async fn readyz(State(state): State<ApiState>) -> (StatusCode, &'static str) {
    let snapshot = state.control.snapshot();
    match (snapshot.engine.up, snapshot.manifests_read) {
        (true, true) => (StatusCode::OK, "ok\n"),
        (false, _) => (StatusCode::SERVICE_UNAVAILABLE, "the Docker Engine does not answer\n"),
        (true, false) => (StatusCode::SERVICE_UNAVAILABLE, "the manifests were not read yet\n"),
    }
}
