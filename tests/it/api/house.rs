//! A controller with its API, over manifests and a state folder of its own.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use evenkeel::api::{ApiState, Limits, router};
use evenkeel::control::intake::watch::{WatchOptions, read};
use evenkeel::control::ledger::{Lock, Store};
use evenkeel::control::publish::Snapshot;
use evenkeel::control::{Actor, Answer as Done, Controller, Handle, Operation, Options, Parts, Request as Asked};
use evenkeel::decide::RecoveryPolicy;
use evenkeel::telemetry::Metrics;
use serde_json::Value;
use tokio::sync::mpsc;
use tower::ServiceExt as _;

use super::fake::Fake;

pub const SHOP: (&str, &str) = (
    "shop.yaml",
    "
services:
  web: {image: 'web:1', depends_on: {db: {condition: service_started}}, x-evenkeel: {type: web, critical: true}}
  db: {image: 'db:1', volumes: ['data:/d']}
volumes: {data: }
",
);
pub const OTHER: (&str, &str) = (
    "other.yaml",
    "services: {db: {image: 'db:1', x-evenkeel: {recovery: {strategy: none}}}, cache: {image: 'c:1', restart: 'no'}}",
);
pub const BROKEN: (&str, &str) = ("broken.yaml", "services: {a: {image: x, imag: y}}");

pub struct House {
    pub engine: Arc<Fake>,
    pub handle: Handle,
    pub router: Router,
    dir: tempfile::TempDir,
    _lock: Lock,
    _rereads: mpsc::Receiver<tokio::time::Instant>,
}

/// An answer of the API.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    #[track_caller]
    pub fn json(&self) -> Value {
        assert_eq!(self.headers["content-type"], "application/json", "{}", self.text);
        serde_json::from_str(&self.text).unwrap()
    }

    /// The code and message of an error, which is JSON.
    #[track_caller]
    pub fn error(&self) -> (u16, String, String) {
        let error = &self.json()["error"];
        let field =
            |name: &str| error[name].as_str().unwrap_or_else(|| panic!("no {name} in {}", self.text)).to_owned();
        (self.status.as_u16(), field("code"), field("message"))
    }
}

impl House {
    /// A controller that has read its manifests; `away`: its engine does not answer.
    pub fn open(files: &[(&str, &str)], away: bool) -> Self {
        let house = Self::unread(away);
        house.read(files);
        house
    }

    /// One that has not read its manifests yet.
    pub fn unread(away: bool) -> Self {
        Self::made(away, Limits::default())
    }

    /// One whose clients may take no more than that.
    pub fn within(files: &[(&str, &str)], limits: Limits) -> Self {
        let house = Self::made(false, limits);
        house.read(files);
        house
    }

    fn made(away: bool, limits: Limits) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("manifests")).unwrap();
        let options = Options {
            recovery: RecoveryPolicy { initial: Duration::from_secs(60), ..RecoveryPolicy::default() },
            address: "memory".into(),
            ..Options::of(dir.path().join("manifests"))
        };
        let engine = Arc::new(Fake::new());
        engine.away.store(away, Ordering::SeqCst);
        let metrics = Arc::new(Metrics::new("evenkeel").unwrap());
        let lock = Lock::take(&dir.path().join("state"), "a test").unwrap();
        let (rereads, asked) = mpsc::channel(16);
        let parts = Parts::new(engine.clone(), Store::open(&lock).unwrap(), rereads);
        let (controller, handle) = Controller::new(options, parts).unwrap();
        let (follower, counts) = (handle.follow(), metrics.clone());
        tokio::spawn(async move { counts.follow(follower).await });
        tokio::spawn(controller.run());
        let router = router(ApiState::new(handle.clone(), metrics, limits));
        Self { engine, handle, router, dir, _lock: lock, _rereads: asked }
    }

    /// Writes manifests over those that are there, and reads the folder.
    pub fn read(&self, files: &[(&str, &str)]) {
        let root = self.dir.path().join("manifests");
        for (name, text) in files {
            std::fs::write(root.join(name), text).unwrap();
        }
        let options = WatchOptions { root, environment: [].into(), rescan: Duration::from_secs(60) };
        assert!(self.handle.offer_reading(read(&options, &[])));
    }

    /// The document that says how everything is.
    pub async fn status(&self) -> Value {
        match self.handle.submit(Asked::new(Actor::process(), Operation::Status)).await {
            Ok(Done::Status { status }) => status,
            other => panic!("{other:?}"),
        }
    }

    /// A house in which everything of these manifests has converged.
    pub async fn converged(files: &[(&str, &str)]) -> Self {
        let house = Self::open(files, false);
        let count = files.len();
        house
            .until("all projects to converge", |s| {
                s.projects.len() == count
                    && s.projects.values().all(|p| p.state.as_str() == "converged" && p.in_flight.is_empty() && up(p))
            })
            .await;
        house
    }

    /// Waits for what is published.
    #[track_caller]
    pub fn until(&self, what: &str, is_so: impl FnMut(&Snapshot) -> bool) -> impl Future<Output = ()> {
        let (mut snapshots, mut is_so, what) = (self.handle.snapshots(), is_so, what.to_owned());
        async move {
            let found = tokio::time::timeout(Duration::from_secs(20), snapshots.wait_for(|s| is_so(s))).await;
            let came = matches!(found, Ok(Ok(_)));
            drop(found);
            assert!(came, "waited in vain for {what}: {:#?}", snapshots.borrow().projects);
        }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path).await
    }

    pub async fn ask(&self, method: Method, path: &str) -> Answer {
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        Answer { status, headers, text: String::from_utf8(bytes.to_vec()).unwrap() }
    }
}

fn up(project: &evenkeel::control::publish::ProjectView) -> bool {
    project.services.values().all(|s| matches!(s.state.as_str(), "running" | "completed"))
}
