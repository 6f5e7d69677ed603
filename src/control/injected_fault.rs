//! Faults that can be injected into the controller, so that a test can show that the search would find them. In release
//! builds none of them is there.

use std::borrow::Cow;
use std::cell::Cell;

use crate::decide::{self, Action, Cause, Decision, Input, Step, Target};
use crate::model::ledger::Subject;
use crate::model::observed::ContainerState;

/// A way in which the controller is wrong, for as long as it is injected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InjectedFault {
    /// What is in flight is decided about again.
    ForgetsInFlight,
    /// The old container goes before its replacement is made.
    RemovesOldFirst,
    /// Networks that others made are removed.
    IgnoresOwnership,
    /// Attempts are not counted.
    ResetsBackoff,
    /// A job that is done is started again.
    RestartsJobs,
    /// A completion is not remembered.
    ForgetsCompletions,
    /// Dependencies are not waited for.
    DropsDependencies,
    /// Volumes that the manifest does not name are removed.
    PrunesVolumes,
    /// A container whose making was not seen to its end is started.
    TrustsHalfMade,
    /// What one read does not name is gone.
    SkipsConfirmation,
    /// A step that worked stays in flight.
    NeverReleases,
}

impl InjectedFault {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::ForgetsInFlight,
        Self::RemovesOldFirst,
        Self::IgnoresOwnership,
        Self::ResetsBackoff,
        Self::RestartsJobs,
        Self::ForgetsCompletions,
        Self::DropsDependencies,
        Self::PrunesVolumes,
        Self::TrustsHalfMade,
        Self::SkipsConfirmation,
        Self::NeverReleases,
    ];
}

thread_local! {
    static INJECTED: Cell<Option<InjectedFault>> = const { Cell::new(None) };
}

/// Injects a fault into the controllers that run on this thread, or takes it out.
pub fn inject(fault: Option<InjectedFault>) {
    INJECTED.set(fault);
}

/// Whether this fault is injected.
pub(super) fn is(fault: InjectedFault) -> bool {
    cfg!(debug_assertions) && INJECTED.get() == Some(fault)
}

/// Whether any is.
pub(super) fn any() -> bool {
    cfg!(debug_assertions) && INJECTED.get().is_some()
}

/// The decision, with the fault that is injected.
pub(super) fn decide(input: &Input<'_>) -> Decision {
    if !any() {
        return decide::decide(input);
    }
    let (nothing, mut ledger) = (std::collections::BTreeMap::new(), Cow::Borrowed(input.ledger));
    let mut changed = None;
    match INJECTED.get() {
        Some(InjectedFault::ResetsBackoff) => {
            let ledger = ledger.to_mut();
            ledger.failures.clear();
            ledger.slots.values_mut().for_each(|slot| slot.restarts = 0);
        }
        Some(InjectedFault::TrustsHalfMade) => {
            ledger.to_mut().prepared.extend(input.observed.containers.keys().cloned());
        }
        Some(InjectedFault::DropsDependencies) => {
            if let Target::Declared(project) = input.target {
                let mut project = project.clone();
                project.services.values_mut().for_each(|s| s.depends_on.clear());
                changed = Some(project);
            }
        }
        _ => {}
    }
    let in_flight = if is(InjectedFault::ForgetsInFlight) { &nothing } else { input.in_flight };
    let target = changed.as_ref().map_or(input.target, Target::Declared);
    let mut decision = decide::decide(&Input { ledger: &ledger, in_flight, target, ..*input });
    tamper(input, &mut decision);
    decision
}

fn tamper(input: &Input<'_>, decision: &mut Decision) {
    let Target::Declared(project) = input.target else { return };
    let busy = |decision: &Decision, subject: &Subject| {
        input.in_flight.contains_key(subject) || decision.steps.iter().any(|s| s.action.subject() == *subject)
    };
    if is(InjectedFault::RemovesOldFirst) {
        for step in &mut decision.steps {
            let Action::CreateContainer { service, number, replaces: Some(_), .. } = &step.action else { continue };
            let (service, number) = (service.clone(), *number);
            let old = input.observed.containers.values();
            let mut old = old.filter(|c| c.service.as_ref() == Some(&service) && c.number == number && !c.oneoff);
            if let Some(old) = old.next() {
                let container = old.id.clone();
                step.action = if old.is_running() {
                    Action::StopContainer { service, number, container, grace: None }
                } else {
                    Action::RemoveContainer { service, number, container }
                };
            }
        }
    }
    if is(InjectedFault::IgnoresOwnership) {
        for network in input.observed.networks.values().filter(|n| n.project.is_none()) {
            let action = Action::RemoveNetwork { id: network.id.clone(), name: network.name.clone() };
            if !busy(decision, &action.subject()) {
                decision.steps.push(Step { action, cause: Cause::Orphan });
            }
        }
    }
    if is(InjectedFault::PrunesVolumes) {
        let named = |name: &str| project.volumes.values().any(|v| v.name == name);
        for volume in input.observed.volumes.values().filter(|v| !named(&v.name)) {
            let action = Action::RemoveVolume { name: volume.name.clone() };
            if !busy(decision, &action.subject()) {
                decision.steps.push(Step { action, cause: Cause::Orphan });
            }
        }
    }
    if is(InjectedFault::RestartsJobs) {
        let done = |state| matches!(state, ContainerState::Exited { code: 0, .. });
        for container in input.observed.containers.values().filter(|c| !c.oneoff && done(c.state)) {
            let Some(service) = container.service.clone().filter(|s| project.is_job(s)) else { continue };
            let (number, id) = (container.number, container.id.clone());
            let action = Action::StartContainer { service, number, container: id };
            if !busy(decision, &action.subject()) {
                decision.steps.push(Step { action, cause: Cause::Ready });
            }
        }
    }
}
