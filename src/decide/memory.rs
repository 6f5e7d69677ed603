//! What is to be remembered of a step: before its call is made, and when it has come back. Pure like the decisions that
//! will be made from it; control writes it to the disk.

use std::collections::BTreeMap;

use crate::decide::replica::doubts;
use crate::decide::replica::drift;
use crate::decide::{Action, Cause, Decision, RecoveryTransition, RolloutStatus, Step};
use crate::model::ledger::{
    Breaker, Failure, InFlight, ProjectLedger, ProjectRestart, Repairs, Reset, Slot, Subject, Supply, Throttled,
};
use crate::model::service::PullPolicy;
use crate::model::setback::{Missing, Refusal, Setback};
use crate::model::{ContainerId, Project, Timestamp, time};

/// Notes that a step begins: to be on the disk before its call is made.
pub fn begins(ledger: &mut ProjectLedger, target: Option<&Project>, step: &Step, now: Timestamp) {
    let subject = step.action.subject();
    if let Action::StartContainer { service, container, .. } = &step.action {
        doubts::begins(ledger, service, container);
        ledger.hooked.remove(container);
        // Only where something tells when it is up.
        let declared = target.and_then(|project| project.services.get(service));
        let checked = declared.is_some_and(|s| {
            s.extension.probe.is_some() || s.healthcheck.as_ref().is_some_and(|check| !check.disabled())
        });
        ledger.slots.entry(subject.clone()).or_default().begun = checked.then_some(now);
    }
    let mark = InFlight { action: step.action.to_string(), since: now };
    ledger.in_flight.insert(subject.clone(), mark);
    // Should the answer be lost, it is not somebody else who removed it.
    if let (Action::RemoveContainer { container, .. }, Some(slot)) = (&step.action, ledger.slots.get_mut(&subject))
        && slot.started.as_ref() == Some(container)
    {
        slot.started = None;
    }
    if let Action::StopContainer { container, .. } = &step.action {
        let slot = ledger.slots.entry(subject.clone()).or_default();
        slot.ended.insert(container.clone());
        if step.cause == Cause::ReplacementFailed {
            slot.gave_up.insert(container.clone());
        }
    }
    if let Cause::FieldsDiffer { fields, container, by_hand: true } = &step.cause {
        let slot = ledger.slots.entry(subject.clone()).or_default();
        for field in fields {
            let before = slot.repairs.get(&field.path).filter(|repairs| time::between(repairs.last, now) < drift::CALM);
            let count = before.map_or(0, |repairs| repairs.count).saturating_add(1);
            slot.repairs.insert(field.path.clone(), Repairs { count, last: now, container: container.clone() });
        }
    }
    if let Some(attempt) = step.cause.attempt() {
        let slot = ledger.slots.entry(subject).or_default();
        note_attempt(slot, attempt, now);
    }
    if let (Action::RemoveContainer { container, .. }, Cause::ReplacementFailed) = (&step.action, &step.cause) {
        let stopped = ledger.slots.get(&step.action.subject()).is_some_and(|slot| slot.gave_up.contains(container));
        let reason = match stopped {
            true => "the new container did not come up, and was stopped",
            false => "the new container ended before it was ready",
        };
        note_failure(ledger, target, step, Setback::Other, reason, true, now);
    }
}

fn note_attempt(slot: &mut Slot, attempt: u32, now: Timestamp) {
    slot.restarts = attempt;
    slot.last_restart = Some(now);
    started_again(slot, now);
    if let Some(breaker) = &mut slot.breaker {
        breaker.tried = Some(now);
    }
}

