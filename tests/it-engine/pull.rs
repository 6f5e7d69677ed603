//! `pull_policy`. There is no registry: the proxy answers in its place.

use crate::support::{Call, Fault, Proxy, SOON, World, stays, wait_until};

fn pulls(proxy: &Proxy) -> Vec<Call> {
    proxy.calls().into_iter().filter(|call| call.is("POST", "/images/create")).collect()
}

fn answer(proxy: &Proxy, status: u16) {
    proxy.fail_next(|call: &Call| call.is("POST", "/images/create"), Fault::AnswerBefore(status));
}

fn manifest(policy: &str, generation: usize) -> String {
    let environment = format!("{{GENERATION: \"{generation}\"}}");
    format!(
        "services: {{web: {{image: IMAGE, platform: linux/amd64, pull_policy: {policy}, network_mode: none, environment: {environment}}}}}\n"
    )
}

#[test]
fn always_fetches_once_for_each_configuration_also_after_a_kill_and_a_failure_leaves_what_runs() {
    let Some(world) = World::new() else { return };
    let (shop, proxy) = (world.project("shop"), world.proxy());
    world.write(&shop, &manifest("always", 0));
    answer(&proxy, 200);
    let mut controller = world.run_through(&proxy);
    controller.converged(&shop);
    assert_eq!((pulls(&proxy).len(), proxy.pending_faults()), (1, 0));
    assert!(pulls(&proxy)[0].query().contains("platform=linux"), "{}", pulls(&proxy)[0].query());

    controller.kill9();
    controller.restart();
    controller.converged(&shop);
    let old = world.engine.container(&shop, "web");
    world.engine.remove(&old.id);
    wait_until(SOON, "it is made again", || {
        world.engine.containers(&shop).iter().any(|c| c.id != old.id && c.is_running())
    });
    controller.converged(&shop);
    assert_eq!(pulls(&proxy).len(), 1);

    let (old, revision) = (world.engine.container(&shop, "web"), controller.revision(&shop));
    answer(&proxy, 500);
    answer(&proxy, 500);
    answer(&proxy, 200);
    world.write(&shop, &manifest("always", 1));
    wait_until(SOON, "a failure is reported", || !controller.events(&shop, "StepFailed").is_empty());
    assert!(world.engine.container(&shop, "web").is_running());
    assert_eq!(world.engine.container(&shop, "web").id, old.id);
    controller.converged_anew(&shop, &revision);
    assert_ne!(world.engine.container(&shop, "web").id, old.id);
    assert_eq!(pulls(&proxy).len(), 4);
    assert_eq!(controller.project(&shop)["failures"], serde_json::json!({}));
}

#[test]
fn what_grew_old_is_fetched_anew_while_it_runs_and_goes_on_running_if_that_fails() {
    let Some(world) = World::new() else { return };
    let (shop, proxy) = (world.project("shop"), world.proxy());
    world.write(&shop, &manifest("every_2s", 0));
    answer(&proxy, 200);
    answer(&proxy, 200);
    answer(&proxy, 500);
    answer(&proxy, 500);
    answer(&proxy, 200);
    let controller = world.run_through(&proxy);
    controller.converged(&shop);
    let web = world.engine.container(&shop, "web");
    wait_until(SOON, "all answers are used up", || {
        let state = world.engine.container(&shop, "web");
        assert!(state.is_running() && state.id == web.id);
        proxy.pending_faults() == 0
    });
    let calls = pulls(&proxy);
    let pause = |n: usize| (calls[n].at - calls[n - 1].at).as_secs_f64();
    assert!(pause(1) >= 1.9 && pause(2) >= 1.9 && pause(3) >= 0.8, "{} {} {}", pause(1), pause(2), pause(3));
}

#[test]
fn what_is_there_and_may_be_used_is_not_fetched() {
    for policy in ["missing", "if_not_present", "never"] {
        let Some(world) = World::new() else { return };
        let (shop, proxy) = (world.project("shop"), world.proxy());
        world.write(&shop, &manifest(policy, 0));
        let controller = world.run_through(&proxy);
        controller.converged(&shop);
        stays(std::time::Duration::from_millis(300), "nothing is fetched", || pulls(&proxy).is_empty());
    }
}
