//! Containers: made, found, renamed and removed as Docker does it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::blueprint::Blueprint;
use super::script::Script;
use super::world::{Due, World};
use super::{DISK_FULL, pace, refused};
use crate::engine::unfinished::Running;
use crate::engine::{ContainerEvent, EngineError, EventKind};
use crate::model::observed::{Container, ContainerState, Health};
use crate::model::service::RestartPolicy;
use crate::model::setback::{Missing, Refusal};
use crate::model::{ContainerId, ImageId, InstanceId, NetworkId, ProjectName, ServiceName, Timestamp, labels};

/// A container.
#[derive(Debug, Clone)]
pub struct Simulated {
    /// As an inspect tells.
    pub seen: Container,
    /// What it was made of.
    pub made_of: Blueprint,
    /// What its processes do.
    pub(super) script: Script,
    /// Tells one run from another; rises with each change of state as well.
    pub(super) run: u64,
    /// How often it was started.
    pub(super) starts: u32,
    /// Somebody stopped it, so that its policy rests.
    pub(super) stopped_by_hand: bool,
    /// Somebody made its check fail.
    pub(super) sick: bool,
    pub(super) failed_checks: u32,
    /// Tells the checks that are due from those that were once.
    pub(super) checks: u64,
    /// The networks that it was attached to, by the name or id that it asks for.
    pub(super) bound: BTreeMap<String, NetworkId>,
    /// When its process began.
    pub started: Timestamp,
    /// The last wait before a restart.
    pub(super) restart_delay: Duration,
    /// How it ended last: code, and whether for want of memory.
    pub(super) ended: (i64, bool, Timestamp),
    /// Commands that run in it, each until then.
    pub(super) commands: Vec<(Running, Timestamp)>,
    before: Option<(Timestamp, Box<Container>)>,
}

impl Simulated {
    fn new(id: ContainerId, made_of: Blueprint, image: ImageId, script: Script, now: Timestamp) -> Self {
        let depends_on = made_of.label(labels::DEPENDS_ON).unwrap_or_default();
        let seen = Container {
            id,
            name: made_of.name.clone(),
            project: ProjectName::trusted(made_of.label(labels::PROJECT).unwrap_or_default()),
            service: made_of.label(labels::SERVICE).map(ServiceName::trusted),
            number: made_of.label(labels::CONTAINER_NUMBER).and_then(|n| n.parse().ok()).unwrap_or(0),
            oneoff: made_of.label(labels::ONEOFF).is_some_and(|o| o.eq_ignore_ascii_case("true")),
            created: now,
            config_hash: made_of.label(labels::CONFIG_HASH).map(str::to_owned),
            image,
            instance: made_of.label(labels::INSTANCE).map(InstanceId::trusted),
            depends_on: depends_on
                .split(',')
                .filter_map(|d| d.split(':').next().filter(|d| !d.is_empty()))
                .map(ServiceName::trusted)
                .collect(),
            state: ContainerState::Created,
            health: Health::None,
            engine_restarts: !matches!(made_of.policy, None | Some(RestartPolicy::No)),
            restart_count: 0,
            killed: false,
            exit_watched: false,
            networks: made_of.networks.iter().cloned().collect(),
            pid: None,
            volumes: BTreeMap::new(),
            reach: Default::default(),
            probed: None,
            load: None,
            host_cpus: None,
            squeeze: None,
            error: None,
            fields: made_of.fields.clone(),
            differences: None,
        };
        Self {
            seen,
            made_of,
            script,
            run: 0,
            starts: 0,
            stopped_by_hand: false,
            sick: false,
            failed_checks: 0,
            checks: 0,
            bound: BTreeMap::new(),
            started: now,
            restart_delay: Duration::ZERO,
            ended: (0, false, now),
            commands: Vec::new(),
            before: None,
        }
    }

    pub(super) fn in_project(&self) -> bool {
        !self.seen.project.as_str().is_empty()
    }

