//! The containers of one service: what is to be done about each replica, and how it is.

mod recover;
pub(super) mod removal;
mod replace;
mod steps;

use crate::decide::recovery::breaker;
use crate::decide::recovery::pace::{self, Verdict};
use crate::decide::replica::readiness;
use crate::decide::replica::slots::{Filled, Phase, Slot, Slots, attached};
use crate::decide::resources::Prerequisites;
use crate::decide::rollout::Rollout;
use crate::decide::strategy::{self, Outages};
use crate::decide::throttle;
use crate::decide::{Action, Cause, Decision, Input, Waiting, WaitingOn};
use crate::model::ledger::{Failure, Subject};
use crate::model::observed::{Container, ContainerState, Health};
use crate::model::service::Cascade;
use crate::model::setback::Setback;
use crate::model::state::ServiceState;
use crate::model::{Project, Service, ServiceName, Timestamp};

/// What is decided once for the whole project, and holds for each of its services.
pub(in crate::decide) struct Surroundings<'a, 'i> {
    pub(in crate::decide) input: &'i Input<'i>,
    pub(in crate::decide) project: &'a Project,
    pub(in crate::decide) slots: &'a Slots<'i>,
    /// Services that are kept down for the sake of others.
    pub(in crate::decide) outages: &'a Outages<'a>,
    pub(in crate::decide) prerequisites: &'a Prerequisites,
    /// The projects that are waited for.
    pub(in crate::decide) other_projects: &'a [Waiting],
    pub(in crate::decide) rollout: &'a Rollout<'i>,
}

/// Decides about one service, and says how it is. Steps are added in the order of urgency. `place`: the service's in the
/// order of their names.
pub(in crate::decide) fn decide<'a, 'i>(
    surroundings: &Surroundings<'a, 'i>,
    place: usize,
    filled: &'a Filled<'i>,
    decision: &mut Decision,
) -> ServiceState {
    let Surroundings { input, project, slots, outages, prerequisites, other_projects, rollout } = *surroundings;
    let service = filled.service;
    if service.extension.suspend || input.ledger.suspended_services.contains(&service.name) {
        decision.wait(Some(&service.name), WaitingOn::Suspended);
        filled
            .slots
            .iter()
            .filter_map(|slot| slot.current)
            .for_each(|c| throttle::give_back(input, service, c, decision));
        return ServiceState::Suspended;
    }
    let turn = Turn { input, project, slots, outages, prerequisites, other_projects, rollout, place, filled, service };
    if let Some(reset) = input.ledger.resets.get(&service.name) {
        return turn.reset(reset, decision);
    }
    if let Some(outage) = outages.get(&service.name) {
        return turn.keep_down(outage, decision);
    }
    let mut worst = ServiceState::NotStarted;
    for slot in &filled.slots {
        // While a change is made the Engine tells of it, and of what it was before should the change be refused.
        let changing = input.in_flight.contains_key(&turn.subject(slot));
        if let Some(current) = slot.current.filter(|_| !changing) {
            filled.drift.note(current, decision);
        }
        let steps = decision.steps.len();
        let state = turn.slot(slot, decision);
        if decision.steps.len() == steps {
            turn.ease(slot, decision);
        }
        worst = worse(worst, state);
    }
    // Half a file may say fewer replicas, too.
    if filled.surplus.is_empty() || input.absences_confirmed {
        removal::containers(input, Some(project), &filled.surplus, &Cause::ScaledDown, decision);
    } else {
        decision.wait(Some(&service.name), WaitingOn::Confirmation);
    }
    worst
}

