//! From nothing to what the manifest says.

use expect_test::expect;

use super::scene::Scene;
use evenkeel::model::ImageId;
use evenkeel::model::observed::ContainerState;

const STORE: &str = "
services:
  web: {image: web:1, depends_on: [db]}
  db: {image: db:1, volumes: ['data:/d']}
volumes: {data: }
";

#[test]
fn from_nothing_networks_and_volumes_come_first_then_containers_then_starts_in_order() {
    expect![[r#"
        1. create network shop_default: it is not there
        1. create volume shop_data: it is not there
        2. create db/1 as shop-db-1: it is not there
        2. create web/1 as shop-web-1: it is not there
        3. start db/1 (c00000000002): what it waited for is ready
        4. start web/1 (c00000000003): what it waited for is ready
    "#]]
    .assert_eq(&Scene::of(STORE).settle());
}

#[test]
fn a_second_decision_after_convergence_is_empty() {
    let scene = Scene::converged(STORE);
    expect![[r#"
        [converged]
        [db: running]
        [web: running]
    "#]]
    .assert_eq(&scene.report());
}

#[test]
fn what_is_in_flight_is_not_begun_again() {
    let mut scene = Scene::of(STORE);
    for step in scene.decide().steps {
        scene.in_flight.insert(step.action.subject(), step.action.clone());
    }
    expect![[r#"
        [progressing]
        [db: waiting for its image, networks and volumes]
        [web: waiting for its image, networks and volumes]
    "#]]
    .assert_eq(&scene.report());
}

#[test]
fn a_container_is_only_made_once_its_volume_and_networks_are_there() {
    let scene = Scene::of(STORE).with_networks();
    expect![[r#"
        create volume shop_data: it is not there
        create web/1 as shop-web-1: it is not there
        [progressing]
        [db: waiting for its image, networks and volumes]
        [web: starting]
    "#]]
    .assert_eq(&scene.report());
}

#[test]
fn a_missing_image_is_fetched_first() {
    let mut scene = Scene::of("services: {web: {image: 'web:1'}}").with_networks();
    scene.world.observed.images.insert("web:1".into(), None);
    expect![[r#"
        1. pull image web:1: it is not there
        2. create web/1 as shop-web-1: it is not there
        3. start web/1 (c00000000002): what it waited for is ready
    "#]]
    .assert_eq(&scene.settle());
}

#[test]
fn an_image_that_may_not_be_fetched_leaves_the_word_to_the_engine() {
    let mut scene = Scene::of("services: {web: {image: 'web:1', pull_policy: never}}").with_networks();
    scene.world.observed.images.insert("web:1".into(), None);
    expect![[r#"
        create web/1 as shop-web-1: it is not there
    "#]]
    .assert_eq(&scene.text());
}

#[test]
fn nothing_is_made_of_an_image_that_was_not_looked_up_yet() {
    let mut scene = Scene::of("services: {web: {image: 'web:1'}}").with_networks();
    scene.world.observed.images.clear();
    expect![[r#"
        [waiting]
        [web: waiting for its image, networks and volumes]
    "#]]
    .assert_eq(&scene.report());
}

#[test]
fn an_image_that_vanished_does_not_disturb_what_runs() {
    let mut scene = Scene::converged("services: {web: {image: 'web:1'}}");
    scene.world.observed.images.insert("web:1".into(), None);
    expect![[r#"
        [converged]
        [web: running]
    "#]]
    .assert_eq(&scene.report());
}

#[test]
fn a_created_container_whose_making_was_not_seen_to_its_end_is_made_again() {
    let mut scene = Scene::of("services: {web: {image: 'web:1'}}").with_networks();
    let mut half = scene.world.container(&scene.project, "web", 1);
    half.state = ContainerState::Created;
    scene.world.put(half);
    expect![[r#"
        1. remove web/1 (c00000000002): its creation was interrupted
        2. create web/1 as shop-web-1: it is not there
        3. start web/1 (c00000000003): what it waited for is ready
    "#]]
    .assert_eq(&scene.settle());
}

#[test]
fn a_failed_creation_is_tried_again_after_its_backoff() {
    let mut scene = Scene::of("services: {web: {image: 'web:1'}, other: {image: 'web:1'}}").with_networks();
    scene.fails("web", 3, "no space left on device");
    expect![[r#"
        create other/1 as shop-other-1: it is not there
        web waits for the next attempt at 2026-01-01T00:00:04Z (3 so far): no space left on device
        [degraded]
        [other: starting]
        [web: failed (3x): no space left on device]
    "#]]
    .assert_eq(&scene.report());
    scene.world.pass(3);
    assert!(!scene.text().contains("create web/1"));
    scene.world.pass(1);
    assert!(scene.text().contains("create web/1"));
}

#[test]
fn another_configuration_is_tried_at_once() {
    let mut scene = Scene::of("services: {web: {image: 'web:1'}}").with_networks();
    scene.fails("web", 9, "port is already allocated");
    scene.change("services: {web: {image: 'web:1', command: other}}");
    expect![[r#"
        create web/1 as shop-web-1: it is not there
    "#]]
    .assert_eq(&scene.text());
}

#[test]
fn an_image_under_the_same_reference_that_is_another_one_now_is_a_change() {
    let mut scene = Scene::converged("services: {web: {image: 'web:1'}}");
    scene.world.observed.images.insert("web:1".into(), Some(ImageId::trusted("sha256:another")));
    expect![[r#"
        create web/1 as c00000000002_shop-web-1: its image changed from web:1 to another
    "#]]
    .assert_eq(&scene.text());
}
