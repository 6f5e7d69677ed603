//! Who decides what goes wrong, sees everything, and judges: the invariants, checked at every call from what the engine
//! really holds, and at every decision by `lint`. Knows nothing of how decisions are reached.

mod clerk;
mod judge;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use evenkeel::engine::ContainerEvent;
use evenkeel::engine::sim::World;
use evenkeel::model::observed::{Container, ContainerState, Health};
use evenkeel::model::{ContainerId, ImageId, Timestamp};

use super::finale::is_job;
use super::recipe::{Version, service};
use super::scenario::{Fault, Scenario};

/// A replica: project, service, number.
pub type Replica = (String, String, u32);

/// Everything that was seen.
pub struct Court {
    pub violations: Vec<String>,
    pub trace: Option<Vec<String>>,
    /// How often each fault did something.
    pub fired: BTreeMap<String, u32>,
    pub calls: [u32; 2],
    pub events: u32,
    /// Processes that ended.
    pub deaths: u32,
    pub decisions: u64,
    /// Containers that are started in place of a replacement that failed.
    fallbacks: BTreeSet<ContainerId>,
    /// No fault is due any more.
    pub calm: bool,
    faults: Vec<Fault>,
    scenario: Scenario,
    /// The versions that were in force or may be, by project; `None`: none at all.
    pub versions: Vec<Vec<Option<Version>>>,
    /// Projects whose manifest was half a file for a while.
    pub torn: BTreeSet<usize>,
    starts: BTreeMap<(Replica, Option<String>), Vec<Timestamp>>,
    /// When a container of this final name was made.
    made: BTreeMap<String, Vec<Timestamp>>,
    /// When a service last was: running, healthy, completed.
    last: BTreeMap<(String, String), [Option<Timestamp>; 3]>,
    /// Containers whose run the controller began.
    ours: BTreeSet<ContainerId>,
    /// When the start of a container was asked for last.
    asked: BTreeMap<ContainerId, Timestamp>,
    /// Whose a container is.
    known: BTreeMap<ContainerId, (String, String)>,
    /// Containers that the controller removes.
    removing: BTreeSet<ContainerId>,
    /// Jobs of one replica that ended with 0 while somebody looked: in which configuration, from which image, when.
    done: BTreeMap<(String, String), (Option<String>, ImageId, Timestamp)>,
    /// Containers that were not told of as they should be, when they were started or looked at.
    unanswered: BTreeSet<ContainerId>,
    /// When nobody looked, or could not remember it, for a moment at least.
    downs: Vec<Timestamp>,
    /// Killed since their last start.
    killed: BTreeSet<ContainerId>,
    /// Services of which something ended that the controller did not end: what that means their `restart` says.
    pub ended: BTreeSet<(String, String)>,
    /// Containers that had another one beside them, or a namespace no more, when their stop was asked for: a slow call may
    /// find it otherwise.
    replaced: BTreeSet<ContainerId>,
    /// Unhealthy in this run, once at least: a restart is asked for, and may find it well.
    sick: BTreeSet<ContainerId>,
    /// Containers that the controller is stopping.
    stopping: BTreeSet<ContainerId>,
    /// Services that seem to have ended by themselves with 0, as the kill before it went unheard.
    pub seem_done: BTreeSet<(String, String)>,
    /// Nobody listens, or not to everything.
    pub deaf: bool,
    /// Nothing can be written down.
    pub forgetful: bool,
    /// There is no controller, or none that has an engine.
    absent: bool,
    /// Virtual seconds from the end of the faults until all was well.
    pub healed_after: u64,
    /// Services that need not be as without faults.
    pub loose: usize,
    began: Timestamp,
    pub now: Timestamp,
}

/// A reference to the court.
#[derive(Clone)]
pub struct Clerk(pub Arc<Mutex<Court>>);

impl Clerk {
    pub fn new(scenario: &Scenario, began: Timestamp, trace: bool) -> Self {
        Self(Arc::new(Mutex::new(Court {
            violations: Vec::new(),
            trace: trace.then(Vec::new),
            fired: BTreeMap::new(),
            calls: [0, 0],
            events: 0,
            deaths: 0,
            decisions: 0,
            fallbacks: BTreeSet::new(),
            calm: false,
            faults: scenario.faults.iter().filter(|f| !matches!(f, Fault::At { .. })).cloned().collect(),
            scenario: scenario.clone(),
            versions: vec![Vec::new(); scenario.projects.len()],
            torn: BTreeSet::new(),
            starts: BTreeMap::new(),
            made: BTreeMap::new(),
            last: BTreeMap::new(),
            ours: BTreeSet::new(),
            asked: BTreeMap::new(),
            known: BTreeMap::new(),
            removing: BTreeSet::new(),
            done: BTreeMap::new(),
            downs: Vec::new(),
            unanswered: BTreeSet::new(),
            killed: BTreeSet::new(),
            ended: BTreeSet::new(),
            replaced: BTreeSet::new(),
            sick: BTreeSet::new(),
            stopping: BTreeSet::new(),
            seem_done: BTreeSet::new(),
            deaf: false,
            forgetful: false,
            absent: true,
            healed_after: 0,
            loose: 0,
            began,
            now: began,
        })))
    }

