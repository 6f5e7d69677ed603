//! The end of a run: nothing goes wrong any more, and all must come to what a run without faults comes to.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use evenkeel::control::Operation;
use evenkeel::model::ImageId;
use evenkeel::model::state::ProjectState;
use evenkeel::rehearsal::{Stage, virtually};
use tokio::time::Instant;

use super::super::acts::{self, Place};
use super::super::court::Clerk;
use super::super::finale::{Loose, Normal, normal};
use super::super::recipe::Version;
use super::super::scenario::Scenario;
use super::{Run, epoch, furnish, options};

/// Within this virtual time all is well once nothing goes wrong any more: the longest delay is five minutes, and two of
/// them can follow each other.
const CALM_LIMIT: Duration = Duration::from_secs(40 * 60);
/// Decisions that may be made until then.
const CALM_DECISIONS: u64 = 3_000;
/// Calls that were begun before the calm have come to their end by then.
const LATE: Duration = Duration::from_secs(30);
/// Then nothing is done for two resyncs.
const STILL: Duration = Duration::from_secs(130);

/// So often a revision that failed is tried again.
const TRIES: u32 = 8;

/// What all must come to.
struct Goal {
    /// The version of each project that stays.
    last: Vec<Option<Version>>,
    images: BTreeMap<String, ImageId>,
    /// As a run without faults leaves it.
    normal: Normal,
}

/// What the manifests as they are now lead to where nothing goes wrong: found out beside this run, in a time of its own.
fn goal(run: &Run<'_>) -> Goal {
    let versions = |p: usize| &run.scenario.projects[p].versions;
    let last: Vec<Option<Version>> =
        run.last.iter().enumerate().map(|(p, v)| v.map(|v| versions(p)[v].clone())).collect();
    let images = run.stage.engine.with(|world| world.images().clone());
    let loose = Loose::of(run.scenario, &last, &run.clerk.court(), BTreeSet::new());
    let mut goal = Goal { last, images, normal: Normal::default() };
    let folder = run.place.folder.join("reference");
    acts::prepare(&folder);
    let work = || virtually(faultless(run.scenario, &folder, &goal, &loose)).expect("a runtime");
    // On a thread of its own, as one runtime does not run in another.
    let normal = std::thread::scope(|scope| scope.spawn(work).join());
    match normal {
        Ok(normal) => goal.normal = normal,
        Err(_) => run.clerk.court().violation("the run without faults panicked".to_owned()),
    }
    goal
}

/// Waits until all is well, and looks whether it stays so.
pub(super) async fn settle(run: &mut Run<'_>) {
    let goal = goal(run);
    let calm = Instant::now();
    let decisions = run.clerk.court().decisions;
    let mut pause = Duration::from_millis(1_500);
    let died = Arc::clone(&run.stage.died);
    let mut still: Option<(Instant, u32, u32)> = None;
    let mut tried: BTreeMap<String, u32> = BTreeMap::new();
    loop {
        tokio::select! {
            biased;
            () = died.notified() => run.start(),
            () = tokio::time::sleep(pause) => {}
        }
        if run.check_panic().await {
            return;
        }
        let due = std::mem::take(&mut run.agenda.items);
        for item in due.into_values() {
            run.item(item).await;
        }
        if let Some(snapshot) = run.stage.handle().map(|h| h.snapshot()) {
            if snapshot.guard.is_some() {
                acts::ask(&run.stage, Operation::Confirm).await;
            }
            if snapshot.projects.values().any(|p| p.state == ProjectState::Suspended) {
                acts::ask(&run.stage, Operation::ResumeAll).await;
            }
            // What failed for a fault, or for its first runs only, comes up once it is tried again.
            for project in snapshot.projects.values().filter(|p| p.failed.is_some() && p.in_flight.is_empty()) {
                let name = project.name.to_string();
                let n = tried.entry(name.clone()).or_default();
                if *n < TRIES && acts::ask(&run.stage, Operation::Resume { id: name }).await.is_some() {
                    *n += 1;
                }
            }
        }
        let failed = tried.iter().filter(|(_, n)| **n >= TRIES).map(|(p, _)| p.clone()).collect();
        let loose = Loose::of(run.scenario, &goal.last, &run.clerk.court(), failed);
        let calls = run.clerk.court().calls[0];
        let deaths = run.clerk.court().deaths;
        let completed = run.clerk.court().completed();
        let differences = normal(run.scenario, &run.stage.engine, &completed).differences(&goal.normal, &loose);
        let rests = run.at_rest(&loose.services);
        // What a controller that ended had asked for may still be under way.
        if rests && differences.is_empty() && calm.elapsed() > LATE {
            // Who ended was asked for nothing: the rest begins anew.
            still = still.filter(|(_, _, ended)| *ended == deaths || !loose.services.is_empty());
            let (since, before, _) = *still.get_or_insert((Instant::now(), calls, deaths));
            if before != calls && loose.services.is_empty() {
                run.clerk.court().violation("all was well, and yet something is done".to_owned());
                return;
            }
            pause = Duration::from_secs(20);
            if since.elapsed() >= STILL {
                let mut court = run.clerk.court();
                court.healed_after = (since - calm).as_secs();
                court.loose = loose.services.len();
                return;
            }
        } else {
            still = None;
            pause = (pause * 5 / 4).min(Duration::from_secs(60));
        }
        let made = run.clerk.court().decisions - decisions;
        if loose.services.is_empty() && made > CALM_DECISIONS {
            let text = format!("no rest after {made} decisions; {}", run.told());
            run.clerk.court().violation(text);
            return;
        }
        if calm.elapsed() > CALM_LIMIT {
            let text = format!("at the end {}; {}", differences.join("; "), run.told());
            run.clerk.court().violation(text);
            return;
        }
    }
}

/// The same manifests, and nothing goes wrong.
async fn faultless(scenario: &Scenario, folder: &Path, goal: &Goal, loose: &Loose) -> Normal {
    let engine = furnish(scenario, 1);
    let place = Place { folder: folder.to_owned(), clerk: Clerk::new(scenario, epoch(), false) };
    let director = Box::new(place.clerk.clone());
    engine.with(|world| {
        world.directed_by(director);
        for (reference, id) in &goal.images {
            world.tag_as(reference, id.clone());
            world.publish_as(reference, id.clone());
        }
    });
    std::fs::write(place.state().join("instance"), "search").expect("the instance's name");
    for (project, version) in goal.last.iter().enumerate() {
        if let Some(version) = version {
            place.write(project, &acts::text(scenario, project, version));
        }
    }
    let mut stage = Stage::new(engine, options(scenario, folder));
    let clerk = place.clerk.clone();
    clerk.court().calm = true;
    let handle = stage.start(Arc::new(clerk)).expect("the controller starts");
    let (mut looks, mut restful) = (0, 0);
    loop {
        tokio::time::sleep(Duration::from_secs(5)).await;
        looks += 1;
        let snapshot = handle.snapshot();
        let rests = snapshot.manifests_read
            && snapshot.projects.values().all(|p| {
                let name = p.name.to_string();
                p.state == ProjectState::Converged || loose.services.iter().any(|(l, _)| *l == name)
            });
        let wanted = goal.last.iter().filter(|v| v.is_some()).count();
        restful = if rests && snapshot.projects.len() == wanted { restful + 1 } else { 0 };
        if looks > 200 || restful > 14 && (loose.services.is_empty() || looks > 60) {
            let completed = place.clerk.court().completed();
            return normal(scenario, &stage.engine, &completed);
        }
    }
}
