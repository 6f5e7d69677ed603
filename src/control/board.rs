//! What is found out beside the loop about each container, for the API and metrics to read: the loop is told only of what
//! changes a decision.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::ContainerId;

/// What was found last, by container. Copies show the same.
#[derive(Debug)]
pub struct Board<T>(Arc<Mutex<BTreeMap<ContainerId, T>>>);

impl<T> Default for Board<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T> Clone for Board<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Clone> Board<T> {
    /// What was found of a container.
    pub fn of(&self, id: &str) -> Option<T> {
        self.lock().get(id).cloned()
    }

    pub(super) fn set(&self, id: &ContainerId, found: T) {
        self.lock().insert(id.clone(), found);
    }

    pub(super) fn remove(&self, id: &ContainerId) {
        self.lock().remove(id);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ContainerId, T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
