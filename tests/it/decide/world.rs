//! A world in which steps take effect, and the notes that control keeps while they do.

use std::sync::Arc;
use std::time::Duration;

use evenkeel::decide::{Action, sharing};
use evenkeel::model::fields::{Difference, Repair};
use evenkeel::model::observed::{Container, ContainerState, Health, Network, Observed, Volume};
use evenkeel::model::{ContainerId, ImageId, NetworkId, Project, ServiceName, Timestamp};

/// What a container does once it is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Run {
    Stays(Health),
    Exits(i64),
}

/// What an engine has.
#[derive(Debug, Clone)]
pub struct World {
    pub observed: Observed,
    pub now: Timestamp,
    made: u64,
}

impl World {
    pub fn new(now: Timestamp) -> Self {
        Self { observed: Observed::default(), now, made: 0 }
    }

    pub fn pass(&mut self, seconds: u64) {
        self.now = self.now.checked_add(Duration::from_secs(seconds)).unwrap();
    }

    /// Twelve characters, as the Engine's short ids have.
    fn next_id(&mut self, head: char) -> String {
        self.made += 1;
        format!("{head}{:0>11}", self.made)
    }

    pub fn container(&mut self, project: &Project, service: &str, number: u32) -> Container {
        let service = ServiceName::trusted(service);
        let wanted = &project.services[&service];
        let id = ContainerId::trusted(self.next_id('c'));
        Container {
            service: Some(service.clone()),
            number,
            config_hash: sharing::resolve(project, &self.observed).services[&wanted.name].label_hash(),
            image: self.image(&wanted.image),
            depends_on: wanted.depends_on.keys().cloned().collect(),
            ..Container::made(id, wanted.container_name(&project.name, number), project.name.clone(), self.now)
        }
    }

    /// Fields that are as desired from now on.
    fn mended(&mut self, id: &ContainerId, which: impl Fn(&Difference) -> bool) {
        let container = self.observed.containers.get_mut(id).expect("it is there");
        if let Some(differences) = &mut container.differences {
            Arc::make_mut(differences).retain(|d| !which(d));
        }
    }

    fn image(&self, reference: &str) -> ImageId {
        let image = self.observed.images.get(reference).cloned().flatten();
        image.unwrap_or_else(|| ImageId::trusted(format!("sha256:{reference}")))
    }

    pub fn put(&mut self, container: Container) -> ContainerId {
        let id = container.id.clone();
        self.observed.containers.insert(id.clone(), container);
        id
    }

    pub fn get(&mut self, id: &ContainerId) -> &mut Container {
        self.observed.containers.get_mut(id).unwrap()
    }

    pub fn put_network(&mut self, name: &str, project: Option<&Project>) -> NetworkId {
        let id = NetworkId::trusted(self.next_id('n'));
        let network = Network {
            made: None,
            id: id.clone(),
            name: name.to_owned(),
            created: self.now,
            project: project.map(|p| p.name.clone()),
            key: None,
        };
        self.observed.networks.insert(id.clone(), network);
        id
    }

    pub fn put_volume(&mut self, name: &str, project: Option<&Project>) {
        let volume = Volume { name: name.to_owned(), project: project.map(|p| p.name.clone()), key: None, made: None };
        self.observed.volumes.insert(name.to_owned(), volume);
    }

    /// A container comes to its end.
    pub fn end(&mut self, id: &ContainerId, code: i64, killed: bool, watched: bool) {
        let now = self.now;
        let container = self.get(id);
        let started = match container.state {
            ContainerState::Running { since } => since,
            _ => now,
        };
        container.state = ContainerState::Exited { code, oom: false, started, finished: now };
        container.health = Health::None;
        container.killed = killed;
        container.exit_watched = watched;
    }

