//! The way from a healthy revision to another one, and back where that fails.

use std::sync::Arc;

use evenkeel::decide::RolloutStatus;
use evenkeel::model::observed::{ContainerState, Health, PublishedPort};
use evenkeel::model::{ContainerId, ImageId, ProjectName};
use expect_test::expect;

use super::scene::Scene;
use super::world::Run;

fn two(web: &str, api: &str) -> String {
    format!("services: {{api: {{image: 'api:1', command: {api}}}, web: {{image: 'web:1', command: {web}}}}}")
}

/// Healthy for its monitor time, then changed.
fn changed(before: &str, after: &str) -> Scene {
    let mut scene = Scene::converged(before);
    scene.proves_itself();
    scene.change(after);
    scene
}

#[test]
fn a_revision_is_healthy_after_its_monitor_time_and_not_before() {
    let mut scene = Scene::converged("services: {web: {image: 'web:1', x-evenkeel: {rollout: {monitor: 30s}}}}");
    assert!(scene.ledger.converged.is_some());
    assert_eq!(scene.decide().wake_at, scene.now().checked_add(std::time::Duration::from_secs(30)).ok());
    scene.world.pass(29);
    assert_eq!(scene.decide().rollout_status, None);
    scene.world.pass(1);
    assert_eq!(scene.decide().rollout_status, Some(RolloutStatus::Healthy));
    scene.round();
    assert_eq!(scene.decide().rollout_status, None);
}

#[test]
fn what_comes_down_before_that_takes_the_proof_with_it() {
    let mut scene = Scene::converged(&two("one", "one"));
    scene.round();
    let web = scene.id("web", 1);
    scene.world.end(&web, 1, false, true);
    assert_eq!(scene.decide().rollout_status, Some(RolloutStatus::Lapsed));
}

