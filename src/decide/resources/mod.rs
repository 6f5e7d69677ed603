//! Networks and volumes, and with the images: what containers need before they can be made.

pub(super) mod images;
mod made;

use std::collections::{BTreeMap, BTreeSet};

use images::Images;

use crate::decide::recovery::pace;
use crate::decide::replica::slots::Slots;
use crate::decide::{Action, Cause, Decision, Drift, FieldChange, Input, WaitingOn};
use crate::model::fields::Repair;
use crate::model::ledger::Subject;
use crate::model::observed;
use crate::model::service::MountSource;
use crate::model::{NetworkId, Project, Service};

/// What containers are made from, as far as it is there.
pub(in crate::decide) struct Prerequisites {
    /// The networks that are there, by key.
    pub(in crate::decide) networks: BTreeMap<String, NetworkId>,
    /// The volumes that are there, by key.
    volumes: BTreeSet<String>,
    /// Which images are there, and which are being fetched or built.
    pub(in crate::decide) images: Images,
    /// Replicas that are being detached from a network that is made anew.
    pub(in crate::decide) detaching: BTreeSet<Subject>,
}

impl Prerequisites {
    /// Whether everything a container of this service, at that place, is made from is there.
    pub(in crate::decide) fn ready_for(&self, place: usize, service: &Service) -> bool {
        let volumes = service.mounts.iter().all(|m| match &m.source {
            MountSource::Volume { key, .. } => self.volumes.contains(key),
            _ => true,
        });
        volumes && self.images.ready[place] && service.networks.keys().all(|key| self.networks.contains_key(key))
    }
}

/// Decides about networks, volumes and images, and says which are there.
pub(in crate::decide) fn decide(
    input: &Input<'_>,
    project: &Project,
    slots: &Slots<'_>,
    decision: &mut Decision,
) -> Prerequisites {
    let mut detaching = BTreeSet::new();
    let networks = networks(input, project, slots, &mut detaching, decision);
    let volumes = volumes(input, project, decision);
    prune_volumes(input, project, decision);
    let images = images::decide(input, project, slots, decision);
    Prerequisites { networks, volumes, images, detaching }
}

fn networks(
    input: &Input<'_>,
    project: &Project,
    slots: &Slots<'_>,
    detaching: &mut BTreeSet<Subject>,
    decision: &mut Decision,
) -> BTreeMap<String, NetworkId> {
    let mut there = BTreeMap::new();
    let ours = |n: &observed::Network| n.project.as_ref() == Some(input.project);
    for (key, wanted) in &project.networks {
        let mut same: Vec<&observed::Network> =
            input.observed.networks.values().filter(|n| n.name == wanted.name).collect();
        // Names are not unique. The one that is used stays, else the oldest; a foreign one before our doubles of it.
        same.sort_by_key(|n| (!slots.holds(n), ours(n), n.created, n.id.clone()));
        match same.split_first() {
            Some((kept, doubles)) => {
                let differs = made::of_network(wanted, kept);
                tell(decision, "networks", key, &differs, if ours(kept) { Repair::Recreate } else { Repair::Blocked });
                let free = || input.observed.containers.values().all(|c| !holds(c, kept) || may_go(input, project, c));
                if !differs.is_empty() && ours(kept) && free() {
                    make_anew(input, kept, differs, detaching, decision);
                    continue;
                }
                if !differs.is_empty() {
                    decision.wait(None, WaitingOn::Blocked { what: format!("network {}", kept.name), fields: differs });
                }
                there.insert(key.clone(), kept.id.clone());
                if let Some(double) = doubles.iter().find(|n| ours(n) && !slots.holds(n)) {
                    let action = Action::RemoveNetwork { id: double.id.clone(), name: double.name.clone() };
                    pace::attempt(input, decision, action, Cause::Double, double.id.as_str());
                }
            }
            None if wanted.external => {
                decision.wait(None, WaitingOn::External { what: format!("network {}", wanted.name) });
            }
            None => {
                let action = Action::CreateNetwork { key: key.clone(), name: wanted.name.clone() };
                pace::attempt(input, decision, action, Cause::Missing, &project.revision);
            }
        }
    }
    for network in input.observed.networks.values() {
        let named = project.networks.values().any(|n| n.name == network.name);
        if ours(network) && !named && !slots.in_use(network) {
            if input.absences_confirmed {
                let action = Action::RemoveNetwork { id: network.id.clone(), name: network.name.clone() };
                pace::attempt(input, decision, action, Cause::Orphan, network.id.as_str());
            } else {
                decision.wait(None, WaitingOn::Confirmation);
            }
        }
    }
    there
}

