//! The time of a rehearsal.

use std::sync::atomic::{AtomicI64, Ordering};

use tokio::time::Instant;

use crate::control::Clock;
use crate::model::Timestamp;

/// The runtime's clock, from a fixed beginning, with what somebody set it forward or back.
#[derive(Debug)]
pub struct VirtualClock {
    began: Instant,
    epoch: Timestamp,
    /// How far the time was set forth or back, in milliseconds.
    offset: AtomicI64,
}

impl VirtualClock {
    /// A clock that says `epoch` now.
    pub fn new(epoch: Timestamp) -> Self {
        Self { began: Instant::now(), epoch, offset: AtomicI64::new(0) }
    }

    /// Sets it forward, or back.
    pub fn jump(&self, milliseconds: i64) {
        self.offset.fetch_add(milliseconds, Ordering::Relaxed);
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        let offset = jiff::SignedDuration::from_millis(self.offset.load(Ordering::Relaxed));
        let now = self.epoch.checked_add(self.began.elapsed()).unwrap_or(self.epoch);
        now.checked_add(offset).unwrap_or(now)
    }
}
