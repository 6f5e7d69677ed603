//! Taking away: a whole project, a service that the manifest no longer names, replicas beyond the number. Dependents go
//! before what they depend on.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::decide::recovery::pace;
use crate::decide::{Action, Cause, Decision, Input, WaitingOn};
use crate::model::ledger::Subject;
use crate::model::observed::{Container, ContainerState};
use crate::model::state::{ProjectState, ServiceState};
use crate::model::{ContainerId, Project, ServiceName, Timestamp};

/// The Engine carries out what it was asked for though nobody waits for the answer any more; by then it has. A create or
/// start takes under a second (measured), ten times that under load.
const UNANSWERED: Duration = Duration::from_secs(30);

/// Removes everything of the project but volumes; those too where `down --volumes` asked for it.
pub(in crate::decide) fn project(input: &Input<'_>, last: Option<&Project>, decision: &mut Decision) {
    let cause = if input.ledger.down.is_some() { Cause::Down } else { Cause::ProjectRemoved };
    let all: Vec<&Container> = input.observed.containers.values().filter(|c| c.project == *input.project).collect();
    for service in all.iter().filter_map(|c| c.service.as_ref()) {
        decision.services.insert(service.clone(), ServiceState::Stopping);
    }
    containers(input, last, &all, &cause, decision);
    let networks: Vec<_> =
        input.observed.networks.values().filter(|n| n.project.as_ref() == Some(input.project)).collect();
    let with_volumes = input.ledger.down.as_ref().is_some_and(|d| d.volumes);
    let volumes: Vec<_> =
        input.observed.volumes.values().filter(|v| with_volumes && v.project.as_ref() == Some(input.project)).collect();
    if all.is_empty() {
        let mut taken = BTreeSet::new();
        for network in &networks {
            let action = Action::RemoveNetwork { id: network.id.clone(), name: network.name.clone() };
            attempt(input, decision, &mut taken, action, &cause, network.id.as_str());
        }
        for volume in &volumes {
            let action = Action::RemoveVolume { name: volume.name.clone() };
            attempt(input, decision, &mut taken, action, &cause, &volume.name);
        }
    }
    decision.gone = all.is_empty() && networks.is_empty() && volumes.is_empty() && input.in_flight.is_empty();
    if let (true, Some(until)) = (decision.gone, late(input)) {
        // What is forgotten is nobody's: what is still to come would stay for ever.
        decision.gone = false;
        decision.wake(until);
        decision.wait(None, WaitingOn::Unanswered { until });
    }
    let failing = decision.waiting.iter().any(|w| matches!(w.on, WaitingOn::Backoff { .. }));
    decision.state = Some(match (decision.gone, failing) {
        (true, _) => ProjectState::Converged,
        (_, true) => ProjectState::Degraded,
        _ => ProjectState::Progressing,
    });
}

/// Until when a call that was never answered may still take effect.
fn late(input: &Input<'_>) -> Option<Timestamp> {
    // What a clock that was set since told says nothing.
    let unanswered = input.ledger.unanswered.filter(|at| *at <= input.now)?;
    let until = unanswered.checked_add(UNANSWERED).ok()?;
    (until > input.now).then_some(until)
}

/// Removes these containers, those that others of them depend on last.
pub(in crate::decide) fn containers(
    input: &Input<'_>,
    last: Option<&Project>,
    doomed: &[&Container],
    cause: &Cause,
    decision: &mut Decision,
) {
    // It is asked for each service, and mostly there is none.
    if doomed.is_empty() {
        return;
    }
    let mut needed_by: BTreeMap<&ServiceName, Vec<&ContainerId>> = BTreeMap::new();
    for container in doomed.iter().filter(|c| c.is_running()) {
        let declared = container.service.as_ref().and_then(|s| last?.services.get(s));
        let from_manifest = declared.into_iter().flat_map(|s| s.depends_on.keys());
        let from_label = declared.is_none().then_some(&container.depends_on).into_iter().flatten();
        for service in from_manifest.chain(from_label) {
            needed_by.entry(service).or_default().push(&container.id);
        }
    }
    let mut taken: BTreeSet<Subject> = decision.steps.iter().map(|s| s.action.subject()).collect();
    for container in doomed {
        let needed = container
            .service
            .as_ref()
            .and_then(|service| needed_by.get(service))
            .is_some_and(|by| by.iter().any(|id| **id != container.id));
        let service = container.service.clone().unwrap_or_else(|| ServiceName::trusted("-"));
        let (number, id) = (container.number, container.id.clone());
        let action = match container.state {
            ContainerState::Removing => continue,
            _ if container.is_running() && needed => continue,
            _ if container.is_running() => {
                let grace = last.and_then(|p| p.services.get(&service)).and_then(|s| s.stop_grace_period);
                Action::StopContainer { service, number, container: id, grace }
            }
            _ => Action::RemoveContainer { service, number, container: id },
        };
        let config = action.config(match input.target {
            crate::decide::Target::Declared(project) => Some(project),
            _ => None,
        });
        attempt(input, decision, &mut taken, action, cause, &config);
    }
}

/// Adds a step unless its subject is taken by one already or waits for its next attempt.
fn attempt(
    input: &Input<'_>,
    decision: &mut Decision,
    taken: &mut BTreeSet<Subject>,
    action: Action,
    cause: &Cause,
    config: &str,
) {
    let subject: Subject = action.subject();
    if input.in_flight.contains_key(&subject) || taken.contains(&subject) {
        return;
    }
    if let Some((failure, until)) = pace::backoff(input, &subject, config) {
        decision.wake(until);
        decision.wait(
            action.service(),
            WaitingOn::Backoff { until, attempts: failure.attempts, error: failure.error.clone() },
        );
        return;
    }
    taken.insert(subject);
    decision.step(action, cause.clone());
}
