//! Who waits for whom, and for what.

use evenkeel::decide::{Action, memory};
use evenkeel::model::ledger::Subject;
use evenkeel::model::observed::Health;
use evenkeel::model::setback::Setback;
use evenkeel::model::state::ProjectState;
use evenkeel::model::{ContainerId, ProjectName, ServiceName};
use expect_test::{Expect, expect};

use super::scene::Scene;
use super::world::Run;

fn waiting_for(condition: &str) -> Scene {
    Scene::of(&format!(
        "
services:
  web:
    image: web:1
    depends_on: {{db: {{condition: {condition}}}}}
  db:
    image: db:1
    healthcheck: {{test: [CMD, check]}}
"
    ))
}

fn check(mut scene: Scene, run: Run, expected: &Expect) {
    scene.runs.insert("db".into(), run);
    scene.recovery.enabled = false;
    expected.assert_eq(&scene.settle());
}

#[test]
fn started_is_enough_where_nothing_more_is_written() {
    check(
        waiting_for("service_started"),
        Run::Stays(Health::Starting),
        &expect![[r#"
        1. create network shop_default: it is not there
        2. create db/1 as shop-db-1: it is not there
        2. create web/1 as shop-web-1: it is not there
        3. start db/1 (c00000000002): what it waited for is ready
        4. start web/1 (c00000000003): what it waited for is ready
        -  db waits for its health check
    "#]],
    );
}

#[test]
fn a_dependent_waits_until_its_dependency_is_healthy() {
    check(
        waiting_for("service_healthy"),
        Run::Stays(Health::Starting),
        &expect![[r#"
        1. create network shop_default: it is not there
        2. create db/1 as shop-db-1: it is not there
        2. create web/1 as shop-web-1: it is not there
        3. start db/1 (c00000000002): what it waited for is ready
        -  db waits for its health check
        -  web waits for db (service_healthy): its health check has not passed yet
    "#]],
    );
}

#[test]
fn a_dependent_goes_on_when_its_dependency_is_healthy() {
    check(
        waiting_for("service_healthy"),
        Run::Stays(Health::Healthy),
        &expect![[r#"
        1. create network shop_default: it is not there
        2. create db/1 as shop-db-1: it is not there
        2. create web/1 as shop-web-1: it is not there
        3. start db/1 (c00000000002): what it waited for is ready
        4. start web/1 (c00000000003): what it waited for is ready
    "#]],
    );
}

#[test]
fn an_unhealthy_dependency_holds_its_dependent() {
    check(
        waiting_for("service_healthy"),
        Run::Stays(Health::Unhealthy),
        &expect![[r#"
            1. create network shop_default: it is not there
            2. create db/1 as shop-db-1: it is not there
            2. create web/1 as shop-web-1: it is not there
            3. start db/1 (c00000000002): what it waited for is ready
            -  web waits for db (service_healthy): it is unhealthy
        "#]],
    );
}

#[test]
fn a_dependency_without_a_check_is_never_healthy() {
    check(
        waiting_for("service_healthy"),
        Run::Stays(Health::None),
        &expect![[r#"
        1. create network shop_default: it is not there
        2. create db/1 as shop-db-1: it is not there
        2. create web/1 as shop-web-1: it is not there
        3. start db/1 (c00000000002): what it waited for is ready
        -  web waits for db (service_healthy): it has no health check
    "#]],
    );
}

#[test]
fn a_dependent_goes_on_when_the_job_is_done() {
    check(
        waiting_for("service_completed_successfully"),
        Run::Exits(0),
        &expect![[r#"
        1. create network shop_default: it is not there
        2. create db/1 as shop-db-1: it is not there
        2. create web/1 as shop-web-1: it is not there
        3. start db/1 (c00000000002): what it waited for is ready
        4. start web/1 (c00000000003): what it waited for is ready
    "#]],
    );
}

#[test]
fn a_dependent_waits_while_the_job_runs() {
    check(
        waiting_for("service_completed_successfully"),
        Run::Stays(Health::None),
        &expect![[r#"
        1. create network shop_default: it is not there
        2. create db/1 as shop-db-1: it is not there
        2. create web/1 as shop-web-1: it is not there
        3. start db/1 (c00000000002): what it waited for is ready
        -  web waits for db (service_completed_successfully): it is still running
    "#]],
    );
}

#[test]
fn a_job_that_is_done_satisfies_its_dependents_after_its_container_is_gone_too() {
    let yaml = "
services:
  web: {image: 'web:1', depends_on: {job: {condition: service_completed_successfully}}}
  job: {image: 'job:1'}
";
    let mut scene = Scene::of(yaml);
    scene.runs.insert("job".into(), Run::Exits(0));
    scene.settle();
    scene.world.observed.containers.clear();
    expect![[r#"
        1. create web/1 as shop-web-1: somebody removed it (restart 1)
        2. start web/1 (c00000000004): what it waited for is ready
    "#]]
    .assert_eq(&scene.settle());
}

#[test]
fn a_job_runs_again_when_its_configuration_changes() {
    let mut scene = Scene::of("services: {job: {image: 'job:1', x-evenkeel: {type: job}}}");
    scene.runs.insert("job".into(), Run::Exits(0));
    scene.settle();
    scene.change("services: {job: {image: 'job:1', command: again, x-evenkeel: {type: job}}}");
    expect![[r#"
        1. create job/1 as c00000000002_shop-job-1: its configuration changed from config-1 to config-2
        2. start job/1 (c00000000003): what it waited for is ready
        3. remove job/1 (c00000000002): its replacement runs
        4. rename job/1 to shop-job-1: its replacement runs
    "#]]
    .assert_eq(&scene.settle());
}

fn not_required(condition: &str) -> Scene {
    Scene::of(&format!(
        "
services:
  web: {{image: 'web:1', depends_on: {{db: {{condition: {condition}, required: false}}}}}}
  db: {{image: 'db:1', restart: 'no'}}
"
    ))
}

#[test]
fn a_dependency_that_is_not_required_is_waited_for_as_long_as_it_may_come() {
    check(
        not_required("service_completed_successfully"),
        Run::Stays(Health::None),
        &expect![[r#"
        1. create network shop_default: it is not there
        2. create db/1 as shop-db-1: it is not there
        2. create web/1 as shop-web-1: it is not there
        3. start db/1 (c00000000002): what it waited for is ready
        -  web waits for db (service_completed_successfully): it is still running
    "#]],
    );
}

#[test]
fn a_dependency_that_is_not_required_and_failed_blocks_nobody() {
    check(
        not_required("service_completed_successfully"),
        Run::Exits(1),
        &expect![[r#"
        1. create network shop_default: it is not there
        2. create db/1 as shop-db-1: it is not there
        2. create web/1 as shop-web-1: it is not there
        3. start db/1 (c00000000002): what it waited for is ready
        4. start web/1 (c00000000003): what it waited for is ready
    "#]],
    );
}

#[test]
fn a_dependency_that_cannot_be_made_says_why_to_its_dependents() {
    let mut scene = waiting_for("service_started").with_networks();
    scene.fails("db", 9, "port is already allocated");
    expect![[r#"
        1. create web/1 as shop-web-1: it is not there
        -  db waits for the next attempt at 2026-01-01T00:04:16Z (9 so far): port is already allocated
        -  web waits for db (service_started): port is already allocated
    "#]]
    .assert_eq(&scene.settle());
}

#[test]
fn all_replicas_of_a_dependency_have_to_be_ready() {
    let mut scene = Scene::of(
        "
services:
  web: {image: 'web:1', depends_on: {db: {condition: service_healthy}}}
  db: {image: 'db:1', scale: 2, healthcheck: {test: [CMD, check]}}
",
    );
    scene.runs.insert("db/2".into(), Run::Stays(Health::Starting));
    expect![[r#"
        1. create network shop_default: it is not there
        2. create db/1 as shop-db-1: it is not there
        2. create db/2 as shop-db-2: it is not there
        2. create web/1 as shop-web-1: it is not there
        3. start db/1 (c00000000002): what it waited for is ready
        3. start db/2 (c00000000003): what it waited for is ready
        -  db waits for its health check
        -  web waits for db (service_healthy): its health check has not passed yet
    "#]]
    .assert_eq(&scene.settle());
}

#[test]
fn a_project_waits_for_another_project() {
    let mut scene = Scene::of("{services: {web: {image: 'web:1'}}, x-evenkeel: {depends_on: [infra]}}").with_networks();
    let mut text = scene.settle();
    let infra = ProjectName::trusted("infra");
    scene.others.insert(infra.clone(), ProjectState::Progressing);
    text += &scene.report();
    scene.others.insert(infra, ProjectState::Converged);
    text += &scene.settle();
    expect![[r#"
        1. create web/1 as shop-web-1: it is not there
        -  waits for project infra: there is no such project
        waits for project infra: it is progressing
        [waiting]
        [web: waiting for project infra: it is progressing]
        1. start web/1 (c00000000002): what it waited for is ready
    "#]]
    .assert_eq(&text);
}

#[test]
fn what_runs_goes_on_when_the_other_project_falters() {
    let mut scene = Scene::of("{services: {web: {image: 'web:1'}}, x-evenkeel: {depends_on: [infra]}}").with_networks();
    scene.others.insert(ProjectName::trusted("infra"), ProjectState::Converged);
    scene.settle();
    scene.others.insert(ProjectName::trusted("infra"), ProjectState::Degraded);
    expect![[r#"
        [converged]
        [web: running]
    "#]]
    .assert_eq(&scene.report());
}

/// A job that is done, and then is to run in another configuration: the answer to that start is lost.
fn a_job_in_doubt(ran: bool) -> (Scene, ContainerId) {
    let job =
        |command: &str| format!("services: {{job: {{image: 'job:1', command: {command}, x-evenkeel: {{type: job}}}}}}");
    let mut scene = Scene::of(&job("first"));
    scene.runs.insert("job".into(), Run::Exits(0));
    scene.settle();
    scene.world.observed.containers.clear();
    scene.change(&job("second"));
    scene.round();
    let decision = scene.decide();
    let step = decision.steps.iter().find(|s| matches!(s.action, Action::StartContainer { .. })).expect("a start");
    memory::begins(&mut scene.ledger, Some(&scene.project), step, scene.world.now);
    let container = scene.id("job", 1);
    if ran {
        scene.world.end(&container, 0, false, true);
    }
    memory::failed(&mut scene.ledger, None, step, Setback::Unanswered, "no answer", scene.world.now);
    scene.change(&job("first"));
    (scene, container)
}

#[test]
fn a_job_whose_other_configuration_never_ran_is_done_as_before() {
    let (mut scene, _) = a_job_in_doubt(false);
    expect![[r#"
        1. remove job/1 (c00000000003): its creation was interrupted
    "#]]
    .assert_eq(&scene.settle());
}

#[test]
fn a_job_whose_other_configuration_may_have_run_runs_again() {
    let (mut scene, _) = a_job_in_doubt(true);
    expect![[r#"
        1. create job/1 as c00000000003_shop-job-1: its configuration changed from config-2 to config-1
        2. start job/1 (c00000000004): what it waited for is ready
        3. remove job/1 (c00000000003): its replacement runs
        4. rename job/1 to shop-job-1: its replacement runs
    "#]]
    .assert_eq(&scene.settle());
    let (mut scene, container) = a_job_in_doubt(false);
    scene.world.observed.containers.remove(&container);
    expect![[r#"
        -  job waits for the next attempt at 2026-01-01T00:00:04Z (1 so far): somebody removed it (restart 2)
    "#]]
    .assert_eq(&scene.settle());
}

#[test]
fn a_start_that_takes_effect_late_ends_what_was_done() {
    let (mut scene, container) = a_job_in_doubt(false);
    let decision = scene.decide();
    memory::decided(&mut scene.ledger, &decision, scene.world.now);
    assert!(scene.ledger.completion(&ServiceName::trusted("job")).is_some());
    scene.world.end(&container, 0, false, true);
    let decision = scene.decide();
    memory::decided(&mut scene.ledger, &decision, scene.world.now);
    assert_eq!(scene.ledger.completion(&ServiceName::trusted("job")), None);
}

#[test]
fn a_dependency_that_is_being_stopped_is_none_that_runs() {
    let mut scene = waiting_for("service_started");
    let db = scene.running("db", 1);
    scene.round();
    scene.round();
    let mut text = format!("-- it runs\n{}", scene.text());
    let service = ServiceName::trusted("db");
    let stop = Action::StopContainer { service: service.clone(), number: 1, container: db, grace: None };
    scene.in_flight.insert(Subject::Replica(service, 1), stop);
    text += &format!("-- it is being stopped\n{}", scene.text());
    expect![[r#"
        -- it runs
        start web/1 (c00000000003): what it waited for is ready
        -- it is being stopped
        web waits for db (service_started): it is being stopped
    "#]]
    .assert_eq(&text);
}
