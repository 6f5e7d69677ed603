//! What is done about services that are not well: each strategy, the breaker, and what becomes of dependents.

use serde_json::{Value, json};

use super::probes::tell;
use crate::support::{Controller, SOON, World, stays, wait_until};

/// Its check fails for as long as it runs, every second.
const SICK: &str =
    "environment: {FAIL: health}, healthcheck: {test: [CMD, /demo-service, health], interval: 1s, retries: 1}";

fn messages(events: &[Value]) -> Vec<&str> {
    events.iter().filter_map(|event| event["message"].as_str()).collect()
}

/// How often the controller started a service again.
fn restarts(controller: &Controller, project: &str) -> usize {
    controller.events(project, "ServiceRestarted").len()
}

#[test]
fn what_stays_unhealthy_is_started_again_until_the_breaker_opens_and_a_crash_does_not_close_it() {
    let Some(world) = World::new() else { return };
    let shop = world.project("shop");
    let manifest = |what: &str| {
        format!(
            "services:\n  db: {{image: IMAGE, network_mode: none}}\n  web: {{image: IMAGE, network_mode: none, depends_on: [db], {what}}}\n"
        )
    };
    world.write(&shop, &manifest(SICK));
    let pace = [("MAX_ATTEMPTS", "2"), ("COOL_DOWN", "6s"), ("BACKOFF_INITIAL", "100ms")];
    let start = pace
        .into_iter()
        .fold(world.controller(), |start, (key, value)| start.env(&format!("EVENKEEL_RECOVERY_{key}"), value));
    let mut controller = start.start();
    wait_until(SOON, "the breaker opens", || !controller.events(&shop, "BreakerOpened").is_empty());
    assert_eq!(restarts(&controller, &shop), 2);
    let web = world.engine.container(&shop, "web").id;
    let db = world.engine.container(&shop, "db").id;
    let (started, db_started) = (world.engine.started(&web), world.engine.started(&db));
    controller.kill9();
    controller.restart();
    wait_until(SOON, "it is seen to be unhealthy", || controller.service(&shop, "web")["health"] == "unhealthy");
    let waits = |reason: &str| {
        let project = controller.project(&shop);
        let waiting = project["waiting"].as_array().cloned().unwrap_or_default();
        waiting.iter().any(|w| w["on"] == reason)
    };
    wait_until(SOON, "it rests", || waits("breaker"));
    assert_eq!(world.engine.started(&web), started, "nothing was tried");
    wait_until(SOON, "one try is made", || world.engine.started(&web) != started);
    wait_until(SOON, "the breaker opens again", || !controller.events(&shop, "BreakerOpened").is_empty());
    assert_eq!(restarts(&controller, &shop), 1, "{:?}", messages(&controller.events(&shop, "ServiceRestarted")));
    assert_eq!(world.engine.started(&db), db_started, "a leaf restarts nobody");

    world.write(&shop, &manifest(&SICK.replace("FAIL: health", "FAIL: ''")));
    wait_until(SOON, "the breaker closes", || !controller.events(&shop, "BreakerClosed").is_empty());
    controller.converged(&shop);
    world.expect_nothing_to_do();
}

#[test]
fn who_says_so_is_not_started_again() {
    let Some(world) = World::new() else { return };
    let shop = world.project("shop");
    world.write(
        &shop,
        &format!("services: {{web: {{image: IMAGE, network_mode: none, x-evenkeel: {{recovery: {{strategy: none}}}}, {SICK}}}}}\n"),
    );
    let controller = world.run();
    wait_until(SOON, "it is unhealthy", || controller.service(&shop, "web")["health"] == "unhealthy");
    stays(std::time::Duration::from_secs(2), "it is left alone", || restarts(&controller, &shop) == 0);
}

#[test]
fn a_service_is_emptied_of_what_is_named_for_that_and_of_nothing_else() {
    let Some(world) = World::new() else { return };
    // How often it was started on what it still has.
    for (named, starts) in [("[cache]", "1\n"), ("[]", "2\n")] {
        let shop = world.project("shop");
        world.write(
            &shop,
            &format!(
                "services: {{web: {{image: IMAGE, network_mode: none, environment: {{STATE_DIR: /cache}}, volumes: ['cache:/cache', \
                 '/anonymous'], x-evenkeel: {{recovery: {{strategy: restart_with_reset, reset: {{volumes: \
                 {named}}}}}}}}}}}\nvolumes: {{cache: {{}}}}\n"
            ),
        );
        let controller = world.run();
        controller.converged(&shop);
        let before = world.engine.container(&shop, "web").id;
        let anonymous = |id: &str| {
            let mounts = world.engine.inspect(id)["Mounts"].as_array().cloned().unwrap_or_default();
            mounts.into_iter().find(|m| m["Destination"] == "/anonymous").map(|m| m["Name"].clone())
        };
        let kept = anonymous(&before);
        world.engine.kill(&before);
        wait_until(SOON, "another one runs", || {
            let all = world.engine.containers(&shop);
            all.len() == 1 && all[0].id != before && all[0].is_running()
        });
        controller.converged(&shop);
        let after = world.engine.container(&shop, "web").id;
        wait_until(SOON, "it counts its starts", || world.engine.archive(&after, "/cache/starts").contains(starts));
        assert_eq!(anonymous(&after), kept, "{named}");
        let told = controller.events(&shop, "ServiceRestarted");
        assert!(messages(&told)[0].contains("emptied"), "{told:?}");
        world.expect_nothing_to_do();
    }
}

