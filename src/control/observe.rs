//! The cache of what the Engine has. Events patch it first; lists and inspects are checked against events that came after
//! they were begun.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use foldhash::fast::RandomState;
use tokio::time::Instant;

use super::images::Images;
use super::interest::Interest;
use super::networks_and_volumes::NetworksAndVolumes;
use super::runs;
use crate::engine::{ContainerEvent, EngineEvent, EventKind, Listing};
use crate::model::observed::{Container, ContainerState, Health, Network, Observed, PublishedPort, Volume};
use crate::model::usage::HostLoad;
use crate::model::{ContainerId, Project, ProjectName, Timestamp};

/// The cache.
#[derive(Debug, Default)]
pub struct Cache {
    projects: BTreeMap<ProjectName, Observed>,
    entries: BTreeMap<ContainerId, Entry>,
    networks_and_volumes: NetworksAndVolumes,
    /// As of the last list.
    published: Arc<Vec<PublishedPort>>,
    host: Option<HostLoad>,
    images: Images,
    interest: Interest,
    /// Projects that something changed for since the last list.
    changed: BTreeSet<ProjectName>,
    /// Counts what arrives; tells what came before what.
    clock: u64,
    /// The Engine's time of the newest event.
    last_event: Option<Timestamp>,
}

#[derive(Debug)]
struct Entry {
    /// Where its container is kept, if it still is there: the entry of one that was destroyed stays until a list was
    /// begun after that, so that an inspect from before does not bring it back.
    project: ProjectName,
    /// When the newest event about it arrived.
    event: u64,
    /// When its newest inspect arrived.
    inspected: Instant,
    /// It ran out of memory in this run.
    oom: bool,
    /// When its last run ended, by an event.
    ended: Option<Timestamp>,
    /// Inspects in a row that told of a time before what events had told.
    doubts: u8,
    /// Its check was seen to pass in this run, before the Engine made one.
    passed: bool,
}

/// So often an inspect that is behind the events is not believed: clocks may have been set.
const DOUBTS: u8 = 3;

