//! `/metrics`: each state is broken, and the value is read.

use std::collections::BTreeMap;

use evenkeel::model::observed::Health;

use super::house::{BROKEN, House, OTHER, SHOP};

/// Values by name and labels, as they are written; the text is checked line by line.
async fn metrics(house: &House) -> BTreeMap<String, f64> {
    let answer = house.get("/metrics").await;
    assert!(answer.headers["content-type"].to_str().unwrap().starts_with("text/plain"));
    let mut types = BTreeMap::new();
    let mut values = BTreeMap::new();
    for line in answer.text.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let words: Vec<&str> = comment.splitn(3, ' ').collect();
            assert!(["HELP", "TYPE"].contains(&words[0]) && words.len() == 3, "{line}");
            if words[0] == "TYPE" {
                assert!(types.insert(words[1].to_owned(), words[2].to_owned()).is_none(), "twice: {line}");
            }
            continue;
        }
        let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
        let base = name.split('{').next().unwrap();
        let known = ["", "_bucket", "_sum", "_count"]
            .iter()
            .any(|s| base.strip_suffix(s).is_some_and(|b| types.contains_key(b)));
        assert!(known, "no type: {line}");
        assert!(values.insert(name.to_owned(), value.parse().unwrap()).is_none(), "twice: {line}");
    }
    values
}

fn service(metric: &str, id: &str, critical: bool, kind: &str) -> String {
    let (project, name) = id.split_once('.').unwrap();
    format!(
        "evenkeel_{metric}{{critical=\"{critical}\",project=\"{project}\",service_id=\"{id}\",service_name=\"{name}\",service_type=\"{kind}\"}}"
    )
}

#[tokio::test]
async fn what_is_well_is_well() {
    let house = House::converged(&[SHOP]).await;
    let values = metrics(&house).await;
    assert_eq!(values["evenkeel_engine_up"], 1.0);
    assert_eq!(values["evenkeel_converged{project=\"shop\"}"], 1.0);
    assert_eq!(values["evenkeel_manifest_valid{project=\"shop\"}"], 1.0);
    assert_eq!(values["evenkeel_steps_total{action=\"create_container\",project=\"shop\",result=\"ok\"}"], 2.0);
    assert_eq!(values["evenkeel_steps_total{action=\"create_volume\",project=\"shop\",result=\"ok\"}"], 1.0);
    assert_eq!(values["evenkeel_reconcile_duration_seconds_count{project=\"shop\"}"], 1.0);
    assert_eq!(values[&service("service_health_status", "shop.web", true, "web")], 1.0);
    assert_eq!(values[&service("service_restarts_total", "shop.db", false, "")], 0.0);
    assert!(!values.keys().any(|k| k.starts_with("evenkeel_waiting")), "{values:?}");
}

#[tokio::test]
async fn a_broken_manifest_shows() {
    let house = House::open(&[SHOP, BROKEN], false);
    house.until("both", |s| s.projects.len() == 2).await;
    let values = metrics(&house).await;
    assert_eq!(values["evenkeel_manifest_valid{project=\"broken\"}"], 0.0);
    assert_eq!(values["evenkeel_converged{project=\"broken\"}"], 0.0);
    assert_eq!(values["evenkeel_manifest_valid{project=\"shop\"}"], 1.0);
}

#[tokio::test]
async fn a_failed_step_shows_and_so_does_who_waits() {
    let house = House::unread(false);
    house.engine.refusal.lock().unwrap().replace("no".into());
    house.read(&[SHOP]);
    house.until("a failure", |s| s.projects.values().any(|p| !p.failures.is_empty() && p.waiting.len() == 2)).await;
    let values = metrics(&house).await;
    assert_eq!(values["evenkeel_converged{project=\"shop\"}"], 0.0);
    assert_eq!(values["evenkeel_steps_total{action=\"start_container\",project=\"shop\",result=\"error\"}"], 1.0);
    assert_eq!(values["evenkeel_waiting{project=\"shop\",reason=\"backoff\"}"], 1.0);
    assert_eq!(values["evenkeel_waiting{project=\"shop\",reason=\"dependency\"}"], 1.0);
    assert_eq!(values[&service("service_health_status", "shop.db", false, "")], 3.0);
    assert_eq!(values[&service("service_health_status", "shop.web", true, "web")], 0.0);
}

#[tokio::test]
async fn a_restart_and_a_failing_check_show() {
    let house = House::converged(&[SHOP, OTHER]).await;
    house.engine.exit("shop-web-1", 1);
    house.until("the restart", |s| s.projects["shop"].services["web"].restarts == 1).await;
    house.engine.set_health("other-db-1", Health::Unhealthy);
    house.until("the check", |s| s.projects["other"].state.as_str() == "degraded").await;
    let values = metrics(&house).await;
    assert_eq!(values[&service("service_restarts_total", "shop.web", true, "web")], 1.0);
    assert_eq!(values[&service("service_health_status", "other.db", false, "")], 3.0);
    assert_eq!(values["evenkeel_converged{project=\"other\"}"], 0.0);
}

#[tokio::test]
async fn while_the_engine_is_away_nothing_is_claimed() {
    let house = House::converged(&[SHOP]).await;
    house.engine.leave();
    house.until("the engine to be missed", |s| !s.engine.up).await;
    let values = metrics(&house).await;
    assert_eq!(values["evenkeel_engine_up"], 0.0);
    assert_eq!(values["evenkeel_converged{project=\"shop\"}"], 0.0);
    assert_eq!(values[&service("service_health_status", "shop.web", true, "web")], 0.0);
}

#[tokio::test]
async fn requests_are_counted_by_their_route_and_never_by_their_path() {
    let house = House::converged(&[SHOP]).await;
    for path in ["/api/services/web", "/api/services/nobody", "/random/path"] {
        house.get(path).await;
    }
    let values = metrics(&house).await;
    assert_eq!(values["evenkeel_http_requests_total{method=\"GET\",route=\"/api/services/{id}\",status=\"200\"}"], 1.0);
    assert_eq!(values["evenkeel_http_requests_total{method=\"GET\",route=\"/api/services/{id}\",status=\"404\"}"], 1.0);
    assert!(!values.keys().any(|k| k.contains("random") || k.contains("nobody")), "{values:?}");
}
