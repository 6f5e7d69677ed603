//! The HTTP side: `/`, `/health`, `/control`.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::json;
use tokio::time::sleep;
use tracing::{info, warn};

use crate::control::Control;
use crate::dependencies::Board;
use crate::misbehaviour::{Misbehaviour, Settings};
use crate::report::{Metadata, Report, Status};
use crate::traffic::Traffic;

pub struct App {
    pub name: String,
    pub version: String,
    pub starts: Option<u64>,
    pub board: Board,
    pub traffic: Traffic,
    /// What `reset` goes back to.
    pub first: Settings,
    pub misbehaviour: Misbehaviour,
}

pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/", get(greet))
        .route("/health", get(health))
        .layer(middleware::from_fn_with_state(Arc::clone(&app), slow))
        // Outside of the slowness, so that it can always be taken back at once.
        .route("/control", post(control))
        .layer(middleware::from_fn_with_state(Arc::clone(&app), count))
        .with_state(app)
}

async fn slow(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let latency = app.misbehaviour.settings().latency_ms;
    if latency > 0 {
        sleep(Duration::from_millis(latency)).await;
    }
    next.run(request).await
}

async fn count(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    app.traffic.record();
    response
}

async fn greet(State(app): State<Arc<App>>) -> String {
    format!("This is {} {}, up for {} s.\n", app.name, app.version, app.traffic.uptime_seconds())
}

async fn health(State(app): State<Arc<App>>) -> (StatusCode, Json<Report>) {
    let dependencies = app.board.read();
    let status = Status::of(app.misbehaviour.settings().fail, &dependencies);
    let code = if status == Status::Down { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    let report = Report {
        status,
        service: app.name.clone(),
        version: app.version.clone(),
        timestamp: format!("{:.3}", jiff::Timestamp::now()),
        dependencies,
        metadata: Metadata {
            uptime_seconds: app.traffic.uptime_seconds(),
            requests_per_minute: app.traffic.per_minute(),
            starts: app.starts,
        },
    };
    (code, Json(report))
}

/// The body is read by hand: every mistake in it is a 400 that says what is wrong, whatever its content type.
async fn control(State(app): State<Arc<App>>, body: Bytes) -> Response {
    let applied = Control::parse(&body).and_then(|control| {
        let settings = control.settings(app.first, app.misbehaviour.settings());
        app.misbehaviour.apply(settings).map(|()| (control, settings))
    });
    let (control, settings) = match applied {
        Ok(applied) => applied,
        Err(error) => {
            return (StatusCode::BAD_REQUEST, Json(json!({ "error": error }))).into_response();
        }
    };
    info!("now: {settings}");
    if let Some(code) = control.crash {
        warn!("told to crash with exit code {code}");
        tokio::spawn(async move {
            // Long enough for the answer to leave.
            sleep(Duration::from_millis(50)).await;
            std::process::exit(code.into());
        });
    }
    Json(settings).into_response()
}
