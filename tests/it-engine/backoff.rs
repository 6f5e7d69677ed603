//! The pace of restarts: from the `die` event that the controller was told to its next start call.

use std::time::Instant;

use crate::support::{Proxy, SOON, World, wait_for};

/// When the runs of a project's only container ended, and when each was started.
struct Runs {
    started: Vec<Instant>,
    ended: Vec<Instant>,
}

impl Runs {
    /// Waits until it was started so many times, and ended as often as `over` says.
    #[track_caller]
    fn wait(proxy: &Proxy, project: &str, starts: usize, over: usize) -> Self {
        wait_for(SOON, &format!("{starts} starts and {over} ends"), || {
            let ours = |e: &serde_json::Value| e["Actor"]["Attributes"]["com.docker.compose.project"] == project;
            let events = proxy.events().into_iter().filter(|e| ours(&e.data) && e.action() == "die");
            let calls = proxy.calls().into_iter().filter(|call| call.is("POST", "/containers/*/start"));
            let runs = Self { started: calls.map(|call| call.at).collect(), ended: events.map(|e| e.at).collect() };
            (runs.started.len() >= starts && runs.ended.len() >= over).then_some(runs)
        })
    }

    /// Seconds between the end of a run and the next start.
    fn pauses(&self) -> Vec<f64> {
        self.started.iter().skip(1).zip(&self.ended).map(|(start, end)| (*start - *end).as_secs_f64()).collect()
    }
}

#[test]
fn restarts_come_at_once_then_ever_later_and_a_killed_controller_does_not_begin_anew() {
    let Some(world) = World::new() else { return };
    let (shop, proxy) = (world.project("shop"), world.proxy());
    world.write(
        &shop,
        "services: {web: {image: IMAGE, network_mode: none, command: [job, --seconds, \"0\", --exit-code, \"1\"]}}\n",
    );
    let mut controller = world.run_through(&proxy);
    Runs::wait(&proxy, &shop, 4, 4);
    let view = controller.in_state(&shop, "web", "failed");
    assert_eq!(view["restarts"], 3, "{view}");
    assert_eq!(controller.metric("waiting", &[("project", &shop), ("reason", "backoff")]), Some(1.0));

    controller.kill9();
    controller.restart();
    let pauses = Runs::wait(&proxy, &shop, 5, 4).pauses();
    // A tenth less at most, for the jitter, and a little as the event comes after the end; more on a busy machine.
    for (pause, (least, most)) in pauses.iter().zip([(0.0, 0.6), (0.8, 1.7), (1.7, 2.8), (3.4, 8.0)]) {
        assert!((least..=most).contains(pause), "{pauses:?}");
    }
    let view = controller.service(&shop, "web");
    assert_eq!(view["restarts"], 4, "{view}");
}

#[test]
fn a_calm_time_makes_the_count_begin_anew() {
    let Some(world) = World::new() else { return };
    let (shop, proxy) = (world.project("shop"), world.proxy());
    let environment = "{CRASH_AFTER_MS: \"1200\"}";
    world.write(
        &shop,
        &format!("services: {{web: {{image: IMAGE, network_mode: none, environment: {environment}}}}}\n"),
    );
    let controller = world
        .controller()
        .engine(&proxy.url())
        .env("EVENKEEL_RECOVERY_BACKOFF_RESET_AFTER", "1s")
        .env("EVENKEEL_RECOVERY_BACKOFF_INITIAL", "20s")
        .start();
    let pauses = Runs::wait(&proxy, &shop, 4, 3).pauses();
    assert!(pauses.iter().all(|pause| *pause < 2.0), "{pauses:?}");
    assert_eq!(controller.service(&shop, "web")["restarts"], 1);
}
