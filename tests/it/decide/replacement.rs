//! A container whose configuration or image changed gives way to another one.

use evenkeel::model::ImageId;
use evenkeel::model::observed::{ContainerState, Health};
use expect_test::expect;

use super::scene::Scene;
use super::world::Run;

const BEFORE: &str = "services: {web: {image: 'web:1', command: before}, db: {image: 'db:1'}}";
const AFTER: &str = "services: {web: {image: 'web:1', command: after}, db: {image: 'db:1'}}";

fn changed() -> Scene {
    let mut scene = Scene::converged(BEFORE);
    scene.change(AFTER);
    scene
}

#[test]
fn the_old_one_stops_before_the_new_one_starts_and_goes_when_that_runs() {
    let mut scene = changed();
    expect![[r#"
        1. create web/1 as c00000000003_shop-web-1: its configuration changed from config-2 to config-3
        2. stop web/1 (c00000000003): its replacement is ready to start
        3. start web/1 (c00000000004): what it waited for is ready
        4. remove web/1 (c00000000003): its replacement runs
        5. rename web/1 to shop-web-1: its replacement runs
    "#]]
    .assert_eq(&scene.settle());
    expect![[r#"
        shop-db-1 running config-1
        shop-web-1 running config-3
    "#]]
    .assert_eq(&scene.containers());
}

#[test]
fn only_what_changed_is_drift() {
    let drift: Vec<_> = changed()
        .decide()
        .drift
        .iter()
        .map(|d| format!("{}/{} {}", d.service.as_ref().unwrap(), d.number.unwrap(), d.path))
        .collect();
    assert_eq!(drift, ["web/1 configuration"]);
}

#[test]
fn another_image_is_a_replacement_too() {
    let mut scene = Scene::converged(BEFORE);
    scene.world.observed.images.insert("web:1".into(), Some(ImageId::trusted("sha256:another")));
    expect![[r#"
        1. create web/1 as c00000000003_shop-web-1: its image changed from web:1 to another
        2. stop web/1 (c00000000003): its replacement is ready to start
        3. start web/1 (c00000000004): what it waited for is ready
        4. remove web/1 (c00000000003): its replacement runs
        5. rename web/1 to shop-web-1: its replacement runs
    "#]]
    .assert_eq(&scene.settle());
}

#[test]
fn the_old_one_stays_until_the_new_one_is_healthy() {
    let yaml = |command: &str| {
        format!("services: {{web: {{image: 'web:1', command: {command}, healthcheck: {{test: [CMD, check]}}}}}}")
    };
    let mut scene = Scene::converged(&yaml("before"));
    scene.change(&yaml("after"));
    scene.runs.insert("web".into(), Run::Stays(Health::Starting));
    expect![[r#"
        1. create web/1 as c00000000002_shop-web-1: its configuration changed from config-1 to config-2
        2. stop web/1 (c00000000002): its replacement is ready to start
        3. start web/1 (c00000000003): what it waited for is ready
        -  web waits for its health check
    "#]]
    .assert_eq(&scene.settle());
    let id = scene.id("web", 1);
    scene.world.get(&id).health = Health::Healthy;
    expect![[r#"
        1. remove web/1 (c00000000002): its replacement runs
        2. rename web/1 to shop-web-1: its replacement runs
    "#]]
    .assert_eq(&scene.settle());
}

#[test]
fn while_a_dependency_is_not_ready_the_old_one_goes_on_running() {
    let yaml = |command: &str| {
        format!(
            "
services:
  web: {{image: 'web:1', command: {command}, depends_on: {{db: {{condition: service_healthy}}}}}}
  db: {{image: 'db:1', healthcheck: {{test: [CMD, check]}}}}
"
        )
    };
    let mut scene = Scene::converged(&yaml("before"));
    scene.recovery.enabled = false;
    let db = scene.id("db", 1);
    scene.world.get(&db).health = Health::Unhealthy;
    scene.change(&yaml("after"));
    expect![[r#"
        1. create web/1 as c00000000003_shop-web-1: its configuration changed from config-2 to config-3
        -  web waits for db (service_healthy): it is unhealthy
    "#]]
    .assert_eq(&scene.settle());
    expect![[r#"
        c00000000003_shop-web-1 created config-3
        shop-db-1 running config-1
        shop-web-1 running config-2
    "#]]
    .assert_eq(&scene.containers());
}

#[test]
fn a_replacement_that_ends_gives_way_to_the_old_one_and_is_tried_again_later_and_later() {
    let mut scene = changed();
    let mut text = String::new();
    for (round, seconds) in [0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 1, 1].into_iter().enumerate() {
        // The old one would run; only what is made now fails.
        let starts_old = scene.text().contains("its replacement did not come up");
        scene.runs.insert("web".into(), if starts_old { Run::Stays(Health::None) } else { Run::Exits(3) });
        text += &format!("--- {round}\n{}", scene.round());
        scene.world.pass(seconds);
    }
    expect![[r#"
        --- 0
        create web/1 as c00000000003_shop-web-1: its configuration changed from config-2 to config-3
        --- 1
        stop web/1 (c00000000003): its replacement is ready to start
        --- 2
        start web/1 (c00000000004): what it waited for is ready
        --- 3
        remove web/1 (c00000000004): it did not come up
        --- 4
        start web/1 (c00000000003): its replacement did not come up
        web waits for the next attempt at 2026-01-01T00:00:04Z (1 so far): the new container ended before it was ready
        --- 5
        web waits for the next attempt at 2026-01-01T00:00:04Z (1 so far): the new container ended before it was ready
        --- 6
        create web/1 as c00000000003_shop-web-1: its configuration changed from config-2 to config-3
        --- 7
        stop web/1 (c00000000003): its replacement is ready to start
        --- 8
        start web/1 (c00000000005): what it waited for is ready
        --- 9
        remove web/1 (c00000000005): it did not come up
        --- 10
        start web/1 (c00000000003): its replacement did not come up
        web waits for the next attempt at 2026-01-01T00:00:06Z (2 so far): the new container ended before it was ready
        --- 11
        web waits for the next attempt at 2026-01-01T00:00:06Z (2 so far): the new container ended before it was ready
        --- 12
        web waits for the next attempt at 2026-01-01T00:00:06Z (2 so far): the new container ended before it was ready
        --- 13
        create web/1 as c00000000003_shop-web-1: its configuration changed from config-2 to config-3
    "#]]
    .assert_eq(&text);
}

#[test]
fn a_fall_back_that_fails_waits_for_the_next_attempt() {
    let mut scene = changed();
    // The new one was removed after it failed; the old one was started in its place, and that failed too.
    let old = scene.id("web", 1);
    scene.world.end(&old, 0, true, true);
    scene.world.get(&old).error = Some("port is already allocated".into());
    scene.fails("web", 3, "port is already allocated");
    expect![[r#"
        web waits for the next attempt at 2026-01-01T00:00:07Z (3 so far): port is already allocated
    "#]]
    .assert_eq(&scene.text());
}

#[test]
fn a_replacement_that_the_engine_restarts_over_and_over_is_given_up() {
    let mut scene = changed();
    scene.runs.insert("web".into(), Run::Stays(Health::None));
    for _ in 0..3 {
        scene.round();
    }
    let new = scene.id("web", 1);
    scene.world.get(&new).state = ContainerState::Restarting;
    scene.world.get(&new).engine_restarts = true;
    scene.world.get(&new).restart_count = 1;
    expect![[r#"
        web waits for the Engine to restart it
        [degraded]
        [db: running]
        [web: failed (1x): it ended, and the Engine restarts it]
    "#]]
    .assert_eq(&scene.report());
    scene.world.get(&new).restart_count = 3;
    expect![[r#"
        stop web/1 (c00000000004): it did not come up
    "#]]
    .assert_eq(&scene.text());
}

#[test]
fn a_replacement_that_somebody_paused_goes_on() {
    let mut scene = changed();
    for _ in 0..3 {
        scene.round();
    }
    let new = scene.id("web", 1);
    scene.world.get(&new).state = ContainerState::Paused;
    expect![[r#"
        unpause web/1: it was paused from outside
    "#]]
    .assert_eq(&scene.text());
}

#[test]
fn a_replacement_that_is_dead_is_removed() {
    let mut scene = changed();
    for _ in 0..3 {
        scene.round();
    }
    let new = scene.id("web", 1);
    scene.world.get(&new).state = ContainerState::Dead;
    expect![[r#"
        remove web/1 (c00000000004): it is dead
    "#]]
    .assert_eq(&scene.text());
}

#[test]
fn a_change_back_in_the_middle_keeps_the_old_one() {
    let mut scene = changed();
    scene.round();
    scene.change(BEFORE);
    expect![[r#"
        1. remove web/1 (c00000000004): its replacement runs
    "#]]
    .assert_eq(&scene.settle());
    expect![[r#"
        shop-db-1 running config-1
        shop-web-1 running config-2
    "#]]
    .assert_eq(&scene.containers());
}

#[test]
fn a_container_name_of_its_own_is_given_back_to_the_new_one() {
    let yaml =
        |command: &str| format!("services: {{web: {{image: 'web:1', command: {command}, container_name: front}}}}");
    let mut scene = Scene::converged(&yaml("before"));
    scene.change(&yaml("after"));
    scene.settle();
    expect![[r#"
        front running config-2
    "#]]
    .assert_eq(&scene.containers());
}

#[test]
fn a_replacement_that_is_unhealthy_is_stopped_and_removed_and_the_old_one_serves_on() {
    let yaml = |command: &str| {
        format!("services: {{web: {{image: 'web:1', command: {command}, healthcheck: {{test: [CMD, check]}}}}}}")
    };
    let mut scene = Scene::converged(&yaml("before"));
    scene.change(&yaml("after"));
    for _ in 0..3 {
        scene.round();
    }
    let new = scene.id("web", 1);
    scene.world.get(&new).health = Health::Unhealthy;
    let mut text = String::new();
    for _ in 0..4 {
        text += &scene.round();
    }
    expect![[r#"
        stop web/1 (c00000000003): it did not come up
        remove web/1 (c00000000003): it did not come up
        start web/1 (c00000000002): its replacement did not come up
        web waits for the next attempt at 2026-01-01T00:00:04Z (1 so far): the new container did not come up, and was stopped
        web waits for the next attempt at 2026-01-01T00:00:04Z (1 so far): the new container did not come up, and was stopped
    "#]]
    .assert_eq(&text);
}
