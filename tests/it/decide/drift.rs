//! Fields that are not as the manifest says: which of them are repaired, and how.

use std::fmt::Write as _;
use std::sync::Arc;

use evenkeel::decide::{Action, memory};
use evenkeel::model::ContainerId;
use evenkeel::model::fields::{Difference, Repair};
use evenkeel::model::ledger::{Repairs, Subject};
use evenkeel::model::setback::Setback;
use evenkeel::model::{ServiceName, Timestamp};
use expect_test::expect;

use super::scene::Scene;

const ONE: &str = "services: {a: {image: 'a:1', cpus: 0.5, environment: {LOG_LEVEL: info}}}";

fn differs(path: &str, desired: Option<&str>, observed: Option<&str>, repair: Repair) -> Difference {
    let text = |value: Option<&str>| value.map(str::to_owned);
    Difference { path: path.to_owned(), desired: text(desired), observed: text(observed), repair, since: None }
}

/// What runs is known to differ in these fields.
fn with(yaml: &str, differences: &[Difference]) -> (Scene, ContainerId) {
    let mut scene = Scene::converged(yaml);
    let id = scene.id("a", 1);
    told(&mut scene, &id, differences);
    (scene, id)
}

fn told(scene: &mut Scene, id: &ContainerId, differences: &[Difference]) {
    scene.world.observed.containers.get_mut(id).unwrap().differences = Some(Arc::new(differences.to_vec()));
}

fn cpus() -> Difference {
    differs("cpus", Some("0.5"), Some("0.25"), Repair::Update)
}

