//! What goes wrong, and what comes of it.

use serde_json::Value;

use super::{Place, SHOP, looks, ours, row};

fn shop() -> Place {
    let place = Place::new();
    place.write("shop.yaml", SHOP);
    place
}

/// The one marker, answered.
#[track_caller]
fn answered(told: &Value) -> u64 {
    let markers = told["markers"].as_array().unwrap();
    let [marker] = markers.as_slice() else { panic!("{markers:?}") };
    assert!(marker["missed"] == false && marker["disturbed"] == true, "{marker}");
    marker["converged_again_ms"].as_u64().unwrap() - marker["at_ms"].as_u64().unwrap()
}

#[test]
fn a_service_that_is_killed_comes_back() {
    let told = shop().converges(&["shop.yaml", "--fault", "kill:db@30s"]);
    let db = looks(&told, "shop.db");
    assert!(db.windows(3).any(|w| w == ["down", "starting", "healthy"]), "{db:?}");
    assert_eq!(row(&told, "shop.db")["restarts"], 1);
    assert_eq!(looks(&told, "shop.api").last().unwrap(), "running");
    assert!(answered(&told) >= 2_000, "its check passes after two seconds");
}

#[test]
fn a_reboot_brings_all_back_and_no_job_runs_twice() {
    let told = shop().converges(&["shop.yaml", "--fault", "reboot@1m"]);
    for id in ["shop.db", "shop.api"] {
        let looks = looks(&told, id);
        assert!(looks.contains(&"down".to_owned()), "{id}: {looks:?}");
        assert_eq!(row(&told, id)["restarts"], 1, "{id}");
    }
    assert_eq!(row(&told, "shop.setup")["restarts"], 0);
    assert!(answered(&told) >= 20_000);
    for away in ["engine_away", "controller_away"] {
        assert_eq!(told[away], serde_json::json!([{"from_ms": 60_000, "until_ms": 80_000}]));
    }
}

#[test]
fn every_fault_is_answered() {
    for fault in [
        "kill:api@30s",
        "stop:db@30s",
        "rm:db@30s",
        "crash:api@30s",
        "crash:api@30s*5",
        "oom:api@30s",
        "unhealthy:db@30s+20s",
        "pause:db@30s",
        "engine@30s+10s",
        "controller@30s",
    ] {
        let told = shop().converges(&["shop.yaml", "--fault", fault]);
        assert_eq!(told["markers"][0]["kind"], fault.split([':', '@']).next().unwrap());
        answered(&told);
    }
}

#[test]
fn a_crash_loop_is_counted_and_a_full_disk_keeps_nothing_down() {
    let told = shop().converges(&["shop.yaml", "--fault", "crash:api@30s*4"]);
    assert_eq!(row(&told, "shop.api")["restarts"], 4);
    let told = shop().converges(&["shop.yaml", "--fault", "disk-full@30s+20s", "--fault", "rm:api@35s"]);
    let removed = &told["markers"][1];
    assert!(removed["converged_again_ms"].as_u64().unwrap() >= 50_000, "{removed}");
}

#[test]
fn a_crash_loop_ends_where_the_service_is_left_down() {
    let place = Place::new();
    place.write("a.yaml", "services: {web: {image: w, restart: \"on-failure:2\"}}\n");
    let told = place.converges(&["a.yaml", "--fault", "crash:web@10s*50"]);
    assert_eq!(looks(&told, "a.web").last().unwrap(), "stopped");
    assert_eq!(row(&told, "a.web")["restarts"], 2);
    assert!(told["length_ms"].as_u64().unwrap() < 30_000, "{}", told["length_ms"]);
}

#[test]
fn attempts_that_fail_are_one_failure() {
    let place = Place::new();
    place.write("a.yaml", "services: {web: {image: w}}\n");
    let told = place.converges(&["a.yaml", "--fault", "disk-full@10s+20s", "--fault", "rm:web@12s"]);
    let web = looks(&told, "a.web");
    assert_eq!(web.iter().filter(|l| *l == "failed").count(), 1, "{web:?}");
}

#[test]
fn a_fault_that_finds_nothing_running_says_so() {
    let told = shop().converges(&["shop.yaml", "--fault", "kill:setup@1m"]);
    assert_eq!(told["markers"][0]["missed"], true);
}

#[test]
fn a_service_nobody_has_is_an_error_with_the_candidates() {
    let place = shop();
    let said = place.rehearse(&["shop.yaml", "--fault", "kill:bd@30s"]);
    assert_eq!(said.code, Some(1));
    assert_eq!(
        said.err,
        "evenkeel: the fault `kill:bd@30s`: there is no service `bd`; did you mean `db`? (there are shop.api, shop.db, \
         shop.setup)\n"
    );
    place.write("more/a.yaml", "services: {db: {image: x}}\n");
    place.write("more/b.yaml", "services: {db: {image: x}}\n");
    let said = place.rehearse(&["more", "--fault", "kill:db@30s"]);
    assert_eq!(said.err, "evenkeel: the fault `kill:db@30s`: `db` names several services; write one of a.db, b.db\n");
    let said = place.rehearse(&["shop.yaml", "--fault", "kill:db@30s", "--for", "10s"]);
    assert_eq!(said.err, "evenkeel: the fault `kill:shop.db@30s` comes after the end: name a longer time with --for\n");
}

#[test]
fn the_same_seed_gives_the_same_rehearsal_byte_for_byte() {
    let said = |seed: &str, page: &str| {
        let place = Place::new();
        let manifests = ours("manifests");
        let arguments = [&*manifests, "--fault", "random:4", "--seed", seed, "--format", "json", "--html", page];
        let out = place.rehearse(&arguments).out;
        (out, std::fs::read_to_string(place.path(page)).unwrap())
    };
    let first = said("3", "page.html");
    assert!(first == said("3", "page.html"), "two rehearsals differ");
    assert_ne!(first.0, said("4", "page.html").0);
}