/// What a list showed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// Containers to look at.
    pub inspect: BTreeSet<ContainerId>,
    /// Projects to decide again, for what is there now or is there no more.
    pub dirty: BTreeSet<ProjectName>,
    /// Other ports of the host are taken than before.
    pub ports: bool,
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

    /// The same, to be changed.
    pub fn interest_mut(&mut self) -> &mut Interest {
        &mut self.interest
    }

    /// What references to images stand for.
    pub fn images(&self) -> &Images {
        &self.images
    }

    /// The same, to be changed.
    pub fn images_mut(&mut self) -> &mut Images {
        &mut self.images
    }

    /// Forgets references to images that nobody uses, and says which of the others were last looked up before this time, the
    /// longest ago first.
    pub fn images_before(&mut self, time: Instant) -> Vec<String> {
        self.images.before(time, &self.interest)
    }

    /// Takes in an event.
    pub fn event(&mut self, event: &EngineEvent) -> Reaction {
        self.clock += 1;
        self.last_event = Some(self.last_event.map_or(event.time, |t| t.max(event.time)));
        let list = |list| Reaction { list, ..Reaction::default() };
        match &event.kind {
            EventKind::Container { project, .. } if !self.interest.knows(project) => Reaction::default(),
            EventKind::Container { id, project, action } => self.container_event(id, project, action, event.time),
            EventKind::Network { container: Some(id), .. } => {
                Reaction { inspect: self.entries.contains_key(id).then(|| id.clone()), ..Reaction::default() }
            }
            EventKind::Network { id, name, destroyed, .. } => {
                let known = self.networks_and_volumes.network(id).and_then(|n| n.project.as_ref());
                let ours = known.is_some_and(|p| self.interest.knows(p));
                if *destroyed && let Some(network) = self.networks_and_volumes.remove_network(id) {
                    self.note_network(&network);
                }
                list(ours || self.interest.of_network(name).next().is_some())
            }
            EventKind::Volume { name, destroyed } => {
                let known = self.networks_and_volumes.volume(name).and_then(|v| v.project.as_ref());
                let ours = known.is_some_and(|p| self.interest.knows(p));
                if *destroyed && let Some(volume) = self.networks_and_volumes.remove_volume(name) {
                    self.note_volume(&volume);
                }
                list(ours || self.interest.of_volume(name).next().is_some())
            }
            EventKind::Image => Reaction { images: true, ..Reaction::default() },
        }
    }

    /// A network changed for its project and for those that use its name.
    fn note_network(&mut self, network: &Network) {
        self.changed.extend(network.project.iter().chain(self.interest.of_network(&network.name)).cloned());
    }

    fn note_volume(&mut self, volume: &Volume) {
        self.changed.extend(volume.project.iter().chain(self.interest.of_volume(&volume.name)).cloned());
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
            let entry = Entry {
                project: project.clone(),
                event: clock,
                inspected: Instant::now(),
                oom: false,
                ended: None,
                doubts: 0,
                passed: false,
            };
            self.entries.insert(id.clone(), entry);
            return reaction;
        }
        let Some(entry) = self.entries.get_mut(id) else { return look(reaction) };
        entry.event = clock;
        let Some(container) = self.projects.get_mut(&entry.project).and_then(|o| o.containers.get_mut(id)) else {
            return look(reaction);
        };
        // After a reconnection old events are told again, and some come late: what is known since is newer.
        let outdated = match container.state {
            ContainerState::Running { since: known } | ContainerState::Exited { finished: known, .. } => time < known,
            _ => false,
        };
        match (action, container.state) {
            // The inspect that told of the end cannot tell what brought it about.
            (ContainerEvent::Killed, ContainerState::Exited { started, finished, .. }) => {
                container.killed |= started <= time && time <= finished;
                return reaction;
            }
            _ if outdated => return reaction,
            _ => {}
        }
        match action {
            // Handled above; and it was looked at already, after its creation came back.
            ContainerEvent::Destroyed | ContainerEvent::Created => {}
            ContainerEvent::Started => {
                container.state = ContainerState::Running { since: time };
                container.killed = false;
                container.exit_watched = false;
                // Whether there is a check is told by the inspect that follows.
                container.health = Health::Starting;
                entry.oom = false;
                entry.ended = None;
                entry.passed = false;
                return look(reaction);
            }
            ContainerEvent::Died { code } => {
                reaction.died = Some((id.clone(), *code));
                container.exit_watched = true;
                entry.ended = Some(time);
                entry.passed = false;
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
    pub fn inspected(&mut self, id: &ContainerId, point: u64, found: Option<Container>, now: Instant) -> bool {
        self.clock += 1;
        let Some(mut container) = found else {
            self.forget(id);
            return false;
        };
        let (mut oom, mut ended, mut passed) = (false, None, false);
        if let Some(entry) = self.entries.get_mut(id) {
            if entry.event > point {
                return true;
            }
            (oom, ended) = (entry.oom, entry.ended);
            if let Some(old) = self.projects.get(&entry.project).and_then(|o| o.containers.get(id)) {
                let over =
                    matches!(container.state, ContainerState::Running { since } if ended.is_some_and(|at| since < at));
                if entry.doubts < DOUBTS && (over || runs::is_behind(old.state, container.state)) {
                    entry.doubts += 1;
                    return true;
                }
                let same_run = runs::goes_on(old, container.state);
                container.killed = same_run && old.killed;
                container.exit_watched = same_run && old.exit_watched;
                passed =
                    entry.passed && container.health == Health::Starting && runs::is_one(old.state, container.state);
                if passed {
                    container.health = Health::Healthy;
                }
            }
        }
        if let ContainerState::Exited { oom: seen, .. } = &mut container.state {
            *seen |= oom;
        }
        let event = self.entries.get(id).map_or(0, |e| e.event);
        let entry = Entry { project: container.project.clone(), event, inspected: now, oom, ended, doubts: 0, passed };
        self.entries.insert(id.clone(), entry);
        self.projects.entry(container.project.clone()).or_default().containers.insert(id.clone(), container);
        false
    }

    /// Takes in lists that were begun at `point`.
    pub fn listed(&mut self, point: u64, listing: &Listing) -> Listed {
        self.clock += 1;
        let ports = *self.published != listing.published;
        if ports {
            self.published = Arc::new(listing.published.clone());
        }
        for network in self.networks_and_volumes.set_networks(&listing.networks) {
            self.note_network(&network);
        }
        for volume in self.networks_and_volumes.set_volumes(&listing.volumes) {
            self.note_volume(&volume);
        }
        // By hash and from one end to the other, as there may be many and most of them are as they were.
        let mut there: HashMap<_, _, RandomState> = listing.containers.iter().map(|c| (&c.id, c)).collect();
        let gone: Vec<_> = self
            .entries
            .iter()
            .filter(|(id, entry)| entry.event <= point && !there.contains_key(id))
            .map(|(id, entry)| (id.clone(), entry.project.clone()))
            .collect();
        for (id, project) in gone {
            self.forget(&id);
            self.changed.insert(project);
        }
        for known in self.projects.values().flat_map(|o| o.containers.values()) {
            // A list can be behind an event: then it is the inspect that tells.
            if there.get(&known.id).is_some_and(|listed| known.state.as_str() == listed.state) {
                there.remove(&known.id);
            }
        }
        let concern = there.into_values().filter(|listed| self.interest.knows(&listed.project));
        let inspect = concern.map(|listed| listed.id.clone()).collect();
        Listed { inspect, dirty: std::mem::take(&mut self.changed), ports }
    }

    /// A check of a container was made and passed, though the Engine made none yet; says whose news that is.
    pub fn passed(&mut self, id: &ContainerId) -> Option<ProjectName> {
        let entry = self.entries.get_mut(id)?;
        let container = self.projects.get_mut(&entry.project)?.containers.get_mut(id)?;
        let news = container.is_running() && container.health == Health::Starting;
        if news {
            container.health = Health::Healthy;
            entry.passed = true;
        }
        news.then(|| entry.project.clone())
    }

    /// Containers that were last looked at before this time, the longest ago first.
    pub fn inspected_before(&self, time: Instant) -> Vec<ContainerId> {
        let mut old: Vec<_> = self.entries.iter().filter(|(_, e)| e.inspected < time).collect();
        old.sort_by_key(|(_, e)| e.inspected);
        old.into_iter().map(|(id, _)| id.clone()).collect()
    }

    /// Containers that run and are not known to be well: the event that they are may be lost.
    pub fn unsettled(&self) -> Vec<ContainerId> {
        let all = self.projects.values().flat_map(|o| o.containers.values());
        let waits = |c: &&Container| c.is_running() && matches!(c.health, Health::Starting | Health::Unhealthy);
        all.filter(waits).map(|c| c.id.clone()).collect()
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

    /// What the host has left.
    pub fn host_is(&mut self, host: Option<HostLoad>) {
        self.host = host;
    }

    /// A container.
    pub fn container(&self, id: &ContainerId) -> Option<&Container> {
        self.projects.get(&self.entries.get(id)?.project)?.containers.get(id)
    }

    /// The containers of a project.
    pub fn of_project(&self, project: &ProjectName) -> impl Iterator<Item = &Container> {
        self.projects.get(project).into_iter().flat_map(|o| o.containers.values())
    }

    /// The containers of a project, to be compared with what is desired.
    pub fn of_project_mut(&mut self, project: &ProjectName) -> impl Iterator<Item = &mut Container> {
        self.projects.get_mut(project).into_iter().flat_map(|o| o.containers.values_mut())
    }

    /// The project's part, brought up to date with networks, volumes and images.
    pub fn observed(&mut self, name: &ProjectName, target: Option<&Project>) -> &Observed {
        let around = self.around(name, target);
        let observed = self.projects.entry(name.clone()).or_default();
        observed.networks = around.networks;
        observed.volumes = around.volumes;
        observed.images = around.images;
        observed.published = around.published;
        observed.host = around.host;
        observed
    }

    /// The same as a copy.
    pub fn snapshot(&self, name: &ProjectName, target: Option<&Project>) -> Observed {
        let mut observed = self.around(name, target);
        observed.containers = self.projects.get(name).map(|o| o.containers.clone()).unwrap_or_default();
        observed
    }

    /// What concerns a project beside its containers: networks, volumes, images and the host.
    fn around(&self, name: &ProjectName, target: Option<&Project>) -> Observed {
        Observed {
            containers: BTreeMap::new(),
            published: Arc::clone(&self.published),
            host: self.host,
            networks: self.networks_and_volumes.networks_of(name, target),
            volumes: self.networks_and_volumes.volumes_of(name, target),
            images: self.images.of_target(target),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ImageId;

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
            pid: None,
            volumes: BTreeMap::new(),
            reach: Default::default(),
            probed: None,
            load: None,
            host_cpus: None,
            squeeze: None,
            error: None,
            fields: None,
            differences: None,
        }
    }

    #[test]
    fn an_inspect_from_before_the_destruction_does_not_bring_a_container_back() {
        let (id, project) = (ContainerId::trusted("c1"), ProjectName::trusted("shop"));
        for known in [true, false] {
            let mut cache = Cache::default();
            cache.interest_mut().follow(&project, None);
            let now = Timestamp::UNIX_EPOCH;
            if known {
                cache.inspected(&id, cache.point(), Some(removing(&id, &project)), Instant::now());
            }
            let begun = cache.point();
            let kind =
                EventKind::Container { id: id.clone(), project: project.clone(), action: ContainerEvent::Destroyed };
            assert_eq!(cache.event(&EngineEvent { time: now, kind }).inspect, None);
            assert!(cache.inspected(&id, begun, Some(removing(&id, &project)), Instant::now()), "to be repeated");
            assert_eq!(cache.container(&id), None);
            assert!(!cache.inspected(&id, cache.point(), None, Instant::now()));
            assert_eq!(cache.of_project(&project).count(), 0);
        }
    }

    #[test]
    fn an_inspect_that_tells_of_a_time_before_the_events_is_repeated_and_in_the_end_believed() {
        let (id, project) = (ContainerId::trusted("c1"), ProjectName::trusted("shop"));
        let mut cache = Cache::default();
        let at = |second| Timestamp::from_second(second).unwrap();
        let with = |state| Some(Container { state, ..removing(&id, &project) });
        cache.inspected(&id, cache.point(), with(ContainerState::Running { since: at(5) }), Instant::now());
        for _ in 0..DOUBTS {
            assert!(cache.inspected(&id, cache.point(), with(ContainerState::Created), Instant::now()));
            assert!(cache.container(&id).is_some_and(Container::is_running));
        }
        assert!(!cache.inspected(&id, cache.point(), with(ContainerState::Created), Instant::now()));
        assert!(cache.container(&id).is_some_and(|c| c.state == ContainerState::Created));
    }

    #[test]
    fn a_kill_that_is_told_after_the_end_was_seen_belongs_to_that_end() {
        let (id, project) = (ContainerId::trusted("c1"), ProjectName::trusted("shop"));
        let at = |second| Timestamp::from_second(second).unwrap();
        for (time, killed) in [(8, true), (3, false)] {
            let mut cache = Cache::default();
            cache.interest_mut().follow(&project, None);
            let state = ContainerState::Exited { code: 0, oom: false, started: at(5), finished: at(9) };
            let found = Container { state, ..removing(&id, &project) };
            cache.inspected(&id, cache.point(), Some(found), Instant::now());
            let action = ContainerEvent::Killed;
            let kind = EventKind::Container { id: id.clone(), project: project.clone(), action };
            cache.event(&EngineEvent { time: at(time), kind });
            assert_eq!(cache.container(&id).map(|c| c.killed), Some(killed), "{time}");
        }
    }

    #[test]
    fn a_kill_is_not_held_against_a_run_that_nobody_heard_of() {
        let (id, project) = (ContainerId::trusted("c1"), ProjectName::trusted("shop"));
        let at = |second| Timestamp::from_second(second).unwrap();
        let exited = |code, started, finished| {
            let state = ContainerState::Exited { code, oom: false, started: at(started), finished: at(finished) };
            Some(Container { state, ..removing(&id, &project) })
        };
        for (run, killed) in [(exited(0, 20, 23), false), (exited(128, 5, 9), true)] {
            let mut cache = Cache::default();
            cache.interest_mut().follow(&project, None);
            cache.inspected(&id, cache.point(), exited(137, 5, 9), Instant::now());
            let kind =
                EventKind::Container { id: id.clone(), project: project.clone(), action: ContainerEvent::Killed };
            cache.event(&EngineEvent { time: at(8), kind });
            let what = format!("{run:?}");
            cache.inspected(&id, cache.point(), run, Instant::now());
            assert_eq!(cache.container(&id).map(|c| c.killed), Some(killed), "{what}");
        }
    }

    #[test]
    fn what_was_destroyed_is_forgotten_at_the_next_list() {
        let (id, project) = (ContainerId::trusted("c1"), ProjectName::trusted("shop"));
        let mut cache = Cache::default();
        cache.interest_mut().follow(&project, None);
        let kind = EventKind::Container { id, project, action: ContainerEvent::Destroyed };
        cache.event(&EngineEvent { time: Timestamp::UNIX_EPOCH, kind });
        assert_eq!(cache.entries.len(), 1);
        cache.listed(cache.point(), &Listing::default());
        assert!(cache.entries.is_empty());
    }
}
