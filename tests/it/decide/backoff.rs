//! The pace of restarts.

use std::fmt::Write as _;

use expect_test::expect;

use super::restarts::{manifest, remember};
use super::scene::Scene;

#[test]
fn the_first_restart_is_made_at_once_and_the_next_ones_wait_longer_and_longer() {
    let mut text = String::new();
    for restarts in [0, 1, 2, 3, 9, 40] {
        let mut scene = Scene::of(&manifest("restart: always", false)).with_networks();
        let id = scene.running("a", 1);
        remember(&mut scene, restarts, &id);
        scene.world.pass(30);
        scene.world.end(&id, 1, false, true);
        let decision = scene.decide();
        let wait = decision.wake_at.map_or(0, |at| at.duration_since(scene.now()).as_secs());
        writeln!(text, "{restarts} made, {wait} s: {}", decision.to_string().trim_end()).unwrap();
    }
    expect![[r#"
        0 made, 0 s: start a/1 (c00000000002): it exited with 1 (restart 1)
        1 made, 1 s: a waits for the next attempt at 2026-01-01T00:00:31Z (1 so far): it exited with 1 (restart 2)
        2 made, 2 s: a waits for the next attempt at 2026-01-01T00:00:32Z (2 so far): it exited with 1 (restart 3)
        3 made, 4 s: a waits for the next attempt at 2026-01-01T00:00:34Z (3 so far): it exited with 1 (restart 4)
        9 made, 256 s: a waits for the next attempt at 2026-01-01T00:04:46Z (9 so far): it exited with 1 (restart 10)
        40 made, 300 s: a waits for the next attempt at 2026-01-01T00:05:30Z (40 so far): it exited with 1 (restart 41)
    "#]]
    .assert_eq(&text);
}

#[test]
fn after_ten_minutes_of_running_the_count_begins_anew() {
    let mut scene = Scene::of(&manifest("restart: always", false)).with_networks();
    let id = scene.running("a", 1);
    remember(&mut scene, 8, &id);
    scene.world.pass(600);
    scene.world.end(&id, 1, false, true);
    expect![[r#"
        start a/1 (c00000000002): it exited with 1 (restart 1)
    "#]]
    .assert_eq(&scene.text());
}

#[test]
fn a_container_that_somebody_removes_over_and_over_is_made_later_and_later() {
    let mut scene = Scene::converged(&manifest("restart: always", false));
    let mut text = String::new();
    for _ in 0..4 {
        scene.world.observed.containers.clear();
        text += &scene.text();
        scene.world.pass(20);
        scene.settle();
    }
    expect![[r#"
        create a/1 as shop-a-1: somebody removed it (restart 1)
        create a/1 as shop-a-1: somebody removed it (restart 2)
        create a/1 as shop-a-1: somebody removed it (restart 3)
        a waits for the next attempt at 2026-01-01T00:01:11Z (3 so far): somebody removed it (restart 4)
    "#]]
    .assert_eq(&text);
}

#[test]
fn a_clock_of_the_engine_that_is_ahead_makes_no_delay_longer() {
    let mut scene = Scene::of(&manifest("restart: always", false)).with_networks();
    let id = scene.running("a", 1);
    remember(&mut scene, 2, &id);
    scene.world.pass(3600);
    let ended = scene.now();
    scene.world.end(&id, 1, false, true);
    scene.world.now = ended.checked_sub(std::time::Duration::from_secs(3000)).unwrap();
    let wake = scene.decide().wake_at;
    assert!(wake.is_none_or(|at| at.duration_since(scene.now()).as_secs() <= 2), "{wake:?}");
}

#[test]
fn a_failure_is_not_over_only_because_nobody_knows_which_image_is_meant() {
    let text = manifest("restart: always", false);
    let mut scene = Scene::converged(&text);
    scene.fails("a", 1, "no space left on device");
    assert_eq!(scene.decide().mended.len(), 1, "it runs as desired");
    scene.world.observed.images.clear();
    assert_eq!(scene.decide().mended.len(), 0);
}
