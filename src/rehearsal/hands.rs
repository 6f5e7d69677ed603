//! What is done to the simulated world: how it is at first, and what faults do to containers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::faults::Deed;
use crate::engine::sim::{Script, World};
use crate::model::observed::Container;
use crate::model::{ContainerId, Project, ServiceId};

/// How long a job takes.
const JOB: Duration = Duration::from_secs(2);

/// Puts in what manifests take for granted, and says what each service does; gives the images, and what is external.
pub(super) fn prepare(world: &mut World, all: &[Arc<Project>]) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut images, mut beforehand) = (BTreeSet::new(), BTreeSet::new());
    // What is external here and made by another project of these is that one's business.
    let networks = all.iter().flat_map(|p| p.networks.values());
    let own_networks: BTreeSet<&str> = networks.filter(|n| !n.external).map(|n| n.name.as_str()).collect();
    let volumes = all.iter().flat_map(|p| p.volumes.values());
    let own_volumes: BTreeSet<&str> = volumes.filter(|v| !v.external).map(|v| v.name.as_str()).collect();
    for project in all {
        for service in project.services.values() {
            if images.insert(service.image.clone()) {
                let id = world.publish(&service.image);
                world.tag_as(&service.image, id);
            }
            let job = project.is_job(&service.name);
            let script = if job { Script::ending(JOB, 0) } else { Script::default() };
            world.script(&project.name, &service.name, script);
        }
        for network in project.networks.values().filter(|n| n.external && !own_networks.contains(n.name.as_str())) {
            if beforehand.insert(format!("network {}", network.name)) {
                // A world without anything in it refuses nothing.
                let _ = world.create_network(&network.name, &BTreeMap::new());
            }
        }
        for volume in project.volumes.values().filter(|v| v.external && !own_volumes.contains(v.name.as_str())) {
            if beforehand.insert(format!("volume {}", volume.name)) {
                let _ = world.create_volume(&volume.name, &BTreeMap::new());
            }
        }
    }
    (images, beforehand)
}

/// The containers of a service; those alone that live.
pub(super) fn containers(world: &World, who: &ServiceId, alive: bool) -> Vec<ContainerId> {
    let is_it = |c: &&Container| c.project == who.project && c.service.as_ref() == Some(&who.service) && !c.oneoff;
    world.containers().filter(is_it).filter(|c| !alive || c.is_running()).map(|c| c.id.clone()).collect()
}

/// Does to a service's containers what the fault says; `false`: there is none that it could be done to.
pub(super) fn strike(world: &mut World, deed: &Deed) -> bool {
    let Some(who) = deed.service() else { return false };
    if world.is_away() {
        return false;
    }
    let removes = matches!(deed, Deed::Remove(_));
    let ids = containers(world, who, !removes);
    let mut struck = false;
    for id in ids {
        struck |= match deed {
            Deed::Kill(_) => world.kill(&id).is_ok(),
            Deed::Stop(_) => world.ask_to_end(&id, None).is_ok_and(|takes| takes.is_some()),
            Deed::Remove(_) => world.remove(&id, true).is_ok_and(|begun| begun),
            Deed::Pause(_) => world.pause(&id).is_ok(),
            Deed::Crash(..) => {
                world.crash(&id, 1, false);
                true
            }
            Deed::OutOfMemory(_) => {
                world.crash(&id, 137, true);
                true
            }
            Deed::Unhealthy(..) => {
                world.sicken(&id, true);
                true
            }
            Deed::Reboot | Deed::Engine(_) | Deed::Controller | Deed::DiskFull(_) => false,
        };
    }
    struck
}
