//! One run: things go wrong for a while, then they do not, and all must be as if they never had.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use evenkeel::control::publish::ProjectView;
use evenkeel::control::watch::WatchOptions;
use evenkeel::control::{Operation, Options};
use evenkeel::engine::sim::{Blueprint, Model, SimEngine, World};
use evenkeel::model::state::ProjectState;
use evenkeel::model::{ImageId, ProjectName, ServiceName, Timestamp, labels};
use evenkeel::rehearsal::{Stage, StageOptions, virtually};
use tokio::time::Instant;

use super::acts::{self, Later, Place};
use super::court::Clerk;
use super::finale::{Loose, Normal, normal};
use super::recipe::{Version, service};
use super::scenario::{Act, Fault, Scenario};

/// Within this virtual time all is well once nothing goes wrong any more: the longest delay is five minutes, and two of
/// them can follow each other.
const CALM_LIMIT: Duration = Duration::from_secs(40 * 60);
/// Decisions that may be made until then.
const CALM_DECISIONS: u64 = 3_000;
/// Calls that were begun before the calm have come to their end by then.
const LATE: Duration = Duration::from_secs(30);
/// Then nothing is done for two resyncs.
const STILL: Duration = Duration::from_secs(130);

/// What came of a run.
#[derive(Debug, Clone, Default)]
pub struct Report {
    pub violations: Vec<String>,
    pub trace: Vec<String>,
    pub fired: BTreeMap<String, u32>,
    pub services: usize,
    pub loose: usize,
    /// Calls that change something, and calls that look.
    pub calls: u32,
    pub looks: u32,
    pub decisions: u64,
    /// Virtual seconds from the end of the faults until all was well.
    pub healed_after: u64,
}

/// An image of the registry's: the same in all runs.
fn image(n: usize) -> ImageId {
    ImageId::trusted(format!("sha256:{n:064x}"))
}

fn epoch() -> Timestamp {
    Timestamp::from_second(1_767_225_600).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Runs a scenario in this folder, which is emptied first.
pub fn run(scenario: &Scenario, folder: &Path, trace: bool) -> Report {
    acts::prepare(folder);
    let clerk = Clerk::new(scenario, epoch(), trace);
    virtually(faulty(scenario, folder, &clerk)).expect("a runtime");
    let mut report = Report::default();
    let mut court = clerk.court();
    report.violations = std::mem::take(&mut court.violations);
    // The folder is another one each time.
    let place = folder.display().to_string();
    let trace = court.trace.take().unwrap_or_default();
    report.trace = trace.into_iter().map(|line| line.replace(&place, "FOLDER")).collect();
    report.fired = std::mem::take(&mut court.fired);
    report.calls = court.calls[0];
    report.looks = court.calls[1];
    report.decisions = court.decisions;
    report.healed_after = court.healed_after;
    report.loose = court.loose;
    report.services = scenario.projects.iter().map(|p| p.natures.len()).sum();
    report
}

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

fn options(scenario: &Scenario, folder: &Path) -> StageOptions {
    let root = folder.join("manifests");
    StageOptions {
        control: Options { parallel: usize::from(scenario.parallel.max(1)), ..Options::of(root.clone()) },
        watch: WatchOptions { root, environment: BTreeMap::new(), rescan: Duration::from_secs(30) },
        state: folder.join("state"),
    }
}

/// The engine with what is there before the controller comes.
fn furnish(scenario: &Scenario, seed: u64) -> SimEngine {
    let model = if scenario.modern { Model::V28 } else { Model::V20 };
    let engine = SimEngine::new(seed, model, epoch());
    engine.with(|world| {
        for n in 0..3 {
            world.tag_as(&format!("i{n}:1"), image(n));
            world.publish_as(&format!("i{n}:1"), image(n));
        }
        for (number, sketch) in scenario.projects.iter().enumerate() {
            for (n, nature) in sketch.natures.iter().enumerate() {
                let project = ProjectName::trusted(format!("p{number}"));
                world.script(&project, &ServiceName::trusted(service(n as u8)), nature.script());
            }
        }
        let _ = world.create_network("shared", &BTreeMap::new());
        furnish_others(world);
    });
    engine
}

/// Other people's things, which nobody may touch: a project of Compose's, and a container of `compose run`.
fn furnish_others(world: &mut World) {
    let labelled = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let other = [(labels::PROJECT, "other"), (labels::SERVICE, "a"), (labels::CONTAINER_NUMBER, "1")];
    let _ = world.create_network("other_default", &labelled(&[(labels::PROJECT, "other")]));
    let _ = world.create_volume("other_data", &labelled(&[(labels::PROJECT, "other")]));
    let _ = world.create_volume("p0_old", &labelled(&[(labels::PROJECT, "p0")]));
    let made_of = Blueprint {
        name: "other-a-1".to_owned(),
        labels: labelled(&other),
        image: "i0:1".to_owned(),
        networks: vec!["other_default".to_owned()],
        ..Blueprint::default()
    };
    let _ = world.create(made_of).and_then(|id| world.start(&id));
    let run =
        [(labels::PROJECT, "p0"), (labels::SERVICE, "a"), (labels::CONTAINER_NUMBER, "1"), (labels::ONEOFF, "True")];
    let made_of = Blueprint {
        name: "p0-a-run-1".to_owned(),
        labels: labelled(&run),
        image: "i0:1".to_owned(),
        ..Blueprint::default()
    };
    let _ = world.create(made_of).and_then(|id| world.start(&id));
}

/// What is to be done, by time.
#[derive(Default)]
struct Agenda {
    items: BTreeMap<(u64, u64), Item>,
    count: u64,
}

enum Item {
    Act(Act),
    Later(Later),
}

impl Agenda {
    fn put(&mut self, at: u64, item: Item) {
        self.count += 1;
        self.items.insert((at, self.count), item);
    }
}

struct Run<'a> {
    scenario: &'a Scenario,
    clerk: Clerk,
    place: Place,
    stage: Stage,
    agenda: Agenda,
    began: Instant,
    /// The version of each project that was written last; `None`: it was removed.
    last: Vec<Option<usize>>,
}

