//! How often registries are asked again for images that they did not give. Each image has its own pace; of many that fail
//! together a registry would make a ban.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::{Timestamp, time};

const HOUR: Duration = Duration::from_secs(3600);
/// The part of an hour's retries that may come at once.
const BURST: u32 = 2;
/// What is taken further ahead was noted by a clock that was set back since.
const FAR: Duration = Duration::from_secs(24 * 3600);

/// When each registry's retries are used up until: the generic cell rate algorithm.
#[derive(Debug, Default)]
pub(super) struct PullBudget(BTreeMap<String, Timestamp>);

impl PullBudget {
    /// Takes a retry of a registry; says when it may be made.
    pub(super) fn take(&mut self, registry: &str, per_hour: u32, now: Timestamp) -> Timestamp {
        let interval = HOUR / per_hour.max(1);
        let ahead = interval * (per_hour / BURST).max(1);
        let used = self.0.entry(registry.to_owned()).or_insert(now);
        if *used < now || *used > time::after(now, FAR) {
            *used = now;
        }
        *used = time::after(*used, interval);
        let until = Timestamp::from_nanosecond(used.as_nanosecond() - i128::try_from(ahead.as_nanos()).unwrap_or(0));
        until.unwrap_or(now).max(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_come_at_once_and_the_others_one_by_one() {
        let (mut budget, now) = (PullBudget::default(), Timestamp::UNIX_EPOCH);
        let after = |n: u64| time::after(now, Duration::from_secs(n));
        let times: Vec<_> = (0..5).map(|_| budget.take("docker.io", 6, now)).collect();
        let expected = [0, 0, 0, 600, 1200].map(after);
        assert_eq!(times, expected);
        assert_eq!(budget.take("ghcr.io", 6, now), now, "another registry has its own");
        // Who waited an hour has all of it again.
        assert_eq!(budget.take("docker.io", 6, after(3600 + 1200)), after(3600 + 1200));
    }

    #[test]
    fn many_come_one_by_one_and_a_clock_that_was_set_back_puts_nothing_off() {
        let (mut budget, now) = (PullBudget::default(), Timestamp::UNIX_EPOCH);
        let later = time::after(now, Duration::from_secs(1_000_000));
        let times: Vec<_> = (0..100).map(|_| budget.take("r", 30, later)).collect();
        assert!(times[20..].windows(2).all(|two| two[1] == time::after(two[0], HOUR / 30)), "{times:?}");
        assert_eq!(budget.take("r", 30, now), now);
        assert!(budget.take("s", u32::MAX, now) == now && budget.take("t", 0, now) == now);
    }
}
