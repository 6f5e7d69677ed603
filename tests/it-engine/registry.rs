//! Images from a registry that wants to know who asks, and does not always answer as one would like.

use crate::support::{Controller, Registry, SOON, World, wait_until};

/// A controller that knows what `docker login` left.
fn run(world: &World, config: &str) -> Controller {
    run_with(world, config, &[])
}

/// The same with further variables.
fn run_with(world: &World, config: &str, variables: &[(&str, &str)]) -> Controller {
    let folder = world.dir().join("docker");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("config.json"), config).unwrap();
    let controller = world.controller().env("DOCKER_CONFIG", &folder.display().to_string());
    variables.iter().fold(controller, |controller, (name, value)| controller.env(name, value)).start()
}

fn one(image: &str) -> String {
    format!("services: {{web: {{image: '{image}', network_mode: none}}}}\n")
}

/// What is told of the first step that failed.
fn refusal(controller: &Controller, project: &str) -> String {
    wait_until(SOON, "the refusal is told", || !controller.events(project, "StepFailed").is_empty());
    controller.events(project, "StepFailed")[0]["message"].to_string()
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
    let told = refusal(&controller, &shop);
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
    let told = refusal(&controller, &shop);
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

#[test]
fn an_image_is_built_on_one_that_only_we_may_have() {
    let Some(world) = World::new() else { return };
    let (shop, registry) = (world.project("shop"), Registry::start());
    let image = format!("{}/team/{shop}:1", registry.host());
    let folder = world.dir().join("context");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("Dockerfile"), format!("FROM {image}\nLABEL built=here\n")).unwrap();
    let web = format!("{{build: {}, network_mode: none}}", folder.display());
    world.write(&shop, &format!("services: {{web: {web}}}\n"));
    let controller = run(&world, "{}");
    refusal(&controller, &shop);
    drop(controller);

    let controller = run(&world, &registry.config());
    controller.converged(&shop);
    let labels = world.engine.call("GET", &format!("/images/{shop}-web/json"), None)["Config"]["Labels"].clone();
    assert_eq!((&labels["built"], &labels["com.docker.compose.image.builder"]), (&"here".into(), &"buildkit".into()));
    drop(controller);
    forget(&world, &image);
}

#[test]
fn a_registry_that_gives_nothing_is_not_asked_more_often_than_its_budget_however_many_images_wait() {
    let Some(world) = World::new() else { return };
    let (shop, registry) = (world.project("shop"), Registry::start());
    registry.is_busy(1_000_000);
    let service = |n: usize| format!("  s{n}: {{image: '{}/team/{shop}:{n}', network_mode: none}}\n", registry.host());
    world.write(&shop, &format!("services:\n{}", (0..4).map(service).collect::<String>()));
    let controller = run_with(&world, &registry.config(), &[("EVENKEEL_RECOVERY_PULL_RETRIES", "8")]);
    // Four at once, and half an hour's retries: then each waits for minutes.
    let far = |wait: &serde_json::Value| {
        let until = wait["until"].as_str().and_then(|t| t.parse::<jiff::Timestamp>().ok());
        until.is_some_and(|until| until.duration_since(jiff::Timestamp::now()).as_secs() > 120)
    };
    wait_until(SOON, "all wait for the budget", || {
        let waiting = controller.project(&shop)["waiting"].as_array().cloned().unwrap_or_default();
        waiting.iter().filter(|wait| far(wait)).count() == 4
    });
    // The Engine itself asks twice for each attempt.
    assert!(registry.manifests() <= 2 * 8, "{} requests", registry.manifests());
}
