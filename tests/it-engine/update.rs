//! A manifest that changes.

use crate::support::{Proxy, SOON, World, wait_until};

const THREE: &str = r#"
services:
  api: {image: IMAGE, environment: {GENERATION: "1"}}
  web: {image: IMAGE, depends_on: [api]}
  worker: {image: IMAGE}
"#;

/// The mutating calls that worked, in words, in the order of their arrival.
fn deeds(proxy: &Proxy) -> Vec<String> {
    let calls = proxy.calls().into_iter().filter(|call| call.mutates());
    calls
        .map(|call| {
            let parts: Vec<_> = call.route().trim_matches('/').split('/').collect();
            match (call.method.as_str(), parts.as_slice()) {
                ("POST", ["containers", "create"]) => format!("create {}", query(call.query(), "name")),
                ("POST", ["containers", id, "rename"]) => format!("rename {id} {}", query(call.query(), "name")),
                ("POST", ["containers", id, verb]) => format!("{verb} {id}"),
                ("DELETE", ["containers", id]) => format!("remove {id}"),
                _ => format!("{} {}", call.method, call.route()),
            }
        })
        .collect()
}

fn query(query: &str, key: &str) -> String {
    let value = query.split('&').find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='));
    value.unwrap_or_default().to_owned()
}

#[test]
fn an_edit_recreates_only_the_service_that_it_is_about() {
    let Some(world) = World::new() else { return };
    let (shop, proxy) = (world.project("shop"), world.proxy());
    world.write(&shop, THREE);
    let controller = world.run_through(&proxy);
    controller.converged(&shop);
    let before = world.engine.containers(&shop);
    let revision = controller.revision(&shop);
    proxy.clear();

    world.write(&shop, &THREE.replace("\"1\"", "\"2\""));
    controller.converged_anew(&shop, &revision);

    let after = world.engine.containers(&shop);
    assert_eq!(after.len(), 3, "{after:?}");
    assert_ne!(after[0].id, before[0].id, "the service that was edited");
    assert_eq!((&after[1].id, &after[2].id), (&before[1].id, &before[2].id), "the others");
    let environment = world.engine.inspect(&after[0].id)["Config"]["Env"].to_string();
    assert!(environment.contains("GENERATION=2"), "{environment}");

    let (old, new, name) = (&before[0].id, &after[0].id, format!("{shop}-api-1"));
    assert_eq!(after[0].name, name);
    let temporary = format!("{}_{name}", &old[..12]);
    let order = [
        format!("create {temporary}"),
        format!("stop {old}"),
        format!("start {new}"),
        format!("remove {old}"),
        format!("rename {new} {name}"),
    ];
    assert_eq!(deeds(&proxy), order);
    world.expect_nothing_to_do();
}

#[test]
fn a_replacement_that_does_not_come_up_leaves_the_old_one_serving_until_the_manifest_is_mended() {
    let Some(world) = World::new() else { return };
    let shop = world.project("shop");
    world.write(&shop, "services: {web: {image: IMAGE, network_mode: none}}\n");
    let controller = world.run();
    controller.converged(&shop);
    let old = world.engine.container(&shop, "web").id;

    // Up, never ready, and down again.
    let environment = "{FAIL: health, CRASH_AFTER_MS: \"700\"}";
    let check = "{test: [CMD, /demo-service, health], interval: 200ms, start_period: 60s}";
    let broken = format!("{{image: IMAGE, network_mode: none, environment: {environment}, healthcheck: {check}}}");
    world.write(&shop, &format!("services: {{web: {broken}}}\n"));
    controller.in_state(&shop, "web", "failed");
    wait_until(SOON, "the old container runs again", || {
        world.engine.containers(&shop).iter().any(|c| c.id == old && c.is_running())
    });
    let revision = controller.revision(&shop);
    world.write(&shop, "services: {web: {image: IMAGE, network_mode: none, environment: {MENDED: \"1\"}}}\n");
    controller.converged_anew(&shop, &revision);
    let web = world.engine.container(&shop, "web");
    assert_eq!((web.name, web.state.as_str()), (format!("{shop}-web-1"), "running"));
    assert_ne!(web.id, old);
    world.expect_nothing_to_do();
}

#[test]
fn an_edit_in_the_middle_of_a_rollout_changes_what_is_rolled_out() {
    let Some(world) = World::new() else { return };
    let shop = world.project("shop");
    let text = |generation: u32| {
        let environment = format!("{{GENERATION: \"{generation}\", DRAIN_MS: \"800\"}}");
        format!("services: {{web: {{image: IMAGE, network_mode: none, environment: {environment}}}}}\n")
    };
    world.write(&shop, &text(1));
    let controller = world.run();
    controller.converged(&shop);
    world.write(&shop, &text(2));
    wait_until(SOON, "the rollout is under way", || world.engine.containers(&shop).len() == 2);
    let revision = controller.revision(&shop);
    world.write(&shop, &text(3));
    controller.converged_anew(&shop, &revision);
    let web = world.engine.container(&shop, "web");
    assert_eq!(web.name, format!("{shop}-web-1"));
    let environment = world.engine.inspect(&web.id)["Config"]["Env"].to_string();
    assert!(environment.contains("GENERATION=3"), "{environment}");
    world.expect_nothing_to_do();
}
