//! Containers that live in another one's namespaces, or use its volumes.

use expect_test::expect;

use super::scene::Scene;

const PAIR: &str = "services:
  main: {image: 'main:1', environment: {A: '1'}}
  side: {image: 'side:1', network_mode: 'service:main'}
";

#[test]
fn a_container_is_made_once_the_one_it_shares_with_is_there() {
    let mut scene = Scene::of(PAIR);
    expect![[r#"
        1. create network shop_default: it is not there
        2. create main/1 as shop-main-1: it is not there
        3. start main/1 (c00000000002): what it waited for is ready
        3. create side/1 as shop-side-1: it is not there
        4. start side/1 (c00000000003): what it waited for is ready
    "#]]
    .assert_eq(&scene.settle());
    assert_eq!(scene.text(), "");
}

#[test]
fn with_another_container_to_share_with_it_is_made_anew() {
    let mut scene = Scene::converged(PAIR);
    scene.change(&PAIR.replace("'1'}", "'2'}"));
    expect![[r#"
        1. create main/1 as c00000000002_shop-main-1: its configuration changed from config-1 to config-3
        2. create side/1 as c00000000003_shop-side-1: its configuration changed from f7ea46fb to 0c923582
        3. stop main/1 (c00000000002): its replacement is ready to start
        4. start main/1 (c00000000004): what it waited for is ready
        5. remove main/1 (c00000000002): its replacement runs
        5. stop side/1 (c00000000003): its replacement is ready to start
        6. rename main/1 to shop-main-1: its replacement runs
        6. start side/1 (c00000000005): what it waited for is ready
        7. remove side/1 (c00000000003): its replacement runs
        8. rename side/1 to shop-side-1: its replacement runs
    "#]]
    .assert_eq(&scene.settle());
    assert_eq!(scene.text(), "");
}

#[test]
fn volumes_of_a_service_that_shares_itself_are_resolved_along_the_chain() {
    let chain = format!("{PAIR}  third: {{image: 'third:1', volumes_from: [side], pid: 'service:main'}}\n");
    let mut scene = Scene::of(&chain);
    expect![[r#"
        1. create network shop_default: it is not there
        2. create main/1 as shop-main-1: it is not there
        3. start main/1 (c00000000002): what it waited for is ready
        3. create side/1 as shop-side-1: it is not there
        4. start side/1 (c00000000003): what it waited for is ready
        4. create third/1 as shop-third-1: it is not there
        5. start third/1 (c00000000004): what it waited for is ready
    "#]]
    .assert_eq(&scene.settle());
    assert_eq!(scene.text(), "");
}

#[test]
fn while_the_container_it_shares_with_is_not_there_nothing_is_started_in_it() {
    let pair = PAIR.replace(
        "network_mode: 'service:main'",
        "network_mode: 'service:main', depends_on: {main: {condition: service_started, required: false}}",
    );
    let mut scene = Scene::converged(&pair);
    let (main, side) = (scene.id("main", 1), scene.id("side", 1));
    scene.world.end(&side, 1, false, true);
    scene.world.observed.containers.remove(&main);
    scene.fails("main", 1, "no space left on device");
    expect![[r#"
        main waits for the next attempt at 2026-01-01T00:00:05Z (1 so far): no space left on device
        [degraded]
        [main: failed (1x): no space left on device]
        [side: waiting for the container of main, which it shares with]
    "#]]
    .assert_eq(&scene.report());
}

#[test]
fn a_job_that_shares_with_nobody_knows_whom_is_not_done() {
    let pair = PAIR.replace("'service:main'", "'service:main', x-evenkeel: {type: job}");
    let mut scene = Scene::converged(&pair);
    let (main, side) = (scene.id("main", 1), scene.id("side", 1));
    scene.ledger.completions.clear();
    scene.world.end(&side, 0, false, true);
    assert_eq!(scene.decide().completions.len(), 1);
    scene.world.observed.containers.remove(&main);
    assert_eq!(scene.decide().completions.len(), 0);
}
