//! How services come by their images.

use expect_test::expect;

use super::scene::Scene;
use evenkeel::decide::{Action, forecast, memory};
use evenkeel::model::ledger::Subject;
use evenkeel::model::observed::ContainerState;
use evenkeel::model::setback::Setback;
use evenkeel::model::{ImageId, ServiceName};

const ALWAYS: &str = "services: {web: {image: 'web:1', pull_policy: always}}";
const DAILY: &str = "services: {web: {image: 'web:1', pull_policy: daily}}";
const BUILT: &str = "services: {web: {build: .}}";
const REBUILT: &str = "services: {web: {build: ., pull_policy: build}}";

fn without(yaml: &str, images: &[&str]) -> Scene {
    let mut scene = Scene::of(yaml).with_networks();
    for image in images {
        scene.world.observed.images.insert((*image).into(), None);
    }
    scene
}

/// The step that the next decision takes for an image fails.
#[track_caller]
fn fails(scene: &mut Scene, error: &str) {
    let decision = scene.decide();
    let supplies = |a: &Action| matches!(a, Action::PullImage { .. } | Action::BuildImage { .. });
    let step = decision.steps.iter().find(|s| supplies(&s.action)).expect("an image is fetched or built");
    memory::begins(&mut scene.ledger, Some(&scene.project), step, scene.world.now);
    let (project, now) = (scene.project.clone(), scene.world.now);
    memory::failed(&mut scene.ledger, Some(&project), step, Setback::Other, error, now);
}

