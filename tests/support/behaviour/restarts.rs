//! The Engine's own restarts.

use std::time::Duration;

use evenkeel::model::observed::Container;
use evenkeel::model::service::RestartPolicy;
use expect_test::expect;

use super::both;
use crate::sim::scene::{Acts, Make, Scene};

const SOON: Duration = Duration::from_millis(300);

fn ended(container: &Container) -> bool {
    container.state.as_str() == "exited"
}

#[test]
fn always_restarts_whatever_the_end() {
    both(
        expect![[r#"
        create well: ok
        create badly: ok
        start well: ok
          well: restarting, 4 restarts
        stop well: ok
          well: exited 0, 4 restarts
        start badly: ok
          badly: restarting, 4 restarts
        stop badly: ok
          badly: exited 3, 4 restarts
        --- events
        well: created
        badly: created
        well: started
        well: died 0
        well: started
        well: died 0
        well: started
        well: died 0
        well: started
        well: died 0
        badly: started
        badly: died 3
        badly: started
        badly: died 3
        badly: started
        badly: died 3
        badly: started
        badly: died 3
    "#]],
        async |s: &Scene| {
            s.create(Make::new("well").restart(RestartPolicy::Always).acts(Acts::ending(SOON, 0))).await;
            s.create(Make::new("badly").restart(RestartPolicy::UnlessStopped).acts(Acts::ending(SOON, 3))).await;
            for label in ["well", "badly"] {
                s.start(label).await;
                // The fourth wait takes 800 ms, time enough for a stop in between.
                s.until(label, "waiting", |c| c.state.as_str() == "restarting" && c.restart_count == 4).await;
                s.stop(label, 5).await;
                s.until(label, "ended", ended).await;
            }
        },
    );
}

#[test]
fn on_failure_restarts_failures_so_often() {
    both(
        expect![[r#"
        create badly: ok
        start badly: ok
          badly: exited 3, 2 restarts
        start badly: ok
          badly: exited 3, 2 restarts
        create well: ok
        start well: ok
          well: exited 0
        --- events
        badly: created
        badly: started
        badly: died 3
        badly: started
        badly: died 3
        badly: started
        badly: died 3
        badly: started
        badly: died 3
        badly: started
        badly: died 3
        badly: started
        badly: died 3
        well: created
        well: started
        well: died 0
    "#]],
        async |s: &Scene| {
            let policy = RestartPolicy::OnFailure { max: Some(2) };
            s.create(Make::new("badly").restart(policy).acts(Acts::ending(SOON, 3))).await;
            s.start("badly").await;
            s.until_told("badly: died 3", 3).await;
            s.until("badly", "ended", ended).await;
            s.start("badly").await;
            s.until_told("badly: died 3", 6).await;
            s.until("badly", "ended", ended).await;
            s.create(Make::new("well").restart(policy).acts(Acts::ending(SOON, 0))).await;
            s.start("well").await;
            s.until_it_is("well", "exited").await;
        },
    );
}

#[test]
fn what_was_stopped_by_hand_stays_so() {
    both(
        expect![[r#"
        create always: ok
        start always: ok
        stop always: ok
          always: exited 143
        start always: ok
        by hand: kill always with KILL: ok
          always: exited 137
        start always: ok
        by hand: kill always with TERM: ok
          always: exited 143
        create unless: ok
        start unless: ok
        stop unless: ok
          unless: exited 143
        start unless: ok
        by hand: kill unless with KILL: ok
          unless: exited 137
        start unless: ok
        by hand: kill unless with TERM: ok
          unless: exited 143
        create failure: ok
        start failure: ok
        stop failure: ok
          failure: exited 143
        start failure: ok
        by hand: kill failure with KILL: ok
          failure: exited 137
        start failure: ok
        by hand: kill failure with TERM: ok
          failure: exited 143
        --- events
        always: created
        always: started
        always: killed
        always: died 143
        always: started
        always: killed
        always: died 137
        always: started
        always: killed
        always: died 143
        unless: created
        unless: started
        unless: killed
        unless: died 143
        unless: started
        unless: killed
        unless: died 137
        unless: started
        unless: killed
        unless: died 143
        failure: created
        failure: started
        failure: killed
        failure: died 143
        failure: started
        failure: killed
        failure: died 137
        failure: started
        failure: killed
        failure: died 143
    "#]],
        async |s: &Scene| {
            for policy in [RestartPolicy::Always, RestartPolicy::UnlessStopped, RestartPolicy::OnFailure { max: None }]
            {
                let label = match policy {
                    RestartPolicy::Always => "always",
                    RestartPolicy::UnlessStopped => "unless",
                    _ => "failure",
                };
                s.run(Make::new(label).restart(policy).acts(Acts::interrupted())).await;
                s.stop(label, 5).await;
                s.look(label).await;
                s.up(label).await;
                s.kill(label, "KILL");
                s.until_it_is(label, "exited").await;
                s.up(label).await;
                s.kill(label, "TERM");
                s.until_it_is(label, "exited").await;
            }
        },
    );
}

#[test]
fn between_two_runs_it_counts_as_running() {
    both(
        expect![[r#"
        create web: ok
        start web: ok
          web: restarting, 5 restarts
        start web: ok
        remove web: Other: You cannot remove a restarting container <web>. Stop the container before attempting removal or force remove
        by hand: pause web: Other: Container <web> is restarting, wait until the container is running
        stop web: ok
          web: exited 3, 5 restarts
        remove web: ok
        --- events
        web: created
        web: started
        web: died 3
        web: started
        web: died 3
        web: started
        web: died 3
        web: started
        web: died 3
        web: started
        web: died 3
        web: destroyed
    "#]],
        async |s: &Scene| {
            // The fifth wait takes 1.6 s: time enough to look.
            s.create(Make::new("web").restart(RestartPolicy::Always).acts(Acts::ending(Duration::from_millis(1), 3)))
                .await;
            s.start("web").await;
            s.until("web", "waiting", |c| c.state.as_str() == "restarting" && c.restart_count == 5).await;
            s.start("web").await;
            s.remove("web").await;
            s.pause("web");
            s.stop("web", 5).await;
            s.look("web").await;
            s.remove("web").await;
        },
    );
}

#[test]
fn a_wait_is_ended_by_a_kill() {
    both(
        expect![[r#"
        create web: ok
        start web: ok
          web: restarting, 5 restarts
        by hand: kill web with KILL: ok
          web: exited 3, 5 restarts
        remove web: ok
        --- events
        web: created
        web: started
        web: died 3
        web: started
        web: died 3
        web: started
        web: died 3
        web: started
        web: died 3
        web: started
        web: died 3
        web: destroyed
    "#]],
        async |s: &Scene| {
            s.create(Make::new("web").restart(RestartPolicy::Always).acts(Acts::ending(Duration::from_millis(1), 3)))
                .await;
            s.start("web").await;
            s.until("web", "waiting", |c| c.state.as_str() == "restarting" && c.restart_count == 5).await;
            s.kill("web", "KILL");
            s.until("web", "ended", ended).await;
            s.remove("web").await;
        },
    );
}

#[test]
fn a_wait_is_ended_by_a_removal() {
    both(
        expect![[r#"
        create web: ok
        start web: ok
          web: restarting, 5 restarts
        by hand: remove web: ok
          web: gone
        --- events
        web: created
        web: started
        web: died 3
        web: started
        web: died 3
        web: started
        web: died 3
        web: started
        web: died 3
        web: started
        web: died 3
        web: destroyed
    "#]],
        async |s: &Scene| {
            s.create(Make::new("web").restart(RestartPolicy::Always).acts(Acts::ending(Duration::from_millis(1), 3)))
                .await;
            s.start("web").await;
            s.until("web", "waiting", |c| c.state.as_str() == "restarting" && c.restart_count == 5).await;
            s.remove_by_force("web");
            s.until_gone("web").await;
        },
    );
}

#[test]
fn a_start_by_hand_counts_anew() {
    both(
        expect![[r#"
        create web: ok
        start web: ok
          web: running, 1 restarts
        stop web: ok
          web: exited 0, 1 restarts
        start web: ok
          web: running
        stop web: ok
        --- events
        web: created
        web: started
        web: died 3
        web: started
        web: killed
        web: died 0
        web: started
        web: killed
        web: died 0
    "#]],
        async |s: &Scene| {
            s.create(Make::new("web").restart(RestartPolicy::Always).acts(Acts::ending(Duration::from_secs(2), 3)))
                .await;
            s.start("web").await;
            s.until_told("web: started", 2).await;
            s.until_it_is("web", "running").await;
            s.hand.ready(&s.id("web"));
            s.stop("web", 5).await;
            s.until("web", "ended", ended).await;
            s.up("web").await;
            s.until_it_is("web", "running").await;
            s.stop("web", 5).await;
        },
    );
}

#[test]
fn a_restart_that_fails_is_the_last_one() {
    both(
        expect![[r#"
        create network net: ok
        create web: ok
        start web: ok
          web: restarting, 5 restarts, on id of net and net
        remove network net: ok
          web: exited 3, 5 restarts, on id of net and net, error: network <net> not found
        start web: NotFound(Network): network <net> not found
          web: exited 3, 5 restarts, on id of net and net, error: network <net> not found
        --- events
        network net: made
        web: created
        network net: web comes or goes
        web: started
        web: died 3
        network net: web comes or goes
        network net: web comes or goes
        web: started
        web: died 3
        network net: web comes or goes
        network net: web comes or goes
        web: started
        web: died 3
        network net: web comes or goes
        network net: web comes or goes
        web: started
        web: died 3
        network net: web comes or goes
        network net: web comes or goes
        web: started
        web: died 3
        network net: web comes or goes
        network net: gone
    "#]],
        async |s: &Scene| {
            s.create_network("net").await;
            let acts = Acts::ending(Duration::from_millis(1), 3);
            s.create(Make::new("web").on(&["net"]).restart(RestartPolicy::Always).acts(acts)).await;
            s.start("web").await;
            s.until("web", "waiting", |c| c.state.as_str() == "restarting" && c.restart_count == 5).await;
            s.remove_network("net").await;
            s.until("web", "ended", ended).await;
            s.start("web").await;
            s.look("web").await;
        },
    );
}
