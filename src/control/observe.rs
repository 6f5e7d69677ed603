//! The cache of what the Engine has. Events patch it first; lists and inspects are checked against events that came after
//! they were begun.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::{ContainerEvent, EngineEvent, EventKind, Listing};
use crate::model::observed::{Container, ContainerState, Health, Network, Observed, Volume};
use crate::model::{ContainerId, ImageId, NetworkId, Project, ProjectName, Timestamp};

/// The cache.
#[derive(Debug, Default)]
pub struct Cache {
    projects: BTreeMap<ProjectName, Observed>,
    entries: BTreeMap<ContainerId, Entry>,
    networks: BTreeMap<NetworkId, Network>,
    volumes: BTreeMap<String, Volume>,
    images: BTreeMap<String, Option<ImageId>>,
    interest: Interest,
    /// Counts what arrives; tells what came before what.
    clock: u64,
    /// The Engine's time of the newest event.
    last_event: Option<Timestamp>,
}

/// What is looked at: the rest of the Engine is other people's business.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interest {
    /// Projects that are known.
    pub projects: BTreeSet<ProjectName>,
    /// Names of networks that their manifests use.
    pub networks: BTreeSet<String>,
    /// Names of volumes that their manifests use.
    pub volumes: BTreeSet<String>,
}

#[derive(Debug)]
struct Entry {
    /// Where its container is kept, if it still is there: the entry of one that was destroyed stays until a list was
    /// begun after that, so that an inspect from before does not bring it back.
    project: ProjectName,
    /// When the newest event about it arrived.
    event: u64,
    /// When its newest inspect arrived, by the caller's time.
    inspected: Timestamp,
    /// It ran out of memory in this run.
    oom: bool,
}

/// What is to be done about something that arrived.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Reaction {
    /// The project to decide again.
    pub dirty: Option<ProjectName>,
    /// A container to look at.
    pub inspect: Option<ContainerId>,
    /// Lists are out of date.
    pub list: bool,
    /// References to images may mean something else.
    pub images: bool,
    /// A container ended: which, and how.
    pub died: Option<(ContainerId, i64)>,
}

impl Cache {
    /// The present point in the order of arrivals: to be given back with what is begun now.
    pub fn point(&self) -> u64 {
        self.clock
    }

