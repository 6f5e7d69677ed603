//! Containers: made, found, renamed and removed as Docker does it.

use std::collections::BTreeMap;

use super::{Due, World};
use crate::engine::sim::blueprint::Blueprint;
use crate::engine::sim::container::{Simulated, no_such};
use crate::engine::sim::script::Script;
use crate::engine::sim::{DISK_FULL, pace, refused};
use crate::engine::{ContainerEvent, EngineError, EventKind};
use crate::model::observed::ContainerState;
use crate::model::setback::{Missing, Refusal};
use crate::model::{ContainerId, NetworkId};

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

impl World {
    /// A container by its id or name.
    pub fn find(&self, text: &str) -> Option<&ContainerId> {
        let by_id = self.containers.get_key_value(text).map(|(id, _)| id);
        by_id.or_else(|| self.names.get(text))
    }

    pub(in crate::engine::sim) fn get(&mut self, id: &ContainerId) -> Result<&mut Simulated, EngineError> {
        let (now, remembers) = (self.now, self.remembers);
        let container = self.containers.get_mut(id).ok_or_else(|| no_such(id))?;
        if remembers {
            container.remember(now);
        }
        Ok(container)
    }

    /// Makes a container, without starting it; refused where the name is taken or the image is not there.
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

    pub(in crate::engine::sim) fn destroy(&mut self, id: &ContainerId) {
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
