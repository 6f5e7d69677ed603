//! A look at everything without a controller and without changing anything: what `plan` and `status` say when none runs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use super::Clock;
use super::decisions;
use super::input::{ManifestState, Rules, Situation};
use super::intake::watch::{self, WatchOptions};
use super::intake::{by_name, too_many};
use super::ledger::store::{Memory, Remembered};
use super::ledger::{LedgerError, Revision, Store};
use super::link;
use super::publish::{self, EngineStatus, Outlook, ProjectView};
use super::scope::Scope;
use super::sensors::{Board, files, read_host};
use super::world::{Compare, World};
use crate::decide::{self, Decision, Plan, RecoveryPolicy, Room, forecast};
use crate::engine::{EngineError, EngineRead};
use crate::manifest::{Diagnostic, Loaded, Severity};
use crate::model::ledger::ProjectLedger;
use crate::model::observed::{Capabilities, Observed};
use crate::model::policy::HostPolicy;
use crate::model::state::ProjectState;
use crate::model::{InstanceId, ProjectName, Timestamp};

/// What was found.
#[derive(Debug)]
pub struct Survey {
    /// The engine.
    pub engine: EngineStatus,
    /// The plan of each project.
    pub plans: Vec<Plan>,
    /// How each project is.
    pub projects: Vec<ProjectView>,
    /// What is wrong with the manifests.
    pub diagnostics: Vec<Diagnostic>,
    /// Why nothing would be removed.
    pub guard: Option<String>,
}

/// Why a look failed.
#[derive(Debug, thiserror::Error)]
pub enum SurveyError {
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The manifests directory.
    #[error("the manifests cannot be read: {0}")]
    Manifests(String),
}

/// What a look is made with.
pub struct SurveyOptions<'a> {
    /// How the manifests are read.
    pub watch: &'a WatchOptions,
    /// The manifests that are looked at.
    pub scope: &'a Scope,
    /// The state folder.
    pub state: &'a Path,
    /// The pace of restarts and retries.
    pub recovery: &'a RecoveryPolicy,
    /// Touch what another evenkeel made.
    pub take_over: bool,
    /// A controller runs: what it has throttled is its own affair.
    pub watched: bool,
    /// Where the Engine's host can be looked at; `None`: it is another host.
    pub host: Option<HostPolicy>,
    /// In words.
    pub address: String,
}

/// One project, as it is found.
#[derive(Default)]
struct Found {
    manifest: Option<Arc<Loaded>>,
    ledger: ProjectLedger,
    revision: Revision,
    decision: Decision,
}

impl Found {
    fn of(remembered: Remembered) -> Self {
        let Remembered { ledger, last_good, converged, healthy } = remembered;
        let revision = Revision { in_force: last_good, converged, healthy, ..Revision::default() };
        Self { ledger, revision, ..Self::default() }
    }

    fn state(&self) -> ProjectState {
        decisions::state(self.manifest.as_deref(), &self.revision, &self.decision)
    }
}

/// Looks at everything.
///
/// # Errors
/// When the engine, the ledger or the manifests directory cannot be read.
pub async fn survey(
    engine: &dyn EngineRead,
    clock: &dyn Clock,
    options: &SurveyOptions<'_>,
) -> Result<Survey, SurveyError> {
    let (memory, instance) = remembered(options.state)?;
    let reading = watch::read(options.watch, &[]);
    let manifests = reading.manifests.map_err(SurveyError::Manifests)?;
    let (mut found, guard) = gather(memory, &manifests, options.scope, clock.now());
    let info = engine.info().await?;
    let (capabilities, version) = (info.capabilities, info.version.clone());
    let world = observe(engine, info, &found, options.host.as_ref(), clock.now()).await?;
    let mut survey = Survey {
        engine: EngineStatus { up: true, address: options.address.clone(), version: Some(version), error: None },
        plans: Vec::new(),
        projects: Vec::new(),
        diagnostics: manifests.iter().flat_map(|loaded| loaded.diagnostics.iter().cloned()).collect(),
        guard,
    };
    let rules = Rules { recovery: options.recovery, instance: &instance, take_over: options.take_over };
    let general = General { guard_tripped: survey.guard.is_some(), capabilities, rules, now: clock.now() };
    // Twice: how a project is may depend on how another is.
    for round in 0..2 {
        let states: BTreeMap<_, _> = found.iter().map(|(name, found)| (name.clone(), found.state())).collect();
        for (name, project) in &mut found {
            let observed = world.snapshot(name, project.revision.in_force.as_deref());
            let input = general.situation(name, project, &observed, &states).input();
            let decision = decide::decide(&input);
            if round == 1 {
                let mut plan = forecast(&input);
                if options.watched {
                    plan.leave_throttles();
                }
                survey.plans.push(plan);
            }
            project.decision = decision;
            project.revision.decided = project.revision.in_force.as_ref().map(|t| t.revision.clone());
            if round == 1 {
                let view = general.view(name, project, &world, reading.commit.clone());
                survey.projects.push(view);
            }
        }
    }
    Ok(survey)
}

