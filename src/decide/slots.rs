//! Slots: each replica of each service with the containers that fill it, sorted into the one that fits and the rest.

use std::collections::BTreeMap;

use super::recovery::{self, Verdict};
use super::{Decision, Drift, Input};
use crate::model::ledger::{Completion, Subject};
use crate::model::observed::{Container, ContainerState, Health};
use crate::model::{ImageId, Project, Service, ServiceName, Timestamp};

/// Every replica that is desired, and the containers that are nobody's.
pub(super) struct Slots<'a> {
    input: &'a Input<'a>,
    project: &'a Project,
    by_service: BTreeMap<&'a ServiceName, Vec<Slot<'a>>>,
    /// Containers of replicas beyond the desired number, by service.
    surplus: BTreeMap<&'a ServiceName, Vec<&'a Container>>,
    orphans: Vec<&'a Container>,
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
        let mut grouped: BTreeMap<&ServiceName, BTreeMap<u32, Vec<&Container>>> = BTreeMap::new();
        let mut orphans = Vec::new();
        for container in input.observed.containers.values() {
            if container.project != *input.project || container.oneoff {
                continue;
            }
            match container.service.as_ref().filter(|s| project.services.contains_key(*s)) {
                Some(service) => {
                    grouped.entry(service).or_default().entry(container.number).or_default().push(container);
                }
                None => orphans.push(container),
            }
        }
        let mut by_service = BTreeMap::new();
        let mut surplus = BTreeMap::new();
        for (name, service) in &project.services {
            let mut groups = grouped.remove(name).unwrap_or_default();
            let slots = (1..=service.replicas)
                .map(|number| Slot::of(input, project, service, number, groups.remove(&number).unwrap_or_default()))
                .collect();
            by_service.insert(name, slots);
            surplus.insert(name, groups.into_values().flatten().collect());
        }
        Self { input, project, by_service, surplus, orphans }
    }

    pub(super) fn of_service(&self, service: &ServiceName) -> &[Slot<'a>] {
        self.by_service.get(service).map_or(&[], Vec::as_slice)
    }

    pub(super) fn surplus(&self, service: &ServiceName) -> &[&'a Container] {
        self.surplus.get(service).map_or(&[], Vec::as_slice)
    }

    pub(super) fn orphans(&self) -> impl Iterator<Item = &'a Container> + '_ {
        self.orphans.iter().copied()
    }

    /// Whether some container of the project is attached to the network of that id or name.
    pub(super) fn in_use(&self, network: &crate::model::observed::Network) -> bool {
        self.input.observed.containers.values().any(|c| attached(c, network))
    }

    /// Whether some container holds this very network, not just one of its name.
    pub(super) fn holds(&self, network: &crate::model::observed::Network) -> bool {
        self.input.observed.containers.values().any(|c| c.networks.contains(network.id.as_str()))
    }

    /// Reports what differs. Comparing is by configuration hash and image.
    pub(super) fn drift(&self, decision: &mut Decision) {
        for (name, slots) in &self.by_service {
            let Some(service) = self.project.services.get(*name) else { continue };
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
        for (name, slots) in &self.by_service {
            let Some(service) = self.project.services.get(*name) else { continue };
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
        project: &Project,
        service: &'a Service,
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
        let phase = phase(input, project, service, &subject, current);
        Self { number, current, stale, phase }
    }
}

fn phase(
    input: &Input<'_>,
    project: &Project,
    service: &Service,
    subject: &Subject,
    current: Option<&Container>,
) -> Phase {
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
        ContainerState::Exited { .. } => {
            match recovery::after_exit(input, service, project.is_job(&service.name), subject, container) {
                Verdict::Completed => Phase::Completed,
                verdict => Phase::Ended(verdict),
            }
        }
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
    if service.label_hash().is_some_and(|hash| container.config_hash.as_ref() != Some(&hash)) {
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
