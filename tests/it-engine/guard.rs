//! Mass deletion needs somebody's word.

use std::fs;
use std::time::Duration;

use crate::support::{Controller, SOON, World, stays, wait_until};

fn four(world: &World) -> (Vec<String>, Controller) {
    let projects: Vec<String> = ["a", "b", "c", "d"].iter().map(|name| world.project(name)).collect();
    for project in &projects {
        world.write(project, super::ONE);
    }
    let controller = world.controller().env("EVENKEEL_MANIFESTS_RESCAN", "1s").start();
    for project in &projects {
        controller.converged(project);
    }
    (projects, controller)
}

fn all_run(world: &World, projects: &[String]) -> bool {
    projects.iter().all(|project| world.engine.running(project) == 1)
}

fn tripped(controller: &Controller) -> bool {
    controller.get("/api/projects")["guard"].is_string()
}

#[test]
fn most_manifests_removed_at_once_trip_the_guard_until_somebody_confirms() {
    let Some(world) = World::new() else { return };
    let (projects, mut controller) = four(&world);
    for project in &projects[..3] {
        world.delete(project);
    }
    wait_until(SOON, "the guard trips", || tripped(&controller));
    stays(Duration::from_millis(2500), "nothing is removed", || all_run(&world, &projects));
    assert_eq!(controller.project(&projects[0])["waiting"][0]["on"], "guard");
    assert_eq!(controller.metric("waiting", &[("reason", "guard")]), Some(3.0));
    let types = controller.get("/api/events?event_type=GuardTripped")["events"].as_array().unwrap().len();
    assert_eq!(types, 1);

    // A restart is no confirmation.
    controller.terminate();
    controller.restart();
    wait_until(SOON, "the guard trips at the start too", || tripped(&controller));
    stays(Duration::from_millis(2500), "nothing is removed", || all_run(&world, &projects));

    let confirmed = world.verb(&["confirm"]);
    assert_eq!(confirmed.code, Some(0), "{confirmed:?}");
    wait_until(SOON, "the three are gone", || projects[..3].iter().all(|p| world.engine.containers(p).is_empty()));
    assert_eq!(world.engine.running(&projects[3]), 1);
    assert!(!tripped(&controller));
    let again = world.verb(&["confirm"]);
    assert!(again.code == Some(0) && again.out.contains("nothing to confirm"), "{again:?}");
}

#[test]
fn a_manifests_directory_that_is_away_removes_nothing_and_cannot_be_confirmed() {
    let Some(world) = World::new() else { return };
    let (projects, controller) = four(&world);
    let away = world.dir().join("away");
    fs::rename(world.manifests(), &away).unwrap();
    wait_until(SOON, "the guard trips", || tripped(&controller));
    stays(Duration::from_millis(2500), "nothing is removed", || all_run(&world, &projects));
    let confirmed = world.verb(&["confirm"]);
    assert_eq!(confirmed.code, Some(1), "{confirmed:?}");
    let web = world.engine.container(&projects[0], "web");
    let started = world.engine.started(&web.id);
    world.engine.kill(&web.id);
    wait_until(SOON, "what is known is still kept true", || {
        world.engine.container(&projects[0], "web").is_running() && world.engine.started(&web.id) != started
    });

    fs::rename(&away, world.manifests()).unwrap();
    wait_until(SOON, "the guard is open again", || !tripped(&controller));
    for project in &projects {
        controller.converged(project);
    }
    assert!(all_run(&world, &projects));
    // The directory that came back is watched like the one before.
    let revision = controller.revision(&projects[0]);
    world.write(&projects[0], "services: {web: {image: IMAGE, network_mode: none, environment: {A: \"1\"}}}\n");
    controller.converged_anew(&projects[0], &revision);
}

#[test]
fn an_emptied_directory_is_not_taken_for_a_wish() {
    let Some(world) = World::new() else { return };
    let (projects, controller) = four(&world);
    fs::remove_dir_all(world.manifests()).unwrap();
    fs::create_dir(world.manifests()).unwrap();
    wait_until(SOON, "the guard trips", || tripped(&controller));
    stays(Duration::from_millis(2500), "nothing is removed", || all_run(&world, &projects));
    for project in &projects {
        world.write(project, super::ONE);
    }
    wait_until(SOON, "the guard is open again", || !tripped(&controller));
    assert!(all_run(&world, &projects));
}
