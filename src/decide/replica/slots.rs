//! Slots: each replica of each service with the containers that fill it, sorted into the one that fits and the rest.

use super::drift::{Difference, Drifting};
use crate::decide::recovery::pace::{self, Verdict};
use crate::decide::{Decision, Drift, Input};
use crate::model::fields::Repair;
use crate::model::ledger::{Completion, Subject};
use crate::model::observed::{Container, ContainerState, Health};
use crate::model::{ImageId, Project, Service, ServiceName, Timestamp};

/// Every replica that is desired, and the containers that are nobody's. Services have places, in the order of their
/// names: going through all of them costs no search for a name.
pub(in crate::decide) struct Slots<'a> {
    input: &'a Input<'a>,
    services: Vec<Filled<'a>>,
    /// The places of the services, dependencies first.
    order: Vec<usize>,
    orphans: Vec<&'a Container>,
}

/// A service with its replicas and the containers that they have.
pub(in crate::decide) struct Filled<'a> {
    pub(in crate::decide) service: &'a Service,
    /// It is to end, with 0.
    pub(in crate::decide) is_job: bool,
    /// What its image reference means; `None`: nobody looked yet.
    pub(in crate::decide) image: Option<&'a Option<ImageId>>,
    /// Fields that are not as desired.
    pub(in crate::decide) drift: Drifting<'a>,
    pub(in crate::decide) slots: Vec<Slot<'a>>,
    /// Containers of replicas beyond the desired number.
    pub(in crate::decide) surplus: Vec<&'a Container>,
}

/// A replica that is desired, with the containers that it has.
#[derive(Debug)]
pub(in crate::decide) struct Slot<'a> {
    pub(in crate::decide) number: u32,
    /// The container that is as desired.
    pub(in crate::decide) current: Option<&'a Container>,
    /// Containers that are not, the oldest first.
    pub(in crate::decide) stale: Vec<&'a Container>,
    /// How far the replica has come.
    pub(in crate::decide) phase: Phase,
}

/// Where a replica stands.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::decide) enum Phase {
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
    pub(in crate::decide) fn of(input: &'a Input<'a>, project: &'a Project) -> Self {
        let places = project.places();
        let (mut found, mut orphans) = (Vec::new(), Vec::new());
        for container in input.observed.containers.values() {
            if container.project != *input.project || container.oneoff {
                continue;
            }
            match container.service.as_ref().and_then(|service| places.get(service)) {
                Some(place) => found.push((*place, container.number, container)),
                None => orphans.push(container),
            }
        }
        // The containers of a replica stay in the order of their ids.
        found.sort_by_key(|(place, number, _)| (*place, *number));
        let jobs = project.jobs();
        let mut rest = &found[..];
        let services = project.services.values().enumerate().map(|(place, service)| {
            let (own, others) = rest.split_at(rest.partition_point(|(of, ..)| *of == place));
            rest = others;
            Filled::of(input, project, service, jobs.contains(&service.name), own)
        });
        let services = services.collect();
        let order = project.dependency_order(&places);
        Self { input, services, order, orphans }
    }

    /// The services, dependencies first, with their places.
    pub(in crate::decide) fn in_order(&self) -> impl Iterator<Item = (usize, &Filled<'a>)> {
        self.order.iter().map(|place| (*place, &self.services[*place]))
    }

    /// The services in the order of their names: the order of their places.
    pub(in crate::decide) fn by_name(&self) -> impl ExactSizeIterator<Item = &Filled<'a>> {
        self.services.iter()
    }

    /// A service that is looked for by its name.
    pub(in crate::decide) fn find(&self, service: &ServiceName) -> Option<&Filled<'a>> {
        let place = self.services.binary_search_by(|filled| filled.service.name.cmp(service)).ok()?;
        self.services.get(place)
    }

    /// The replicas of a service; none where the project has no such service.
    pub(in crate::decide) fn of_service(&self, service: &ServiceName) -> &[Slot<'a>] {
        self.find(service).map_or(&[], |filled| &filled.slots)
    }

    pub(in crate::decide) fn orphans(&self) -> &[&'a Container] {
        &self.orphans
    }

    /// Whether some container of the project is attached to the network of that id or name.
    pub(in crate::decide) fn in_use(&self, network: &crate::model::observed::Network) -> bool {
        self.input.observed.containers.values().any(|c| attached(c, network))
    }

    /// Whether some container holds this very network, not just one of its name. That of a job that is done needs it no
    /// more.
    pub(in crate::decide) fn holds(&self, network: &crate::model::observed::Network) -> bool {
        let done = |c: &Container| {
            let mut slots = c.service.iter().flat_map(|s| self.of_service(s));
            !c.is_running() && slots.any(|s| s.phase == Phase::Completed && s.number == c.number)
        };
        self.input.observed.containers.values().any(|c| c.networks.contains(network.id.as_str()) && !done(c))
    }

    /// Reports what differs. Comparing is by configuration hash and image.
    pub(in crate::decide) fn drift(&self, decision: &mut Decision) {
        for filled in &self.services {
            let service = filled.service;
            for slot in filled.slots.iter().filter(|s| s.current.is_some() && !s.stale.is_empty()) {
                decision.replacing.insert((service.name.clone(), slot.number));
            }
            for slot in filled.slots.iter().filter(|s| s.current.is_none()) {
                let Some(old) = slot.stale.first() else { continue };
                let (path, desired, observed) = match filled.difference(old) {
                    Some(Difference::Image { from, to }) => ("image", Some(to.to_string()), Some(from.to_string())),
                    Some(Difference::Config { from }) => ("configuration", service.label_hash(), from),
                    Some(Difference::Fields(_)) => {
                        decision.drift.extend(filled.drift.told(slot.number, old));
                        continue;
                    }
                    None => continue,
                };
                decision.drift.push(Drift {
                    service: Some(service.name.clone()),
                    number: Some(slot.number),
                    path: path.to_owned(),
                    desired,
                    observed,
                    repair: Repair::Recreate,
                    by_hand: false,
                    since: None,
                });
            }
            for slot in &filled.slots {
                if let Some(current) = slot.current {
                    decision.drift.extend(filled.drift.told(slot.number, current));
                }
            }
        }
    }

    /// Jobs that are seen to be done and not yet remembered.
    pub(in crate::decide) fn completions(&self, decision: &mut Decision) {
        for Filled { service, slots, .. } in &self.services {
            if slots.is_empty() || slots.iter().any(|s| s.phase != Phase::Completed) {
                continue;
            }
            let ended = slots.iter().filter_map(|s| match s.current.map(|c| (c, c.state)) {
                Some((c, ContainerState::Exited { finished, .. })) => Some((finished, &c.image)),
                _ => None,
            });
            if let Some((at, image)) = ended.max_by_key(|(at, _)| *at) {
                let (config_hash, image) = (service.config_hash.clone(), image.clone());
                let completion = Completion { config_hash, image, at, doubt: None };
                if self.input.ledger.completions.get(&service.name) != Some(&completion) {
                    decision.completions.insert(service.name.clone(), completion);
                }
            }
        }
    }
}

