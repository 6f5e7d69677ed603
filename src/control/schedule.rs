//! Which projects are to be decided about, and when: a turn costs what changed, not what there is.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{ProjectName, Timestamp};

/// Projects that something changed for, and projects that wake at a time.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    dirty: BTreeSet<ProjectName>,
    wakes: BTreeMap<ProjectName, Timestamp>,
    by_time: BTreeSet<(Timestamp, ProjectName)>,
    /// Projects that were due while they were being written.
    held: BTreeSet<ProjectName>,
}

impl Schedule {
    /// A project is to be decided about.
    pub(super) fn mark(&mut self, name: &ProjectName) {
        if !self.dirty.contains(name) {
            self.dirty.insert(name.clone());
        }
    }

    /// Several are.
    pub(super) fn mark_all<'n>(&mut self, names: impl IntoIterator<Item = &'n ProjectName>) {
        names.into_iter().for_each(|name| self.mark(name));
    }

    /// Whether some are.
    pub(super) fn is_due(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Takes those that are.
    pub(super) fn take(&mut self) -> BTreeSet<ProjectName> {
        std::mem::take(&mut self.dirty)
    }

    /// When a project is decided about though nothing happens; `None`: not at all.
    pub(super) fn wake_at(&mut self, name: &ProjectName, at: Option<Timestamp>) {
        let before = match at {
            Some(at) => self.wakes.insert(name.clone(), at),
            None => self.wakes.remove(name),
        };
        if let Some(before) = before {
            self.by_time.remove(&(before, name.clone()));
        }
        self.by_time.extend(at.map(|at| (at, name.clone())));
    }

    /// The same, unless it wakes earlier anyway.
    pub(super) fn wake_by(&mut self, name: &ProjectName, at: Timestamp) {
        if self.wakes.get(name).is_none_or(|known| at < *known) {
            self.wake_at(name, Some(at));
        }
    }

    /// When the first of them wakes.
    pub(super) fn next_wake(&self) -> Option<Timestamp> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Marks those whose time has come.
    pub(super) fn wake(&mut self, now: Timestamp) {
        while let Some((at, name)) = self.by_time.first().cloned()
            && at <= now
        {
            self.wake_at(&name, None);
            self.mark(&name);
        }
    }

    /// A project that is due is being written: it is decided about afterwards.
    pub(super) fn hold(&mut self, name: &ProjectName) {
        self.held.insert(name.clone());
    }

    /// A project is written; says whether it was due meanwhile.
    pub(super) fn release(&mut self, name: &ProjectName) -> bool {
        self.held.remove(name)
    }

    /// A project is gone.
    pub(super) fn forget(&mut self, name: &ProjectName) {
        self.wake_at(name, None);
        self.dirty.remove(name);
        self.held.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Option<Timestamp> {
        Timestamp::from_second(second).ok()
    }

    #[test]
    fn only_the_time_that_was_set_last_wakes_a_project() {
        let (a, b) = (ProjectName::trusted("a"), ProjectName::trusted("b"));
        let mut schedule = Schedule::default();
        schedule.wake_at(&a, at(1));
        schedule.wake_at(&b, at(3));
        schedule.wake_at(&a, at(2));
        schedule.wake_by(&b, at(4).unwrap());
        assert_eq!(schedule.next_wake(), at(2));
        schedule.wake(at(1).unwrap());
        assert!(!schedule.is_due());
        schedule.wake(at(2).unwrap());
        assert_eq!(schedule.take(), BTreeSet::from([a.clone()]));
        schedule.wake_at(&b, None);
        schedule.wake(at(9).unwrap());
        assert!(!schedule.is_due() && schedule.next_wake().is_none());
    }

    #[test]
    fn what_is_gone_is_not_decided_about() {
        let a = ProjectName::trusted("a");
        let mut schedule = Schedule::default();
        schedule.mark(&a);
        schedule.wake_at(&a, at(1));
        schedule.forget(&a);
        assert!(!schedule.is_due() && schedule.next_wake().is_none());
    }
}
