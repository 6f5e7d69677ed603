//! A new revision: how it takes the place of the old one, and what follows where it cannot.

use serde_json::json;

use crate::support::{Container, Controller, SOON, World, wait_until};

/// Waits until what is in force counts as healthy.
fn healthy(controller: &Controller, project: &str) {
    wait_until(SOON, "the revision counts as healthy", || {
        let view = controller.project(project);
        view["healthy"].is_string() && view["healthy"] == view["revision"]
    });
}

fn state(controller: &Controller, project: &str) -> String {
    controller.project(project)["state"].as_str().unwrap_or_default().to_owned()
}

/// Both with a rollout that is watched for a short time. `web` comes up after `api`.
fn two(api: &str, web: &str) -> String {
    let rollout = "x-evenkeel: {rollout: {monitor: 500ms}}";
    let check = "healthcheck: {test: [CMD, /demo-service, health], interval: 200ms, retries: 2}";
    format!(
        "services:\n  api: {{network_mode: none, {check}, {api}, {rollout}}}\n  web: {{network_mode: none, depends_on: {{api: \
         {{condition: service_healthy}}}}, {check}, {web}, {rollout}}}\n"
    )
}

#[test]
fn the_second_of_two_services_fails_and_the_first_returns_to_its_old_image_and_environment() {
    let Some(world) = World::new() else { return };
    let shop = world.project("shop");
    let moved = format!("evenkeel-it-{shop}");
    let old = world.text(&shop, "IMAGE").lines().last().unwrap_or_default().to_owned();
    let tag = |reference: &str| {
        world.engine.call("POST", &format!("/images/{reference}/tag?repo={moved}&tag=1"), None);
    };
    let id = |reference: &str| world.engine.call("GET", &format!("/images/{reference}/json"), None)["Id"].clone();
    tag(&old);
    let image = format!("image: '{moved}:1'");
    world.write(&shop, &two(&format!("{image}, environment: {{GENERATION: one}}"), &image));
    let controller = world.run();
    controller.converged(&shop);
    healthy(&controller, &shop);
    let first = id(&format!("{moved}:1"));

    // Another image under the same name: a commit of a container is one.
    let container = world.engine.container(&shop, "api").id;
    world.engine.call("POST", &format!("/commit?container={container}&repo={moved}&tag=1"), None);
    assert_ne!(id(&format!("{moved}:1")), first);
    let failing = format!("{image}, environment: {{FAIL: health, GENERATION: two}}");
    world.write(&shop, &two(&format!("{image}, environment: {{GENERATION: two}}"), &failing));
    wait_until(SOON, "the first one is replaced", || {
        let all = world.engine.containers(&shop);
        all.iter().any(|c| c.service == "api" && c.is_running() && c.id != container)
    });
    wait_until(SOON, "it is rolled back", || state(&controller, &shop) == "rolled_back");

    for service in ["api", "web"] {
        let inspect = world.engine.inspect(&world.engine.container(&shop, service).id);
        let environment = inspect["Config"]["Env"].to_string();
        assert_eq!(inspect["Image"], first, "{service} runs from the image of before");
        assert!(!environment.contains("two"), "{service}: {environment}");
    }
    let view = controller.project(&shop);
    assert_eq!(view["failed"]["service"], "web", "{view}");
    assert_eq!(view["failed"]["rolled_back"], true);
    assert_eq!(controller.metric("converged", &[("project", &shop)]), Some(0.0), "it is no success");
    let told = controller.events(&shop, "RolledBack");
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(controller.events(&shop, "RolloutStarted").len(), 1);
    for verb in ["plan", "drift", "status"] {
        let told = world.verb(&[verb]).out;
        assert!(told.contains("failed and was rolled back: web"), "{verb}: {told}");
    }

    // It stays so across a restart of the controller, and a mended manifest is taken.
    let before: Vec<_> = world.engine.containers(&shop).into_iter().map(|c| c.id).collect();
    let mut controller = controller;
    controller.restart();
    wait_until(SOON, "it is as it was", || state(&controller, &shop) == "rolled_back");
    assert_eq!(world.engine.containers(&shop).into_iter().map(|c| c.id).collect::<Vec<_>>(), before);
    world.write(&shop, &two(&format!("{image}, environment: {{GENERATION: three}}"), &image));
    controller.converged(&shop);
    assert_eq!(controller.project(&shop)["failed"], json!(null));
    world.engine.try_call("DELETE", &format!("/images/{moved}:1?force=true"), None);
}

#[test]
fn a_newer_manifest_takes_over_in_the_middle_of_a_rollout() {
    let Some(world) = World::new() else { return };
    let shop = world.project("shop");
    let yaml = |generation: &str, delay: u32| {
        format!(
            "services: {{web: {{image: IMAGE, network_mode: none, scale: 3, environment: {{GENERATION: {generation}, \
             START_DELAY_MS: '{delay}'}}, healthcheck: {{test: [CMD, /demo-service, health], interval: 200ms}}, deploy: \
             {{update_config: {{delay: 20s}}}}}}}}\n"
        )
    };
    world.write(&shop, &yaml("one", 0));
    let controller = world.run();
    controller.converged(&shop);
    let generation = |n: usize| {
        let all = world.engine.containers(&shop);
        let inspect = |c: &Container| world.engine.inspect(&c.id)["Config"]["Env"].to_string();
        all.iter().filter(|c| c.is_running() && inspect(c).contains(["one", "two", "three"][n])).count()
    };
    world.write(&shop, &yaml("two", 0));
    wait_until(SOON, "one is replaced and the next one waits", || generation(1) == 1 && generation(0) == 2);
    wait_until(SOON, "that is told", || {
        controller.project(&shop)["waiting"].as_array().is_some_and(|w| w.iter().any(|w| w["after"] == "delay"))
    });
    world.write(&shop, &yaml("three", 0).replace("delay: 20s", "parallelism: 0"));
    controller.converged(&shop);
    assert_eq!(generation(2), 3);
    world.expect_nothing_to_do();
}

