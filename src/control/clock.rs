//! The time, passed in: the simulator has its own.

use std::time::Duration;

use jiff::SignedDuration;
use tokio::time::Instant;

use crate::model::Timestamp;

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

/// Detects that the clock was set, or the machine slept: the clock then goes on otherwise than the time that passed for
/// processes.
pub(super) struct ClockJumps {
    clock: std::sync::Arc<dyn Clock>,
    at: Instant,
    told: Timestamp,
}

impl ClockJumps {
    pub(super) fn of(clock: std::sync::Arc<dyn Clock>) -> Self {
        Self { at: Instant::now(), told: clock.now(), clock }
    }

    /// The time.
    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// By how much the clock was set since this was asked last; `None`: it was not.
    pub(super) fn take(&mut self) -> Option<SignedDuration> {
        let now = self.clock.now();
        let passed = SignedDuration::try_from(self.at.elapsed()).unwrap_or_default();
        let by = now.duration_since(self.told).saturating_sub(passed);
        (self.at, self.told) = (Instant::now(), now);
        (by.unsigned_abs() >= SET).then_some(by)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    struct SetClock(Mutex<Timestamp>);

    impl Clock for SetClock {
        fn now(&self) -> Timestamp {
            *self.0.lock().unwrap()
        }
    }

    #[test]
    fn a_clock_that_is_set_is_told_once() {
        let clock = Arc::new(SetClock(Mutex::new(Timestamp::UNIX_EPOCH)));
        let mut jumps = ClockJumps::of(Arc::clone(&clock) as _);
        assert_eq!(jumps.take(), None);
        *clock.0.lock().unwrap() = Timestamp::from_second(600).unwrap();
        assert!(jumps.take().is_some_and(|by| by.as_secs() >= 599));
        assert_eq!(jumps.take(), None);
        *clock.0.lock().unwrap() = Timestamp::from_second(0).unwrap();
        assert!(jumps.take().is_some_and(|by| by.is_negative()));
    }
}
