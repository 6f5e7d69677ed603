//! What somebody does to containers by hand is undone.

use crate::support::{SOON, World, wait_until};

const FOUR: &str = r#"
services:
  killed: {image: IMAGE, network_mode: none}
  paused: {image: IMAGE, network_mode: none}
  removed: {image: IMAGE, network_mode: none}
  stopped: {image: IMAGE, network_mode: none}
"#;

#[test]
fn a_container_that_was_killed_stopped_removed_or_paused_by_hand_is_back() {
    let Some(world) = World::new() else { return };
    let shop = world.project("shop");
    world.write(&shop, FOUR);
    let controller = world.run();
    controller.converged(&shop);
    let before = world.engine.containers(&shop);
    let started: Vec<_> = before.iter().map(|c| world.engine.started(&c.id)).collect();

    world.engine.kill(&before[0].id);
    world.engine.pause(&before[1].id);
    world.engine.remove(&before[2].id);
    world.engine.stop(&before[3].id);

    wait_until(SOON, "all four run again", || {
        let now = world.engine.containers(&shop);
        now.len() == 4
            && now.iter().all(|c| c.is_running())
            && world.engine.started(&now[0].id) != started[0]
            && now[2].id != before[2].id
            && world.engine.started(&now[3].id) != started[3]
    });
    let after = world.engine.containers(&shop);
    for at in [0, 1, 3] {
        assert_eq!(after[at].id, before[at].id, "started again, not made again");
    }
    assert_eq!(world.engine.started(&after[1].id), started[1], "what was paused goes on as it was");
    assert_eq!(after[2].name, before[2].name);
    controller.converged(&shop);
    for (service, restarts) in [("killed", 1), ("paused", 0), ("removed", 1), ("stopped", 1)] {
        assert_eq!(controller.service(&shop, service)["restarts"], restarts, "{service}");
    }
    assert!(!controller.events(&shop, "ForeignAction").is_empty());
    assert_eq!(controller.events(&shop, "ServiceRestarted").len(), 3);
    world.expect_nothing_to_do();
}

#[test]
fn what_belongs_to_nobody_and_what_was_run_once_is_not_touched() {
    let Some(world) = World::new() else { return };
    let (shop, other) = (world.project("shop"), world.project("other"));
    let make = |labels: serde_json::Value, name: &str| {
        let body = serde_json::json!({"Image": world.image, "Labels": labels, "HostConfig": {"NetworkMode": "none"}});
        let made = world.engine.call("POST", &format!("/containers/create?name={name}"), Some(&body));
        let id = made["Id"].as_str().unwrap().to_owned();
        world.engine.call("POST", &format!("/containers/{id}/start"), None);
        id
    };
    // Of a project that no manifest declares.
    let foreign = make(
        serde_json::json!({"com.docker.compose.project": other, "com.docker.compose.service": "web",
            "com.docker.compose.container-number": "1", "com.docker.compose.oneoff": "False"}),
        &format!("{other}-web-1"),
    );
    // `docker compose run` within the project.
    let once = make(
        serde_json::json!({"com.docker.compose.project": shop, "com.docker.compose.service": "web",
            "com.docker.compose.container-number": "1", "com.docker.compose.oneoff": "True"}),
        &format!("{shop}-web-run-1"),
    );
    world.write(&shop, super::ONE);
    let controller = world.run();
    controller.converged(&shop);
    assert_eq!(world.engine.containers(&shop).len(), 2);
    world.engine.kill(&foreign);
    world.engine.kill(&once);
    world.engine.kill(&world.engine.containers(&shop).iter().find(|c| c.name == format!("{shop}-web-1")).unwrap().id);
    wait_until(SOON, "ours is back", || {
        world.engine.containers(&shop).iter().any(|c| c.name == format!("{shop}-web-1") && c.is_running())
    });
    for id in [foreign, once] {
        assert_eq!(world.engine.inspect(&id)["State"]["Status"], "exited");
    }
}