#[test]
fn always_fetches_what_is_there_before_a_container_is_made_and_not_again() {
    let mut scene = Scene::of(ALWAYS).with_networks();
    expect![[r#"
        1. pull image web:1: its `pull_policy` wants it anew for this configuration
        2. create web/1 as shop-web-1: it is not there
        3. start web/1 (c00000000002): what it waited for is ready
    "#]]
    .assert_eq(&scene.settle());
    let id = scene.id("web", 1);
    scene.world.observed.containers.remove(&id);
    scene.world.pass(3600);
    assert!(!scene.text().contains("pull"), "{}", scene.text());
}

#[test]
fn always_fetches_anew_for_another_configuration_and_what_runs_serves_on_meanwhile() {
    let mut scene = Scene::converged(ALWAYS);
    scene.change("services: {web: {image: 'web:1', pull_policy: always, command: other}}");
    expect![[r#"
        pull image web:1: its `pull_policy` wants it anew for this configuration
    "#]]
    .assert_eq(&scene.text());
    fails(&mut scene, "no route to the registry");
    expect![[r#"
        waits for the next attempt at 2026-01-01T00:00:04Z (1 so far): image web:1: no route to the registry
        [degraded]
        [web: failed (1x): no route to the registry]
    "#]]
    .assert_eq(&scene.report());
    assert!(scene.containers().contains("running"));
    scene.world.pass(1);
    assert!(scene.settle().starts_with("1. pull image web:1"));
    assert_eq!(scene.ledger.failures.len(), 0);
}

#[test]
fn always_leaves_alone_what_runs_already() {
    let mut scene = Scene::converged("services: {web: {image: 'web:1'}}");
    scene.change(ALWAYS);
    expect![[r#"
        [converged]
        [web: running]
    "#]]
    .assert_eq(&scene.report());
}

#[test]
fn daily_fetches_first_and_then_once_a_day_and_another_image_is_a_change() {
    let mut scene = Scene::of(DAILY).with_networks();
    expect![[r#"
        1. pull image web:1: nobody knows how old it is
        2. create web/1 as shop-web-1: it is not there
        3. start web/1 (c00000000002): what it waited for is ready
    "#]]
    .assert_eq(&scene.settle());
    scene.proves_itself();
    let wake = scene.decide().wake_at.expect("the next day is waited for");
    assert_eq!(wake.to_string(), "2026-01-02T00:00:00Z");
    scene.world.now = wake;
    expect![[r#"
        pull image web:1: it was fetched at 2026-01-01T00:00:00Z, and grew old
    "#]]
    .assert_eq(&scene.text());
    scene.round();
    scene.world.observed.images.insert("web:1".into(), Some(ImageId::trusted("sha256:newer")));
    assert!(scene.text().contains("its image changed from web:1 to newer"), "{}", scene.text());
}

#[test]
fn an_old_image_that_cannot_be_fetched_anew_serves_on_and_the_project_is_converged() {
    let mut scene = Scene::converged(DAILY);
    scene.world.pass(100_000);
    fails(&mut scene, "no route to the registry");
    expect![[r#"
        waits for a newer web:1, the next attempt at 2026-01-02T03:46:44Z (1 so far): no route to the registry
        [converged]
        [web: running]
    "#]]
    .assert_eq(&scene.report());
    let decision = scene.decide();
    assert!(decision.mended.is_empty(), "a failure that is still to be tried again is not over");
    let id = scene.id("web", 1);
    scene.world.observed.containers.remove(&id);
    assert!(scene.text().contains("create web/1"), "{}", scene.text());
    scene.world.pass(1);
    assert!(scene.text().contains("pull image web:1"), "{}", scene.text());
}

#[test]
fn a_first_fetch_that_fails_does_not_keep_what_is_there_from_running() {
    let mut scene = Scene::of(DAILY).with_networks();
    fails(&mut scene, "no route to the registry");
    assert!(scene.text().contains("create web/1"), "{}", scene.text());
}

#[test]
fn an_image_that_can_be_built_is_built_and_not_fetched() {
    let mut scene = without(BUILT, &["shop-web"]);
    expect![[r#"
        1. build image shop-web: it is not there
        2. create web/1 as shop-web-1: it is not there
        3. start web/1 (c00000000002): what it waited for is ready
    "#]]
    .assert_eq(&scene.settle());
    assert!(scene.ledger.supplies.is_empty());
}

#[test]
fn an_image_that_is_there_is_not_built_again() {
    let mut scene = Scene::of(BUILT).with_networks();
    assert!(scene.settle().starts_with("1. create web/1"));
    scene.change("services: {web: {build: {context: ., args: {A: b}}}}");
    assert_eq!(scene.text(), "");
}

#[test]
fn never_says_nothing_about_building() {
    let scene = without("services: {web: {build: ., pull_policy: never}}", &["shop-web"]);
    assert!(scene.text().starts_with("build image shop-web"), "{}", scene.text());
}

#[test]
fn with_the_policy_build_it_is_built_once_for_each_configuration() {
    let mut scene = Scene::of(REBUILT).with_networks();
    expect![[r#"
        1. build image shop-web: its `pull_policy` wants it anew for this configuration
        2. create web/1 as shop-web-1: it is not there
        3. start web/1 (c00000000002): what it waited for is ready
    "#]]
    .assert_eq(&scene.settle());
    scene.change("services: {web: {build: {context: ., args: {A: b}}, pull_policy: build}}");
    expect![[r#"
        1. build image shop-web: its `pull_policy` wants it anew for this configuration
    "#]]
    .assert_eq(&scene.settle());
    assert_eq!(scene.text(), "");
}

#[test]
fn with_the_policy_build_what_runs_already_is_left_alone() {
    let mut scene = Scene::converged(BUILT);
    scene.change(REBUILT);
    assert_eq!(scene.text(), "");
}

#[test]
fn an_image_that_is_to_be_fetched_and_cannot_be_is_built() {
    for policy in ["missing", "always", "daily"] {
        let yaml = format!("services: {{web: {{build: ., image: 'web:1', pull_policy: {policy}}}}}");
        let mut scene = without(&yaml, &["web:1"]);
        assert_eq!(scene.text(), "pull image web:1: it is not there\n", "{policy}");
        fails(&mut scene, "no such image");
        assert!(scene.ledger.failures.is_empty(), "{policy}");
        assert_eq!(scene.text(), "build image web:1: it is not there\n", "{policy}");
        let text = scene.settle();
        assert!(text.contains("start web/1") && !text.contains("pull"), "{policy}: {text}");
    }
}

#[test]
fn a_build_that_fails_is_tried_again_later_and_at_once_when_it_is_told_otherwise() {
    let mut scene = without(BUILT, &["shop-web"]);
    fails(&mut scene, "COPY failed: no such file");
    expect![[r#"
        waits for the next attempt at 2026-01-01T00:00:01Z (1 so far): image shop-web: COPY failed: no such file
        [degraded]
        [web: failed (1x): COPY failed: no such file]
    "#]]
    .assert_eq(&scene.report());
    scene.change("services: {web: {build: {context: ., target: other}}}");
    scene.world.observed.images.insert("shop-web".into(), None);
    assert_eq!(scene.text(), "build image shop-web: it is not there\n");
}

#[test]
fn a_service_builds_after_those_it_depends_on_as_it_may_build_on_them() {
    let mut scene =
        without("services: {base: {build: base}, app: {build: app, depends_on: [base]}}", &["shop-base", "shop-app"]);
    expect![[r#"
        1. build image shop-base: it is not there
        2. build image shop-app: it is not there
        2. create base/1 as shop-base-1: it is not there
        3. start base/1 (c00000000002): what it waited for is ready
        3. create app/1 as shop-app-1: it is not there
        4. start app/1 (c00000000003): what it waited for is ready
    "#]]
    .assert_eq(&scene.settle());
}

#[test]
fn an_image_that_another_service_builds_is_waited_for() {
    let yaml = "services: {a: {image: 'app:1'}, b: {image: 'app:1', build: .}}";
    let mut scene = without(yaml, &["app:1"]);
    let text = scene.settle();
    assert!(text.starts_with("1. build image app:1: it is not there\n2. create a/1"), "{text}");
}

#[test]
fn nothing_is_supplied_while_it_is_in_flight_or_for_what_is_suspended() {
    let mut scene = without(BUILT, &["shop-web"]);
    let action = Action::BuildImage { service: ServiceName::trusted("web"), image: "shop-web".into() };
    scene.in_flight.insert(Subject::Image("shop-web".into()), action);
    assert_eq!(scene.text(), "");
    scene.in_flight.clear();
    scene.ledger.suspended_services.insert(ServiceName::trusted("web"));
    assert!(!scene.text().contains("build"));
}

#[test]
fn an_image_that_vanished_under_what_runs_is_not_built() {
    let mut scene = Scene::converged(BUILT);
    scene.world.observed.images.insert("shop-web".into(), None);
    assert_eq!(scene.text(), "");
    let id = scene.id("web", 1);
    assert!(matches!(scene.world.get(&id).state, ContainerState::Running { .. }));
}

#[test]
fn a_plan_comes_to_its_end() {
    let yaml = "
services:
  a: {image: 'a:1', pull_policy: always}
  b: {build: ., pull_policy: build, depends_on: [a]}
  c: {image: 'c:1', pull_policy: weekly}
";
    let scene = Scene::of(yaml).with_networks();
    let text: String = scene.input(forecast).to_string().lines().map(|line| format!("{}\n", line.trim())).collect();
    expect![[r#"
          1. pull image a:1: its `pull_policy` wants it anew for this configuration [none]
          1. pull image c:1: nobody knows how old it is [none]
          1. build image shop-b: its `pull_policy` wants it anew for this configuration [none]
          2. create a/1 as shop-a-1: it is not there [none]
          2. create c/1 as shop-c-1: it is not there [none]
          2. create b/1 as shop-b-1: it is not there [none]
          3. start a/1 (000000000004): what it waited for is ready [none]
          3. start c/1 (000000000005): what it waited for is ready [none]
          4. start b/1 (000000000006): what it waited for is ready [none]
    "#]]
    .assert_eq(&text);
}

#[test]
fn what_may_begin_with_an_image_that_nobody_looked_up_yet_is_not_built_before_it() {
    let both = "services: {base: {build: .}, web: {build: ., depends_on: [base]}}";
    let mut scene = without(both, &["shop-base", "shop-web"]);
    assert_eq!(scene.text(), "build image shop-base: it is not there\n");
    scene.world.observed.images.remove("shop-base");
    assert_eq!(scene.text(), "");
}
