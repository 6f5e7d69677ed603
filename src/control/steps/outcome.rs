//! How a step ended, what that means, and what has to be seen before it is over.

use std::sync::Arc;
use std::time::Duration;

use crate::control::ledger::LedgerPatch;
use crate::decide::memory;
use crate::decide::{Action, Step};
use crate::engine::EngineError;
use crate::model::{ContainerId, Project, ProjectName, Timestamp};

/// How a step ended.
#[derive(Debug)]
pub(in crate::control) struct Outcome {
    pub(in crate::control) project: ProjectName,
    pub(in crate::control) step: Step,
    pub(in crate::control) took: Duration,
    /// The container that it made, if it made one.
    pub(in crate::control) result: Result<Option<ContainerId>, EngineError>,
}

/// What has to be seen before a step is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::control) enum Sight {
    /// Nothing.
    Nothing,
    /// This container, looked at after the call.
    Inspect(ContainerId),
    /// What this reference stands for, looked up after the call.
    LookUp(String),
    /// A list that is begun at this point in the order of arrivals, or later.
    List(u64),
}

/// What has to be seen of a step that worked. `made`: the container that it made; `point`: the order of arrivals now.
pub(in crate::control) fn sight(action: &Action, made: Option<&ContainerId>, point: u64) -> Sight {
    match action {
        Action::CreateContainer { .. } => made.map_or(Sight::Nothing, |id| Sight::Inspect(id.clone())),
        Action::RemoveContainer { .. } => Sight::Nothing,
        Action::PullImage { image } | Action::BuildImage { image, .. } => Sight::LookUp(image.clone()),
        action => action.container().map_or(Sight::List(point), |id| Sight::Inspect(id.clone())),
    }
}

/// What is noted of steps before their calls are made.
pub(in crate::control) fn begin_patch(steps: Vec<Step>, target: Option<Arc<Project>>, now: Timestamp) -> LedgerPatch {
    LedgerPatch::new(move |ledger| {
        for step in &steps {
            memory::begins(ledger, target.as_deref(), step, now);
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ServiceName;
    use crate::model::ledger::ProjectLedger;

    #[test]
    fn a_removal_needs_no_sight_and_a_network_a_list() {
        let (service, container) = (ServiceName::trusted("a"), ContainerId::trusted("c"));
        let remove = Action::RemoveContainer { service, number: 1, container };
        assert_eq!(sight(&remove, None, 7), Sight::Nothing);
        let network = Action::CreateNetwork { key: "k".into(), name: "n".into() };
        assert_eq!(sight(&network, None, 7), Sight::List(7));
    }

    #[test]
    fn a_step_is_noted_before_its_call() {
        let action = Action::CreateVolume { key: "k".into(), name: "v".into() };
        let step = Step { action, cause: crate::decide::Cause::Missing };
        let mut ledger = ProjectLedger::default();
        begin_patch(vec![step], None, Timestamp::UNIX_EPOCH).apply(&mut ledger);
        assert_eq!(ledger.in_flight.len(), 1);
    }
}
