//! When a container that stopped is started again: every row of the rule.

use std::fmt::Write as _;

use evenkeel::model::ledger::{Slot, Subject};
use evenkeel::model::observed::ContainerState;
use evenkeel::model::state::ServiceState;
use evenkeel::model::{ContainerId, ServiceName};
use expect_test::expect;

use super::scene::Scene;

/// How it ended.
#[derive(Debug, Clone, Copy)]
struct End {
    name: &'static str,
    code: i64,
    killed: bool,
    oom: bool,
}

const ENDS: [End; 6] = [
    End { name: "kill", code: 137, killed: true, oom: false },
    End { name: "stop, trapped", code: 0, killed: true, oom: false },
    End { name: "stop", code: 143, killed: true, oom: false },
    End { name: "exit 0", code: 0, killed: false, oom: false },
    End { name: "exit 1", code: 1, killed: false, oom: false },
    End { name: "oom", code: 137, killed: false, oom: true },
];

const FORMS: [(&str, &str, u32); 7] = [
    ("not written", "", 0),
    ("\"no\"", "restart: 'no'", 0),
    ("always", "restart: always", 0),
    ("unless-stopped", "restart: unless-stopped", 0),
    ("on-failure", "restart: on-failure", 0),
    ("on-failure:3", "restart: 'on-failure:3'", 2),
    ("on-failure:3, used up", "restart: 'on-failure:3'", 3),
];

pub fn manifest(restart: &str, job: bool) -> String {
    let kind = if job { "job" } else { "web" };
    format!("services:\n  a:\n    image: a:1\n    x-evenkeel: {{type: {kind}}}\n    {restart}\n")
}

fn ended(restart: &str, restarts: u32, end: End, watched: bool, job: bool) -> Scene {
    let mut scene = Scene::of(&manifest(restart, job)).with_networks();
    let id = scene.running("a", 1);
    remember(&mut scene, restarts, &id);
    scene.world.pass(30);
    scene.world.end(&id, end.code, end.killed, watched);
    if let ContainerState::Exited { oom, .. } = &mut scene.world.get(&id).state {
        *oom = end.oom;
    }
    scene.world.pass(400);
    scene
}

pub fn remember(scene: &mut Scene, restarts: u32, started: &ContainerId) {
    let last_restart = (restarts > 0).then_some(scene.now());
    let config = scene.world.get(started).config_hash.clone();
    let slot = Slot { restarts, last_restart, started: Some(started.clone()), config, ..Slot::default() };
    scene.ledger.slots.insert(Subject::Replica(ServiceName::trusted("a"), 1), slot);
}

fn verdict(scene: &Scene) -> &'static str {
    let decision = scene.decide();
    match &decision.services["a"] {
        _ if decision.steps.len() == 1 => "again",
        ServiceState::Completed => "done",
        ServiceState::Stopped { .. } => "left down",
        _ => "?",
    }
}

