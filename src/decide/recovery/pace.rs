//! When a container that stopped is started again, and when what failed is tried again.

use std::time::Duration;

use crate::decide::{Action, Cause, Decision, Input, WaitingOn};
use crate::model::ledger::{Failure, Subject};
use crate::model::observed::{Container, ContainerState};
use crate::model::service::{FailureKind, RestartPolicy, Strategy};
use crate::model::{Service, Timestamp, hash, time};

/// What is to follow the end of a container.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::decide) enum Verdict {
    /// A job that is done.
    Completed,
    /// It stays down until somebody changes something.
    Final { reason: String },
    /// It is started again, not before that time.
    Again { cause: Cause, at: Timestamp, attempts: u32 },
}

/// The rule for a container that exited, with the Engine not about to restart it.
pub(in crate::decide) fn after_exit(
    input: &Input<'_>,
    service: &Service,
    is_job: bool,
    subject: &Subject,
    container: &Container,
) -> Verdict {
    let ContainerState::Exited { code, oom, started, finished } = container.state else {
        return Verdict::Completed;
    };
    let slot = input.ledger.slots.get(subject);
    let calm = time::between(started, finished) >= input.recovery.reset_after;
    let made = if calm { 0 } else { slot.map_or(0, |s| s.restarts) };
    // What the controller ended itself did not end by itself, whatever its exit code is and `restart` says.
    let seems_done = is_job && code == 0 && !container.killed;
    if stopped_by_us(input, subject, container) && !seems_done {
        return Verdict::Again { cause: Cause::WantedAgain, at: input.now, attempts: made };
    }
    let completion = code == 0 && !container.killed && (container.exit_watched || is_job);
    let always = matches!(service.restart, Some(RestartPolicy::Always | RestartPolicy::UnlessStopped));
    if completion && !always {
        return Verdict::Completed;
    }
    if let Some(reason) = never_again(service, made.max(container.restart_count)) {
        return Verdict::Final { reason: format!("it exited with {code}, and {reason}") };
    }
    let kind = if oom { FailureKind::OutOfMemory } else { FailureKind::Crashed };
    let failed = code != 0 || container.killed;
    if failed && service.extension.recovery.by_kind[kind as usize] == Some(Strategy::None) {
        let reason = format!("it exited with {code}, and `recovery.{}` is none", kind.as_str());
        return Verdict::Final { reason };
    }
    let delay = input.recovery.of(service).delay(made, draw(input, subject, made));
    let attempt = made + 1;
    let cause = if oom {
        Cause::OutOfMemory { attempt }
    } else if container.killed {
        Cause::Killed { code, attempt }
    } else {
        Cause::Exited { code, attempt }
    };
    let at = latest_past(input.now, [Some(finished), slot.and_then(|s| s.last_restart)]);
    Verdict::Again { cause, at: time::after(at, delay), attempts: made }
}

/// The latest of these times that is not in the future. One that is was told by a clock that goes otherwise than ours, or
/// by ours before it was set: it says nothing. The end is the Engine's time and the last restart ours, so that whichever
/// clock is wrong, one of them counts.
fn latest_past<const N: usize>(now: Timestamp, times: [Option<Timestamp>; N]) -> Timestamp {
    times.into_iter().flatten().filter(|at| *at <= now).max().unwrap_or(Timestamp::MIN)
}

/// Whether it was the controller that stopped it last.
pub(in crate::decide) fn stopped_by_us(input: &Input<'_>, subject: &Subject, container: &Container) -> bool {
    input.ledger.slots.get(subject).is_some_and(|slot| slot.ended.contains(&container.id))
}

/// Why a service that was restarted so often is not started again; `None`: it is.
pub(in crate::decide) fn never_again(service: &Service, restarts: u32) -> Option<String> {
    match service.restart {
        Some(RestartPolicy::No) => Some("`restart` is \"no\"".to_owned()),
        Some(RestartPolicy::OnFailure { max: Some(max) }) if restarts >= max => {
            Some(format!("on-failure:{max} is used up"))
        }
        _ => None,
    }
}

/// A run that began so soon after its start was asked for is that start.
const START: Duration = Duration::from_secs(60);

