//! Between the answer to a call and the sight of its effect.

use std::collections::BTreeMap;

use super::Controller;
use super::injected_fault::{self, InjectedFault};
use crate::decide::memory;
use crate::model::ledger::Subject;
use crate::model::{ContainerId, ProjectName};

/// Subjects whose step worked and whose effect was not seen yet: they stay in flight until it is.
#[derive(Debug, Default)]
pub(super) struct Settling {
    pub(super) containers: BTreeMap<ContainerId, (ProjectName, Subject)>,
    pub(super) images: BTreeMap<String, Vec<(ProjectName, Subject)>>,
    pub(super) lists: Vec<(u64, ProjectName, Subject)>,
}

impl Controller {
    pub(super) fn release_container(&mut self, id: &ContainerId) {
        if let Some((project, subject)) = self.settling.containers.remove(id) {
            if let Some(tracked) = self.projects.get_mut(&project) {
                tracked.unsaved |= memory::seen(&mut tracked.ledger, id);
            }
            self.release(&project, &subject);
        }
    }

    pub(super) fn release_image(&mut self, reference: &str) {
        for (project, subject) in self.settling.images.remove(reference).unwrap_or_default() {
            self.release(&project, &subject);
        }
    }

    pub(super) fn release_listed(&mut self, point: u64) {
        let (seen, waiting) =
            std::mem::take(&mut self.settling.lists).into_iter().partition(|(mark, ..)| point >= *mark);
        self.settling.lists = waiting;
        let seen: Vec<(u64, ProjectName, Subject)> = seen;
        for (_, project, subject) in seen {
            self.release(&project, &subject);
        }
    }

    pub(super) fn release_all(&mut self) {
        let settling = std::mem::take(&mut self.settling);
        let lists = settling.lists.into_iter().map(|(_, p, s)| (p, s));
        let all: Vec<_> =
            settling.containers.into_values().chain(settling.images.into_values().flatten()).chain(lists).collect();
        for (project, subject) in all {
            self.release(&project, &subject);
        }
    }

    fn release(&mut self, project: &ProjectName, subject: &Subject) {
        if injected_fault::is(InjectedFault::NeverReleases) {
            return;
        }
        if let Some(tracked) = self.projects.get_mut(project) {
            tracked.in_flight.remove(subject);
            self.dirty.insert(project.clone());
        }
    }
}
