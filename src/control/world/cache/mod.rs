//! The cache of what the Engine has. Events patch it first; lists and inspects are checked against events that came after
//! they were begun.

mod events;
mod inspects;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

pub(in crate::control) use events::Reaction;
use foldhash::fast::RandomState;
use tokio::time::Instant;

use super::images::Images;
use super::interest::Interest;
use super::resources::Resources;
use crate::engine::Listing;
use crate::model::observed::{Container, Health, Network, Observed, PublishedPort, Volume};
use crate::model::usage::HostLoad;
use crate::model::{ContainerId, Project, ProjectName, Timestamp};

/// The cache.
#[derive(Debug, Default)]
pub(in crate::control) struct Cache {
    projects: BTreeMap<ProjectName, Observed>,
    entries: BTreeMap<ContainerId, Entry>,
    resources: Resources,
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

/// What a list showed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::control) struct Listed {
    /// Containers to look at.
    pub(in crate::control) inspect: BTreeSet<ContainerId>,
    /// Projects to decide again, for what is there now or is there no more.
    pub(in crate::control) dirty: BTreeSet<ProjectName>,
    /// Other ports of the host are taken than before.
    pub(in crate::control) ports: bool,
}

impl Cache {
    /// The present point in the order of arrivals: to be given back with what is begun now.
    pub(in crate::control) fn point(&self) -> u64 {
        self.clock
    }

    /// A new point in the order of arrivals: what is begun from now on comes after everything so far.
    pub(in crate::control) fn mark(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    /// The Engine's time of the newest event.
    pub(in crate::control) fn last_event(&self) -> Option<Timestamp> {
        self.last_event
    }

    /// Says what is looked at from now on. What comes new into it has to be listed.
    pub(in crate::control) fn set_interest(&mut self, interest: Interest) {
        self.interest = interest;
    }

    /// What is looked at.
    pub(in crate::control) fn interest(&self) -> &Interest {
        &self.interest
    }

    /// The same, to be changed.
    pub(in crate::control) fn interest_mut(&mut self) -> &mut Interest {
        &mut self.interest
    }

    /// What references to images stand for.
    pub(in crate::control) fn images(&self) -> &Images {
        &self.images
    }

    /// The same, to be changed.
    pub(in crate::control) fn images_mut(&mut self) -> &mut Images {
        &mut self.images
    }

    /// Forgets references to images that nobody uses, and says which of the others were last looked up before this time, the
    /// longest ago first.
    pub(in crate::control) fn images_before(&mut self, time: Instant) -> Vec<String> {
        self.images.before(time, &self.interest)
    }

    /// A network changed for its project and for those that use its name.
    fn note_network(&mut self, network: &Network) {
        self.changed.extend(network.project.iter().chain(self.interest.of_network(&network.name)).cloned());
    }

    fn note_volume(&mut self, volume: &Volume) {
        self.changed.extend(volume.project.iter().chain(self.interest.of_volume(&volume.name)).cloned());
    }

    /// Takes in lists that were begun at `point`.
    pub(in crate::control) fn listed(&mut self, point: u64, listing: &Listing) -> Listed {
        self.clock += 1;
        let ports = *self.published != listing.published;
        if ports {
            self.published = Arc::new(listing.published.clone());
        }
        for network in self.resources.set_networks(&listing.networks) {
            self.note_network(&network);
        }
        for volume in self.resources.set_volumes(&listing.volumes) {
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
    pub(in crate::control) fn passed(&mut self, id: &ContainerId) -> Option<ProjectName> {
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
    pub(in crate::control) fn inspected_before(&self, time: Instant) -> Vec<ContainerId> {
        let mut old: Vec<_> = self.entries.iter().filter(|(_, e)| e.inspected < time).collect();
        old.sort_by_key(|(_, e)| e.inspected);
        old.into_iter().map(|(id, _)| id.clone()).collect()
    }

    /// Containers that run and are not known to be well: the event that they are may be lost.
    pub(in crate::control) fn unsettled(&self) -> Vec<ContainerId> {
        let all = self.projects.values().flat_map(|o| o.containers.values());
        let waits = |c: &&Container| c.is_running() && matches!(c.health, Health::Starting | Health::Unhealthy);
        all.filter(waits).map(|c| c.id.clone()).collect()
    }

    /// A container is gone.
    pub(in crate::control) fn forget(&mut self, id: &ContainerId) {
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
    pub(in crate::control) fn host_is(&mut self, host: Option<HostLoad>) {
        self.host = host;
    }

    /// A container.
    pub(in crate::control) fn container(&self, id: &ContainerId) -> Option<&Container> {
        self.projects.get(&self.entries.get(id)?.project)?.containers.get(id)
    }

    /// The containers of a project.
    pub(in crate::control) fn of_project(&self, project: &ProjectName) -> impl Iterator<Item = &Container> {
        self.projects.get(project).into_iter().flat_map(|o| o.containers.values())
    }

    /// The containers of a project, to be compared with what is desired.
    pub(in crate::control) fn of_project_mut(&mut self, project: &ProjectName) -> impl Iterator<Item = &mut Container> {
        self.projects.get_mut(project).into_iter().flat_map(|o| o.containers.values_mut())
    }

    /// The project's part, brought up to date with networks, volumes and images.
    pub(in crate::control) fn observed(&mut self, name: &ProjectName, target: Option<&Project>) -> &Observed {
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
    pub(in crate::control) fn snapshot(&self, name: &ProjectName, target: Option<&Project>) -> Observed {
        let mut observed = self.around(name, target);
        observed.containers = self.projects.get(name).map(|o| o.containers.clone()).unwrap_or_default();
        observed
    }

    /// Networks, volumes and images that concern a project.
    fn around(&self, name: &ProjectName, target: Option<&Project>) -> Observed {
        Observed {
            containers: BTreeMap::new(),
            published: Arc::clone(&self.published),
            host: self.host,
            networks: self.resources.networks_of(name, target),
            volumes: self.resources.volumes_of(name, target),
            images: self.images.of_target(target),
        }
    }
}
