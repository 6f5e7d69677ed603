//! Throttling: a service that uses too much for too long gets less for a while. What it has then is in the ledger, and no
//! drift; it is undone once the service is calm, its manifest says nothing of it any more, or nobody watches.

use std::collections::BTreeMap;

use super::{Action, Cause, Input};
use crate::model::Service;
use crate::model::fields::within;
use crate::model::ledger::Throttled;
use crate::model::observed::Container;

/// The period that quotas are of, in microseconds: Docker's.
const PERIOD: f64 = 100_000.0;
/// The least that Docker takes.
const LEAST: f64 = 0.01;

/// Fields that a throttle sets.
pub(super) fn sets(path: &str) -> bool {
    within(path, "cpus") || within(path, "cpu_quota") || within(path, "cpu_period")
}

/// CPUs that a service may use; `None`: all of them.
fn limit(service: &Service) -> Option<f64> {
    #[allow(clippy::cast_precision_loss)]
    let of_nanos = service.resources.nano_cpus.filter(|n| *n > 0).map(|n| n as f64 / 1e9);
    #[allow(clippy::cast_precision_loss)]
    let of_quota = service
        .resources
        .cpu_quota
        .filter(|n| *n > 0)
        .map(|quota| quota as f64 / service.resources.cpu_period.filter(|n| *n > 0).map_or(PERIOD, |n| n as f64));
    of_nanos.or(of_quota)
}

/// The change that gives a container so many CPUs; `None`: what its manifest says.
fn change(service: &Service, cpus: Option<f64>) -> BTreeMap<String, Option<String>> {
    let resources = &service.resources;
    if resources.nano_cpus.is_some_and(|n| n > 0) {
        let cpus = cpus.or(limit(service)).unwrap_or_default();
        return [("cpus".to_owned(), Some(cpus.to_string()))].into();
    }
    #[allow(clippy::cast_precision_loss)]
    let period = resources.cpu_period.filter(|n| *n > 0).map_or(PERIOD, |n| n as f64);
    // Without a quota of its own it is given back by -1.
    let own = resources.cpu_quota.filter(|n| *n > 0).unwrap_or(-1);
    let quota = cpus.map_or_else(|| own.to_string(), |cpus| format!("{:.0}", cpus * period));
    // The period is left alone: it could not be taken back.
    [("cpu_quota".to_owned(), Some(quota))].into()
}

/// What is to be done about what a container uses, if anything.
pub(super) fn step(input: &Input<'_>, service: &Service, container: &Container) -> Option<(Action, Cause)> {
    let known = input.ledger.throttled.get(&container.id);
    let wanted = service.extension.throttle.cpu;
    let update = |changes| Action::UpdateContainer {
        service: service.name.clone(),
        number: container.number,
        container: container.id.clone(),
        changes,
    };
    match (known, wanted, container.load) {
        (None, Some(cpu), Some(load)) if load.cpu_high => {
            let all = limit(service).or(container.host_cpus.map(f64::from))?;
            let cpus = (all * cpu.to).max(LEAST);
            let cause = Cause::Throttled { container: container.id.clone(), throttled: Throttled { since: input.now } };
            Some((update(change(service, Some(cpus))), cause))
        }
        // Calm, or nobody watches it any more, as after a restart of the controller.
        (Some(_), Some(_), Some(load)) if !load.cpu_low => None,
        (Some(_), ..) => Some((update(change(service, None)), Cause::Released { container: container.id.clone() })),
        _ => None,
    }
}