#[test]
fn the_rule_row_by_row() {
    let mut table = format!("{:22} {:14} watched    unwatched  job        job, unwatched\n", "restart", "end");
    for (form, restart, restarts) in FORMS {
        for end in ENDS {
            write!(table, "{form:22} {:14}", end.name).unwrap();
            for (watched, job) in [(true, false), (false, false), (true, true), (false, true)] {
                write!(table, " {:10}", verdict(&ended(restart, restarts, end, watched, job))).unwrap();
            }
            table.truncate(table.trim_end().len());
            table.push('\n');
        }
    }
    expect![[r#"
        restart                end            watched    unwatched  job        job, unwatched
        not written            kill           again      again      again      again
        not written            stop, trapped  again      again      again      again
        not written            stop           again      again      again      again
        not written            exit 0         done       again      done       done
        not written            exit 1         again      again      again      again
        not written            oom            again      again      again      again
        "no"                   kill           left down  left down  left down  left down
        "no"                   stop, trapped  left down  left down  left down  left down
        "no"                   stop           left down  left down  left down  left down
        "no"                   exit 0         done       left down  done       done
        "no"                   exit 1         left down  left down  left down  left down
        "no"                   oom            left down  left down  left down  left down
        always                 kill           again      again      again      again
        always                 stop, trapped  again      again      again      again
        always                 stop           again      again      again      again
        always                 exit 0         again      again      again      again
        always                 exit 1         again      again      again      again
        always                 oom            again      again      again      again
        unless-stopped         kill           again      again      again      again
        unless-stopped         stop, trapped  again      again      again      again
        unless-stopped         stop           again      again      again      again
        unless-stopped         exit 0         again      again      again      again
        unless-stopped         exit 1         again      again      again      again
        unless-stopped         oom            again      again      again      again
        on-failure             kill           again      again      again      again
        on-failure             stop, trapped  again      again      again      again
        on-failure             stop           again      again      again      again
        on-failure             exit 0         done       again      done       done
        on-failure             exit 1         again      again      again      again
        on-failure             oom            again      again      again      again
        on-failure:3           kill           again      again      again      again
        on-failure:3           stop, trapped  again      again      again      again
        on-failure:3           stop           again      again      again      again
        on-failure:3           exit 0         done       again      done       done
        on-failure:3           exit 1         again      again      again      again
        on-failure:3           oom            again      again      again      again
        on-failure:3, used up  kill           left down  left down  left down  left down
        on-failure:3, used up  stop, trapped  left down  left down  left down  left down
        on-failure:3, used up  stop           left down  left down  left down  left down
        on-failure:3, used up  exit 0         done       left down  done       done
        on-failure:3, used up  exit 1         left down  left down  left down  left down
        on-failure:3, used up  oom            left down  left down  left down  left down
    "#]]
    .assert_eq(&table);
}

#[test]
fn a_container_that_is_gone_is_down_like_one_that_was_killed() {
    let mut table = String::new();
    for (form, restart, restarts) in FORMS {
        let mut scene = Scene::of(&manifest(restart, false)).with_networks();
        let id = scene.running("a", 1);
        remember(&mut scene, restarts, &id);
        scene.world.observed.containers.clear();
        scene.world.pass(400);
        write!(table, "{form:22} {}", scene.text()).unwrap();
    }
    expect![[r#"
        not written            create a/1 as shop-a-1: somebody removed it (restart 1)
        "no"                   always                 create a/1 as shop-a-1: somebody removed it (restart 1)
        unless-stopped         create a/1 as shop-a-1: somebody removed it (restart 1)
        on-failure             create a/1 as shop-a-1: somebody removed it (restart 1)
        on-failure:3           create a/1 as shop-a-1: somebody removed it (restart 3)
        on-failure:3, used up  "#]]
    .assert_eq(&table);
}

#[test]
fn what_is_left_down_says_why() {
    let mut text = ended("restart: 'no'", 0, ENDS[4], true, false).report();
    text += &ended("restart: 'on-failure:3'", 3, ENDS[4], true, false).report();
    expect![[r#"
        [degraded]
        [a: stopped: it exited with 1, and `restart` is "no"]
        [degraded]
        [a: stopped: it exited with 1, and on-failure:3 is used up]
    "#]]
    .assert_eq(&text);
}

#[test]
fn the_engines_own_restarts_use_up_on_failure_too() {
    let scene = {
        let mut scene = ended("restart: 'on-failure:3'", 0, ENDS[4], true, false);
        let id = scene.id("a", 1);
        scene.world.get(&id).restart_count = 3;
        scene
    };
    expect![[r#"
        [degraded]
        [a: stopped: it exited with 1, and on-failure:3 is used up]
    "#]]
    .assert_eq(&scene.report());
}

#[test]
fn while_the_engine_restarts_it_nothing_is_done() {
    let mut scene = Scene::converged(&manifest("restart: always", false));
    let id = scene.id("a", 1);
    scene.world.get(&id).state = ContainerState::Restarting;
    scene.world.get(&id).restart_count = 2;
    expect![[r#"
        a waits for the Engine to restart it
        [degraded]
        [a: failed (2x): it ended, and the Engine restarts it]
    "#]]
    .assert_eq(&scene.report());
}

#[test]
fn a_paused_container_goes_on() {
    let mut scene = Scene::converged(&manifest("", false));
    let id = scene.id("a", 1);
    scene.world.get(&id).state = ContainerState::Paused;
    expect![[r#"
        1. unpause a/1: it was paused from outside
    "#]]
    .assert_eq(&scene.settle());
}

#[test]
fn a_dead_container_is_removed_and_made_again() {
    let mut scene = Scene::converged(&manifest("", false));
    let id = scene.id("a", 1);
    scene.world.get(&id).state = ContainerState::Dead;
    expect![[r#"
        1. remove a/1 (c00000000002): it is dead
        2. create a/1 as shop-a-1: it is not there
        3. start a/1 (c00000000003): what it waited for is ready
    "#]]
    .assert_eq(&scene.settle());
}

#[test]
fn a_container_on_its_way_out_is_waited_for() {
    let mut scene = Scene::converged(&manifest("", false));
    let id = scene.id("a", 1);
    scene.world.get(&id).state = ContainerState::Removing;
    expect![[r#"
        [progressing]
        [a: stopping]
    "#]]
    .assert_eq(&scene.report());
}

#[test]
fn a_restart_waits_for_what_the_service_depends_on() {
    let mut scene = Scene::converged("services: {a: {image: 'a:1', depends_on: [b]}, b: {image: 'b:1'}}");
    for service in ["a", "b"] {
        let id = scene.id(service, 1);
        scene.world.end(&id, 1, false, true);
    }
    expect![[r#"
        1. start b/1 (c00000000002): it exited with 1 (restart 1)
        2. start a/1 (c00000000003): it exited with 1 (restart 1)
    "#]]
    .assert_eq(&scene.settle());
}
