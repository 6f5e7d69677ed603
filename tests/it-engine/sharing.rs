//! Services that live in another one's namespaces, or want to be restarted with it; and who starts again what ended.

use crate::support::{SOON, World, wait_until};

const SIDECAR: &str = r#"
services:
  main: {image: IMAGE, environment: {GENERATION: "1"}}
  side: {image: IMAGE, network_mode: "service:main", environment: {PORT: "9001"}}
"#;

#[test]
fn who_lives_in_a_namespace_is_restarted_when_that_is_made_anew_by_a_start() {
    let Some(world) = World::new() else { return };
    let shop = world.project("shop");
    world.write(&shop, SIDECAR);
    let controller = world.run();
    controller.converged(&shop);
    let side = world.engine.container(&shop, "side").id;
    let before = world.engine.started(&side);
    world.engine.kill(&world.engine.container(&shop, "main").id);
    wait_until(SOON, "the sidecar is started again", || world.engine.started(&side) > before);
    controller.converged(&shop);
    assert_eq!(world.engine.container(&shop, "side").id, side, "it is the same container");
    world.expect_nothing_to_do();
}

#[test]
fn who_lives_in_a_container_that_is_replaced_is_replaced_with_it() {
    let Some(world) = World::new() else { return };
    let shop = world.project("shop");
    world.write(&shop, SIDECAR);
    let controller = world.run();
    controller.converged(&shop);
    let revision = controller.revision(&shop);
    world.write(&shop, &SIDECAR.replace("\"1\"", "\"2\""));
    controller.converged_anew(&shop, &revision);
    let (main, side) = (world.engine.container(&shop, "main").id, world.engine.container(&shop, "side").id);
    assert_eq!(world.engine.inspect(&side)["HostConfig"]["NetworkMode"], format!("container:{main}"));
    world.expect_nothing_to_do();
}

#[test]
fn only_a_dependent_that_says_so_is_restarted_when_what_it_depends_on_is_replaced() {
    let Some(world) = World::new() else { return };
    let shop = world.project("shop");
    let yaml = |generation: u32| {
        format!(
            "services:\n  db: {{image: IMAGE, network_mode: none, environment: {{GENERATION: '{generation}'}}}}\n  with: \
             {{image: IMAGE, network_mode: none, depends_on: {{db: {{condition: service_started, restart: true}}}}}}\n  \
             without: {{image: IMAGE, network_mode: none, depends_on: [db]}}\n"
        )
    };
    world.write(&shop, &yaml(1));
    let controller = world.run();
    controller.converged(&shop);
    let revision = controller.revision(&shop);
    let both = |what: &dyn Fn(&str) -> String| ["with", "without"].map(what);
    let id = |service: &str| world.engine.container(&shop, service).id;
    let started = |service: &str| world.engine.started(&id(service));
    let (ids, starts) = (both(&id), both(&started));
    world.write(&shop, &yaml(2));
    controller.converged_anew(&shop, &revision);
    assert_eq!(both(&id), ids, "neither is made anew");
    assert!(started("with") > starts[0] && started("without") == starts[1], "{:?} {starts:?}", both(&started));
    world.expect_nothing_to_do();
}

#[test]
fn with_supervise_controller_the_engine_starts_nothing_again_and_the_controller_does_in_order() {
    let Some(world) = World::new() else { return };
    let shop = world.project("shop");
    let own = "image: IMAGE, network_mode: none, restart: always, x-evenkeel: {supervise: controller}";
    world.write(
        &shop,
        &format!("services:\n  db: {{{own}}}\n  web: {{{own}, depends_on: {{db: {{condition: service_started}}}}}}\n"),
    );
    let mut controller = world.run();
    controller.converged(&shop);
    let id = |service: &str| world.engine.container(&shop, service).id;
    assert_eq!(world.engine.inspect(&id("db"))["HostConfig"]["RestartPolicy"]["Name"], "no");
    assert_eq!(controller.project(&shop)["drift"], serde_json::json!([]));
    // As after a restart of the host: all are down, and nobody was there to see it.
    controller.kill9();
    for service in ["web", "db"] {
        world.engine.kill(&id(service));
    }
    controller.restart();
    controller.converged(&shop);
    assert!(world.engine.started(&id("db")) < world.engine.started(&id("web")), "what is depended on comes first");
    world.expect_nothing_to_do();
}
