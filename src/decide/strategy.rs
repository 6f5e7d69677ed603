//! Recoveries that take more than a restart: emptying a service, giving up others for it, starting the whole project
//! again, and what becomes of dependents meanwhile. What has begun is in the ledger, and goes on after a crash.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::decide::recovery::pace::{self, Verdict};
use crate::decide::replica::readiness;
use crate::decide::replica::slots::{Filled, Phase, Slot, Slots};
use crate::decide::{Action, BreakerState, Cause, Decision, Input};
use crate::model::ledger::{ProjectRestart, Subject};
use crate::model::observed::{Container, Health};
use crate::model::service::{Cascade, FailureKind, Strategy};
use crate::model::state::{ProjectState, ServiceState};
use crate::model::{ContainerId, Project, Service, ServiceName, names, time};

/// So long a service is well before what was given up for it is started again.
const STEADY: Duration = Duration::from_secs(10);

/// A run that began so soon after a restart was asked for is that restart.
const RESTART: Duration = Duration::from_secs(120);

/// A change in how far a recovery has come that takes more than a restart: to be remembered.
#[derive(Debug, Clone, PartialEq)]
pub enum RecoveryTransition {
    /// A service is emptied and made anew.
    Reset {
        /// The replica that failed.
        subject: Subject,
        /// The failure that it is done for.
        cause: Cause,
        /// Volumes that are removed, by their names in the Engine.
        volumes: BTreeSet<String>,
        /// Anonymous volumes that are handed on, by replica and path in the container.
        kept: BTreeMap<Subject, BTreeMap<String, String>>,
    },
    /// A service that was to be emptied is empty.
    IsReset {
        /// The service that is empty.
        service: ServiceName,
    },
    /// The manifest no longer has a service that was being recovered.
    IsGone {
        /// The service that is gone.
        service: ServiceName,
    },
    /// Others are given up for a service.
    Degraded {
        /// The service that others are stopped for.
        service: ServiceName,
    },
    /// The others may run again.
    Restored {
        /// The service that is healthy again.
        service: ServiceName,
    },
    /// The project is started again as a whole.
    ProjectRestart {
        /// The replica that failed.
        subject: Subject,
        /// The failure that it is done for.
        cause: Cause,
        /// Its container: should it have ended, that is answered by this.
        failed: Option<ContainerId>,
        /// Containers that are stopped first.
        containers: BTreeSet<ContainerId>,
    },
    /// All containers of a project that is started again are stopped.
    ProjectStopped,
}

/// The kind of a cause that a replica is started again for.
pub(super) fn kind_of(cause: &Cause) -> Option<FailureKind> {
    match cause {
        Cause::Unhealthy { .. } | Cause::TimedOut { .. } => Some(FailureKind::Unhealthy),
        Cause::Exited { .. } | Cause::Killed { .. } => Some(FailureKind::Crashed),
        Cause::OutOfMemory { .. } => Some(FailureKind::OutOfMemory),
        Cause::OverLimit { .. } => Some(FailureKind::OverLimit),
        _ => None,
    }
}

/// How a replica fails now; `None`: it does not, or nothing can be told yet.
fn failing(slot: &Slot<'_>) -> Option<FailureKind> {
    match &slot.phase {
        Phase::Running { health: Health::Unhealthy, .. } => Some(FailureKind::Unhealthy),
        Phase::Restarting => Some(FailureKind::Crashed),
        Phase::Ended(Verdict::Again { cause, .. }) => kind_of(cause),
        _ => None,
    }
}

/// Services that are kept down for the sake of others.
pub(super) struct Outages<'a>(BTreeMap<&'a ServiceName, Outage<'a>>);

/// Why a service is kept down.
#[derive(Debug, Clone, Copy)]
pub(super) enum Outage<'a> {
    /// That service is not well and says that this one is given up for it.
    GivenUp(&'a ServiceName),
    /// That service is not well and says that its dependents are stopped.
    Cascade(&'a ServiceName),
}

impl Outage<'_> {
    pub(super) fn cause(self) -> Cause {
        match self {
            Self::GivenUp(service) => Cause::GivenUp { service: service.clone() },
            Self::Cascade(service) => Cause::Cascade { dependency: service.clone() },
        }
    }
}

