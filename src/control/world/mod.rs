//! What the Engine has, as far as it concerns the projects that are known: the cache, how far it can be trusted, and how
//! containers differ from what is desired of them.

pub(super) mod cache;
mod compare;
pub(super) mod images;
pub(super) mod interest;
mod refresh;
mod resources;
mod runs;

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use cache::Cache;
pub(super) use cache::{Listed, Reaction};
pub(super) use compare::{Compare, Comparisons};
use images::Images;
use interest::Interest;
use refresh::Refreshes;

use super::link::Connection;
use crate::engine::{EngineEvent, Listing};
use crate::model::health::HealthClass;
use crate::model::observed::{Container, ContainerState, Image, Observed};
use crate::model::usage::{HostLoad, Load, Squeeze};
use crate::model::{ContainerId, ImageId, Project, ProjectName, Timestamp};

/// After so long a container is looked at again though nothing seems to have changed.
const INSPECT_AGE: Duration = Duration::from_secs(600);
/// Containers, and images, that are looked at again for their age at one resync.
const INSPECTS_A_RESYNC: usize = 20;

/// Control's own judgement of a container, beside what the Engine says.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Assessment {
    /// What its service's probe found in this run; `None`: there is none.
    pub(super) probed: Option<HealthClass>,
    /// How its use compares with what its manifest allows; `None`: nobody watches.
    pub(super) load: Option<Load>,
    /// CPUs of its host, where somebody watches.
    pub(super) host_cpus: Option<u32>,
    /// What it is to give up for the sake of the host.
    pub(super) squeeze: Option<Squeeze>,
}

/// What is known of the Engine.
#[derive(Debug, Default)]
pub(super) struct World {
    cache: Cache,
    comparisons: Comparisons,
    refreshes: Refreshes,
}

/// What was found at a fresh connection.
#[derive(Debug, Default)]
pub(super) struct Met {
    /// Projects that have to be listed once more.
    pub(super) is_list_needed: bool,
}

/// What a list led to.
#[derive(Debug, Default)]
pub(super) struct ListTaken {
    pub(super) listed: Listed,
    /// Containers to inspect for projects that are looked at again.
    pub(super) inspect: BTreeSet<ContainerId>,
    /// Those projects.
    pub(super) refreshed: Vec<ProjectName>,
}

/// What is looked at again at a resync.
#[derive(Debug, Default)]
pub(super) struct Stale {
    pub(super) inspect: Vec<ContainerId>,
    pub(super) look_up: Vec<String>,
}

impl World {
    /// The present point in the order of arrivals: to be given back with the answer to what is asked now.
    pub(super) fn point(&self) -> u64 {
        self.cache.point()
    }

    /// The Engine's time of the newest event.
    pub(super) fn last_event(&self) -> Option<Timestamp> {
        self.cache.last_event()
    }

    /// The projects that are followed.
    pub(super) fn followed(&self) -> BTreeSet<ProjectName> {
        self.cache.interest().projects().cloned().collect()
    }

    /// Follows a project and what its manifest uses.
    pub(super) fn follow(&mut self, name: &ProjectName, target: Option<&Project>) {
        self.cache.interest_mut().follow(name, target);
    }