/// Notes recoveries that begin, and that are over.
fn transitions(ledger: &mut ProjectLedger, changes: &[RecoveryTransition], now: Timestamp) {
    for change in changes {
        if let RecoveryTransition::Reset { subject, cause, .. }
        | RecoveryTransition::ProjectRestart { subject, cause, .. } = change
        {
            let slot = ledger.slots.entry(subject.clone()).or_default();
            note_attempt(slot, cause.attempt().unwrap_or(1), now);
        }
        match change {
            RecoveryTransition::Reset { subject: Subject::Replica(service, _), volumes, kept, .. } => {
                ledger.resets.insert(service.clone(), Reset { volumes: volumes.clone() });
                ledger.kept.extend(kept.clone());
            }
            RecoveryTransition::IsReset { service } => {
                ledger.resets.remove(service);
            }
            RecoveryTransition::IsGone { service } => {
                ledger.resets.remove(service);
                ledger.degraded.remove(service);
            }
            RecoveryTransition::Degraded { service } => {
                ledger.degraded.insert(service.clone(), now);
            }
            RecoveryTransition::Restored { service } => {
                ledger.degraded.remove(service);
            }
            RecoveryTransition::ProjectRestart {
                subject: subject @ Subject::Replica(service, _),
                failed,
                containers,
                ..
            } => {
                let slot = ledger.slots.entry(subject.clone()).or_default();
                slot.ended.extend(failed.clone());
                let (service, containers) = (service.clone(), containers.clone());
                ledger.project_restart = Some(ProjectRestart { service, containers });
            }
            RecoveryTransition::ProjectStopped => ledger.project_restart = None,
            RecoveryTransition::Reset { .. } | RecoveryTransition::ProjectRestart { .. } => {}
        }
    }
}

/// Restarts that are remembered: more than anybody counts.
const RECENT: usize = 32;

/// Notes that a container ended: its next run is another one, however soon it follows. Says whether that was news.
pub fn ended(ledger: &mut ProjectLedger, subject: &Subject, container: &ContainerId) -> bool {
    let begun = ledger.slots.get_mut(subject).and_then(|slot| slot.begun.take());
    let hooked = ledger.hooked.remove(container);
    hooked.is_some() || begun.is_some()
}

/// Notes that a replica was started again, by the controller or the Engine.
pub fn started_again(slot: &mut Slot, now: Timestamp) {
    slot.recent.push(now);
    if slot.recent.len() > RECENT {
        slot.recent.remove(0);
    }
}

/// Notes what a decision found; jobs that are done and how far the revision is are for the caller to note. Says whether
/// there was anything.
pub fn decided(ledger: &mut ProjectLedger, decision: &Decision, now: Timestamp) -> bool {
    ledger.fits.extend(decision.fits.clone());
    ledger.unheld.extend(decision.unheld.clone());
    ledger.failures.retain(|subject, _| !decision.mended.contains(subject));
    for subject in &decision.arrived {
        if let Some(slot) = ledger.slots.get_mut(subject) {
            slot.begun = None;
        }
    }
    breakers(ledger, &decision.breakers);
    transitions(ledger, &decision.transitions, now);
    doubts::settle(ledger, &decision.doubts);
    let Decision { fits, unheld, mended, arrived, breakers, transitions, doubts, .. } = decision;
    let nothing = fits.is_empty() && unheld.is_empty() && mended.is_empty() && arrived.is_empty();
    !(nothing && breakers.is_empty() && transitions.is_empty() && doubts.is_empty())
}

fn breakers(ledger: &mut ProjectLedger, changes: &BTreeMap<Subject, Option<Breaker>>) {
    for (subject, breaker) in changes {
        let slot = ledger.slots.entry(subject.clone()).or_default();
        match breaker {
            Some(_) => slot.breaker = *breaker,
            None => slot.forget_restarts(),
        }
    }
}

/// Forgets that the controller stopped a container: somebody else started it, and its next end is its own. Says whether
/// it had.
pub fn runs_again(ledger: &mut ProjectLedger, container: &ContainerId, in_flight: &BTreeMap<Subject, Action>) -> bool {
    let stopped =
        |(subject, slot): &(&Subject, &mut Slot)| slot.ended.contains(container) && !in_flight.contains_key(*subject);
    let found = ledger.slots.iter_mut().find(stopped);
    found.is_some_and(|(_, slot)| {
        slot.gave_up.remove(container);
        slot.ended.remove(container)
    })
}

