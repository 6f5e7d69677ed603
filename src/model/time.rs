//! Arithmetic on times that cannot fail.

use std::time::Duration;

use super::Timestamp;

/// So long after a time; the last time there is where there is none.
pub fn after(at: Timestamp, delay: Duration) -> Timestamp {
    at.checked_add(delay).unwrap_or(Timestamp::MAX)
}

/// Whether two times are of the same start: an event and an inspect tell of it at slightly different times.
pub fn is_one_start(a: Timestamp, b: Timestamp) -> bool {
    between(a, b).max(between(b, a)) < Duration::from_secs(1)
}

/// How long from one time to another; nothing where that is the earlier one.
pub fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}