#[test]
fn what_the_engine_can_change_in_place_is_changed_in_place() {
    let memory = differs("mem_limit", Some("64"), Some("32"), Repair::Update);
    let (mut scene, _) = with(ONE, &[cpus(), memory]);
    expect![[r#"
        update a/1 (c00000000002): cpus, mem_limit: cpus is 0.25 instead of 0.5, mem_limit is 32 instead of 64
        [progressing]
        [a: running]
    "#]]
    .assert_eq(&scene.report());
    expect![[r#"
        1. update a/1 (c00000000002): cpus, mem_limit: cpus is 0.25 instead of 0.5, mem_limit is 32 instead of 64
    "#]]
    .assert_eq(&scene.settle());
}

#[test]
fn what_it_cannot_takes_another_container() {
    let level = differs("environment.LOG_LEVEL", Some("info"), Some("debug"), Repair::Recreate);
    let (mut scene, _) = with(ONE, &[cpus(), level]);
    expect![[r#"
        1. create a/1 as c00000000002_shop-a-1: environment.LOG_LEVEL is debug instead of info
        2. stop a/1 (c00000000002): its replacement is ready to start
        3. start a/1 (c00000000003): what it waited for is ready
        4. remove a/1 (c00000000002): its replacement runs
        5. rename a/1 to shop-a-1: its replacement runs
    "#]]
    .assert_eq(&scene.settle());
}

#[test]
fn a_file_whose_content_changed_is_told_of_by_a_signal_unless_the_container_has_to_be_started_anew() {
    let yaml = ONE.replace("environment", "x-evenkeel: {reload: SIGHUP}, environment");
    let content = differs("volumes./etc/a.conf.content", Some("sha256 2"), Some("sha256 1"), Repair::Signal);
    let (mut scene, id) = with(&yaml, std::slice::from_ref(&content));
    let mut text = scene.settle();
    let replaced = differs("volumes./etc/b.conf.inode", Some("2"), Some("1"), Repair::Restart);
    told(&mut scene, &id, &[content, replaced]);
    text += &scene.settle();
    expect![[r#"
        1. send SIGHUP to a/1 (c00000000002): volumes./etc/a.conf.content is sha256 1 instead of sha256 2
        1. stop a/1 (c00000000002): volumes./etc/b.conf.inode is 1 instead of 2
        2. start a/1 (c00000000002): it had been stopped, and is wanted again
    "#]]
    .assert_eq(&text);
}

#[test]
fn a_label_that_tells_of_another_configuration_is_no_reason_to_replace_what_runs() {
    let mut scene = Scene::converged(ONE);
    let id = scene.id("a", 1);
    scene.change(&ONE.replace("info", "debug"));
    assert!(!scene.text().is_empty(), "while nobody can tell, the label counts");
    told(&mut scene, &id, &[]);
    assert_eq!(scene.text(), "");
    let fits = scene.decide().fits;
    assert_eq!(fits.len(), 1);
    // Remembered, it counts for one that ended as well.
    scene.ledger.fits = fits;
    scene.world.end(&id, 1, false, true);
    expect![[r#"
        start a/1 (c00000000002): it exited with 1 (restart 1)
    "#]]
    .assert_eq(&scene.text());
}

#[test]
fn a_job_runs_again_for_any_new_configuration() {
    let job = "services: {a: {image: 'a:1', cpus: 0.5, x-evenkeel: {type: job}}}";
    let mut scene = Scene::converged(job);
    let id = scene.id("a", 1);
    told(&mut scene, &id, &[]);
    scene.change(&job.replace("0.5", "0.25"));
    assert!(scene.text().starts_with("create a/1"), "{}", scene.text());
}

#[test]
fn where_drift_is_reported_only_what_the_manifest_changes_is_carried_out() {
    let report = ONE.replace("environment", "x-evenkeel: {drift: report}, environment");
    let (mut scene, id) = with(&report, &[cpus()]);
    expect![[r#"
        a waits for somebody to repair cpus: drift is only reported
        [waiting]
        [a: running]
    "#]]
    .assert_eq(&scene.report());
    assert_eq!(scene.decide().drift.len(), 1);
    scene.change(&report.replace("0.5", "0.75"));
    told(&mut scene, &id, &[differs("cpus", Some("0.75"), Some("0.25"), Repair::Update)]);
    expect![[r#"
        update a/1 (c00000000002): cpus: cpus is 0.25 instead of 0.75
    "#]]
    .assert_eq(&scene.text());
}

#[test]
fn what_is_suspended_is_told_and_not_touched() {
    let (mut scene, _) = with(ONE, &[cpus()]);
    scene.ledger.suspended_services.insert(ServiceName::trusted("a"));
    assert_eq!((scene.decide().steps.len(), scene.decide().drift.len()), (0, 1));
}

#[test]
fn after_three_repairs_a_field_that_flips_back_is_left_alone_for_five_minutes() {
    let (mut scene, id) = with(ONE, &[cpus()]);
    let subject = Subject::Replica(ServiceName::trusted("a"), 1);
    let mut repaired = |count, last: Timestamp| {
        let slot = scene.ledger.slots.entry(subject.clone()).or_default();
        slot.repairs.insert("cpus".to_owned(), Repairs { count, last, container: id.clone() });
    };
    repaired(3, "2026-01-01T00:00:00Z".parse().unwrap());
    expect![[r#"
        a waits for somebody who changes cpus back each time it is repaired; the next repair at 2026-01-01T00:05:00Z
        [waiting]
        [a: running]
    "#]]
    .assert_eq(&scene.report());
    scene.world.pass(300);
    assert!(scene.text().starts_with("update a/1"), "{}", scene.text());
    // The manifest's own changes are no repair conflict.
    scene.world.now = "2026-01-01T00:00:01Z".parse().unwrap();
    scene.change(&ONE.replace("0.5", "0.75"));
    told(&mut scene, &id, &[differs("cpus", Some("0.75"), Some("0.25"), Repair::Update)]);
    assert!(scene.text().starts_with("update a/1"), "{}", scene.text());
}

#[test]
fn what_the_engine_made_otherwise_than_it_was_asked_is_remembered_and_no_drift() {
    let annotation = differs("annotations.x", Some("y"), None, Repair::Recreate);
    let mut scene = Scene::of(ONE);
    scene.settle();
    let id = scene.id("a", 1);
    scene.ledger.prepared.insert(id.clone());
    told(&mut scene, &id, &[annotation]);
    let running = scene.world.observed.containers[&id].state;
    scene.world.observed.containers.get_mut(&id).unwrap().state = evenkeel::model::observed::ContainerState::Created;
    let unheld = scene.decide().unheld;
    assert_eq!(unheld.len(), 1);
    scene.ledger.unheld = unheld;
    scene.world.observed.containers.get_mut(&id).unwrap().state = running;
    assert_eq!(scene.text(), "");
    assert!(scene.decide().drift.is_empty());
}

#[test]
fn secrets_are_masked_in_what_is_told() {
    let password = differs("environment.DB_PASSWORD", Some("hunter2"), Some("hunter3"), Repair::Recreate);
    let (scene, _) = with(ONE, &[password]);
    let told = format!("{:?}{}", scene.decide(), scene.report());
    assert!(!told.contains("hunter"), "{told}");
}

#[test]
fn a_change_in_place_that_is_refused_is_tried_later_and_later_and_keeps_nobody_down() {
    let memory = differs("mem_limit", Some("64"), Some("32"), Repair::Update);
    let (mut scene, id) = with("services: {a: {image: 'a:1', mem_limit: 64, restart: always}}", &[memory]);
    let mut text = String::new();
    for _ in 0..12 {
        let (decision, now, project) = (scene.decide(), scene.now(), scene.project.clone());
        memory::decided(&mut scene.ledger, &decision, now);
        write!(text, "{decision}").unwrap();
        for step in &decision.steps {
            memory::begins(&mut scene.ledger, Some(&project), step, now);
            let trouble = Setback::Other;
            memory::failed(&mut scene.ledger, Some(&project), step, trouble, "it uses more than that", now);
        }
        scene.world.pass(1);
    }
    scene.world.end(&id, 1, false, true);
    text += &format!("-- it ended\n{}", scene.report());
    expect![[r#"
        update a/1 (c00000000002): mem_limit: mem_limit is 32 instead of 64
        update a/1 (c00000000002): mem_limit: mem_limit is 32 instead of 64
        a waits for the next attempt at 2026-01-01T00:00:06Z (2 so far): it uses more than that
        update a/1 (c00000000002): mem_limit: mem_limit is 32 instead of 64
        a waits for the next attempt at 2026-01-01T00:00:10Z (3 so far): it uses more than that
        a waits for the next attempt at 2026-01-01T00:00:10Z (3 so far): it uses more than that
        a waits for the next attempt at 2026-01-01T00:00:10Z (3 so far): it uses more than that
        update a/1 (c00000000002): mem_limit: mem_limit is 32 instead of 64
        a waits for the next attempt at 2026-01-01T00:00:18Z (4 so far): it uses more than that
        a waits for the next attempt at 2026-01-01T00:00:18Z (4 so far): it uses more than that
        a waits for the next attempt at 2026-01-01T00:00:18Z (4 so far): it uses more than that
        a waits for the next attempt at 2026-01-01T00:00:18Z (4 so far): it uses more than that
        -- it ended
        start a/1 (c00000000002): it exited with 1 (restart 1)
        a waits for the next attempt at 2026-01-01T00:00:18Z (4 so far): it uses more than that
        [progressing]
        [a: starting]
    "#]]
    .assert_eq(&text);
}

#[test]
fn what_is_seen_while_a_change_is_made_is_not_taken_for_its_end() {
    let yaml = |cpus: &str| format!("services: {{a: {{image: 'a:1', cpus: {cpus}}}}}");
    let (mut scene, id) = with(&yaml("0.5"), &[]);
    scene.change(&yaml("0.75"));
    let (service, subject) = (ServiceName::trusted("a"), Subject::Replica(ServiceName::trusted("a"), 1));
    let update = Action::UpdateContainer { service, number: 1, container: id.clone(), changes: [].into() };
    scene.in_flight.insert(subject.clone(), update);
    assert!(scene.decide().fits.is_empty());
    scene.in_flight.remove(&subject);
    assert!(scene.decide().fits.contains_key(&id));
}

#[test]
fn a_start_that_fails_after_refused_changes_is_tried_again_soon() {
    let memory = differs("mem_limit", Some("64"), Some("32"), Repair::Update);
    let (mut scene, id) = with("services: {a: {image: 'a:1', mem_limit: 64, restart: always}}", &[memory]);
    let refuse = |scene: &mut Scene| {
        let (decision, now, project) = (scene.decide(), scene.now(), scene.project.clone());
        let step = decision.steps.first().expect("there is a step");
        memory::begins(&mut scene.ledger, Some(&project), step, now);
        memory::failed(&mut scene.ledger, Some(&project), step, Setback::Other, "no", now)
    };
    let mut attempts = Vec::new();
    for _ in 0..4 {
        attempts.push(refuse(&mut scene));
        scene.world.pass(600);
    }
    scene.world.end(&id, 1, false, true);
    attempts.push(refuse(&mut scene));
    assert_eq!(attempts, [1, 2, 3, 4, 1]);
}
