//! What is found out beside the loop about each container, for the API and metrics to read: the loop is told only of what
//! changes a decision.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::ContainerId;

/// What was found last, by container, in the container's present run. Clones show the same.
#[derive(Debug)]
pub struct Board<T>(Arc<Mutex<Entries<T>>>);

#[derive(Debug)]
struct Entries<T> {
    claims: u64,
    by_container: BTreeMap<ContainerId, (u64, Option<T>)>,
}

impl<T> Default for Board<T> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Entries { claims: 0, by_container: BTreeMap::new() })))
    }
}

impl<T> Clone for Board<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// The right to say what is found of one run of a container. Whoever claims the same container later has it instead: what
/// is still told of the run before is dropped.
#[derive(Debug)]
pub(in crate::control) struct Claim<T> {
    board: Board<T>,
    id: ContainerId,
    number: u64,
}

impl<T: Clone> Board<T> {
    /// What was found of a container.
    pub fn of(&self, id: &str) -> Option<T> {
        self.lock().by_container.get(id).and_then(|(_, found)| found.clone())
    }

    /// Claims a container's present run: nothing is known of it yet.
    pub(in crate::control) fn claim(&self, id: &ContainerId) -> Claim<T> {
        let mut entries = self.lock();
        entries.claims += 1;
        let number = entries.claims;
        entries.by_container.insert(id.clone(), (number, None));
        Claim { board: self.clone(), id: id.clone(), number }
    }

    /// Claims a run anew that was claimed before: what was found of it stays.
    pub(in crate::control) fn reclaim(&self, id: &ContainerId) -> Claim<T> {
        let found = self.of(id.as_str());
        let claim = self.claim(id);
        if let Some(found) = found {
            claim.set(found);
        }
        claim
    }

    /// Another run of a container began: nothing is known of it yet.
    pub(in crate::control) fn clear(&self, id: &ContainerId) {
        if let Some((_, found)) = self.lock().by_container.get_mut(id) {
            *found = None;
        }
    }

    /// Forgets a container; whatever is still told of it is dropped.
    pub(in crate::control) fn remove(&self, id: &ContainerId) {
        self.lock().by_container.remove(id);
    }

    fn lock(&self) -> MutexGuard<'_, Entries<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Clone> Claim<T> {
    /// Says what was found, as long as the run is the present one.
    pub(in crate::control) fn set(&self, found: T) {
        if let Some((number, entry)) = self.board.lock().by_container.get_mut(&self.id)
            && *number == self.number
        {
            *entry = Some(found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_of_the_run_before_is_dropped() {
        let (board, id) = (Board::default(), ContainerId::trusted("c1"));
        let before = board.claim(&id);
        before.set(1);
        assert_eq!(board.of("c1"), Some(1));
        let now = board.claim(&id);
        assert_eq!(board.of("c1"), None, "nothing is known of the new run");
        before.set(2);
        assert_eq!(board.of("c1"), None);
        now.set(3);
        assert_eq!(board.of("c1"), Some(3));
        board.remove(&id);
        now.set(4);
        assert_eq!(board.of("c1"), None);
    }
}
