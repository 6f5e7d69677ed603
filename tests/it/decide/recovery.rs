//! What is done about services that run and are not well, and about those that end over and over.

use std::fmt::Write as _;

use evenkeel::decide::{BreakerState, Room};
use evenkeel::model::ServiceName;
use evenkeel::model::ledger::Subject;
use evenkeel::model::observed::Health;
use evenkeel::model::usage::Load;
use expect_test::expect;

use super::scene::Scene;
use super::world::Run;

fn replica(service: &str) -> Subject {
    Subject::Replica(ServiceName::trusted(service), 1)
}

/// Its check fails from now on, in this run.
fn sicken(scene: &mut Scene, service: &str) {
    let id = scene.id(service, 1);
    scene.world.get(&id).health = Health::Unhealthy;
}

/// It ends by itself.
fn crash(scene: &mut Scene, service: &str) {
    let id = scene.id(service, 1);
    scene.world.end(&id, 1, false, true);
}

const ONE: &str = "services: {a: {image: 'a:1', healthcheck: {test: [CMD, check]}}}";
/// `web` needs `api` needs `db`.
const CHAIN: &str = "services:
  db: {image: 'db:1', healthcheck: {test: [CMD, check]}, x-evenkeel: {recovery: {cascade: CASCADE}}}
  api: {image: 'api:1', healthcheck: {test: [CMD, check]}, depends_on: {db: {condition: service_started}}}
  web: {image: 'web:1', depends_on: [api]}
";

