//! Whether what a service depends on is ready.

use std::collections::BTreeSet;

use super::slots::{Phase, Slots};
use crate::decide::recovery::pace::Verdict;
use crate::decide::{Action, Decision, Input, Waiting, WaitingOn};
use crate::model::ledger::Subject;
use crate::model::observed::{Container, Health};
use crate::model::service::Condition;
use crate::model::state::ProjectState;
use crate::model::{ContainerId, Project, Service, ServiceName, Timestamp, time};

/// The projects that must be converged before something of this one is started, and are not.
pub(in crate::decide) fn projects(input: &Input<'_>, project: &Project) -> Vec<Waiting> {
    let mut waiting = Vec::new();
    for other in &project.extension.depends_on {
        let because = match input.others.get(other) {
            Some(ProjectState::Converged) => continue,
            Some(state) => format!("it is {}", state.as_str()),
            None => "there is no such project".to_owned(),
        };
        waiting.push(Waiting { service: None, on: WaitingOn::Project { project: other.clone(), because } });
    }
    waiting
}

/// The dependencies of a service that keep it from starting now. `decision`: so far, which is all about the dependencies.
pub(in crate::decide) fn unmet(
    input: &Input<'_>,
    slots: &Slots<'_>,
    project: &Project,
    service: &Service,
    decision: &Decision,
) -> Vec<Waiting> {
    let mut unmet = Vec::new();
    for (name, dependency) in &service.depends_on {
        if !project.services.contains_key(name) {
            // The loader refuses this unless `required: false`.
            continue;
        }
        let Some((because, failed)) = lacking(input, slots, name, dependency.condition, decision) else { continue };
        if failed && !dependency.required {
            continue;
        }
        unmet.push(Waiting {
            service: Some(service.name.clone()),
            on: WaitingOn::Dependency { dependency: name.clone(), condition: dependency.condition, because },
        });
    }
    unmet
}

/// Why a dependency's condition does not hold, and whether that is a failure rather than a matter of time.
fn lacking(
    input: &Input<'_>,
    slots: &Slots<'_>,
    name: &ServiceName,
    condition: Condition,
    decision: &Decision,
) -> Option<(String, bool)> {
    let filled = slots.find(name)?;
    filled.slots.iter().find_map(|slot| {
        let subject = Subject::Replica(name.clone(), slot.number);
        let failing = input.ledger.failures.get(&subject).map(|f| f.error.clone());
        let progress = |text: &str| match &failing {
            Some(error) => Some((error.clone(), true)),
            None => Some((text.to_owned(), false)),
        };
        if let (Some(current), Phase::Running { since, .. }) = (slot.current, &slot.phase)
            && hooks_pending(input, filled.service, current, *since)
        {
            return progress("its hooks have not run yet");
        }
        let current = slot.current.filter(|current| current.is_running());
        if current.is_some_and(|current| is_ending(input, decision, &subject, &current.id)) {
            return progress("it is being stopped");
        }
        match (&slot.phase, condition) {
            (Phase::Completed, Condition::Started | Condition::CompletedSuccessfully)
            | (Phase::Running { .. }, Condition::Started)
            | (Phase::Running { health: Health::Healthy, .. }, Condition::Healthy) => None,
            (Phase::Running { health, .. }, Condition::Healthy) => Some(match health {
                Health::Unhealthy => ("it is unhealthy".to_owned(), true),
                Health::None => ("it has no health check".to_owned(), true),
                _ => ("its health check has not passed yet".to_owned(), false),
            }),
            (Phase::Running { .. }, Condition::CompletedSuccessfully) => progress("it is still running"),
            (Phase::Completed, Condition::Healthy) => Some(("it has ended".to_owned(), true)),
            (Phase::Absent, _) => progress("it is not made yet"),
            (Phase::Created, _) => progress("it is not started yet"),
            (Phase::Paused, _) => progress("it is paused"),
            (Phase::Restarting, _) => Some(("the Engine restarts it".to_owned(), true)),
            (Phase::Removing | Phase::Dead, _) => progress("it is being removed"),
            (Phase::Ended(Verdict::Again { attempts, .. }), _) => {
                Some(("it is down and will be started again".to_owned(), *attempts > 0))
            }
            (Phase::Ended(Verdict::Final { reason }), _) => Some((reason.clone(), true)),
            (Phase::Ended(Verdict::Completed), _) => Some(("it has ended".to_owned(), false)),
        }
    })
}

/// Whether a container runs only as long as a step takes that stops it.
fn is_ending(input: &Input<'_>, decision: &Decision, subject: &Subject, container: &ContainerId) -> bool {
    let stops =
        |action: &Action| matches!(action, Action::StopContainer { container: stopped, .. } if stopped == container);
    input.in_flight.get(subject).is_some_and(stops) || decision.steps.iter().any(|step| stops(&step.action))
}

/// Whether the `post_start` hooks of a run are still to be run. Of one that somebody else began they are not ours.
pub(in crate::decide) fn hooks_pending(
    input: &Input<'_>,
    service: &Service,
    container: &Container,
    since: Timestamp,
) -> bool {
    if service.post_start.is_empty() {
        return false;
    }
    let subject = Subject::Replica(service.name.clone(), container.number);
    let ours = input.ledger.slots.get(&subject).is_some_and(|slot| slot.started.as_ref() == Some(&container.id));
    let run = |at: &Timestamp| time::is_one_start(*at, since);
    ours && !input.ledger.hooked.get(&container.id).is_some_and(run)
}

/// Running containers whose first check has not passed yet, and for which a dependent waits, or the container they replace.
pub(in crate::decide) fn awaited(slots: &Slots<'_>, waiting: &[Waiting]) -> BTreeSet<ContainerId> {
    let on = |w: &Waiting| match &w.on {
        WaitingOn::Dependency { dependency, condition: Condition::Healthy, .. } => Some(dependency.clone()),
        _ => None,
    };
    let wanted: BTreeSet<ServiceName> = waiting.iter().filter_map(on).collect();
    let mut awaited = BTreeSet::new();
    for filled in slots.by_name() {
        let wanted = wanted.contains(&filled.service.name);
        for slot in filled.slots.iter().filter(|s| wanted || !s.stale.is_empty()) {
            if let (Some(current), Phase::Running { health: Health::Starting, .. }) = (slot.current, &slot.phase) {
                awaited.insert(current.id.clone());
            }
        }
    }
    awaited
}

/// Whether a replacement has come up, so that the container it replaces may go.
pub(in crate::decide) fn came_up(phase: &Phase) -> bool {
    matches!(phase, Phase::Completed | Phase::Running { health: Health::None | Health::Healthy, .. })
}
