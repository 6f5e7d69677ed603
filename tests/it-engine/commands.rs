//! Checks and hooks that take too long: no Engine ends them, so they must not pile up.

use std::time::Duration;

use evenkeel::engine::docker::{Address, DockerEngine};
use evenkeel::engine::{EngineError, EngineWrite, unfinished};
use evenkeel::model::ContainerId;
use evenkeel::model::service::Hook;
use serde_json::json;

use crate::support::{SOON, World, wait_until};

const LIMIT: Duration = Duration::from_millis(200);

/// A container that does nothing, and what it takes to run commands in it.
struct Place {
    world: World,
    runtime: tokio::runtime::Runtime,
    engine: DockerEngine,
    id: ContainerId,
}

impl Place {
    fn new() -> Option<Self> {
        let world = World::new()?;
        let project = world.project("c");
        let labels = json!({"com.docker.compose.project": project});
        let body = json!({"Image": world.image, "Labels": labels, "HostConfig": {"NetworkMode": "none"}});
        let made = world.engine.call("POST", &format!("/containers/create?name={project}"), Some(&body));
        let id = ContainerId::trusted(made["Id"].as_str().expect("an id"));
        world.engine.call("POST", &format!("/containers/{id}/start"), None);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let engine = another(&world);
        Some(Self { world, runtime, engine, id })
    }

    fn check(&self, engine: &DockerEngine, seconds: u32) -> Option<String> {
        let test = ["CMD", "/demo-service", "job", "--seconds", &seconds.to_string()].map(str::to_owned);
        self.runtime.block_on(engine.check(&self.id, &test, LIMIT)).expect("an answer")
    }

    /// Processes in the container beside its first one.
    fn processes(&self) -> usize {
        let top = self.world.engine.call("GET", &format!("/containers/{}/top", self.id), None);
        top["Processes"].as_array().map_or(0, Vec::len) - 1
    }
}

fn another(world: &World) -> DockerEngine {
    DockerEngine::new(&Address::parse(&world.engine.url()).expect("an address")).expect("a client")
}

#[test]
fn a_check_that_hangs_leaves_one_process_behind_however_often_it_is_due() {
    let Some(place) = Place::new() else { return };
    let first = place.check(&place.engine, 1_000).expect("it takes too long");
    assert!(first.contains("took longer than 200ms"), "{first}");
    for _ in 0..10 {
        let why = place.check(&place.engine, 1_000).expect("it still runs");
        assert!(why.contains("still runs"), "{why}");
    }
    assert_eq!(place.processes(), 1);

    // A controller that starts anew finds what its predecessor left.
    let why = place.check(&another(&place.world), 1_000).expect("it still runs");
    assert!(why.contains("still runs"), "{why}");
    assert_eq!(place.processes(), 1);

    // Others are made all the same, a few of them.
    for seconds in 2_000..2_020 {
        assert!(place.check(&place.engine, seconds).is_some());
    }
    assert_eq!(place.processes(), unfinished::MOST);
}

#[test]
fn a_check_that_ended_late_is_made_again() {
    let Some(place) = Place::new() else { return };
    assert!(place.check(&place.engine, 1).is_some_and(|why| why.contains("took longer")));
    assert!(place.check(&place.engine, 1).is_some_and(|why| why.contains("still runs")));
    wait_until(SOON, "its process has ended", || place.processes() == 0);
    wait_until(SOON, "it is made", || place.check(&place.engine, 1).is_some_and(|why| why.contains("took longer")));
}

#[test]
fn a_check_whose_caller_is_gone_is_not_made_again_beside_itself() {
    let Some(place) = Place::new() else { return };
    let test = ["CMD", "/demo-service", "job", "--seconds", "1000"].map(str::to_owned);
    place.runtime.block_on(async {
        let check = place.engine.check(&place.id, &test, SOON);
        tokio::time::timeout(Duration::from_secs(2), check).await.expect_err("it takes long");
    });
    assert!(place.check(&place.engine, 1_000).is_some_and(|why| why.contains("still runs")));
    assert_eq!(place.processes(), 1);
}

#[test]
fn a_hook_that_takes_longer_than_it_may_is_not_run_a_second_time_beside_itself() {
    let Some(place) = Place::new() else { return };
    let command = ["/demo-service", "job", "--seconds", "1000"].map(str::to_owned).to_vec();
    let hook = Hook { command, ..Hook::default() };
    let run = || match place.runtime.block_on(place.engine.run_hook(&place.id, &hook, LIMIT)) {
        Err(error @ EngineError::CommandFailed(_)) => error.to_string(),
        other => panic!("{other:?}"),
    };
    assert!(run().contains("took longer than 200ms"));
    for _ in 0..3 {
        assert!(run().contains("still runs"));
    }
    assert_eq!(place.processes(), 1);
}
