//! The controller's own health.

use std::sync::atomic::Ordering;

use axum::http::{Method, StatusCode};

use super::house::{BROKEN, House, SHOP};
use evenkeel::model::Timestamp;

#[tokio::test]
async fn before_the_engine_was_reached_it_is_down() {
    let house = House::open(&[SHOP], true);
    let answer = house.get("/health").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    let health = answer.json();
    assert_eq!((health["status"].as_str(), health["engine"].as_str()), (Some("down"), Some("down")));
    assert!(!health["active_issues"].as_array().unwrap().is_empty(), "{health}");
    assert_eq!(house.get("/readyz").await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(house.get("/livez").await.status, StatusCode::OK);
}

#[tokio::test]
async fn when_all_is_well_it_says_so() {
    let house = House::converged(&[SHOP]).await;
    let answer = house.get("/health").await;
    assert_eq!(answer.status, StatusCode::OK);
    let health = answer.json();
    assert_eq!((health["status"].as_str(), health["engine"].as_str()), (Some("healthy"), Some("up")));
    assert_eq!(health["active_issues"].as_array().unwrap().len(), 0);
    assert_eq!(health["service"], "evenkeel");
    assert!(health["version"].is_string());
    health["timestamp"].as_str().unwrap().parse::<Timestamp>().unwrap();
    assert_eq!(house.get("/readyz").await.status, StatusCode::OK);
}

#[tokio::test]
async fn it_is_ready_only_when_the_manifests_were_read() {
    let house = House::unread(false);
    house.until("the engine", |s| s.engine.up).await;
    let answer = house.get("/readyz").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.text.contains("manifests"), "{}", answer.text);
    house.read(&[SHOP]);
    house.until("the manifests", |s| s.manifests_read).await;
    assert_eq!(house.get("/readyz").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_manifest_that_does_not_load_is_an_issue() {
    let house = House::open(&[SHOP, BROKEN], false);
    house.until("both", |s| s.engine.up && s.projects.len() == 2).await;
    let health = house.get("/health").await.json();
    assert_eq!(health["status"], "degraded");
    assert!(health["active_issues"].to_string().contains("the manifest of broken does not load"), "{health}");
}

#[tokio::test]
async fn the_engine_may_go_and_come_back() {
    let house = House::converged(&[SHOP]).await;
    house.engine.leave();
    house.until("the engine to be missed", |s| !s.engine.up).await;
    assert_eq!(house.get("/health").await.json()["engine"], "down");
    house.engine.away.store(false, Ordering::SeqCst);
    house.until("the engine", |s| s.engine.up).await;
    assert_eq!(house.get("/health").await.json()["status"], "healthy");
}

#[tokio::test]
async fn what_is_not_there_is_said_as_json() {
    let house = House::open(&[SHOP], true);
    for path in [
        "/nothing",
        "/api/",
        "/api/projects/shop/nothing",
        "/api/projects/none",
        "/api/projects/none/plan",
        "/api/services/none",
    ] {
        let (status, code, message) = house.get(path).await.error();
        assert_eq!((status, code.as_str()), (404, "not_found"), "{path}");
        assert!(!message.is_empty());
    }
}

#[tokio::test]
async fn what_changes_something_is_not_answered() {
    let house = House::open(&[SHOP], true);
    for path in ["/health", "/api/projects", "/api/projects/shop/plan", "/api/services/web", "/api/events", "/metrics"]
    {
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
            let (status, code, _) = house.ask(method.clone(), path).await.error();
            assert_eq!((status, code.as_str()), (405, "method_not_allowed"), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn a_question_that_is_off_is_answered_as_json_too() {
    let house = House::open(&[SHOP], true);
    for path in ["/api/events?limit=many", "/api/events?after=-1", "/api/projects/%ff", "/api/services/%ff"] {
        let (status, code, _) = house.get(path).await.error();
        assert_eq!((status, code.as_str()), (400, "bad_request"), "{path}");
    }
}
