//! The fourth phase: what is written becomes what it means.
//!
//! `values` brings every value into the one form that Compose prints and hashes, with the words of `shellwords`;
//! `environment` adds what env files and label files say, and `api_socket` what `use_api_socket` stands for.

pub(super) mod api_socket;
pub(super) mod environment;
mod shellwords;
pub(super) mod values;

use std::collections::BTreeMap;

use super::document::{Map, Node};
use crate::model::ProjectName;

/// A project as Compose prints it, with a place for every value.
#[derive(Debug)]
pub struct Model {
    /// The project's name.
    pub(super) name: ProjectName,
    /// The bound tree. Services of profiles that are not enabled are not in it.
    pub(super) tree: Node,
    /// The services of profiles that are not enabled.
    pub(super) disabled: Map,
    /// The hash of each service.
    pub(super) hashes: BTreeMap<String, Hashes>,
}

/// Compose has two hashes for one service.
#[derive(Debug, Clone, Default)]
pub(super) struct Hashes {
    /// What `docker compose config --hash` prints: env files by name.
    pub(super) written: String,
    /// What `docker compose up` writes on the container: env files by what they say.
    pub(super) label: String,
    /// Where that depends on the ids of others' containers: what it is of.
    pub(super) template: Option<String>,
}

impl Model {
    /// Whether it declares no service at all.
    pub(super) fn is_empty(&self) -> bool {
        self.disabled.is_empty() && self.tree.get("services").and_then(Node::as_map).is_none_or(Map::is_empty)
    }

    /// Notes something of the hash of each service.
    pub(super) fn hash(&mut self, put: impl Fn(&mut Hashes, &Node)) {
        for (name, entry) in self.tree.get("services").and_then(Node::as_map).into_iter().flatten() {
            put(self.hashes.entry(name.clone()).or_default(), &entry.node);
        }
    }
}
