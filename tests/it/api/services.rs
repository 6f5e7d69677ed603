//! `/api/services` and what is below it.

use axum::http::StatusCode;

use super::house::{House, OTHER, SHOP};

#[tokio::test]
async fn the_list_has_the_services_of_all_projects() {
    let house = House::converged(&[SHOP, OTHER]).await;
    let list = house.get("/api/services").await.json();
    assert_eq!(list["engine"], "up");
    let ids: Vec<_> = list["services"].as_array().unwrap().iter().map(|s| s["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["other.cache", "other.db", "shop.db", "shop.web"]);
}

#[tokio::test]
async fn the_list_is_filtered_by_project_and_state() {
    let house = House::converged(&[SHOP, OTHER]).await;
    house.engine.exit("other-cache-1", 1);
    house.until("the end", |s| s.projects["other"].services["cache"].state.as_str() == "stopped").await;
    for (query, expected) in [
        ("project=shop", 2),
        ("state=running", 3),
        ("state=stopped", 1),
        ("project=shop&state=stopped", 0),
        ("project=none", 0),
    ] {
        let list = house.get(&format!("/api/services?{query}")).await.json();
        assert_eq!(list["services"].as_array().unwrap().len(), expected, "{query}: {list}");
    }
}

#[tokio::test]
async fn a_service_is_found_by_its_id_and_by_its_bare_name_where_only_one_has_it() {
    let house = House::converged(&[SHOP, OTHER]).await;
    let service = house.get("/api/services/shop.web").await.json();
    assert_eq!(service, house.get("/api/services/web").await.json());
    assert_eq!((service["project"].as_str(), service["name"].as_str()), (Some("shop"), Some("web")));
    assert_eq!((service["state"].as_str(), service["summary"].as_str()), (Some("running"), Some("running")));
    assert_eq!((service["type"].as_str(), service["critical"].as_bool()), (Some("web"), Some(true)));
    assert_eq!((service["image"].as_str(), service["restarts"].as_u64()), (Some("web:1"), Some(0)));
    assert_eq!(service["depends_on"], serde_json::json!(["db"]));
    let container = &service["containers"][0];
    assert_eq!((container["name"].as_str(), container["state"].as_str()), (Some("shop-web-1"), Some("running")));
}

#[tokio::test]
async fn an_ambiguous_name_is_refused_with_the_ids_it_may_mean() {
    let house = House::converged(&[SHOP, OTHER]).await;
    let (status, _, message) = house.get("/api/services/db").await.error();
    assert_eq!(status, 400);
    assert!(message.contains("other.db") && message.contains("shop.db"), "{message}");
    assert_eq!(house.get("/api/services/other.db").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_name_with_a_dot_is_found_too() {
    let house = House::converged(&[("shop.yaml", "services: {a.b: {image: x}}")]).await;
    for id in ["shop.a.b", "a.b"] {
        assert_eq!(house.get(&format!("/api/services/{id}")).await.json()["id"], "shop.a.b");
    }
}

#[tokio::test]
async fn a_service_that_is_left_down_says_why() {
    let house = House::converged(&[OTHER]).await;
    house.engine.exit("other-cache-1", 3);
    house.until("the end", |s| s.projects["other"].services["cache"].state.as_str() == "stopped").await;
    let service = house.get("/api/services/cache").await.json();
    assert_eq!(service["reason"], "it exited with 3, and `restart` is \"no\"");
}

#[tokio::test]
async fn a_service_that_came_back_counts_its_restarts() {
    let house = House::converged(&[SHOP]).await;
    house.engine.exit("shop-web-1", 1);
    house
        .until("the restart", |s| {
            let web = &s.projects["shop"].services["web"];
            web.restarts == 1 && web.state.as_str() == "running"
        })
        .await;
    assert_eq!(house.get("/api/services/web").await.json()["restarts"], 1);
}