fn worse(a: ServiceState, b: ServiceState) -> ServiceState {
    let rank = |s: &ServiceState| match s {
        ServiceState::NotStarted => 0,
        ServiceState::Completed => 1,
        ServiceState::Running { health: Health::Unhealthy, .. } => 3,
        ServiceState::Running { .. } => 2,
        ServiceState::Starting { .. } => 4,
        ServiceState::Stopping => 5,
        ServiceState::Waiting { .. } => 6,
        ServiceState::Suspended => 7,
        ServiceState::Stopped { .. } => 8,
        ServiceState::Failed { .. } => 9,
    };
    match (&a, &b) {
        (ServiceState::Running { since: x, .. }, ServiceState::Running { since: y, .. }) if rank(&a) == rank(&b) => {
            if x > y { a } else { b }
        }
        _ if rank(&b) >= rank(&a) => b,
        _ => a,
    }
}

/// How a service is of which a step failed.
fn failed(failure: &Failure) -> ServiceState {
    ServiceState::Failed { error: failure.error.clone(), attempts: failure.attempts, kind: failure.kind }
}

/// Whether a step leaves this container running.
fn spares(action: &Action, container: Option<&Container>) -> bool {
    match action {
        Action::RenameContainer { .. }
        | Action::ConnectNetwork { .. }
        | Action::DisconnectNetwork { .. }
        | Action::UpdateContainer { .. }
        | Action::SignalContainer { .. }
        | Action::RunHooks { .. } => true,
        Action::StopContainer { container: other, .. } | Action::RemoveContainer { container: other, .. } => {
            container.is_some_and(|c| c.id != *other)
        }
        _ => false,
    }
}

struct Turn<'a, 'i> {
    input: &'i Input<'i>,
    project: &'a Project,
    slots: &'a Slots<'i>,
    outages: &'a Outages<'a>,
    prerequisites: &'a Prerequisites,
    other_projects: &'a [Waiting],
    rollout: &'a Rollout<'i>,
    place: usize,
    filled: &'a Filled<'i>,
    service: &'a Service,
}

impl Turn<'_, '_> {
    fn subject(&self, slot: &Slot<'_>) -> Subject {
        Subject::Replica(self.service.name.clone(), slot.number)
    }

    fn slot(&self, slot: &Slot<'_>, decision: &mut Decision) -> ServiceState {
        let subject = self.subject(slot);
        match self.input.in_flight.get(&subject) {
            Some(Action::StopContainer { .. } | Action::RemoveContainer { .. }) if slot.current.is_none() => {
                return ServiceState::Stopping;
            }
            // Its name, its networks, or what it replaced: it serves all the while.
            Some(action) if readiness::came_up(&slot.phase) && spares(action, slot.current) => {
                let state = self.settled_state(slot, &mut Decision::default());
                return self.refused(&subject).unwrap_or(state);
            }
            Some(_) => return ServiceState::Starting { since: None },
            None => {}
        }
        if self.prerequisites.detaching.contains(&subject) {
            return ServiceState::Starting { since: None };
        }
        let mut held = false;
        if let Some((failure, until)) = pace::backoff(self.input, &subject, &self.service.config_hash) {
            let state = self.hold(until, failure.attempts, failure.kind, failure.error.clone(), decision);
            if !failure.in_place {
                let slots = &self.input.ledger.slots;
                let tried = slots.get(&subject).and_then(|s| s.fall_back_failed).is_some_and(|at| at >= failure.last);
                if !tried {
                    self.fall_back(slot, &subject, decision);
                }
                return state;
            }
            held = true;
        }
        let Some(current) = slot.current else { return self.make(slot, &subject, decision) };
        match slot.phase {
            Phase::Paused => self.unpause(slot, current, decision),
            Phase::Dead => self.remove(slot, current, Cause::Dead, decision),
            _ if slot.stale.is_empty() => {
                let state = self.settled(slot, current, held, decision);
                let runs = matches!(state, ServiceState::Running { .. });
                return self.refused(&subject).filter(|_| runs).unwrap_or(state);
            }
            _ => return self.replacing(slot, current, decision),
        }
        ServiceState::Starting { since: None }
    }