#[test]
fn the_second_service_fails_and_the_first_goes_back_with_it() {
    let mut scene = changed(&two("one", "one"), &two("two", "two"));
    scene.runs.insert("web".into(), Run::Exits(1));
    let mut text = String::new();
    for _ in 0..12 {
        let decision = scene.decide();
        if let Some(RolloutStatus::Failed { .. }) = decision.rollout_status {
            scene.runs.clear();
            text += "--- failed\n";
        }
        text += &scene.round();
        scene.world.pass(1);
    }
    expect![[r#"
        create api/1 as c00000000002_shop-api-1: its configuration changed from config-1 to config-3
        create web/1 as c00000000003_shop-web-1: its configuration changed from config-2 to config-4
        stop api/1 (c00000000002): its replacement is ready to start
        stop web/1 (c00000000003): its replacement is ready to start
        start api/1 (c00000000004): what it waited for is ready
        start web/1 (c00000000005): what it waited for is ready
        remove api/1 (c00000000002): its replacement runs
        remove web/1 (c00000000005): it did not come up
        --- failed
        create api/1 as c00000000004_shop-api-1: its configuration changed from config-3 to config-1
        start web/1 (c00000000003): it had been stopped, and is wanted again
        stop api/1 (c00000000004): its replacement is ready to start
        start api/1 (c00000000006): what it waited for is ready
        remove api/1 (c00000000004): its replacement runs
        rename api/1 to shop-api-1: its replacement runs
    "#]]
    .assert_eq(&text);
    expect![[r#"
        shop-api-1 running config-1
        shop-web-1 running config-2
    "#]]
    .assert_eq(&scene.containers());
    expect![[r#"
        [rolled_back]
        [api: running]
        [web: running]
    "#]]
    .assert_eq(&scene.report());
}

#[test]
fn a_revision_that_failed_is_not_tried_again_and_another_one_is() {
    let mut scene = changed(&two("one", "one"), &two("two", "two"));
    scene.runs.insert("web".into(), Run::Exits(1));
    for _ in 0..6 {
        scene.round();
        scene.world.pass(1);
    }
    scene.runs.clear();
    scene.settle();
    scene.change(&two("two", "two"));
    scene.put_in_force();
    expect![[r#"
        [rolled_back]
        [api: running]
        [web: running]
    "#]]
    .assert_eq(&scene.report());
    scene.change(&two("three", "two"));
    scene.put_in_force();
    expect![[r#"
        1. create api/1 as c00000000006_shop-api-1: its configuration changed from config-1 to config-3
        1. create web/1 as c00000000003_shop-web-1: its configuration changed from config-2 to config-5
        2. stop api/1 (c00000000006): its replacement is ready to start
        2. stop web/1 (c00000000003): its replacement is ready to start
        3. start api/1 (c00000000007): what it waited for is ready
        3. start web/1 (c00000000008): what it waited for is ready
        4. remove api/1 (c00000000006): its replacement runs
        4. remove web/1 (c00000000003): its replacement runs
        5. rename api/1 to shop-api-1: its replacement runs
        5. rename web/1 to shop-web-1: its replacement runs
    "#]]
    .assert_eq(&scene.settle());
    expect![[r#"
        [converged]
        [api: running]
        [web: running]
    "#]]
    .assert_eq(&scene.report());
}

#[test]
fn a_rollback_goes_to_the_image_that_ran_though_its_name_moved() {
    let mut scene = Scene::converged(&two("one", "one"));
    scene.proves_itself();
    let other = Some(ImageId::trusted("sha256:broken"));
    scene.world.observed.images.insert("web:1".into(), other);
    scene.change(&two("two", "one"));
    scene.runs.insert("web".into(), Run::Exits(1));
    for _ in 0..5 {
        scene.round();
        scene.world.pass(1);
    }
    scene.runs.clear();
    expect![[r#"
        1. start web/1 (c00000000003): it had been stopped, and is wanted again
    "#]]
    .assert_eq(&scene.settle());
    expect![[r#"
        [rolled_back]
        [api: running]
        [web: running]
    "#]]
    .assert_eq(&scene.report());
}

#[test]
fn a_new_service_that_ends_over_and_over_fails_the_revision() {
    let mut scene =
        changed("services: {web: {image: 'web:1'}}", "services: {web: {image: 'web:1'}, worker: {image: 'worker:1'}}");
    scene.runs.insert("worker".into(), Run::Exits(1));
    let mut text = String::new();
    for _ in 0..10 {
        if let Some(RolloutStatus::Failed { failure }) = scene.decide().rollout_status {
            text += &format!("FAILED: {}: {}\n", failure.service, failure.reason);
        }
        text += &scene.round();
        scene.world.pass(2);
    }
    expect![[r#"
        create worker/1 as shop-worker-1: it is not there
        start worker/1 (c00000000003): what it waited for is ready
        start worker/1 (c00000000003): it exited with 1 (restart 1)
        start worker/1 (c00000000003): it exited with 1 (restart 2)
        FAILED: worker: it exited with 1 (restart 3)
        remove worker/1 (c00000000003): the manifest does not name it any more
    "#]]
    .assert_eq(&text);
    expect![[r#"
        [rolled_back]
        [web: running]
    "#]]
    .assert_eq(&scene.report());
}

#[test]
fn what_a_restart_of_the_engine_ended_is_no_failure() {
    let mut scene = changed(&two("one", "one"), &two("two", "one"));
    for _ in 0..3 {
        scene.round();
    }
    let new = scene.id("web", 1);
    // Nobody watched.
    scene.world.end(&new, 143, false, false);
    expect![[r#"
        1. start web/1 (c00000000004): it exited with 143 (restart 1)
        2. remove web/1 (c00000000003): its replacement runs
        3. rename web/1 to shop-web-1: its replacement runs
    "#]]
    .assert_eq(&scene.settle());
    expect![[r#"
        shop-api-1 running config-1
        shop-web-1 running config-3
    "#]]
    .assert_eq(&scene.containers());
}

#[test]
fn a_paused_rollout_leaves_the_rest_as_it_is() {
    let yaml = |command: &str| {
        let update = "deploy: {update_config: {failure_action: pause}}";
        format!(
            "services: {{api: {{image: 'api:1', command: {command}, {update}}}, web: {{image: 'web:1', command: {command}, \
             depends_on: [api], {update}}}}}"
        )
    };
    let mut scene = changed(&yaml("one"), &yaml("two"));
    scene.runs.insert("api/1".into(), Run::Exits(1));
    let mut text = String::new();
    for _ in 0..8 {
        let falls_back = scene.text().contains("its replacement did not come up");
        scene.runs.insert("api/1".into(), if falls_back { Run::Stays(Health::None) } else { Run::Exits(1) });
        if let Some(RolloutStatus::Failed { failure }) = scene.decide().rollout_status {
            text += &format!("FAILED: {}: {}\n", failure.service, failure.reason);
        }
        text += &scene.round();
        scene.world.pass(1);
    }
    expect![[r#"
        create api/1 as c00000000002_shop-api-1: its configuration changed from config-1 to config-3
        create web/1 as c00000000003_shop-web-1: its configuration changed from config-2 to config-4
        stop api/1 (c00000000002): its replacement is ready to start
        web waits for api (service_started): it is not started yet
        start api/1 (c00000000004): what it waited for is ready
        web waits for api (service_started): it is not started yet
        remove api/1 (c00000000004): it did not come up
        web waits for api (service_started): it is down and will be started again
        FAILED: api: the new container ended before it was ready
        web waits for api (service_started): the new container ended before it was ready
        start api/1 (c00000000002): its replacement did not come up
        api waits for another revision, or `evenkeel resume`: api: the new container ended before it was ready
        web waits for api (service_started): the new container ended before it was ready
        api waits for another revision, or `evenkeel resume`: api: the new container ended before it was ready
        web waits for api (service_started): the new container ended before it was ready
        api waits for another revision, or `evenkeel resume`: api: the new container ended before it was ready
        web waits for api (service_started): the new container ended before it was ready
    "#]]
    .assert_eq(&text);
    expect![[r#"
        api waits for another revision, or `evenkeel resume`: api: the new container ended before it was ready
        web waits for api (service_started): the new container ended before it was ready
        [waiting]
        [api: waiting for another revision, or `evenkeel resume`: api: the new container ended before it was ready]
        [web: waiting for api (service_started): the new container ended before it was ready]
    "#]]
    .assert_eq(&scene.report());
    expect![[r#"
        c00000000003_shop-web-1 created config-4
        shop-api-1 running config-1
        shop-web-1 running config-2
    "#]]
    .assert_eq(&scene.containers());
}

#[test]
fn replicas_take_turns_and_each_must_be_healthy_before_the_next() {
    let yaml = |command: &str| {
        format!(
            "services: {{web: {{image: 'web:1', scale: 3, command: {command}, healthcheck: {{test: [CMD, check]}}, deploy: \
             {{update_config: {{delay: 5s}}}}}}}}"
        )
    };
    let mut scene = changed(&yaml("one"), &yaml("two"));
    scene.runs.insert("web/1".into(), Run::Stays(Health::Starting));
    expect![[r#"
        1. create web/1 as c00000000002_shop-web-1: its configuration changed from config-1 to config-2
        2. stop web/1 (c00000000002): its replacement is ready to start
        3. start web/1 (c00000000005): what it waited for is ready
        -  web waits for its health check
        -  web waits for its turn: other replicas are being replaced
        -  web waits for its turn: other replicas are being replaced
    "#]]
    .assert_eq(&scene.settle());
    let first = scene.id("web", 1);
    scene.world.get(&first).health = Health::Healthy;
    expect![[r#"
        1. remove web/1 (c00000000002): its replacement runs
        2. rename web/1 to shop-web-1: its replacement runs
        -  web waits for the delay between two replicas to pass, until 2026-01-01T00:00:40Z
        -  web waits for the delay between two replicas to pass, until 2026-01-01T00:00:40Z
    "#]]
    .assert_eq(&scene.settle());
    scene.world.pass(5);
    expect![[r#"
        1. create web/2 as c00000000003_shop-web-2: its configuration changed from config-1 to config-2
        2. stop web/2 (c00000000003): its replacement is ready to start
        3. start web/2 (c00000000006): what it waited for is ready
        4. remove web/2 (c00000000003): its replacement runs
        5. rename web/2 to shop-web-2: its replacement runs
        -  web waits for the delay between two replicas to pass, until 2026-01-01T00:00:50Z
    "#]]
    .assert_eq(&scene.settle());
}

#[test]
fn parallelism_says_how_many_at_once_and_0_all() {
    let yaml = |command: &str, parallelism: u32| {
        format!(
            "services: {{web: {{image: 'web:1', scale: 3, command: {command}, deploy: {{update_config: {{parallelism: \
             {parallelism}}}}}}}}}"
        )
    };
    for (parallelism, at_once) in [(1, 1), (2, 2), (0, 3)] {
        let scene = changed(&yaml("one", parallelism), &yaml("two", parallelism));
        assert_eq!(scene.decide().steps.len(), at_once, "{parallelism}");
    }
}

#[test]
fn start_first_overlaps_where_nothing_is_shared() {
    let yaml = |command: &str, more: &str| {
        format!(
            "services: {{web: {{image: 'web:1', command: {command}, deploy: {{update_config: {{order: start-first}}}}{more}}}}}"
        )
    };
    expect![[r#"
        1. create web/1 as c00000000002_shop-web-1: its configuration changed from config-1 to config-2
        2. start web/1 (c00000000003): what it waited for is ready
        3. stop web/1 (c00000000002): its replacement runs
        4. remove web/1 (c00000000002): its replacement runs
        5. rename web/1 to shop-web-1: its replacement runs
    "#]]
    .assert_eq(&changed(&yaml("one", ""), &yaml("two", "")).settle());
    let port = ", ports: ['80:80']";
    expect![[r#"
        1. create web/1 as c00000000002_shop-web-1: its configuration changed from config-1 to config-2
        2. stop web/1 (c00000000002): its replacement is ready to start
        3. start web/1 (c00000000003): what it waited for is ready
        4. remove web/1 (c00000000002): its replacement runs
        5. rename web/1 to shop-web-1: its replacement runs
    "#]]
    .assert_eq(&changed(&yaml("one", port), &yaml("two", port)).settle());
}

#[test]
fn nothing_is_stopped_before_everything_that_is_needed_is_there() {
    let mut scene = Scene::converged(&two("one", "one"));
    scene.change("services: {api: {image: 'api:2'}, web: {image: 'web:1', command: two}}");
    scene.world.observed.images.insert("api:2".into(), None);
    let mut text = String::new();
    for _ in 0..3 {
        text += &format!("{}--\n", scene.round());
        scene.world.pass(1);
    }
    expect![[r#"
        pull image api:2: it is not there
        create web/1 as c00000000003_shop-web-1: its configuration changed from config-2 to config-4
        --
        create api/1 as c00000000002_shop-api-1: its image changed from api:1 to api:2
        web waits for all images and new containers of the change to be there before anything is stopped
        --
        stop api/1 (c00000000002): its replacement is ready to start
        stop web/1 (c00000000003): its replacement is ready to start
        --
    "#]]
    .assert_eq(&text);
}

#[test]
fn nothing_is_stopped_while_a_container_of_somebody_else_has_a_port_that_the_change_wants() {
    let before = "services: {api: {image: 'api:1'}, web: {image: 'web:1'}}";
    let after = "services: {api: {image: 'api:1', command: two}, web: {image: 'web:1', ports: ['8080:80']}}";
    let mut scene = changed(before, after);
    let taken = PublishedPort {
        port: 8080,
        protocol: "tcp".into(),
        host_ip: "0.0.0.0".into(),
        container: ContainerId::trusted("another"),
        name: "other-web-1".into(),
        project: None,
    };
    scene.world.observed.published = Arc::new(vec![taken.clone()]);
    let mut text = String::new();
    for _ in 0..3 {
        text += &format!("{}--\n", scene.round());
        scene.world.pass(1);
    }
    text += &format!("{}-- it is free\n", scene.text());
    scene.world.observed.published = Arc::default();
    text += &scene.round();
    // A port that the project itself has is handed over.
    let own = PublishedPort { project: Some(ProjectName::trusted("shop")), ..taken };
    scene.world.observed.published = Arc::new(vec![own]);
    text += &scene.settle();
    expect![[r#"
        create api/1 as c00000000002_shop-api-1: its configuration changed from config-1 to config-3
        create web/1 as c00000000003_shop-web-1: its configuration changed from config-2 to config-4
        --
        web waits for port 8080/tcp of the host, which the container other-web-1 has
        api waits for all images and new containers of the change to be there before anything is stopped
        --
        web waits for port 8080/tcp of the host, which the container other-web-1 has
        api waits for all images and new containers of the change to be there before anything is stopped
        --
        web waits for port 8080/tcp of the host, which the container other-web-1 has
        api waits for all images and new containers of the change to be there before anything is stopped
        -- it is free
        stop api/1 (c00000000002): its replacement is ready to start
        stop web/1 (c00000000003): its replacement is ready to start
        1. start api/1 (c00000000004): what it waited for is ready
        1. start web/1 (c00000000005): what it waited for is ready
        2. remove api/1 (c00000000002): its replacement runs
        2. remove web/1 (c00000000003): its replacement runs
        3. rename api/1 to shop-api-1: its replacement runs
        3. rename web/1 to shop-web-1: its replacement runs
    "#]]
    .assert_eq(&text);
}

#[test]
fn a_new_service_that_wants_a_taken_port_holds_up_the_change_and_a_first_start_is_left_to_the_engine() {
    let yaml = |web: &str| {
        format!("services: {{api: {{image: 'api:1', command: {web}}}, web: {{image: 'web:1', ports: ['8080:80']}}}}")
    };
    let taken = Arc::new(vec![PublishedPort {
        port: 8080,
        protocol: "tcp".into(),
        host_ip: "127.0.0.1".into(),
        container: ContainerId::trusted("another"),
        name: "nginx".into(),
        project: None,
    }]);
    let mut scene = changed("services: {api: {image: 'api:1', command: one}}", &yaml("two"));
    scene.world.observed.published = Arc::clone(&taken);
    scene.round();
    let mut text = scene.text();
    let mut first = Scene::of(&yaml("one"));
    first.world.observed.published = taken;
    text += &format!("-- at first\n{}", first.settle());
    // One that waits for it is not touched either; who wants no container wants no port.
    let one = "services: {api: {image: 'api:1', command: one}}";
    for (after, what) in [
        (
            "api: {image: 'api:1', command: two, depends_on: [web]}, web: {image: 'web:1', ports: ['8080:80']}",
            "awaited",
        ),
        ("api: {image: 'api:1', command: two}, web: {image: 'web:1', ports: ['8080:80'], scale: 0}", "none of it"),
    ] {
        let mut scene = changed(one, &format!("services: {{{after}}}"));
        scene.world.observed.published = Arc::clone(&first.world.observed.published);
        scene.round();
        text += &format!("-- {what}\n{}", scene.text());
    }
    expect![[r#"
        web waits for port 8080/tcp of the host, which the container nginx has
        api waits for all images and new containers of the change to be there before anything is stopped
        -- at first
        1. create network shop_default: it is not there
        2. create api/1 as shop-api-1: it is not there
        2. create web/1 as shop-web-1: it is not there
        3. start api/1 (c00000000002): what it waited for is ready
        3. start web/1 (c00000000003): what it waited for is ready
        -- awaited
        api waits for web (service_started): it is not started yet
        web waits for port 8080/tcp of the host, which the container nginx has
        -- none of it
        stop api/1 (c00000000002): its replacement is ready to start
    "#]]
    .assert_eq(&text);
}

#[test]
fn a_call_that_is_refused_again_and_again_fails_the_revision_with_nothing_touched() {
    let mut scene = changed(&two("one", "one"), &two("two", "two"));
    scene.fails("web", 2, "invalid mount config");
    scene.world.pass(60);
    expect![[r#"
        create api/1 as c00000000002_shop-api-1: its configuration changed from config-1 to config-3
        create web/1 as c00000000003_shop-web-1: its configuration changed from config-2 to config-4
    "#]]
    .assert_eq(&scene.round());
    scene.fails("web", 2, "invalid mount config");
    expect![[r#"
        stop api/1 (c00000000002): its replacement is ready to start
        web waits for the next attempt at 2026-01-01T00:01:35Z (2 so far): invalid mount config
    "#]]
    .assert_eq(&scene.text());
    scene.fails("web", 5, "invalid mount config");
    assert!(matches!(scene.decide().rollout_status, Some(RolloutStatus::Failed { .. })));
}

#[test]
fn a_part_of_the_replicas_may_fail() {
    let yaml = |command: &str, ratio: f64| {
        format!(
            "services: {{web: {{image: 'web:1', scale: 2, command: {command}, deploy: {{update_config: {{parallelism: 0, \
             max_failure_ratio: {ratio}}}}}}}}}"
        )
    };
    for (ratio, fails) in [(0.0, true), (0.4, true), (0.5, false)] {
        let mut scene = changed(&yaml("one", ratio), &yaml("two", ratio));
        for _ in 0..3 {
            scene.round();
        }
        let second = scene.id("web", 2);
        let ContainerState::Running { .. } = scene.world.get(&second).state else { panic!("it runs") };
        scene.world.get(&second).health = Health::Unhealthy;
        let failed = matches!(scene.decide().rollout_status, Some(RolloutStatus::Failed { .. }));
        assert_eq!(failed, fails, "{ratio}");
    }
}
