//! What is looked at: the rest of the Engine is other people's business.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Project, ProjectName};

/// The projects that are known and what their manifests use, with who uses it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::control) struct Interest {
    projects: BTreeMap<ProjectName, Names>,
    networks: Users,
    volumes: Users,
    images: Users,
}

/// Names that a manifest uses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Names {
    networks: BTreeSet<String>,
    volumes: BTreeSet<String>,
    images: BTreeSet<String>,
}

type Users = BTreeMap<String, BTreeSet<ProjectName>>;

impl Interest {
    /// Follows a project and what its manifest uses now, in place of what it used before.
    pub(in crate::control) fn follow(&mut self, name: &ProjectName, target: Option<&Project>) {
        let target = || target.into_iter();
        let names = Names {
            networks: target().flat_map(|p| p.networks.values()).map(|n| n.name.clone()).collect(),
            volumes: target().flat_map(|p| p.volumes.values()).map(|v| v.name.clone()).collect(),
            images: target().flat_map(|p| p.services.values()).map(|s| s.image.clone()).collect(),
        };
        let before = self.projects.get(name).cloned().unwrap_or_default();
        exchange(&mut self.networks, name, &before.networks, &names.networks);
        exchange(&mut self.volumes, name, &before.volumes, &names.volumes);
        exchange(&mut self.images, name, &before.images, &names.images);
        self.projects.insert(name.clone(), names);
    }

    /// Follows no project any more but those that are to be kept.
    pub(in crate::control) fn retain(&mut self, keep: impl Fn(&ProjectName) -> bool) {
        let gone: Vec<ProjectName> = self.projects.keys().filter(|name| !keep(name)).cloned().collect();
        for name in gone {
            self.follow(&name, None);
            self.projects.remove(&name);
        }
    }

    /// Whether a project is known.
    pub(in crate::control) fn knows(&self, project: &ProjectName) -> bool {
        self.projects.contains_key(project)
    }

    /// The projects that are known.
    pub(in crate::control) fn projects(&self) -> impl Iterator<Item = &ProjectName> {
        self.projects.keys()
    }

    /// The projects whose manifests use a network of this name.
    pub(in crate::control) fn of_network(&self, name: &str) -> impl Iterator<Item = &ProjectName> {
        self.networks.get(name).into_iter().flatten()
    }

    /// The projects whose manifests use a volume of this name.
    pub(in crate::control) fn of_volume(&self, name: &str) -> impl Iterator<Item = &ProjectName> {
        self.volumes.get(name).into_iter().flatten()
    }

    /// The projects whose manifests use an image under this reference.
    pub(in crate::control) fn of_image(&self, reference: &str) -> impl Iterator<Item = &ProjectName> {
        self.images.get(reference).into_iter().flatten()
    }

    /// All references to images.
    pub(in crate::control) fn images(&self) -> impl Iterator<Item = &str> {
        self.images.keys().map(String::as_str)
    }
}

fn exchange(users: &mut Users, project: &ProjectName, before: &BTreeSet<String>, after: &BTreeSet<String>) {
    for name in before.difference(after) {
        if let Some(known) = users.get_mut(name) {
            known.remove(project);
            if known.is_empty() {
                users.remove(name);
            }
        }
    }
    for name in after.difference(before) {
        users.entry(name.clone()).or_default().insert(project.clone());
    }
}