/// Until when the first passing check of a run is waited for; `None`: nobody can tell when it began by our clock, as
/// somebody else began it or the Engine's clock goes otherwise.
pub(in crate::decide) fn start_limit(
    input: &Input<'_>,
    service: &Service,
    container: &Container,
    since: Timestamp,
) -> Option<Timestamp> {
    let slot = input.ledger.slots.get(&Subject::Replica(service.name.clone(), container.number))?;
    let begun = slot.begun.filter(|_| slot.started.as_ref() == Some(&container.id))?;
    if begun > input.now || time::between(begun, since).max(time::between(since, begun)) > START {
        return None;
    }
    let check = service.healthcheck.as_ref().and_then(|check| check.start_period);
    let probe = service.extension.probe.as_ref().and_then(|probe| probe.start_period);
    let grace = check.max(probe).unwrap_or_default();
    Some(time::after(begun, input.recovery.start_timeout.saturating_add(grace)))
}

/// When what runs but is not well is started again, and how many restarts there were since the last calm time.
pub(in crate::decide) fn after_sickness(
    input: &Input<'_>,
    service: &Service,
    subject: &Subject,
    since: Timestamp,
) -> (Timestamp, u32) {
    let slot = input.ledger.slots.get(subject);
    let calm = time::between(since, input.now) >= input.recovery.reset_after;
    let made = if calm { 0 } else { slot.map_or(0, |s| s.restarts) };
    let last = latest_past(input.now, [slot.and_then(|s| s.last_restart)]);
    (time::after(last, input.recovery.of(service).delay(made, draw(input, subject, made))), made)
}

/// When a container that somebody else removed is made again, and the ordinal of that restart.
pub(in crate::decide) fn after_removal(input: &Input<'_>, subject: &Subject) -> (Timestamp, u32) {
    let slot = input.ledger.slots.get(subject);
    let told = slot.and_then(|s| s.last_restart);
    let calm = told.is_none_or(|last| time::between(last, input.now) >= input.recovery.reset_after);
    let last = latest_past(input.now, [told]);
    let made = if calm { 0 } else { slot.map_or(0, |s| s.restarts) };
    (time::after(last, input.recovery.delay(made, draw(input, subject, made))), made + 1)
}

/// A failure of this subject with this configuration whose next attempt is still to come.
pub(in crate::decide) fn backoff<'a>(
    input: &Input<'a>,
    subject: &Subject,
    config: &str,
) -> Option<(&'a Failure, Timestamp)> {
    let failure = input.ledger.failures.get(subject).filter(|f| f.config == config)?;
    let delay = input.recovery.delay(failure.attempts, draw(input, subject, failure.attempts));
    let until = time::after(latest_past(input.now, [Some(failure.last)]), delay);
    // Noted by a clock that was set back since, it says nothing.
    let held = failure.not_before.filter(|_| failure.last <= input.now);
    let until = held.map_or(until, |held| held.max(until));
    (until > input.now).then_some((failure, until))
}

fn draw(input: &Input<'_>, subject: &Subject, n: u32) -> u64 {
    hash::spread(input.seed, &[input.project.as_str(), &subject.to_string()], u64::from(n))
}

/// Adds a step unless its subject is in flight or in backoff.
pub(in crate::decide) fn attempt(
    input: &Input<'_>,
    decision: &mut Decision,
    action: Action,
    cause: Cause,
    config: &str,
) {
    let subject = action.subject();
    if input.in_flight.contains_key(&subject) || decision.steps.iter().any(|s| s.action.subject() == subject) {
        return;
    }
    if let Some((failure, until)) = backoff(input, &subject, config) {
        decision.wake(until);
        let error = format!("{subject}: {}", failure.error);
        decision.wait(None, WaitingOn::Backoff { until, attempts: failure.attempts, error });
        return;
    }
    decision.step(action, cause);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_is_still_to_come_says_nothing() {
        let at = |second| Timestamp::from_second(second).unwrap();
        // An engine whose clock is ahead, and one whose clock is behind: our own last restart counts.
        assert_eq!(latest_past(at(100), [Some(at(86_500)), Some(at(90))]), at(90));
        assert_eq!(latest_past(at(100), [Some(at(-3_500)), Some(at(90))]), at(90));
        // Our clock was set back: neither is known, and nothing is waited for.
        assert_eq!(latest_past(at(100), [Some(at(200)), Some(at(190))]), Timestamp::MIN);
    }
}