impl Run<'_> {
    fn millis(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Starts the controller; where that fails, it is tried again in a second.
    fn start(&mut self) {
        self.clerk.court().say(|| "controller starts".to_owned());
        if let Err(error) = self.stage.start(Arc::new(self.clerk.clone())) {
            self.clerk.court().say(|| format!("controller cannot start: {error}"));
            self.agenda.put(self.millis() + 1_000, Item::Later(Later::ControllerBack));
        }
    }

    async fn check_panic(&mut self) -> bool {
        match self.stage.panicked().await {
            Some(text) => {
                self.clerk.court().violation(format!("the controller panicked: {text}"));
                true
            }
            None => false,
        }
    }

    async fn item(&mut self, item: Item) {
        self.clerk.court().now = self.stage.engine.now();
        match item {
            Item::Act(act) => {
                match &act {
                    Act::Write { project, version } | Act::Torn { project, version, .. } => {
                        let known = self.scenario.projects.get(usize::from(*project)).map(|p| p.versions.len());
                        if known.is_some_and(|n| usize::from(*version) < n) {
                            self.last[usize::from(*project)] = Some(usize::from(*version));
                        }
                    }
                    Act::Delete { project } if usize::from(*project) < self.last.len() => {
                        self.last[usize::from(*project)] = None;
                    }
                    _ => {}
                }
                self.clerk.court().say(|| format!("! {act:?}"));
                match acts::act(self.scenario, &mut self.stage, &self.place, &act).await {
                    Some(later) => {
                        self.clerk.court().fire(act.kind());
                        for (after, later) in later {
                            self.agenda.put(self.millis() + after, Item::Later(later));
                        }
                    }
                    None => self.clerk.court().say(|| "  (nothing to do it to)".to_owned()),
                }
            }
            Item::Later(Later::ControllerBack) => self.start(),
            Item::Later(Later::Rest { project, version }) => {
                // What was written since is not written over.
                if self.last[project] == Some(version) {
                    let rest = Later::Rest { project, version };
                    acts::finish(self.scenario, &mut self.stage, &self.place, rest).await;
                }
            }
            Item::Later(later) => acts::finish(self.scenario, &mut self.stage, &self.place, later).await,
        }
    }

    /// Until the faults are over; `false`: there is no sense in going on.
    async fn wild(&mut self) -> bool {
        let died = Arc::clone(&self.stage.died);
        loop {
            let end = self.scenario.wild;
            let next = self.agenda.items.first_key_value().map_or(end, |((at, _), _)| *at).min(end);
            tokio::select! {
                biased;
                () = died.notified() => {
                    self.clerk.court().say(|| "controller dies".to_owned());
                    self.clerk.court().leaves();
                    self.agenda.put(self.millis() + 700, Item::Later(Later::ControllerBack));
                }
                () = tokio::time::sleep_until(self.began + Duration::from_millis(next)) => {
                    if self.check_panic().await {
                        return false;
                    }
                    if next >= end {
                        return true;
                    }
                    if let Some(entry) = self.agenda.items.first_entry().filter(|e| e.key().0 <= next) {
                        let item = entry.remove();
                        self.item(item).await;
                    }
                }
            }
        }
    }

    /// Nothing goes wrong any more, and what was wrong is mended.
    async fn calm(&mut self) {
        self.clerk.court().say(|| "calm".to_owned());
        self.clerk.court().calm = true;
        let left = std::mem::take(&mut self.agenda.items);
        let mut resumes = Vec::new();
        for item in left.into_values() {
            match item {
                Item::Later(later @ Later::Resume(_)) => resumes.push(later),
                Item::Later(Later::ControllerBack) | Item::Act(_) => {}
                item @ Item::Later(_) => self.item(item).await,
            }
        }
        self.agenda = Agenda::default();
        for (project, version) in self.last.clone().into_iter().enumerate() {
            match version {
                Some(version) => {
                    acts::write(self.scenario, &self.stage, &self.place, project, version);
                }
                None => self.place.delete(project),
            }
        }
        if !self.stage.runs() {
            self.start();
        }
        self.stage.files_changed();
        for later in resumes {
            acts::finish(self.scenario, &mut self.stage, &self.place, later).await;
        }
    }

    /// How everything is in the controller's words.
    fn told(&self) -> String {
        let Some(handle) = self.stage.handle() else { return "there is no controller".to_owned() };
        let project = |p: &ProjectView| {
            let services: Vec<_> = p.services.values().map(|s| format!("{} {}", s.id, s.summary)).collect();
            let waiting: Vec<_> = p.waiting.iter().map(ToString::to_string).collect();
            let steps: Vec<_> = p.steps.iter().map(ToString::to_string).collect();
            format!(
                "{} {}: {services:?}, in flight {:?}, steps {steps:?}, waiting {waiting:?}",
                p.name,
                p.state.as_str(),
                p.in_flight
            )
        };
        handle.snapshot().projects.values().map(|p| project(p)).collect::<Vec<_>>().join("; ")
    }

    /// Whether the controller holds that nothing is to be done.
    fn at_rest(&self, loose: &BTreeSet<(String, String)>) -> bool {
        let Some(handle) = self.stage.handle() else { return false };
        let snapshot = handle.snapshot();
        snapshot.engine.up
            && snapshot.manifests_read
            && snapshot.projects.values().all(|project| {
                let name = project.name.to_string();
                let free = loose.iter().any(|(p, _)| *p == name);
                free || project.state == ProjectState::Converged
                    && project.in_flight.is_empty()
                    && project.steps.is_empty()
                    && project.drift.is_empty()
            })
    }
}

