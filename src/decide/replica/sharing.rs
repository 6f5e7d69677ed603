//! Containers that live in another one's namespaces or use its volumes: their configuration holds that container's id.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::model::observed::{Container, ContainerState, Observed};
use crate::model::{Project, Service, ServiceName};

/// The project with the ids of the containers that its services share with, as far as they are there. Which container
/// of a service is meant: the first one that is as desired, else the first one.
pub fn resolve<'p>(project: &'p Project, observed: &Observed) -> Cow<'p, Project> {
    if project.services.values().all(|s| s.hash_template.is_none()) {
        return Cow::Borrowed(project);
    }
    let mut by_service: BTreeMap<&ServiceName, Vec<&Container>> = BTreeMap::new();
    for container in observed.containers.values().filter(|c| c.project == project.name && !c.oneoff) {
        let usable = !matches!(container.state, ContainerState::Removing | ContainerState::Dead);
        if let Some(service) = container.service.as_ref().filter(|_| usable) {
            by_service.entry(service).or_default().push(container);
        }
    }
    let mut resolved = project.clone();
    // One that is shared with may share itself: those that others need come first.
    for service in project.in_dependency_order() {
        let shares = service.shares_with();
        if shares.is_empty() {
            continue;
        }
        let peers = shares
            .into_iter()
            .filter_map(|name| {
                let peer = resolved.services.get(&name)?;
                let all = by_service.get(&name)?;
                let chosen = all.iter().min_by_key(|c| (!is_desired(peer, observed, c), c.number, c.created))?;
                Some((name, chosen.id.clone()))
            })
            .collect();
        if let Some(service) = resolved.services.get_mut(&service.name) {
            service.peers = peers;
        }
    }
    Cow::Owned(resolved)
}

fn is_desired(service: &Service, observed: &Observed, container: &Container) -> bool {
    let image = observed.images.get(&service.image).and_then(Option::as_ref);
    container.config_hash == service.label_hash() && image.is_none_or(|image| *image == container.image)
}
