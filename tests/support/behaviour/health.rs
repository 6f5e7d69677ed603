//! Health checks.

use std::time::Duration;

use evenkeel::model::observed::Health;
use evenkeel::model::service::RestartPolicy;
use expect_test::expect;

use super::both;
use crate::sim::scene::{Acts, Make, Scene};

#[test]
fn a_check_that_passes() {
    both(
        expect![[r#"
        create web: ok
          web: created
        start web: ok
          web: running, starting
          web: running, healthy
        stop web: ok
          web: exited 0, unhealthy
        start web: ok
          web: running, starting
        --- events
        web: created
        web: started
        web: healthy
        web: killed
        web: died 0
        web: started
    "#]],
        async |s: &Scene| {
            s.create(Make::new("web").checked(500, 2, 0)).await;
            s.look("web").await;
            s.up("web").await;
            s.look("web").await;
            s.until("web", "healthy", |c| c.health == Health::Healthy).await;
            s.stop("web", 5).await;
            s.look("web").await;
            s.start("web").await;
            s.look("web").await;
        },
    );
}

#[test]
fn a_check_that_fails() {
    both(
        expect![[r#"
        create web: ok
        start web: ok
          web: running, starting
          web: running, unhealthy
        by hand: kill web with KILL: ok
          web: exited 137, unhealthy
        --- events
        web: created
        web: started
        web: unhealthy
        web: killed
        web: died 137
    "#]],
        async |s: &Scene| {
            s.run(Make::new("web").checked(300, 2, 0).acts(Acts::sick())).await;
            s.look("web").await;
            s.until("web", "unhealthy", |c| c.health == Health::Unhealthy).await;
            s.kill("web", "KILL");
            s.until_it_is("web", "exited").await;
        },
    );
}

#[test]
fn failures_of_the_start_period_do_not_count() {
    both(
        expect![[r#"
        create web: ok
        start web: ok
          web: running, starting
          web: running, healthy
        --- events
        web: created
        web: started
        web: healthy
    "#]],
        async |s: &Scene| {
            // Five checks fail in that time; one of them would be enough.
            let acts = Acts::late(Duration::from_millis(1_500));
            s.create(Make::new("web").checked(300, 1, 20_000).acts(acts)).await;
            s.start("web").await;
            s.look("web").await;
            s.until("web", "healthy", |c| c.health == Health::Healthy).await;
        },
    );
}

#[test]
fn a_check_that_fails_after_the_start_period() {
    both(
        expect![[r#"
        create web: ok
        start web: ok
          web: running, starting
          web: running, unhealthy
        --- events
        web: created
        web: started
        web: unhealthy
    "#]],
        async |s: &Scene| {
            s.run(Make::new("web").checked(300, 1, 1_500).acts(Acts::sick())).await;
            s.look("web").await;
            s.until("web", "unhealthy", |c| c.health == Health::Unhealthy).await;
        },
    );
}

#[test]
fn a_check_that_changes_its_mind() {
    both(
        expect![[r#"
        create network net: ok
        create web: ok
        start web: ok
          web: running, healthy, on id of net and net
          web: running, unhealthy, on id of net and net
          web: running, healthy, on id of net and net
        --- events
        network net: made
        web: created
        network net: web comes or goes
        web: started
        web: healthy
        web: unhealthy
        web: healthy
    "#]],
        async |s: &Scene| {
            s.create_network("net").await;
            s.run(Make::new("web").on(&["net"]).checked(300, 2, 0)).await;
            s.until("web", "healthy", |c| c.health == Health::Healthy).await;
            s.hand.sicken(&s.id("web"), true);
            s.until("web", "unhealthy", |c| c.health == Health::Unhealthy).await;
            s.hand.sicken(&s.id("web"), false);
            s.until("web", "healthy", |c| c.health == Health::Healthy).await;
        },
    );
}

#[test]
fn a_frozen_one_is_not_checked() {
    both(
        expect![[r#"
        create web: ok
        start web: ok
          web: running, healthy
        by hand: pause web: ok
          web: paused, starting
        unpause web: ok
          web: running, starting
          web: running, healthy
        by hand: pause web: ok
        stop web: ok
          web: exited 0, unhealthy
        --- events
        web: created
        web: started
        web: healthy
        web: paused
        web: unpaused
        web: healthy
        web: paused
        web: killed
        web: unpaused
        web: died 0
    "#]],
        async |s: &Scene| {
            s.run(Make::new("web").checked(500, 2, 0)).await;
            s.until("web", "healthy", |c| c.health == Health::Healthy).await;
            s.pause("web");
            s.look("web").await;
            s.unpause("web").await;
            s.look("web").await;
            s.until("web", "healthy", |c| c.health == Health::Healthy).await;
            s.pause("web");
            s.stop("web", 5).await;
            s.look("web").await;
        },
    );
}

#[test]
fn each_run_is_checked_anew() {
    both(
        expect![[r#"
        create web: ok
        start web: ok
        stop web: ok
          web: exited 0, unhealthy, 1 restarts
        --- events
        web: created
        web: started
        web: healthy
        web: died 3
        web: started
        web: healthy
        web: killed
        web: died 0
    "#]],
        async |s: &Scene| {
            let acts = Acts::ending(Duration::from_millis(1_500), 3);
            s.create(Make::new("web").checked(300, 2, 0).restart(RestartPolicy::Always).acts(acts)).await;
            s.start("web").await;
            s.until_told("web: healthy", 2).await;
            s.stop("web", 5).await;
            s.look("web").await;
        },
    );
}
