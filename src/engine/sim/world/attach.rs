//! How containers are attached to networks, and which host ports they take.

use std::collections::BTreeSet;

use super::World;
use crate::engine::sim::container::{Simulated, no_such};
use crate::engine::sim::refused;
use crate::engine::{EngineError, EventKind};
use crate::model::setback::{Missing, Refusal};
use crate::model::{ContainerId, NetworkId};

const NO_NETWORK: Refusal = Refusal::NotFound(Missing::Network);

impl World {
    /// Attaches it to its networks. What was done of it is undone when one of them cannot be had.
    pub(super) fn join_networks(&mut self, id: &ContainerId) -> Result<(), EngineError> {
        let container = self.containers.get(id).ok_or_else(|| no_such(id))?;
        if container.made_of.lives_in.is_some() {
            return Ok(());
        }
        let (mut names, bound) = (container.made_of.networks.clone(), container.bound.clone());
        // The Engine goes through them in any order.
        self.draw.shuffle(&mut names);
        let mut joined = Vec::new();
        for name in &names {
            let answer = self.resolve(name, bound.get(name)).and_then(|network| {
                if let Some(container) = self.containers.get_mut(id) {
                    container.bound.insert(name.clone(), network.clone());
                }
                let free = self.ports_are_free(id);
                if free.is_ok() {
                    self.emit_endpoint(&network, id);
                }
                joined.push(network);
                free
            });
            if let Err(error) = answer {
                self.show_networks(id);
                // Once there is a place for networks, the leaving of all of them is told, of those not joined as well. A
                // newer Engine makes that place first.
                if !joined.is_empty() || self.is_newer() {
                    let bound = self.containers.get(id).map(|c| c.bound.clone()).unwrap_or_default();
                    let left: Vec<_> = names.iter().filter_map(|n| self.resolve(n, bound.get(n)).ok()).collect();
                    for network in left {
                        self.emit_endpoint(&network, id);
                    }
                }
                return Err(error);
            }
        }
        self.show_networks(id);
        Ok(())
    }

    /// The network under a name or id; one that it was attached to before is meant for ever.
    pub(super) fn resolve(&self, name: &str, bound: Option<&NetworkId>) -> Result<NetworkId, EngineError> {
        if let Some(bound) = bound {
            let found = self.networks.get(bound).map(|n| n.id.clone());
            return found.ok_or_else(|| refused(NO_NETWORK, format!("network {bound} not found")));
        }
        if let Some(network) = self.networks.get(&NetworkId::trusted(name)) {
            return Ok(network.id.clone());
        }
        let found = self.network_names.get(name);
        match (found.and_then(BTreeSet::first), found.map_or(0, BTreeSet::len)) {
            (None, _) => Err(refused(NO_NETWORK, format!("network {name} not found"))),
            (Some(network), 1) => Ok(network.clone()),
            (Some(_), matches) => Err(refused(
                Refusal::InvalidRequest,
                format!("network {name} is ambiguous ({matches} matches found on name)"),
            )),
        }
    }

    /// Tells that it left its networks.
    pub(super) fn leave_networks(&mut self, id: &ContainerId) {
        let attached: Vec<NetworkId> = self.containers.get(id).map(|c| self.attached(c)).unwrap_or_default();
        for network in attached {
            self.emit_endpoint(&network, id);
        }
    }

    /// Its networks as an inspect tells: names, and ids of those that it was attached to.
    pub(super) fn show_networks(&mut self, id: &ContainerId) {
        let Some(container) = self.containers.get(id) else { return };
        let (mut names, mut ids) = (BTreeSet::new(), BTreeSet::new());
        for name in &container.made_of.networks {
            let bound = container.bound.get(name);
            let known = bound.and_then(|id| self.networks.get(id)).map(|n| n.name.clone());
            names.insert(known.unwrap_or_else(|| name.clone()));
            ids.extend(bound.map(ToString::to_string));
        }
        self.show_attachments(id, &names);
        if let Ok(container) = self.get(id) {
            container.seen.networks = names.into_iter().chain(ids).collect();
        }
    }

