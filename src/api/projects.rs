//! Projects: how they are, and what would be done.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use serde_json::{Value, json};

use super::{ApiError, ApiState};
use crate::control::{Actor, Answer, Operation, OperationError, Request, Via};

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
    let _turn = state.bounds.plans.acquire().await;
    let actor = Actor { via: Via::Http, name: String::new() };
    match state.control.submit(Request::new(actor, Operation::Plan { project: name })).await {
        Ok(Answer::Plan { plan }) => Ok(Json(plan)),
        Ok(other) => Err(ApiError::unavailable(other.to_string())),
        Err(error @ OperationError::NotFound { .. }) => Err(ApiError::not_found(error.to_string())),
        Err(error) => Err(ApiError::unavailable(error.to_string())),
    }
}
