//! More and fewer of one service.

use expect_test::expect;

use super::scene::Scene;

fn scaled(n: u32) -> String {
    format!("services: {{web: {{image: 'web:1', scale: {n}}}}}")
}

#[test]
fn further_replicas_are_made_beside_those_that_run() {
    let mut scene = Scene::converged(&scaled(1));
    scene.change(&scaled(3));
    expect![[r#"
        1. create web/2 as shop-web-2: it is not there
        1. create web/3 as shop-web-3: it is not there
        2. start web/2 (c00000000003): what it waited for is ready
        2. start web/3 (c00000000004): what it waited for is ready
    "#]]
    .assert_eq(&scene.settle());
}

#[test]
fn replicas_beyond_the_number_are_stopped_and_removed() {
    let mut scene = Scene::converged(&scaled(3));
    scene.change(&scaled(1));
    expect![[r#"
        1. stop web/2 (c00000000003): fewer replicas are wanted
        1. stop web/3 (c00000000004): fewer replicas are wanted
        2. remove web/2 (c00000000003): fewer replicas are wanted
        2. remove web/3 (c00000000004): fewer replicas are wanted
    "#]]
    .assert_eq(&scene.settle());
    expect![[r#"
        shop-web-1 running config-1
    "#]]
    .assert_eq(&scene.containers());
}

#[test]
fn none_at_all_is_a_number() {
    let mut scene = Scene::converged(&scaled(2));
    scene.change(&scaled(0));
    expect![[r#"
        1. stop web/1 (c00000000002): fewer replicas are wanted
        1. stop web/2 (c00000000003): fewer replicas are wanted
        2. remove web/1 (c00000000002): fewer replicas are wanted
        2. remove web/2 (c00000000003): fewer replicas are wanted
    "#]]
    .assert_eq(&scene.settle());
    expect![[r#"
        [converged]
        [web: not started]
    "#]]
    .assert_eq(&scene.report());
}

#[test]
fn a_hole_in_the_numbers_is_filled() {
    let mut scene = Scene::converged(&scaled(3));
    let second = scene.id("web", 2);
    scene.world.observed.containers.remove(&second);
    expect![[r#"
        1. create web/2 as shop-web-2: somebody removed it (restart 1)
        2. start web/2 (c00000000005): what it waited for is ready
    "#]]
    .assert_eq(&scene.settle());
}
