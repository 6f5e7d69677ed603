//! Recoveries that are under way, of all projects: no more than `recovery.max_parallel` at a time.

use std::collections::{BTreeMap, BTreeSet};

use super::Controller;
use crate::decide::{Decision, Room, Step, WaitingOn};
use crate::model::ProjectName;
use crate::model::ledger::Subject;
use crate::model::state::ServiceState;

/// Which replicas are being recovered, and which projects wait for that.
#[derive(Debug, Default)]
pub(super) struct RecoveryLimiter {
    /// Replicas that are being started again, until they are up or have failed once more.
    under_way: BTreeSet<(ProjectName, Subject)>,
    /// Projects with recoveries that wait for their turn, and whether one of them is of a critical service.
    waiting: BTreeMap<ProjectName, bool>,
}

impl RecoveryLimiter {
    /// A step of a recovery begins.
    pub(super) fn begins(&mut self, project: &ProjectName, step: &Step) {
        if step.cause.attempt().is_some() {
            self.under_way.insert((project.clone(), step.action.subject()));
        }
    }

    /// How many recoveries of a project may be begun now.
    pub(super) fn room_for(&self, name: &ProjectName, max_parallel: u32) -> Room {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let free = max_parallel.saturating_sub(count(self.under_way.len()));
        let others = self.waiting.iter().filter(|(other, critical)| **critical && *other != name).count();
        Room { free, kept: count(others).min(free) }
    }

    /// Keeps those of a project that go on; says whether that made room.
    fn keep(&mut self, name: &ProjectName, goes_on: impl Fn(&Subject) -> bool) -> bool {
        let before = self.under_way.len();
        self.under_way.retain(|(project, subject)| project != name || goes_on(subject));
        self.under_way.len() < before
    }
}

impl Controller {
    /// Recoveries of a project that came to their end make room for others.
    pub(super) fn note_recovered(&mut self, name: &ProjectName, decision: &Decision) {
        let queues = decision.waiting.iter().filter_map(|w| match w.on {
            WaitingOn::Queue { critical } => Some(critical),
            _ => None,
        });
        match queues.max() {
            Some(critical) => self.recovery_limiter.waiting.insert(name.clone(), critical),
            None => self.recovery_limiter.waiting.remove(name),
        };
        let tracked = self.projects.get(name);
        let goes_on = |subject: &Subject| {
            let Subject::Replica(service, _) = subject else { return false };
            let in_flight = tracked.is_some_and(|t| t.in_flight.contains_key(subject));
            let state = decision.services.get(service);
            in_flight || matches!(state, Some(ServiceState::Starting { .. } | ServiceState::Stopping))
        };
        if self.recovery_limiter.keep(name, goes_on) {
            self.dirty.extend(self.recovery_limiter.waiting.keys().cloned());
        }
    }

    /// A project is gone, and so are its recoveries.
    pub(super) fn forget_recoveries(&mut self, name: &ProjectName) {
        self.recovery_limiter.waiting.remove(name);
        if self.recovery_limiter.keep(name, |_| false) {
            self.dirty.extend(self.recovery_limiter.waiting.keys().cloned());
        }
    }
}
