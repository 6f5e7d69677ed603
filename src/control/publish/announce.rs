//! What a decision changed, told to people and programs.

use crate::decide::{Cause, Decision, Drift, RecoveryTransition, Waiting, WaitingOn};
use crate::model::event::Severity;
use crate::model::ledger::Subject;
use crate::model::observed::Health;
use crate::model::record::{Down, RecordData, Restart};
use crate::model::state::ServiceState;
use crate::model::{Project, ServiceName};

/// Something to be told of a project.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::control) struct Announcement {
    pub(in crate::control) severity: Severity,
    pub(in crate::control) service: Option<ServiceName>,
    pub(in crate::control) data: RecordData,
}

impl Announcement {
    pub(super) fn of(severity: Severity, service: Option<&ServiceName>, data: RecordData) -> Self {
        Self { severity, service: service.cloned(), data }
    }
}

/// What changed from one decision to the next, but for the project's state. `target`: the revision in force.
pub(in crate::control) fn changes(before: &Decision, after: &Decision, target: Option<&Project>) -> Vec<Announcement> {
    let mut told = services(before, after);
    told.extend(breakers(after));
    told.extend(transitions(after, target));
    told.extend(drift(before, after));
    told.extend(waiting(before, after));
    told
}

/// Services that came up, and that went down and are left so.
fn services(before: &Decision, after: &Decision) -> Vec<Announcement> {
    let mut told = Vec::new();
    for (service, state) in &after.services {
        let up = |s: Option<&ServiceState>| matches!(s, Some(ServiceState::Running { .. }));
        let old = before.services.get(service);
        if up(Some(state)) && !up(old) {
            let unhealthy = matches!(state, ServiceState::Running { health: Health::Unhealthy, .. });
            let severity = if unhealthy { Severity::Warning } else { Severity::Info };
            let data = RecordData::ServiceUp { container: None, state: state.to_string(), reasons: Vec::new() };
            told.push(Announcement::of(severity, Some(service), data));
        } else if let (ServiceState::Stopped { reason }, false) =
            (state, matches!(old, Some(ServiceState::Stopped { .. })))
        {
            let how = Down::LeftStopped { reason: reason.clone() };
            let data = RecordData::ServiceDown { container: None, how };
            told.push(Announcement::of(Severity::Warning, Some(service), data));
        }
    }
    told
}

/// Fields that somebody changed, and that are as they should be again; repairs that somebody undoes over and over.
fn drift(before: &Decision, after: &Decision) -> Vec<Announcement> {
    let mut told = Vec::new();
    let by_hand = |decision: &Decision, wanted: &Drift| {
        let same = |d: &Drift| d.service == wanted.service && d.number == wanted.number && d.path == wanted.path;
        decision.drift.iter().any(|d| d.by_hand && same(d))
    };
    for drift in after.drift.iter().filter(|d| d.by_hand && !by_hand(before, d)) {
        let data = RecordData::DriftDetected {
            number: drift.number.filter(|_| drift.service.is_some()),
            path: drift.path.clone(),
            observed: drift.observed.clone(),
            desired: drift.desired.clone(),
        };
        told.push(Announcement::of(Severity::Warning, drift.service.as_ref(), data));
    }
    // What is not looked at any more is not repaired.
    let wanted = |d: &Drift| d.service.as_ref().is_none_or(|service| after.services.contains_key(service));
    let differs =
        |d: &Drift| after.drift.iter().any(|n| n.service == d.service && n.number == d.number && n.path == d.path);
    for drift in before.drift.iter().filter(|d| d.by_hand && !differs(d) && wanted(d)) {
        let number = drift.number.filter(|_| drift.service.is_some());
        let data = RecordData::DriftRepaired { number, path: drift.path.clone() };
        told.push(Announcement::of(Severity::Info, drift.service.as_ref(), data));
    }
    let conflict = |w: &&Waiting| matches!(w.on, WaitingOn::RepairConflict { .. });
    let known = |new: &Waiting| before.waiting.iter().filter(conflict).any(|old| old == new);
    for waiting in after.waiting.iter().filter(conflict).filter(|w| !known(w)) {
        let data = RecordData::BreakerOpened { number: None, reason: waiting.to_string() };
        told.push(Announcement::of(Severity::Warning, waiting.service.as_ref(), data));
    }
    told
}

/// Breakers that open and close.
fn breakers(after: &Decision) -> Vec<Announcement> {
    let mut told = Vec::new();
    for (subject, breaker) in &after.breakers {
        let Subject::Replica(service, number) = subject else { continue };
        let (severity, data) = match breaker {
            Some(_) => {
                let why = after.waiting.iter().find_map(|w| match &w.on {
                    WaitingOn::Breaker { .. } if w.service.as_ref() == Some(service) => Some(w.on.to_string()),
                    _ => None,
                });
                let reason = why.unwrap_or_else(|| "the Engine starts it again over and over".to_owned());
                (Severity::Error, RecordData::BreakerOpened { number: Some(*number), reason })
            }
            None => (Severity::Info, RecordData::BreakerClosed { number: *number }),
        };
        told.push(Announcement::of(severity, Some(service), data));
    }
    told
}

