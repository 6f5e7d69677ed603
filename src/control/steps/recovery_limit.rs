//! Recoveries that are under way, of all projects: no more than `recovery.max_parallel` at a time.

use std::collections::{BTreeMap, BTreeSet};

use crate::decide::{Room, Step};
use crate::model::ProjectName;
use crate::model::ledger::Subject;

/// Limits recoveries.
#[derive(Debug, Default)]
pub(in crate::control) struct RecoveryLimiter {
    /// Replicas that are being started again, until they are up or have failed once more.
    under_way: BTreeMap<ProjectName, BTreeSet<Subject>>,
    /// Projects with recoveries that wait for their turn, and whether one of them is of a critical service.
    waiting: BTreeMap<ProjectName, bool>,
}

impl RecoveryLimiter {
    /// A step of a recovery begins.
    pub(super) fn begins(&mut self, project: &ProjectName, step: &Step) {
        if step.cause.attempt().is_some() {
            self.under_way.entry(project.clone()).or_default().insert(step.action.subject());
        }
    }

    /// How many recoveries of a project may be begun now.
    pub(super) fn room_for(&self, name: &ProjectName, max_parallel: u32) -> Room {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let under_way = self.under_way.values().map(BTreeSet::len).sum();
        let free = max_parallel.saturating_sub(count(under_way));
        let others = self.waiting.iter().filter(|(other, critical)| **critical && *other != name).count();
        Room { free, kept: count(others).min(free) }
    }

    /// Whether recoveries of a project wait for their turn; `Some(true)`: of critical services.
    pub(super) fn waits(&mut self, name: &ProjectName, critical: Option<bool>) {
        match critical {
            Some(critical) => self.waiting.insert(name.clone(), critical),
            None => self.waiting.remove(name),
        };
    }

    /// Keeps those of a project that go on; says which projects may have room now.
    pub(super) fn keep(
        &mut self,
        name: &ProjectName,
        goes_on: impl Fn(&Subject) -> bool,
    ) -> impl Iterator<Item = &ProjectName> {
        let mut freed = false;
        if let Some(under_way) = self.under_way.get_mut(name) {
            let before = under_way.len();
            under_way.retain(goes_on);
            freed = under_way.len() < before;
            if under_way.is_empty() {
                self.under_way.remove(name);
            }
        }
        self.waiting.keys().filter(move |_| freed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::{Action, Cause};
    use crate::model::{ContainerId, ServiceName};

    #[test]
    fn who_waits_is_told_once_somebody_is_up() {
        let [shop, other] = ["shop", "other"].map(ProjectName::trusted);
        let (service, container) = (ServiceName::trusted("web"), ContainerId::trusted("c1"));
        let action = Action::StartContainer { service, number: 1, container };
        let mut limiter = RecoveryLimiter::default();
        limiter.begins(&shop, &Step { action, cause: Cause::Exited { code: 1, attempt: 1 } });
        assert_eq!(limiter.room_for(&other, 1).free, 0);
        limiter.waits(&other, Some(true));
        assert_eq!(limiter.keep(&shop, |_| true).count(), 0);
        assert_eq!(limiter.keep(&shop, |_| false).collect::<Vec<_>>(), [&other]);
        assert_eq!(limiter.room_for(&other, 1), Room { free: 1, kept: 0 });
        assert_eq!(limiter.room_for(&shop, 1), Room { free: 1, kept: 1 });
    }
}
