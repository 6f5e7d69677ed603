//! `/api/events`.

use serde_json::Value;

use super::house::{House, OTHER, SHOP};
use evenkeel::model::Timestamp;

async fn events(house: &House, query: &str) -> Vec<Value> {
    house.get(&format!("/api/events{query}")).await.json()["events"].as_array().unwrap().clone()
}

#[tokio::test]
async fn events_rise_and_have_a_kind_a_time_and_words() {
    let house = House::converged(&[SHOP]).await;
    let all = events(&house, "").await;
    assert!(all.iter().map(|e| e["id"].as_u64().unwrap()).is_sorted_by(|a, b| a < b), "{all:?}");
    for event in &all {
        event["timestamp"].as_str().unwrap().parse::<Timestamp>().unwrap();
        assert!(event["event_type"].is_string() && event["message"].is_string(), "{event}");
        assert!(["info", "warning", "error"].contains(&event["severity"].as_str().unwrap()), "{event}");
    }
    let kinds: Vec<_> = all.iter().map(|e| e["event_type"].as_str().unwrap()).collect();
    for kind in ["EngineUp", "RevisionLoaded", "ServiceUp", "Converged"] {
        assert!(kinds.contains(&kind), "no {kind} in {kinds:?}");
    }
}

#[tokio::test]
async fn a_project_converges_once_and_only_when_its_services_run() {
    let house = House::converged(&[SHOP]).await;
    let kinds: Vec<_> = events(&house, "?project=shop").await.iter().map(|e| e["event_type"].to_string()).collect();
    let count = |kind: &str| kinds.iter().filter(|k| k.contains(kind)).count();
    assert_eq!(count("Converged"), 1, "{kinds:?}");
    let last = |kind: &str| kinds.iter().rposition(|k| k.contains(kind));
    assert!(last("Converged") > last("ServiceUp"), "{kinds:?}");
}

#[tokio::test]
async fn events_are_filtered() {
    let house = House::converged(&[SHOP, OTHER]).await;
    let all = events(&house, "").await;
    let shop = events(&house, "?project=shop").await;
    assert!(!shop.is_empty() && shop.len() < all.len());
    assert!(shop.iter().all(|e| e["project"] == "shop"));
    let web = events(&house, "?service=shop.web").await;
    assert!(!web.is_empty() && web.iter().all(|e| e["service_id"] == "shop.web"));
    let up = events(&house, "?event_type=ServiceUp").await;
    assert_eq!(up.len(), 4);
    assert_eq!(events(&house, "?event_type=ServiceUp&project=other").await.len(), 2);
    assert_eq!(events(&house, "?event_type=Nonsense").await.len(), 0);
}

#[tokio::test]
async fn the_latest_are_given_and_only_those_after_an_id() {
    let house = House::converged(&[SHOP]).await;
    let all = events(&house, "").await;
    let last = all.last().unwrap()["id"].as_u64().unwrap();
    assert_eq!(events(&house, "?limit=2").await, all[all.len() - 2..]);
    assert_eq!(events(&house, &format!("?after={}", last - 1)).await, all[all.len() - 1..]);
    assert_eq!(events(&house, &format!("?after={last}")).await.len(), 0);
    assert_eq!(events(&house, "?limit=0").await.len(), 0);
}