#[test]
fn what_stays_unhealthy_is_started_again_unless_the_manifest_or_the_settings_say_otherwise() {
    let mut scene = Scene::converged(ONE);
    sicken(&mut scene, "a");
    expect![[r#"
        stop a/1 (c00000000002): its check fails (restart 1)
        [degraded]
        [a: running, unhealthy]
    "#]]
    .assert_eq(&scene.report());
    expect![[r#"
        1. stop a/1 (c00000000002): its check fails (restart 1)
        2. start a/1 (c00000000002): it had been stopped, and is wanted again
    "#]]
    .assert_eq(&scene.settle());
    for says in ["strategy: none", "unhealthy: none"] {
        let mut scene = Scene::converged(
            &ONE.replace("healthcheck", &format!("x-evenkeel: {{recovery: {{{says}}}}}, healthcheck")),
        );
        sicken(&mut scene, "a");
        assert_eq!(scene.text(), "", "{says}");
    }
    let mut scene = Scene::converged(ONE);
    scene.recovery.enabled = false;
    sicken(&mut scene, "a");
    assert_eq!(scene.text(), "");
}

#[test]
fn a_breaker_opens_after_five_restarts_lets_one_try_through_after_each_cool_down_and_closes_when_that_holds() {
    let mut scene = Scene::converged(ONE);
    let mut text = String::new();
    let began = scene.now();
    let mut before = String::new();
    for second in 0..1_500 {
        // Each run is sick at once, but for those after a while.
        if second < 700 {
            sicken(&mut scene, "a");
        }
        let round = scene.round();
        let slot = scene.ledger.slots.get(&replica("a")).cloned().unwrap_or_default();
        let breaker = BreakerState::of(&slot, &scene.recovery, scene.now()).as_str();
        let line = format!("{breaker}: {round}");
        if line != before {
            let at = scene.now().duration_since(began).as_secs();
            writeln!(text, "{at:>4} {}", line.trim_end()).unwrap();
            before = line;
        }
        scene.world.pass(1);
    }
    expect![[r#"
           0 closed: stop a/1 (c00000000002): its check fails (restart 1)
           1 closed: start a/1 (c00000000002): it had been stopped, and is wanted again
           2 closed: stop a/1 (c00000000002): its check fails (restart 2)
           3 closed: start a/1 (c00000000002): it had been stopped, and is wanted again
           4 closed: stop a/1 (c00000000002): its check fails (restart 3)
           5 closed: start a/1 (c00000000002): it had been stopped, and is wanted again
           6 closed: a waits for the next attempt at 2026-01-01T00:00:11Z (3 so far): its check fails (restart 4)
           8 closed: stop a/1 (c00000000002): its check fails (restart 4)
           9 closed: start a/1 (c00000000002): it had been stopped, and is wanted again
          10 closed: a waits for the next attempt at 2026-01-01T00:00:19Z (4 so far): its check fails (restart 5)
          16 closed: stop a/1 (c00000000002): its check fails (restart 5)
          17 closed: start a/1 (c00000000002): it had been stopped, and is wanted again
          18 closed: a waits for the next attempt at 2026-01-01T00:00:35Z (5 so far): its check fails (restart 6)
          32 open: a waits for one more try at 2026-01-01T00:05:35Z, as it was started again too often: its check fails (restart 6)
         332 half_open: stop a/1 (c00000000002): its check fails (restart 6)
         333 half_open: start a/1 (c00000000002): it had been stopped, and is wanted again
         334 half_open: a waits for the next attempt at 2026-01-01T00:06:07Z (6 so far): its check fails (restart 7)
         364 open: a waits for one more try at 2026-01-01T00:11:07Z, as it was started again too often: its check fails (restart 7)
         664 half_open: stop a/1 (c00000000002): its check fails (restart 7)
         665 half_open: start a/1 (c00000000002): it had been stopped, and is wanted again
         666 half_open: a waits for the next attempt at 2026-01-01T00:12:11Z (7 so far): its check fails (restart 8)
         728 open: a waits for one more try at 2026-01-01T00:17:11Z, as it was started again too often: its check fails (restart 8)
        1028 half_open: stop a/1 (c00000000002): its check fails (restart 8)
        1029 half_open: start a/1 (c00000000002): it had been stopped, and is wanted again
        1030 half_open:
        1329 closed:
    "#]].assert_eq(&text);
}

#[test]
fn a_breaker_of_what_the_engine_restarts_opens_by_itself_and_stays_open_over_a_restart_of_the_controller() {
    let mut scene = Scene::converged(&ONE.replace("image", "restart: always, image"));
    let now = scene.now();
    let slot = scene.ledger.slots.entry(replica("a")).or_default();
    (0..5).for_each(|_| evenkeel::decide::memory::started_again(slot, now));
    let id = scene.id("a", 1);
    scene.world.get(&id).state = evenkeel::model::observed::ContainerState::Restarting;
    scene.round();
    let written = serde_json::to_string(&scene.ledger).unwrap();
    scene.ledger = serde_json::from_str(&written).unwrap();
    // What the Engine gave up is the controller's to start: once the cool-down is over.
    scene.world.end(&id, 1, false, true);
    let mut text = scene.text();
    scene.world.pass(300);
    text += &scene.text();
    expect![[r#"
        a waits for one more try at 2026-01-01T00:05:03Z, as it was started again too often: it exited with 1 (restart 1)
        start a/1 (c00000000002): it exited with 1 (restart 1)
    "#]].assert_eq(&text);
}

#[test]
fn who_needs_what_is_not_well_is_held_until_that_is_well_and_a_leaf_restarts_nobody() {
    let mut scene = Scene::converged(&CHAIN.replace("CASCADE", "hold"));
    scene.recovery.max_attempts = 1;
    sicken(&mut scene, "api");
    let mut text = format!("{}--\n", scene.text());
    sicken(&mut scene, "db");
    text += &format!("{}-- and the leaf ends\n", scene.text());
    crash(&mut scene, "web");
    text += &scene.text();
    expect![[r#"
        stop api/1 (c00000000003): its check fails (restart 1)
        --
        stop db/1 (c00000000002): its check fails (restart 1)
        api waits for db to be well again
        -- and the leaf ends
        stop db/1 (c00000000002): its check fails (restart 1)
        start web/1 (c00000000004): it exited with 1 (restart 1)
        api waits for db to be well again
    "#]]
    .assert_eq(&text);
}

#[test]
fn dependents_are_stopped_and_started_in_order_where_the_manifest_says_so() {
    let mut scene = Scene::converged(&CHAIN.replace("CASCADE", "stop"));
    sicken(&mut scene, "db");
    expect![[r#"
        1. stop db/1 (c00000000002): its check fails (restart 1)
        1. stop web/1 (c00000000004): db, which it needs, is not well
        2. start db/1 (c00000000002): it had been stopped, and is wanted again
        2. start web/1 (c00000000004): it had been stopped, and is wanted again
    "#]]
    .assert_eq(&scene.settle());
    expect![[r#"
        [converged]
        [api: running, healthy]
        [db: running, healthy]
        [web: running]
    "#]]
    .assert_eq(&scene.report());
}

#[test]
fn dependents_are_started_again_all_the_same_where_the_manifest_says_so() {
    let mut text = String::new();
    for cascade in ["hold", "ignore"] {
        let mut scene = Scene::converged(&CHAIN.replace("CASCADE", cascade));
        crash(&mut scene, "db");
        crash(&mut scene, "api");
        writeln!(text, "{cascade}\n{}", scene.text().trim_end()).unwrap();
    }
    expect![[r#"
        hold
        start db/1 (c00000000002): it exited with 1 (restart 1)
        api waits for db (service_started): it is down and will be started again
        ignore
        start db/1 (c00000000002): it exited with 1 (restart 1)
        start api/1 (c00000000003): it exited with 1 (restart 1)
    "#]]
    .assert_eq(&text);
}

#[test]
fn a_service_is_emptied_of_what_is_named_for_that_and_of_nothing_else() {
    let yaml = "services:
  a:
    image: 'a:1'
    volumes: ['cache:/cache', 'data:/data']
    x-evenkeel: {recovery: {strategy: restart_with_reset, reset: {volumes: [cache]}}}
volumes: {cache: {}, data: {}}
";
    let mut scene = Scene::converged(yaml);
    crash(&mut scene, "a");
    expect![[r#"
        2. remove a/1 (c00000000002): its service is emptied and made anew
        3. remove volume shop_cache: its service is emptied and made anew
        4. create volume shop_cache: it is not there
        5. create a/1 as shop-a-1: it is not there
        6. start a/1 (c00000000003): what it waited for is ready
    "#]]
    .assert_eq(&scene.settle());
    assert!(scene.ledger.resets.is_empty());
}

#[test]
fn what_the_manifest_does_not_name_any_more_is_not_emptied_though_that_had_begun() {
    let yaml = |reset: &str| {
        format!(
            "services: {{a: {{image: 'a:1', volumes: ['cache:/cache'], x-evenkeel: {{recovery: {{strategy: restart_with_reset\
             {reset}}}}}}}}}\nvolumes: {{cache: {{}}}}\n"
        )
    };
    let mut scene = Scene::converged(&yaml(", reset: {volumes: [cache]}"));
    crash(&mut scene, "a");
    scene.round();
    assert_eq!(scene.ledger.resets.len(), 1, "it has begun");
    scene.change(&yaml(""));
    let text = scene.settle();
    assert!(text.contains("remove a/1") && text.contains("create a/1") && !text.contains("volume"), "{text}");
    assert!(scene.ledger.resets.is_empty());
}

#[test]
fn what_can_be_done_without_is_given_up_for_a_while_and_restored_afterwards() {
    let yaml = "services:
  a: {image: 'a:1', healthcheck: {test: [CMD, check]}, x-evenkeel: {recovery: {strategy: degraded_mode, degraded: {stop: [extra]}}}}
  extra: {image: 'extra:1'}
";
    let mut scene = Scene::converged(yaml);
    sicken(&mut scene, "a");
    let mut text = scene.settle();
    text += &scene.report();
    scene.world.pass(10);
    text += &scene.settle();
    text += &scene.report();
    expect![[r#"
        1. stop a/1 (c00000000002): its check fails (restart 1)
        1. stop extra/1 (c00000000003): it is given up while a is not well
        2. start a/1 (c00000000002): it had been stopped, and is wanted again
        [degraded]
        [a: running, healthy]
        [extra: stopped: it is given up while a is not well]
        1. start extra/1 (c00000000003): it had been stopped, and is wanted again
        [converged]
        [a: running, healthy]
        [extra: running]
    "#]]
    .assert_eq(&text);
}

#[test]
fn the_whole_project_is_started_again_in_order() {
    let yaml = CHAIN.replace("CASCADE", "hold").replace("cascade: hold", "strategy: project_restart");
    let mut scene = Scene::converged(&yaml);
    sicken(&mut scene, "db");
    let mut crashed = Scene::converged(&yaml);
    crash(&mut crashed, "db");
    expect![[r#"
        2. stop web/1 (c00000000004): the project is started again, as db is not well
        3. stop api/1 (c00000000003): the project is started again, as db is not well
        5. start db/1 (c00000000002): it had been stopped, and is wanted again
        6. start api/1 (c00000000003): it had been stopped, and is wanted again
        7. start web/1 (c00000000004): it had been stopped, and is wanted again
    "#]]
    .assert_eq(&crashed.settle());
    expect![[r#"
        2. stop web/1 (c00000000004): the project is started again, as db is not well
        3. stop api/1 (c00000000003): the project is started again, as db is not well
        4. stop db/1 (c00000000002): the project is started again, as db is not well
        6. start db/1 (c00000000002): it had been stopped, and is wanted again
        7. start api/1 (c00000000003): it had been stopped, and is wanted again
        8. start web/1 (c00000000004): it had been stopped, and is wanted again
    "#]]
    .assert_eq(&scene.settle());
}

#[test]
fn recoveries_take_turns_critical_services_first() {
    let yaml = "services:
  a: {image: 'a:1'}
  b: {image: 'b:1'}
  c: {image: 'c:1', x-evenkeel: {critical: true}}
";
    let mut scene = Scene::converged(yaml);
    ["a", "b", "c"].into_iter().for_each(|service| crash(&mut scene, service));
    let mut text = String::new();
    for room in [Room { free: 2, kept: 0 }, Room { free: 2, kept: 1 }, Room { free: 0, kept: 0 }] {
        scene.room = room;
        writeln!(text, "{room:?}\n{}", scene.text().trim_end()).unwrap();
    }
    expect![[r#"
        Room { free: 2, kept: 0 }
        start a/1 (c00000000002): it exited with 1 (restart 1)
        start c/1 (c00000000004): it exited with 1 (restart 1)
        b waits for its turn: other services are being recovered
        Room { free: 2, kept: 1 }
        start c/1 (c00000000004): it exited with 1 (restart 1)
        b waits for its turn: other services are being recovered
        a waits for its turn: other services are being recovered
        Room { free: 0, kept: 0 }
        c waits for its turn: other services are being recovered
        b waits for its turn: other services are being recovered
        a waits for its turn: other services are being recovered
    "#]]
    .assert_eq(&text);
}

#[test]
fn a_start_that_takes_too_long_has_failed() {
    let mut scene = Scene::of(&ONE.replace("[CMD, check]", "[CMD, check], start_period: 1m"));
    scene.runs.insert("a".to_owned(), Run::Stays(Health::Starting));
    scene.settle();
    let mut text = String::new();
    for seconds in [600, 100] {
        scene.world.pass(seconds);
        writeln!(text, "{} {}", seconds, scene.text().trim_end()).unwrap();
    }
    expect![[r#"
        600 a waits for its health check
        100 stop a/1 (c00000000002): it did not come up in time (restart 1)
        a waits for its health check
    "#]]
    .assert_eq(&text);
}

#[test]
fn hooks_are_run_once_for_each_start_of_ours_and_hold_dependents() {
    let yaml = "services:
  a: {image: 'a:1', post_start: [{command: [init]}]}
  b: {image: 'b:1', depends_on: [a]}
";
    let mut scene = Scene::of(yaml);
    let mut text = scene.settle();
    crash(&mut scene, "a");
    text += "-- it ends\n";
    text += &scene.settle();
    // Who else started it ran its hooks.
    let id = scene.id("a", 1);
    scene.ledger.slots.clear();
    scene.ledger.hooked.clear();
    assert_eq!(scene.text(), "", "{id}");
    expect![[r#"
        1. create network shop_default: it is not there
        2. create a/1 as shop-a-1: it is not there
        2. create b/1 as shop-b-1: it is not there
        3. start a/1 (c00000000002): what it waited for is ready
        4. run the hooks of a/1 (c00000000002): what it waited for is ready
        5. start b/1 (c00000000003): what it waited for is ready
        -- it ends
        1. start a/1 (c00000000002): it exited with 1 (restart 1)
        2. run the hooks of a/1 (c00000000002): what it waited for is ready
    "#]]
    .assert_eq(&text);
}

#[test]
fn the_breaker_of_what_uses_too_much_memory_lets_one_try_through_too() {
    let mut scene = Scene::converged(
        "services: {a: {image: 'a:1', restart: always, x-evenkeel: {throttle: {memory: {action: restart}}, \
         recovery: {max_attempts: 2, backoff: {initial: 1s, factor: 1}, breaker: {cool_down: 15s}}}}}",
    );
    let id = scene.id("a", 1);
    let (mut text, mut before) = (String::new(), String::new());
    for second in 0..70 {
        let load = Load { memory_high: second < 40, ..Load::default() };
        scene.world.get(&id).load = Some(load);
        let round = scene.round();
        let slot = scene.ledger.slots.get(&replica("a")).cloned().unwrap_or_default();
        let policy = scene.recovery.of(&scene.project.services["a"]);
        let line = format!("{}: {round}", BreakerState::of(&slot, &policy, scene.now()).as_str());
        if line != before {
            writeln!(text, "{second:>2} {}", line.trim_end()).unwrap();
            before = line;
        }
        scene.world.pass(1);
    }
    expect![[r#"
         0 closed: stop a/1 (c00000000002): it uses more memory than it may (restart 1)
         1 closed: start a/1 (c00000000002): it had been stopped, and is wanted again
         2 closed: stop a/1 (c00000000002): it uses more memory than it may (restart 2)
         3 closed: start a/1 (c00000000002): it had been stopped, and is wanted again
         4 open: a waits for one more try at 2026-01-01T00:00:22Z, as it was started again too often: it uses more memory than it may (restart 3)
        19 half_open: stop a/1 (c00000000002): it uses more memory than it may (restart 3)
        20 half_open: start a/1 (c00000000002): it had been stopped, and is wanted again
        21 open: a waits for one more try at 2026-01-01T00:00:39Z, as it was started again too often: it uses more memory than it may (restart 4)
        36 half_open: stop a/1 (c00000000002): it uses more memory than it may (restart 4)
        37 half_open: start a/1 (c00000000002): it had been stopped, and is wanted again
        38 open: a waits for one more try at 2026-01-01T00:00:56Z, as it was started again too often: it uses more memory than it may (restart 5)
        40 open:
        53 closed:
    "#]].assert_eq(&text);
}
