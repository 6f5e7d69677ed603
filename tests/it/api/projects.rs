//! `/api/projects` and what is below it.

use axum::http::StatusCode;
use evenkeel::control::publish::ProjectView;
use serde_json::Value;

use super::house::{BROKEN, House, OTHER, SHOP};

#[tokio::test]
async fn the_list_has_every_project_with_its_revision_and_state() {
    let house = House::converged(&[SHOP, OTHER]).await;
    let list = house.get("/api/projects").await.json();
    assert_eq!(list["engine"]["up"], true);
    assert_eq!(list["engine"]["version"], "1.2.3");
    assert!(list["root"].as_str().unwrap().ends_with("manifests"));
    let projects = list["projects"].as_array().unwrap();
    assert_eq!(projects.iter().map(|p| p["name"].as_str().unwrap()).collect::<Vec<_>>(), ["other", "shop"]);
    let shop = &projects[1];
    assert_eq!(shop["state"], "converged");
    assert_eq!(shop["manifest_valid"], true);
    assert_eq!(shop["revision"].as_str().unwrap().len(), 64);
    for empty in ["steps", "waiting", "drift", "in_flight", "diagnostics"] {
        assert_eq!(shop[empty], Value::Array(vec![]), "{empty}");
    }
    assert_eq!(shop["services"]["web"]["id"], "shop.web");
}

#[tokio::test]
async fn one_project_is_as_in_the_list() {
    let house = House::converged(&[SHOP]).await;
    let answer = house.get("/api/projects/shop").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.json(), house.get("/api/projects").await.json()["projects"][0]);
}

#[tokio::test]
async fn a_manifest_that_does_not_load_shows_its_mistakes_with_their_places() {
    let house = House::open(&[BROKEN], false);
    house.until("it", |s| !s.projects.is_empty()).await;
    let project = house.get("/api/projects/broken").await.json();
    assert_eq!((project["state"].as_str(), project["manifest_valid"].as_bool()), (Some("invalid"), Some(false)));
    let diagnostic = &project["diagnostics"][0];
    assert_eq!(diagnostic["code"], "unknown-key");
    assert_eq!((diagnostic["place"]["line"].as_u64(), diagnostic["place"]["col"].as_u64()), (Some(1), Some(26)));
    assert_eq!(diagnostic["place"]["text"], BROKEN.1);
}

#[tokio::test]
async fn the_last_good_revision_stays_in_force() {
    let house = House::converged(&[SHOP]).await;
    let before = house.get("/api/projects/shop").await.json();
    house.read(&[("shop.yaml", "services: [")]);
    house.until("the mistake", |s| s.projects.values().any(|p| !p.manifest_valid)).await;
    let after = house.get("/api/projects/shop").await.json();
    assert_eq!(after["state"], "invalid");
    assert_eq!(after["revision"], before["revision"]);
    assert_eq!(after["services"], before["services"]);
}

#[tokio::test]
async fn the_plan_of_what_is_converged_is_empty() {
    let house = House::converged(&[SHOP]).await;
    let plan = house.get("/api/projects/shop/plan").await.json();
    assert_eq!(plan["project"], "shop");
    assert_eq!(plan["stages"], Value::Array(vec![]));
}

#[tokio::test]
async fn the_plan_has_stages_of_steps_with_their_causes() {
    let house = House::converged(&[SHOP]).await;
    house.read(&[("shop.yaml", "{services: {db: {image: 'db:1', volumes: ['data:/d']}}, volumes: {data: }}")]);
    house.until("the orphan to wait", |s| s.projects.values().any(|p| !p.waiting.is_empty())).await;
    let plan = house.get("/api/projects/shop/plan").await.json();
    let words: Vec<_> = plan["stages"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|stage| stage.as_array().unwrap())
        .map(|s| {
            [&s["action"]["action"], &s["cause"]["cause"], &s["disruption"]].map(|v| v.as_str().unwrap().to_owned())
        })
        .collect();
    assert_eq!(words, [["stop_container", "orphan", "stop"], ["remove_container", "orphan", "none"]]);
    assert!(plan["stages"][0][0]["step"].as_str().unwrap().starts_with("stop web/1"));
    assert_eq!(plan["stages"][0][0]["why"], "the manifest does not name it any more");
}

#[tokio::test]
async fn a_step_that_failed_shows_with_the_engines_words() {
    let house = House::open(&[SHOP], false);
    house.engine.refusal.lock().unwrap().replace("port is already allocated".into());
    let failed = |p: &ProjectView| !p.failures.is_empty() && p.in_flight.is_empty() && p.waiting.len() == 2;
    house.until("a failure", move |s| s.projects.values().any(|p| failed(p))).await;
    let project = house.get("/api/projects/shop").await.json();
    assert_eq!(project["state"], "degraded");
    assert_eq!(project["failures"]["service db 1"], "port is already allocated");
    let waits: Vec<_> =
        project["waiting"].as_array().unwrap().iter().map(|w| format!("{} {}", w["service"], w["on"])).collect();
    assert_eq!(waits, [r#""db" "backoff""#, r#""web" "dependency""#]);
}

#[tokio::test]
async fn without_an_engine_there_is_no_plan() {
    let house = House::open(&[SHOP], true);
    house.until("the manifest", |s| !s.projects.is_empty()).await;
    let (status, code, message) = house.get("/api/projects/shop/plan").await.error();
    assert_eq!((status, code.as_str()), (503, "unavailable"));
    assert!(message.contains("Engine"), "{message}");
}
