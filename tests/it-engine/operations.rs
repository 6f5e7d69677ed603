//! The verbs that ask for something.

use std::time::Duration;

use crate::support::{SOON, World, stays, wait_until};

const TWO: &str = "services:\n  a: {image: IMAGE, network_mode: none}\n  b: {image: IMAGE, network_mode: none}\n";

#[track_caller]
fn ask(world: &World, arguments: &[&str]) {
    let verb = world.verb(arguments);
    assert_eq!(verb.code, Some(0), "{verb:?}");
}

#[test]
fn what_is_suspended_is_left_alone_until_it_is_resumed() {
    let Some(world) = World::new() else { return };
    let shop = world.project("shop");
    world.write(&shop, TWO);
    let mut controller = world.run();
    controller.converged(&shop);
    let containers = world.engine.containers(&shop);
    let down = || world.engine.running(&shop);

    ask(&world, &["suspend", &format!("{shop}.a")]);
    controller.in_state(&shop, "a", "suspended");
    world.engine.kill(&containers[0].id);
    world.engine.kill(&containers[1].id);
    wait_until(SOON, "the other service is back", || world.engine.container(&shop, "b").is_running());
    stays(Duration::from_secs(2), "the suspended service stays down", || down() == 1);
    // It is remembered.
    controller.kill9();
    controller.restart();
    stays(Duration::from_secs(2), "the suspended service stays down", || down() == 1);
    ask(&world, &["resume", &format!("{shop}.a")]);
    wait_until(SOON, "it is back", || down() == 2);

    ask(&world, &["suspend", &shop]);
    wait_until(SOON, "the project is suspended", || controller.project(&shop)["state"] == "suspended");
    world.engine.stop(&containers[0].id);
    stays(Duration::from_secs(2), "the project is not touched", || down() == 1);
    ask(&world, &["resume", &shop]);
    wait_until(SOON, "it is back", || down() == 2);
    controller.converged(&shop);
}

#[test]
fn a_project_that_is_taken_down_stays_down_and_keeps_its_volumes_unless_told_otherwise() {
    let Some(world) = World::new() else { return };
    let shop = world.project("shop");
    world.write(&shop, "services: {db: {image: IMAGE, volumes: [\"data:/data\"]}}\nvolumes: {data: {}}\n");
    let mut controller = world.run();
    controller.converged(&shop);
    ask(&world, &["down", &shop]);
    assert!(world.engine.containers(&shop).is_empty() && world.engine.networks(&shop).is_empty());
    assert_eq!(world.engine.volumes(&shop), [format!("{shop}_data")]);
    wait_until(SOON, "it is suspended", || controller.project(&shop)["state"] == "suspended");
    controller.terminate();
    controller.restart();
    stays(Duration::from_secs(2), "it stays down", || world.engine.containers(&shop).is_empty());
    ask(&world, &["resume", &shop]);
    controller.converged(&shop);
    assert_eq!(world.engine.running(&shop), 1);

    ask(&world, &["down", "--volumes", &shop]);
    assert!(world.engine.containers(&shop).is_empty());
    wait_until(SOON, "its volumes are gone", || world.engine.volumes(&shop).is_empty());
}

#[test]
fn without_a_controller_the_verbs_do_it_themselves() {
    let Some(world) = World::new() else { return };
    let (shop, other) = (world.project("shop"), world.project("other"));
    world.write(&shop, TWO);
    world.write(&other, super::ONE);
    ask(&world, &["apply"]);
    ask(&world, &["down", &shop]);
    assert!(world.engine.containers(&shop).is_empty());
    assert_eq!(world.engine.running(&other), 1);
    let controller = world.run();
    controller.converged(&other);
    assert_eq!(controller.project(&shop)["state"], "suspended");
    drop(controller);
    ask(&world, &["resume", &shop]);
    assert!(world.engine.containers(&shop).is_empty(), "the verb only remembers");
    let controller = world.run();
    controller.converged(&shop);
    assert_eq!(world.engine.running(&shop), 2);
}

/// The project is known from an earlier `apply` only, and nothing of it may be left when the verb says that it is done.
#[test]
fn down_of_a_project_that_no_manifest_declares_ends_when_nothing_is_left() {
    let Some(world) = World::new() else { return };
    let shop = world.project("shop");
    let elsewhere = world.dir().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    let manifest = elsewhere.join("shop.yaml");
    std::fs::write(&manifest, world.text(&shop, TWO)).unwrap();
    for _ in 0..2 {
        ask(&world, &["apply", manifest.to_str().unwrap()]);
        assert_eq!(world.engine.running(&shop), 2);
        ask(&world, &["down", &shop]);
        assert!(world.engine.containers(&shop).is_empty());
    }
}

#[test]
fn an_unknown_name_is_refused_and_nothing_happens() {
    let Some(world) = World::new() else { return };
    let (shop, other) = (world.project("shop"), world.project("other"));
    for project in [&shop, &other] {
        world.write(project, super::ONE);
    }
    let controller = world.run();
    controller.converged(&shop);
    controller.converged(&other);
    for (arguments, said) in [
        (vec!["suspend", "nobody"], "nobody"),
        (vec!["down", "nobody"], "nobody"),
        // Both have one of that name.
        (vec!["suspend", "web"], other.as_str()),
        (vec!["status", "nobody"], "nobody"),
    ] {
        let verb = world.verb(&arguments);
        assert!(verb.code == Some(1) && verb.err.contains(said), "{arguments:?}: {verb:?}");
    }
    assert_eq!((world.engine.running(&shop), world.engine.running(&other)), (1, 1));
}
