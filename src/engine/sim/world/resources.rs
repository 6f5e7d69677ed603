//! Networks, volumes and images.

use std::collections::BTreeMap;

use super::World;
use crate::engine::sim::{DISK_FULL, refused};
use crate::engine::{EngineError, EventKind};
use crate::model::observed::{Network, Volume};
use crate::model::setback::{Missing, Refusal};
use crate::model::{ImageId, NetworkId, ProjectName, labels};

impl World {
    /// Makes a network. Old Engines make a second one of the same name.
    pub fn create_network(&mut self, name: &str, with: &BTreeMap<String, String>) -> Result<NetworkId, EngineError> {
        if self.is_newer() && self.network_names.contains_key(name) {
            return Err(refused(Refusal::NameTaken, format!("network with name {name} already exists")));
        }
        if self.full {
            return Err(refused(DISK_FULL, "failed to update store for object: no space left on device"));
        }
        let id = NetworkId::trusted(self.id());
        let network = Network {
            made: None,
            id: id.clone(),
            name: name.to_owned(),
            created: self.now,
            project: with.get(labels::PROJECT).map(|p| ProjectName::trusted(p.as_str())),
            key: with.get(labels::NETWORK).cloned(),
        };
        self.networks.insert(id.clone(), network);
        self.network_names.entry(name.to_owned()).or_default().insert(id.clone());
        self.emit(EventKind::Network { id: id.clone(), name: name.to_owned(), destroyed: false, container: None });
        Ok(id)
    }

    /// Removes a network that no running container is attached to.
    pub fn remove_network(&mut self, id: &NetworkId) -> Result<(), EngineError> {
        let Some(network) = self.networks.get(id) else {
            return Err(refused(Refusal::NotFound(Missing::Network), format!("network {id} not found")));
        };
        let name = network.name.clone();
        let busy = self.containers.values().any(|c| c.has_process() && c.seen.networks.contains(id.as_str()));
        if busy {
            return Err(refused(
                Refusal::Other,
                format!("error while removing network: network {name} id {id} has active endpoints"),
            ));
        }
        self.networks.remove(id);
        if let Some(same) = self.network_names.get_mut(&name) {
            same.remove(id);
            if same.is_empty() {
                self.network_names.remove(&name);
            }
        }
        self.emit(EventKind::Network { id: id.clone(), name, destroyed: true, container: None });
        Ok(())
    }

    /// Makes a volume where there is none. Old Engines tell so either way.
    pub(in crate::engine::sim) fn make_volume(&mut self, name: &str, project: Option<ProjectName>) {
        if self.is_newer() && self.volumes.contains_key(name) {
            return;
        }
        self.volumes.entry(name.to_owned()).or_insert_with(|| Volume {
            name: name.to_owned(),
            project,
            key: None,
            made: None,
        });
        self.emit(EventKind::Volume { name: name.to_owned(), destroyed: false });
    }

    /// Makes a volume; one that is there is left as it is.
    pub fn create_volume(&mut self, name: &str, with: &BTreeMap<String, String>) -> Result<(), EngineError> {
        if self.full && !self.volumes.contains_key(name) {
            return Err(refused(DISK_FULL, "mkdir /var/lib/docker/volumes: no space left on device"));
        }
        self.make_volume(name, with.get(labels::PROJECT).map(|p| ProjectName::trusted(p.as_str())));
        Ok(())
    }

    /// Removes a volume that no container mounts.
    pub fn remove_volume(&mut self, name: &str) -> Result<(), EngineError> {
        if !self.volumes.contains_key(name) {
            return Err(refused(Refusal::NotFound(Missing::Volume), format!("get {name}: no such volume")));
        }
        if let Some(user) = self.containers.values().find(|c| c.made_of.volumes.contains(name)) {
            return Err(refused(Refusal::Other, format!("remove {name}: volume is in use - [{}]", user.seen.id)));
        }
        self.volumes.remove(name);
        self.emit(EventKind::Volume { name: name.to_owned(), destroyed: true });
        Ok(())
    }

    /// Puts an image under a reference, in place of what was there.
    pub fn tag(&mut self, reference: &str) -> ImageId {
        let id = ImageId::trusted(format!("sha256:{}", self.id()));
        self.images.insert(reference.to_owned(), id.clone());
        self.emit(EventKind::Image);
        id
    }

    /// The same with a certain image.
    pub fn tag_as(&mut self, reference: &str, id: ImageId) {
        self.images.insert(reference.to_owned(), id);
        self.emit(EventKind::Image);
    }

    /// Puts an image into the registry.
    pub fn publish(&mut self, reference: &str) -> ImageId {
        let id = ImageId::trusted(format!("sha256:{}", self.id()));
        self.registry.insert(reference.to_owned(), id.clone());
        id
    }

    /// Puts a certain image into the registry.
    pub fn publish_as(&mut self, reference: &str, id: ImageId) {
        self.registry.insert(reference.to_owned(), id);
    }

    /// Takes a reference away from its image.
    pub fn untag(&mut self, reference: &str) {
        if self.images.remove(reference).is_some() {
            self.emit(EventKind::Image);
        }
    }

    /// Fetches an image from the registry.
    pub fn pull(&mut self, reference: &str) -> Result<(), EngineError> {
        if self.full {
            return Err(refused(DISK_FULL, "write /var/lib/docker/tmp: no space left on device"));
        }
        let Some(id) = self.registry.get(reference).cloned() else {
            let words = format!("manifest for {reference} not found: manifest unknown: manifest unknown");
            return Err(refused(Refusal::NotFound(Missing::Image), words));
        };
        self.tag_as(reference, id);
        Ok(())
    }

    /// Builds an image: another one each time.
    pub fn build(&mut self, reference: &str) -> Result<(), EngineError> {
        if self.full {
            return Err(refused(DISK_FULL, "no space left on device"));
        }
        self.tag(reference);
        Ok(())
    }
}
