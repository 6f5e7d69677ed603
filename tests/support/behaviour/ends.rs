//! Ends: by themselves, when asked, by force.

use std::time::Duration;

use evenkeel::model::service::{Bytes, RestartPolicy};
use expect_test::expect;

use super::both;
use crate::sim::scene::{Acts, Make, Scene};

#[test]
fn it_ends_when_it_is_asked_to() {
    both(
        expect![[r#"
        create well: ok
        start well: ok
        stop well: ok
          well: exited 0
        create interrupted: ok
        start interrupted: ok
        stop interrupted: ok
          interrupted: exited 143
        create deaf: ok
        start deaf: ok
        stop deaf: ok
          deaf: exited 137
        --- events
        well: created
        well: started
        well: killed
        well: died 0
        interrupted: created
        interrupted: started
        interrupted: killed
        interrupted: died 143
        deaf: created
        deaf: started
        deaf: killed
        deaf: killed
        deaf: died 137
    "#]],
        async |s: &Scene| {
            s.run(Make::new("well")).await;
            s.stop("well", 5).await;
            s.look("well").await;
            s.run(Make::new("interrupted").acts(Acts::interrupted())).await;
            s.stop("interrupted", 5).await;
            s.look("interrupted").await;
            s.run(Make::new("deaf").acts(Acts::deaf())).await;
            s.stop("deaf", 1).await;
            s.look("deaf").await;
        },
    );
}

#[test]
fn what_does_not_run_is_stopped_already() {
    both(
        expect![[r#"
        create web: ok
        stop web: ok
          web: created
        start web: ok
        stop web: ok
        stop web: ok
          web: exited 0
        --- events
        web: created
        web: started
        web: killed
        web: died 0
    "#]],
        async |s: &Scene| {
            s.create(Make::new("web")).await;
            s.stop("web", 5).await;
            s.look("web").await;
            s.up("web").await;
            s.stop("web", 5).await;
            s.stop("web", 5).await;
            s.look("web").await;
        },
    );
}

#[test]
fn a_frozen_one_is_stopped() {
    both(
        expect![[r#"
        create web: ok
        start web: ok
        by hand: pause web: ok
        stop web: ok
          web: exited 0
        --- events
        web: created
        web: started
        web: paused
        web: killed
        web: unpaused
        web: died 0
    "#]],
        async |s: &Scene| {
            s.run(Make::new("web")).await;
            s.pause("web");
            s.stop("web", 5).await;
            s.look("web").await;
        },
    );
}

#[test]
fn a_frozen_one_is_killed() {
    both(
        expect![[r#"
        create web: ok
        start web: ok
        by hand: pause web: ok
        by hand: kill web with KILL: ok
          web: exited 137
        --- events
        web: created
        web: started
        web: paused
        web: killed
        web: died 137
    "#]],
        async |s: &Scene| {
            s.run(Make::new("web")).await;
            s.pause("web");
            s.kill("web", "KILL");
            s.until_it_is("web", "exited").await;
        },
    );
}

#[test]
fn a_frozen_one_is_asked_to_end_by_a_signal() {
    both(
        expect![[r#"
            create web: ok
            start web: ok
            by hand: pause web: ok
            by hand: kill web with TERM: ok
              web: exited 0
            --- events
            web: created
            web: started
            web: paused
            web: killed
            web: unpaused
            web: died 0
        "#]],
        async |s: &Scene| {
            s.run(Make::new("web")).await;
            s.pause("web");
            s.kill("web", "TERM");
            s.until_it_is("web", "exited").await;
        },
    );
}

#[test]
fn a_frozen_deaf_one_is_stopped() {
    both(
        expect![[r#"
            create web: ok
            start web: ok
            by hand: pause web: ok
            stop web: ok
              web: exited 137
            --- events
            web: created
            web: started
            web: paused
            web: killed
            web: unpaused
            web: killed
            web: died 137
        "#]],
        async |s: &Scene| {
            s.run(Make::new("web").acts(Acts::deaf())).await;
            s.pause("web");
            s.stop("web", 1).await;
            s.look("web").await;
        },
    );
}

#[test]
fn it_ends_for_want_of_memory() {
    both(
        expect![[r#"
            create web: ok
            start web: ok
              web: exited 137 for want of memory
            --- events
            web: created
            web: started
            web: outofmemory
            web: died 137
        "#]],
        async |s: &Scene| {
            let mut make = Make::new("web").acts(Acts::greedy());
            make.service.resources.memory = Some(Bytes(64 << 20));
            make.service.resources.memory_swap = Some(Bytes(64 << 20));
            s.create(make).await;
            s.start("web").await;
            s.until_it_is("web", "exited").await;
            s.until_told("web: outofmemory", 1).await;
        },
    );
}

#[test]
fn it_is_killed_by_hand() {
    both(
        expect![[r#"
        create web: ok
        by hand: kill web with KILL: Other: Cannot kill container: <web>: Container <web> is not running
        start web: ok
        by hand: kill web with KILL: ok
          web: exited 137
        by hand: kill web with KILL: Other: Cannot kill container: <web>: Container <web> is not running
          web: exited 137
        start web: ok
        by hand: kill web with TERM: ok
          web: exited 0
        by hand: kill web with TERM: Other: Cannot kill container: <web>: Container <web> is not running
        --- events
        web: created
        web: started
        web: killed
        web: died 137
        web: started
        web: killed
        web: died 0
    "#]],
        async |s: &Scene| {
            s.create(Make::new("web")).await;
            s.kill("web", "KILL");
            s.up("web").await;
            s.kill("web", "KILL");
            s.until_it_is("web", "exited").await;
            s.kill("web", "KILL");
            s.look("web").await;
            s.up("web").await;
            s.kill("web", "TERM");
            s.until_it_is("web", "exited").await;
            s.kill("web", "TERM");
        },
    );
}

#[test]
fn a_deaf_one_hears_only_the_last_signal() {
    both(
        expect![[r#"
        create web: ok
        start web: ok
        by hand: kill web with TERM: ok
          web: running
        by hand: kill web with KILL: ok
          web: exited 137
        --- events
        web: created
        web: started
        web: killed
        web: killed
        web: died 137
    "#]],
        async |s: &Scene| {
            s.run(Make::new("web").acts(Acts::deaf())).await;
            s.kill("web", "TERM");
            s.look("web").await;
            s.kill("web", "KILL");
            s.until_it_is("web", "exited").await;
        },
    );
}

#[test]
fn it_ends_by_itself() {
    both(
        expect![[r#"
        create well: ok
        start well: ok
          well: exited 0
        create badly: ok
        start badly: ok
          badly: exited 3
        create no: ok
        start no: ok
          no: exited 4
        start no: ok
          no: exited 4
        --- events
        well: created
        well: started
        well: died 0
        badly: created
        badly: started
        badly: died 3
        no: created
        no: started
        no: died 4
        no: started
        no: died 4
    "#]],
        async |s: &Scene| {
            let soon = Duration::from_millis(300);
            s.run(Make::new("well").acts(Acts::ending(soon, 0))).await;
            s.until_it_is("well", "exited").await;
            s.run(Make::new("badly").acts(Acts::ending(soon, 3))).await;
            s.until_it_is("badly", "exited").await;
            s.run(Make::new("no").restart(RestartPolicy::No).acts(Acts::ending(soon, 4))).await;
            s.until_it_is("no", "exited").await;
            s.start("no").await;
            s.until("no", "ended", |c| c.state.as_str() == "exited").await;
            s.until_told("no: died 4", 2).await;
        },
    );
}
