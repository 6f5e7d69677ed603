//! Events and notices: what people and programs are told of decisions, restarts and ends.

use tokio::time::Instant;

use super::Controller;
use super::publish::Notice;
use crate::decide::{Cause, Decision, Drift, RecoveryTransition, Waiting, WaitingOn, memory};
use crate::model::event::{EventType, Severity};
use crate::model::ledger::Subject;
use crate::model::observed::Health;
use crate::model::state::{ProjectState, ServiceState};
use crate::model::{ContainerId, ProjectName, ServiceName};

impl Controller {
    /// Events and notices about what a decision found changed.
    pub(super) fn tell_changes(&mut self, name: &ProjectName, before: &Decision, after: &Decision) {
        for (service, state) in &after.services {
            let up = |s: Option<&ServiceState>| matches!(s, Some(ServiceState::Running { .. }));
            let old = before.services.get(service);
            if up(Some(state)) && !up(old) {
                let unhealthy = matches!(state, ServiceState::Running { health: Health::Unhealthy, .. });
                self.event(
                    EventType::ServiceUp,
                    if unhealthy { Severity::Warning } else { Severity::Info },
                    Some(name),
                    Some(service),
                    format!("{service} is {state}"),
                );
            } else if let (ServiceState::Stopped { reason }, false) =
                (state, matches!(old, Some(ServiceState::Stopped { .. })))
            {
                let message = format!("{service} is down and is left so: {reason}");
                self.event(EventType::ServiceDown, Severity::Warning, Some(name), Some(service), message);
            }
        }
        self.tell_breakers(name, after);
        self.tell_transitions(name, after);
        self.tell_drift(name, before, after);
        self.tell_waiting(name, before, after);
        if before.state == after.state && before.state.is_some() {
            return;
        }
        let now = self.clock.now();
        let Some(tracked) = self.projects.get_mut(name) else { return };
        if after.gone {
            return;
        }
        if after.state == Some(ProjectState::Converged) {
            tracked.last_converged = Some(now);
            let took = tracked.unsettled.take().map(|since| since.elapsed()).unwrap_or_default();
            self.observer.notice(&Notice::Converged { project: name, took });
            self.event(EventType::Converged, Severity::Info, Some(name), None, "everything is as the manifest says");
        } else {
            tracked.unsettled.get_or_insert_with(Instant::now);
        }
        // Those that depend on this one have news.
        let dependents =
            self.projects.values().filter(|t| t.target.as_ref().is_some_and(|p| p.extension.depends_on.contains(name)));
        self.dirty.extend(dependents.map(|t| t.name.clone()));
    }

