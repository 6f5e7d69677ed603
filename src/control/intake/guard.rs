//! The guard against mass deletion: a directory that is missing, unreadable or another one is not an empty one, and
//! half of everything does not vanish by intention without somebody saying so.

/// Vanished projects from which on the guard looks at all.
const AT_LEAST: usize = 3;

/// The guard.
#[derive(Debug, Default)]
pub(super) struct Guard {
    reason: Option<String>,
}

impl Guard {
    /// Why nothing is removed; `None`: the guard is open.
    pub(super) fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// Sets or clears the reason; gives it where the guard tripped just now.
    pub(super) fn set(&mut self, reason: Option<String>) -> Option<String> {
        let was_open = self.reason.is_none();
        self.reason.clone_from(&reason);
        reason.filter(|_| was_open)
    }
}

/// Whether so many vanished out of so many that somebody has to confirm it.
pub(in crate::control) fn too_many(vanished: usize, all: usize) -> bool {
    vanished >= AT_LEAST && vanished * 2 > all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_and_over_half_trip_the_guard() {
        assert!(!too_many(2, 2), "two projects may go together");
        assert!(too_many(3, 5));
        assert!(!too_many(3, 6), "half is not over half");
        assert!(too_many(4, 6));
    }

    #[test]
    fn the_guard_trips_once_and_opens() {
        let mut guard = Guard::default();
        assert_eq!(guard.set(Some("a".into())).as_deref(), Some("a"));
        assert_eq!(guard.set(Some("b".into())), None);
        assert_eq!(guard.reason(), Some("b"));
        guard.set(None);
        assert!(guard.reason().is_none() && guard.set(Some("c".into())).is_some());
    }
}
