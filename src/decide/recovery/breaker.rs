//! The breaker of a replica. Closed: restarts follow their pace. Open, after too many of them in a short time: nothing is
//! tried until the cool-down is over. Half open: one try is made, and what becomes of it closes the breaker or opens it
//! again. It is in the ledger, so neither a crash of the controller nor a reboot closes it.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::decide::{Decision, Input, RecoveryPolicy};
use crate::model::ledger::{Breaker, Slot, Subject};
use crate::model::{Service, Timestamp, time};

/// How a breaker stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BreakerState {
    /// Restarts follow their pace.
    #[default]
    Closed,
    /// The one try is due, or was made and is watched.
    HalfOpen,
    /// It is not started again before the cool-down is over.
    Open,
}

impl BreakerState {
    /// A word for people and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half_open",
            Self::Open => "open",
        }
    }

    /// How the breaker of a replica stands.
    pub fn of(slot: &Slot, policy: &RecoveryPolicy, now: Timestamp) -> Self {
        match slot.breaker {
            None => Self::Closed,
            Some(breaker) if breaker.tried.is_some() || until(breaker, policy, now) <= now => Self::HalfOpen,
            Some(_) => Self::Open,
        }
    }
}

/// A time that is still to come was told by a clock that was set back since.
fn until(breaker: Breaker, policy: &RecoveryPolicy, now: Timestamp) -> Timestamp {
    time::after(breaker.opened.min(now), policy.cool_down)
}

/// How often a replica was started again within the window.
fn lately(slot: &Slot, policy: &RecoveryPolicy, now: Timestamp) -> usize {
    let counts = |at: &&Timestamp| **at <= now && time::between(**at, now) < policy.window;
    slot.recent.iter().filter(counts).count()
}

/// Whether a replica may be started again; if not, until when nothing is tried. Opens the breaker where it is time to.
pub(in crate::decide) fn holds(
    input: &Input<'_>,
    service: &Service,
    subject: &Subject,
    decision: &mut Decision,
) -> Option<Timestamp> {
    let slot = input.ledger.slots.get(subject)?;
    let policy = input.recovery.of(service);
    match slot.breaker {
        Some(breaker) if breaker.tried.is_none() => {
            let until = until(breaker, &policy, input.now);
            return (until > input.now).then_some(until);
        }
        // The one try was in vain.
        Some(_) => {}
        None if lately(slot, &policy, input.now) < policy.max_attempts as usize => return None,
        None => {}
    }
    decision.breakers.insert(subject.clone(), Some(Breaker { opened: input.now, tried: None }));
    Some(time::after(input.now, policy.cool_down))
}

/// The Engine starts it again by itself, over and over: that is noted, and the controller tries nothing of its own.
pub(in crate::decide) fn note_engine_restarts(
    input: &Input<'_>,
    service: &Service,
    subject: &Subject,
    decision: &mut Decision,
) {
    let known = input.ledger.slots.get(subject).and_then(|slot| slot.breaker);
    if known.is_none_or(|breaker| breaker.tried.is_some()) {
        let _ = holds(input, service, subject, decision);
    }
}

/// Closes the breaker of a replica that is up, once it is so for long enough.
pub(in crate::decide) fn close_if_steady(
    input: &Input<'_>,
    service: &Service,
    subject: &Subject,
    since: Timestamp,
    decision: &mut Decision,
) {
    let Some(breaker) = input.ledger.slots.get(subject).and_then(|slot| slot.breaker) else { return };
    let steady: Duration = input.recovery.of(service).cool_down.min(input.recovery.reset_after);
    let from = since.max(breaker.tried.unwrap_or(breaker.opened)).min(input.now);
    let due = time::after(from, steady);
    if due > input.now {
        decision.wake(due);
    } else {
        decision.breakers.insert(subject.clone(), None);
    }
}
