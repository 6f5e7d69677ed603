//! Recoveries that are under way, of all projects: no more than `recovery.max_parallel` at a time.

use std::collections::BTreeSet;

use super::Controller;
use super::tracked::Tracked;
use crate::decide::{Decision, Room, Step, WaitingOn};
use crate::model::ProjectName;
use crate::model::ledger::Subject;
use crate::model::state::ServiceState;

/// Replicas that are being started again, until they are up or have failed once more.
#[derive(Debug, Default)]
pub(super) struct Herd(BTreeSet<(ProjectName, Subject)>);

impl Herd {
    /// A step of a recovery begins.
    pub(super) fn begins(&mut self, project: &ProjectName, step: &Step) {
        if step.cause.attempt().is_some() {
            self.0.insert((project.clone(), step.action.subject()));
        }
    }
}

impl Tracked {
    /// Its recoveries that wait for their turn: of critical services, or any.
    fn queues(&self, critical_only: bool) -> bool {
        let queues = |on: &WaitingOn| matches!(on, WaitingOn::Queue { critical } if *critical || !critical_only);
        self.decision.waiting.iter().any(|w| queues(&w.on))
    }
}

impl Controller {
    /// How many recoveries of a project may be begun now.
    pub(super) fn room_for(&self, name: &ProjectName) -> Room {
        let under_way = u32::try_from(self.herd.0.len()).unwrap_or(u32::MAX);
        let free = self.options.recovery.max_parallel.saturating_sub(under_way);
        let others = self.projects.values().filter(|t| t.name != *name && t.queues(true)).count();
        Room { free, kept: u32::try_from(others).unwrap_or(u32::MAX).min(free) }
    }

    /// Recoveries of a project that came to their end make room for others.
    pub(super) fn note_recovered(&mut self, name: &ProjectName, decision: &Decision) {
        if self.herd.0.is_empty() {
            return;
        }
        let tracked = self.projects.get(name);
        let goes_on = |subject: &Subject| {
            let Subject::Replica(service, _) = subject else { return false };
            let in_flight = tracked.is_some_and(|t| t.in_flight.contains_key(subject));
            let state = decision.services.get(service);
            in_flight || matches!(state, Some(ServiceState::Starting { .. } | ServiceState::Stopping))
        };
        let before = self.herd.0.len();
        self.herd.0.retain(|(project, subject)| project != name || goes_on(subject));
        if self.herd.0.len() < before {
            let waiting = self.projects.values().filter(|t| t.queues(false));
            self.dirty.extend(waiting.map(|t| t.name.clone()));
        }
    }
}