    pub fn court(&self) -> MutexGuard<'_, Court> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Court {
    pub fn say(&mut self, text: impl FnOnce() -> String) {
        let (now, began) = (self.now, self.began);
        if let Some(trace) = &mut self.trace {
            let ms = now.duration_since(began).as_millis();
            trace.push(format!("{:>6}.{:03} {}", ms / 1_000, ms % 1_000, text()));
        }
    }

    pub fn violation(&mut self, text: String) {
        self.say(|| format!("VIOLATION {text}"));
        if self.violations.len() < 20 {
            self.violations.push(text);
        }
    }

    pub fn fire(&mut self, kind: String) {
        self.say(|| format!("  ! {kind}"));
        *self.fired.entry(kind).or_default() += 1;
    }

    /// The versions of a container's project that may be in force; `None`: not one of ours.
    fn versions_of(&self, container: &Container) -> Option<(usize, &[Option<Version>])> {
        let number: usize = container.project.as_str().strip_prefix('p')?.parse().ok()?;
        Some((number, self.versions.get(number)?))
    }

    /// For a moment at least nobody looks, or what is seen cannot be remembered.
    pub fn down(&mut self) {
        self.downs.push(self.now);
    }

    /// There is no controller any more.
    pub fn leaves(&mut self) {
        (self.deaf, self.absent) = (true, true);
        self.down();
    }

    /// Notes how services are: dependencies are checked against that.
    fn note(&mut self, world: &World) {
        let now = self.now;
        for container in world.containers().filter(|c| !c.oneoff) {
            let Some(name) = &container.service else { continue };
            let key = (container.project.to_string(), name.to_string());
            if !self.known.contains_key(&container.id) {
                self.known.insert(container.id.clone(), key.clone());
            }
            let entry = self.last.entry(key).or_default();
            if container.is_running() {
                entry[0] = Some(now);
                // The controller makes checks of its own.
                if container.health == Health::Healthy || world.would_pass(&container.id) {
                    entry[1] = Some(now);
                }
            }
            if matches!(container.state, ContainerState::Exited { code: 0, .. }) {
                entry[2] = Some(now);
            }
        }
    }

    /// Whether every version has one replica of it.
    fn single(&self, container: &Container) -> bool {
        let Some((_, versions)) = self.versions_of(container) else { return false };
        let Some(name) = &container.service else { return false };
        versions.iter().all(|v| {
            let recipe = v.as_ref().and_then(|v| v.services.iter().find(|r| service(r.name) == name.as_str()));
            recipe.is_some_and(|r| r.replicas == 1)
        })
    }

    /// Services of which something ended with 0.
    pub fn completed(&self) -> BTreeSet<(String, String)> {
        self.last.iter().filter(|(_, [.., completed])| completed.is_some()).map(|(key, _)| key.clone()).collect()
    }

    fn on_container(&mut self, id: &ContainerId, action: &ContainerEvent, world: &World) {
        if *action == ContainerEvent::Destroyed && !self.removing.contains(id) {
            self.ended.extend(self.known.get(id).cloned());
            // Gone before anybody could look at how it had ended.
            let now = self.now;
            let known = self.known.get(id);
            self.done.retain(|key, (.., at)| {
                Some(key) != known || Duration::try_from(now.duration_since(*at)).unwrap_or_default().as_secs() >= 1
            });
        }
        let Some(container) = world.container(id).cloned() else { return };
        let service = container.service.as_ref().map(|s| (container.project.to_string(), s.to_string()));
        match action {
            ContainerEvent::Started => {
                // In another configuration, or by somebody else: what was done is another matter then.
                self.done.retain(|key, _| Some(key) != service.as_ref());
                self.killed.remove(id);
                self.sick.remove(id);
                self.stopping.remove(id);
                self.ours.remove(id);
            }
            ContainerEvent::Health(Health::Unhealthy) => {
                self.sick.insert(id.clone());
            }
            ContainerEvent::Killed => {
                self.killed.insert(id.clone());
            }
            ContainerEvent::Died { code } => {
                self.deaths += 1;
                if !self.stopping.contains(id) {
                    self.ended.extend(service.clone());
                }
                if let Some(key) = &service
                    && is_job(&self.scenario, &container)
                    && *code == 0
                    && !self.killed.contains(id)
                    && !self.unanswered.contains(id)
                    && !self.forgetful
                    && !self.absent
                    && self.single(&container)
                {
                    self.done.insert(key.clone(), (container.config_hash.clone(), container.image.clone(), self.now));
                }
                let by_itself = !self.killed.contains(id) || self.deaf;
                if *code == 0 && !self.stopping.contains(id) && by_itself && !is_job(&self.scenario, &container) {
                    self.seem_done.extend(service);
                }
            }
            _ => {}
        }
    }
}
