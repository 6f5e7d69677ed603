//! From the bound tree to the typed project: every attribute that Compose knows is either represented in the model or
//! reported as `unsupported` with its place.

mod build;
mod extras;
mod mounts;
mod network;
mod read;
mod resources;
mod rollout;
mod security;
mod service;
mod socket;
mod top;

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::manifest::bind::Model;
use crate::manifest::diagnostic::Report;
use crate::manifest::document::{Map, Node};
use crate::manifest::extension;
use crate::model::ServiceName;
use crate::model::project::Project;

/// What stands around the tree.
pub(super) struct Frame<'m> {
    pub(super) working_dir: PathBuf,
    pub(super) files: Vec<PathBuf>,
    pub(super) revision: String,
    pub(super) model: &'m Model,
}

/// Makes the bound tree into the project; what evenkeel has no way to do is reported as `unsupported`.
pub(super) fn project(frame: Frame<'_>, report: &mut Report) -> Project {
    let Model { name, tree, hashes, .. } = frame.model;
    let empty = Map::default();
    let services = tree.get("services").and_then(Node::as_map).unwrap_or(&empty);
    let mut project = Project {
        extension: extension::project(tree, report),
        networks: top::networks(tree),
        volumes: top::volumes(tree),
        configs: top::files(tree, "configs", report),
        secrets: top::files(tree, "secrets", report),
        models: top::models(tree),
        name: name.clone(),
        working_dir: frame.working_dir,
        files: frame.files,
        services: BTreeMap::new(),
        revision: frame.revision,
    };
    if project.extension.depends_on.contains(name) {
        let span = extension::of(tree).map_or(tree.span, |n| n.span);
        report.error(span, "cycle", format!("the project {name} depends on itself"));
    }
    for (key, entry) in services.iter().filter(|(_, e)| e.node.as_map().is_some()) {
        let service_name = match ServiceName::parse(key) {
            Ok(name) => name,
            Err(error) => {
                report.error(entry.key, "bad-name", error.to_string());
                continue;
            }
        };
        let mut service = service::service(name, &service_name, &entry.node, &project.working_dir, report);
        if let Some(hashes) = hashes.get(key) {
            service.config_hash.clone_from(&hashes.label);
            service.hash_template.clone_from(&hashes.template);
        }
        // What no profile enables and need not be there is not waited for.
        service.depends_on.retain(|dependency, _| services.contains_key(dependency.as_str()));
        project.services.insert(service_name, service);
    }
    for (key, entry) in services {
        if let Some(service) = project.services.get(key.as_str()) {
            extension::check_recovery(&entry.node, service, &project, report);
        }
    }
    socket::expand(&mut project);
    project
}
