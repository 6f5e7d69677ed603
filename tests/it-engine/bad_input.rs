//! What only shows when the Engine is asked.

use std::net::TcpListener;

use serde_json::Value;

use crate::support::{Controller, SOON, World, wait_for, wait_until};

/// Waits until a service has failed with the Engine's words, at least `attempts` times.
#[track_caller]
fn failed(controller: &Controller, shop: &str, service: &str, words: &str, attempts: u64) -> Value {
    wait_for(SOON, &format!("{service} fails {attempts} times with `{words}`"), || {
        let view = controller.service(shop, service);
        let said = view["error"].as_str().is_some_and(|error| error.to_lowercase().contains(words));
        let tried = view["attempts"].as_u64().is_some_and(|n| n >= attempts);
        (view["state"] == "failed" && said && tried).then_some(view)
    })
}

fn write(world: &World, shop: &str, bad: &str) {
    world.write(
        shop,
        &format!(
            "services:\n  bad: {{{bad}}}\n  dependent: {{image: IMAGE, depends_on: [bad]}}\n  other: {{image: IMAGE}}\n"
        ),
    );
}

/// One bad service: it fails with the Engine's words, blocks only its dependent, and is mended by the manifest.
fn expect(bad: impl Fn(&World) -> String, good: impl Fn(&World) -> String, words: &str) {
    let Some(world) = World::new() else { return };
    let shop = world.project("shop");
    write(&world, &shop, &bad(&world));
    let controller = world.run();
    failed(&controller, &shop, "bad", words, 2);
    wait_until(SOON, "the others run", || {
        world.engine.containers(&shop).iter().any(|c| c.service == "other" && c.is_running())
    });
    assert!(!world.engine.containers(&shop).iter().any(|c| c.service != "other" && c.is_running()));
    let view = controller.project(&shop);
    assert_eq!(view["state"], "degraded", "{view}");
    let dependent = controller.service(&shop, "dependent");
    assert!(
        dependent["state"] == "waiting" && dependent["on"].as_str().is_some_and(|on| on.contains("bad")),
        "{dependent}"
    );
    let status = world.verb(&["status"]);
    assert!(status.code == Some(0) && status.out.to_lowercase().contains(words), "{}", status.out);
    assert!(!controller.events(&shop, "StepFailed").is_empty());
    let other = world.engine.container(&shop, "other").id;

    let revision = controller.revision(&shop);
    write(&world, &shop, &good(&world));
    controller.converged_anew(&shop, &revision);
    assert_eq!(world.engine.running(&shop), 3);
    assert_eq!(world.engine.container(&shop, "other").id, other);
    assert_eq!(controller.project(&shop)["failures"], serde_json::json!({}));
    world.expect_nothing_to_do();
}

#[test]
fn an_image_that_does_not_exist_fails_with_the_words_of_the_engine_and_blocks_only_its_dependents() {
    // A registry that nobody runs: refused at once, without any network.
    expect(|_| "image: \"127.0.0.1:9/none:1\"".into(), |_| "image: IMAGE".into(), "connection refused");
}

#[test]
fn a_taken_port_fails_with_the_words_of_the_engine_and_blocks_only_its_dependents() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    expect(
        |_| format!("image: IMAGE, ports: [\"127.0.0.1:{port}:8080\"]"),
        |_| "image: IMAGE".into(),
        "address already in use",
    );
}

#[test]
fn a_bind_source_that_is_missing_fails_with_the_words_of_the_engine_and_blocks_only_its_dependents() {
    let bind = |world: &World| {
        let source = world.dir().join("data");
        let mount =
            format!("{{type: bind, source: {}, target: /data, bind: {{create_host_path: false}}}}", source.display());
        format!("image: IMAGE, volumes: [{mount}]")
    };
    let mended = |world: &World| {
        std::fs::create_dir_all(world.dir().join("data")).unwrap();
        format!("{}, environment: {{A: \"1\"}}", bind(world))
    };
    expect(bind, mended, "bind source path does not exist");
}

#[test]
fn a_port_that_becomes_free_is_taken_without_an_edit() {
    let Some(world) = World::new() else { return };
    let shop = world.project("shop");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    world.write(&shop, &format!("services: {{web: {{image: IMAGE, ports: [\"127.0.0.1:{port}:8080\"]}}}}\n"));
    let controller = world.run();
    failed(&controller, &shop, "web", "address already in use", 1);
    drop(taken);
    controller.converged(&shop);
    assert!(world.engine.container(&shop, "web").is_running());
    assert_eq!(controller.project(&shop)["failures"], serde_json::json!({}));
}

#[test]
fn a_plan_of_a_manifest_that_does_not_load_leaves_what_runs() {
    let Some(world) = World::new() else { return };
    let shop = world.project("shop");
    world.write(&shop, super::ONE);
    assert_eq!(world.verb(&["apply"]).code, Some(0));
    world.write(&shop, "services:\n  web:\n   image: x\n  bad: [\n");
    let plan = world.verb(&["plan"]);
    assert_eq!(plan.code, Some(1), "{plan:?}");
    assert!(plan.out.contains("the last good revision stays in force"), "{plan:?}");
    assert!(!plan.out.contains("remove"), "{plan:?}");
    let status = world.verb(&["status"]);
    assert!(!status.out.contains("stopping"), "{status:?}");
}
