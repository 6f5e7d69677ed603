//! Replacing: another container is made beside the old one, the old one makes way, and serves on where that fails.

use super::Turn;
use crate::decide::recovery::pace::{self, Verdict};
use crate::decide::replica::drift::Difference;
use crate::decide::replica::readiness;
use crate::decide::replica::slots::{Phase, Slot};
use crate::decide::rollout;
use crate::decide::{Action, Cause, Decision, WaitingOn};
use crate::model::ledger::Subject;
use crate::model::observed::{Container, ContainerState, Health};
use crate::model::state::ServiceState;

/// How often a replacement may come down before it came up, where the Engine restarts it by itself.
const REPLACEMENT_TRIES: u32 = 3;

impl Turn<'_, '_> {
    /// Nothing of the slot runs, and there is an older container that did: it serves on until the next attempt, if it is one
    /// that would be started again after such an end.
    pub(super) fn fall_back(&self, slot: &Slot<'_>, subject: &Subject, decision: &mut Decision) {
        let runs = slot.current.iter().chain(&slot.stale).any(|c| c.is_running());
        // One whose start failed too is left until then: a start that fails is not tried over and over.
        let exited = |c: &&&Container| matches!(c.state, ContainerState::Exited { .. }) && c.error.is_none();
        let (false, Some(old)) = (runs, slot.stale.iter().rev().find(exited)) else { return };
        match pace::after_exit(self.input, self.service, self.filled.is_job, subject, old) {
            Verdict::Again { at, .. } if at > self.input.now => decision.wake(at),
            Verdict::Again { cause, .. } => {
                let ours = pace::stopped_by_us(self.input, subject, old);
                if !ours && self.unready(decision).is_some() {
                    return;
                }
                decision.step(self.start(slot, old), if ours { Cause::FallBack } else { cause });
            }
            Verdict::Completed | Verdict::Final { .. } => {}
        }
    }

    /// No container is as desired: make one, beside the one it replaces where there is one.
    pub(super) fn make(&self, slot: &Slot<'_>, subject: &Subject, decision: &mut Decision) -> ServiceState {
        let old =
            slot.stale.iter().copied().max_by_key(|c| (c.is_running(), c.name == self.final_name(slot), c.created));
        if let Some(leftover) = slot.stale.iter().find(|c| Some(&c.id) != old.map(|o| &o.id)) {
            self.discard(slot, leftover, Cause::Double, decision);
            return ServiceState::Starting { since: None };
        }
        if slot.phase == Phase::Completed {
            if let Some(old) = old {
                self.discard(slot, old, Cause::ReplacementReady, decision);
            }
            return ServiceState::Completed;
        }
        if old.is_some_and(|c| c.state == ContainerState::Removing) {
            return ServiceState::Stopping;
        }
        if let Some(old) = old.filter(|c| c.state == ContainerState::Created) {
            self.discard(slot, old, Cause::Unprepared, decision);
            return ServiceState::Starting { since: None };
        }
        if let Some(state) = old.and_then(|old| self.not_yet(slot, subject, old, decision)) {
            return state;
        }
        if let Some(state) = self.alone() {
            return state;
        }
        if !self.prerequisites.ready_for(self.place, self.service) {
            return self.lacking_prerequisites();
        }
        let name = self.final_name(slot);
        let networks = self.networks_at_creation();
        let create = |name: String, replaces: Option<String>| Action::CreateContainer {
            service: self.service.name.clone(),
            number: slot.number,
            name,
            replaces,
            networks,
        };
        let Some(old) = old else {
            let known = self.input.ledger.slots.get(subject).filter(|s| s.started.is_some());
            let mut cause = Cause::Missing;
            if let Some(known) = known {
                // What was removed by hand is down like what was killed; a new configuration is another matter.
                let same = known.config.as_ref() == Some(&self.service.config_hash);
                if same && let Some(reason) = pace::never_again(self.service, known.restarts) {
                    return ServiceState::Stopped { reason: format!("somebody removed it, and {reason}") };
                }
                let (at, attempt) = pace::after_removal(self.input, subject);
                cause = Cause::Gone { attempt };
                if at > self.input.now {
                    return self.hold(at, attempt - 1, cause.setback(), cause.to_string(), decision);
                }
                if let Some(state) = self.rests(slot, &cause, decision) {
                    return state;
                }
            }
            decision.step(create(name, None), cause);
            return ServiceState::Starting { since: None };
        };
        let cause = match self.filled.difference(old) {
            Some(Difference::Image { from, to }) => Cause::ImageChanged { from, to },
            Some(Difference::Config { from }) => {
                Cause::ConfigChanged { from, to: self.service.label_hash().unwrap_or_default() }
            }
            Some(Difference::Fields(cause)) => cause,
            None => Cause::Missing,
        };
        // Where the old container's name was taken by a temporary one, that name is as good as any.
        let temporary = format!("{}_{name}", old.id.short());
        decision.step(create(temporary, Some(name)), cause);
        ServiceState::Starting { since: None }
    }

