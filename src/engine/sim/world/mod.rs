//! What the simulated Engine holds, its time, and what is due. What is done to it, by calls, by hand or by itself, is in
//! the files below: each adds verbs to [`World`].

mod attach;
mod containers;
mod director;
mod fields;
mod hand;
mod health;
mod life;
mod resources;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::call::Fate;
use super::container::Simulated;
use super::events::Events;
use super::script::Script;
use crate::engine::{ContainerEvent, EngineEvent, EventKind, ListedContainer, Listing};
use crate::model::observed::{Capabilities, Container, Network, PublishedPort, Volume};
use crate::model::{ContainerId, ImageId, NetworkId, ProjectName, ServiceName, Timestamp};
pub use director::{Calm, Director};

/// Everything that the simulated host has, with its time and what is due.
pub struct World {
    pub(super) now: Timestamp,
    pub(super) containers: BTreeMap<ContainerId, Simulated>,
    /// By name, which is each one's own.
    pub(super) names: BTreeMap<String, ContainerId>,
    pub(super) networks: BTreeMap<NetworkId, Network>,
    /// By name, which several may have.
    pub(super) network_names: BTreeMap<String, BTreeSet<NetworkId>>,
    pub(super) volumes: BTreeMap<String, Volume>,
    /// What is here, by reference.
    pub(super) images: BTreeMap<String, ImageId>,
    /// What can be pulled, by reference.
    pub(super) registry: BTreeMap<String, ImageId>,
    pub(super) scripts: BTreeMap<(ProjectName, ServiceName), Script>,
    /// How often containers of a service were started.
    pub(super) runs: BTreeMap<(ProjectName, Option<ServiceName>), u32>,
    pub(super) events: Events,
    pub(super) director: Option<Box<dyn Director>>,
    pub(super) draw: fastrand::Rng,
    pub(super) due: BTreeMap<(Timestamp, u64), Due>,
    pub(super) away: bool,
    /// Counts the times it went away.
    pub(super) epoch: u64,
    /// Starts that are under way.
    pub(super) starting: u64,
    /// Containers keep what they were before their last change, for reads that are behind.
    pub(super) remembers: bool,
    pub(super) api: (u16, u16),
    /// No more room: whatever writes is refused.
    pub(super) full: bool,
    count: u64,
}

/// Something that happens by itself once its time has come.
#[derive(Debug, Clone)]
pub(super) enum Due {
    /// A process ends, if it still is that run.
    End { id: ContainerId, run: u64, code: i64, oom: bool },
    /// The grace after a stop is over, if it still is that run.
    Insist { id: ContainerId, run: u64 },
    /// A check is made, if it still is the one that is due.
    Check { id: ContainerId, number: u64 },
    /// The Engine starts a container again, if it still is that run.
    Restart { id: ContainerId, run: u64 },
    /// A removal comes to its end.
    Destroy { id: ContainerId },
    /// An event is told late.
    Tell { event: EngineEvent },
}

/// What kind of Engine it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Model {
    /// Its API.
    pub api: (u16, u16),
}

impl Model {
    /// Docker 20.10: one network at creation, network names are not unique.
    pub const V20: Self = Self { api: (1, 41) };
    /// Docker 28: several networks at creation, network names are unique.
    pub const V28: Self = Self { api: (1, 48) };
}

impl World {
    pub(super) fn new(seed: u64, model: Model, now: Timestamp) -> Self {
        Self {
            now,
            containers: BTreeMap::new(),
            names: BTreeMap::new(),
            networks: BTreeMap::new(),
            network_names: BTreeMap::new(),
            volumes: BTreeMap::new(),
            images: BTreeMap::new(),
            registry: BTreeMap::new(),
            scripts: BTreeMap::new(),
            runs: BTreeMap::new(),
            events: Events::default(),
            director: Some(Box::new(Calm)),
            draw: fastrand::Rng::with_seed(seed),
            due: BTreeMap::new(),
            away: false,
            epoch: 0,
            starting: 0,
            remembers: false,
            api: model.api,
            full: false,
            count: 0,
        }
    }

    /// The Engine's time.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Its containers, as an inspect would tell.
    pub fn containers(&self) -> impl Iterator<Item = &Container> {
        self.containers.values().map(|c| &c.seen)
    }

    /// A container, as an inspect would tell.
    pub fn container(&self, id: &ContainerId) -> Option<&Container> {
        self.containers.get(id).map(|c| &c.seen)
    }

    /// More about a container than an inspect of this program reads.
    pub fn simulated(&self, id: &ContainerId) -> Option<&Simulated> {
        self.containers.get(id)
    }

    /// The networks, in the order of their ids.
    pub fn networks(&self) -> impl Iterator<Item = &Network> {
        self.networks.values()
    }

    /// The volumes, in the order of their names.
    pub fn volumes(&self) -> impl Iterator<Item = &Volume> {
        self.volumes.values()
    }