    /// It as it was before its last change, if that was so short ago.
    pub(super) fn behind(&self, now: Timestamp, by: Duration) -> &Container {
        match &self.before {
            Some((at, before)) if at.checked_add(by).is_ok_and(|until| now < until) => before,
            _ => &self.seen,
        }
    }

    /// How often it was started.
    pub fn starts(&self) -> u32 {
        self.starts
    }

    pub(super) fn has_process(&self) -> bool {
        matches!(self.seen.state, ContainerState::Running { .. } | ContainerState::Paused)
    }

    /// The state of one that ended and is not started again.
    pub(super) fn over(&self) -> ContainerState {
        let (code, oom, finished) = self.ended;
        ContainerState::Exited { code, oom, started: self.started, finished }
    }
}

/// What the Engine takes as a container's name.
fn valid_name(name: &str) -> Result<(), String> {
    let mut chars = name.chars();
    let first = chars.next().is_some_and(|c| c.is_ascii_alphanumeric());
    let rest = chars.as_str();
    if first && !rest.is_empty() && rest.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c)) {
        return Ok(());
    }
    Err(format!("Invalid container name (/{name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"))
}

fn taken(name: &str, by: &ContainerId) -> String {
    format!(
        "Conflict. The container name \"/{name}\" is already in use by container \"{by}\". You have to remove (or rename) that container to be able to reuse that name."
    )
}

pub(super) fn no_such(id: &ContainerId) -> EngineError {
    refused(Refusal::NotFound(Missing::Itself), format!("No such container: {id}"))
}

impl World {
    /// A container by its id or name.
    pub fn find(&self, text: &str) -> Option<&ContainerId> {
        let by_id = self.containers.get_key_value(text).map(|(id, _)| id);
        by_id.or_else(|| self.names.get(text))
    }

    pub(super) fn get(&mut self, id: &ContainerId) -> Result<&mut Simulated, EngineError> {
        let (now, remembers) = (self.now, self.remembers);
        let container = self.containers.get_mut(id).ok_or_else(|| no_such(id))?;
        if remembers {
            container.before = Some((now, Box::new(container.seen.clone())));
        }
        Ok(container)
    }

    /// Makes a container.
    pub fn create(&mut self, mut made_of: Blueprint) -> Result<ContainerId, EngineError> {
        let Some(image) = self.images.get(&made_of.image).cloned() else {
            return Err(refused(Refusal::NotFound(Missing::Image), format!("No such image: {}", made_of.image)));
        };
        if let Err(words) = valid_name(&made_of.name) {
            return Err(refused(Refusal::InvalidRequest, words));
        }
        if let Some(other) = self.find(&made_of.name) {
            return Err(refused(Refusal::NameTaken, taken(&made_of.name, other)));
        }
        if made_of.networks.len() > 1 && !self.capabilities().several_networks_at_creation() {
            let mut names = made_of.networks.clone();
            names.sort();
            let message = format!("Container cannot be connected to network endpoints: {}", names.join(", "));
            return Err(refused(Refusal::InvalidRequest, message));
        }
        if self.full {
            return Err(refused(DISK_FULL, "mkdir /var/lib/docker/overlay2: no space left on device"));
        }
        // What is asked for by its id is kept by its name, and bound to that id.
        let mut by_id = BTreeMap::new();
        for network in &mut made_of.networks {
            if let Some(known) = self.networks.get(&NetworkId::trusted(network.as_str())) {
                network.clone_from(&known.name);
                by_id.insert(known.name.clone(), known.id.clone());
            }
        }
        let id = ContainerId::trusted(self.id());
        for volume in &made_of.volumes {
            self.make_volume(volume, None);
        }
        let mut container = Simulated::new(id.clone(), made_of, image, Script::default(), self.now);
        container.seen.networks.extend(by_id.values().map(ToString::to_string));
        container.bound = by_id;
        if let Some(service) = &container.seen.service
            && let Some(script) = self.scripts.get(&(container.seen.project.clone(), service.clone()))
        {
            container.script = script.clone();
        }
        self.names.insert(container.seen.name.clone(), id.clone());
        self.containers.insert(id.clone(), container);
        self.emit_of(&id, ContainerEvent::Created);
        Ok(id)
    }