/// Recoveries that take more than a restart.
fn transitions(after: &Decision, target: Option<&Project>) -> Vec<Announcement> {
    let one = |transition: &RecoveryTransition| match transition {
        RecoveryTransition::Reset { subject: Subject::Replica(service, _), cause, .. } => {
            Some(restart_as(Restart::Reset, service, cause, target))
        }
        RecoveryTransition::ProjectRestart { subject: Subject::Replica(service, _), cause, .. } => {
            Some(restart_as(Restart::Project, service, cause, target))
        }
        RecoveryTransition::Degraded { service } => {
            let data = RecordData::ServiceDown { container: None, how: Down::Degraded };
            Some(Announcement::of(Severity::Warning, Some(service), data))
        }
        RecoveryTransition::Restored { service } => {
            let state = "well again, and so is what was given up for it".to_owned();
            let data = RecordData::ServiceUp { container: None, state, reasons: Vec::new() };
            Some(Announcement::of(Severity::Info, Some(service), data))
        }
        _ => None,
    };
    after.transitions.iter().filter_map(one).collect()
}

/// What goes on only once somebody does something about it.
fn waiting(before: &Decision, after: &Decision) -> Vec<Announcement> {
    let stuck = |w: &&Waiting| {
        matches!(w.on, WaitingOn::Port { .. } | WaitingOn::External { .. } | WaitingOn::OtherInstance { .. })
    };
    // How much is free changes all the time, and that is no news.
    let lacks = |w: &&Waiting| matches!(w.on, WaitingOn::Resources { .. });
    let lacked: Vec<_> = before.waiting.iter().filter(lacks).map(|w| &w.service).collect();
    let lacking = after.waiting.iter().filter(lacks).filter(|w| !lacked.contains(&&w.service));
    let stuck = after.waiting.iter().filter(stuck).filter(|w| !before.waiting.contains(w));
    let tell = |waiting: &Waiting| {
        let data = RecordData::Alert { about: "waiting".to_owned(), message: waiting.to_string() };
        Announcement::of(Severity::Warning, waiting.service.as_ref(), data)
    };
    stuck.chain(lacking).map(tell).collect()
}

/// The controller starts a service again.
pub(in crate::control) fn restarted(service: &ServiceName, cause: &Cause, target: Option<&Project>) -> Announcement {
    restart_as(Restart::Container, service, cause, target)
}

fn restart_as(how: Restart, service: &ServiceName, cause: &Cause, target: Option<&Project>) -> Announcement {
    let declared = target.and_then(|p| p.services.get(service));
    let data = RecordData::ServiceRestarted {
        how,
        cause: cause.to_string(),
        service_type: declared.and_then(|s| s.extension.kind.clone()),
        critical: declared.is_some_and(|s| s.extension.critical),
    };
    Announcement::of(Severity::Warning, Some(service), data)
}

/// A container has less of the CPUs for a while, or all of it again.
pub(in crate::control) fn throttle(service: &ServiceName, cause: &Cause) -> Option<Announcement> {
    let words = cause.to_string();
    let (severity, data) = match cause {
        Cause::Throttled { .. } => (Severity::Warning, RecordData::Throttled { cause: words }),
        Cause::Eased { .. } => (Severity::Info, RecordData::Throttled { cause: words }),
        Cause::Released { .. } => (Severity::Info, RecordData::Released { cause: words }),
        _ => return None,
    };
    Some(Announcement::of(severity, Some(service), data))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    fn running() -> ServiceState {
        ServiceState::Running { since: Timestamp::UNIX_EPOCH, health: Health::None }
    }

    #[test]
    fn a_service_is_told_up_once_and_down_where_it_stays_so() {
        let web = ServiceName::trusted("web");
        let of = |state| Decision { services: [(web.clone(), state)].into(), ..Decision::default() };
        let (nothing, up) = (Decision::default(), of(running()));
        let told = changes(&nothing, &up, None);
        assert!(matches!(told.as_slice(), [Announcement { data: RecordData::ServiceUp { .. }, .. }]), "{told:?}");
        assert!(changes(&up, &up, None).is_empty());
        let down = of(ServiceState::Stopped { reason: "no".into() });
        let told = changes(&up, &down, None);
        assert!(matches!(told.as_slice(), [Announcement { data: RecordData::ServiceDown { .. }, .. }]), "{told:?}");
    }
}
