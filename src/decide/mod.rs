//! The heart: what may be done *now*, and why, and what has to wait, and for what.
//!
//! # Guarantees
//! [`decide`] is pure, synchronous and total. It reads no clock, draws no randomness but from [`Input::seed`], does no IO
//! and logs nothing: the same input gives the same decision. It returns the *frontier* only: each step may run at once
//! and in any order with the others, at most one for each [`Subject`].
//!
//! # Assumptions
//! After each step the project is observed and decided again; a subject whose step has no known outcome yet is in
//! [`Input::in_flight`].

mod action;
mod breaker;
mod cause;
mod containers;
mod doubts;
mod drift;
mod forecast;
mod herd;
mod images;
mod lint;
mod made;
pub mod memory;
mod mended;
pub mod pressure;
mod readiness;
mod recovery;
mod removal;
mod resources;
mod rollout;
pub mod sharing;
mod slots;
mod strategy;
mod throttle;
mod waiting;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

pub use action::{Action, Step};
pub use breaker::BreakerState;
pub use cause::{Cause, FieldChange};
pub use doubts::Settled;
pub use forecast::{Plan, forecast};
pub use herd::Room;
pub use lint::lint;
pub use recovery::RecoveryPolicy;
pub use rollout::{Standing, in_force, is_over};
pub use strategy::Regime;
pub use waiting::{Before, Waiting, WaitingOn};

use crate::model::fields::Repair;
use crate::model::ledger::{Breaker, Completion, Healthy, ProjectLedger, Subject, Unheld};
use crate::model::observed::{Capabilities, Observed};
use crate::model::state::{ProjectState, ServiceState};
use crate::model::{ContainerId, InstanceId, Project, ProjectName, ServiceName, Timestamp};

/// All that a decision may know.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// The project it is about.
    pub project: &'a ProjectName,
    /// What is wanted.
    pub target: Target<'a>,
    /// Two reads of the manifest a second apart agree on what it does not name: orphans may go.
    pub absences_confirmed: bool,
    /// Too much vanished at once: nothing is removed for a manifest that is gone.
    pub guard_tripped: bool,
    /// What the Engine has.
    pub observed: &'a Observed,
    /// Steps whose outcome is not known yet.
    pub in_flight: &'a BTreeMap<Subject, Action>,
    /// What is remembered.
    pub ledger: &'a ProjectLedger,
    /// The last revision that was healthy.
    pub healthy: Option<&'a Healthy>,
    /// How the other projects are.
    pub others: &'a BTreeMap<ProjectName, ProjectState>,
    /// What this Engine's API can do.
    pub capabilities: Capabilities,
    /// The pace of restarts and retries.
    pub recovery: &'a RecoveryPolicy,
    /// How many recoveries may be begun now.
    pub room: Room,
    /// Who decides.
    pub instance: &'a InstanceId,
    /// Whether what another evenkeel made is taken over.
    pub take_over: bool,
    /// Decides the jitter.
    pub seed: u64,
    /// The time.
    pub now: Timestamp,
}

/// What is wanted of a project.
#[derive(Debug, Clone, Copy)]
pub enum Target<'a> {
    /// This: the manifest's revision, or the last good one where the manifest does not load.
    Declared(&'a Project),
    /// Nothing: the manifest is gone.
    Removed {
        /// The last good revision, for the order.
        last: Option<&'a Project>,
        /// Two looks a second apart found it gone.
        confirmed: bool,
    },
    /// There is a manifest, but it never loaded: nothing is done.
    Unknown,
}

/// What may be done now, what waits, and how everything is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Decision {
    /// The frontier, the most urgent first.
    pub steps: Vec<Step>,
    /// What is desired but may not be done yet.
    pub waiting: Vec<Waiting>,
    /// Where what runs differs from what is desired.
    pub drift: Vec<Drift>,
    /// Replicas that have a container beside the one that is as desired.
    pub replacing: BTreeSet<(ServiceName, u32)>,
    /// Jobs seen to be done, to be remembered.
    pub completions: BTreeMap<ServiceName, Completion>,
    /// Containers that fit a configuration which is not on their label, to be remembered.
    pub fits: BTreeMap<ContainerId, String>,
    /// Fields that the Engine does not hold as it is asked to, to be remembered.
    pub unheld: BTreeMap<ServiceName, Unheld>,
    /// Replicas whose check passes for the first time in this run, to be remembered.
    pub arrived: BTreeSet<Subject>,
    /// Breakers that open and close, to be remembered.
    pub breakers: BTreeMap<Subject, Option<Breaker>>,
    /// Recoveries that take more than a restart, to be remembered.
    pub regimes: Vec<Regime>,
    /// Jobs that are done, or are not any more, though a start of theirs has no known outcome: to be remembered.
    pub doubts: BTreeMap<ServiceName, Settled>,
    /// How far the revision is, where that is news.
    pub standing: Option<Standing>,
    /// Containers whose health somebody waits for: their checks may be made sooner than the Engine makes them.
    pub awaited: BTreeSet<ContainerId>,
    /// Failures that are over, to be forgotten.
    pub mended: BTreeSet<Subject>,
    /// When to decide again though nothing happened.
    pub wake_at: Option<Timestamp>,
    /// How each service is.
    pub services: BTreeMap<ServiceName, ServiceState>,
    /// How the project is.
    pub state: Option<ProjectState>,
    /// The project was to be removed, and nothing of it is left.
    pub gone: bool,
}

