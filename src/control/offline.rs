//! A look at everything without a controller and without changing anything: what `plan` and `status` say when none runs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use tokio::time::Instant;

use super::board::Board;
use super::compare::Comparisons;
use super::host::HostOptions;
use super::ledger::{LedgerError, Remembered, Store};
use super::manifests::by_name;
use super::observe::Cache;
use super::publish::{EngineStatus, ProjectView};
use super::steps::seed;
use super::tracked::Tracked;
use super::watch::{self, WatchOptions};
use super::{Clock, guard, link, view};
use crate::decide::{self, Input, Plan, RecoveryPolicy, Room, Target, forecast};
use crate::engine::{EngineError, EngineRead};
use crate::manifest::{Diagnostic, Severity};
use crate::model::{InstanceId, ProjectName};

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
    /// The manifests directory, or one manifest.
    pub watch: &'a WatchOptions,
    /// The root is one manifest of several.
    pub single: bool,
    /// The state folder.
    pub state: &'a Path,
    /// The pace of restarts and retries.
    pub recovery: &'a RecoveryPolicy,
    /// Touch what another evenkeel made.
    pub take_over: bool,
    /// A controller runs: what it has throttled is its own affair.
    pub watched: bool,
    /// Where the Engine's host can be looked at; `None`: it is another host.
    pub host: Option<HostOptions>,
    /// In words.
    pub address: String,
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
    let (remembered, instance) = remembered(options.state)?;
    let reading = watch::read(options.watch, &[]);
    let manifests = reading.manifests.map_err(SurveyError::Manifests)?;
    let mut tracked: BTreeMap<ProjectName, Tracked> = remembered
        .into_iter()
        .filter(|(_, r)| !options.single && r.ledger.root == options.watch.root)
        .map(|(name, r)| (name.clone(), Tracked::remembered(name, r)))
        .collect();
    let all_before = tracked.len();
    let mut diagnostics = Vec::new();
    let fresh = all_remembered(options.state)?;
    for loaded in &manifests {
        diagnostics.extend(loaded.diagnostics.iter().cloned());
    }
    for (name, loaded) in by_name(&tracked, &manifests) {
        let entry = tracked.entry(name.clone()).or_insert_with(|| {
            let known = fresh.get(&name).cloned().unwrap_or_default();
            Tracked::remembered(name.clone(), known)
        });
        if let Some(project) = &loaded.project {
            entry.take(Arc::clone(project), clock.now(), |_| None);
        }
        entry.manifest = Some(loaded);
    }
    let projects: BTreeSet<ProjectName> = tracked.keys().cloned().collect();
    let info = engine.info().await?;
    let connection = link::look(engine, info, &projects).await?;
    let mut cache = Cache::default();
    for name in &projects {
        cache.interest_mut().follow(name, None);
    }
    cache.listed(0, &connection.listing);
    let host = options.host.as_ref().and_then(|host| host.look(clock.now()));
    cache.host_is(host.filter(|host| Some(host.memory) == connection.info.memory));
    for (id, found) in connection.containers {
        cache.inspected(&id, 0, found, Instant::now());
    }
    let vanished = tracked.values().filter(|t| t.manifest.is_none()).count();
    let guard = guard::too_many(vanished, all_before.max(tracked.len()))
        .then(|| format!("{vanished} of {} projects vanished at once", tracked.len()));
    let references: Vec<String> = tracked
        .values()
        .filter_map(|t| t.target.as_ref())
        .flat_map(|p| p.services.values().map(|s| s.image.clone()))
        .collect();
    for reference in references {
        if cache.images().get(&reference).is_none() {
            let image = engine.image(&reference).await?;
            cache.images_mut().set(&reference, image);
        }
    }
    let mut survey = Survey {
        engine: EngineStatus {
            up: true,
            address: options.address.clone(),
            version: Some(connection.info.version),
            error: None,
        },
        plans: Vec::new(),
        projects: Vec::new(),
        diagnostics,
        guard,
    };
    let mut comparisons = Comparisons::default();
    for project in tracked.values() {
        if let Some(target) = &project.target {
            let mut noted = project.ledger.contents.clone();
            comparisons.update(engine, &mut cache, target, None, None, &mut noted);
        }
    }
    // Twice: how a project is may depend on how another is.
    for round in 0..2 {
        let states: BTreeMap<_, _> = tracked.values().map(|t| (t.name.clone(), t.state())).collect();
        for (name, project) in &mut tracked {
            let observed = cache.snapshot(name, project.target.as_deref());
            let input = Input {
                project: name,
                target: match (&project.manifest, &project.target) {
                    (Some(_), Some(target)) => Target::Declared(target),
                    (Some(_), None) => Target::Unknown,
                    (None, last) => Target::Removed { last: last.as_deref(), confirmed: true },
                },
                absences_confirmed: true,
                guard_tripped: survey.guard.is_some(),
                observed: &observed,
                in_flight: &BTreeMap::new(),
                ledger: &project.ledger,
                healthy: project.healthy.as_deref(),
                others: &states,
                capabilities: connection.info.capabilities,
                recovery: options.recovery,
                instance: &instance,
                take_over: options.take_over,
                room: Room::default(),
                seed: seed(&instance),
                now: clock.now(),
            };
            project.decision = decide::decide(&input);
            project.decided = project.target.as_ref().map(|t| t.revision.clone());
            if round == 1 {
                let mut plan = forecast(&input);
                if options.watched {
                    plan.leave_throttles();
                }
                survey.plans.push(plan);
                let containers: Vec<_> = cache.of_project(name).collect();
                survey.projects.push(view::view(
                    project,
                    &containers,
                    reading.commit.clone(),
                    (&Board::default(), options.recovery, clock.now()),
                ));
            }
        }
    }
    Ok(survey)
}

fn all_remembered(state: &Path) -> Result<BTreeMap<ProjectName, Remembered>, LedgerError> {
    Ok(remembered(state)?.0)
}

/// What a state folder remembers; one that is not there remembers nothing, and is not made.
fn remembered(state: &Path) -> Result<(BTreeMap<ProjectName, Remembered>, InstanceId), LedgerError> {
    if !state.join("instance").is_file() {
        return Ok((BTreeMap::new(), InstanceId::trusted("-")));
    }
    let store = Store::open(state)?;
    Ok((store.projects()?, store.instance()?))
}

impl Survey {
    /// Whether a manifest does not load.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|d| d.severity == Severity::Error)
    }
}
