//! Images from a registry that wants to know who asks, and does not always answer as one would like.

use crate::support::{Controller, Registry, SOON, World, wait_until};

/// A controller that knows what `docker login` left.
fn run(world: &World, config: &str) -> Controller {
    let folder = world.dir().join("docker");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("config.json"), config).unwrap();
    world.controller().env("DOCKER_CONFIG", &folder.display().to_string()).start()
}

fn one(image: &str) -> String {
    format!("services: {{web: {{image: '{image}', network_mode: none}}}}\n")
}

fn forget(world: &World, image: &str) {
    world.engine.try_call("DELETE", &format!("/images/{image}?force=true"), None);
}

#[test]
fn the_credentials_of_docker_login_are_used_and_without_them_the_error_says_so() {
    let Some(world) = World::new() else { return };
    let (shop, registry) = (world.project("shop"), Registry::start());
    let image = format!("{}/team/{shop}:1", registry.host());
    world.write(&shop, &one(&image));
    let controller = run(&world, "{}");
    wait_until(SOON, "the refusal is told", || !controller.events(&shop, "StepFailed").is_empty());
    let told = controller.events(&shop, "StepFailed")[0]["message"].to_string();
    assert!(told.contains("no basic auth credentials") || told.contains("unauthorized"), "{told}");
    drop(controller);

    let controller = run(&world, &registry.config());
    controller.converged(&shop);
    assert!(registry.refused() > 0 && registry.manifests() > 0);
    drop(controller);
    forget(&world, &image);
}

#[test]
fn a_helper_that_is_not_there_is_named_with_the_refusal() {
    let Some(world) = World::new() else { return };
    let (shop, registry) = (world.project("shop"), Registry::start());
    world.write(&shop, &one(&format!("{}/team/{shop}:1", registry.host())));
    let controller = run(&world, r#"{"credsStore": "no-such-helper"}"#);
    wait_until(SOON, "the refusal is told", || !controller.events(&shop, "StepFailed").is_empty());
    let told = controller.events(&shop, "StepFailed")[0]["message"].to_string();
    assert!(told.contains("asked without credentials"), "{told}");
}

#[test]
fn too_many_requests_are_waited_out_and_not_made_more() {
    let Some(world) = World::new() else { return };
    let (shop, registry) = (world.project("shop"), Registry::start());
    let image = format!("{}/team/{shop}:1", registry.host());
    registry.is_busy(6);
    world.write(&shop, &one(&image));
    let controller = run(&world, &registry.config());
    wait_until(SOON, "it says what it waits for", || {
        let view = controller.project(&shop);
        view["waiting"].as_array().is_some_and(|w| w.iter().any(|w| w["error"].to_string().contains("rate limit")))
    });
    controller.converged(&shop);
    // The Engine itself asks twice for each attempt; attempts are ever further apart.
    assert!(registry.manifests() <= 12, "{} requests", registry.manifests());
    drop(controller);
    forget(&world, &image);
}

#[test]
fn a_broken_layer_is_fetched_again() {
    let Some(world) = World::new() else { return };
    let (shop, registry) = (world.project("shop"), Registry::start());
    let image = format!("{}/team/{shop}:1", registry.host());
    registry.breaks_layers(1);
    world.write(&shop, &one(&image));
    let controller = run(&world, &registry.config());
    controller.converged(&shop);
    assert!(world.engine.container(&shop, "web").is_running());
    drop(controller);
    forget(&world, &image);
}