/// A difference between desired and observed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Drift {
    /// Where, if in a service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceName>,
    /// Which replica.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<u32>,
    /// Which field: a path of Compose's attributes, or `image`, or `configuration` where only a hash tells; of a network or
    /// volume `networks.KEY.…` or `volumes.KEY.…`.
    pub path: String,
    /// What is desired; what may be a secret is masked.
    pub desired: Option<String>,
    /// What is.
    pub observed: Option<String>,
    /// What repairs it.
    pub repair: Repair,
    /// The manifest says what it said when the container was made or last changed: it is somebody else's doing.
    pub by_hand: bool,
    /// Since when it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
}

/// One line a step, one a waiting: what the goldens compare.
impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            writeln!(f, "{step}")?;
        }
        for waiting in &self.waiting {
            writeln!(f, "{waiting}")?;
        }
        Ok(())
    }
}

impl Decision {
    fn wake(&mut self, at: Timestamp) {
        self.wake_at = Some(self.wake_at.map_or(at, |earlier| earlier.min(at)));
    }

    fn step(&mut self, action: Action, cause: Cause) {
        self.steps.push(Step { action, cause });
    }

    fn wait(&mut self, service: Option<&ServiceName>, on: WaitingOn) {
        self.waiting.push(Waiting { service: service.cloned(), on });
    }
}

/// Decides what may be done for one project now.
pub fn decide(input: &Input<'_>) -> Decision {
    let mut decision = Decision::default();
    if let Some(instance) = other_instance(input) {
        decision.wait(None, WaitingOn::OtherInstance { instance });
        decision.state = Some(ProjectState::Waiting);
        return decision;
    }
    let down = input.ledger.down.is_some();
    match input.target {
        Target::Unknown if !down => decision.state = Some(ProjectState::Invalid),
        Target::Declared(project) if !down => declared(input, project, &mut decision),
        Target::Removed { last, confirmed } if !(down || confirmed && may_go(input)) => {
            // Until it may go, the last good revision stays in force.
            if let Some(project) = last {
                declared(input, project, &mut decision);
            }
            decision.wait(None, if confirmed { WaitingOn::Guard } else { WaitingOn::SecondLook });
            decision.state = Some(ProjectState::Waiting);
        }
        Target::Removed { last, .. } if !down && input.ledger.suspended && anything_left(input) => {
            for service in last.iter().flat_map(|p| p.services.keys()) {
                decision.services.insert(service.clone(), ServiceState::Suspended);
            }
            decision.wait(None, WaitingOn::Suspended);
            decision.state = Some(ProjectState::Suspended);
        }
        target => {
            let last = match target {
                Target::Declared(project) => Some(project),
                Target::Removed { last, .. } => last,
                Target::Unknown => None,
            };
            removal::project(input, last, &mut decision);
        }
    }
    decision
}

/// Only the jobs that are seen to be done: to be remembered even while too little is known to decide, as their
/// containers may be gone when it is.
pub fn completions(input: &Input<'_>) -> BTreeMap<ServiceName, Completion> {
    let mut decision = Decision::default();
    if let Target::Declared(project) = input.target {
        slots::Slots::of(input, &sharing::resolve(project, input.observed)).completions(&mut decision);
    }
    decision.completions
}

fn anything_left(input: &Input<'_>) -> bool {
    input.observed.containers.values().any(|c| c.project == *input.project)
        || input.observed.networks.values().any(|n| n.project.as_ref() == Some(input.project))
}

fn may_go(input: &Input<'_>) -> bool {
    !input.guard_tripped || input.ledger.removal_confirmed
}

