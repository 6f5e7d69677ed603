//! Projects: how they are, and what would be done.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use serde_json::{Value, json};

use super::{ApiError, ApiState};
use crate::control::Operation;

pub(super) async fn list(State(state): State<ApiState>) -> Json<Value> {
    let snapshot = state.control.snapshot();
    let projects: Vec<_> = snapshot.projects.values().map(|p| &**p).collect();
    Json(json!({
        "projects": projects,
        "engine": snapshot.engine,
        "root": snapshot.root,
        "commit": snapshot.commit,
        "guard": snapshot.guard,
    }))
}

pub(super) async fn one(
    State(state): State<ApiState>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, ApiError> {
    let Path(name) = name?;
    let snapshot = state.control.snapshot();
    let project = snapshot.projects.get(name.as_str());
    let project = project.ok_or_else(|| ApiError::not_found(format!("there is no project `{name}`")))?;
    serde_json::to_value(&**project).map(Json).map_err(|e| ApiError::unavailable(e.to_string()))
}

pub(super) async fn plan(
    State(state): State<ApiState>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, ApiError> {
    let Path(name) = name?;
    if !state.control.snapshot().projects.contains_key(name.as_str()) {
        return Err(ApiError::not_found(format!("there is no project `{name}`")));
    }
    let busy = |_| ApiError::unavailable("many wait for a plan already; try again");
    let _waiting = state.bounds.plans_waiting.try_acquire().map_err(busy)?;
    let turn = Arc::clone(&state.bounds.plans).acquire_owned().await;
    // Made to its end though nobody should wait for it any more: until then no other one takes its place.
    let plan = tokio::spawn(async move {
        let _turn = turn;
        state.control.ask(Operation::Plan { project: name }).await
    });
    let plan = plan.await.map_err(|e| ApiError::unavailable(e.to_string()))?;
    plan.map(Json).map_err(|e| ApiError::unavailable(e.to_string()))
}