    /// Begins a removal; `false`: somebody else did already.
    pub fn remove(&mut self, id: &ContainerId, force: bool) -> Result<bool, EngineError> {
        let container = self.containers.get(id).ok_or_else(|| no_such(id))?;
        match container.seen.state {
            ContainerState::Removing => return Ok(false),
            state @ (ContainerState::Running { .. } | ContainerState::Paused | ContainerState::Restarting)
                if !force =>
            {
                let first = if state == ContainerState::Paused { "Unpause and then stop" } else { "Stop" };
                let message = format!(
                    "You cannot remove a {} container {id}. {first} the container before attempting removal or force remove",
                    state.as_str()
                );
                return Err(refused(Refusal::Other, message));
            }
            _ => {}
        }
        self.rests(id);
        if self.containers.get(id).is_some_and(Simulated::has_process) {
            self.emit_of(id, ContainerEvent::Killed);
            if let Some(container) = self.containers.get_mut(id) {
                container.stopped_by_hand = true;
                let run = container.run;
                self.ends(id, run, 137, false);
            }
        }
        let container = self.get(id)?;
        container.run += 1;
        container.seen.state = ContainerState::Removing;
        self.later(pace::REMOVAL, Due::Destroy { id: id.clone() });
        Ok(true)
    }

    pub(super) fn destroy(&mut self, id: &ContainerId) {
        let Some(container) = self.containers.get(id) else { return };
        let (in_project, project) = (container.in_project(), container.seen.project.clone());
        self.names.remove(&container.seen.name);
        self.containers.remove(id);
        if in_project {
            let action = ContainerEvent::Destroyed;
            self.emit(EventKind::Container { id: id.clone(), project, action });
        }
    }

    /// Gives it another name.
    pub fn rename(&mut self, id: &ContainerId, name: &str) -> Result<(), EngineError> {
        let container = self.containers.get(id).ok_or_else(|| no_such(id))?;
        if container.seen.name == name {
            return Err(refused(
                Refusal::InvalidRequest,
                "Renaming a container with the same name as its current name",
            ));
        }
        let allocating = "Error when allocating new name: ";
        if let Err(words) = valid_name(name) {
            return Err(refused(Refusal::InvalidRequest, format!("{allocating}{words}")));
        }
        if let Some(other) = self.find(name) {
            return Err(refused(Refusal::NameTaken, format!("{allocating}{}", taken(name, other))));
        }
        let before = std::mem::replace(&mut self.get(id)?.seen.name, name.to_owned());
        self.names.remove(&before);
        self.names.insert(name.to_owned(), id.clone());
        self.emit_of(id, ContainerEvent::Changed);
        Ok(())
    }

    /// `docker update`.
    pub fn update(&mut self, id: &ContainerId, memory: Option<u64>, nano_cpus: Option<i64>) -> Result<(), EngineError> {
        let container = self.get(id)?;
        container.made_of.memory = memory.filter(|m| *m > 0).or(container.made_of.memory);
        container.made_of.nano_cpus = nano_cpus.filter(|n| *n > 0).or(container.made_of.nano_cpus);
        #[allow(clippy::cast_precision_loss)]
        self.change_fields(id, |fields| {
            memory.filter(|m| *m > 0).into_iter().for_each(|m| fields.set("mem_limit", m.to_string()));
            nano_cpus.filter(|n| *n > 0).into_iter().for_each(|n| fields.set("cpus", (n as f64 / 1e9).to_string()));
        });
        self.emit_of(id, ContainerEvent::Changed);
        Ok(())
    }
}

impl Simulated {
    /// Whether its process ended a moment ago.
    pub(super) fn just_died(&self, now: Timestamp) -> bool {
        match self.seen.state {
            ContainerState::Exited { finished, .. } => {
                finished.checked_add(2 * pace::DEATH).is_ok_and(|until| now < until)
            }
            _ => false,
        }
    }
}