/// Notes that a step worked. `made`: the container it made. `decided`: the last decision about the project.
pub fn worked(
    ledger: &mut ProjectLedger,
    target: Option<&Project>,
    decided: &Decision,
    step: &Step,
    made: Option<&ContainerId>,
) {
    let subject = step.action.subject();
    let begun = ledger.in_flight.remove(&subject);
    if is_proof(decided, step) {
        ledger.failures.remove(&subject);
    }
    match &step.action {
        Action::CreateContainer { .. } => {
            ledger.prepared.extend(made.cloned());
            ledger.kept.remove(&subject);
        }
        Action::RemoveVolume { name } => {
            ledger.resets.values_mut().for_each(|reset| {
                reset.volumes.remove(name);
            });
        }
        Action::RemoveContainer { container, .. } => {
            ledger.prepared.remove(container);
            ledger.fits.remove(container);
            ledger.contents.remove(container);
            ledger.hooked.remove(container);
            ledger.throttled.remove(container);
            if let Some(slot) = ledger.slots.get_mut(&subject) {
                slot.ended.remove(container);
                slot.gave_up.remove(container);
            }
        }
        Action::StartContainer { service, container, .. } => {
            doubts::ran(ledger, service, container);
            let config = step.action.config(target);
            let slot = ledger.slots.entry(subject).or_default();
            slot.started = Some(container.clone());
            slot.ended.remove(container);
            slot.gave_up.remove(container);
            slot.config = Some(config);
        }
        Action::UpdateContainer { container, .. } => throttled(ledger, container, &step.cause),
        Action::RunHooks { container, since, .. } => {
            ledger.hooked.insert(container.clone(), *since);
        }
        Action::SignalContainer { container, .. } => {
            let known = ledger.contents.get_mut(container);
            if let (Some(known), Cause::FieldsDiffer { fields, .. }) = (known, &step.cause) {
                known.take_notice(fields.iter().filter_map(|f| Some((f.path.as_str(), f.to.as_deref()?))));
            }
        }
        action => {
            if let Some(begun) = begun {
                supplied(ledger, target, action, begun.since);
            }
        }
    }
}

/// Notes what a container may use of the CPUs now.
pub(super) fn throttled(ledger: &mut ProjectLedger, container: &ContainerId, cause: &Cause) {
    match cause {
        Cause::Throttled { milli_cpus, own, .. } | Cause::Eased { milli_cpus, own, .. } => {
            let throttled = Throttled { milli_cpus: *milli_cpus, own: *own, released: false };
            ledger.throttled.insert(container.clone(), throttled);
        }
        Cause::Released { .. } => {
            ledger.throttled.entry(container.clone()).or_default().released = true;
        }
        _ => {}
    }
}

/// Notes that a container was seen after its last step: what that gave back is forgotten. Says whether there was anything.
pub fn seen(ledger: &mut ProjectLedger, container: &ContainerId) -> bool {
    let released = ledger.throttled.get(container).is_some_and(|throttled| throttled.released);
    released && ledger.throttled.remove(container).is_some()
}

/// Notes that an image was fetched or built, for the services whose policy asks when that was, or for what.
pub(super) fn supplied(ledger: &mut ProjectLedger, target: Option<&Project>, action: &Action, at: Timestamp) {
    let Some(project) = target else { return };
    ledger.supplies.retain(|service, _| project.services.contains_key(service));
    for service in project.services.values() {
        let config = match action {
            Action::PullImage { image }
                if service.image == *image
                    && matches!(service.pull_policy, PullPolicy::Always | PullPolicy::Every(_)) =>
            {
                service.config_hash.clone()
            }
            Action::BuildImage { service: built, .. }
                if service.name == *built && service.pull_policy == PullPolicy::Build =>
            {
                service.build_config()
            }
            _ => continue,
        };
        let supply = Supply { image: service.image.clone(), config, at, in_vain: false };
        ledger.supplies.insert(service.name.clone(), supply);
    }
}

/// An image that cannot be fetched but can be built is built; so it is noted, and is no failure.
fn in_vain(ledger: &mut ProjectLedger, target: Option<&Project>, action: &Action, at: Timestamp) -> bool {
    let (Action::PullImage { image }, Some(project)) = (action, target) else { return false };
    if !project.can_build(image) {
        return false;
    }
    for service in project.services.values().filter(|s| s.image == *image) {
        let config = service.config_hash.clone();
        let supply = Supply { image: image.clone(), config, at, in_vain: true };
        if !matches!(service.pull_policy, PullPolicy::Build | PullPolicy::Never | PullPolicy::Unwritten) {
            ledger.supplies.insert(service.name.clone(), supply);
        }
    }
    true
}

