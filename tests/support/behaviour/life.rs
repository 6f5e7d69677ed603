//! Starting, freezing, and what is told of it.

use expect_test::expect;

use super::both;
use crate::sim::scene::{Make, Scene};

#[test]
fn a_life_in_order() {
    both(
        expect![[r#"
        create web: ok
          web: created
        start web: ok
          web: running
        start web: ok
        stop web: ok
          web: exited 0
        start web: ok
          web: running
        stop web: ok
        remove web: ok
          web: gone
        --- events
        web: created
        web: started
        web: killed
        web: died 0
        web: started
        web: killed
        web: died 0
        web: destroyed
    "#]],
        async |s: &Scene| {
            s.create(Make::new("web")).await;
            s.look("web").await;
            s.up("web").await;
            s.look("web").await;
            s.start("web").await;
            s.stop("web", 5).await;
            s.look("web").await;
            s.up("web").await;
            s.look("web").await;
            s.stop("web", 5).await;
            s.remove("web").await;
            s.look("web").await;
        },
    );
}

#[test]
fn a_frozen_one_goes_on() {
    both(
        expect![[r#"
        create web: ok
        by hand: pause web: Other: Container <web> is not running
        unpause web: ServerError: Container <web> is not paused
        start web: ok
        unpause web: ServerError: Container <web> is not paused
        by hand: pause web: ok
          web: paused
        by hand: pause web: Other: Container <web> is already paused
        start web: Other: cannot start a paused container, try unpause instead
        unpause web: ok
          web: running
        stop web: ok
        by hand: pause web: Other: Container <web> is not running
        unpause web: ServerError: Container <web> is not paused
          web: exited 0
        --- events
        web: created
        web: started
        web: paused
        web: unpaused
        web: killed
        web: died 0
    "#]],
        async |s: &Scene| {
            s.create(Make::new("web")).await;
            s.pause("web");
            s.unpause("web").await;
            s.up("web").await;
            s.unpause("web").await;
            s.pause("web");
            s.look("web").await;
            s.pause("web");
            s.start("web").await;
            s.unpause("web").await;
            s.look("web").await;
            s.stop("web", 5).await;
            s.pause("web");
            s.unpause("web").await;
            s.look("web").await;
        },
    );
}

#[test]
fn what_happened_is_told_again() {
    both(
        expect![[r#"
        create web: ok
        start web: ok
        stop web: ok
        remove web: ok
        told again: web: started, web: killed, web: died 0, web: destroyed
        --- events
        web: created
        web: started
        web: killed
        web: died 0
        web: destroyed
    "#]],
        async |s: &Scene| {
            s.run(Make::new("web")).await;
            s.until_told("web: started", 1).await;
            let since = s.last_event();
            s.stop("web", 5).await;
            s.remove("web").await;
            s.hear_again(since).await;
        },
    );
}
