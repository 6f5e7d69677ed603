//! What the loop knows of one project.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::injected_fault::{self, InjectedFault};
use super::ledger::Remembered;
use crate::decide::{Action, Decision};
use crate::manifest::Loaded;
use crate::model::ledger::{Completion, Healthy, ProjectLedger, Subject};
use crate::model::state::ProjectState;
use crate::model::{ContainerId, Project, ProjectName, ServiceName, Timestamp};

/// Two readings of a manifest have to be so far apart before anything is removed.
pub(super) const CONFIRMED_AFTER: Duration = Duration::from_secs(1);

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
    /// The revision that everything came to be as it says, as [`ProjectLedger::converged`] has it.
    pub(super) converged: Option<Arc<Healthy>>,
    /// The last revision that was healthy.
    pub(super) healthy: Option<Arc<Healthy>>,
    /// These differ from what is on the disk.
    pub(super) unsaved_converged: bool,
    pub(super) unsaved_healthy: bool,
    pub(super) in_flight: BTreeMap<Subject, Action>,
    pub(super) decision: Decision,
    /// The revision that was decided about.
    pub(super) decided: Option<String>,
    pub(super) wake_at: Option<Timestamp>,
    /// What there was no room for.
    pub(super) starved: Starved,
    /// What it names, and since when two looks agree on that.
    names: Confirmation<BTreeSet<String>>,
    /// Whether there is a manifest, and since when two looks agree on that.
    presence: Confirmation<bool>,
    /// A step's outcome is not known: nothing is decided until everything of the project was looked at again.
    pub(super) refresh: Refresh,
    pub(super) last_converged: Option<Timestamp>,
    /// Since then it is not converged.
    pub(super) unsettled: Option<Instant>,
}

/// Which kinds of steps a project has that there was no room for.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Starved {
    /// Those that keep the engine busy.
    pub(super) busy: bool,
    /// Those that mostly wait.
    pub(super) waiting: bool,
}

impl Starved {
    /// Whether there is room for some of them where there is such room.
    pub(super) fn finds(self, room: Starved) -> bool {
        (self.busy && room.busy) || (self.waiting && room.waiting)
    }
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

/// Something that was read, and whether a second reading confirmed it.
#[derive(Debug, Default)]
struct Confirmation<T> {
    value: Option<T>,
    since: Option<Instant>,
    confirmed: bool,
}

impl<T: PartialEq> Confirmation<T> {
    /// Takes in a reading; says whether it confirmed something just now.
    fn at(&mut self, value: T, at: Instant, busy: bool) -> bool {
        if self.value.as_ref() != Some(&value) {
            *self = Self { value: Some(value), since: Some(at), confirmed: false };
            return false;
        }
        self.again(at, busy)
    }

    /// Takes in a reading that saw what the last one did.
    fn again(&mut self, at: Instant, busy: bool) -> bool {
        let since = *self.since.get_or_insert(at);
        if busy {
            // What is seen while git works counts for nothing.
            self.since = Some(at);
            return false;
        }
        let apart = at.duration_since(since) >= CONFIRMED_AFTER;
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
        // Their outcome shows when everything is looked at, or later.
        let begun = std::mem::take(&mut ledger.in_flight).into_values().map(|mark| mark.since);
        ledger.unanswered = begun.chain(ledger.unanswered).max();
        Self {
            name,
            manifest: None,
            target: remembered.last_good,
            ledger,
            unsaved: false,
            unsaved_target: false,
            converged: remembered.converged,
            healthy: remembered.healthy,
            unsaved_converged: false,
            unsaved_healthy: false,
            in_flight: BTreeMap::new(),
            decision: Decision::default(),
            decided: None,
            wake_at: None,
            starved: Starved::default(),
            names: Confirmation::default(),
            presence: Confirmation::default(),
            refresh: Refresh::Fresh,
            last_converged: None,
            unsettled: None,
        }
    }

    /// Whether something of it is not on the disk.
    pub(super) fn is_unsaved(&self) -> bool {
        self.unsaved || self.unsaved_target || self.unsaved_converged || self.unsaved_healthy
    }

    /// Remembers jobs that are done; says whether there was one.
    pub(super) fn remember_done(&mut self, done: BTreeMap<ServiceName, Completion>) -> bool {
        if done.is_empty() || injected_fault::is(InjectedFault::ForgetsCompletions) {
            return false;
        }
        self.ledger.completions.extend(done);
        self.unsaved = true;
        true
    }

    /// Takes in that the manifest was read, or that it was not there; says whether removals are confirmed just now.
    pub(super) fn was_read(&mut self, manifest: Option<Arc<Loaded>>, at: Instant, busy: bool) -> bool {
        let present = manifest.is_some();
        let same = matches!((&self.manifest, &manifest), (Some(a), Some(b)) if Arc::ptr_eq(a, b));
        self.manifest = manifest;
        let mut confirmed = self.presence.at(present, at, busy);
        if let Some(project) = self.manifest.as_ref().and_then(|m| m.project.as_ref()) {
            confirmed |= if same {
                self.names.again(at, busy)
            } else {
                let services = project.services.values().map(|s| format!("{} {}", s.name, s.replicas));
                let networks = project.networks.keys().map(|n| format!("network {n}"));
                let volumes = project.volumes.keys().map(|n| format!("volume {n}"));
                self.names.at(services.chain(networks).chain(volumes).collect(), at, busy)
            };
        }
        confirmed
    }

    /// Whether another reading is needed before what is absent counts as removed.
    pub(super) fn needs_confirmation(&self) -> bool {
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

    #[test]
    fn an_absence_counts_after_two_readings_a_second_apart() {
        let (mut reading, began) = (Confirmation::default(), Instant::now());
        assert!(!reading.at(false, began + Duration::from_millis(0), false));
        assert!(!reading.at(false, began + Duration::from_millis(999), false));
        assert!(reading.at(false, began + Duration::from_millis(1_000), false));
        assert!(!reading.at(false, began + Duration::from_millis(5_000), false), "confirmed once");
        assert!(!reading.at(true, began + Duration::from_millis(5_001), false) && !reading.confirmed);
    }

    #[test]
    fn what_is_seen_while_git_works_counts_for_nothing() {
        let (mut reading, began) = (Confirmation::default(), Instant::now());
        reading.at(false, began + Duration::from_millis(0), true);
        assert!(!reading.at(false, began + Duration::from_millis(1_500), true));
        assert!(!reading.at(false, began + Duration::from_millis(2_000), false));
        assert!(reading.at(false, began + Duration::from_millis(2_500), false));
    }
}