fn declared(input: &Input<'_>, project: &Project, decision: &mut Decision) {
    let project = &*sharing::resolve(project, input.observed);
    let slots = slots::Slots::of(input, project);
    slots.drift(decision);
    slots.completions(decision);
    doubts::decide(input, decision);
    if project.extension.suspend || input.ledger.suspended {
        decision.wait(None, WaitingOn::Suspended);
        for service in project.services.keys() {
            decision.services.insert(service.clone(), ServiceState::Suspended);
        }
        for filled in slots.by_name() {
            let all = filled.slots.iter().filter_map(|slot| slot.current);
            all.for_each(|container| throttle::give_back(input, filled.service, container, decision));
        }
        decision.state = Some(ProjectState::Suspended);
        return;
    }
    if let Some(restart) = &input.ledger.project_restart {
        strategy::restart_project(input, project, restart, decision);
        return;
    }
    let other_projects = readiness::projects(input, project);
    let rollout = rollout::Rollout::of(input, project);
    let places = resources::decide(input, project, &slots, decision);
    let known = input.ledger.resets.keys().chain(input.ledger.degraded.keys());
    let gone: BTreeSet<_> = known.filter(|service| !project.services.contains_key(*service)).collect();
    decision.regimes.extend(gone.into_iter().map(|service| Regime::IsGone { service: service.clone() }));
    let outages = strategy::Outages::of(input, project, &slots, decision);
    let mut states = vec![ServiceState::NotStarted; slots.by_name().len()];
    for (place, filled) in slots.in_order() {
        states[place] = containers::decide(
            input,
            (project, &slots, &outages),
            &places,
            (&other_projects, &rollout),
            (place, filled),
            decision,
        );
    }
    for (service, on) in rollout.preflight(&slots, &places, decision) {
        let place = slots.by_name().position(|filled| filled.service.name == service);
        if let Some(state @ ServiceState::Starting { .. }) = place.map(|place| &mut states[place]) {
            *state = ServiceState::Waiting { on: on.to_string() };
        }
    }
    herd::limit(input, project, decision);
    decision.awaited = readiness::awaited(&slots, &decision.waiting);
    decision.services = project.services.keys().cloned().zip(states).collect();
    if project.extension.prune_orphans.unwrap_or(true) {
        let orphans = slots.orphans();
        if !orphans.is_empty() && !input.absences_confirmed {
            decision.wait(None, WaitingOn::SecondLook);
        } else {
            removal::containers(input, None, orphans, &Cause::Orphan, decision);
        }
    }
    let mut busy: BTreeSet<Subject> = decision.steps.iter().map(|s| s.action.subject()).collect();
    busy.extend(places.images.pending.iter().cloned().map(Subject::Image));
    decision.mended = mended::subjects(input, project, &slots, &busy);
    let state = overall(input, &slots, decision);
    decision.standing = rollout.standing(project, &slots, state, decision);
    if matches!(decision.standing, Some(Standing::Failed { .. })) {
        // Another revision is in force with the next decision.
        decision.steps.clear();
    }
    let back = input.ledger.rolled_back.is_some() && state == ProjectState::Converged;
    decision.state = Some(if back { ProjectState::RolledBack } else { state });
}

/// The project's state from its services'.
fn overall(input: &Input<'_>, slots: &slots::Slots<'_>, decision: &Decision) -> ProjectState {
    let states = || decision.services.values();
    if states().any(|s| {
        matches!(s, ServiceState::Failed { .. } | ServiceState::Stopped { .. })
            || matches!(s, ServiceState::Running { health: crate::model::observed::Health::Unhealthy, .. })
    }) {
        return ProjectState::Degraded;
    }
    let throttles = |action: &Action| throttle::is_only_that(input, action, decision);
    if decision.steps.iter().any(|step| !(step.cause.is_throttle() && throttles(&step.action)))
        || input.in_flight.values().any(|action| !throttles(action))
        || states().any(|s| matches!(s, ServiceState::Starting { .. } | ServiceState::Stopping))
        || states().zip(slots.by_name()).any(|(s, of)| of.is_job && matches!(s, ServiceState::Running { .. }))
    {
        return ProjectState::Progressing;
    }
    let harmless = |w: &Waiting| matches!(w.on, WaitingOn::Suspended | WaitingOn::Refresh { .. });
    let held = states().any(|s| matches!(s, ServiceState::Waiting { .. }));
    if held || decision.waiting.iter().any(|w| !harmless(w)) { ProjectState::Waiting } else { ProjectState::Converged }
}

fn other_instance(input: &Input<'_>) -> Option<String> {
    if input.take_over {
        return None;
    }
    let instances: BTreeSet<_> = input
        .observed
        .containers
        .values()
        .filter(|c| c.project == *input.project)
        .filter_map(|c| c.instance.as_ref())
        .filter(|i| *i != input.instance)
        .collect();
    instances.first().map(ToString::to_string)
}
