//! Making, naming and removing containers.

use expect_test::expect;

use super::both;
use crate::sim::scene::{Acts, Make, Scene};

#[test]
fn a_name_is_given_once() {
    both(
        expect![[r#"
        create web: ok
        create second: NameTaken: Conflict. The container name "/web" is already in use by container "<web>". You have to remove (or rename) that container to be able to reuse that name.
          web: created
          second: gone
        remove web: ok
        create third: ok
          third: created, named web
        --- events
        web: created
        web: destroyed
        third: created
    "#]],
        async |s: &Scene| {
            s.create(Make::new("web")).await;
            s.create(Make::new("second").named("web")).await;
            s.look("web").await;
            s.look("second").await;
            s.remove("web").await;
            s.create(Make::new("third").named("web")).await;
            s.look("third").await;
        },
    );
}

#[test]
fn a_container_needs_its_image() {
    both(
        expect![[r#"
        create web: NotFound(Image): No such image: evenkeel-it-nosuch:1
        image evenkeel-it-nosuch:1: ok
          none
        image Not A Reference: ok
          none
        image IMAGE: ok
          found
        --- events
    "#]],
        async |s: &Scene| {
            s.create(Make::new("web").image("evenkeel-it-nosuch:1")).await;
            s.image("evenkeel-it-nosuch:1").await;
            s.image("Not A Reference").await;
            s.image(&s.image).await;
        },
    );
}

#[test]
fn what_runs_is_not_removed() {
    both(
        expect![[r#"
        create web: ok
        start web: ok
        remove web: Other: You cannot remove a running container <web>. Stop the container before attempting removal or force remove
          web: running
        by hand: pause web: ok
        remove web: Other: You cannot remove a paused container <web>. Unpause and then stop the container before attempting removal or force remove
          web: paused
        by hand: remove web: ok
          web: gone
        --- events
        web: created
        web: started
        web: paused
        web: killed
        web: died 137
        web: destroyed
    "#]],
        async |s: &Scene| {
            s.run(Make::new("web")).await;
            s.remove("web").await;
            s.look("web").await;
            s.pause("web");
            s.remove("web").await;
            s.look("web").await;
            s.remove_by_force("web");
            s.until_gone("web").await;
        },
    );
}

#[test]
fn what_is_gone_is_removed_already() {
    both(
        expect![[r#"
        remove nobody: ok
        create web: ok
        remove web: ok
          web: gone
        remove web: ok
        by hand: remove web: NotFound(Itself): No such container: <web>
        start web: NotFound(Itself): No such container: <web>
        stop web: ok
        rename web to other: NotFound(Itself): No such container: <web>
        unpause web: NotFound(Itself): No such container: <web>
        by hand: pause web: NotFound(Itself): No such container: <web>
        by hand: kill web with KILL: NotFound(Itself): Cannot kill container: <web>: No such container: <web>
        --- events
        web: created
        web: destroyed
    "#]],
        async |s: &Scene| {
            s.remove("nobody").await;
            s.create(Make::new("web")).await;
            s.remove("web").await;
            s.look("web").await;
            s.remove("web").await;
            s.remove_by_force("web");
            s.start("web").await;
            s.stop("web", 1).await;
            s.rename("web", "other").await;
            s.unpause("web").await;
            s.pause("web");
            s.kill("web", "KILL");
        },
    );
}

#[test]
fn a_running_one_is_removed_by_force() {
    both(
        expect![[r#"
        create web: ok
        start web: ok
        by hand: remove web: ok
          web: gone
        create created: ok
        by hand: remove created: ok
          created: gone
        --- events
        web: created
        web: started
        web: killed
        web: died 137
        web: destroyed
        created: created
        created: destroyed
    "#]],
        async |s: &Scene| {
            s.run(Make::new("web")).await;
            s.remove_by_force("web");
            s.until_gone("web").await;
            s.create(Make::new("created")).await;
            s.remove_by_force("created");
            s.until_gone("created").await;
        },
    );
}

#[test]
fn names_are_changed() {
    both(
        expect![[r#"
        create web: ok
        start web: ok
        create other: ok
        rename web to web: InvalidRequest: Renaming a container with the same name as its current name
        rename web to other: NameTaken: Error when allocating new name: Conflict. The container name "/other" is already in use by container "<other>". You have to remove (or rename) that container to be able to reuse that name.
        rename web to new: ok
          web: running, named new
        rename other to web: ok
          other: created, named web
        stop web: ok
        rename web to stopped: ok
          web: exited 0, named stopped
        rename web to not a name: InvalidRequest: Error when allocating new name: Invalid container name (/not a name), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed
          web: exited 0, named stopped
        --- events
        web: created
        web: started
        other: created
        web: changed
        other: changed
        web: killed
        web: died 0
        web: changed
    "#]],
        async |s: &Scene| {
            s.run(Make::new("web")).await;
            s.create(Make::new("other")).await;
            s.rename("web", "web").await;
            s.rename("web", "other").await;
            s.rename("web", "new").await;
            s.look("web").await;
            s.rename("other", "web").await;
            s.look("other").await;
            s.stop("web", 2).await;
            s.rename("web", "stopped").await;
            s.look("web").await;
            s.rename("web", "not a name").await;
            s.look("web").await;
        },
    );
}

#[test]
fn a_foreign_container_is_not_told_of() {
    both(
        expect![[r#"
        by hand: create stranger: ok
          stranger: gone
        create web: NameTaken: Conflict. The container name "/stranger" is already in use by container "<stranger>". You have to remove (or rename) that container to be able to reuse that name.
        start stranger: ok
        remove stranger: Other: You cannot remove a running container <stranger>. Stop the container before attempting removal or force remove
        stop stranger: ok
        remove stranger: ok
        --- events
    "#]],
        async |s: &Scene| {
            s.create_foreign("stranger");
            s.look("stranger").await;
            s.create(Make::new("web").named("stranger")).await;
            s.start("stranger").await;
            s.hand.ready(&s.id("stranger"));
            s.remove("stranger").await;
            s.stop("stranger", 2).await;
            s.remove("stranger").await;
        },
    );
}

#[test]
fn files_are_put_into_it() {
    both(
        expect![[r#"
            create web: ok
            copy into web: ok
            start web: ok
            copy into web: ok
            stop web: ok
            copy into web: ok
            copy into nobody: NotFound(Itself): No such container: <id>
            --- events
            web: created
            web: started
            web: killed
            web: died 0
        "#]],
        async |s: &Scene| {
            s.create(Make::new("web")).await;
            s.copy_into("web").await;
            s.up("web").await;
            s.copy_into("web").await;
            s.stop("web", 5).await;
            s.copy_into("web").await;
            s.copy_into("nobody").await;
        },
    );
}

#[test]
fn limits_are_changed_by_hand() {
    both(
        expect![[r#"
        create created: ok
        by hand: update created: ok
          limits (67108864, 500000000)
        create web: ok
        start web: ok
        by hand: update web: ok
          limits (67108864, 500000000)
          web: running
        by hand: update web: ok
          limits (67108864, 500000000)
        by hand: update nobody: NotFound(Itself): No such container: <id>
        --- events
        created: created
        created: changed
        web: created
        web: started
        web: changed
        web: changed
    "#]],
        async |s: &Scene| {
            s.create(Make::new("created")).await;
            s.update("created", 64 << 20, 500_000_000);
            s.run(Make::new("web").acts(Acts::interrupted())).await;
            s.update("web", 64 << 20, 500_000_000);
            s.look("web").await;
            s.update("web", 0, 0);
            s.update("nobody", 64 << 20, 0);
        },
    );
}
