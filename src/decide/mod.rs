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
//!
//! # The map
//! `action`, `cause` and `waiting` are the words of a decision. [`decide`] goes from `replica` (where each replica stands)
//! over `resources` (networks, volumes and images that containers are made from) to `container` (what is done about each
//! one), which asks `rollout` whose turn it is, `recovery` how soon and how often, `strategy` for more than a restart, and
//! `throttle` for less of the CPUs. `memory` writes into the ledger what is to be remembered, `forecast` unfolds a plan,
//! `lint` checks a decision with other eyes, and `pressure` picks who gives way on a host that is short of something.

mod action;
mod cause;
mod container;
mod forecast;
mod lint;
pub mod memory;
pub mod pressure;
mod recovery;
mod replica;
mod resources;
mod rollout;
mod strategy;
mod throttle;
mod waiting;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

pub use crate::model::policy::RecoveryPolicy;
pub use action::{Action, Step};
pub use cause::{Cause, FieldChange};
pub use forecast::{Plan, forecast};
pub use lint::{Invariant, Violation, lint};
pub use recovery::breaker::BreakerState;
pub use recovery::limit::Room;
pub use replica::doubts::Settled;
pub use replica::sharing;
pub use rollout::{RolloutStatus, in_force, is_over};
pub use strategy::RecoveryTransition;
pub use waiting::{Before, Waiting, WaitingOn};

use container::removal;
use recovery::limit;
use replica::{doubts, mended, readiness, slots};

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
    /// What is to be there: the manifest's project, or nothing.
    pub target: Target<'a>,
    /// Two reads of the manifest a second apart agree on what it does not name: orphans may go.
    pub absences_confirmed: bool,
    /// Too much vanished at once: nothing is removed for a manifest that is gone.
    pub guard_tripped: bool,
    /// What the Engine has.
    pub observed: &'a Observed,
    /// Steps whose outcome is not known yet.
    pub in_flight: &'a BTreeMap<Subject, Action>,
    /// What outlives a restart and cannot be seen in the Engine.
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
    /// The evenkeel that decides: what another one made is left alone.
    pub instance: &'a InstanceId,
    /// Whether what another evenkeel made is taken over.
    pub take_over: bool,
    /// The jitter of delays is drawn from this: the same seed gives the same delays.
    pub seed: u64,
    /// The present, by the controller's clock.
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
        /// Two readings a second apart found it gone.
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
    pub transitions: Vec<RecoveryTransition>,
    /// Jobs that are done, or are not any more, though a start of theirs has no known outcome: to be remembered.
    pub doubts: BTreeMap<ServiceName, Settled>,
    /// How far the revision is, where that is news.
    pub rollout_status: Option<RolloutStatus>,
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
    /// The replica's number, from 1, if it is a container's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<u32>,
    /// Which field: a path of Compose's attributes, or `image`, or `configuration` where only a hash tells; of a network or
    /// volume `networks.KEY.…` or `volumes.KEY.…`.
    pub path: String,
    /// What is desired; what may be a secret is masked.
    pub desired: Option<String>,
    /// The value that was found; what may be a secret is masked.
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
            decision.wait(None, if confirmed { WaitingOn::Guard } else { WaitingOn::Confirmation });
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
    let prerequisites = resources::decide(input, project, &slots, decision);
    let known = input.ledger.resets.keys().chain(input.ledger.degraded.keys());
    let gone: BTreeSet<_> = known.filter(|service| !project.services.contains_key(*service)).collect();
    decision
        .transitions
        .extend(gone.into_iter().map(|service| RecoveryTransition::IsGone { service: service.clone() }));
    let outages = strategy::Outages::of(input, project, &slots, decision);
    let mut states = vec![ServiceState::NotStarted; slots.by_name().len()];
    let surroundings = container::Surroundings {
        input,
        project,
        slots: &slots,
        outages: &outages,
        prerequisites: &prerequisites,
        other_projects: &other_projects,
        rollout: &rollout,
    };
    for (place, filled) in slots.in_order() {
        states[place] = container::decide(&surroundings, place, filled, decision);
    }
    for (service, on) in rollout.preflight(&slots, &prerequisites, decision) {
        let place = slots.by_name().position(|filled| filled.service.name == service);
        if let Some(state @ ServiceState::Starting { .. }) = place.map(|place| &mut states[place]) {
            *state = ServiceState::Waiting { on: on.to_string() };
        }
    }
    limit::limit(input, project, decision);
    decision.awaited = readiness::awaited(&slots, &decision.waiting);
    decision.services = project.services.keys().cloned().zip(states).collect();
    if project.extension.prune_orphans.unwrap_or(true) {
        let orphans = slots.orphans();
        if !orphans.is_empty() && !input.absences_confirmed {
            decision.wait(None, WaitingOn::Confirmation);
        } else {
            removal::containers(input, None, orphans, &Cause::Orphan, decision);
        }
    }
    let mut busy: BTreeSet<Subject> = decision.steps.iter().map(|s| s.action.subject()).collect();
    busy.extend(prerequisites.images.pending.iter().cloned().map(Subject::Image));
    decision.mended = mended::subjects(input, project, &slots, &busy);
    let state = overall(input, &slots, decision);
    decision.rollout_status = rollout.status(project, &slots, state, decision);
    if matches!(decision.rollout_status, Some(RolloutStatus::Failed { .. })) {
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
