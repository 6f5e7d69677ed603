//! The controller's own end and its next beginning.

use std::time::Duration;

use crate::support::{Fault, SOON, World, wait_until};

#[test]
fn a_terminated_controller_leaves_everything_running_and_the_next_one_adopts_it() {
    let Some(world) = World::new() else { return };
    let (shop, proxy) = (world.project("shop"), world.proxy());
    world.write(
        &shop,
        "services:\n  db: {image: IMAGE, volumes: [\"data:/data\"]}\n  web: {image: IMAGE, depends_on: [db]}\nvolumes: {data: {}}\n",
    );
    let mut controller = world.run_through(&proxy);
    controller.converged(&shop);
    let (status, took) = controller.terminate();
    assert!(status.success() && took < Duration::from_secs(10), "{status} after {took:?}");
    assert_eq!(world.engine.running(&shop), 2);
    let before = world.engine.containers(&shop);
    let started: Vec<_> = before.iter().map(|c| world.engine.started(&c.id)).collect();

    proxy.clear();
    controller.restart();
    controller.converged(&shop);
    let after = world.engine.containers(&shop);
    for (n, container) in after.iter().enumerate() {
        assert_eq!(container.id, before[n].id);
        assert_eq!(world.engine.started(&container.id), started[n]);
    }
    let mutations: Vec<_> = proxy.calls().into_iter().filter(|call| call.mutates()).map(|call| call.path).collect();
    assert_eq!(mutations, Vec::<String>::new());
}

#[test]
fn a_lost_state_folder_is_no_reason_to_touch_what_fits() {
    let Some(world) = World::new() else { return };
    let (shop, proxy) = (world.project("shop"), world.proxy());
    world.write(&shop, super::ONE);
    let mut controller = world.run();
    controller.converged(&shop);
    let before = world.engine.container(&shop, "web");
    controller.terminate();
    let again = world.controller().engine(&proxy.url()).state("fresh").argument("--take-over").start();
    again.converged(&shop);
    assert_eq!(world.engine.container(&shop, "web").id, before.id);
    assert_eq!(proxy.calls().iter().filter(|call| call.mutates()).count(), 0);
}

#[test]
fn the_step_that_runs_is_finished_before_the_end() {
    let Some(world) = World::new() else { return };
    let (shop, proxy) = (world.project("shop"), world.proxy());
    world.write(&shop, super::ONE);
    proxy.fail_next(|call| call.is("POST", "/containers/create"), Fault::Hold(Duration::from_secs(2)));
    let mut controller = world.run_through(&proxy);
    wait_until(SOON, "the creation is under way", || !world.engine.containers(&shop).is_empty());
    let (status, took) = controller.terminate();
    assert!(status.success() && took < Duration::from_secs(10), "{status} after {took:?}");
    let made = world.engine.container(&shop, "web");
    assert_eq!(made.state, "created", "no new work was taken up");
    // What it made was remembered as complete: it is started, not made again.
    controller.restart();
    controller.converged(&shop);
    assert_eq!(world.engine.container(&shop, "web").id, made.id);
}

#[test]
fn a_call_that_does_not_end_does_not_keep_the_controller_from_ending() {
    let Some(world) = World::new() else { return };
    let (shop, proxy) = (world.project("shop"), world.proxy());
    world.write(&shop, super::ONE);
    proxy.fail_next(|call| call.is("POST", "/containers/create"), Fault::Hold(Duration::from_secs(60)));
    let mut controller = world.run_through(&proxy);
    wait_until(SOON, "the creation is under way", || !world.engine.containers(&shop).is_empty());
    let (status, took) = controller.terminate();
    assert!(status.success() && took < Duration::from_secs(10), "{status} after {took:?}");
    controller.restart();
    controller.converged(&shop);
    assert_eq!(world.engine.container(&shop, "web").name, format!("{shop}-web-1"));
}
