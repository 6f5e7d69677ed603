//! More than one of what there should be one of.

use evenkeel::model::observed::ContainerState;
use expect_test::expect;

use super::scene::Scene;

const WEB: &str = "services: {web: {image: 'web:1'}}";

#[test]
fn of_two_containers_of_one_replica_one_goes() {
    let mut scene = Scene::converged(WEB);
    scene.world.pass(5);
    scene.running("web", 1);
    expect![[r#"
        1. stop web/1 (c00000000002): its replacement runs
        2. remove web/1 (c00000000002): its replacement runs
    "#]]
    .assert_eq(&scene.settle());
}

#[test]
fn a_double_that_does_not_run_goes() {
    let mut scene = Scene::converged(WEB);
    scene.world.pass(5);
    let mut other = scene.world.container(&scene.project, "web", 1);
    other.state = ContainerState::Created;
    scene.world.put(other);
    expect![[r#"
        1. remove web/1 (c00000000003): its replacement runs
    "#]]
    .assert_eq(&scene.settle());
}

#[test]
fn of_three_outdated_ones_the_running_one_is_replaced_and_the_others_go() {
    let mut scene = Scene::converged(WEB);
    for _ in 0..2 {
        scene.world.pass(5);
        let other = scene.running("web", 1);
        scene.world.end(&other, 1, false, true);
    }
    scene.change("services: {web: {image: 'web:1', command: other}}");
    expect![[r#"
        1. remove web/1 (c00000000003): there is another one
        2. remove web/1 (c00000000004): there is another one
        3. create web/1 as c00000000002_shop-web-1: its configuration changed from config-1 to config-2
        4. stop web/1 (c00000000002): its replacement is ready to start
        5. start web/1 (c00000000005): what it waited for is ready
        6. remove web/1 (c00000000002): its replacement runs
        7. rename web/1 to shop-web-1: its replacement runs
    "#]]
    .assert_eq(&scene.settle());
}

#[test]
fn a_network_made_twice_is_reduced_to_the_older_one() {
    let mut scene = Scene::of(WEB).with_networks();
    scene.world.pass(1);
    scene.world.put_network("shop_default", Some(&scene.project.clone()));
    expect![[r#"
        1. remove network shop_default: there is another one
        1. create web/1 as shop-web-1: it is not there
        2. start web/1 (c00000000003): what it waited for is ready
    "#]]
    .assert_eq(&scene.settle());
    assert_eq!(scene.world.observed.networks.len(), 1);
}

#[test]
fn of_two_networks_the_one_in_use_stays_though_it_is_the_younger() {
    let mut scene = Scene::converged(WEB);
    let used = scene.world.observed.networks.keys().next().unwrap().clone();
    let older = scene.world.put_network("shop_default", Some(&scene.project.clone()));
    scene.world.observed.networks.get_mut(&older).unwrap().created = "2025-01-01T00:00:00Z".parse().unwrap();
    expect![[r#"
        1. remove network shop_default: there is another one
    "#]]
    .assert_eq(&scene.settle());
    assert_eq!(scene.world.observed.networks.keys().collect::<Vec<_>>(), [&used]);
}

#[test]
fn another_ones_network_of_that_name_is_used_and_not_removed() {
    let mut scene = Scene::of(WEB);
    scene.world.put_network("shop_default", None);
    expect![[r#"
        1. create web/1 as shop-web-1: it is not there
        2. start web/1 (c00000000002): what it waited for is ready
    "#]]
    .assert_eq(&scene.settle());
}

#[test]
fn two_keys_for_one_network_make_it_once() {
    let scene = Scene::of(
        "
services:
  a: {image: 'web:1', networks: [one]}
  b: {image: 'web:1', networks: [two]}
networks: {one: {name: same}, two: {name: same}}
",
    );
    expect![[r#"
        create network same: it is not there
    "#]]
    .assert_eq(&scene.text());
}

#[test]
fn two_keys_for_one_volume_make_it_once() {
    let scene = Scene::of(
        "
services:
  a: {image: 'web:1', volumes: ['one:/d']}
  b: {image: 'web:1', volumes: ['two:/d']}
volumes: {one: {name: same}, two: {name: same}}
",
    )
    .with_networks();
    expect![[r#"
        create volume same: it is not there
    "#]]
    .assert_eq(&scene.text());
}

#[test]
fn two_networks_of_one_name_that_nobody_wants_go_one_after_the_other() {
    let mut scene = Scene::converged(WEB);
    for _ in 0..2 {
        scene.world.put_network("shop_old", Some(&scene.project.clone()));
    }
    expect![[r#"
        1. remove network shop_old: the manifest does not name it any more
        2. remove network shop_old: the manifest does not name it any more
    "#]]
    .assert_eq(&scene.settle());
}

#[test]
fn all_networks_of_one_name_go_with_their_project() {
    let mut scene = Scene::converged(WEB);
    scene.world.put_network("shop_default", Some(&scene.project.clone()));
    scene.world.observed.containers.clear();
    scene.wanted = super::scene::Wanted::Removed { confirmed: true };
    scene.settle();
    assert!(scene.world.observed.networks.is_empty());
}