    /// It is not its turn to be replaced.
    pub(super) fn not_yet(
        &self,
        slot: &Slot<'_>,
        subject: &Subject,
        old: &Container,
        decision: &mut Decision,
    ) -> Option<ServiceState> {
        // What is down is made anew at once, but not again in a rollout that came to a stop.
        let on = self.rollout.turn(self.filled, slot, decision)?;
        let paused = matches!(on, WaitingOn::Paused { .. });
        if !(old.is_running() || paused) {
            return None;
        }
        let state = ServiceState::Waiting { on: on.to_string() };
        decision.wait(Some(&self.service.name), on);
        if paused {
            self.fall_back(slot, subject, decision);
        }
        Some(state)
    }

    /// A container as desired is there, and so is another one.
    pub(super) fn replacing(&self, slot: &Slot<'_>, current: &Container, decision: &mut Decision) -> ServiceState {
        let old = slot.stale.iter().copied().find(|c| c.is_running());
        match &slot.phase {
            Phase::Created => {
                if let Some(state) = self.prepare(slot, current, decision) {
                    return state;
                }
                if let Some(state) = self.unready(decision) {
                    return state;
                }
                match old {
                    Some(old) if !self.rollout.starts_first(self.service) => {
                        self.stop(slot, old, Cause::Replaced, decision);
                    }
                    _ => decision.step(self.start(slot, current), Cause::Ready),
                }
                ServiceState::Starting { since: None }
            }
            Phase::Running { since, .. }
                if readiness::came_up(&slot.phase)
                    && readiness::hooks_pending(self.input, self.service, current, *since) =>
            {
                self.run_hooks(slot, current, *since, decision);
                ServiceState::Starting { since: Some(*since) }
            }
            phase if readiness::came_up(phase) => {
                if let Some(old) = old.or_else(|| slot.stale.first().copied()) {
                    self.discard(slot, old, Cause::ReplacementReady, decision);
                }
                self.settled_state(slot, decision)
            }
            // It is the one that was to be replaced and is wanted after all, or no fault of its own ended it.
            Phase::Ended(Verdict::Again { cause, at, attempts }) if self.may_go_on(slot, current) => {
                if let Some(old) = old {
                    self.stop(slot, old, Cause::Replaced, decision);
                } else if *at > self.input.now {
                    return self.hold(*at, *attempts, cause.setback(), cause.to_string(), decision);
                } else if let Some(state) = self.unready(decision) {
                    return state;
                } else {
                    decision.step(self.start(slot, current), cause.clone());
                }
                ServiceState::Starting { since: None }
            }
            Phase::Ended(_) => {
                self.remove(slot, current, Cause::ReplacementFailed, decision);
                ServiceState::Starting { since: None }
            }
            Phase::Running { health: Health::Unhealthy, .. } => {
                self.stop(slot, current, Cause::ReplacementFailed, decision);
                ServiceState::Starting { since: None }
            }
            Phase::Running { since, health: Health::Starting } => {
                match pace::start_limit(self.input, self.service, current, *since) {
                    Some(due) if due <= self.input.now => {
                        self.stop(slot, current, Cause::ReplacementFailed, decision);
                        return ServiceState::Starting { since: None };
                    }
                    Some(due) => decision.wake(due),
                    None => {}
                }
                self.settled_state(slot, decision)
            }
            Phase::Restarting if current.restart_count >= REPLACEMENT_TRIES => {
                self.stop(slot, current, Cause::ReplacementFailed, decision);
                ServiceState::Starting { since: None }
            }
            _ => self.settled_state(slot, decision),
        }
    }

    /// Whether a container that ended while another one is there beside it is started again, rather than removed.
    pub(super) fn may_go_on(&self, slot: &Slot<'_>, current: &Container) -> bool {
        let subject = Subject::Replica(self.service.name.clone(), slot.number);
        let known = self.input.ledger.slots.get(&subject);
        // What was given up, or replaced for a field of it, is not taken up again, or two would take turns for ever.
        let done_with = known.is_some_and(|slot| {
            slot.gave_up.contains(&current.id) || slot.repairs.values().any(|repairs| repairs.container == current.id)
        });
        let fine = pace::stopped_by_us(self.input, &subject, current) || !rollout::its_own_end(current);
        fine && !done_with
            && self.has_stale_network(current) == Some(false)
            && !self.filled.drift.differs_once_started(current)
    }
}
