//! What a step has to know beside itself, gathered before its call is made.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::control::world::World;
use crate::decide::{Action, Step, sharing};
use crate::model::ledger::ProjectLedger;
use crate::model::service::MountSource;
use crate::model::{ContainerId, ImageId, InstanceId, NetworkId, Project, ProjectName, ServiceName, names};

/// Containers by service: names and ids.
pub(super) type Peers = BTreeMap<ServiceName, Vec<(String, ContainerId)>>;

/// A step with all that it needs.
pub(in crate::control) struct Order {
    pub(super) action: Action,
    /// The project, for steps that make something.
    pub(super) target: Option<Arc<Project>>,
    /// What the service's image means at present.
    pub(super) image: Option<ImageId>,
    pub(super) instance: InstanceId,
    /// The project's containers by service, in the order of their names: what others link to.
    pub(super) peers: Peers,
    /// Networks whose name another one has too: they are told by their ids.
    pub(super) ambiguous: BTreeSet<NetworkId>,
    /// Anonymous volumes that a new container takes over, by the path in the container.
    pub(super) inherited: BTreeMap<String, String>,
}

impl Order {
    /// Gathers what a step needs. `target`: the revision in force.
    pub(in crate::control) fn of(
        name: &ProjectName,
        step: &Step,
        target: Option<Arc<Project>>,
        ledger: &ProjectLedger,
        world: &mut World,
        instance: &InstanceId,
    ) -> Self {
        let action = &step.action;
        let service = action.service().and_then(|s| target.as_ref()?.services.get(s));
        let image = service.and_then(|s| world.image(&s.image).cloned());
        let inherited = target.as_ref().map(|target| inherited(name, action, target, ledger, world));
        let (target, peers, ambiguous) = surroundings(name, action, target, world);
        Self {
            action: action.clone(),
            target,
            image,
            instance: instance.clone(),
            peers,
            ambiguous,
            inherited: inherited.unwrap_or_default(),
        }
    }
}

/// The anonymous volumes that a replacement takes over from what it replaces: those that it has a place for, too.
fn inherited(
    name: &ProjectName,
    action: &Action,
    target: &Project,
    ledger: &ProjectLedger,
    world: &World,
) -> BTreeMap<String, String> {
    let Action::CreateContainer { service, number, replaces, .. } = action else { return BTreeMap::new() };
    let Some(service) = target.services.get(service) else { return BTreeMap::new() };
    let none = BTreeMap::new();
    let kept = ledger.kept.get(&action.subject()).unwrap_or(&none);
    if replaces.is_none() && kept.is_empty() {
        return none;
    }
    let twins = world.of_project(name).filter(|c| c.service.as_ref() == Some(&service.name) && c.number == *number);
    let old = twins.filter(|c| !c.oneoff).max_by_key(|c| (c.is_running(), c.created));
    let of_image = world.images().volumes(&service.image);
    let fits = |path: &String| match service.mounts.iter().find(|m| m.target == *path) {
        Some(mount) => mount.source == MountSource::Anonymous,
        None => of_image.contains(path) && service.tmpfs.iter().all(|(at, _)| at != path),
    };
    let anonymous =
        old.into_iter().flat_map(|c| &c.volumes).filter(|(_, volume)| names::is_anonymous(volume)).chain(kept);
    let all = anonymous.filter(|(path, _)| fits(path));
    all.map(|(path, volume)| (path.clone(), volume.clone())).collect()
}

/// What a container that is made or attached has to know of what is there: the project with the ids of the containers
/// that it shares with, the containers it links to in the order of their names, and the networks whose name is not
/// theirs alone. Other steps need none of it.
fn surroundings(
    name: &ProjectName,
    action: &Action,
    target: Option<Arc<Project>>,
    world: &mut World,
) -> (Option<Arc<Project>>, Peers, BTreeSet<NetworkId>) {
    let mut peers = Peers::new();
    let makes = matches!(action, Action::CreateContainer { .. } | Action::ConnectNetwork { .. });
    let service = action.service().filter(|_| makes).and_then(|s| target.as_ref()?.services.get(s));
    let (Some(project), Some(service)) = (&target, service) else { return (target, peers, BTreeSet::new()) };
    let observed = world.observed(name, Some(project));
    for container in observed.containers.values().filter(|c| !c.oneoff && !service.links.is_empty()) {
        if let Some(of) = container.service.as_ref().filter(|of| service.links.iter().any(|l| l.service == **of)) {
            peers.entry(of.clone()).or_default().push((container.name.clone(), container.id.clone()));
        }
    }
    peers.values_mut().for_each(|containers| containers.sort());
    let twice = |name: &str| observed.networks.values().filter(|n| n.name == name).count() > 1;
    let ambiguous = observed.networks.values().filter(|n| twice(&n.name)).map(|n| n.id.clone()).collect();
    let resolved = match sharing::resolve(project, observed) {
        Cow::Borrowed(_) => None,
        Cow::Owned(resolved) => Some(Arc::new(resolved)),
    };
    (resolved.or(target), peers, ambiguous)
}