/// Tells how a network or volume differs.
fn tell(decision: &mut Decision, section: &str, key: &str, fields: &[FieldChange], repair: Repair) {
    decision.drift.extend(fields.iter().map(|field| Drift {
        service: None,
        number: None,
        path: format!("{section}.{key}.{}", field.path),
        desired: field.to.clone(),
        observed: field.from.clone(),
        repair,
        by_hand: false,
        since: None,
    }));
}

fn holds(container: &observed::Container, network: &observed::Network) -> bool {
    container.is_running() && container.networks.contains(network.id.as_str())
}

/// Whether a container may be detached for a while. One that goes anyway, is left alone, or was run by hand keeps its
/// networks, and with them those of all others.
fn may_go(input: &Input<'_>, project: &Project, container: &observed::Container) -> bool {
    let service = container.service.as_ref().filter(|_| !container.oneoff).and_then(|name| project.services.get(name));
    service.is_some_and(|service| {
        let alone = service.extension.suspend || input.ledger.suspended_services.contains(&service.name);
        !alone && (1..=service.replicas).contains(&container.number)
    })
}

/// Makes a network anew: the containers that run are detached and go on, it is removed, and then it is as if it had never
/// been there. They are attached again with all their names.
fn make_anew(
    input: &Input<'_>,
    network: &observed::Network,
    fields: Vec<FieldChange>,
    detaching: &mut BTreeSet<Subject>,
    decision: &mut Decision,
) {
    let cause = Cause::MadeOtherwise { fields };
    let mut held = input.observed.containers.values().filter(|c| holds(c, network)).peekable();
    if held.peek().is_none() {
        let action = Action::RemoveNetwork { id: network.id.clone(), name: network.name.clone() };
        pace::attempt(input, decision, action, cause, network.id.as_str());
        return;
    }
    for container in held {
        let Some(service) = container.service.clone() else { continue };
        let subject = Subject::Replica(service.clone(), container.number);
        if input.in_flight.contains_key(&subject) || !detaching.insert(subject) {
            continue;
        }
        let action = Action::DisconnectNetwork {
            service,
            number: container.number,
            container: container.id.clone(),
            name: network.name.clone(),
            network: network.id.clone(),
        };
        decision.step(action, cause.clone());
    }
}

fn volumes(input: &Input<'_>, project: &Project, decision: &mut Decision) -> BTreeSet<String> {
    let mut there = BTreeSet::new();
    for (key, wanted) in &project.volumes {
        if let Some(volume) = input.observed.volumes.get(&wanted.name) {
            there.insert(key.clone());
            let fields = made::of_volume(wanted, volume);
            tell(decision, "volumes", key, &fields, Repair::Blocked);
            if !fields.is_empty() {
                // Data is in it.
                decision.wait(None, WaitingOn::Blocked { what: format!("volume {}", wanted.name), fields });
            }
        } else if wanted.external {
            decision.wait(None, WaitingOn::External { what: format!("volume {}", wanted.name) });
        } else {
            let action = Action::CreateVolume { key: key.clone(), name: wanted.name.clone() };
            pace::attempt(input, decision, action, Cause::Missing, &project.revision);
        }
    }
    there
}

/// Removes volumes of the project that its manifest has no more: only where it says so in words, no container of it mounts
/// them, and the revision is healthy: one that fails has to leave everything for the way back.
fn prune_volumes(input: &Input<'_>, project: &Project, decision: &mut Decision) {
    let healthy = input.healthy.is_some_and(|h| h.project.revision == project.revision);
    if !project.extension.prune_volumes || !healthy || input.ledger.rolled_back.is_some() {
        return;
    }
    let named = |name: &str| project.volumes.values().any(|v| v.name == name);
    let mounts = |name: &str| input.observed.containers.values().any(|c| c.volumes.values().any(|v| v == name));
    let ours = input.observed.volumes.values().filter(|v| v.project.as_ref() == Some(input.project));
    for volume in ours.filter(|v| !named(&v.name) && v.key.is_some()) {
        if !input.absences_confirmed {
            decision.wait(None, WaitingOn::Confirmation);
        } else if !mounts(&volume.name) {
            let action = Action::RemoveVolume { name: volume.name.clone() };
            pace::attempt(input, decision, action, Cause::Orphan, &volume.name);
        }
    }
}