#[test]
fn what_is_given_up_for_another_service_comes_back_with_it() {
    let Some(world) = World::new() else { return };
    let shop = world.project("shop");
    world.write(
        &shop,
        "services:\n  extra: {image: IMAGE, network_mode: none}\n  web: {image: IMAGE, network_mode: none, x-evenkeel: {recovery: \
         {strategy: degraded_mode, degraded: {stop: [extra]}}}}\n",
    );
    let controller = world.run();
    controller.converged(&shop);
    world.engine.kill(&world.engine.container(&shop, "web").id);
    let told = controller.in_state(&shop, "extra", "stopped");
    assert!(told["summary"].as_str().is_some_and(|text| text.contains("given up while web")), "{told}");
    controller.in_state(&shop, "web", "running");
    controller.in_state(&shop, "extra", "running");
    controller.converged(&shop);
}

#[test]
fn the_whole_project_is_started_again_in_order_for_a_service_that_fails() {
    let Some(world) = World::new() else { return };
    let shop = world.project("shop");
    let check = "healthcheck: {test: [CMD, /demo-service, health], interval: 1s, retries: 1}";
    let manifest = |recovery: &str| {
        format!(
            "services:\n  db: {{image: IMAGE, network_mode: none, {check}, x-evenkeel: {{recovery: {{{recovery}}}}}}}\n  api: {{image: \
             IMAGE, network_mode: none, depends_on: {{db: {{condition: service_healthy}}}}}}\n  web: {{image: IMAGE, network_mode: \
             none, depends_on: [api]}}\n"
        )
    };
    world.write(&shop, &manifest("strategy: project_restart"));
    let controller = world.run();
    controller.converged(&shop);
    let started = |service: &str| -> evenkeel::model::Timestamp {
        world.engine.started(&world.engine.container(&shop, service).id).parse().unwrap()
    };
    let before = ["db", "api", "web"].map(started);
    world.engine.kill(&world.engine.container(&shop, "db").id);
    wait_until(SOON, "all of it is started again", || {
        ["db", "api", "web"].into_iter().zip(before).all(|(service, before)| started(service) > before)
    });
    controller.converged(&shop);
    let after = ["db", "api", "web"].map(started);
    assert!(after.is_sorted(), "in order: {after:?}");
}

#[test]
fn dependents_are_stopped_where_the_manifest_says_so_and_come_back_in_order() {
    let Some(world) = World::new() else { return };
    let shop = world.project("shop");
    world.write(
        &shop,
        "services:\n  db: {image: IMAGE, x-evenkeel: {health: {http: {port: 8080, path: /health}, interval: 200ms, retries: 2}, \
         recovery: {cascade: stop, backoff: {initial: 2s}}}}\n  api: {image: IMAGE, depends_on: {db: {condition: service_healthy}}}\n  \
         web: {image: IMAGE, depends_on: [api]}\n  other: {image: IMAGE}\n",
    );
    let controller = world.run();
    controller.converged(&shop);
    let id = |service: &str| world.engine.container(&shop, service).id;
    let started = |service: &str| -> evenkeel::model::Timestamp { world.engine.started(&id(service)).parse().unwrap() };
    let all = ["db", "api", "web"];
    let (before, other) = (all.map(started), started("other"));
    // The second failure waits for its backoff, and so do those who depend on it.
    for round in 0..2 {
        let now = started("db");
        tell(&world, &id("db"), &json!({"fail": true}));
        if round > 0 {
            let is_down = |service: &str| world.engine.inspect(&id(service))["State"]["Running"] == false;
            wait_until(SOON, "the dependents are stopped", || is_down("api") && is_down("web"));
        }
        wait_until(SOON, "it is started again", || started("db") > now);
    }
    controller.converged(&shop);
    let after = all.map(started);
    assert!(after.iter().zip(before).all(|(after, before)| *after > before), "{before:?} {after:?}");
    assert!(after.is_sorted(), "in order: {after:?}");
    assert_eq!(started("other"), other, "who does not depend on it is left alone");
}
