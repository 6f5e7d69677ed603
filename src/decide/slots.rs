//! Slots: each replica of each service with the containers that fill it, sorted into the one that fits and the rest.

use std::collections::{BTreeMap, BTreeSet};

use super::recovery::{self, Verdict};
use super::{Decision, Drift, Input};
use crate::model::ledger::{Completion, Subject};
use crate::model::observed::{Container, ContainerState, Health};
use crate::model::{ImageId, Project, Service, ServiceName, Timestamp};

/// Every replica that is desired, and the containers that are nobody's.
pub(super) struct Slots<'a> {
    input: &'a Input<'a>,
    by_service: BTreeMap<&'a ServiceName, Filled<'a>>,
    /// The services, dependencies first.
    order: Vec<&'a Service>,
    orphans: Vec<&'a Container>,
    jobs: BTreeSet<&'a ServiceName>,
}

/// One service.
struct Filled<'a> {
    service: &'a Service,
    slots: Vec<Slot<'a>>,
    /// Containers of replicas beyond the desired number.
    surplus: Vec<&'a Container>,
}

/// One replica.
#[derive(Debug)]
pub(super) struct Slot<'a> {
    pub(super) number: u32,
    /// The container that is as desired.
    pub(super) current: Option<&'a Container>,
    /// Containers that are not, the oldest first.
    pub(super) stale: Vec<&'a Container>,
    /// Where it stands.
    pub(super) phase: Phase,
}

/// Where a replica stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Phase {
    /// There is no container as desired.
    Absent,
    /// Made, not started.
    Created,
    Running {
        since: Timestamp,
        health: Health,
    },
    Paused,
    Restarting,
    Removing,
    Dead,
    /// A job that is done.
    Completed,
    /// Ended, and what is to follow.
    Ended(Verdict),
}

impl<'a> Slots<'a> {
    pub(super) fn of(input: &'a Input<'a>, project: &'a Project) -> Self {
        let mut grouped: BTreeMap<&ServiceName, BTreeMap<u32, Vec<&Container>>> =
            project.services.keys().map(|name| (name, BTreeMap::new())).collect();
        let mut orphans = Vec::new();
        for container in input.observed.containers.values() {
            if container.project != *input.project || container.oneoff {
                continue;
            }
            match container.service.as_ref().and_then(|service| grouped.get_mut(service)) {
                Some(groups) => groups.entry(container.number).or_default().push(container),
                None => orphans.push(container),
            }
        }
        let jobs = project.jobs();
        // Both are in the order of names.
        let filled = grouped.into_iter().zip(project.services.values()).map(|((name, mut groups), service)| {
            let is_job = jobs.contains(name);
            let slots = (1..=service.replicas)
                .map(|number| Slot::of(input, service, is_job, number, groups.remove(&number).unwrap_or_default()))
                .collect();
            (name, Filled { service, slots, surplus: groups.into_values().flatten().collect() })
        });
        Self { input, by_service: filled.collect(), order: project.in_dependency_order(), orphans, jobs }
    }

    /// The services, dependencies first.
    pub(super) fn in_order(&self) -> impl Iterator<Item = &'a Service> + '_ {
        self.order.iter().copied()
    }

    pub(super) fn of_service(&self, service: &ServiceName) -> &[Slot<'a>] {
        self.by_service.get(service).map_or(&[], |filled| &filled.slots)
    }

    pub(super) fn surplus(&self, service: &ServiceName) -> &[&'a Container] {
        self.by_service.get(service).map_or(&[], |filled| &filled.surplus)
    }

    pub(super) fn orphans(&self) -> impl Iterator<Item = &'a Container> + '_ {
        self.orphans.iter().copied()
    }

    /// Services that are to end, with 0.
    pub(super) fn jobs(&self) -> impl Iterator<Item = &'a ServiceName> + '_ {
        self.jobs.iter().copied()
    }

    /// Whether a service is one of them.
    pub(super) fn is_job(&self, service: &ServiceName) -> bool {
        self.jobs.contains(service)
    }

    /// Whether some container of the project is attached to the network of that id or name.
    pub(super) fn in_use(&self, network: &crate::model::observed::Network) -> bool {
        self.input.observed.containers.values().any(|c| attached(c, network))
    }

    /// Whether some container holds this very network, not just one of its name. That of a job that is done needs it no
    /// more.
    pub(super) fn holds(&self, network: &crate::model::observed::Network) -> bool {
        let done = |c: &Container| {
            let mut slots = c.service.iter().flat_map(|s| self.of_service(s));
            !c.is_running() && slots.any(|s| s.phase == Phase::Completed && s.number == c.number)
        };
        self.input.observed.containers.values().any(|c| c.networks.contains(network.id.as_str()) && !done(c))
    }

