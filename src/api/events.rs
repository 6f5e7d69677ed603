//! `GET /api/events`: what happened lately.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{ApiError, ApiState};

#[derive(Deserialize)]
pub(super) struct Filter {
    /// Only this project's.
    project: Option<String>,
    /// Only this service's, as `PROJECT.SERVICE`.
    service: Option<String>,
    /// Only of this type.
    event_type: Option<String>,
    /// Only with a higher id.
    after: Option<u64>,
    /// At most so many, the latest.
    limit: Option<usize>,
}

pub(super) async fn list(
    State(state): State<ApiState>,
    filter: Result<Query<Filter>, QueryRejection>,
) -> Result<Json<Value>, ApiError> {
    let Query(filter) = filter?;
    let snapshot = state.control.snapshot();
    let same = |wanted: &Option<String>, value: &Option<String>| wanted.is_none() || wanted == value;
    let mut events: Vec<_> = snapshot
        .events
        .iter()
        .filter(|e| same(&filter.project, &e.project) && same(&filter.service, &e.service_id))
        .filter(|e| filter.after.is_none_or(|after| e.id > after))
        .filter(|e| filter.event_type.as_deref().is_none_or(|wanted| format!("{:?}", e.event_type) == wanted))
        .collect();
    let skip = events.len().saturating_sub(filter.limit.unwrap_or(100));
    let events: Vec<_> = events.drain(skip..).map(|e| &**e).collect();
    Ok(Json(json!({"events": events})))
}
