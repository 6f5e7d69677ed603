//! What the loop knows of one project.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::ledger::Remembered;
use crate::decide::{Action, Decision};
use crate::manifest::Loaded;
use crate::model::ledger::{ProjectLedger, Subject};
use crate::model::state::ProjectState;
use crate::model::{ContainerId, Project, ProjectName, Timestamp};

/// Two looks at a manifest have to be so far apart before anything is removed.
pub(super) const LOOKS_APART: Duration = Duration::from_secs(1);

/// One project.
pub(super) struct Tracked {
    pub(super) name: ProjectName,
    /// The manifest as it was read last; `None`: it is gone, or was not read yet.
    pub(super) manifest: Option<Arc<Loaded>>,
    /// The revision in force.
    pub(super) target: Option<Arc<Project>>,
    pub(super) ledger: ProjectLedger,
    /// The ledger differs from what is on the disk.
    pub(super) unsaved: bool,
    /// The last good revision differs from what is on the disk.
    pub(super) unsaved_target: bool,
    pub(super) in_flight: BTreeMap<Subject, Action>,
    pub(super) decision: Decision,
    /// The revision that was decided about.
    pub(super) decided: Option<String>,
    pub(super) wake_at: Option<Timestamp>,
    /// There was no room for all of its steps.
    pub(super) starved: bool,
    /// What it names, and since when two looks agree on that.
    names: Look<BTreeSet<String>>,
    /// Whether there is a manifest, and since when two looks agree on that.
    presence: Look<bool>,
    /// A step's outcome is not known: nothing is decided until everything of the project was looked at again.
    pub(super) refresh: Refresh,
    pub(super) last_converged: Option<Timestamp>,
    /// Since then it is not converged.
    pub(super) unsettled: Option<Instant>,
}

/// How far a project was looked at again after a step with unknown outcome.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum Refresh {
    /// What is known is fresh.
    #[default]
    Fresh,
    /// Lists that were begun after this point in the order of arrivals are waited for.
    List(u64),
    /// These containers are being inspected.
    Inspect(BTreeSet<ContainerId>),
}

/// Something that was read, and whether a second look confirmed it.
#[derive(Debug, Default)]
struct Look<T> {
    value: Option<T>,
    since: Option<Timestamp>,
    confirmed: bool,
}

impl<T: PartialEq> Look<T> {
    /// Takes in a look; says whether it confirmed something just now.
    fn at(&mut self, value: T, at: Timestamp, busy: bool) -> bool {
        if self.value.as_ref() != Some(&value) {
            *self = Self { value: Some(value), since: Some(at), confirmed: false };
            return false;
        }
        let since = *self.since.get_or_insert(at);
        if busy {
            // What is seen while git works counts for nothing.
            self.since = Some(at);
            return false;
        }
        let apart = Duration::try_from(at.duration_since(since)).unwrap_or_default() >= LOOKS_APART;
        let news = apart && !self.confirmed;
        self.confirmed |= apart;
        news
    }
}

impl Tracked {
    pub(super) fn new(name: ProjectName) -> Self {
        Self::remembered(name, Remembered::default())
    }

    pub(super) fn remembered(name: ProjectName, remembered: Remembered) -> Self {
        let mut ledger = remembered.ledger;
        // Their outcome shows when everything is looked at.
        ledger.in_flight.clear();
        Self {
            name,
            manifest: None,
            target: remembered.last_good,
            ledger,
            unsaved: false,
            unsaved_target: false,
            in_flight: BTreeMap::new(),
            decision: Decision::default(),
            decided: None,
            wake_at: None,
            starved: false,
            names: Look::default(),
            presence: Look::default(),
            refresh: Refresh::Fresh,
            last_converged: None,
            unsettled: None,
        }
    }

    /// Takes in that the manifest was read, or that it was not there; says whether removals are confirmed just now.
    pub(super) fn looked(&mut self, manifest: Option<Arc<Loaded>>, at: Timestamp, busy: bool) -> bool {
        let present = manifest.is_some();
        self.manifest = manifest;
        let mut confirmed = self.presence.at(present, at, busy);
        if let Some(project) = self.manifest.as_ref().and_then(|m| m.project.as_ref()) {
            let services = project.services.keys().map(ToString::to_string);
            let networks = project.networks.keys().map(|n| format!("network {n}"));
            confirmed |= self.names.at(services.chain(networks).collect(), at, busy);
        }
        confirmed
    }

    /// Whether another look is needed before what is absent counts as removed.
    pub(super) fn needs_second_look(&self) -> bool {
        !self.presence.confirmed || (self.manifest.is_some() && !self.names.confirmed)
    }

    pub(super) fn absences_confirmed(&self) -> bool {
        self.names.confirmed
    }

    pub(super) fn removal_confirmed(&self) -> bool {
        self.manifest.is_none() && self.presence.confirmed
    }

    /// How it is, for other projects and for people.
    pub(super) fn state(&self) -> ProjectState {
        let valid = self.manifest.as_ref().is_none_or(|m| m.project.is_some());
        let current = self.target.as_ref().map(|t| &t.revision) == self.decided.as_ref();
        match self.decision.state {
            _ if !valid => ProjectState::Invalid,
            // Nothing is known yet of the revision in force.
            _ if !current => ProjectState::Waiting,
            Some(state) => state,
            None => ProjectState::Waiting,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(millis).unwrap()
    }

    #[test]
    fn an_absence_counts_after_two_looks_a_second_apart() {
        let mut look = Look::default();
        assert!(!look.at(false, at(0), false));
        assert!(!look.at(false, at(999), false));
        assert!(look.at(false, at(1_000), false));
        assert!(!look.at(false, at(5_000), false), "confirmed once");
        assert!(!look.at(true, at(5_001), false) && !look.confirmed);
    }

    #[test]
    fn what_is_seen_while_git_works_counts_for_nothing() {
        let mut look = Look::default();
        look.at(false, at(0), true);
        assert!(!look.at(false, at(1_500), true));
        assert!(!look.at(false, at(2_000), false));
        assert!(look.at(false, at(2_500), false));
    }
}
