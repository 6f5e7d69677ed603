//! What is taken away, in which order, and what is never taken away.

use expect_test::expect;

use super::scene::{Scene, Wanted};

const STORE: &str = "
services:
  web: {image: web:1, depends_on: [db]}
  db: {image: db:1, volumes: ['data:/d']}
volumes: {data: }
";
const WITHOUT_WEB: &str = "{services: {db: {image: 'db:1', volumes: ['data:/d']}}, volumes: {data: }}";

#[test]
fn an_orphan_waits_for_the_second_reading() {
    let mut scene = Scene::converged(STORE);
    scene.absences_confirmed = false;
    scene.change(WITHOUT_WEB);
    expect![[r#"
        waits for a second look at the manifest before anything is removed
        [waiting]
        [db: running]
    "#]]
    .assert_eq(&scene.report());
}

#[test]
fn a_confirmed_orphan_is_stopped_and_removed() {
    let mut scene = Scene::converged(STORE);
    scene.change(WITHOUT_WEB);
    expect![[r#"
        1. stop web/1 (c00000000003): the manifest does not name it any more
        2. remove web/1 (c00000000003): the manifest does not name it any more
    "#]]
    .assert_eq(&scene.settle());
}

#[test]
fn orphans_stay_where_the_manifest_says_so() {
    let mut scene = Scene::converged(STORE);
    scene.change(
        "{services: {db: {image: 'db:1', volumes: ['data:/d']}}, volumes: {data: }, x-evenkeel: {prune: {orphans: false}}}",
    );
    expect![[r#"
        [converged]
        [db: running]
    "#]]
    .assert_eq(&scene.report());
}

#[test]
fn a_manifest_that_is_gone_once_is_still_in_force() {
    let mut scene = Scene::converged(STORE);
    scene.wanted = Wanted::Removed { confirmed: false };
    let web = scene.id("web", 1);
    scene.world.end(&web, 1, false, true);
    expect![[r#"
        start web/1 (c00000000003): it exited with 1 (restart 1)
        waits for a second look at the manifest before anything is removed
    "#]]
    .assert_eq(&scene.text());
}

#[test]
fn a_project_goes_dependents_first_and_networks_last_and_its_volumes_stay() {
    let mut scene = Scene::converged(STORE);
    scene.wanted = Wanted::Removed { confirmed: true };
    expect![[r#"
        1. stop web/1 (c00000000003): the manifest is gone
        2. stop db/1 (c00000000002): the manifest is gone
        2. remove web/1 (c00000000003): the manifest is gone
        3. remove db/1 (c00000000002): the manifest is gone
        4. remove network shop_default: the manifest is gone
    "#]]
    .assert_eq(&scene.settle());
    assert!(scene.decide().gone);
    assert_eq!(scene.world.observed.volumes.len(), 1);
}

#[test]
fn without_a_manifest_the_labels_tell_the_order() {
    let mut scene = Scene::converged(STORE);
    scene.change("services: {other: {image: 'web:1'}}");
    scene.wanted = Wanted::Removed { confirmed: true };
    expect![[r#"
        1. stop web/1 (c00000000003): the manifest is gone
        2. stop db/1 (c00000000002): the manifest is gone
        2. remove web/1 (c00000000003): the manifest is gone
        3. remove db/1 (c00000000002): the manifest is gone
        4. remove network shop_default: the manifest is gone
    "#]]
    .assert_eq(&scene.settle());
}

#[test]
fn the_guard_holds_a_removal_until_it_is_confirmed() {
    let mut scene = Scene::converged(STORE);
    scene.wanted = Wanted::Removed { confirmed: true };
    scene.guard_tripped = true;
    expect![[r#"
        waits for `evenkeel confirm`: too much would be removed at once
        [waiting]
        [db: running]
        [web: running]
    "#]]
    .assert_eq(&scene.report());
    scene.ledger.removal_confirmed = true;
    expect![[r#"
        stop web/1 (c00000000003): the manifest is gone
    "#]]
    .assert_eq(&scene.text());
}

#[test]
fn down_takes_the_project_away_though_its_manifest_is_there() {
    let mut scene = Scene::converged(STORE);
    scene.down(false);
    expect![[r#"
        1. stop web/1 (c00000000003): `down` was asked for
        2. stop db/1 (c00000000002): `down` was asked for
        2. remove web/1 (c00000000003): `down` was asked for
        3. remove db/1 (c00000000002): `down` was asked for
        4. remove network shop_default: `down` was asked for
    "#]]
    .assert_eq(&scene.settle());
    assert_eq!(scene.world.observed.volumes.len(), 1);
}

#[test]
fn down_with_volumes_takes_the_projects_own_volumes_and_no_others() {
    let mut scene = Scene::converged(STORE);
    scene.world.put_volume("shop_elsewhere", None);
    scene.down(true);
    expect![[r#"
        1. stop web/1 (c00000000003): `down` was asked for
        2. stop db/1 (c00000000002): `down` was asked for
        2. remove web/1 (c00000000003): `down` was asked for
        3. remove db/1 (c00000000002): `down` was asked for
        4. remove network shop_default: `down` was asked for
        4. remove volume shop_data: `down` was asked for
    "#]]
    .assert_eq(&scene.settle());
    assert!(scene.world.observed.volumes.contains_key("shop_elsewhere"));
}

#[test]
fn a_manifest_that_never_loaded_changes_nothing() {
    let mut scene = Scene::converged(STORE);
    scene.wanted = Wanted::Unknown;
    scene.ledger = evenkeel::model::ledger::ProjectLedger::default();
    expect![[r#"
        [invalid]
    "#]]
    .assert_eq(&scene.report());
}

#[test]
fn a_volume_of_a_service_that_went_stays() {
    let mut scene = Scene::converged(STORE);
    scene.change("services: {web: {image: 'web:1'}}");
    scene.settle();
    assert_eq!(scene.world.observed.volumes.len(), 1);
}

#[test]
fn containers_of_compose_run_and_of_other_projects_are_left_alone() {
    let mut scene = Scene::converged(STORE);
    let mut run = scene.world.container(&scene.project, "web", 1);
    run.oneoff = true;
    run.name = "shop-web-run-1".into();
    scene.world.put(run);
    let mut other = scene.world.container(&scene.project, "web", 1);
    other.project = evenkeel::model::ProjectName::trusted("other");
    other.name = "other-web-1".into();
    scene.world.put(other);
    assert_eq!(scene.settle(), "");
    scene.change("services: {job: {image: 'web:1'}}");
    scene.settle();
    expect![[r#"
        other-web-1 created config-2
        shop-job-1 running config-2
        shop-web-run-1 created config-2
    "#]]
    .assert_eq(&scene.containers());
}

#[test]
fn a_project_is_not_forgotten_while_a_call_that_was_never_answered_may_still_take_effect() {
    let mut scene = Scene::of(STORE);
    scene.wanted = Wanted::Removed { confirmed: true };
    scene.ledger.unanswered = Some(scene.now());
    scene.world.pass(10);
    expect![[r#"
        waits for what an unanswered call may still bring, until 2026-01-01T00:00:30Z
        [progressing]
    "#]]
    .assert_eq(&scene.report());
    assert!(!scene.decide().gone && scene.decide().wake_at.is_some());
    scene.world.pass(20);
    assert!(scene.decide().gone);
}