/// What kind of failure it is, as far as that matters to what follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    /// The container is being removed by somebody: it was no attempt.
    GoingAway,
    /// A network that it was made for is not there any more: it has to be made anew.
    NetworkGone,
    /// It may have taken effect all the same.
    Unknown,
    /// Any other failure: the call was refused, and took no effect.
    Other,
}

impl Trouble {
    fn of(kind: Setback) -> Self {
        match kind {
            Setback::Refused(Refusal::NotFound(Missing::Network)) => Self::NetworkGone,
            Setback::Refused(Refusal::NotFound(Missing::Itself) | Refusal::BeingRemoved) => Self::GoingAway,
            Setback::Refused(refusal) if refusal.may_have_worked() => Self::Unknown,
            Setback::Unanswered => Self::Unknown,
            Setback::Refused(_) | Setback::TimedOut | Setback::Other => Self::Other,
        }
    }
}

/// Notes that a step failed, or that its outcome is not known; how often in a row that is. `error`: the same in words.
pub fn failed(
    ledger: &mut ProjectLedger,
    target: Option<&Project>,
    step: &Step,
    kind: Setback,
    error: &str,
    now: Timestamp,
) -> u32 {
    let trouble = Trouble::of(kind);
    let subject = step.action.subject();
    ledger.in_flight.remove(&subject);
    if trouble == Trouble::Unknown {
        ledger.unanswered = Some(now);
    } else if let Action::StartContainer { service, container, .. } = &step.action {
        doubts::refused(ledger, service, container);
    }
    // What was refused was no repair that somebody could undo: the failures set the pace.
    if trouble != Trouble::Unknown
        && let Cause::FieldsDiffer { fields, by_hand: true, .. } = &step.cause
        && let Some(slot) = ledger.slots.get_mut(&subject)
    {
        for field in fields {
            if let Some(repairs) = slot.repairs.get_mut(&field.path) {
                repairs.count = repairs.count.saturating_sub(1);
            }
        }
    }
    // What failed was no run: the failures set the pace.
    if trouble != Trouble::Unknown
        && let (Some(attempt), Some(slot)) = (step.cause.attempt(), ledger.slots.get_mut(&subject))
    {
        slot.restarts = attempt.saturating_sub(1);
        slot.last_restart = slot.last_restart.filter(|_| slot.restarts > 0);
        slot.recent.pop();
    }
    if let (Action::StopContainer { container, .. }, Some(slot)) = (&step.action, ledger.slots.get_mut(&subject))
        && trouble != Trouble::Unknown
    {
        slot.ended.remove(container);
        slot.gave_up.remove(container);
    }
    if let Action::StartContainer { container, .. } = &step.action {
        match trouble {
            Trouble::GoingAway => return 0,
            Trouble::NetworkGone => {
                ledger.prepared.remove(container);
            }
            Trouble::Unknown | Trouble::Other => {}
        }
    }
    if step.cause == Cause::FallBack {
        // The pace is set by the attempts of what is desired; the old one is tried once for each.
        ledger.slots.entry(subject).or_default().fall_back_failed = Some(now);
        return 1;
    }
    if in_vain(ledger, target, &step.action, now) {
        return 1;
    }
    note_failure(ledger, target, step, kind, error, false, now)
}

fn note_failure(
    ledger: &mut ProjectLedger,
    target: Option<&Project>,
    step: &Step,
    kind: Setback,
    error: &str,
    came_down: bool,
    now: Timestamp,
) -> u32 {
    let (subject, config) = (step.action.subject(), step.action.config(target));
    let in_place = matches!(step.action, Action::UpdateContainer { .. } | Action::SignalContainer { .. });
    let same = |failure: &&Failure| failure.config == config && failure.in_place == in_place;
    let before = ledger.failures.get(&subject).filter(same).map_or(0, |f| f.attempts);
    let attempts = before.saturating_add(1);
    let error = error.to_owned();
    let failure = Failure { attempts, last: now, kind, error, config, came_down, in_place, not_before: None };
    ledger.failures.insert(subject, failure);
    attempts
}