    fn lacking_prerequisites(&self) -> ServiceState {
        let failures = &self.input.ledger.failures;
        let waits = || ServiceState::Waiting { on: "its image, networks and volumes".to_owned() };
        if failures.is_empty() {
            return waits();
        }
        let mut subjects = vec![Subject::Image(self.service.image.clone())];
        subjects.extend(
            self.service
                .networks
                .keys()
                .filter_map(|k| Some(Subject::Network(self.project.networks.get(k)?.name.clone()))),
        );
        subjects.extend(self.project.volumes.values().map(|v| Subject::Volume(v.name.clone())));
        match subjects.iter().find_map(|s| failures.get(s)) {
            Some(failure) => failed(failure),
            None => waits(),
        }
    }

    /// Whether a container has the name of a replacement, `ID_NAME`.
    fn has_temporary_name(&self, slot: &Slot<'_>, container: &Container) -> bool {
        container.name.as_bytes().get(12) == Some(&b'_')
            && container.name.get(13..).is_some_and(|name| name == self.final_name(slot))
    }

    /// How a replica is whose container runs, and could not be changed in place.
    fn refused(&self, subject: &Subject) -> Option<ServiceState> {
        let failure = self.input.ledger.failures.get(subject)?;
        let counts = failure.in_place && failure.config == self.service.config_hash;
        counts.then(|| failed(failure))
    }

    /// A container as desired is there, alone. `held`: a change in place waits for its next attempt.
    fn settled(&self, slot: &Slot<'_>, current: &Container, held: bool, decision: &mut Decision) -> ServiceState {
        if self.has_temporary_name(slot, current) && slot.phase != Phase::Removing {
            let action = Action::RenameContainer {
                service: self.service.name.clone(),
                number: slot.number,
                container: current.id.clone(),
                name: self.final_name(slot),
            };
            decision.step(action, Cause::ReplacementReady);
            return self.settled_state(slot, &mut Decision::default());
        }
        match &slot.phase {
            Phase::Created => {
                if let Some(state) = self.prepare(slot, current, decision) {
                    return state;
                }
                if let Some(state) = self.unready(decision).or_else(|| self.short_of_resources(decision)) {
                    return state;
                }
                decision.step(self.start(slot, current), Cause::Ready);
                ServiceState::Starting { since: None }
            }
            Phase::Ended(Verdict::Again { cause, at, attempts }) => {
                if *at > self.input.now {
                    return self.hold(*at, *attempts, cause.setback(), cause.to_string(), decision);
                }
                if let Some(state) = self.rests(slot, cause, decision) {
                    return state;
                }
                match self.has_stale_network(current) {
                    Some(true) => {
                        self.remove(slot, current, Cause::StaleNetwork, decision);
                        return ServiceState::Starting { since: None };
                    }
                    None => return self.lacking_prerequisites(),
                    Some(false) => {}
                }
                if let Some(state) = self.unready_again(cause, decision) {
                    return state;
                }
                if !strategy::begins(self.input, self.project, self.slots, self.filled, slot, cause, decision) {
                    decision.step(self.start(slot, current), cause.clone());
                }
                ServiceState::Starting { since: None }
            }
            // Detached by hand, or started by hand before its making had come to its end.
            Phase::Running { since, health } => {
                if let Some(service) = self.started_before(*since) {
                    self.stop(slot, current, Cause::StartedBefore { service }, decision);
                    return ServiceState::Starting { since: None };
                }
                let steps = decision.steps.len();
                if readiness::hooks_pending(self.input, self.service, current, *since) {
                    self.run_hooks(slot, current, *since, decision);
                    return ServiceState::Starting { since: Some(*since) };
                }
                if !self.attach(slot, current, decision) && !held {
                    self.mend(slot, current, decision);
                }
                // Last, so that an Engine that refuses it holds nothing else up.
                if decision.steps.len() == steps
                    && !held
                    && let Some((action, cause)) = throttle::step(self.input, self.service, current)
                {
                    decision.step(action, cause);
                }
                if decision.steps.len() == steps {
                    self.recover(slot, current, *since, *health, decision);
                }
                self.settled_state(slot, decision)
            }
            _ => self.settled_state(slot, decision),
        }
    }