impl<'a> Outages<'a> {
    pub(super) fn of(input: &Input<'_>, project: &'a Project, slots: &Slots<'a>, decision: &mut Decision) -> Self {
        let mut outages = BTreeMap::new();
        for filled in slots.by_name() {
            let service: &'a _ = filled.service;
            let recovery = &service.extension.recovery;
            if recovery.cascade == Cascade::Stop && is_down(input, filled) {
                for dependent in dependents(project, &service.name) {
                    outages.insert(dependent, Outage::Cascade(&service.name));
                }
            }
            if !recovery.give_up.is_empty() && gives_up(input, filled, decision) {
                let all = project.services.keys().filter(|name| recovery.give_up.contains(*name));
                outages.extend(all.map(|name| (name, Outage::GivenUp(&service.name))));
            }
        }
        Self(outages)
    }

    pub(super) fn get(&self, service: &ServiceName) -> Option<Outage<'a>> {
        self.0.get(service).copied()
    }

    /// Whether another service that is to be stopped needs this one: it goes first.
    pub(super) fn is_needed(
        &self,
        project: &Project,
        service: &ServiceName,
        runs: impl Fn(&ServiceName) -> bool,
    ) -> bool {
        let needs =
            |name: &ServiceName| project.services.get(name).is_some_and(|other| other.depends_on.contains_key(service));
        self.0.keys().any(|other| *other != service && needs(other) && runs(other))
    }
}

/// Everything that needs a service, directly or not.
fn dependents<'p>(project: &'p Project, service: &ServiceName) -> BTreeSet<&'p ServiceName> {
    let mut found: BTreeSet<&ServiceName> = BTreeSet::new();
    loop {
        let needs = |name: &ServiceName| name == service || found.contains(name);
        let more = project.services.values().filter(|other| {
            other.depends_on.iter().any(|(name, d)| d.required && needs(name)) || other.lives_in().any(needs)
        });
        let all: BTreeSet<_> = more.map(|other| &other.name).filter(|name| *name != service).collect();
        if all.len() == found.len() {
            return found;
        }
        found = all;
    }
}

/// Whether a service is down for longer than a restart takes.
fn is_down(input: &Input<'_>, filled: &Filled<'_>) -> bool {
    filled.slots.iter().any(|slot| {
        let subject = Subject::Replica(filled.service.name.clone(), slot.number);
        let known = input.ledger.slots.get(&subject);
        let policy = input.recovery.of(filled.service);
        let open = known.is_some_and(|known| BreakerState::of(known, &policy, input.now) == BreakerState::Open);
        match &slot.phase {
            Phase::Running { health: Health::Unhealthy, .. } => true,
            Phase::Ended(Verdict::Again { attempts, cause, .. }) => *attempts > 0 && kind_of(cause).is_some(),
            Phase::Ended(Verdict::Final { .. }) => true,
            // It was started again, and is still to show that it is well.
            Phase::Running { since, health: Health::Starting } => known
                .and_then(|known| known.last_restart)
                .is_some_and(|at| at <= *since && time::between(at, *since) < RESTART),
            phase => open && !readiness::came_up(phase),
        }
    })
}

/// Whether others are given up for this service now.
fn gives_up(input: &Input<'_>, filled: &Filled<'_>, decision: &mut Decision) -> bool {
    let service = filled.service;
    let known = input.ledger.degraded.contains_key(&service.name);
    let asks = |kind| service.extension.recovery.strategy(kind) == Strategy::DegradedMode;
    if filled.slots.iter().filter_map(failing).any(asks) {
        if !known {
            decision.transitions.push(RecoveryTransition::Degraded { service: service.name.clone() });
        }
        return true;
    }
    if !known {
        return false;
    }
    let since = filled.slots.iter().map(|slot| match slot.phase {
        Phase::Running { since, .. } if readiness::came_up(&slot.phase) => Some(since.min(input.now)),
        _ => None,
    });
    // Not all of them are up.
    let Some(since) = since.collect::<Option<Vec<_>>>() else { return true };
    // It may have run all the while, and be well again.
    let began = input.ledger.degraded.get(&service.name).copied();
    let due = time::after(since.into_iter().chain(began).max().unwrap_or(input.now).min(input.now), STEADY);
    if due > input.now {
        decision.wake(due);
        return true;
    }
    decision.transitions.push(RecoveryTransition::Restored { service: service.name.clone() });
    false
}

