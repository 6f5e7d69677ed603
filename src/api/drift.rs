//! Fields that are not what the manifests say.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{ApiError, ApiState};
use crate::control::publish::drift_json;

#[derive(Deserialize)]
pub(super) struct Filter {
    /// Only this project's.
    project: Option<String>,
    /// Only this service's, as `PROJECT.SERVICE`.
    service: Option<String>,
}

pub(super) async fn list(
    State(state): State<ApiState>,
    filter: Result<Query<Filter>, QueryRejection>,
) -> Result<Json<Value>, ApiError> {
    let Query(filter) = filter?;
    let snapshot = state.control.snapshot();
    let all = snapshot.projects.values().flat_map(|p| drift_json(&p.name, &p.drift));
    let same = |wanted: &Option<String>, value: &Value| wanted.is_none() || wanted.as_deref() == value.as_str();
    let drift: Vec<Value> =
        all.filter(|d| same(&filter.project, &d["project"]) && same(&filter.service, &d["service_id"])).collect();
    Ok(Json(json!({"drift": drift, "engine": if snapshot.engine.up { "up" } else { "down" }})))
}
