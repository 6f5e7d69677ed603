//! One run: things go wrong for a while, then they do not, and all must be as if they never had.

mod settle;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use evenkeel::control::intake::watch::WatchOptions;
use evenkeel::control::publish::ProjectView;
use evenkeel::control::{Decider, Faultless, Options};
use evenkeel::engine::sim::{Blueprint, Model, SimEngine, World};
use evenkeel::model::state::ProjectState;
use evenkeel::model::{ImageId, ProjectName, ServiceName, Timestamp, labels};
use evenkeel::rehearsal::{Stage, StageOptions, virtually};
use tokio::time::Instant;

use super::acts::{self, Later, Place};
use super::court::Clerk;
use super::injected::{Faulty, InjectedFault};
use super::recipe::service;
use super::scenario::{Act, Fault, Scenario};

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

/// Runs a scenario in this folder, which is emptied first. `fault`: one that is injected into the controller.
pub fn run(scenario: &Scenario, folder: &Path, trace: bool, fault: Option<InjectedFault>) -> Report {
    let decider: Arc<dyn Decider> = match fault {
        Some(fault) => Arc::new(Faulty::new(fault)),
        None => Arc::new(Faultless),
    };
    acts::prepare(folder);
    let clerk = Clerk::new(scenario, epoch(), trace);
    virtually(faulty(scenario, folder, &clerk, decider)).expect("a runtime");
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

async fn faulty(scenario: &Scenario, folder: &Path, clerk: &Clerk, decider: Arc<dyn Decider>) {
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
    let stage = Stage::new(engine, options(scenario, folder)).decided_by(decider);
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
        settle::settle(&mut run).await;
    }
}
