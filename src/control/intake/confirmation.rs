//! Two readings that agree, a second apart: half a file can be valid YAML, so what is absent counts as removed only then.

use std::time::Duration;

use tokio::time::Instant;

/// Two readings have to be so far apart.
pub(super) const APART: Duration = Duration::from_secs(1);

/// Something that was read, and whether a second reading confirmed it.
#[derive(Debug)]
pub(super) struct Confirmation<T> {
    value: Option<T>,
    since: Option<Instant>,
    confirmed: bool,
}

impl<T> Default for Confirmation<T> {
    fn default() -> Self {
        Self { value: None, since: None, confirmed: false }
    }
}

impl<T: PartialEq> Confirmation<T> {
    pub(super) fn is_confirmed(&self) -> bool {
        self.confirmed
    }

    /// Takes in a reading; says whether it confirmed something just now. `busy`: git was changing the directory.
    pub(super) fn read(&mut self, value: T, at: Instant, busy: bool) -> bool {
        if self.value.as_ref() != Some(&value) {
            *self = Self { value: Some(value), since: Some(at), confirmed: false };
            return false;
        }
        self.again(at, busy)
    }

    /// Takes in a reading that gave what the last one did.
    pub(super) fn again(&mut self, at: Instant, busy: bool) -> bool {
        let since = *self.since.get_or_insert(at);
        if busy {
            // What is read while git works counts for nothing.
            self.since = Some(at);
            return false;
        }
        let apart = at.duration_since(since) >= APART;
        let news = apart && !self.confirmed;
        self.confirmed |= apart;
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absence_counts_after_two_readings_a_second_apart() {
        let (mut seen, began) = (Confirmation::default(), Instant::now());
        assert!(!seen.read(false, began + Duration::from_millis(0), false));
        assert!(!seen.read(false, began + Duration::from_millis(999), false));
        assert!(seen.read(false, began + Duration::from_millis(1_000), false));
        assert!(!seen.read(false, began + Duration::from_millis(5_000), false), "confirmed once");
        assert!(!seen.read(true, began + Duration::from_millis(5_001), false) && !seen.confirmed);
    }

    #[test]
    fn what_is_read_while_git_works_counts_for_nothing() {
        let (mut seen, began) = (Confirmation::default(), Instant::now());
        seen.read(false, began + Duration::from_millis(0), true);
        assert!(!seen.read(false, began + Duration::from_millis(1_500), true));
        assert!(!seen.read(false, began + Duration::from_millis(2_000), false));
        assert!(seen.read(false, began + Duration::from_millis(2_500), false));
    }
}
