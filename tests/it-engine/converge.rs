//! From nothing to what the manifest says.

use std::time::Duration;

use serde_json::Value;

use crate::support::{Proxy, World};

const SHOP: &str = r#"
services:
  db:
    image: IMAGE
    environment: {PORT: "7000", STATE_DIR: /data, START_DELAY_MS: "300"}
    volumes: ["data:/data"]
    healthcheck: {test: [CMD, /demo-service, health], interval: 300ms, timeout: 2s, retries: 20}
  migrate:
    image: IMAGE
    command: [job, --seconds, "0"]
    networks: [back, default]
    depends_on: {db: {condition: service_healthy}}
  api:
    image: IMAGE
    networks: [back, default]
    depends_on:
      db: {condition: service_healthy}
      migrate: {condition: service_completed_successfully}
networks: {back: {}}
volumes: {data: {}}
"#;

/// The events about a project's containers, as `SERVICE ACTION`, in the order in which the Engine told them.
fn story(proxy: &Proxy, project: &str) -> Vec<String> {
    let attributes = |event: &Value, key: &str| event["Actor"]["Attributes"][key].as_str().map(str::to_owned);
    let events = proxy.events().into_iter().map(|event| event.data);
    events
        .filter(|e| attributes(e, "com.docker.compose.project").as_deref() == Some(project))
        .filter_map(|e| Some(format!("{} {}", attributes(&e, "com.docker.compose.service")?, e["Action"].as_str()?)))
        .collect()
}

#[track_caller]
fn expect_order(story: &[String], words: &[&str]) {
    let at = |word: &&str| story.iter().position(|told| told == word).unwrap_or_else(|| panic!("{word}: {story:?}"));
    let places: Vec<usize> = words.iter().map(at).collect();
    assert!(places.is_sorted(), "{words:?} is not the order of {story:?}");
}

#[test]
fn a_project_comes_up_in_dependency_order_with_the_names_and_labels_of_compose() {
    let Some(world) = World::new() else { return };
    let (shop, proxy) = (world.project("shop"), world.proxy());
    world.write(&shop, SHOP);
    let controller = world.run_through(&proxy);
    controller.converged(&shop);

    expect_order(&story(&proxy, &shop), &["db start", "db health_status: healthy", "migrate start"]);
    expect_order(&story(&proxy, &shop), &["migrate start", "migrate die", "api start"]);
    assert_eq!(world.engine.networks(&shop), [format!("{shop}_back"), format!("{shop}_default")]);
    assert_eq!(world.engine.volumes(&shop), [format!("{shop}_data")]);
    let containers = world.engine.containers(&shop);
    let names: Vec<_> = containers.iter().map(|c| (c.name.clone(), c.state.as_str())).collect();
    assert_eq!(
        names,
        [
            (format!("{shop}-api-1"), "running"),
            (format!("{shop}-db-1"), "running"),
            (format!("{shop}-migrate-1"), "exited"),
        ]
    );

    let api = world.engine.inspect(&containers[0].id);
    let label = |name: &str| api["Config"]["Labels"][format!("com.docker.compose.{name}")].as_str().unwrap_or("");
    assert_eq!(label("project"), shop);
    assert_eq!(label("service"), "api");
    assert_eq!(label("container-number"), "1");
    assert_eq!(label("oneoff"), "False");
    assert_eq!(label("image"), api["Image"]);
    assert_eq!(label("depends_on"), "db:service_healthy:false,migrate:service_completed_successfully:false");
    assert_eq!(label("project.working_dir"), world.manifests().to_str().unwrap());
    assert_eq!(label("project.config_files"), world.path(&shop).to_str().unwrap());
    assert!(label("config-hash").len() == 64 && label("version").starts_with("2."), "{}", api["Config"]["Labels"]);
    let networks = api["NetworkSettings"]["Networks"].as_object().unwrap();
    assert_eq!(networks.keys().collect::<Vec<_>>(), [&format!("{shop}_back"), &format!("{shop}_default")]);
    for network in networks.values() {
        let aliases = network["Aliases"].as_array().unwrap();
        assert!(aliases.contains(&"api".into()) && aliases.contains(&format!("{shop}-api-1").into()), "{aliases:?}");
    }
    let network = world.engine.call("GET", &format!("/networks/{shop}_back"), None);
    assert_eq!(network["Labels"]["com.docker.compose.network"], "back");
    let volume = world.engine.call("GET", &format!("/volumes/{shop}_data"), None);
    assert_eq!(volume["Labels"]["com.docker.compose.volume"], "data");

    assert_eq!(controller.service(&shop, "migrate")["state"], "completed");
    assert_eq!(controller.service(&shop, "db")["health"], "healthy");
    assert_eq!(controller.project(&shop)["waiting"], serde_json::json!([]));
    world.expect_nothing_to_do();
}

#[test]
fn with_nothing_to_do_the_engine_is_not_asked_anything_but_the_resync() {
    let Some(world) = World::alone() else { return };
    let (shop, proxy) = (world.project("shop"), world.proxy());
    world.write(&shop, "services: {a: {image: IMAGE}, b: {image: IMAGE}}\n");
    let controller = world.controller().engine(&proxy.url()).env("EVENKEEL_MANIFESTS_RESCAN", "1s").start();
    controller.converged(&shop);
    // What others do on this Engine is told to this controller too, and makes it look: such a time shows less.
    let ids: Vec<String> = world.engine.containers(&shop).into_iter().map(|c| c.id).collect();
    let quiet = (0..10).any(|_| {
        proxy.clear();
        std::thread::sleep(Duration::from_secs(3));
        let (calls, alone) = (proxy.calls(), proxy.events().is_empty());
        let ours: Vec<_> =
            calls.iter().filter(|c| alone || c.mutates() || ids.iter().any(|id| c.path.contains(id))).collect();
        assert!(ours.is_empty(), "{ours:?}");
        alone
    });
    if !quiet {
        println!("note: somebody else used the Engine all the time");
    }
    drop(controller);

    let mut controller = world.controller().engine(&proxy.url()).env("EVENKEEL_RECONCILE_RESYNC", "500ms").start();
    controller.converged(&shop);
    proxy.clear();
    let resyncs = || proxy.calls().iter().filter(|call| call.is("GET", "/containers/json")).count();
    crate::support::wait_until(crate::support::SOON, "resyncs", || resyncs() >= 3);
    assert_eq!(proxy.calls().iter().filter(|call| call.mutates()).count(), 0);
    controller.kill9();
}
