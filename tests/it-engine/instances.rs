//! One writer.

use std::time::Duration;

use crate::support::{SOON, World, stays, wait_until};

#[test]
fn a_second_writer_on_the_same_state_folder_is_refused_and_told_who_has_it() {
    let Some(world) = World::new() else { return };
    let shop = world.project("shop");
    world.write(&shop, super::ONE);
    let mut controller = world.run();
    controller.converged(&shop);
    for arguments in [vec!["run", "--listen", "127.0.0.1:0"], vec!["apply"]] {
        let refused = world.verb(&arguments);
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.err.contains("evenkeel run") && refused.err.contains("pid "), "{refused:?}");
    }
    for arguments in [vec!["plan"], vec!["status"], vec!["validate"]] {
        assert_eq!(world.verb(&arguments).code, Some(0), "{arguments:?} needs no lock");
    }
    // The lock goes with the process, however that ends.
    controller.kill9();
    assert_eq!(world.verb(&["apply"]).code, Some(0));
}

#[test]
fn what_another_instance_made_is_reported_and_not_touched_unless_it_is_taken_over() {
    let Some(world) = World::new() else { return };
    let (shop, proxy) = (world.project("shop"), world.proxy());
    world.write(&shop, super::ONE);
    let mut first = world.run();
    first.converged(&shop);
    first.terminate();

    let other = world.controller().engine(&proxy.url()).state("other");
    let mut second = other.clone().start();
    wait_until(SOON, "it is reported", || second.project(&shop)["waiting"][0]["on"] == "other_instance");
    assert_eq!(second.metric("waiting", &[("project", &shop), ("reason", "other_instance")]), Some(1.0));
    let web = world.engine.container(&shop, "web");
    world.engine.kill(&web.id);
    stays(Duration::from_secs(2), "it is not touched", || !world.engine.container(&shop, "web").is_running());
    assert_eq!(proxy.calls().iter().filter(|call| call.mutates()).count(), 0);
    second.terminate();

    let third = other.argument("--take-over").start();
    third.converged(&shop);
    wait_until(SOON, "it is back", || world.engine.container(&shop, "web").is_running());
}