/// The volumes that a service's manifest lets be emptied, by their names in the Engine.
pub(super) fn reset_volumes(project: &Project, service: &Service) -> BTreeSet<String> {
    let volumes = service.extension.recovery.reset_volumes.iter().filter_map(|key| project.volumes.get(key));
    volumes.filter(|volume| !volume.external).map(|volume| volume.name.clone()).collect()
}

/// Begins what a strategy asks for beyond a restart; `false`: a restart is all.
pub(super) fn begins(
    input: &Input<'_>,
    project: &Project,
    slots: &Slots<'_>,
    filled: &Filled<'_>,
    slot: &Slot<'_>,
    cause: &Cause,
    decision: &mut Decision,
) -> bool {
    let Some(kind) = kind_of(cause) else { return false };
    let service = filled.service;
    let subject = Subject::Replica(service.name.clone(), slot.number);
    match service.extension.recovery.strategy(kind) {
        Strategy::RestartWithReset => {
            let volumes = reset_volumes(project, service);
            let anonymous = |container: &Container| {
                let all = container.volumes.iter().filter(|(_, volume)| names::is_anonymous(volume));
                all.map(|(path, volume)| (path.clone(), volume.clone())).collect::<BTreeMap<_, _>>()
            };
            let kept = filled
                .slots
                .iter()
                .filter_map(|s| Some((Subject::Replica(service.name.clone(), s.number), anonymous(s.current?))));
            let kept = kept.filter(|(_, volumes)| !volumes.is_empty()).collect();
            decision.transitions.push(RecoveryTransition::Reset { subject, cause: cause.clone(), volumes, kept });
        }
        Strategy::ProjectRestart => {
            let of_service = |filled: &Filled<'_>| {
                let alone =
                    filled.service.extension.suspend || input.ledger.suspended_services.contains(&filled.service.name);
                !alone && !filled.is_job
            };
            let running = slots.by_name().filter(|f| of_service(f)).flat_map(|f| &f.slots);
            let containers = running.filter_map(|s| s.current.filter(|c| c.is_running())).map(|c| c.id.clone());
            let containers = containers.collect();
            decision.transitions.push(RecoveryTransition::ProjectRestart {
                subject,
                cause: cause.clone(),
                failed: slot.current.map(|c| c.id.clone()),
                containers,
            });
        }
        Strategy::Restart | Strategy::DegradedMode | Strategy::None => return false,
    }
    true
}

/// Stops what is left to be stopped of a project that is started again as a whole, dependents first.
pub(super) fn restart_project(input: &Input<'_>, project: &Project, restart: &ProjectRestart, decision: &mut Decision) {
    let left = restart.containers.iter().filter_map(|id| input.observed.containers.get(id));
    let left: Vec<&Container> = left.filter(|c| c.is_running()).collect();
    for name in project.services.keys() {
        let runs = left.iter().any(|c| c.service.as_ref() == Some(name));
        let state = if runs { ServiceState::Stopping } else { ServiceState::Starting { since: None } };
        decision.services.insert(name.clone(), state);
    }
    if left.is_empty() && input.in_flight.is_empty() {
        decision.transitions.push(RecoveryTransition::ProjectStopped);
    }
    for container in &left {
        let Some(service) = container.service.as_ref().and_then(|name| project.services.get(name)) else { continue };
        let needs = |other: &&Container| {
            let other = other.service.as_ref().and_then(|name| project.services.get(name));
            other.is_some_and(|o| o.depends_on.contains_key(&service.name) || o.lives_in().any(|s| *s == service.name))
        };
        if left.iter().any(|other| other.id != container.id && needs(other)) {
            continue;
        }
        let action = Action::StopContainer {
            service: service.name.clone(),
            number: container.number,
            container: container.id.clone(),
            grace: service.stop_grace_period,
        };
        let cause = Cause::ProjectRestart { service: restart.service.clone() };
        pace::attempt(input, decision, action, cause, &service.config_hash);
    }
    decision.state = Some(ProjectState::Progressing);
}
