//! Throttling: a service that uses too much for too long gets less for a while, and so does one that the host guard picks.
//! What it has then is in the ledger, and no drift; it is undone once the service is calm and the host at ease, its manifest
//! says nothing of it any more, or nobody watches.

use std::collections::BTreeMap;

use crate::decide::{Action, Cause, Decision, Drift, Input};
use crate::model::Service;
use crate::model::fields::within;
use crate::model::ledger::{Subject, Throttled};
use crate::model::observed::Container;
use crate::model::service::CpuThrottle;

/// The least quota that the kernel takes, in microseconds.
const LEAST_QUOTA: f64 = 1_000.0;
/// The least that Docker takes, in thousandths of a CPU.
const LEAST: u64 = 10;

/// Fields that a throttle sets.
pub(super) fn sets(path: &str) -> bool {
    within(path, "cpus") || within(path, "cpu_quota") || within(path, "cpu_period")
}

/// Whether a step only lowers a quota or gives it back, and nothing of the manifest waits for it.
pub(super) fn is_only_that(input: &Input<'_>, action: &Action, decision: &Decision) -> bool {
    let Action::UpdateContainer { service, number, container, changes } = action else { return false };
    // Else it is the manifest that says something else of its CPUs.
    let uses_too_much = |c: &Container| c.squeeze.is_some() || c.load.is_some_and(|load| load.cpu_high);
    let concerned = input.ledger.throttled.contains_key(container)
        || input.observed.containers.get(container).is_some_and(uses_too_much);
    let differs = |d: &Drift| d.service.as_ref() == Some(service) && d.number == Some(*number);
    concerned && changes.keys().all(|path| sets(path)) && !decision.drift.iter().any(differs)
}

/// The change that gives a container so many thousandths of a CPU; `None`: what its manifest says.
fn change(service: &Service, container: &Container, milli_cpus: Option<u64>) -> BTreeMap<String, Option<String>> {
    let resources = &service.resources;
    #[allow(clippy::cast_precision_loss)]
    let cpus = milli_cpus.map(|milli| milli as f64 / 1e3);
    // The Engine takes no number of CPUs for one that has a quota, as of an earlier throttle.
    let has_quota = container.fields.as_ref().is_some_and(|fields| fields.get("cpu_quota").is_some());
    if resources.nano_cpus.is_some_and(|n| n > 0) && !has_quota {
        let cpus = cpus.or(resources.cpu_limit()).unwrap_or_default();
        return [("cpus".to_owned(), Some(cpus.to_string()))].into();
    }
    // Without a quota of its own it is given back by -1.
    let own = resources.cpu_quota.filter(|n| *n > 0).unwrap_or(-1);
    let quota =
        cpus.map_or_else(|| own.to_string(), |cpus| format!("{:.0}", (cpus * resources.cpu_period()).max(LEAST_QUOTA)));
    // The period is left alone: it could not be taken back.
    [("cpu_quota".to_owned(), Some(quota))].into()
}

/// What is to be done about what a container uses, if anything.
pub(super) fn step(input: &Input<'_>, service: &Service, container: &Container) -> Option<(Action, Cause)> {
    let known = input.ledger.throttled.get(&container.id);
    let host_cpus = container.host_cpus.or(input.observed.host.map(|host| host.cpus));
    let all = service.resources.cpu_limit().or(host_cpus.map(f64::from));
    let own = own(service, container, known.is_some_and(|known| known.own));
    let own = own.zip(all).map(|(cpu, all)| milli(all * cpu.to));
    let most = own.or(all.map(milli));
    let squeeze = container.squeeze.filter(|squeeze| most.is_none_or(|most| squeeze.milli_cpus < most));
    let wanted = squeeze.map(|squeeze| squeeze.milli_cpus).or(own).map(|milli_cpus| milli_cpus.max(LEAST));
    let own = own.is_some();
    match (known, wanted.zip(all)) {
        (None, None) => None,
        (Some(known), None) => Some(release(service, container, known)),
        (Some(known), Some((wanted, _)))
            if *known == (Throttled { milli_cpus: wanted, own, released: false })
                && holds(service, container, wanted) =>
        {
            None
        }
        (Some(known), Some((milli_cpus, _))) if milli_cpus > known.milli_cpus && !known.released => {
            let cause = Cause::Eased { milli_cpus, instead_of: known.milli_cpus, own };
            Some((update(service, container, Some(milli_cpus)), cause))
        }
        (_, Some((milli_cpus, all))) => {
            let cause = Cause::Throttled { milli_cpus, instead_of: milli(all), own, squeeze };
            Some((update(service, container, Some(milli_cpus)), cause))
        }
    }
}

/// Whether a container has what a throttle gave it: somebody may have changed that. An Engine that knows no quotas holds none.
fn holds(service: &Service, container: &Container, milli_cpus: u64) -> bool {
    let Some(fields) = &container.fields else { return true };
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<f64>().ok());
    let is = |(path, value): (&String, &Option<String>)| {
        let (is, set) = (number(fields.get(path)), number(value.as_deref()));
        is.zip(set).is_none_or(|(is, set)| (is - set).abs() < 1e-3)
    };
    change(service, container, Some(milli_cpus)).iter().all(is)
}

fn release(service: &Service, container: &Container, known: &Throttled) -> (Action, Cause) {
    (update(service, container, None), Cause::Released { instead_of: known.milli_cpus })
}

fn update(service: &Service, container: &Container, milli_cpus: Option<u64>) -> Action {
    Action::UpdateContainer {
        service: service.name.clone(),
        number: container.number,
        container: container.id.clone(),
        changes: change(service, container, milli_cpus),
    }
}

/// What the manifest says of a service that uses too much, or did and is not calm yet. Where nobody watches any more, as
/// after a restart of the controller, it does not.
fn own(service: &Service, container: &Container, throttled: bool) -> Option<CpuThrottle> {
    let load = container.load?;
    let too_much = if throttled { !load.cpu_low } else { load.cpu_high };
    service.extension.throttle.cpu.filter(|_| too_much)
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn milli(cpus: f64) -> u64 {
    (cpus * 1e3).round() as u64
}

/// Gives back what was taken from a service that is left alone now.
pub(super) fn give_back(input: &Input<'_>, service: &Service, container: &Container, decision: &mut Decision) {
    let subject = Subject::Replica(service.name.clone(), container.number);
    let busy = input.in_flight.contains_key(&subject)
        || crate::decide::recovery::pace::backoff(input, &subject, &service.config_hash).is_some();
    let Some(known) = input.ledger.throttled.get(&container.id).filter(|_| container.is_running() && !busy) else {
        return;
    };
    let (action, cause) = release(service, container, known);
    decision.step(action, cause);
}
