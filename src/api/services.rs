//! Services across all projects.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{ApiError, ApiState};
use crate::control::operations::{OperationError, resolve};
use crate::control::publish::{ServiceView, Snapshot};
use crate::model::{ProjectName, ServiceName};

#[derive(Deserialize)]
pub(super) struct Filter {
    /// Only this project's.
    project: Option<String>,
    /// Only those in this state.
    state: Option<String>,
}

/// A service, with its project and its name.
type Found<'s> = (&'s ProjectName, &'s ServiceName, &'s ServiceView);

fn document(project: &ProjectName, name: &ServiceName, service: &ServiceView) -> Value {
    let mut value = serde_json::to_value(service).unwrap_or_default();
    if let Value::Object(map) = &mut value {
        map.insert("project".into(), project.as_str().into());
        map.insert("name".into(), name.as_str().into());
    }
    value
}

fn all(snapshot: &Snapshot) -> impl Iterator<Item = Found<'_>> {
    snapshot.projects.iter().flat_map(|(project, p)| p.services.iter().map(move |(name, s)| (project, name, s)))
}

pub(super) async fn list(
    State(state): State<ApiState>,
    filter: Result<Query<Filter>, QueryRejection>,
) -> Result<Json<Value>, ApiError> {
    let Query(filter) = filter?;
    let snapshot = state.control.snapshot();
    let services: Vec<Value> = all(&snapshot)
        .filter(|(project, _, s)| {
            filter.project.as_deref().is_none_or(|p| p == project.as_str())
                && filter.state.as_deref().is_none_or(|wanted| s.state.as_str() == wanted)
        })
        .map(|(project, name, s)| document(project, name, s))
        .collect();
    Ok(Json(json!({"services": services, "engine": if snapshot.engine.up { "up" } else { "down" }})))
}

pub(super) async fn one(
    State(state): State<ApiState>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, ApiError> {
    let Path(id) = id?;
    let snapshot = state.control.snapshot();
    let (project, name, service) = find(&snapshot, &id)?;
    state.control.look_at(project, name);
    let mut document = document(project, name, service);
    let containers = document.get_mut("containers").and_then(Value::as_array_mut);
    for (container, value) in service.containers.iter().zip(containers.into_iter().flatten()) {
        if let Some(usage) = state.control.usage().of(&container.id) {
            value["usage"] = serde_json::to_value(usage).unwrap_or_default();
        }
    }
    Ok(Json(document))
}

/// How well a service is, with what its probes found just now.
pub(super) async fn health(
    State(state): State<ApiState>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, ApiError> {
    let Path(id) = id?;
    let snapshot = state.control.snapshot();
    let (_, _, service) = find(&snapshot, &id)?;
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
fn find<'s>(snapshot: &'s Snapshot, id: &str) -> Result<Found<'s>, ApiError> {
    let names = all(snapshot).map(|(project, service, _)| (project, service));
    let wanted = resolve(id, names).map_err(|error| match error {
        OperationError::NotFound { .. } => ApiError::not_found(format!("there is no service `{id}`")),
        other => ApiError::bad_request(other.to_string()),
    })?;
    let found = all(snapshot).find(|(project, service, _)| **project == wanted.project && **service == wanted.service);
    found.ok_or_else(|| ApiError::not_found(format!("there is no service `{id}`")))
}