    /// Fields that somebody changed, and that are as they should be again.
    fn tell_drift(&mut self, name: &ProjectName, before: &Decision, after: &Decision) {
        let by_hand = |decision: &Decision, wanted: &Drift| {
            let same = |d: &Drift| d.service == wanted.service && d.number == wanted.number && d.path == wanted.path;
            decision.drift.iter().any(|d| d.by_hand && same(d))
        };
        let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "not set".to_owned());
        for drift in after.drift.iter().filter(|d| d.by_hand && !by_hand(before, d)) {
            let (is, desired) = (value(&drift.observed), value(&drift.desired));
            let message = format!("{} is {is} instead of {desired}", whose(drift));
            self.event(EventType::DriftDetected, Severity::Warning, Some(name), drift.service.as_ref(), message);
        }
        // What is not looked at any more is not repaired.
        let wanted = |d: &Drift| d.service.as_ref().is_none_or(|service| after.services.contains_key(service));
        let differs =
            |d: &Drift| after.drift.iter().any(|n| n.service == d.service && n.number == d.number && n.path == d.path);
        for drift in before.drift.iter().filter(|d| d.by_hand && !differs(d) && wanted(d)) {
            let message = format!("{} is as the manifest says", whose(drift));
            self.event(EventType::DriftRepaired, Severity::Info, Some(name), drift.service.as_ref(), message);
        }
        let conflict = |w: &&Waiting| matches!(w.on, WaitingOn::RepairConflict { .. });
        let known = |new: &Waiting| before.waiting.iter().filter(conflict).any(|old| old == new);
        for waiting in after.waiting.iter().filter(conflict).filter(|w| !known(w)) {
            let message = waiting.to_string();
            self.event(EventType::BreakerOpened, Severity::Warning, Some(name), waiting.service.as_ref(), message);
        }
    }

    /// Breakers that open and close.
    fn tell_breakers(&mut self, name: &ProjectName, after: &Decision) {
        for (subject, breaker) in &after.breakers {
            let Subject::Replica(service, number) = subject else { continue };
            let (kind, severity, message) = match breaker {
                Some(_) => {
                    let why = after.waiting.iter().find_map(|w| match &w.on {
                        WaitingOn::Breaker { .. } if w.service.as_ref() == Some(service) => Some(w.on.to_string()),
                        _ => None,
                    });
                    let why = why.unwrap_or_else(|| "the Engine starts it again over and over".to_owned());
                    (EventType::BreakerOpened, Severity::Error, format!("{service}/{number} rests: {why}"))
                }
                None => (EventType::BreakerClosed, Severity::Info, format!("{service}/{number} is well again")),
            };
            self.event(kind, severity, Some(name), Some(service), message);
        }
    }

    /// Recoveries that take more than a restart.
    fn tell_transitions(&mut self, name: &ProjectName, after: &Decision) {
        for transition in &after.transitions {
            match transition {
                RecoveryTransition::Reset { subject: Subject::Replica(service, _), cause, .. } => {
                    self.tell_restart_as(name, service, format!("{service} is emptied and made anew: {cause}"));
                }
                RecoveryTransition::ProjectRestart { subject: Subject::Replica(service, _), cause, .. } => {
                    let message = format!("the project is started again for {service}: {cause}");
                    self.tell_restart_as(name, service, message);
                }
                RecoveryTransition::Degraded { service } => {
                    let message = format!("{service} is not well, so what it can do without is given up");
                    self.event(EventType::ServiceDown, Severity::Warning, Some(name), Some(service), message);
                }
                RecoveryTransition::Restored { service } => {
                    let message = format!("{service} is well again, and so is what was given up for it");
                    self.event(EventType::ServiceUp, Severity::Info, Some(name), Some(service), message);
                }
                _ => {}
            }
        }
    }

    /// What goes on only once somebody does something about it.
    fn tell_waiting(&mut self, name: &ProjectName, before: &Decision, after: &Decision) {
        let stuck = |w: &&Waiting| {
            matches!(w.on, WaitingOn::Port { .. } | WaitingOn::External { .. } | WaitingOn::OtherInstance { .. })
        };
        // How much is free changes all the time, and that is no news.
        let lacks = |w: &&Waiting| matches!(w.on, WaitingOn::Resources { .. });
        let lacked: Vec<_> = before.waiting.iter().filter(lacks).map(|w| &w.service).collect();
        let lacking = after.waiting.iter().filter(lacks).filter(|w| !lacked.contains(&&w.service));
        let stuck = after.waiting.iter().filter(stuck).filter(|w| !before.waiting.contains(w));
        for waiting in stuck.chain(lacking) {
            let message = waiting.to_string();
            self.event(EventType::SystemAlert, Severity::Warning, Some(name), waiting.service.as_ref(), message);
        }
    }

    pub(super) fn tell_restart(&mut self, name: &ProjectName, service: &ServiceName, cause: &Cause) {
        self.tell_restart_as(name, service, format!("{service} is started again: {cause}"));
    }

    /// A container has less of the CPUs for a while, or all of it again.
    pub(super) fn tell_throttle(&mut self, name: &ProjectName, service: &ServiceName, cause: &Cause) {
        let (kind, severity) = match cause {
            Cause::Throttled { .. } => (EventType::Throttled, Severity::Warning),
            Cause::Eased { .. } => (EventType::Throttled, Severity::Info),
            Cause::Released { .. } => (EventType::Released, Severity::Info),
            _ => return,
        };
        self.event(kind, severity, Some(name), Some(service), format!("{service}: {cause}"));
    }

    fn tell_restart_as(&mut self, name: &ProjectName, service: &ServiceName, message: String) {
        let target = self.projects.get(name).and_then(|t| t.target.clone());
        let declared = target.as_ref().and_then(|p| p.services.get(service));
        self.observer.notice(&Notice::Restarted {
            project: name,
            service,
            kind: declared.and_then(|s| s.extension.kind.as_deref()),
            critical: declared.is_some_and(|s| s.extension.critical),
        });
        self.event(EventType::ServiceRestarted, Severity::Warning, Some(name), Some(service), message);
    }

    /// A container ended: by itself, or by somebody's hand.
    pub(super) fn on_died(&mut self, id: &ContainerId, code: i64) {
        let Some(container) = self.cache.container(id).cloned() else { return };
        let Some(service) = &container.service else { return };
        let Some(tracked) = self.projects.get(&container.project) else { return };
        let subject = Subject::Replica(service.clone(), container.number);
        let in_flight = tracked.in_flight.contains_key(&subject);
        let name = container.project.clone();
        if let Some(tracked) = self.projects.get_mut(&name) {
            tracked.unsaved |= memory::ended(&mut tracked.ledger, &subject, id);
        }
        if in_flight {
            return;
        }
        if container.engine_restarts && !container.killed {
            let now = self.clock.now();
            if let Some(tracked) = self.projects.get_mut(&name) {
                memory::started_again(tracked.ledger.slots.entry(subject).or_default(), now);
                tracked.unsaved = true;
            }
        }
        if container.killed {
            let message = format!("{} was stopped or killed from outside, exit {code}", container.name);
            self.event(EventType::ForeignAction, Severity::Warning, Some(&name), Some(service), message);
        } else if code != 0 {
            let message = format!("{} exited with {code}", container.name);
            self.event(EventType::ServiceDown, Severity::Warning, Some(&name), Some(service), message);
        }
    }
}

/// `cpus of web/1`.
fn whose(drift: &Drift) -> String {
    match (&drift.service, drift.number) {
        (Some(service), Some(number)) => format!("{} of {service}/{number}", drift.path),
        _ => drift.path.clone(),
    }
}
