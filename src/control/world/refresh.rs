//! How far projects were looked at again after something whose outcome is not known.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{ContainerId, ProjectName};

/// Projects of which too little is known to decide; all others are fresh.
#[derive(Debug, Default)]
pub(in crate::control) struct Refreshes(BTreeMap<ProjectName, Refresh>);

#[derive(Debug, PartialEq, Eq)]
enum Refresh {
    /// A list is waited for that was begun at this point in the order of arrivals, or later.
    List(u64),
    /// These containers are being inspected.
    Inspect(BTreeSet<ContainerId>),
}

impl Refreshes {
    /// Whether what is known of a project is worth a decision.
    pub(in crate::control) fn is_fresh(&self, name: &ProjectName) -> bool {
        !self.0.contains_key(name)
    }

    /// A project is looked at again: with a list that is begun from this point on, and inspects after that.
    pub(in crate::control) fn begin(&mut self, name: &ProjectName, point: u64) {
        self.0.insert(name.clone(), Refresh::List(point));
    }

    /// A project was looked at.
    pub(in crate::control) fn end(&mut self, name: &ProjectName) {
        self.0.remove(name);
    }

    /// Whether a list is waited for.
    pub(in crate::control) fn needs_list(&self) -> bool {
        self.0.values().any(|refresh| matches!(refresh, Refresh::List(_)))
    }

    /// Projects that waited for a list begun at this point, or before.
    pub(super) fn listed(&self, point: u64) -> Vec<ProjectName> {
        let waited = |refresh: &Refresh| matches!(refresh, Refresh::List(mark) if point >= *mark);
        self.0.iter().filter(|(_, refresh)| waited(refresh)).map(|(name, _)| name.clone()).collect()
    }

    /// A project waits for these containers' inspects.
    pub(super) fn inspects(&mut self, name: &ProjectName, containers: BTreeSet<ContainerId>) {
        if containers.is_empty() {
            self.end(name);
        } else {
            self.0.insert(name.clone(), Refresh::Inspect(containers));
        }
    }

    /// A container was inspected; the projects of which all is known now.
    pub(super) fn inspected(&mut self, id: &ContainerId) -> Vec<ProjectName> {
        let mut fresh = Vec::new();
        self.0.retain(|name, refresh| {
            let Refresh::Inspect(waiting) = refresh else { return true };
            let last = waiting.remove(id) && waiting.is_empty();
            if last {
                fresh.push(name.clone());
            }
            !last
        });
        fresh
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_is_fresh_again_after_a_list_that_is_new_enough_and_all_its_inspects() {
        let (name, [a, b]) = (ProjectName::trusted("shop"), ["a", "b"].map(ContainerId::trusted));
        let mut refreshes = Refreshes::default();
        refreshes.begin(&name, 5);
        assert!(!refreshes.is_fresh(&name) && refreshes.needs_list());
        assert!(refreshes.listed(4).is_empty());
        assert_eq!(refreshes.listed(5), std::slice::from_ref(&name));
        refreshes.inspects(&name, [a.clone(), b.clone()].into());
        assert!(!refreshes.needs_list() && refreshes.inspected(&a).is_empty());
        assert_eq!(refreshes.inspected(&b), std::slice::from_ref(&name));
        assert!(refreshes.is_fresh(&name));
    }
}
