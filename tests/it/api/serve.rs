//! What clients of the API may take, over real connections.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::routing::get;
use evenkeel::api::{Limits, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tower::ServiceExt as _;

use super::house::{House, SHOP};

const GET: &str = "GET /quick HTTP/1.1\r\nHost: it\r\n\r\n";
/// For what is to happen at once, on a machine that is busy.
const SOON: Duration = Duration::from_secs(20);
/// Longer than any test.
const NEVER: Duration = Duration::from_secs(600);

struct Served {
    address: SocketAddr,
    end: oneshot::Sender<()>,
    server: JoinHandle<()>,
}

impl Served {
    async fn new(limits: Limits) -> Self {
        let app = Router::new().route("/quick", get(async || "ok")).route(
            "/slow",
            get(async || {
                tokio::time::sleep(NEVER).await;
                "ok"
            }),
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (end, ended) = oneshot::channel();
        let server = tokio::spawn(async move { serve(listener, app, &limits, async { drop(ended.await) }).await });
        Self { address, end, server }
    }

    async fn says(&self, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }
}

/// Reads an answer's beginning.
async fn answer(stream: &mut TcpStream) -> String {
    let mut buffer = [0; 1024];
    let read = tokio::time::timeout(SOON, stream.read(&mut buffer)).await.expect("an answer in time").unwrap_or(0);
    String::from_utf8_lossy(&buffer[..read]).into_owned()
}

/// Reads to the end of the connection.
async fn rest(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let _ = tokio::time::timeout(SOON, stream.read_to_end(&mut text)).await.expect("the connection ends");
    String::from_utf8_lossy(&text).into_owned()
}

fn limits() -> Limits {
    Limits { head_timeout: NEVER, ..Limits::default() }
}

#[tokio::test]
async fn who_sends_a_head_little_by_little_or_nothing_more_is_cut_off() {
    let limit = Duration::from_millis(300);
    let served = Served::new(Limits { head_timeout: limit, ..Limits::default() }).await;
    let began = Instant::now();
    let mut slow = served.says("GET /quick HTTP/1.1\r\n").await;
    for n in 0.. {
        tokio::time::sleep(Duration::from_millis(50)).await;
        if slow.write_all(format!("X-{n}: y\r\n").as_bytes()).await.is_err() {
            break;
        }
        assert!(began.elapsed() < SOON, "it is still listened to");
    }
    let mut idle = served.says(GET).await;
    assert!(answer(&mut idle).await.starts_with("HTTP/1.1 200"));
    assert_eq!(rest(&mut idle).await, "", "it is closed");
}

#[tokio::test]
async fn a_head_has_a_size() {
    let served = Served::new(limits()).await;
    let mut stream = served.says(&format!("GET /quick HTTP/1.1\r\nX: {}\r\n\r\n", "y".repeat(64 << 10))).await;
    let said = answer(&mut stream).await;
    assert!(said.starts_with("HTTP/1.1 431"), "{said}");
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_room() {
    let served = Served::new(Limits { connections: 2, ..limits() }).await;
    let (first, _second) = (served.says("GET").await, served.says("GET").await);
    let mut waiting = Vec::new();
    for _ in 0..50 {
        waiting.push(served.says(GET).await);
    }
    let mut buffer = [0; 16];
    let early = tokio::time::timeout(Duration::from_millis(300), waiting[0].read(&mut buffer)).await;
    assert!(early.is_err(), "there is no room for it");
    drop(first);
    for mut stream in waiting {
        assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200"));
    }
}

#[tokio::test]
async fn idle_connections_are_closed_at_the_end() {
    let served = Served::new(Limits { grace: NEVER, ..limits() }).await;
    let mut idle = served.says(GET).await;
    assert!(answer(&mut idle).await.starts_with("HTTP/1.1 200"));
    served.end.send(()).unwrap();
    assert_eq!(rest(&mut idle).await, "");
    tokio::time::timeout(SOON, served.server).await.expect("it ends").unwrap();
    assert!(TcpStream::connect(served.address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn who_is_being_answered_has_a_grace_and_no_more() {
    let served = Served::new(Limits { grace: Duration::from_millis(200), ..limits() }).await;
    let mut slow = served.says("GET /slow HTTP/1.1\r\nHost: it\r\n\r\n").await;
    // It is being answered once a later one was.
    answer(&mut served.says(GET).await).await;
    served.end.send(()).unwrap();
    tokio::time::timeout(SOON, served.server).await.expect("it ends").unwrap();
    assert_eq!(rest(&mut slow).await, "");
}

#[tokio::test]
async fn a_body_has_a_size() {
    let house = House::converged(&[SHOP]).await;
    let request = Request::get("/api/projects").header("content-length", 2 << 20).body(Body::empty()).unwrap();
    let response = house.router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn too_many_requests_are_refused_and_the_process_still_says_that_it_lives() {
    let house = House::within(&[SHOP], Limits { requests: 0, ..Limits::default() });
    let refused = house.get("/api/projects").await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.json()["error"]["code"], "unavailable");
    assert_eq!(house.get("/livez").await.status, StatusCode::OK);
}

#[tokio::test]
async fn plans_take_turns_and_whoever_waits_too_long_is_told() {
    let request_timeout = Duration::from_millis(200);
    let house = House::within(&[SHOP], Limits { plans: 0, request_timeout, ..Limits::default() });
    house.until("the project", |s| !s.projects.is_empty()).await;
    let late = house.get("/api/projects/shop/plan").await;
    assert_eq!(late.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(late.text.contains("within 200ms"), "{}", late.text);

    let house = House::within(&[SHOP], Limits { plans: 0, plans_waiting: 0, ..Limits::default() });
    house.until("the project", |s| !s.projects.is_empty()).await;
    let full = house.get("/api/projects/shop/plan").await;
    assert!(full.text.contains("many wait for a plan"), "{}", full.text);

    let house = House::converged(&[SHOP]).await;
    assert_eq!(house.get("/api/projects/shop/plan").await.status, StatusCode::OK);
}
