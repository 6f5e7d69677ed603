//! Volumes.

use expect_test::expect;

use super::both;
use crate::sim::scene::{Make, Scene};

#[test]
fn a_volume_is_made_once() {
    both(
        expect![[r#"
        create volume data: ok
        create volume data: ok
        remove volume data: ok
        remove volume data: ok
        --- events
        volume data: made
        volume data: made
        volume data: gone
    "#]],
        async |s: &Scene| {
            s.create_volume("data").await;
            s.create_volume("data").await;
            s.remove_volume("data").await;
            s.remove_volume("data").await;
        },
    );
}

#[test]
fn a_volume_in_use_stays() {
    both(
        expect![[r#"
        create volume data: ok
        create web: ok
        remove volume data: Other: remove data: volume is in use - [<web>]
        start web: ok
        remove volume data: Other: remove data: volume is in use - [<web>]
        stop web: ok
        remove volume data: Other: remove data: volume is in use - [<web>]
        remove web: ok
        remove volume data: ok
        --- events
        volume data: made
        volume data: made
        web: created
        web: started
        web: killed
        web: died 0
        web: destroyed
        volume data: gone
    "#]],
        async |s: &Scene| {
            s.create_volume("data").await;
            s.create(Make::new("web").volume("data")).await;
            s.remove_volume("data").await;
            s.up("web").await;
            s.remove_volume("data").await;
            s.stop("web", 5).await;
            s.remove_volume("data").await;
            s.remove("web").await;
            s.remove_volume("data").await;
        },
    );
}

#[test]
fn a_container_brings_its_volume_along() {
    both(
        expect![[r#"
        create web: ok
        create other: ok
        remove web: ok
        remove volume data: Other: remove data: volume is in use - [<other>]
        remove other: ok
        remove volume data: ok
        --- events
        volume data: made
        web: created
        volume data: made
        other: created
        web: destroyed
        other: destroyed
        volume data: gone
    "#]],
        async |s: &Scene| {
            s.create(Make::new("web").volume("data")).await;
            s.create(Make::new("other").volume("data")).await;
            s.remove("web").await;
            s.remove_volume("data").await;
            s.remove("other").await;
            s.remove_volume("data").await;
        },
    );
}