    /// Reports what differs. Comparing is by configuration hash and image.
    pub(super) fn drift(&self, decision: &mut Decision) {
        for (name, Filled { service, slots, .. }) in &self.by_service {
            for slot in slots.iter().filter(|s| s.current.is_some() && !s.stale.is_empty()) {
                decision.replacing.insert(((*name).clone(), slot.number));
            }
            for slot in slots.iter().filter(|s| s.current.is_none()) {
                let Some(old) = slot.stale.first() else { continue };
                let (path, desired, observed) = match difference(self.input, service, old) {
                    Some(Difference::Image { from, to }) => ("image", to.to_string(), Some(from.to_string())),
                    Some(Difference::Config { from }) => {
                        ("configuration", service.label_hash().unwrap_or_default(), from)
                    }
                    None => continue,
                };
                decision.drift.push(Drift {
                    service: (*name).clone(),
                    number: slot.number,
                    path,
                    desired,
                    observed,
                    repair: "recreate",
                });
            }
        }
    }

    /// Jobs that are seen to be done and not yet remembered.
    pub(super) fn completions(&self, decision: &mut Decision) {
        for (name, Filled { service, slots, .. }) in &self.by_service {
            if slots.is_empty() || slots.iter().any(|s| s.phase != Phase::Completed) {
                continue;
            }
            let ended = slots.iter().filter_map(|s| match s.current.map(|c| (c, c.state)) {
                Some((c, ContainerState::Exited { finished, .. })) => Some((finished, &c.image)),
                _ => None,
            });
            if let Some((at, image)) = ended.max_by_key(|(at, _)| *at) {
                let completion = Completion { config_hash: service.config_hash.clone(), image: image.clone(), at };
                if self.input.ledger.completions.get(*name) != Some(&completion) {
                    decision.completions.insert((*name).clone(), completion);
                }
            }
        }
    }
}

impl<'a> Slot<'a> {
    fn of(
        input: &Input<'a>,
        service: &'a Service,
        is_job: bool,
        number: u32,
        mut containers: Vec<&'a Container>,
    ) -> Self {
        let rank = |c: &Container| match c.state {
            ContainerState::Running { .. } => 0,
            ContainerState::Restarting | ContainerState::Paused => 1,
            ContainerState::Created => 2,
            ContainerState::Exited { .. } => 3,
            ContainerState::Dead | ContainerState::Removing => 4,
        };
        containers.sort_by_key(|c| (c.created, c.id.clone()));
        let current = containers
            .iter()
            .filter(|c| difference(input, service, c).is_none())
            .min_by_key(|c| (rank(c), std::cmp::Reverse(c.created)))
            .copied();
        let stale: Vec<_> = containers.into_iter().filter(|c| current.is_none_or(|cur| cur.id != c.id)).collect();
        let subject = Subject::Replica(service.name.clone(), number);
        let phase = phase(input, service, is_job, &subject, current);
        Self { number, current, stale, phase }
    }
}

fn phase(input: &Input<'_>, service: &Service, is_job: bool, subject: &Subject, current: Option<&Container>) -> Phase {
    let known_image = input.observed.images.get(&service.image).and_then(Option::as_ref);
    let remembered = input.ledger.completions.get(&service.name).is_some_and(|done| {
        done.config_hash == service.config_hash && known_image.is_none_or(|image| *image == done.image)
    });
    let Some(container) = current else {
        return if remembered { Phase::Completed } else { Phase::Absent };
    };
    match container.state {
        ContainerState::Created => Phase::Created,
        ContainerState::Running { since } => Phase::Running { since, health: container.health },
        ContainerState::Paused => Phase::Paused,
        ContainerState::Restarting => Phase::Restarting,
        ContainerState::Removing => Phase::Removing,
        ContainerState::Dead => Phase::Dead,
        ContainerState::Exited { .. } if remembered => Phase::Completed,
        ContainerState::Exited { .. } => match recovery::after_exit(input, service, is_job, subject, container) {
            Verdict::Completed => Phase::Completed,
            verdict => Phase::Ended(verdict),
        },
    }
}

/// What makes a container stale.
pub(super) enum Difference {
    Config { from: Option<String> },
    Image { from: ImageId, to: ImageId },
}

/// How a container differs from what its service wants. An image that is not there, or was not looked up yet, is no
/// difference: what runs is not given up for it.
pub(super) fn difference(input: &Input<'_>, service: &Service, container: &Container) -> Option<Difference> {
    // While a container it shares with is not there, its own cannot be told from the desired one.
    if service.hash_on_label().is_some_and(|hash| container.config_hash.as_deref() != Some(&*hash)) {
        return Some(Difference::Config { from: container.config_hash.clone() });
    }
    match input.observed.images.get(&service.image) {
        Some(Some(image)) if *image != container.image => {
            Some(Difference::Image { from: container.image.clone(), to: image.clone() })
        }
        _ => None,
    }
}

/// Whether a container is attached to a network. One that was never started is listed under the network's name or id as
/// it was given, later under both.
pub(super) fn attached(container: &Container, network: &crate::model::observed::Network) -> bool {
    if container.networks.contains(network.id.as_str()) {
        return true;
    }
    // What ran is listed under ids: then a name alone may be another network's.
    container.state == ContainerState::Created && container.networks.contains(&network.name)
}
