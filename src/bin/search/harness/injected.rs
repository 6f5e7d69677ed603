//! Faults that are injected into the controller by deciding otherwise than it should, to show that the search finds them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use evenkeel::control::Decider;
use evenkeel::decide::{self, Action, Cause, Decision, Input, Step, Target};
use evenkeel::model::ledger::{Completion, Subject};
use evenkeel::model::observed::ContainerState;
use evenkeel::model::{ProjectName, ServiceName};

/// A way in which the controller is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum InjectedFault {
    /// What is in flight is decided about again.
    ForgetsInFlight,
    /// The old container is removed before its replacement is made.
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
    /// What one reading does not name is removed.
    SkipsConfirmation,
    /// A step whose effect was seen stays in flight.
    NeverReleases,
}

/// Decides with a fault.
pub struct Faulty {
    fault: InjectedFault,
    /// Steps that were decided on and are never released.
    kept: Mutex<BTreeMap<ProjectName, BTreeMap<Subject, Action>>>,
}

impl Faulty {
    pub fn new(fault: InjectedFault) -> Self {
        Self { fault, kept: Mutex::default() }
    }

    fn is(&self, fault: InjectedFault) -> bool {
        self.fault == fault
    }
}

impl Decider for Faulty {
    fn decide(&self, input: &Input<'_>) -> Decision {
        let mut ledger = Cow::Borrowed(input.ledger);
        let mut changed = None;
        match self.fault {
            InjectedFault::ResetsBackoff => {
                let ledger = ledger.to_mut();
                ledger.failures.clear();
                ledger.slots.values_mut().for_each(|slot| slot.restarts = 0);
            }
            InjectedFault::TrustsHalfMade => {
                ledger.to_mut().prepared.extend(input.observed.containers.keys().cloned());
            }
            InjectedFault::DropsDependencies => {
                if let Target::Declared(project) = input.target {
                    let mut project = project.clone();
                    project.services.values_mut().for_each(|s| s.depends_on.clear());
                    changed = Some(project);
                }
            }
            _ => {}
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = kept.entry(input.project.clone()).or_default();
        let mut in_flight = Cow::Borrowed(input.in_flight);
        match self.fault {
            InjectedFault::ForgetsInFlight => in_flight.to_mut().clear(),
            InjectedFault::NeverReleases => in_flight.to_mut().extend(kept.clone()),
            _ => {}
        }
        let target = changed.as_ref().map_or(input.target, Target::Declared);
        let absences_confirmed = input.absences_confirmed || self.is(InjectedFault::SkipsConfirmation);
        let faulty = Input { ledger: &ledger, in_flight: &in_flight, target, absences_confirmed, ..*input };
        let mut decision = decide::decide(&faulty);
        if self.is(InjectedFault::ForgetsCompletions) {
            decision.completions.clear();
        }
        self.tamper(input, &mut decision);
        kept.extend(decision.steps.iter().map(|step| (step.action.subject(), step.action.clone())));
        decision
    }

    fn completions(&self, input: &Input<'_>) -> BTreeMap<ServiceName, Completion> {
        if self.is(InjectedFault::ForgetsCompletions) { BTreeMap::new() } else { decide::completions(input) }
    }
}

impl Faulty {
    fn tamper(&self, input: &Input<'_>, decision: &mut Decision) {
        let Target::Declared(project) = input.target else { return };
        let busy = |decision: &Decision, subject: &Subject| {
            input.in_flight.contains_key(subject) || decision.steps.iter().any(|s| s.action.subject() == *subject)
        };
        if self.is(InjectedFault::RemovesOldFirst) {
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
        if self.is(InjectedFault::IgnoresOwnership) {
            for network in input.observed.networks.values().filter(|n| n.project.is_none()) {
                let action = Action::RemoveNetwork { id: network.id.clone(), name: network.name.clone() };
                if !busy(decision, &action.subject()) {
                    decision.steps.push(Step { action, cause: Cause::Orphan });
                }
            }
        }
        if self.is(InjectedFault::PrunesVolumes) {
            let named = |name: &str| project.volumes.values().any(|v| v.name == name);
            for volume in input.observed.volumes.values().filter(|v| !named(&v.name)) {
                let action = Action::RemoveVolume { name: volume.name.clone() };
                if !busy(decision, &action.subject()) {
                    decision.steps.push(Step { action, cause: Cause::Orphan });
                }
            }
        }
        if self.is(InjectedFault::RestartsJobs) {
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
}