    /// Follows these projects and no others.
    pub(super) fn follow_only<'p>(&mut self, projects: impl Iterator<Item = (&'p ProjectName, Option<&'p Project>)>) {
        let mut interest = Interest::default();
        for (name, target) in projects {
            interest.follow(name, target);
        }
        self.cache.set_interest(interest);
    }

    /// Follows no project any more but those that are to be kept.
    pub(super) fn retain(&mut self, keep: impl Fn(&ProjectName) -> bool) {
        self.cache.interest_mut().retain(keep);
    }

    /// Takes in a fresh look at everything. Of these projects too little was seen, as list and inspect contradict each other,
    /// or they were not among those that were looked at.
    pub(super) fn met<'n>(
        &mut self,
        connection: Connection,
        looked_at: &BTreeSet<ProjectName>,
        known: impl Iterator<Item = &'n ProjectName>,
    ) -> Met {
        let point = self.cache.point();
        self.cache.listed(point, &connection.listing);
        let doubtful = connection.contradicted();
        for (id, found) in connection.containers {
            self.cache.inspected(&id, point, found, Instant::now());
        }
        // What was read meanwhile was not looked at.
        let mark = self.cache.mark();
        let mut met = Met::default();
        for name in known {
            if looked_at.contains(name) && !doubtful.contains(name) {
                self.refreshes.end(name);
            } else {
                self.refreshes.begin(name, mark);
                met.is_list_needed = true;
            }
        }
        met
    }

    /// Takes in an event.
    pub(super) fn event(&mut self, event: &EngineEvent) -> Reaction {
        let reaction = self.cache.event(event);
        if reaction.images {
            self.cache.images_mut().doubt_all();
        }
        reaction
    }

    /// Takes in an inspect; says whether it has to be repeated.
    pub(super) fn inspected(&mut self, id: &ContainerId, point: u64, found: Option<Container>) -> bool {
        self.cache.inspected(id, point, found, Instant::now())
    }

    /// A container's inspects are over; the projects of which all is known now.
    pub(super) fn settled(&mut self, id: &ContainerId) -> Vec<ProjectName> {
        self.refreshes.inspected(id)
    }

    /// Takes in a list. `inspecting`: containers that are being inspected anyway.
    pub(super) fn listed(&mut self, point: u64, listing: &Listing, inspecting: &BTreeSet<ContainerId>) -> ListTaken {
        let listed = self.cache.listed(point, listing);
        let mut inspecting = inspecting.clone();
        inspecting.extend(listed.inspect.iter().cloned());
        let mut taken = ListTaken { listed, ..ListTaken::default() };
        for name in self.refreshes.listed(point) {
            let mut ids: BTreeSet<_> = self.cache.of_project(&name).map(|c| c.id.clone()).collect();
            // New ones are being inspected already, and belong to some project: waiting for all of them is enough.
            ids.extend(inspecting.iter().cloned());
            taken.inspect.extend(ids.iter().cloned());
            self.refreshes.inspects(&name, ids);
            taken.refreshed.push(name);
        }
        taken
    }

    /// Whether a project is known well enough to be decided about.
    pub(super) fn is_fresh(&self, name: &ProjectName) -> bool {
        self.refreshes.is_fresh(name)
    }

    /// A project is looked at again before anything is decided; a list is to be asked for. Gives the point from which on.
    pub(super) fn look_again(&mut self, name: &ProjectName) -> u64 {
        let mark = self.cache.mark();
        self.refreshes.begin(name, mark);
        mark
    }

    /// A new point in the order of arrivals.
    pub(super) fn mark(&mut self) -> u64 {
        self.cache.mark()
    }

    /// Whether a list is waited for.
    pub(super) fn needs_list(&self) -> bool {
        self.refreshes.needs_list()
    }

    /// What is to be looked at again at a resync: what runs and is not known to be well, and what was not looked at for long.
    pub(super) fn stale(&mut self) -> Stale {
        self.comparisons.retain(&self.cache);
        let unsettled = self.cache.unsettled().into_iter().take(INSPECTS_A_RESYNC);
        let mut stale = Stale { inspect: unsettled.collect(), look_up: Vec::new() };
        let Some(old) = Instant::now().checked_sub(INSPECT_AGE) else { return stale };
        stale.inspect.extend(self.cache.inspected_before(old).into_iter().take(INSPECTS_A_RESYNC));
        stale.look_up = self.cache.images_before(old).into_iter().take(INSPECTS_A_RESYNC).collect();
        stale
    }

    /// A container is gone.
    pub(super) fn forget(&mut self, id: &ContainerId) {
        self.cache.forget(id);
    }

    /// A container's check was made and passed; says whose news that is.
    pub(super) fn check_passed(&mut self, id: &ContainerId) -> Option<ProjectName> {
        self.cache.passed(id)
    }

    /// What the Engine's host has left; `None`: nobody can tell.
    pub(super) fn host_is(&mut self, host: Option<HostLoad>) {
        self.cache.host_is(host);
    }

    pub(super) fn container(&self, id: &ContainerId) -> Option<&Container> {
        self.cache.container(id)
    }

    /// The containers of a project.
    pub(super) fn of_project(&self, name: &ProjectName) -> impl Iterator<Item = &Container> {
        self.cache.of_project(name)
    }

    /// The project's part of what the Engine has.
    pub(super) fn observed(&mut self, name: &ProjectName, target: Option<&Project>) -> &Observed {
        self.cache.observed(name, target)
    }

    /// A copy of it.
    pub(super) fn snapshot(&self, name: &ProjectName, target: Option<&Project>) -> Observed {
        self.cache.snapshot(name, target)
    }

    /// Compares the containers of a project with what is desired of them.
    pub(super) fn compare(&mut self, compare: &mut Compare<'_>) {
        self.comparisons.update(&mut self.cache, compare);
    }

    /// Puts control's own judgement beside what the Engine says.
    pub(super) fn assess(&mut self, name: &ProjectName, of: impl Fn(&Container) -> Assessment) {
        for container in self.cache.of_project_mut(name) {
            let Assessment { probed, load, host_cpus, squeeze } = of(container);
            (container.probed, container.load) = (probed, load);
            (container.host_cpus, container.squeeze) = (host_cpus, squeeze);
        }
    }

    /// What references to images stand for.
    pub(super) fn images(&self) -> &Images {
        self.cache.images()
    }

    /// What a reference stands for, as far as it was looked up.
    pub(super) fn image(&self, reference: &str) -> Option<&ImageId> {
        self.cache.images().get(reference).and_then(Option::as_ref)
    }

    /// References that manifests use and that were not looked up yet.
    pub(super) fn unknown_images(&self) -> Vec<String> {
        let used = self.cache.interest().images();
        used.filter(|reference| self.cache.images().get(reference).is_none()).map(str::to_owned).collect()
    }

    /// Remembers what a reference means; the projects that this is news for.
    pub(super) fn set_image(&mut self, reference: &str, image: Option<Image>) -> Vec<ProjectName> {
        let id = image.as_ref().map(|image| image.id.clone());
        let images = self.cache.images();
        let news = images.get(reference) != Some(&id) || images.is_doubtful(reference);
        self.cache.images_mut().set(reference, image);
        if news { self.cache.interest().of_image(reference).cloned().collect() } else { Vec::new() }
    }

    /// A container that was just made is of another image than its reference is known to mean: an event was lost, and what
    /// is made from it would be replaced at once, over and over. Gives the reference, which is to be looked up.
    pub(super) fn doubt_image_of(&mut self, container: &Container, target: Option<&Project>) -> Option<String> {
        let service = container.service.as_ref().and_then(|s| target?.services.get(s))?;
        let other = self.image(&service.image).is_some_and(|known| *known != container.image);
        let is_new = container.state == ContainerState::Created;
        if !other || !is_new || self.cache.images().is_doubtful(&service.image) {
            return None;
        }
        self.cache.images_mut().doubt(&service.image);
        Some(service.image.clone())
    }

    /// What processes took notice of, of containers that are there.
    pub(super) fn holds(&self, id: &ContainerId) -> bool {
        self.cache.container(id).is_some()
    }
}
