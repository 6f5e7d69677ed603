//! Serving the API: what a client may take of time, of size and of number, and how it ends.
//!
//! # Guarantees
//! A client that sends nothing, or little by little, is cut off; so is one that takes no answer. Connections beyond
//! [`Limits::connections`] wait in the kernel's queue, requests beyond [`Limits::requests`] are answered with 503, and
//! whether the process lives is answered all the same. At the end connections that are idle are closed at once, and what
//! is being answered has [`Limits::grace`] for that.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hyper::server::conn::http1::{self, UpgradeableConnection};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

use super::ApiError;
use crate::accept::Accepting;

/// What clients may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// For the head of a request, from when the connection is ready for it: an idle one is closed after this.
    pub head_timeout: Duration,
    /// From the head of a request to the head of its answer; what is streamed may take longer.
    pub request_timeout: Duration,
    /// Bytes of a request's head; at least 8 KiB.
    pub head_size: usize,
    /// Bytes of a request's body.
    pub body_size: usize,
    /// Connections at the same time.
    pub connections: usize,
    /// Requests that are being answered at the same time.
    pub requests: usize,
    /// Plans that are being made at the same time: each takes a while of the control loop's time.
    pub plans: usize,
    /// Requests for a plan that wait for their turn.
    pub plans_waiting: usize,
    /// For what is being answered when the end comes.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            head_size: 32 << 10,
            body_size: 1 << 20,
            connections: 512,
            requests: 128,
            plans: 2,
            plans_waiting: 16,
            grace: Duration::from_secs(5),
        }
    }
}

/// The limits, and what is left of them.
#[derive(Debug)]
pub(super) struct Bounds {
    pub(super) limits: Limits,
    requests: Semaphore,
    pub(super) plans: Arc<Semaphore>,
    pub(super) plans_waiting: Semaphore,
}

impl Bounds {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            requests: Semaphore::new(limits.requests),
            plans: Arc::new(Semaphore::new(limits.plans)),
            plans_waiting: Semaphore::new(limits.plans + limits.plans_waiting),
            limits,
        }
    }
}

/// Lets a request through within the limits.
pub(super) async fn bounded(State(bounds): State<Arc<Bounds>>, request: Request, next: Next) -> Response {
    let Limits { request_timeout, body_size, .. } = bounds.limits;
    let declared = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if declared.is_some_and(|length: u64| length > body_size as u64) {
        return ApiError::too_large(format!("a request has {body_size} bytes at most")).into_response();
    }
    let Ok(_permit) = bounds.requests.try_acquire() else {
        return ApiError::unavailable("too many requests are being answered; try again").into_response();
    };
    match tokio::time::timeout(request_timeout, next.run(request)).await {
        Ok(response) => response,
        Err(_) => ApiError::unavailable(format!("there was no answer within {request_timeout:?}")).into_response(),
    }
}

/// Answers until `end`, and then until what is being answered is, or the grace is over.
pub async fn serve(listener: TcpListener, app: Router, limits: &Limits, end: impl Future<Output = ()>) {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_buf_size(limits.head_size.max(8 << 10));
    let service = TowerToHyperService::new(app);
    let mut accepting = Accepting::new("the API", listener, limits.connections);
    let mut connections = JoinSet::new();
    let (open, closing) = watch::channel(());
    let mut end = std::pin::pin!(end);
    loop {
        let (stream, permit) = tokio::select! {
            next = accepting.next() => next,
            // What ended is forgotten.
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            () = &mut end => break,
        };
        cut_off_who_takes_no_answer(&stream, limits.request_timeout);
        let connection = builder.serve_connection(TokioIo::new(stream), service.clone()).with_upgrades();
        connections.spawn(until_closed(connection, closing.clone(), permit));
    }
    drop((accepting, open));
    // What is not done by then is broken off as the tasks are dropped.
    let _ = tokio::time::timeout(limits.grace, async { while connections.join_next().await.is_some() {} }).await;
}

/// Serves one connection to its end. How that comes about is the client's concern. One that is upgraded is none of these
/// any more: whoever takes it over bounds it.
async fn until_closed(
    connection: UpgradeableConnection<TokioIo<TcpStream>, TowerToHyperService<Router>>,
    mut closing: watch::Receiver<()>,
    _permit: OwnedSemaphorePermit,
) {
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => {}
        _ = closing.changed() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

/// Data that a client has not taken for so long ends its connection: the kernel sees to that.
fn cut_off_who_takes_no_answer(stream: &TcpStream, limit: Duration) {
    let millis = u32::try_from(limit.as_millis()).unwrap_or(u32::MAX);
    let _ = rustix::net::sockopt::set_tcp_user_timeout(stream, millis);
}