    /// A new point in the order of arrivals: what is begun from now on comes after everything so far.
    pub fn mark(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    /// The Engine's time of the newest event.
    pub fn last_event(&self) -> Option<Timestamp> {
        self.last_event
    }

    /// Says what is looked at from now on. What comes new into it has to be listed.
    pub fn set_interest(&mut self, interest: Interest) {
        self.interest = interest;
    }

    /// What is looked at.
    pub fn interest(&self) -> &Interest {
        &self.interest
    }

    /// Takes in an event.
    pub fn event(&mut self, event: &EngineEvent) -> Reaction {
        self.clock += 1;
        self.last_event = Some(self.last_event.map_or(event.time, |t| t.max(event.time)));
        let list = |list| Reaction { list, ..Reaction::default() };
        match &event.kind {
            EventKind::Container { project, .. } if !self.interest.projects.contains(project) => Reaction::default(),
            EventKind::Container { id, project, action } => self.container_event(id, project, action, event.time),
            EventKind::Network { container: Some(id), .. } => {
                Reaction { inspect: self.entries.contains_key(id).then(|| id.clone()), ..Reaction::default() }
            }
            EventKind::Network { id, name, destroyed, .. } => {
                let known = self.networks.get(id).and_then(|n| n.project.as_ref());
                let ours = known.is_some_and(|p| self.interest.projects.contains(p));
                if *destroyed {
                    self.networks.remove(id);
                }
                list(ours || self.interest.networks.contains(name))
            }
            EventKind::Volume { name, destroyed } => {
                let known = self.volumes.get(name).and_then(|v| v.project.as_ref());
                let ours = known.is_some_and(|p| self.interest.projects.contains(p));
                if *destroyed {
                    self.volumes.remove(name);
                }
                list(ours || self.interest.volumes.contains(name))
            }
            EventKind::Image => Reaction { images: true, ..Reaction::default() },
        }
    }

    fn container_event(
        &mut self,
        id: &ContainerId,
        project: &ProjectName,
        action: &ContainerEvent,
        time: Timestamp,
    ) -> Reaction {
        let mut reaction = Reaction { dirty: Some(project.clone()), ..Reaction::default() };
        let look = |mut reaction: Reaction| {
            reaction.inspect = Some(id.clone());
            reaction
        };
        let clock = self.clock;
        if *action == ContainerEvent::Destroyed {
            self.forget(id);
            let entry = Entry { project: project.clone(), event: clock, inspected: time, oom: false };
            self.entries.insert(id.clone(), entry);
            return reaction;
        }
        let Some(entry) = self.entries.get_mut(id) else { return look(reaction) };
        entry.event = clock;
        let Some(container) = self.projects.get_mut(&entry.project).and_then(|o| o.containers.get_mut(id)) else {
            return look(reaction);
        };
        // After a reconnection old events are told again: what an inspect has seen since is newer.
        let outdated = matches!(container.state, ContainerState::Running { since } if time < since);
        match action {
            // Handled above; and it was looked at already, after its creation came back.
            ContainerEvent::Destroyed | ContainerEvent::Created => {}
            _ if outdated => {}
            ContainerEvent::Started => {
                container.state = ContainerState::Running { since: time };
                container.killed = false;
                container.exit_watched = false;
                // Whether there is a check is told by the inspect that follows.
                container.health = Health::Starting;
                entry.oom = false;
                return look(reaction);
            }
            ContainerEvent::Died { code } => {
                reaction.died = Some((id.clone(), *code));
                container.exit_watched = true;
                if container.engine_restarts {
                    // The Engine may be about to restart it: only an inspect tells.
                    return look(reaction);
                }
                let started = match container.state {
                    ContainerState::Running { since } => since,
                    _ => time,
                };
                container.state = ContainerState::Exited { code: *code, oom: entry.oom, started, finished: time };
                container.health = Health::None;
            }
            ContainerEvent::Killed => container.killed |= container.is_running(),
            ContainerEvent::OutOfMemory => entry.oom = true,
            ContainerEvent::Paused => container.state = ContainerState::Paused,
            ContainerEvent::Health(health) if container.is_running() => container.health = *health,
            ContainerEvent::Health(_) => {}
            ContainerEvent::Unpaused | ContainerEvent::Changed => return look(reaction),
        }
        reaction
    }

    /// Takes in an inspect that was begun at `point`; says whether it has to be repeated, as an event came meanwhile.
    pub fn inspected(&mut self, id: &ContainerId, point: u64, found: Option<Container>, now: Timestamp) -> bool {
        self.clock += 1;
        let Some(mut container) = found else {
            self.forget(id);
            return false;
        };
        let mut oom = false;
        if let Some(entry) = self.entries.get(id) {
            if entry.event > point {
                return true;
            }
            oom = entry.oom;
            if let Some(old) = self.projects.get(&entry.project).and_then(|o| o.containers.get(id)) {
                let same_run = match (old.state, container.state) {
                    (ContainerState::Running { since: a }, ContainerState::Running { since: b }) => {
                        a == b || old.killed
                    }
                    (_, ContainerState::Running { .. }) => false,
                    _ => true,
                };
                container.killed = same_run && old.killed;
                container.exit_watched = same_run && old.exit_watched;
            }
        }
        if let ContainerState::Exited { oom: seen, .. } = &mut container.state {
            *seen |= oom;
        }
        let event = self.entries.get(id).map_or(0, |e| e.event);
        let entry = Entry { project: container.project.clone(), event, inspected: now, oom };
        self.entries.insert(id.clone(), entry);
        self.projects.entry(container.project.clone()).or_default().containers.insert(id.clone(), container);
        false
    }

    /// Takes in lists that were begun at `point`; says which containers have to be looked at.
    pub fn listed(&mut self, point: u64, listing: &Listing) -> BTreeSet<ContainerId> {
        self.clock += 1;
        self.networks = listing.networks.iter().map(|n| (n.id.clone(), n.clone())).collect();
        self.volumes = listing.volumes.iter().map(|v| (v.name.clone(), v.clone())).collect();
        let there: BTreeMap<_, _> = listing.containers.iter().map(|c| (&c.id, c)).collect();
        let gone: Vec<_> = self
            .entries
            .iter()
            .filter(|(id, entry)| entry.event <= point && !there.contains_key(id))
            .map(|(id, _)| id.clone())
            .collect();
        for id in gone {
            self.forget(&id);
        }
        there
            .into_values()
            .filter(|listed| self.interest.projects.contains(&listed.project))
            .filter(|listed| match self.container(&listed.id) {
                // A list can be behind an event: then it is the inspect that tells.
                Some(known) => known.state.as_str() != listed.state,
                None => true,
            })
            .map(|listed| listed.id.clone())
            .collect()
    }

    /// Containers that were last looked at before this time, the longest ago first.
    pub fn inspected_before(&self, time: Timestamp) -> Vec<ContainerId> {
        let mut old: Vec<_> = self.entries.iter().filter(|(_, e)| e.inspected < time).collect();
        old.sort_by_key(|(_, e)| e.inspected);
        old.into_iter().map(|(id, _)| id.clone()).collect()
    }

    /// A container is gone.
    pub fn forget(&mut self, id: &ContainerId) {
        if let Some(entry) = self.entries.remove(id)
            && let Some(observed) = self.projects.get_mut(&entry.project)
        {
            observed.containers.remove(id);
            if observed.containers.is_empty() {
                self.projects.remove(&entry.project);
            }
        }
    }

    /// A container.
    pub fn container(&self, id: &ContainerId) -> Option<&Container> {
        self.projects.get(&self.entries.get(id)?.project)?.containers.get(id)
    }

    /// The containers of a project.
    pub fn of_project(&self, project: &ProjectName) -> impl Iterator<Item = &Container> {
        self.projects.get(project).into_iter().flat_map(|o| o.containers.values())
    }

    /// What an image reference means; `None`: not looked up.
    pub fn image(&self, reference: &str) -> Option<&Option<ImageId>> {
        self.images.get(reference)
    }

    /// Remembers what an image reference means.
    pub fn set_image(&mut self, reference: &str, image: Option<ImageId>) {
        self.images.insert(reference.to_owned(), image);
    }

    /// All references that were looked up.
    pub fn references(&self) -> Vec<String> {
        self.images.keys().cloned().collect()
    }

    /// The project's part, brought up to date with networks, volumes and images.
    pub fn observed(&mut self, name: &ProjectName, target: Option<&Project>) -> &Observed {
        let places = self.places(name, target);
        let observed = self.projects.entry(name.clone()).or_default();
        observed.networks = places.networks;
        observed.volumes = places.volumes;
        observed.images = places.images;
        observed
    }

    /// The same as a copy.
    pub fn snapshot(&self, name: &ProjectName, target: Option<&Project>) -> Observed {
        let mut observed = self.places(name, target);
        observed.containers = self.projects.get(name).map(|o| o.containers.clone()).unwrap_or_default();
        observed
    }

    /// Networks, volumes and images that concern a project.
    fn places(&self, name: &ProjectName, target: Option<&Project>) -> Observed {
        let wanted_networks: BTreeSet<&str> =
            target.into_iter().flat_map(|p| p.networks.values()).map(|n| n.name.as_str()).collect();
        let wanted_volumes: BTreeSet<&str> =
            target.into_iter().flat_map(|p| p.volumes.values()).map(|v| v.name.as_str()).collect();
        Observed {
            containers: BTreeMap::new(),
            networks: self
                .networks
                .iter()
                .filter(|(_, n)| n.project.as_ref() == Some(name) || wanted_networks.contains(n.name.as_str()))
                .map(|(id, n)| (id.clone(), n.clone()))
                .collect(),
            volumes: self
                .volumes
                .iter()
                .filter(|(_, v)| v.project.as_ref() == Some(name) || wanted_volumes.contains(v.name.as_str()))
                .map(|(key, v)| (key.clone(), v.clone()))
                .collect(),
            images: target
                .into_iter()
                .flat_map(|p| p.services.values())
                .filter_map(|s| Some((s.image.clone(), self.images.get(&s.image)?.clone())))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn removing(id: &ContainerId, project: &ProjectName) -> Container {
        Container {
            id: id.clone(),
            name: "shop-web-1".to_owned(),
            project: project.clone(),
            service: None,
            number: 1,
            oneoff: false,
            created: Timestamp::UNIX_EPOCH,
            config_hash: None,
            image: ImageId::trusted("sha256:1"),
            instance: None,
            depends_on: BTreeSet::new(),
            state: ContainerState::Removing,
            health: Health::None,
            engine_restarts: false,
            restart_count: 0,
            killed: false,
            exit_watched: false,
            networks: BTreeSet::new(),
            error: None,
        }
    }

    #[test]
    fn an_inspect_from_before_the_destruction_does_not_bring_a_container_back() {
        let (id, project) = (ContainerId::trusted("c1"), ProjectName::trusted("shop"));
        for known in [true, false] {
            let mut cache = Cache::default();
            cache.set_interest(Interest { projects: BTreeSet::from([project.clone()]), ..Interest::default() });
            let now = Timestamp::UNIX_EPOCH;
            if known {
                cache.inspected(&id, cache.point(), Some(removing(&id, &project)), now);
            }
            let begun = cache.point();
            let kind =
                EventKind::Container { id: id.clone(), project: project.clone(), action: ContainerEvent::Destroyed };
            assert_eq!(cache.event(&EngineEvent { time: now, kind }).inspect, None);
            assert!(cache.inspected(&id, begun, Some(removing(&id, &project)), now), "to be repeated");
            assert_eq!(cache.container(&id), None);
            assert!(!cache.inspected(&id, cache.point(), None, now));
            assert_eq!(cache.of_project(&project).count(), 0);
        }
    }

    #[test]
    fn what_was_destroyed_is_forgotten_at_the_next_list() {
        let (id, project) = (ContainerId::trusted("c1"), ProjectName::trusted("shop"));
        let mut cache = Cache::default();
        cache.set_interest(Interest { projects: BTreeSet::from([project.clone()]), ..Interest::default() });
        let kind = EventKind::Container { id, project, action: ContainerEvent::Destroyed };
        cache.event(&EngineEvent { time: Timestamp::UNIX_EPOCH, kind });
        assert_eq!(cache.entries.len(), 1);
        cache.listed(cache.point(), &Listing::default());
        assert!(cache.entries.is_empty());
    }
}
