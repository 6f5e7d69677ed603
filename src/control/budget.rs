//! How often registries are asked again for images that they did not give. Each image has its own pace; of many that fail
//! together a registry would make a ban.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::decide::BUDGET_WINDOW;
use crate::model::Timestamp;

/// The part of an hour's retries that may come at once.
const BURST: u32 = 2;

/// When each registry's retries are used up until: the generic cell rate algorithm.
#[derive(Debug, Default)]
pub(super) struct Budget(BTreeMap<String, Timestamp>);

impl Budget {
    /// Takes a retry of a registry; says when it may be made.
    pub(super) fn take(&mut self, registry: &str, per_hour: u32, now: Timestamp) -> Timestamp {
        let interval = BUDGET_WINDOW / per_hour.max(1);
        let ahead = interval * (per_hour / BURST).max(1);
        let used = self.0.entry(registry.to_owned()).or_insert(now);
        // What is further off than a window was noted by a clock that was set back since.
        *used = (*used).clamp(now, plus(now, BUDGET_WINDOW));
        *used = plus(*used, interval);
        let until = Timestamp::from_nanosecond(used.as_nanosecond() - i128::try_from(ahead.as_nanos()).unwrap_or(0));
        until.unwrap_or(now).max(now)
    }
}

fn plus(time: Timestamp, by: Duration) -> Timestamp {
    time.checked_add(by).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_come_at_once_and_the_others_one_by_one() {
        let (mut budget, now) = (Budget::default(), Timestamp::UNIX_EPOCH);
        let after = |n: u64| plus(now, Duration::from_secs(n));
        let times: Vec<_> = (0..5).map(|_| budget.take("docker.io", 6, now)).collect();
        let expected = [0, 0, 0, 600, 1200].map(after);
        assert_eq!(times, expected);
        assert_eq!(budget.take("ghcr.io", 6, now), now, "another registry has its own");
        // Who waited an hour has all of it again.
        assert_eq!(budget.take("docker.io", 6, after(3600 + 1200)), after(3600 + 1200));
    }

    #[test]
    fn nothing_is_put_off_for_more_than_an_hour_nor_by_a_clock_that_was_set_back() {
        let (mut budget, now) = (Budget::default(), Timestamp::UNIX_EPOCH);
        let last = (0..1000).map(|_| budget.take("r", 30, plus(now, Duration::from_secs(1_000_000)))).last();
        assert!(last.is_some_and(|last| last <= plus(now, Duration::from_secs(1_003_600))));
        assert!(budget.take("r", 6, now) <= plus(now, BUDGET_WINDOW));
        assert!(budget.take("s", u32::MAX, now) == now && budget.take("t", 0, now) == now);
    }
}
