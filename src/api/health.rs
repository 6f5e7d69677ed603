//! The controller's own health.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::ApiState;
use crate::control::publish::Snapshot;
use crate::model::Timestamp;
use crate::model::health::HealthClass;
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

/// How well everything is that evenkeel keeps, in one word and service by service.
pub(super) async fn aggregate(State(state): State<ApiState>) -> Json<Value> {
    let snapshot = state.control.snapshot();
    let services = || snapshot.projects.values().flat_map(|p| p.services.values());
    let count = |class: HealthClass| services().filter(|s| s.class == class).count();
    let failing: Vec<&str> =
        services().filter(|s| s.critical && s.class == HealthClass::Unhealthy).map(|s| s.id.as_str()).collect();
    let troubled = services().filter(|s| matches!(s.class, HealthClass::Degraded | HealthClass::Unhealthy));
    let mut reasons: Vec<String> =
        troubled.map(|s| format!("{} is {}: {}", s.id, s.class.as_str(), s.reasons.join(", "))).collect();
    reasons.extend(issues(&snapshot));
    let status = match (failing.is_empty(), reasons.is_empty()) {
        (false, _) => "Critical",
        (true, false) => "Degraded",
        (true, true) => "Healthy",
    };
    let mapped: BTreeMap<&str, Value> = services()
        .map(|s| (s.id.as_str(), json!({"status": s.class, "critical": s.critical, "reasons": s.reasons})))
        .collect();
    Json(json!({
        "overallStatus": status,
        "reasons": reasons,
        "criticalServices": failing,
        "totalServices": mapped.len(),
        "healthyServices": count(HealthClass::Healthy),
        "degradedServices": count(HealthClass::Degraded),
        "unhealthyServices": count(HealthClass::Unhealthy),
        "unknownServices": count(HealthClass::Unknown),
        "services": mapped,
        "timestamp": Timestamp::now(),
    }))
}

/// `GET /livez`: whoever gets an answer knows that the process runs, whatever it manages to do.
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
