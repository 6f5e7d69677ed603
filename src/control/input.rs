//! The one place where it is put together what may be decided on: for the loop, for plans, and for verbs that look without a
//! controller.

use std::collections::BTreeMap;

use super::ledger::Revision;
use super::options::Options;
use crate::decide::{Action, Input, RecoveryPolicy, Room, Target};
use crate::model::ledger::{ProjectLedger, Subject};
use crate::model::observed::{Capabilities, Observed};
use crate::model::state::ProjectState;
use crate::model::{InstanceId, ProjectName, Timestamp, hash};

/// How one project is, by all who know something of it.
#[derive(Clone, Copy)]
pub(super) struct Situation<'a> {
    pub(super) project: &'a ProjectName,
    pub(super) manifest: ManifestState,
    pub(super) revision: &'a Revision,
    pub(super) ledger: &'a ProjectLedger,
    pub(super) observed: &'a Observed,
    pub(super) in_flight: &'a BTreeMap<Subject, Action>,
    pub(super) others: &'a BTreeMap<ProjectName, ProjectState>,
    pub(super) guard_tripped: bool,
    pub(super) capabilities: Capabilities,
    pub(super) room: Room,
    pub(super) rules: Rules<'a>,
    pub(super) now: Timestamp,
}

/// What is known of a project's manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ManifestState {
    /// There is one.
    pub(super) is_there: bool,
    /// What it does not name counts as removed.
    pub(super) absences_confirmed: bool,
    /// That there is none counts.
    pub(super) removal_confirmed: bool,
}

impl ManifestState {
    /// As a plan sees it: what is absent will be confirmed by then.
    pub(super) fn foreseen(self) -> Self {
        Self { absences_confirmed: true, ..self }
    }
}

/// What holds for all projects.
#[derive(Clone, Copy)]
pub(super) struct Rules<'a> {
    pub(super) recovery: &'a RecoveryPolicy,
    pub(super) instance: &'a InstanceId,
    pub(super) take_over: bool,
}

impl<'a> Rules<'a> {
    /// The rules of a controller.
    pub(super) fn of(options: &'a Options, instance: &'a InstanceId) -> Self {
        Self { recovery: &options.recovery, instance, take_over: options.take_over }
    }
}

impl<'a> Situation<'a> {
    /// All that a decision may know.
    pub(super) fn input(&self) -> Input<'a> {
        Input {
            project: self.project,
            target: match (self.manifest.is_there, &self.revision.in_force) {
                (true, Some(project)) => Target::Declared(project),
                (true, None) => Target::Unknown,
                (false, last) => Target::Removed { last: last.as_deref(), confirmed: self.manifest.removal_confirmed },
            },
            absences_confirmed: self.manifest.absences_confirmed,
            guard_tripped: self.guard_tripped,
            observed: self.observed,
            in_flight: self.in_flight,
            ledger: self.ledger,
            healthy: self.revision.healthy.as_deref(),
            others: self.others,
            capabilities: self.capabilities,
            recovery: self.rules.recovery,
            room: self.room,
            instance: self.rules.instance,
            take_over: self.rules.take_over,
            // Each evenkeel has a jitter of its own.
            seed: hash::spread(0, &[self.rules.instance.as_str()], 0),
            now: self.now,
        }
    }

    /// A copy that can be taken elsewhere.
    pub(super) fn to_owned(self) -> OwnedSituation {
        OwnedSituation {
            project: self.project.clone(),
            manifest: self.manifest,
            revision: self.revision.clone(),
            ledger: self.ledger.clone(),
            observed: self.observed.clone(),
            in_flight: self.in_flight.clone(),
            others: self.others.clone(),
            guard_tripped: self.guard_tripped,
            capabilities: self.capabilities,
            recovery: *self.rules.recovery,
            instance: self.rules.instance.clone(),
            take_over: self.rules.take_over,
            now: self.now,
        }
    }
}

/// A situation that was copied out of the loop.
pub(super) struct OwnedSituation {
    project: ProjectName,
    manifest: ManifestState,
    revision: Revision,
    ledger: ProjectLedger,
    observed: Observed,
    in_flight: BTreeMap<Subject, Action>,
    others: BTreeMap<ProjectName, ProjectState>,
    guard_tripped: bool,
    capabilities: Capabilities,
    recovery: RecoveryPolicy,
    instance: InstanceId,
    take_over: bool,
    now: Timestamp,
}

impl OwnedSituation {
    pub(super) fn situation(&self) -> Situation<'_> {
        Situation {
            project: &self.project,
            manifest: self.manifest,
            revision: &self.revision,
            ledger: &self.ledger,
            observed: &self.observed,
            in_flight: &self.in_flight,
            others: &self.others,
            guard_tripped: self.guard_tripped,
            capabilities: self.capabilities,
            room: Room::default(),
            rules: Rules { recovery: &self.recovery, instance: &self.instance, take_over: self.take_over },
            now: self.now,
        }
    }
}