    /// The service whose container is younger than this start, though that one is needed: it shares namespaces, which are
    /// made anew with each start, or the manifest wants a restart whenever that service is made anew.
    fn started_before(&self, started: Timestamp) -> Option<ServiceName> {
        let peer = |name: &ServiceName| {
            let container = self.input.observed.containers.get(self.service.peers.get(name)?)?;
            let ContainerState::Running { since } = container.state else { return None };
            (since > started).then(|| name.clone())
        };
        let made_anew = |name: &ServiceName| {
            let slots = self.slots.of_service(name);
            let settled = |s: &Slot<'_>| s.stale.is_empty() && readiness::came_up(&s.phase);
            let younger = |s: &Slot<'_>| s.current.is_some_and(|c| c.created > started);
            slots.iter().all(settled) && slots.iter().any(younger)
        };
        let mut restarting = self.service.depends_on.iter().filter(|(_, d)| d.restart).map(|(name, _)| name);
        self.service.lives_in().find_map(peer).or_else(|| restarting.find(|name| made_anew(name)).cloned())
    }

    /// The state of a slot in which nothing has to be done.
    fn settled_state(&self, slot: &Slot<'_>, decision: &mut Decision) -> ServiceState {
        match &slot.phase {
            Phase::Running { since, health: Health::Starting } => {
                decision.wait(Some(&self.service.name), WaitingOn::Health);
                ServiceState::Starting { since: Some(*since) }
            }
            Phase::Running { since, health } => {
                let slots = &self.input.ledger.slots;
                if *health == Health::Healthy && slots.get(&self.subject(slot)).is_some_and(|s| s.begun.is_some()) {
                    decision.arrived.insert(self.subject(slot));
                }
                let is_over = |c: &Container| self.restarts_over_limit() && c.load.is_some_and(|load| load.memory_high);
                if *health != Health::Unhealthy && !slot.current.is_some_and(is_over) {
                    breaker::close_if_steady(self.input, self.service, &self.subject(slot), *since, decision);
                }
                ServiceState::Running { since: *since, health: *health }
            }
            Phase::Restarting => {
                breaker::note_engine_restarts(self.input, self.service, &self.subject(slot), decision);
                decision.wait(Some(&self.service.name), WaitingOn::EngineRestart);
                let attempts = slot.current.map_or(0, |c| c.restart_count);
                let error = "it ended, and the Engine restarts it".to_owned();
                ServiceState::Failed { error, attempts, kind: Setback::Other }
            }
            Phase::Removing | Phase::Dead => ServiceState::Stopping,
            Phase::Completed | Phase::Ended(Verdict::Completed) => ServiceState::Completed,
            Phase::Ended(Verdict::Final { reason }) => ServiceState::Stopped { reason: reason.clone() },
            Phase::Absent | Phase::Created | Phase::Paused | Phase::Ended(Verdict::Again { .. }) => {
                ServiceState::Starting { since: None }
            }
        }
    }

    fn hold(
        &self,
        until: crate::model::Timestamp,
        attempts: u32,
        kind: Setback,
        error: String,
        decision: &mut Decision,
    ) -> ServiceState {
        decision.wake(until);
        decision.wait(Some(&self.service.name), WaitingOn::Backoff { until, attempts, error: error.clone() });
        ServiceState::Failed { error, attempts, kind }
    }

    /// What is still to be done before a created container may be started.
    fn prepare(&self, slot: &Slot<'_>, current: &Container, decision: &mut Decision) -> Option<ServiceState> {
        let doing = Some(ServiceState::Starting { since: None });
        if !self.input.ledger.prepared.contains(&current.id) {
            self.remove(slot, current, Cause::Unprepared, decision);
            return doing;
        }
        if let Some(missing) = self.service.networks.keys().find(|key| !self.prerequisites.networks.contains_key(*key))
        {
            return Some(ServiceState::Waiting { on: format!("network {missing}") });
        }
        self.attach(slot, current, decision).then_some(ServiceState::Starting { since: None })
    }

