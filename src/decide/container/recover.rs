//! Starting again what failed: what runs but is not well, and what ended too often.

use super::Turn;
use crate::decide::RecoveryTransition;
use crate::decide::recovery::breaker;
use crate::decide::recovery::pace;
use crate::decide::replica::readiness;
use crate::decide::replica::slots::{Phase, Slot};
use crate::decide::strategy::{self, Outage};
use crate::decide::{Action, Cause, Decision, WaitingOn};
use crate::model::ledger::Reset;
use crate::model::observed::{Container, ContainerState, Health};
use crate::model::service::{Cascade, FailureKind, Strategy};
use crate::model::state::ServiceState;
use crate::model::{ServiceName, Timestamp};

/// The cause of a restart, with its ordinal.
type CauseOf = fn(u32) -> Cause;

impl Turn<'_, '_> {
    /// Starts again what runs but is not well, at its pace.
    pub(super) fn recover(
        &self,
        slot: &Slot<'_>,
        current: &Container,
        since: Timestamp,
        health: Health,
        decision: &mut Decision,
    ) {
        let Some((kind, cause)) = self.ailment(current, since, health, decision) else { return };
        let strategy = self.service.extension.recovery.strategy(kind);
        if !self.input.recovery.enabled || strategy == Strategy::None {
            return;
        }
        if let Some(dependency) = self.failing_dependency() {
            decision.wait(Some(&self.service.name), WaitingOn::Recovery { dependency });
            return;
        }
        let (at, made) = pace::after_sickness(self.input, self.service, &self.subject(slot), since);
        let cause = cause(made + 1);
        if at > self.input.now {
            decision.wake(at);
            let error = cause.to_string();
            decision.wait(Some(&self.service.name), WaitingOn::Backoff { until: at, attempts: made, error });
            return;
        }
        if self.rests(slot, &cause, decision).is_some() {
            return;
        }
        if !strategy::begins(self.input, self.project, self.slots, self.filled, slot, &cause, decision) {
            self.stop(slot, current, cause, decision);
        }
    }

    /// Whether a container that uses more memory than it may is started again.
    pub(super) fn restarts_over_limit(&self) -> bool {
        self.service.extension.throttle.memory.is_some_and(|memory| memory.restart)
    }

    /// What is wrong with a container that runs, and the cause of a restart for it; `None`: nothing.
    fn ailment(
        &self,
        current: &Container,
        since: Timestamp,
        health: Health,
        decision: &mut Decision,
    ) -> Option<(FailureKind, CauseOf)> {
        if self.restarts_over_limit() && current.load.is_some_and(|load| load.memory_high) {
            return Some((FailureKind::OverLimit, |attempt| Cause::OverLimit { attempt }));
        }
        match health {
            Health::None | Health::Healthy => None,
            Health::Unhealthy => Some((FailureKind::Unhealthy, |attempt| Cause::Unhealthy { attempt })),
            Health::Starting => {
                let due = pace::start_limit(self.input, self.service, current, since)?;
                if due > self.input.now {
                    decision.wake(due);
                    return None;
                }
                Some((FailureKind::Unhealthy, |attempt| Cause::TimedOut { attempt }))
            }
        }
    }

    /// Whether it was started again too often to be now. What the controller itself stopped is another matter.
    pub(super) fn rests(&self, slot: &Slot<'_>, cause: &Cause, decision: &mut Decision) -> Option<ServiceState> {
        cause.attempt()?;
        let until = breaker::holds(self.input, self.service, &self.subject(slot), decision)?;
        decision.wake(until);
        let error = cause.to_string();
        decision.wait(Some(&self.service.name), WaitingOn::Breaker { until, error: error.clone() });
        let attempts = self.input.ledger.slots.get(&self.subject(slot)).map_or(0, |s| s.restarts);
        Some(ServiceState::Failed { error, attempts, kind: cause.setback() })
    }

    /// Empties the service: its containers go, then its volumes that are named for that, and then it is made as if it had
    /// never been there.
    pub(super) fn reset(&self, reset: &Reset, decision: &mut Decision) -> ServiceState {
        let containers = self.filled.slots.iter().flat_map(|slot| slot.current.iter().chain(&slot.stale));
        let mut left = containers.chain(&self.filled.surplus).peekable();
        if left.peek().is_some() {
            left.for_each(|container| self.take_down(container, true, Cause::Reset, decision));
            return ServiceState::Stopping;
        }
        // The manifest may say otherwise by now: what it does not name any more is kept.
        let named = strategy::reset_volumes(self.project, self.service);
        let there = |name: &&String| self.input.observed.volumes.contains_key(*name);
        let mut there = reset.volumes.intersection(&named).filter(there).peekable();
        if there.peek().is_none() {
            decision.transitions.push(RecoveryTransition::IsReset { service: self.service.name.clone() });
        }
        for name in there {
            let action = Action::RemoveVolume { name: name.clone() };
            pace::attempt(self.input, decision, action, Cause::Reset, name);
        }
        ServiceState::Starting { since: None }
    }

    /// Stops the service, after those that need it and are stopped too, and keeps it so.
    pub(super) fn keep_down(&self, outage: Outage<'_>, decision: &mut Decision) -> ServiceState {
        let running = |service: &ServiceName| {
            let slots = self.slots.of_service(service).iter();
            slots.flat_map(|slot| slot.current.iter().chain(&slot.stale)).any(|c| c.is_running())
        };
        if running(&self.service.name) && !self.outages.is_needed(self.project, &self.service.name, running) {
            let containers = self.filled.slots.iter().flat_map(|slot| slot.current.iter().chain(&slot.stale));
            for container in containers.filter(|c| c.is_running()) {
                self.take_down(container, false, outage.cause(), decision);
            }
        }
        match outage {
            Outage::GivenUp(service) => {
                ServiceState::Stopped { reason: format!("it is given up while {service} is not well") }
            }
            Outage::Cascade(dependency) => {
                let on = WaitingOn::Recovery { dependency: dependency.clone() };
                let state = ServiceState::Waiting { on: on.to_string() };
                decision.wait(Some(&self.service.name), on);
                state
            }
        }
    }

    /// Stops a container that runs; one that does not is removed, if it is to be.
    fn take_down(&self, container: &Container, remove: bool, cause: Cause, decision: &mut Decision) {
        let (service, number, id) = (self.service.name.clone(), container.number, container.id.clone());
        let action = match container.state {
            ContainerState::Removing => return,
            _ if container.is_running() => {
                Action::StopContainer { service, number, container: id, grace: self.service.stop_grace_period }
            }
            _ if remove => Action::RemoveContainer { service, number, container: id },
            _ => return,
        };
        pace::attempt(self.input, decision, action, cause, &self.service.config_hash);
    }

    /// A service that it needs and that is not well: that is no fault of its own, and a restart of it does not help.
    fn failing_dependency(&self) -> Option<ServiceName> {
        let fails = |name: &&ServiceName| {
            let Some(filled) = self.slots.find(name) else { return false };
            let holds = filled.service.extension.recovery.cascade != Cascade::Ignore;
            let well = |phase: &Phase| {
                let unhealthy = matches!(phase, Phase::Running { health: Health::Unhealthy, .. });
                readiness::came_up(phase) || matches!(phase, Phase::Running { .. }) && !unhealthy
            };
            holds && filled.slots.iter().any(|slot| !well(&slot.phase))
        };
        let required = self.service.depends_on.iter().filter(|(_, d)| d.required).map(|(name, _)| name);
        required.chain(self.service.lives_in()).find(fails).cloned()
    }
}
