//! Which revision is in force: the manifest's, or the last healthy one in place of one that failed.

use std::sync::Arc;

use super::Controller;
use super::tracked::{Refresh, Tracked};
use crate::decide::{self, RolloutStatus, memory};
use crate::model::event::{EventType, Severity};
use crate::model::ledger::{Healthy, Slot};
use crate::model::service::Port;
use crate::model::{ImageId, Project, ProjectName, Timestamp};

impl Tracked {
    /// Takes the manifest's revision, or where that failed before the healthy one in its place; says whether another one
    /// is in force than was. `images`: what references stand for now.
    pub(super) fn take<'i>(
        &mut self,
        project: Arc<Project>,
        now: Timestamp,
        images: impl Fn(&str) -> Option<&'i ImageId>,
    ) -> bool {
        // Who ran `apply` did not wait for the monitor time of what was in force until now.
        if let (Some(known), Some(target)) = (&self.ledger.converged, &self.target)
            && target.revision != project.revision
            && decide::is_over(known, target, now)
        {
            self.is_healthy();
        }
        let wanted = decide::in_force(&mut self.ledger, self.healthy.as_deref(), project, images);
        let new = self.target.as_ref().is_none_or(|t| **t != *wanted);
        if new {
            self.ledger.converged = None;
            self.ledger.last_good = Some(wanted.revision.clone());
            self.unsaved = true;
            self.unsaved_target = true;
        }
        self.target = Some(wanted);
        new
    }

    /// What everything came to be as it says is healthy.
    fn is_healthy(&mut self) {
        let known = self.ledger.converged.as_ref();
        let same = |c: &Arc<Healthy>| known.is_some_and(|known| known.revision == c.project.revision);
        if let Some(converged) = self.converged.clone().filter(same) {
            self.healthy = Some(converged);
            self.unsaved_healthy = true;
        }
    }
}

impl Controller {
    /// Remembers how far a revision is, and gives it up where it failed.
    pub(super) fn on_rollout_status(&mut self, name: &ProjectName, rollout_status: RolloutStatus) {
        let Some(tracked) = self.projects.get_mut(name) else { return };
        let Some(target) = tracked.target.clone() else { return };
        let revision = target.revision.clone();
        tracked.unsaved = true;
        if rollout_status == RolloutStatus::Healthy {
            tracked.is_healthy();
        }
        memory::record_rollout_status(&mut tracked.ledger, &revision, &rollout_status);
        match rollout_status {
            RolloutStatus::Converged(_, images) => {
                tracked.converged = Some(Arc::new(Healthy { project: target, images }));
                tracked.unsaved_converged = true;
            }
            RolloutStatus::Lapsed => {}
            RolloutStatus::Healthy => {
                // What waits for that goes on.
                self.dirty.insert(name.clone());
                let message = format!("revision {} is healthy", short(&revision));
                self.event(EventType::RolloutCompleted, Severity::Info, Some(name), None, message);
            }
            RolloutStatus::Failed { failure } => {
                let (service, reason) = (&failure.service, &failure.reason);
                let (kind, what) = if failure.rolled_back {
                    (EventType::RolledBack, "failed, and the last healthy one is in force again")
                } else {
                    (EventType::StepFailed, "failed, and its rollout came to a stop")
                };
                let message = format!("revision {} {what}: {service}: {reason}", short(&revision));
                self.event(kind, Severity::Error, Some(name), Some(service), message);
                self.put_in_force(name, target);
                self.look_at_what_is_in_force();
            }
        }
    }

    /// Asks the Engine for what has to be known of revisions that are in force by now: for all projects at once.
    pub(super) fn look_at_what_is_in_force(&mut self) {
        self.look_up_targets();
        if self.engine_status.up && self.projects.values().any(|t| matches!(t.refresh, Refresh::List(_))) {
            self.list();
        }
    }

    /// Takes a revision of the manifest; says whether another one is in force than was. What has to be known of it is asked
    /// for afterwards, with [`Self::look_at_what_is_in_force`].
    pub(super) fn put_in_force(&mut self, name: &ProjectName, project: Arc<Project>) -> bool {
        let Some(tracked) = self.projects.get_mut(name) else { return false };
        let (now, cache) = (self.clock.now(), &self.cache);
        let before = tracked.target.clone();
        let new = tracked.take(project, now, |image| cache.images().get(image).and_then(Option::as_ref));
        let in_force = tracked.target.clone();
        let published = |p: &Option<Arc<Project>>| -> Vec<Port> {
            p.iter().flat_map(|p| p.services.values()).flat_map(|s| s.ports.iter().cloned()).collect()
        };
        if new && published(&before) != published(&in_force) {
            // Who has its ports by now, only a list tells.
            tracked.refresh = Refresh::List(self.cache.mark());
        }
        self.cache.interest_mut().follow(name, in_force.as_deref());
        self.dirty.insert(name.clone());
        self.stale_views.insert(name.clone());
        new
    }

    /// Tries again what failed: revisions, and steps at once.
    pub(super) fn try_again(&mut self, name: &ProjectName) {
        let Some(tracked) = self.projects.get_mut(name) else { return };
        tracked.ledger.failed.clear();
        tracked.ledger.failures.clear();
        tracked.ledger.slots.values_mut().for_each(Slot::forget_restarts);
        if let Some(project) = tracked.manifest.as_ref().and_then(|m| m.project.clone()) {
            self.put_in_force(name, project);
            self.look_at_what_is_in_force();
        }
    }

    /// Tells that a revision was read, and what becomes of it.
    pub(super) fn tell_revision(&mut self, name: &ProjectName, project: &Project, path: &str) {
        let Some(tracked) = self.projects.get(name) else { return };
        let (new, healthy) = (&project.revision, tracked.healthy.as_ref().map(|h| h.project.revision.clone()));
        if tracked.ledger.rolled_back.is_some() {
            let message = format!("revision {} of {path} failed before and is not tried again", short(new));
            self.event(EventType::RolledBack, Severity::Error, Some(name), None, message);
            return;
        }
        let message = format!("revision {} of {path} is in force", short(new));
        self.event(EventType::RevisionLoaded, Severity::Info, Some(name), None, message);
        if let Some(before) = healthy.filter(|before| before != new) {
            let message = format!("revision {} takes the place of {}", short(new), short(&before));
            self.event(EventType::RolloutStarted, Severity::Info, Some(name), None, message);
        }
    }
}

/// As much of a revision as people read.
fn short(revision: &str) -> String {
    revision.chars().take(12).collect()
}