    /// The images that are here.
    pub fn images(&self) -> &BTreeMap<String, ImageId> {
        &self.images
    }

    /// Whether it does not answer.
    pub fn is_away(&self) -> bool {
        self.away
    }

    /// Events that were lost because nobody took them in time.
    pub fn lost_events(&self) -> u64 {
        self.events.lost
    }

    /// Says who decides what goes wrong.
    pub fn directed_by(&mut self, director: Box<dyn Director>) {
        self.director = Some(director);
    }

    /// Containers keep what they were before their last change.
    pub fn remember_changes(&mut self) {
        self.remembers = true;
    }

    /// The script of a service's containers; those that are there keep their present run's.
    pub fn script(&mut self, project: &ProjectName, service: &ServiceName, script: Script) {
        self.scripts.insert((project.clone(), service.clone()), script);
    }

    /// What it can do.
    pub(super) fn capabilities(&self) -> Capabilities {
        Capabilities { api: self.api }
    }

    /// Whether it behaves as Docker 25 and later do, which was seen with 28: a network's name is its own, a container
    /// leaves its networks before its end is told, and what is made already is not told of again.
    pub(super) fn is_newer(&self) -> bool {
        self.api >= (1, 44)
    }

    /// A new id: 64 hexadecimal digits, in no order.
    pub(super) fn id(&mut self) -> String {
        self.count += 1;
        let mut text = format!("{:012x}", self.draw.u64(..) & 0xffff_ffff_ffff);
        text.push_str(&format!("{:052x}", self.count));
        text
    }

    pub(super) fn later(&mut self, delay: Duration, due: Due) {
        let at = self.now.checked_add(delay).unwrap_or(self.now);
        self.count += 1;
        self.due.insert((at, self.count), due);
    }

    /// When something is due next.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.due.first_key_value().map(|((at, _), _)| *at)
    }

    /// Lets the time pass: everything that is due by then happens, in its order.
    pub(super) fn advance(&mut self, to: Timestamp) {
        while let Some(entry) = self.due.first_entry().filter(|e| e.key().0 <= to) {
            let ((at, _), due) = entry.remove_entry();
            self.now = self.now.max(at);
            match due {
                Due::End { id, run, code, oom } => self.ends(&id, run, code, oom),
                Due::Insist { id, run } => self.insists(&id, run),
                Due::Check { id, number } => self.check(&id, number),
                Due::Restart { id, run } => self.restarts(&id, run),
                Due::Destroy { id } => self.destroy(&id),
                Due::Tell { event } => self.events.tell(&event),
            }
        }
        self.now = self.now.max(to);
    }

    /// Calls the director with the world itself.
    pub(super) fn ask<T>(&mut self, question: impl FnOnce(&mut dyn Director, &Self) -> T) -> Option<T> {
        let mut director = self.director.take()?;
        let answer = question(&mut *director, self);
        self.director = Some(director);
        Some(answer)
    }

    pub(super) fn emit(&mut self, kind: EventKind) {
        let event = EngineEvent { time: self.now, kind };
        self.events.keep(event.clone());
        let fate = self.ask(|director, world| {
            director.happened(&event, world);
            director.fate(&event)
        });
        match fate.unwrap_or_default() {
            Fate::Told => self.events.tell(&event),
            Fate::Lost => {}
            Fate::Twice => {
                self.events.tell(&event);
                self.events.tell(&event);
            }
            Fate::Late(by) => self.later(by, Due::Tell { event }),
        }
    }

    /// An event of a container; of those outside projects nobody is told.
    pub(super) fn emit_of(&mut self, id: &ContainerId, action: ContainerEvent) {
        let Some(project) = self.containers.get(id).filter(|c| c.in_project()).map(|c| c.seen.project.clone()) else {
            return;
        };
        self.emit(EventKind::Container { id: id.clone(), project, action });
    }

    /// Lists everything, containers as they were so long ago at most where they remember.
    pub(super) fn listing(&self, behind: Duration) -> Listing {
        let containers = self.containers.values().filter(|c| c.in_project()).map(|c| {
            let seen = c.behind(self.now, behind);
            ListedContainer {
                id: seen.id.clone(),
                project: seen.project.clone(),
                state: seen.state.as_str().to_owned(),
            }
        });
        let running = self.containers.values().filter(|c| c.has_process());
        let published = running.flat_map(|c| {
            c.made_of.ports.iter().filter_map(|(port, protocol, host_ip)| {
                Some(PublishedPort {
                    port: port.parse().ok()?,
                    protocol: protocol.clone(),
                    host_ip: host_ip.clone(),
                    container: c.seen.id.clone(),
                    name: c.seen.name.clone(),
                    project: c.in_project().then(|| c.seen.project.clone()),
                })
            })
        });
        Listing {
            published: published.collect(),
            containers: containers.collect(),
            networks: self.networks.values().cloned().collect(),
            volumes: self.volumes.values().cloned().collect(),
        }
    }
}
