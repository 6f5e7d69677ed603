//! What was decided last about each project, and what follows for others.

use std::collections::{BTreeMap, BTreeSet};

use tokio::time::Instant;

use super::ledger::Revision;
use crate::decide::{Decision, WaitingOn};
use crate::manifest::Loaded;
use crate::model::state::ProjectState;
use crate::model::{Project, ProjectName, Timestamp};

/// The last decisions.
#[derive(Debug, Default)]
pub(super) struct Decisions {
    projects: BTreeMap<ProjectName, Decided>,
    /// Who depends on a project.
    dependents: BTreeMap<ProjectName, BTreeSet<ProjectName>>,
    /// Projects that wait for a port of the host.
    for_ports: BTreeSet<ProjectName>,
    /// Projects that wait for memory or CPUs of the host.
    for_resources: BTreeSet<ProjectName>,
}

#[derive(Debug, Default)]
struct Decided {
    decision: Decision,
    depends_on: BTreeSet<ProjectName>,
    last_converged: Option<Timestamp>,
    /// Since when it is not converged.
    unsettled: Option<Instant>,
}

impl Decisions {
    /// The last decision about a project.
    pub(super) fn of(&self, name: &ProjectName) -> &Decision {
        static NONE: std::sync::LazyLock<Decision> = std::sync::LazyLock::new(Decision::default);
        self.projects.get(name).map_or(&NONE, |decided| &decided.decision)
    }

    /// Takes in a decision; gives the one before.
    pub(super) fn set(&mut self, name: &ProjectName, decision: Decision) -> Decision {
        let waits = |is: fn(&WaitingOn) -> bool| decision.waiting.iter().any(|w| is(&w.on));
        let ports = waits(|on| matches!(on, WaitingOn::Port { .. }));
        let resources = waits(|on| matches!(on, WaitingOn::Resources { .. }));
        for (all, waits) in [(&mut self.for_ports, ports), (&mut self.for_resources, resources)] {
            if waits {
                all.insert(name.clone());
            } else {
                all.remove(name);
            }
        }
        std::mem::replace(&mut self.projects.entry(name.clone()).or_default().decision, decision)
    }

    /// Another revision of a project is in force.
    pub(super) fn target_is(&mut self, name: &ProjectName, target: Option<&Project>) {
        let wanted = target.map(|p| p.extension.depends_on.iter().cloned().collect()).unwrap_or_default();
        let decided = self.projects.entry(name.clone()).or_default();
        let before = std::mem::replace(&mut decided.depends_on, wanted);
        for other in before.difference(&decided.depends_on) {
            if let Some(dependents) = self.dependents.get_mut(other) {
                dependents.remove(name);
                if dependents.is_empty() {
                    self.dependents.remove(other);
                }
            }
        }
        for other in decided.depends_on.difference(&before) {
            self.dependents.entry(other.clone()).or_default().insert(name.clone());
        }
    }

    /// The projects that depend on this one.
    pub(super) fn dependents(&self, name: &ProjectName) -> impl Iterator<Item = &ProjectName> {
        self.dependents.get(name).into_iter().flatten()
    }

    /// A project is as it should be now; gives how long it was not.
    pub(super) fn converged(&mut self, name: &ProjectName, now: Timestamp) -> std::time::Duration {
        let decided = self.projects.entry(name.clone()).or_default();
        decided.last_converged = Some(now);
        decided.unsettled.take().map(|since| since.elapsed()).unwrap_or_default()
    }

    /// A project is not as it should be.
    pub(super) fn unsettled(&mut self, name: &ProjectName) {
        self.projects.entry(name.clone()).or_default().unsettled.get_or_insert_with(Instant::now);
    }

    pub(super) fn last_converged(&self, name: &ProjectName) -> Option<Timestamp> {
        self.projects.get(name)?.last_converged
    }

    /// Projects that wait for a port of the host.
    pub(super) fn waiting_for_ports(&self) -> &BTreeSet<ProjectName> {
        &self.for_ports
    }

    /// Projects that wait for memory or CPUs of the host.
    pub(super) fn waiting_for_resources(&self) -> &BTreeSet<ProjectName> {
        &self.for_resources
    }

    /// A project is gone.
    pub(super) fn forget(&mut self, name: &ProjectName) {
        self.target_is(name, None);
        self.projects.remove(name);
        self.for_ports.remove(name);
        self.for_resources.remove(name);
    }
}

/// How a project is, for other projects and for people.
pub(super) fn state(manifest: Option<&Loaded>, revision: &Revision, decision: &Decision) -> ProjectState {
    let is_valid = manifest.is_none_or(|m| m.project.is_some());
    match decision.state {
        _ if !is_valid => ProjectState::Invalid,
        // Nothing is known yet of the revision in force.
        _ if !revision.is_decided() => ProjectState::Waiting,
        Some(state) => state,
        None => ProjectState::Waiting,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_depends_on_a_project_is_known_as_long_as_that_is_so() {
        let [shop, infra] = ["shop", "infra"].map(ProjectName::trusted);
        let mut decisions = Decisions::default();
        let mut project = Project::empty("shop");
        project.extension.depends_on.push(infra.clone());
        decisions.target_is(&shop, Some(&project));
        assert_eq!(decisions.dependents(&infra).collect::<Vec<_>>(), [&shop]);
        decisions.target_is(&shop, Some(&Project::empty("shop")));
        assert_eq!(decisions.dependents(&infra).count(), 0);
        decisions.target_is(&shop, Some(&project));
        decisions.forget(&shop);
        assert!(decisions.dependents.is_empty() && decisions.projects.is_empty());
    }
}