#[test]
fn start_first_has_the_new_one_ready_before_the_old_one_ends() {
    let Some(world) = World::new() else { return };
    let (shop, proxy) = (world.project("shop"), world.proxy());
    let yaml = |generation: &str| {
        format!(
            "services: {{web: {{image: IMAGE, network_mode: none, environment: {{GENERATION: {generation}}}, deploy: \
             {{update_config: {{order: start-first}}}}}}}}\n"
        )
    };
    world.write(&shop, &yaml("one"));
    let controller = world.run_through(&proxy);
    controller.converged(&shop);
    let revision = controller.revision(&shop);
    proxy.clear();
    world.write(&shop, &yaml("two"));
    controller.converged_anew(&shop, &revision);
    let verbs = proxy.calls().into_iter().filter(|c| c.mutates() && c.route().starts_with("/containers/"));
    let verbs: Vec<String> =
        verbs.map(|c| format!("{} {}", c.method, c.route().rsplit('/').next().unwrap_or_default())).collect();
    let at = |verb: &str| verbs.iter().position(|v| v == verb).unwrap_or_else(|| panic!("{verb}: {verbs:?}"));
    assert!(at("POST start") < at("POST stop"), "{verbs:?}");
    world.expect_nothing_to_do();
}

#[test]
fn an_image_that_cannot_be_had_leaves_everything_as_it_is() {
    let Some(world) = World::new() else { return };
    let shop = world.project("shop");
    world
        .write(&shop, "services: {api: {image: IMAGE, network_mode: none}, web: {image: IMAGE, network_mode: none}}\n");
    let controller = world.run();
    controller.converged(&shop);
    let before = world.engine.containers(&shop);
    world.write(
        &shop,
        "services: {api: {image: IMAGE, network_mode: none, environment: {A: b}}, web: {image: \
         'localhost:1/nothing:1', network_mode: none}}\n",
    );
    wait_until(SOON, "it waits for everything to be there", || {
        controller.project(&shop)["waiting"].as_array().is_some_and(|w| w.iter().any(|w| w["after"] == "preflight"))
    });
    for container in before {
        let now = world.engine.inspect(&container.id);
        assert_eq!(now["State"]["Running"], true, "{} runs on", container.name);
    }
}

#[test]
fn what_is_remembered_holds_no_secret_in_clear() {
    let Some(world) = World::new() else { return };
    let shop = world.project("shop");
    world.write(
        &shop,
        "services: {web: {image: IMAGE, network_mode: none, environment: {PASSWORD: hunter2secret}, configs: [cred], \
         x-evenkeel: {rollout: {monitor: 200ms}}}}\nconfigs: {cred: {content: hunter3secret}}\n",
    );
    let controller = world.run();
    controller.converged(&shop);
    healthy(&controller, &shop);
    let folder = world.dir().join("state/projects").join(&shop);
    let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()).collect();
    assert!(files.iter().any(|f| f.ends_with("healthy")), "{files:?}");
    for file in files {
        let bytes = std::fs::read(&file).unwrap();
        let clear = |text: &[u8]| bytes.windows(text.len()).any(|w| w == text);
        assert!(!clear(b"hunter2secret") && !clear(b"hunter3secret"), "{}", file.display());
    }
}

#[test]
fn a_port_that_another_container_has_holds_up_the_change_before_anything_is_stopped() {
    let Some(world) = World::new() else { return };
    let (shop, other) = (world.project("shop"), world.project("other"));
    let yaml =
        |api: &str, web: &str| format!("services:\n  api: {{image: IMAGE, {api}}}\n  web: {{image: IMAGE{web}}}\n");
    world.write(&shop, &yaml("environment: {GENERATION: one}", ""));
    let controller = world.run();
    controller.converged(&shop);
    healthy(&controller, &shop);
    let before: Vec<_> = world.engine.containers(&shop).into_iter().map(|c| c.id).collect();

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let body = json!({
        "Image": world.image, "Labels": {"com.docker.compose.project": other}, "ExposedPorts": {"80/tcp": {}},
        "HostConfig": {"PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": port.to_string()}]}},
    });
    let name = format!("{other}-by-hand");
    let made = world.engine.call("POST", &format!("/containers/create?name={name}"), Some(&body));
    let holder = made["Id"].as_str().unwrap().to_owned();
    world.engine.call("POST", &format!("/containers/{holder}/start"), None);
    // Any list from now on tells of the port.
    world.write(&shop, &yaml("environment: {GENERATION: two}", &format!(", ports: ['127.0.0.1:{port}:80']")));
    wait_until(SOON, "it waits for the port", || {
        let view = controller.project(&shop);
        let waiting = view["waiting"].as_array().cloned().unwrap_or_default();
        waiting.iter().any(|w| w["on"] == "port" && w["holder"] == name && w["port"] == format!("{port}/tcp"))
    });
    let running = || world.engine.containers(&shop).into_iter().filter(Container::is_running).map(|c| c.id);
    assert_eq!(running().collect::<Vec<_>>(), before);
    world.engine.remove(&holder);
    controller.converged(&shop);
    assert!(running().all(|id| !before.contains(&id)));
    assert_eq!(controller.events(&shop, "RolledBack").len(), 0);
}
