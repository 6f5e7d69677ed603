//! Each way to end under each form of `restart`.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::support::{SOON, World, stays, wait_until};

const FORMS: [(&str, &str); 5] = [
    ("always", "restart: always"),
    ("unlessstopped", "restart: unless-stopped"),
    ("onfailure", "restart: on-failure"),
    ("no", "restart: \"no\""),
    ("unwritten", "stdin_open: false"),
];

/// What a service is expected to be at last.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    /// Started again.
    Back,
    /// Done, as a job is.
    Completed,
    /// Down, reported and left so.
    Stopped,
}

fn fate(form: &str, end: &str) -> Fate {
    match (form, end) {
        ("always" | "unlessstopped", _) => Fate::Back,
        (_, "exit0") => Fate::Completed,
        ("no", _) => Fate::Stopped,
        _ => Fate::Back,
    }
}

/// Runs the five forms with one way to end, and looks at what becomes of each.
fn expect(end: &str, exit_code: Option<u8>, by_hand: impl Fn(&World, &str)) {
    let Some(world) = World::new() else { return };
    let shop = world.project("shop");
    let environment = exit_code.map_or("{}".to_owned(), |code| {
        // Long enough for all of them to be seen running before the first one ends.
        format!("{{CRASH_AFTER_MS: \"4000\", EXIT_CODE: \"{code}\"}}")
    });
    let mut text = "services:\n".to_owned();
    for (form, restart) in FORMS {
        text += &format!("  {form}: {{image: IMAGE, network_mode: none, environment: {environment}, {restart}}}\n");
    }
    world.write(&shop, &text);
    let controller = world.run();
    wait_until(SOON, "all five run", || world.engine.running(&shop) == FORMS.len());
    let first: BTreeMap<String, (String, String)> = world
        .engine
        .containers(&shop)
        .into_iter()
        .map(|c| (c.service, (c.id.clone(), world.engine.started(&c.id))))
        .collect();
    for (id, _) in first.values() {
        by_hand(&world, id);
    }
    let state = |form: &str| controller.service(&shop, form)["state"].as_str().unwrap_or_default().to_owned();
    for (form, _) in FORMS {
        let (id, started) = &first[form];
        let fate = fate(form, end);
        wait_until(SOON, &format!("{end} under {form}: {fate:?}"), || match fate {
            Fate::Back => world.engine.started(id) != *started,
            Fate::Completed => state(form) == "completed",
            Fate::Stopped => state(form) == "stopped",
        });
    }
    stays(Duration::from_millis(1500), "what is down stays down", || {
        FORMS.iter().filter(|(form, _)| fate(form, end) != Fate::Back).all(|(form, _)| {
            let (id, started) = &first[*form];
            let container = world.engine.inspect(id);
            container["State"]["Running"] == false && container["State"]["StartedAt"] == started.as_str()
        })
    });
    let degraded = FORMS.iter().any(|(form, _)| fate(form, end) == Fate::Stopped);
    if exit_code.is_none() {
        let word = if degraded { "degraded" } else { "converged" };
        wait_until(SOON, word, || controller.project(&shop)["state"] == word);
    }
    if degraded {
        assert!(!controller.events(&shop, "ServiceDown").is_empty(), "what stays down is reported");
    }
}

#[test]
fn a_killed_container_is_back_unless_restart_is_no() {
    expect("kill", None, |world, id| world.engine.kill(id));
}

#[test]
fn a_stopped_container_is_back_unless_restart_is_no() {
    expect("stop", None, |world, id| world.engine.stop(id));
}

#[test]
fn an_exit_with_0_is_a_completion_unless_it_is_always_to_run() {
    expect("exit0", Some(0), |_, _| {});
}

#[test]
fn an_exit_with_1_is_a_failure_that_is_repaired_unless_restart_is_no() {
    expect("exit1", Some(1), |_, _| {});
}

#[test]
fn an_exhausted_on_failure_is_final() {
    let Some(world) = World::new() else { return };
    let shop = world.project("shop");
    world.write(
        &shop,
        "services: {web: {image: IMAGE, network_mode: none, restart: \"on-failure:2\", command: [job, --seconds, \"0\", --exit-code, \"3\"]}}\n",
    );
    let mut controller = world.run();
    let view = controller.in_state(&shop, "web", "stopped");
    assert!(view["reason"].as_str().is_some_and(|reason| reason.contains("on-failure:2")), "{view}");
    let container = world.engine.inspect(&world.engine.container(&shop, "web").id);
    assert_eq!(container["RestartCount"], 2);
    controller.restart();
    controller.in_state(&shop, "web", "stopped");
    let started = &container["State"]["StartedAt"];
    let id = container["Id"].as_str().unwrap();
    stays(Duration::from_secs(2), "it stays down", || {
        let now = world.engine.inspect(id);
        now["State"]["Running"] == false && now["State"]["StartedAt"] == *started
    });
}
