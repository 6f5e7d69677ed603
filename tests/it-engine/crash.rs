//! SIGKILL between two calls, and what the next start makes of it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::{Controller, Fault, Proxy, SOON, World, wait_until};

const SHOP: &str = r#"
services:
  db: {image: IMAGE, volumes: ["data:/data"]}
  web: {image: IMAGE, depends_on: [db], networks: [back, default]}
networks: {back: {}}
volumes: {data: {}}
"#;

/// Holds the answer of the n-th mutating call back, and with it the controller in the middle of its work.
fn hold(proxy: &Proxy, n: usize) {
    let seen = AtomicUsize::new(0);
    proxy.clear();
    proxy.clear_faults();
    let nth = move |call: &crate::support::Call| call.mutates() && seen.fetch_add(1, Ordering::Relaxed) + 1 == n;
    proxy.fail_next(nth, Fault::Hold(Duration::from_secs(60)));
}

/// Waits for the call whose answer is held back. `false`: everything was done with fewer calls.
fn held(proxy: &Proxy, mut done: impl FnMut() -> bool) -> bool {
    let (mut held, mut over) = (false, false);
    wait_until(SOON, "the call after which the controller is killed", || {
        held = proxy.find_call(|call| matches!(call.fault, Some(Fault::Hold(_)))).is_some();
        over = !held && done();
        held || over
    });
    if over {
        // Nobody else is to be held back.
        proxy.clear_faults();
    }
    held
}

#[track_caller]
fn expect_one_of_each(world: &World, project: &str) {
    let names: Vec<_> = world.engine.containers(project).into_iter().map(|c| (c.name, c.state)).collect();
    let running = |service: &str| (format!("{project}-{service}-1"), "running".to_owned());
    assert_eq!(names, [running("db"), running("web")]);
    assert_eq!(world.engine.networks(project), [format!("{project}_back"), format!("{project}_default")]);
    for network in ["back", "default"] {
        assert_eq!(world.engine.networks_named(&format!("{project}_{network}")), 1, "{network}");
    }
    assert_eq!(world.engine.volumes(project), [format!("{project}_data")]);
    world.expect_nothing_to_do();
}

fn up_with_a_crash_after(n: usize) {
    let Some(world) = World::new() else { return };
    let (shop, proxy) = (world.project("shop"), world.proxy());
    world.write(&shop, SHOP);
    hold(&proxy, n);
    let mut controller = world.run_through(&proxy);
    assert!(held(&proxy, || false));
    controller.kill9();
    controller.restart();
    controller.converged(&shop);
    expect_one_of_each(&world, &shop);
}

#[test]
fn a_controller_that_is_killed_while_it_makes_networks_makes_no_doubles() {
    for n in [1, 2, 3] {
        up_with_a_crash_after(n);
    }
}

#[test]
fn a_controller_that_is_killed_while_it_makes_containers_makes_no_doubles() {
    for n in [4, 5, 6] {
        up_with_a_crash_after(n);
    }
}

#[test]
fn a_controller_that_is_killed_while_it_starts_containers_goes_on_where_it_was() {
    for n in [7, 8] {
        up_with_a_crash_after(n);
    }
}

#[test]
fn a_controller_that_is_killed_in_the_middle_of_an_update_ends_it_after_the_next_start() {
    let Some(world) = World::new() else { return };
    let (shop, proxy) = (world.project("shop"), world.proxy());
    let write = |generation: usize| {
        let text = SHOP.replace("depends_on", &format!("environment: {{GENERATION: \"{generation}\"}}, depends_on"));
        world.write(&shop, &text);
    };
    write(0);
    let mut controller: Controller = world.run_through(&proxy);
    controller.converged(&shop);
    let mut crashes = 0;
    for n in 1..=6 {
        let revision = controller.revision(&shop);
        hold(&proxy, n);
        write(n);
        let settled = || {
            let view = controller.project(&shop);
            view["revision"] != revision.as_str() && view["state"] == "converged"
        };
        crashes += usize::from(held(&proxy, settled));
        controller.kill9();
        controller.restart();
        wait_until(SOON, "the edit is in force", || controller.revision(&shop) != revision);
        controller.converged(&shop);
        expect_one_of_each(&world, &shop);
        let web = world.engine.container(&shop, "web");
        let environment = world.engine.inspect(&web.id)["Config"]["Env"].to_string();
        assert!(environment.contains(&format!("GENERATION={n}")), "after call {n}: {environment}");
    }
    assert!(crashes >= 5, "an update has five calls at least, it was interrupted {crashes} times");
}

#[test]
fn a_controller_that_is_killed_on_the_way_to_a_revision_that_fails_and_back_ends_where_it_was() {
    let Some(world) = World::new() else { return };
    let (shop, proxy) = (world.project("shop"), world.proxy());
    let write = |generation: usize, fails: bool| {
        let rollout = "x-evenkeel: {rollout: {monitor: 300ms}}";
        let one = format!("image: IMAGE, network_mode: none, environment: {{GENERATION: \"{generation}\"}}, {rollout}");
        let command = if fails { ", command: [no-such-verb]" } else { "" };
        let web = format!("{one}, depends_on: [api]{command}");
        world.write(&shop, &format!("services:\n  api: {{{one}}}\n  web: {{{web}}}\n"));
    };
    write(0, false);
    let mut controller: Controller = world.run_through(&proxy);
    controller.converged(&shop);
    let healthy = |controller: &Controller| {
        let view = controller.project(&shop);
        view["healthy"].is_string() && view["healthy"] == view["revision"]
    };
    wait_until(SOON, "it counts as healthy", || healthy(&controller));
    let mut crashes = 0;
    for n in [1, 3, 4, 5, 6, 7, 8, 10] {
        let back = |controller: &Controller| controller.project(&shop)["state"] == "rolled_back";
        let before = controller.project(&shop)["failed"]["revision"].clone();
        hold(&proxy, n);
        write(n, true);
        // While the next revision is taken up none has failed.
        let failed = |controller: &Controller| {
            let revision = &controller.project(&shop)["failed"]["revision"];
            revision.is_string() && *revision != before
        };
        crashes += usize::from(held(&proxy, || back(&controller) && failed(&controller)));
        controller.kill9();
        controller.restart();
        wait_until(SOON, "it is rolled back", || back(&controller) && failed(&controller));
        let all = world.engine.containers(&shop);
        let names: Vec<_> = all.iter().map(|c| (c.name.clone(), c.is_running())).collect();
        assert_eq!(names, [(format!("{shop}-api-1"), true), (format!("{shop}-web-1"), true)], "after call {n}");
        for container in all {
            let environment = world.engine.inspect(&container.id)["Config"]["Env"].to_string();
            assert!(environment.contains("GENERATION=0"), "after call {n}: {environment}");
        }
    }
    assert!(crashes >= 6, "there and back are eight calls at least; it was interrupted {crashes} times");
}
