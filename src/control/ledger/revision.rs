//! The revisions of one project, each by what it stands for.

use std::sync::Arc;

use crate::decide;
use crate::model::ledger::{Healthy, ProjectLedger};
use crate::model::{ImageId, Project, Timestamp};

/// The revisions of one project. The hash tells them apart; those that a controller needs as a whole are here as a whole.
#[derive(Debug, Clone, Default)]
pub(in crate::control) struct Revision {
    /// The hash of the manifest's revision as it was read last; `None`: there is none, or it does not load.
    pub(in crate::control) read: Option<String>,
    /// The revision that is to run: the one that was read, or the healthy one where that failed.
    pub(in crate::control) in_force: Option<Arc<Project>>,
    /// The hash of the revision that was decided about last.
    pub(in crate::control) decided: Option<String>,
    /// The revision that everything came to be as it says, with the images that ran.
    pub(in crate::control) converged: Option<Arc<Healthy>>,
    /// The last revision that stayed so for its monitor time.
    pub(in crate::control) healthy: Option<Arc<Healthy>>,
}

/// The revisions that changed, and are to be written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::control) struct Changed {
    pub(in crate::control) in_force: bool,
    pub(in crate::control) converged: bool,
    pub(in crate::control) healthy: bool,
}

impl Changed {
    pub(super) fn any(self) -> bool {
        self.in_force || self.converged || self.healthy
    }

    pub(super) fn add(&mut self, other: Self) {
        self.in_force |= other.in_force;
        self.converged |= other.converged;
        self.healthy |= other.healthy;
    }
}

impl Revision {
    /// Whether the last decision was about the revision in force.
    pub(in crate::control) fn is_decided(&self) -> bool {
        self.in_force.as_ref().map(|project| &project.revision) == self.decided.as_ref()
    }

    /// Takes the manifest's revision, or where that failed before the healthy one in its place. `images`: what references
    /// stand for now.
    pub(in crate::control) fn take<'i>(
        &mut self,
        ledger: &mut ProjectLedger,
        project: Arc<Project>,
        now: Timestamp,
        images: impl Fn(&str) -> Option<&'i ImageId>,
    ) -> Changed {
        let mut changed = Changed::default();
        // Who ran `apply` did not wait for the monitor time of what was in force until now.
        if let (Some(known), Some(target)) = (&ledger.converged, &self.in_force)
            && target.revision != project.revision
            && decide::is_over(known, target, now)
        {
            changed.healthy = self.is_healthy(ledger);
        }
        self.read = Some(project.revision.clone());
        let wanted = decide::in_force(ledger, self.healthy.as_deref(), project, images);
        if self.in_force.as_ref().is_none_or(|target| **target != *wanted) {
            ledger.converged = None;
            ledger.last_good = Some(wanted.revision.clone());
            changed.in_force = true;
        }
        self.in_force = Some(wanted);
        changed
    }

    /// Notes that what everything came to be as it says is healthy; says whether there is such a revision.
    pub(in crate::control) fn is_healthy(&mut self, ledger: &ProjectLedger) -> bool {
        let known = ledger.converged.as_ref();
        let same = |c: &Arc<Healthy>| known.is_some_and(|known| known.revision == c.project.revision);
        let found = self.converged.clone().filter(same);
        let is_found = found.is_some();
        if is_found {
            self.healthy = found;
        }
        is_found
    }
}
