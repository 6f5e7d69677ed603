//! An Engine that is away is not containers that are away.

use std::time::Duration;

use crate::support::{SOON, World, stays, wait_until};

#[test]
fn while_the_engine_is_away_nothing_is_decided_and_afterwards_what_happened_is_repaired() {
    let Some(world) = World::new() else { return };
    let (shop, proxy) = (world.project("shop"), world.proxy());
    world.write(
        &shop,
        "services:\n  edited: {image: IMAGE, network_mode: none}\n  killed: {image: IMAGE, network_mode: none}\n  \
         removed: {image: IMAGE, network_mode: none}\n  untouched: {image: IMAGE, network_mode: none}\n",
    );
    let controller = world.run_through(&proxy);
    controller.converged(&shop);
    let before = world.engine.containers(&shop);
    let started: Vec<_> = before.iter().map(|c| world.engine.started(&c.id)).collect();
    let revision = controller.revision(&shop);

    proxy.cut();
    wait_until(SOON, "the outage is noticed", || controller.metric("engine_up", &[]) == Some(0.0));
    let (status, body) = controller.answer("/health").unwrap();
    let health: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &health["engine"], &health["status"]), (503, &"down".into(), &"down".into()));
    assert!(!health["active_issues"].as_array().unwrap().is_empty());
    assert_eq!(controller.answer("/readyz").unwrap().0, 503);
    assert_eq!(controller.answer("/livez").unwrap().0, 200);
    assert_eq!(controller.metric("converged", &[("project", &shop)]), Some(0.0));
    let decisions = controller.metric("reconcile_total", &[]);
    proxy.clear();

    world.engine.kill(&before[1].id);
    world.engine.remove(&before[2].id);
    let text = std::fs::read_to_string(world.path(&shop)).unwrap();
    world.write_raw(&shop, &text.replace("edited: {", "edited: {environment: {A: \"1\"}, "));
    wait_until(SOON, "the edit is read", || controller.revision(&shop) != revision);
    assert_ne!(controller.project(&shop)["state"], "converged", "nothing is known of the new revision yet");
    stays(Duration::from_secs(3), "nothing is decided", || controller.metric("reconcile_total", &[]) == decisions);
    assert_eq!(world.engine.running(&shop), 2);
    assert!(proxy.calls().is_empty());

    proxy.restore();
    wait_until(SOON, "the Engine is back", || controller.metric("engine_up", &[]) == Some(1.0));
    controller.converged_anew(&shop, &revision);
    assert_eq!(controller.get("/health")["engine"], "up");
    assert_eq!(controller.metric("engine_up", &[]), Some(1.0));
    let after = world.engine.containers(&shop);
    assert!(after.len() == 4 && after.iter().all(|c| c.is_running()), "{after:?}");
    assert_ne!(after[0].id, before[0].id, "the edit");
    assert!(after[1].id == before[1].id && world.engine.started(&after[1].id) != started[1], "the kill");
    assert_ne!(after[2].id, before[2].id, "the removal");
    assert!(after[3].id == before[3].id && world.engine.started(&after[3].id) == started[3], "the untouched one");
    let kinds = |kind: &str| {
        let events = controller.get(&format!("/api/events?event_type={kind}"));
        events["events"].as_array().map_or(0, Vec::len)
    };
    assert_eq!((kinds("EngineDown"), kinds("EngineUp")), (1, 2));
    world.expect_nothing_to_do();
}

#[test]
fn a_short_outage_again_and_again_changes_nothing() {
    let Some(world) = World::new() else { return };
    let (shop, proxy) = (world.project("shop"), world.proxy());
    world.write(&shop, "services: {a: {image: IMAGE}, b: {image: IMAGE, depends_on: [a]}}\n");
    let controller = world.run_through(&proxy);
    controller.converged(&shop);
    let ids = |world: &World| world.engine.containers(&shop).into_iter().map(|c| c.id).collect::<Vec<_>>();
    let before = ids(&world);
    proxy.clear();
    for _ in 0..3 {
        proxy.cut();
        wait_until(SOON, "it is down", || controller.metric("engine_up", &[]) == Some(0.0));
        proxy.restore();
        wait_until(SOON, "it is up", || controller.metric("engine_up", &[]) == Some(1.0));
    }
    controller.converged(&shop);
    assert_eq!(ids(&world), before);
    assert_eq!(proxy.calls().iter().filter(|call| call.mutates()).count(), 0);
}

#[test]
fn an_engine_that_is_not_there_yet_is_waited_for() {
    let Some(world) = World::new() else { return };
    let (shop, proxy) = (world.project("shop"), world.proxy());
    world.write(&shop, super::ONE);
    proxy.cut();
    let start = world.controller().engine(&proxy.url());
    let starting = std::thread::spawn(move || start.start());
    let log = world.dir().join("controller.log");
    wait_until(SOON, "it says that it waits", || {
        std::fs::read_to_string(&log).is_ok_and(|said| said.contains("waiting for it"))
    });
    proxy.restore();
    starting.join().expect("it starts").converged(&shop);
    assert_eq!(world.engine.running(&shop), 1);
}
