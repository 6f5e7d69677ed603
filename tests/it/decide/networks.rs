//! Several networks, external ones, and ones that went away.

use expect_test::expect;

use super::scene::Scene;

const TWO: &str = "
services: {web: {image: 'web:1', networks: [back, front]}}
networks: {back: , front: }
";

#[test]
fn an_old_engine_attaches_the_second_network_after_the_creation() {
    let mut scene = Scene::of(TWO);
    scene.api = (1, 41);
    expect![[r#"
        1. create network shop_back: it is not there
        1. create network shop_front: it is not there
        2. create web/1 as shop-web-1: it is not there
        3. connect web/1 to front: it is not there
        4. start web/1 (c00000000003): what it waited for is ready
    "#]]
    .assert_eq(&scene.settle());
}

#[test]
fn a_newer_engine_attaches_all_networks_at_the_creation() {
    let mut scene = Scene::of(TWO);
    expect![[r#"
        1. create network shop_back: it is not there
        1. create network shop_front: it is not there
        2. create web/1 as shop-web-1: it is not there
        3. start web/1 (c00000000003): what it waited for is ready
    "#]]
    .assert_eq(&scene.settle());
    let decided = scene.world.observed.containers.values().next().unwrap();
    assert_eq!(decided.networks.len(), 4, "two ids and two names: {:?}", decided.networks);
}

#[test]
fn an_external_network_that_is_missing_is_waited_for() {
    let mut scene =
        Scene::of("{services: {web: {image: 'web:1', networks: [out]}}, networks: {out: {external: true}}}");
    expect![[r#"
        waits for external network out, which does not exist
        [waiting]
        [web: waiting for its image, networks and volumes]
    "#]]
    .assert_eq(&scene.report());
    scene.world.put_network("out", None);
    expect![[r#"
        1. create web/1 as shop-web-1: it is not there
        2. start web/1 (c00000000002): what it waited for is ready
    "#]]
    .assert_eq(&scene.settle());
}

#[test]
fn an_external_volume_that_is_missing_is_waited_for() {
    let mut scene =
        Scene::of("{services: {web: {image: 'web:1', volumes: ['data:/d']}}, volumes: {data: {external: true}}}")
            .with_networks();
    expect![[r#"
        waits for external volume data, which does not exist
        [waiting]
        [web: waiting for its image, networks and volumes]
    "#]]
    .assert_eq(&scene.report());
    scene.world.put_volume("data", None);
    expect![[r#"
        1. create web/1 as shop-web-1: it is not there
        2. start web/1 (c00000000002): what it waited for is ready
    "#]]
    .assert_eq(&scene.settle());
}

#[test]
fn a_network_that_the_manifest_does_not_name_any_more_goes_when_nobody_uses_it() {
    let mut scene = Scene::converged(TWO);
    scene.change("{services: {web: {image: 'web:1', networks: [back]}}, networks: {back: }}");
    expect![[r#"
        1. create web/1 as c00000000003_shop-web-1: its configuration changed from config-1 to config-2
        2. stop web/1 (c00000000003): its replacement is ready to start
        3. start web/1 (c00000000004): what it waited for is ready
        4. remove web/1 (c00000000003): its replacement runs
        5. remove network shop_front: the manifest does not name it any more
        5. rename web/1 to shop-web-1: its replacement runs
    "#]]
    .assert_eq(&scene.settle());
}

#[test]
fn an_exited_container_whose_network_was_removed_is_made_again() {
    let mut scene = Scene::converged("services: {web: {image: 'web:1', restart: always}}");
    let web = scene.id("web", 1);
    scene.world.pass(60);
    scene.world.end(&web, 1, false, true);
    scene.world.observed.networks.clear();
    for _ in 0..5 {
        scene.settle();
        scene.world.pass(400);
    }
    let web = scene.id("web", 1);
    assert!(scene.world.get(&web).is_running(), "{}", scene.report());
}