/// Revisions that failed and are remembered: a manifest goes back and forth between few.
const FAILED_KEPT: usize = 20;

/// Notes how far a revision is.
pub fn record_rollout_status(ledger: &mut ProjectLedger, revision: &str, rollout_status: &RolloutStatus) {
    match rollout_status {
        RolloutStatus::Converged(proven, _) => ledger.converged = Some(proven.clone()),
        RolloutStatus::Lapsed | RolloutStatus::Healthy => ledger.converged = None,
        RolloutStatus::Failed { failure } => {
            ledger.converged = None;
            ledger.failed.insert(revision.to_owned(), failure.clone());
            while ledger.failed.len() > FAILED_KEPT {
                let oldest = ledger.failed.iter().min_by_key(|(_, f)| f.at).map(|(revision, _)| revision.clone());
                oldest.and_then(|oldest| ledger.failed.remove(&oldest));
            }
        }
    }
}

/// Whether a step that worked shows that what failed before works now. While a container is being replaced only the end
/// of that does: the start of the replacement, or of the old one in its place, does not.
fn is_proof(decided: &Decision, step: &Step) -> bool {
    match (&step.action, &step.cause) {
        (Action::CreateContainer { .. } | Action::ConnectNetwork { .. }, _) => false,
        (Action::StartContainer { .. }, Cause::FallBack) => false,
        (Action::StartContainer { service, number, .. }, _) => {
            !decided.drift.iter().any(|d| d.service.as_ref() == Some(service) && d.number == Some(*number))
                && !decided.replacing.contains(&(service.clone(), *number))
        }
        (Action::RemoveContainer { .. } | Action::StopContainer { .. }, cause) => matches!(
            cause,
            Cause::ReplacementReady | Cause::Orphan | Cause::ScaledDown | Cause::ProjectRemoved | Cause::Down
        ),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ServiceName;

    fn ledger() -> (ProjectLedger, Subject, ContainerId) {
        let (subject, id) = (Subject::Replica(ServiceName::trusted("web"), 1), ContainerId::trusted("c1"));
        let slot = Slot { started: Some(id.clone()), ..Slot::default() };
        let ledger = ProjectLedger { slots: [(subject.clone(), slot)].into(), ..ProjectLedger::default() };
        (ledger, subject, id)
    }

    fn step(action: Action, cause: Cause) -> Step {
        Step { action, cause }
    }

    #[test]
    fn what_the_controller_stops_is_its_own_doing_until_somebody_else_starts_it() {
        let (mut ledger, subject, container) = ledger();
        let service = ServiceName::trusted("web");
        let stop = Action::StopContainer { service, number: 1, container: container.clone(), grace: None };
        begins(&mut ledger, None, &step(stop, Cause::Orphan), Timestamp::UNIX_EPOCH);
        assert!(ledger.slots[&subject].ended.contains(&container));
        assert!(runs_again(&mut ledger, &container, &BTreeMap::new()));
        assert!(ledger.slots[&subject].ended.is_empty());
        assert!(!runs_again(&mut ledger, &container, &BTreeMap::new()));
    }

    #[test]
    fn a_removal_whose_answer_is_lost_is_nobody_elses() {
        let (mut ledger, subject, container) = ledger();
        let remove = Action::RemoveContainer { service: ServiceName::trusted("web"), number: 1, container };
        begins(&mut ledger, None, &step(remove, Cause::Orphan), Timestamp::UNIX_EPOCH);
        assert_eq!(ledger.slots[&subject].started, None);
    }

    #[test]
    fn a_step_that_failed_is_no_restart_unless_it_may_have_worked() {
        for (kind, restarts) in [(Setback::Other, 2), (Setback::Unanswered, 3)] {
            let (mut ledger, subject, container) = ledger();
            let start = Action::StartContainer { service: ServiceName::trusted("web"), number: 1, container };
            let step = step(start, Cause::Exited { code: 1, attempt: 3 });
            begins(&mut ledger, None, &step, Timestamp::UNIX_EPOCH);
            failed(&mut ledger, None, &step, kind, "no", Timestamp::UNIX_EPOCH);
            assert_eq!(ledger.slots[&subject].restarts, restarts, "{kind:?}");
        }
    }
}
