//! What waits for what.

use std::time::Duration;

use crate::support::{SOON, World, stays, wait_until};

#[test]
fn a_project_waits_for_the_projects_that_it_depends_on() {
    let Some(world) = World::new() else { return };
    let (base, shop) = (world.project("base"), world.project("shop"));
    world.write(
        &shop,
        &format!("x-evenkeel: {{depends_on: [{base}]}}\nservices: {{web: {{image: IMAGE, network_mode: none}}}}\n"),
    );
    let controller = world.run();
    wait_until(SOON, "it waits", || controller.project(&shop)["waiting"][0]["on"] == "project");
    stays(Duration::from_secs(1), "nothing of it runs", || world.engine.running(&shop) == 0);
    assert_eq!(controller.project(&shop)["state"], "waiting");
    // Converged means healthy, where there is a check.
    world.write(
        &base,
        "services: {db: {image: IMAGE, network_mode: none, environment: {START_DELAY_MS: \"1000\"}, \
         healthcheck: {test: [CMD, /demo-service, health], interval: 300ms, retries: 50}}}\n",
    );
    controller.converged(&shop);
    let time = |project: &str, service: &str| {
        let text = world.engine.started(&world.engine.container(project, service).id);
        text.parse::<evenkeel::model::Timestamp>().unwrap()
    };
    let later = time(&shop, "web").duration_since(time(&base, "db")).as_secs_f64();
    assert!(later >= 1.0, "started {later} s after what it depends on");
    world.expect_nothing_to_do();
}

#[test]
fn a_dependency_that_is_not_required_does_not_block_when_it_fails() {
    let Some(world) = World::new() else { return };
    let shop = world.project("shop");
    let failing = "image: IMAGE, network_mode: none, command: [job, --seconds, \"0\", --exit-code, \"1\"]";
    let waits = |required: bool| {
        format!(
            "image: IMAGE, network_mode: none, \
             depends_on: {{cache: {{condition: service_completed_successfully, required: {required}}}}}"
        )
    };
    world.write(
        &shop,
        &format!("services:\n  cache: {{{failing}}}\n  needs: {{{}}}\n  prefers: {{{}}}\n", waits(true), waits(false)),
    );
    let controller = world.run();
    wait_until(SOON, "what only prefers it runs", || {
        world.engine.containers(&shop).iter().any(|c| c.service == "prefers" && c.is_running())
    });
    assert_eq!(controller.service(&shop, "needs")["state"], "waiting");
}

#[test]
fn dependents_start_again_only_when_what_they_need_is_back() {
    let Some(world) = World::new() else { return };
    let shop = world.project("shop");
    let health = "healthcheck: {test: [CMD, /demo-service, health], interval: 300ms, retries: 50}";
    world.write(
        &shop,
        &format!(
            "services:\n  db: {{image: IMAGE, network_mode: none, environment: {{START_DELAY_MS: \"1000\"}}, {health}}}\n  \
             web: {{image: IMAGE, network_mode: none, depends_on: {{db: {{condition: service_healthy}}}}}}\n"
        ),
    );
    let controller = world.run();
    controller.converged(&shop);
    let containers = world.engine.containers(&shop);
    let before = world.engine.started(&containers[1].id);
    for container in &containers {
        world.engine.kill(&container.id);
    }
    wait_until(SOON, "both are back", || world.engine.running(&shop) == 2);
    controller.converged(&shop);
    let time = |id: &str| world.engine.started(id).parse::<evenkeel::model::Timestamp>().unwrap();
    assert_ne!(world.engine.started(&containers[1].id), before);
    let later = time(&containers[1].id).duration_since(time(&containers[0].id)).as_secs_f64();
    assert!(later >= 1.0, "started {later} s after what it depends on");
}
