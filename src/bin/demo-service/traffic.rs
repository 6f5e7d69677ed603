//! How many requests were answered in the last minute: one bucket a second, sixty of them.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

const BUCKETS: usize = 60;

pub struct Traffic {
    begun: Instant,
    /// The second a bucket was last used for, and the requests in it.
    buckets: Mutex<[(u64, u64); BUCKETS]>,
}

impl Traffic {
    pub fn new() -> Self {
        Self { begun: Instant::now(), buckets: Mutex::new([(0, 0); BUCKETS]) }
    }

    pub fn uptime_seconds(&self) -> u64 {
        self.begun.elapsed().as_secs()
    }

    pub fn record(&self) {
        let second = self.uptime_seconds();
        let bucket = &mut self.buckets.lock().unwrap_or_else(PoisonError::into_inner)[second as usize % BUCKETS];
        let so_far = if bucket.0 == second { bucket.1 } else { 0 };
        *bucket = (second, so_far + 1);
    }

    pub fn per_minute(&self) -> u64 {
        let now = self.uptime_seconds();
        let buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        buckets.iter().filter(|(second, _)| now - second < BUCKETS as u64).map(|(_, requests)| requests).sum()
    }
}