    /// A step takes effect. Says which container it made.
    pub fn apply(
        &mut self,
        project: Option<&Project>,
        action: &Action,
        run: Run,
    ) -> Result<Option<ContainerId>, String> {
        let known = |world: &Self, id: &ContainerId| match world.observed.containers.contains_key(id) {
            true => Ok(()),
            false => Err(format!("No such container: {id}")),
        };
        if let Some(id) = action.container() {
            known(self, id)?;
        }
        match action {
            Action::CreateNetwork { name, .. } => {
                self.put_network(name, project);
            }
            Action::RemoveNetwork { id, name } => {
                let used =
                    self.observed.containers.values().any(|c| c.is_running() && c.networks.contains(id.as_str()));
                if used {
                    return Err(format!("network {name} has active endpoints"));
                }
                self.observed.networks.remove(id);
            }
            Action::CreateVolume { name, .. } => self.put_volume(name, project),
            Action::RemoveVolume { name } => {
                self.observed.volumes.remove(name);
            }
            Action::BuildImage { image, .. } | Action::PullImage { image } => {
                self.observed.images.insert(image.clone(), Some(ImageId::trusted(format!("sha256:{image}"))));
            }
            Action::CreateContainer { service, number, name, networks, .. } => {
                if self.observed.containers.values().any(|c| c.name == *name) {
                    return Err(format!("Conflict. The container name \"/{name}\" is already in use"));
                }
                let mut container = self.container(project.unwrap(), service.as_str(), *number);
                container.name.clone_from(name);
                container.networks = networks.iter().map(|(_, id)| id.to_string()).collect();
                return Ok(Some(self.put(container)));
            }
            Action::DisconnectNetwork { container, name, network, .. } => {
                let at = format!("networks.{name}");
                self.mended(container, |d| d.path.starts_with(&at));
                let container = self.observed.containers.get_mut(container).expect("it is there");
                container.networks.retain(|n| n != name && *n != *network.as_str());
            }
            Action::UpdateContainer { container, changes, .. } => {
                self.mended(container, |d| changes.contains_key(&d.path));
            }
            Action::ConnectNetwork { container, network, .. } => {
                let network = network.to_string();
                self.get(container).networks.insert(network);
            }
            Action::StartContainer { container, .. } => {
                self.mended(container, |d| matches!(d.repair, Repair::Signal | Repair::Restart));
                let since = self.now;
                let there = &self.observed.networks;
                let attached = self.observed.containers[container].networks.clone();
                if let Some(gone) = attached.iter().find(|n| is_id(n) && !there.contains_key(n.as_str())) {
                    return Err(format!("network {gone} not found"));
                }
                // What runs is listed under its networks' ids and names.
                let names: Vec<_> =
                    there.values().filter(|n| attached.contains(n.id.as_str())).map(|n| n.name.clone()).collect();
                let found = self.get(container);
                found.networks.extend(names);
                found.state = ContainerState::Running { since };
                found.killed = false;
                found.exit_watched = false;
                match run {
                    Run::Stays(health) => found.health = health,
                    Run::Exits(code) => self.end(container, code, false, true),
                }
            }
            Action::StopContainer { container, .. } => self.end(container, 0, true, true),
            Action::RemoveContainer { container, .. } => {
                if self.get(container).is_running() {
                    return Err("You cannot remove a running container".into());
                }
                self.observed.containers.remove(container);
            }
            Action::RenameContainer { container, name, .. } => {
                if self.observed.containers.values().any(|c| c.name == *name && c.id != *container) {
                    return Err(format!("Conflict. The container name \"/{name}\" is already in use"));
                }
                self.get(container).name.clone_from(name);
            }
            Action::RunHooks { .. } => {}
            Action::SignalContainer { container, .. } => self.mended(container, |d| d.repair == Repair::Signal),
            Action::UnpauseContainer { container, .. } => {
                let since = self.now;
                self.get(container).state = ContainerState::Running { since };
            }
        }
        Ok(None)
    }
}

fn is_id(network: &str) -> bool {
    network.len() == 12 && network.starts_with('n') && network[1..].chars().all(|c| c.is_ascii_digit())
}
