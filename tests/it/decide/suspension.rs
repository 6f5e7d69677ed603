//! What is watched and not touched.

use evenkeel::model::{InstanceId, ServiceName};
use expect_test::expect;

use super::scene::{Scene, Wanted};

const TWO: &str = "services: {web: {image: 'web:1'}, db: {image: 'db:1'}}";

#[test]
fn a_suspended_project_is_reported_and_not_touched() {
    let mut scene = Scene::converged(TWO);
    let web = scene.id("web", 1);
    scene.world.end(&web, 1, false, true);
    scene.ledger.suspended = true;
    expect![[r#"
        waits for `evenkeel resume`: it is suspended
        [suspended]
        [db: suspended]
        [web: suspended]
    "#]]
    .assert_eq(&scene.report());
    scene.ledger.suspended = false;
    expect![[r#"
        start web/1 (c00000000003): it exited with 1 (restart 1)
    "#]]
    .assert_eq(&scene.text());
}

#[test]
fn the_manifest_may_suspend_its_project() {
    let scene = Scene::of("{services: {web: {image: 'web:1'}}, x-evenkeel: {suspend: true}}");
    expect![[r#"
        waits for `evenkeel resume`: it is suspended
        [suspended]
        [web: suspended]
    "#]]
    .assert_eq(&scene.report());
}

#[test]
fn a_suspended_service_leaves_the_others_working() {
    let mut scene = Scene::of(TWO).with_networks();
    scene.ledger.suspended_services.insert(ServiceName::trusted("web"));
    expect![[r#"
        1. create db/1 as shop-db-1: it is not there
        2. start db/1 (c00000000002): what it waited for is ready
        -  web waits for `evenkeel resume`: it is suspended
    "#]]
    .assert_eq(&scene.settle());
    expect![[r#"
        web waits for `evenkeel resume`: it is suspended
        [converged]
        [db: running]
        [web: suspended]
    "#]]
    .assert_eq(&scene.report());
}

#[test]
fn the_manifest_may_suspend_a_service() {
    let mut scene = Scene::of("services: {web: {image: 'web:1', x-evenkeel: {suspend: true}}}").with_networks();
    expect![[r#"
        -  web waits for `evenkeel resume`: it is suspended
    "#]]
    .assert_eq(&scene.settle());
}

#[test]
fn a_suspended_project_can_be_taken_down() {
    let mut scene = Scene::converged(TWO);
    scene.ledger.suspended = true;
    scene.down(false);
    expect![[r#"
        stop db/1 (c00000000002): `down` was asked for
        stop web/1 (c00000000003): `down` was asked for
    "#]]
    .assert_eq(&scene.text());
}

#[test]
fn what_another_instance_made_is_left_to_it_unless_it_is_taken_over() {
    let mut scene = Scene::converged(TWO);
    let web = scene.id("web", 1);
    scene.world.get(&web).instance = Some(InstanceId::trusted("them"));
    scene.world.end(&web, 1, false, true);
    expect![[r#"
        waits for `--take-over`: it was made by the evenkeel instance them
        [waiting]
    "#]]
    .assert_eq(&scene.report());
    scene.take_over = true;
    expect![[r#"
        start web/1 (c00000000003): it exited with 1 (restart 1)
    "#]]
    .assert_eq(&scene.text());
}

#[test]
fn what_we_or_nobody_in_particular_made_is_ours() {
    let mut scene = Scene::converged(TWO);
    let web = scene.id("web", 1);
    scene.world.get(&web).instance = Some(InstanceId::trusted("us"));
    expect![[r#"
        [converged]
        [db: running]
        [web: running]
    "#]]
    .assert_eq(&scene.report());
}

#[test]
fn a_suspended_project_whose_manifest_is_removed_stays_until_it_is_resumed() {
    let mut scene = Scene::converged("services: {web: {image: 'web:1'}}");
    scene.ledger.suspended = true;
    scene.wanted = Wanted::Removed { confirmed: true };
    expect![[r#"
        waits for `evenkeel resume`: it is suspended
    "#]]
    .assert_eq(&scene.text());
    scene.ledger.suspended = false;
    scene.settle();
    assert!(scene.world.observed.containers.is_empty());
}