async fn faulty(scenario: &Scenario, folder: &Path, clerk: &Clerk) {
    let engine = furnish(scenario, scenario.seed);
    let behind =
        scenario.faults.iter().any(|f| matches!(f, Fault::Call { upset: super::scenario::Upset::Behind { .. }, .. }));
    let director = Box::new(clerk.clone());
    engine.with(|world| {
        world.directed_by(director);
        if behind {
            world.remember_changes();
        }
    });
    let place = Place { folder: folder.to_owned(), clerk: clerk.clone() };
    std::fs::write(place.state().join("instance"), "search").expect("the instance's name");
    let stage = Stage::new(engine, options(scenario, folder));
    let mut run = Run {
        scenario,
        clerk: clerk.clone(),
        place,
        stage,
        agenda: Agenda::default(),
        began: Instant::now(),
        last: vec![Some(0); scenario.projects.len()],
    };
    for fault in &scenario.faults {
        if let Fault::At { at, act } = fault {
            run.agenda.put(*at, Item::Act(act.clone()));
        }
    }
    for project in 0..scenario.projects.len() {
        acts::write(scenario, &run.stage, &run.place, project, 0);
    }
    run.start();
    if run.wild().await {
        run.calm().await;
        settle(&mut run).await;
    }
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
async fn settle(run: &mut Run<'_>) {
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
