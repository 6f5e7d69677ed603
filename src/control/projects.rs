//! The projects, and which of them have something to be written or a time to wake at: a turn costs what it changes, not
//! what there is.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;

use super::tracked::Tracked;
use crate::model::{ProjectName, Timestamp};

/// The projects by name. Looking is as with the map itself.
#[derive(Default)]
pub(super) struct Projects {
    all: BTreeMap<ProjectName, Tracked>,
    /// Handed out to be changed since the last look at what that meant.
    touched: BTreeSet<ProjectName>,
    unsaved: BTreeSet<ProjectName>,
    /// May hold times at which nobody wakes any more.
    wakes: BTreeSet<(Timestamp, ProjectName)>,
}

impl Deref for Projects {
    type Target = BTreeMap<ProjectName, Tracked>;

    fn deref(&self) -> &Self::Target {
        &self.all
    }
}

impl FromIterator<(ProjectName, Tracked)> for Projects {
    fn from_iter<I: IntoIterator<Item = (ProjectName, Tracked)>>(all: I) -> Self {
        let all: BTreeMap<_, _> = all.into_iter().collect();
        Self { touched: all.keys().cloned().collect(), all, ..Self::default() }
    }
}

impl Projects {
    /// A project, to be changed.
    pub(super) fn get_mut(&mut self, name: &ProjectName) -> Option<&mut Tracked> {
        let tracked = self.all.get_mut(name)?;
        if !self.touched.contains(name) {
            self.touched.insert(name.clone());
        }
        Some(tracked)
    }

    /// A project, to be changed; a new one where there is none.
    pub(super) fn get_or_insert_with(&mut self, name: &ProjectName, new: impl FnOnce() -> Tracked) -> &mut Tracked {
        self.touched.insert(name.clone());
        self.all.entry(name.clone()).or_insert_with(new)
    }

    /// All projects, to be changed.
    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut Tracked> {
        self.touched.extend(self.all.keys().cloned());
        self.all.values_mut()
    }

    pub(super) fn remove(&mut self, name: &ProjectName) {
        self.all.remove(name);
    }

    /// Takes the projects that have something to be written. One that could not be written is to be touched for it.
    pub(super) fn take_unsaved(&mut self) -> BTreeSet<ProjectName> {
        self.settle();
        std::mem::take(&mut self.unsaved)
    }

    /// When the first of them wakes.
    pub(super) fn next_wake(&mut self) -> Option<Timestamp> {
        self.settle();
        while let Some((at, name)) = self.wakes.first() {
            if self.all.get(name).is_some_and(|t| t.wake_at == Some(*at)) {
                return Some(*at);
            }
            self.wakes.pop_first();
        }
        None
    }

    /// Wakes the first one whose time has come.
    pub(super) fn wake(&mut self, now: Timestamp) -> Option<ProjectName> {
        self.next_wake().filter(|at| *at <= now)?;
        let (_, name) = self.wakes.pop_first()?;
        self.all.get_mut(&name)?.wake_at = None;
        Some(name)
    }

    fn settle(&mut self) {
        for name in std::mem::take(&mut self.touched) {
            let Some(tracked) = self.all.get(&name) else { continue };
            self.wakes.extend(tracked.wake_at.map(|at| (at, name.clone())));
            if tracked.is_unsaved() {
                self.unsaved.insert(name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn projects() -> (Projects, ProjectName, ProjectName) {
        let (a, b) = (ProjectName::trusted("a"), ProjectName::trusted("b"));
        let all = [&a, &b].map(|name| (name.clone(), Tracked::new(name.clone())));
        (all.into_iter().collect(), a, b)
    }

    fn at(second: i64) -> Option<Timestamp> {
        Timestamp::from_second(second).ok()
    }

    #[test]
    fn only_the_time_that_was_set_last_wakes_a_project() {
        let (mut projects, a, b) = projects();
        projects.get_mut(&a).unwrap().wake_at = at(1);
        projects.get_mut(&b).unwrap().wake_at = at(3);
        assert_eq!(projects.next_wake(), at(1));
        projects.get_mut(&a).unwrap().wake_at = at(2);
        assert_eq!(projects.next_wake(), at(2));
        assert_eq!(projects.wake(at(1).unwrap()), None);
        assert_eq!(projects.wake(at(5).unwrap()), Some(a.clone()));
        assert_eq!(projects[&a].wake_at, None);
        projects.get_mut(&b).unwrap().wake_at = None;
        assert_eq!(projects.wake(at(5).unwrap()), None);
        assert_eq!(projects.next_wake(), None);
    }

    #[test]
    fn what_is_to_be_written_is_told_once_for_each_change() {
        let (mut projects, a, b) = projects();
        for tracked in projects.values_mut() {
            tracked.unsaved = true;
        }
        assert_eq!(projects.take_unsaved(), BTreeSet::from([a.clone(), b]));
        assert!(projects.take_unsaved().is_empty());
        let _ = projects.get_mut(&a);
        assert_eq!(projects.take_unsaved(), BTreeSet::from([a]), "it still is not written");
    }
}
