//! Networks and volumes of the host, found by the project they belong to and by their name: what concerns one project
//! costs nothing for what the others have.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::observed::{Network, Volume};
use crate::model::{NetworkId, Project, ProjectName};

/// Networks and volumes.
#[derive(Debug, Default)]
pub(in crate::control) struct Resources {
    networks: BTreeMap<NetworkId, Network>,
    volumes: BTreeMap<String, Volume>,
    /// Network names are not unique.
    by_name: BTreeMap<String, BTreeSet<NetworkId>>,
    by_project: BTreeMap<ProjectName, (BTreeSet<NetworkId>, BTreeSet<String>)>,
}

impl Resources {
    pub(in crate::control) fn network(&self, id: &NetworkId) -> Option<&Network> {
        self.networks.get(id)
    }

    pub(in crate::control) fn volume(&self, name: &str) -> Option<&Volume> {
        self.volumes.get(name)
    }

    /// Networks that carry the project's label or a name that it uses.
    pub(in crate::control) fn networks_of(
        &self,
        name: &ProjectName,
        target: Option<&Project>,
    ) -> BTreeMap<NetworkId, Network> {
        let own = self.by_project.get(name).into_iter().flat_map(|(networks, _)| networks);
        let wanted = target.into_iter().flat_map(|p| p.networks.values());
        let named = wanted.filter_map(|n| self.by_name.get(&n.name)).flatten();
        own.chain(named).filter_map(|id| self.networks.get_key_value(id)).map(|(k, n)| (k.clone(), n.clone())).collect()
    }

    /// Volumes that carry the project's label or a name that it uses.
    pub(in crate::control) fn volumes_of(
        &self,
        name: &ProjectName,
        target: Option<&Project>,
    ) -> BTreeMap<String, Volume> {
        let own = self.by_project.get(name).into_iter().flat_map(|(_, volumes)| volumes);
        let wanted = target.into_iter().flat_map(|p| p.volumes.values()).map(|v| &v.name);
        own.chain(wanted).filter_map(|v| self.volumes.get_key_value(v)).map(|(k, v)| (k.clone(), v.clone())).collect()
    }

    /// Takes in all networks as they are now; gives those that differ, as they were and as they are.
    pub(in crate::control) fn set_networks(&mut self, listed: &[Network]) -> Vec<Network> {
        let there: BTreeMap<_, _> = listed.iter().map(|n| (&n.id, n)).collect();
        let mut changed: Vec<Network> =
            self.networks.values().filter(|n| there.get(&n.id) != Some(n)).cloned().collect();
        for network in &changed {
            self.remove_network(&network.id);
        }
        for network in there.into_values() {
            if !self.networks.contains_key(&network.id) {
                self.insert_network(network.clone());
                changed.push(network.clone());
            }
        }
        changed
    }

    /// The same with volumes.
    pub(in crate::control) fn set_volumes(&mut self, listed: &[Volume]) -> Vec<Volume> {
        let there: BTreeMap<_, _> = listed.iter().map(|v| (&v.name, v)).collect();
        let mut changed: Vec<Volume> =
            self.volumes.values().filter(|v| there.get(&v.name) != Some(v)).cloned().collect();
        for volume in &changed {
            self.remove_volume(&volume.name);
        }
        for volume in there.into_values() {
            if !self.volumes.contains_key(&volume.name) {
                self.insert_volume(volume.clone());
                changed.push(volume.clone());
            }
        }
        changed
    }

    fn insert_network(&mut self, network: Network) {
        self.by_name.entry(network.name.clone()).or_default().insert(network.id.clone());
        if let Some(project) = &network.project {
            self.by_project.entry(project.clone()).or_default().0.insert(network.id.clone());
        }
        self.networks.insert(network.id.clone(), network);
    }

    pub(in crate::control) fn remove_network(&mut self, id: &NetworkId) -> Option<Network> {
        let network = self.networks.remove(id)?;
        if let Some(ids) = self.by_name.get_mut(&network.name) {
            ids.remove(id);
            if ids.is_empty() {
                self.by_name.remove(&network.name);
            }
        }
        if let Some(project) = &network.project {
            self.disown(project, |(networks, _)| networks.remove(id));
        }
        Some(network)
    }

    fn insert_volume(&mut self, volume: Volume) {
        if let Some(project) = &volume.project {
            self.by_project.entry(project.clone()).or_default().1.insert(volume.name.clone());
        }
        self.volumes.insert(volume.name.clone(), volume);
    }

    pub(in crate::control) fn remove_volume(&mut self, name: &str) -> Option<Volume> {
        let volume = self.volumes.remove(name)?;
        if let Some(project) = &volume.project {
            self.disown(project, |(_, volumes)| volumes.remove(name));
        }
        Some(volume)
    }

    fn disown(
        &mut self,
        project: &ProjectName,
        remove: impl FnOnce(&mut (BTreeSet<NetworkId>, BTreeSet<String>)) -> bool,
    ) {
        if let Some(owned) = self.by_project.get_mut(project) {
            remove(owned);
            if owned.0.is_empty() && owned.1.is_empty() {
                self.by_project.remove(project);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    fn network(id: &str, name: &str, project: Option<&str>) -> Network {
        Network {
            made: None,
            id: NetworkId::trusted(id),
            name: name.to_owned(),
            created: Timestamp::UNIX_EPOCH,
            project: project.map(ProjectName::trusted),
            key: None,
        }
    }

    #[test]
    fn a_list_tells_what_differs_and_a_project_finds_its_own() {
        let mut resources = Resources::default();
        let (one, two) = (network("1", "a", Some("shop")), network("2", "a", None));
        assert_eq!(resources.set_networks(&[one.clone(), two.clone()]), [one.clone(), two.clone()]);
        assert!(resources.set_networks(&[two.clone(), one.clone()]).is_empty(), "the order says nothing");
        let shop = ProjectName::trusted("shop");
        assert_eq!(resources.networks_of(&shop, None).into_values().collect::<Vec<_>>(), std::slice::from_ref(&one));
        let renamed = Network { name: "b".to_owned(), ..two.clone() };
        assert_eq!(resources.set_networks(std::slice::from_ref(&renamed)), [one, two, renamed]);
        assert!(resources.networks_of(&shop, None).is_empty() && resources.by_project.is_empty());
        assert!(!resources.by_name.contains_key("a") && resources.by_name.contains_key("b"));
    }

    #[test]
    fn a_volume_that_is_gone_is_no_projects_any_more() {
        let mut resources = Resources::default();
        let shop = ProjectName::trusted("shop");
        let volume = Volume { name: "data".to_owned(), project: Some(shop.clone()), key: None, made: None };
        assert_eq!(resources.set_volumes(std::slice::from_ref(&volume)), std::slice::from_ref(&volume));
        assert_eq!(resources.volumes_of(&shop, None).len(), 1);
        assert_eq!(resources.remove_volume("data"), Some(volume));
        assert!(resources.volumes_of(&shop, None).is_empty() && resources.by_project.is_empty());
    }
}
