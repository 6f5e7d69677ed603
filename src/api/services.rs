//! Services across all projects.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{ApiError, ApiState};
use crate::control::publish::{ServiceView, Snapshot};

#[derive(Deserialize)]
pub(super) struct Filter {
    /// Only this project's.
    project: Option<String>,
    /// Only those in this state.
    state: Option<String>,
}

fn document(project: &str, service: &ServiceView) -> Value {
    let mut value = serde_json::to_value(service).unwrap_or_default();
    if let Value::Object(map) = &mut value {
        map.insert("project".into(), project.into());
        map.insert("name".into(), service.id.split_once('.').map_or("", |(_, name)| name).into());
    }
    value
}

fn all(snapshot: &Snapshot) -> impl Iterator<Item = (&str, &ServiceView)> {
    snapshot.projects.iter().flat_map(|(name, p)| p.services.values().map(|s| (name.as_str(), s)))
}

pub(super) async fn list(
    State(state): State<ApiState>,
    filter: Result<Query<Filter>, QueryRejection>,
) -> Result<Json<Value>, ApiError> {
    let Query(filter) = filter?;
    let snapshot = state.control.snapshot();
    let services: Vec<Value> = all(&snapshot)
        .filter(|(project, s)| {
            filter.project.as_deref().is_none_or(|p| p == *project)
                && filter.state.as_deref().is_none_or(|wanted| s.state.as_str() == wanted)
        })
        .map(|(project, s)| document(project, s))
        .collect();
    Ok(Json(json!({"services": services, "engine": if snapshot.engine.up { "up" } else { "down" }})))
}

pub(super) async fn one(
    State(state): State<ApiState>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, ApiError> {
    let Path(id) = id?;
    let snapshot = state.control.snapshot();
    let (project, service) = find(&snapshot, &id)?;
    Ok(Json(document(project, service)))
}

/// How well a service is, with what its probes found just now.
pub(super) async fn health(
    State(state): State<ApiState>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, ApiError> {
    let Path(id) = id?;
    let snapshot = state.control.snapshot();
    let (_, service) = find(&snapshot, &id)?;
    let containers = service.containers.iter().map(|container| {
        let probed = state.control.probed().of(&container.id);
        json!({"name": container.name, "state": container.state, "health": container.health, "probed": probed})
    });
    Ok(Json(json!({
        "id": service.id,
        "class": service.class,
        "reasons": service.reasons,
        "critical": service.critical,
        "breaker": service.breaker,
        "restarts": service.restarts,
        "probe": service.probe,
        "containers": containers.collect::<Vec<_>>(),
    })))
}

/// A service by its id, or by its bare name where only one has that.
fn find<'s>(snapshot: &'s Snapshot, id: &str) -> Result<(&'s str, &'s ServiceView), ApiError> {
    if let Some(found) = all(snapshot).find(|(_, s)| s.id == id) {
        return Ok(found);
    }
    let named: Vec<_> = all(snapshot).filter(|(_, s)| s.id.split_once('.').is_some_and(|(_, n)| n == id)).collect();
    match named.as_slice() {
        [found] => Ok(*found),
        [] => Err(ApiError::not_found(format!("there is no service `{id}`"))),
        several => {
            let ids: Vec<_> = several.iter().map(|(_, s)| s.id.as_str()).collect();
            Err(ApiError::bad_request(format!("`{id}` names several services: {}", ids.join(", "))))
        }
    }
}
