//! The read-only HTTP API over what control publishes.

mod drift;
mod error;
mod events;
mod health;
mod projects;
mod serve;
mod services;

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::header;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

pub use error::ApiError;
pub use serve::{Limits, serve};

use self::serve::Bounds;
use crate::control::Handle;
use crate::telemetry::Metrics;

/// What the routes work with.
#[derive(Clone)]
pub struct ApiState {
    control: Handle,
    metrics: Arc<Metrics>,
    bounds: Arc<Bounds>,
}

impl ApiState {
    /// With the way to control, the metrics, and what clients may take.
    pub fn new(control: Handle, metrics: Arc<Metrics>, limits: Limits) -> Self {
        Self { control, metrics, bounds: Arc::new(Bounds::new(limits)) }
    }
}

/// All routes, each within the limits but those that say whether the process lives.
pub fn router(state: ApiState) -> Router {
    let bounds = Arc::clone(&state.bounds);
    let bounded = Router::new()
        .route("/health", get(health::health))
        .route("/health/aggregate", get(health::aggregate))
        .route("/api/projects", get(projects::list))
        .route("/api/projects/{project}", get(projects::one))
        .route("/api/projects/{project}/plan", get(projects::plan))
        .route("/api/services", get(services::list))
        .route("/api/services/{id}", get(services::one))
        .route("/api/services/{id}/health", get(services::health))
        .route("/api/drift", get(drift::list))
        .route("/api/events", get(events::list))
        .route("/metrics", get(metrics))
        .fallback(error::no_route)
        .method_not_allowed_fallback(error::no_method)
        .layer(DefaultBodyLimit::max(bounds.limits.body_size))
        .layer(middleware::from_fn_with_state(bounds, serve::bounded));
    Router::new()
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz))
        .merge(bounded)
        .method_not_allowed_fallback(error::no_method)
        .layer(middleware::from_fn_with_state(state.clone(), count))
        .with_state(state)
}

async fn metrics(State(state): State<ApiState>) -> Response {
    let text = state.metrics.render(&state.control.snapshot(), state.control.usage());
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

/// Counts requests by route template, never by raw path.
async fn count(State(state): State<ApiState>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map_or("-", MatchedPath::as_str).to_owned();
    // A method can be any word: only known ones become labels.
    let method = match request.method().as_str() {
        known @ ("GET" | "HEAD" | "POST" | "PUT" | "DELETE" | "PATCH" | "OPTIONS") => known.to_owned(),
        _ => "other".to_owned(),
    };
    let began = Instant::now();
    let response = next.run(request).await;
    state.metrics.request(&method, &route, response.status().as_u16(), began.elapsed());
    response
}
