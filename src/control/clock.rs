//! The time, passed in: the simulator has its own.

use std::time::Duration;

use jiff::SignedDuration;
use tokio::time::Instant;

use super::Controller;
use crate::model::{ProjectName, Timestamp};

/// Tells the time.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// A clock that is off by less than this was not set: it was only looked at late.
const SET: Duration = Duration::from_secs(5);

/// Notices when the clock is set, or the machine slept: it then goes on otherwise than the time that passed for processes.
pub(super) struct Pulse {
    at: Instant,
    told: Timestamp,
}

impl Pulse {
    pub(super) fn new(now: Timestamp) -> Self {
        Self { at: Instant::now(), told: now }
    }

    /// By how much the clock was set since the last beat; `None`: it was not.
    fn beat(&mut self, now: Timestamp) -> Option<SignedDuration> {
        let passed = SignedDuration::try_from(self.at.elapsed()).unwrap_or_default();
        let by = now.duration_since(self.told).saturating_sub(passed);
        *self = Self::new(now);
        (by.unsigned_abs() >= SET).then_some(by)
    }
}

impl Controller {
    /// What began before the clock was set began so much earlier or later by that clock: no start is late for it.
    pub(super) fn note_clock(&mut self) {
        let Some(by) = self.pulse.beat(self.clock.now()) else { return };
        let names: Vec<ProjectName> = self.projects.keys().cloned().collect();
        for name in names {
            let Some(tracked) = self.projects.get_mut(&name) else { continue };
            for begun in tracked.ledger.slots.values_mut().filter_map(|slot| slot.begun.as_mut()) {
                *begun = begun.checked_add(by).unwrap_or(*begun);
                tracked.unsaved = true;
            }
        }
    }
}