    /// Whether a network of an ended container was made anew since: by its id it can never be started again. `None`:
    /// a network is not there.
    fn has_stale_network(&self, container: &Container) -> Option<bool> {
        let mut stale = false;
        for key in self.service.networks.keys() {
            let network = self.input.observed.networks.get(self.prerequisites.networks.get(key)?)?;
            stale |= !attached(container, network);
        }
        Some(stale)
    }

    /// A service whose container it shares with has none: nothing can be made or started for it.
    fn alone(&self) -> Option<ServiceState> {
        let all = self.service.shares_with();
        let missing = all.iter().find(|name| !self.service.peers.contains_key(*name))?;
        Some(ServiceState::Waiting { on: format!("the container of {missing}, which it shares with") })
    }

    /// What keeps the service from starting.
    fn unready(&self, decision: &mut Decision) -> Option<ServiceState> {
        self.lacks(|_| true, decision)
    }

    /// The same for one that ran already: a service that says so keeps its dependents from nothing.
    fn unready_again(&self, cause: &Cause, decision: &mut Decision) -> Option<ServiceState> {
        let counts = |dependency: &ServiceName| {
            let of = self.project.services.get(dependency).map(|s| s.extension.recovery.cascade);
            cause.attempt().is_none() || of != Some(Cascade::Ignore)
        };
        self.lacks(counts, decision)
    }

    /// The host has not got what `deploy.resources.reservations` keeps for the service. What the service's own attributes say
    /// is a wish to the kernel, as it is to Docker.
    fn short_of_resources(&self, decision: &mut Decision) -> Option<ServiceState> {
        let host = self.input.observed.host?;
        let reserved = self.service.deploy.as_ref()?.reservations.as_ref()?;
        let memory = reserved.memory.and_then(|bytes| u64::try_from(bytes.0).ok());
        let memory = memory.filter(|memory| *memory > host.free_memory);
        let memory = memory.map(|memory| (format!("{} MiB of memory", memory >> 20), host.free_memory >> 20));
        let nanos = reserved.nano_cpus.filter(|nanos| *nanos > i64::from(host.cpus) * 1_000_000_000);
        #[allow(clippy::cast_precision_loss)]
        let cpus = nanos.map(|nanos| (format!("{} CPUs", nanos as f64 / 1e9), host.cpus));
        let (reserved, free) = match (memory, cpus) {
            (Some((memory, free)), Some((cpus, all))) => {
                (format!("{memory} and {cpus}"), format!("{free} MiB free, and {all} CPUs"))
            }
            (Some((memory, free)), None) => (memory, format!("{free} MiB free")),
            (None, Some((cpus, all))) => (cpus, format!("{all} CPUs")),
            (None, None) => return None,
        };
        let on = WaitingOn::Resources { reserved, free };
        let state = ServiceState::Waiting { on: on.to_string() };
        decision.wait(Some(&self.service.name), on);
        Some(state)
    }

    fn lacks(&self, counts: impl Fn(&ServiceName) -> bool, decision: &mut Decision) -> Option<ServiceState> {
        if let Some(state) = self.alone() {
            return Some(state);
        }
        if let Some(first) = self.other_projects.first() {
            for waiting in self.other_projects {
                if !decision.waiting.contains(waiting) {
                    decision.waiting.push(waiting.clone());
                }
            }
            return Some(ServiceState::Waiting { on: first.on.to_string() });
        }
        let mut unmet = readiness::unmet(self.input, self.slots, self.project, self.service, decision);
        unmet.retain(|w| !matches!(&w.on, WaitingOn::Dependency { dependency, .. } if !counts(dependency)));
        let state = unmet.first().map(|w| ServiceState::Waiting { on: w.on.to_string() });
        decision.waiting.extend(unmet);
        state
    }
}