impl<'a> Filled<'a> {
    /// `own`: the containers of the service with their numbers, in the order of these.
    fn of(
        input: &'a Input<'a>,
        project: &Project,
        service: &'a Service,
        is_job: bool,
        own: &[(usize, u32, &'a Container)],
    ) -> Self {
        let image = input.observed.images.get(&service.image);
        let drift = Drifting::new(input, project, service, is_job);
        let mut filled = Self { service, is_job, image, drift, slots: Vec::new(), surplus: Vec::new() };
        let numbered = |number| {
            let from = own.partition_point(|(_, n, _)| *n < number);
            let until = own.partition_point(|(_, n, _)| *n <= number);
            &own[from..until]
        };
        let slots = (1..=service.replicas).map(|number| filled.slot(input, number, numbered(number))).collect();
        filled.slots = slots;
        let beyond = own.iter().filter(|(_, number, _)| !(1..=service.replicas).contains(number));
        filled.surplus = beyond.map(|(.., container)| *container).collect();
        filled
    }

    fn slot(&self, input: &Input<'_>, number: u32, own: &[(usize, u32, &'a Container)]) -> Slot<'a> {
        let rank = |c: &Container| match c.state {
            ContainerState::Running { .. } => 0,
            ContainerState::Restarting | ContainerState::Paused => 1,
            ContainerState::Created => 2,
            ContainerState::Exited { .. } => 3,
            ContainerState::Dead | ContainerState::Removing => 4,
        };
        let mut containers: Vec<_> = own.iter().map(|(.., container)| *container).collect();
        containers.sort_by_key(|c| c.created);
        let as_desired = containers.iter().filter(|c| self.difference(c).is_none());
        let current = as_desired.min_by_key(|c| (rank(c), std::cmp::Reverse(c.created))).copied();
        containers.retain(|c| current.is_none_or(|current| current.id != c.id));
        Slot { number, current, stale: containers, phase: self.phase(input, number, current) }
    }

    fn phase(&self, input: &Input<'_>, number: u32, current: Option<&Container>) -> Phase {
        let remembered = || {
            input.ledger.completion(&self.service.name).is_some_and(|done| {
                let known_image = self.image.and_then(Option::as_ref);
                done.config_hash == self.service.config_hash && known_image.is_none_or(|image| *image == done.image)
            })
        };
        let Some(container) = current else {
            return if remembered() { Phase::Completed } else { Phase::Absent };
        };
        match container.state {
            ContainerState::Created => Phase::Created,
            ContainerState::Running { since } => Phase::Running { since, health: container.health() },
            ContainerState::Paused => Phase::Paused,
            ContainerState::Restarting => Phase::Restarting,
            ContainerState::Removing => Phase::Removing,
            ContainerState::Dead => Phase::Dead,
            ContainerState::Exited { .. } if remembered() => Phase::Completed,
            ContainerState::Exited { .. } => {
                let subject = Subject::Replica(self.service.name.clone(), number);
                match pace::after_exit(input, self.service, self.is_job, &subject, container) {
                    // What cannot be told from the desired one may have done another job.
                    Verdict::Completed if self.service.hash_on_label().is_some() => Phase::Completed,
                    verdict => Phase::Ended(verdict),
                }
            }
        }
    }

    /// How a container differs from what the service wants. An image that is not there, or was not looked up yet, is no
    /// difference: what runs is not given up for it.
    pub(in crate::decide) fn difference(&self, container: &Container) -> Option<Difference> {
        if let Some(to) = self.image.and_then(Option::as_ref).filter(|image| **image != container.image) {
            return Some(Difference::Image { from: container.image.clone(), to: to.clone() });
        }
        match self.drift.of(container) {
            Some(drift) => drift.recreate(),
            None if self.drift.hash_differs(container) => {
                Some(Difference::Config { from: container.config_hash.clone() })
            }
            None => None,
        }
    }
}

/// Whether a container is attached to a network. One that was never started is listed under the network's name or id as
/// it was given, later under both.
pub(in crate::decide) fn attached(container: &Container, network: &crate::model::observed::Network) -> bool {
    if container.networks.contains(network.id.as_str()) {
        return true;
    }
    // What ran is listed under ids: then a name alone may be another network's.
    container.state == ContainerState::Created && container.networks.contains(&network.name)
}
