//! One-shots.

use std::time::Duration;

use crate::support::{SOON, World, stays, wait_until};

const SHOP: &str = r#"
services:
  migrate: {image: IMAGE, network_mode: none, command: [job, --seconds, "0"], environment: {GENERATION: "1"}}
  web: {image: IMAGE, network_mode: none, depends_on: {migrate: {condition: service_completed_successfully}}}
"#;

#[test]
fn a_job_that_is_done_is_not_run_again_until_its_configuration_changes() {
    let Some(world) = World::new() else { return };
    let shop = world.project("shop");
    world.write(&shop, SHOP);
    let mut controller = world.run();
    controller.converged(&shop);
    let job = world.engine.container(&shop, "migrate");
    let started = world.engine.started(&job.id);
    let web = world.engine.container(&shop, "web").id;

    for restart in [true, false] {
        if restart {
            controller.terminate();
        }
        controller.restart();
        controller.converged(&shop);
        stays(Duration::from_millis(1500), "it is not run again after a restart of the controller", || {
            world.engine.started(&job.id) == started
        });
    }
    world.engine.remove(&job.id);
    stays(Duration::from_secs(2), "it is not made again when its container is removed", || {
        world.engine.containers(&shop).len() == 1
    });
    controller.restart();
    controller.converged(&shop);
    assert_eq!(controller.service(&shop, "migrate")["state"], "completed");
    assert_eq!(world.engine.containers(&shop).len(), 1);
    world.expect_nothing_to_do();

    let revision = controller.revision(&shop);
    world.write(&shop, &SHOP.replace("\"1\"", "\"2\""));
    wait_until(SOON, "it is made again with another configuration", || world.engine.containers(&shop).len() == 2);
    controller.converged_anew(&shop, &revision);
    let again = world.engine.inspect(&world.engine.container(&shop, "migrate").id);
    assert_eq!((&again["State"]["ExitCode"], &again["State"]["Status"]), (&0.into(), &"exited".into()));
    assert!(again["Config"]["Env"].to_string().contains("GENERATION=2"));
    assert_eq!(world.engine.container(&shop, "web").id, web, "what had waited for it stays as it is");
}

#[test]
fn a_job_that_ends_while_no_controller_runs_is_done_where_it_is_known_to_be_a_job() {
    let Some(world) = World::new() else { return };
    let shop = world.project("shop");
    let job = "image: IMAGE, network_mode: none, command: [job, --seconds, \"4\"]";
    world.write(
        &shop,
        &format!(
            "services:\n  named: {{{job}, x-evenkeel: {{type: job}}}}\n  waited: {{{job}}}\n  \
             web: {{image: IMAGE, network_mode: none, depends_on: {{waited: {{condition: service_completed_successfully}}}}}}\n"
        ),
    );
    let mut controller = world.run();
    wait_until(SOON, "both jobs run", || world.engine.running(&shop) == 2);
    controller.kill9();
    wait_until(SOON, "both jobs are over", || world.engine.running(&shop) == 0);
    let started = ["named", "waited"].map(|s| world.engine.started(&world.engine.container(&shop, s).id));
    controller.restart();
    controller.converged(&shop);
    assert!(world.engine.container(&shop, "web").is_running());
    let now = ["named", "waited"].map(|s| world.engine.started(&world.engine.container(&shop, s).id));
    assert_eq!(now, started);
}

#[test]
fn a_job_that_fails_is_tried_again_and_its_dependents_wait() {
    let Some(world) = World::new() else { return };
    let shop = world.project("shop");
    world.write(&shop, &SHOP.replace("[job, --seconds, \"0\"]", "[job, --seconds, \"0\", --exit-code, \"7\"]"));
    let controller = world.run();
    wait_until(SOON, "it is tried again", || {
        controller.service(&shop, "migrate")["restarts"].as_u64().is_some_and(|restarts| restarts >= 2)
    });
    let web = controller.service(&shop, "web");
    assert!(web["state"] == "waiting" && web["on"].as_str().is_some_and(|on| on.contains("migrate")), "{web}");
    assert_eq!(world.engine.running(&shop), 0);
    wait_until(SOON, "the project is degraded", || controller.project(&shop)["state"] == "degraded");
    let revision = controller.revision(&shop);
    world.write(&shop, SHOP);
    controller.converged_anew(&shop, &revision);
}