/// What is remembered and what was read, by project; and why nothing would be removed.
fn gather(
    memory: Memory,
    manifests: &[Arc<Loaded>],
    scope: &Scope,
    now: Timestamp,
) -> (BTreeMap<ProjectName, Found>, Option<String>) {
    let mut others = BTreeMap::new();
    let mut found: BTreeMap<ProjectName, Found> = BTreeMap::new();
    for (name, remembered) in memory.projects {
        if scope.owns(&remembered.ledger) {
            found.insert(name, Found::of(remembered));
        } else {
            others.insert(name, remembered);
        }
    }
    let all_before = found.len();
    let known = found.iter().map(|(name, found)| (name, found.revision.in_force.as_deref(), None));
    for (name, loaded) in by_name(known, manifests) {
        let entry = found.entry(name.clone()).or_insert_with(|| Found::of(others.remove(&name).unwrap_or_default()));
        if let Some(project) = &loaded.project {
            entry.revision.take(&mut entry.ledger, Arc::clone(project), now, |_| None);
        }
        entry.manifest = Some(loaded);
    }
    let vanished = found.values().filter(|found| found.manifest.is_none()).count();
    let guard = too_many(vanished, all_before.max(found.len()))
        .then(|| format!("{vanished} of {} projects vanished at once", found.len()));
    (found, guard)
}

/// What the Engine has of these projects.
async fn observe(
    engine: &dyn EngineRead,
    info: crate::engine::EngineInfo,
    found: &BTreeMap<ProjectName, Found>,
    host: Option<&HostPolicy>,
    now: Timestamp,
) -> Result<World, EngineError> {
    let (projects, memory): (BTreeSet<ProjectName>, _) = (found.keys().cloned().collect(), info.memory);
    let connection = link::look(engine, info, &projects).await?;
    let mut world = World::default();
    world.follow_only(found.iter().map(|(name, found)| (name, found.revision.in_force.as_deref())));
    world.met(connection, &projects, projects.iter());
    let host = host.and_then(|host| read_host(host, now));
    world.host_is(host.filter(|host| Some(host.memory) == memory));
    for reference in world.unknown_images() {
        let image = engine.image(&reference).await?;
        world.set_image(&reference, image);
    }
    for found in found.values() {
        let Some(target) = &found.revision.in_force else { continue };
        let seen = files::look_now(target, world.of_project(&target.name));
        let mut contents = found.ledger.contents.clone();
        world.compare(&mut Compare { engine, target, now: None, files: &|id| seen.get(id), contents: &mut contents });
    }
    Ok(world)
}

/// What holds for all projects.
struct General<'a> {
    guard_tripped: bool,
    capabilities: Capabilities,
    rules: Rules<'a>,
    now: Timestamp,
}

impl<'a> General<'a> {
    fn situation<'s>(
        &'s self,
        project: &'s ProjectName,
        found: &'s Found,
        observed: &'s Observed,
        others: &'s BTreeMap<ProjectName, ProjectState>,
    ) -> Situation<'s>
    where
        'a: 's,
    {
        static NOTHING: BTreeMap<crate::model::ledger::Subject, decide::Action> = BTreeMap::new();
        let is_there = found.manifest.is_some();
        Situation {
            project,
            manifest: ManifestState { is_there, absences_confirmed: true, removal_confirmed: true },
            revision: &found.revision,
            ledger: &found.ledger,
            observed,
            in_flight: &NOTHING,
            others,
            guard_tripped: self.guard_tripped,
            capabilities: self.capabilities,
            room: Room::default(),
            rules: self.rules,
            now: self.now,
        }
    }

    fn view(&self, name: &ProjectName, found: &Found, world: &World, commit: Option<String>) -> ProjectView {
        publish::view(&Outlook {
            name,
            state: found.state(),
            manifest: found.manifest.as_deref(),
            revision: &found.revision,
            ledger: &found.ledger,
            decision: &found.decision,
            in_flight: &BTreeMap::new(),
            containers: world.of_project(name).collect(),
            last_converged: None,
            commit,
            probed: &Board::default(),
            recovery: self.rules.recovery,
            now: self.now,
        })
    }
}

/// What a state folder remembers; one that is not there remembers nothing, and is not made.
fn remembered(state: &Path) -> Result<(Memory, InstanceId), LedgerError> {
    match Store::look_into(state)? {
        Some(store) => Ok((store.projects()?, store.instance()?)),
        None => Ok((Memory::default(), InstanceId::trusted("-"))),
    }
}

impl Survey {
    /// Whether a manifest does not load.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|d| d.severity == Severity::Error)
    }
}