    pub(super) fn ports_are_free(&self, id: &ContainerId) -> Result<(), EngineError> {
        let Some(container) = self.containers.get(id) else { return Ok(()) };
        for port in &container.made_of.ports {
            let taken = self.containers.values().any(|other| {
                other.seen.id != *id && other.has_process() && other.made_of.ports.iter().any(|p| clash(p, port))
            });
            if taken {
                let address = if port.2.is_empty() { "0.0.0.0" } else { &port.2 };
                let message = format!(
                    "driver failed programming external connectivity on endpoint {} ({:064x}): Bind for {address}:{} failed: port is already allocated",
                    container.seen.name, container.run, port.0
                );
                return Err(refused(Refusal::PortTaken, message));
            }
        }
        Ok(())
    }

    pub(super) fn emit_endpoint(&mut self, network: &NetworkId, id: &ContainerId) {
        let Some(name) = self.networks.get(network).map(|n| n.name.clone()) else { return };
        let container = Some(id.clone());
        self.emit(EventKind::Network { id: network.clone(), name, destroyed: false, container });
    }

    pub(in crate::engine::sim) fn attached(&self, container: &Simulated) -> Vec<NetworkId> {
        let bound = container.made_of.networks.iter().filter_map(|n| container.bound.get(n));
        bound.filter(|n| self.networks.contains_key(*n)).cloned().collect()
    }

    /// Attaches it to a network.
    pub fn connect(&mut self, network: &NetworkId, id: &ContainerId) -> Result<(), EngineError> {
        let runs = self.containers.get(id).ok_or_else(|| no_such(id))?.has_process();
        let Some(name) = self.networks.get(network).map(|n| n.name.clone()) else {
            if runs {
                return Err(refused(NO_NETWORK, format!("network {network} not found")));
            }
            // It is taken down unseen, and the next start fails for it.
            let container = self.get(id)?;
            container.made_of.networks.push(network.to_string());
            self.show_networks(id);
            return Ok(());
        };
        let container = self.get(id)?;
        if container.made_of.no_network {
            let message =
                "container cannot be connected to multiple networks with one of the networks in private (none) mode";
            return Err(refused(Refusal::InvalidRequest, message));
        }
        if (container.made_of.lives_in.is_some() && runs) || container.made_of.host_network {
            let message = "container sharing network namespace with another container or host cannot be connected to any other network";
            return Err(refused(Refusal::InvalidRequest, message));
        }
        let known = container.seen.networks.contains(network.as_str()) || container.seen.networks.contains(&name);
        if known && runs {
            let message = format!("endpoint with name {} already exists in network {name}", container.seen.name);
            return Err(refused(Refusal::Other, message));
        }
        if !known {
            container.made_of.networks.push(name.clone());
        }
        if runs {
            container.bound.insert(name, network.clone());
        }
        self.show_networks(id);
        if runs {
            self.emit_endpoint(network, id);
        }
        Ok(())
    }

    /// Detaches it from a network, by the network's name.
    pub fn disconnect(&mut self, network: &str, id: &ContainerId) -> Result<(), EngineError> {
        let found = self.resolve(network, None);
        let runs = self.containers.get(id).ok_or_else(|| no_such(id))?.has_process();
        let found = match found {
            Err(error) if runs => return Err(error),
            other => other.ok(),
        };
        let container = self.get(id)?;
        let count = container.made_of.networks.len();
        container.made_of.networks.retain(|n| n != network);
        if container.made_of.networks.len() == count {
            let the = if runs { "" } else { "the " };
            return Err(refused(
                Refusal::NotAttached,
                format!("container {id} is not connected to {the}network {network}"),
            ));
        }
        container.bound.remove(network);
        self.show_networks(id);
        if let Some(found) = found {
            // Old Engines tell of it once more than there is to tell.
            let times = usize::from(runs) + usize::from(!self.is_newer());
            for _ in 0..times {
                self.emit_endpoint(&found, id);
            }
        }
        Ok(())
    }
}

/// Whether two published ports cannot be had at the same time.
fn clash(a: &(String, String, String), b: &(String, String, String)) -> bool {
    let any = |ip: &str| ip.is_empty() || ip == "0.0.0.0" || ip == "::";
    a.0 == b.0 && a.1 == b.1 && (any(&a.2) || any(&b.2) || a.2 == b.2)
}
