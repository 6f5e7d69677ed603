//! The second phase: all files of a project become one tree in the long forms.
//!
//! For each document of each file, in this order: `reset` takes its `!reset` and `!override` out, `extends` lays its
//! services over those that they extend, `include` adds other files, `layers` lays it over the files before it, `unique`
//! drops what a later entry stands in place of, and `canonical` spreads the short forms out, those of `short` among them.
//! Then once: `paths` makes relative paths absolute. `normalize` adds what Compose adds by itself.

pub(super) mod canonical;
mod extends;
mod include;
mod layers;
pub(super) mod normalize;
mod paths;
mod reset;
mod short;
mod unique;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::attributes;
use super::check::{consistency, keys};
use super::document::Node;
use super::read::Reader;
use super::read::interpolate::{Variables, interpolate};
use extends::Extended;
use paths::Base;
use reset::Resets;

/// Lays the files of a project over each other, with all that they include and extend.
pub(super) struct Merger {
    pub(super) reader: Reader,
    /// Files that are included, or whose services are extended.
    pub(super) parts: BTreeSet<PathBuf>,
    /// What `~` stands for.
    home: Option<String>,
    /// Files that services extend others of, as they were read.
    extended: BTreeMap<PathBuf, Extended>,
}

/// What is the same for all files that are laid over each other.
pub(super) struct Scope<'a> {
    /// The folder that relative paths start from.
    pub(super) folder: &'a Path,
    pub(super) environment: &'a Variables,
    /// The files that include each other on the way here.
    pub(super) including: &'a [PathBuf],
}

impl Merger {
    pub(super) fn new(environment: &Variables) -> Self {
        Self {
            reader: Reader::default(),
            parts: BTreeSet::new(),
            home: environment.get("HOME").filter(|h| !h.is_empty()).cloned(),
            extended: BTreeMap::new(),
        }
    }

    /// Lays files over each other, with all they include, and resolves their paths.
    pub(super) fn merged(&mut self, files: Vec<(PathBuf, Option<Vec<Node>>)>, scope: &Scope<'_>) -> Option<Node> {
        let mut tree: Option<Node> = None;
        for (path, documents) in files {
            for document in documents.into_iter().flatten() {
                if document.as_map().is_none() {
                    let message = format!("the file must be a mapping, this is {}", document.kind());
                    self.reader.report.error(document.span, "wrong-type", message);
                    continue;
                }
                self.document(&mut tree, document, &path, scope);
            }
        }
        let mut tree = tree?;
        canonical::defaults(&mut tree);
        consistency::resources(&tree, &mut self.reader.report);
        let folder = scope.folder.display().to_string();
        Base { folder: &folder, home: self.home.as_deref() }.resolve(&mut tree, &mut self.reader.report);
        normalize::resolve_environment(&mut tree, scope.environment);
        Some(tree)
    }

    fn document(&mut self, tree: &mut Option<Node>, mut document: Node, path: &Path, scope: &Scope<'_>) {
        let resets = Resets::take(&mut document);
        interpolate(&mut document, scope.environment, &mut self.reader.report);
        self.extend(&mut document, path, scope, &resets);
        if let Some(tree) = tree {
            resets.apply(tree);
        }
        self.include(&mut document, path, scope);
        let merged = match tree {
            None => tree.insert(document),
            Some(tree) => {
                layers::merge(tree, document, &mut self.reader.report);
                tree
            }
        };
        unique::enforce(merged, &mut self.reader.report);
        keys::object(merged, &attributes::FILE, &keys::Path::Top(""), &mut self.reader.report);
        if let Some(entry) = merged.as_map_mut().and_then(|m| m.shift_remove("version")) {
            self.reader.report.warning(entry.key, "old-version", "`version` is obsolete and ignored").help =
                Some("take it out".into());
        }
        canonical::canonical(merged, &mut self.reader.report);
        // Short forms that were spread out may show the same port twice.
        unique::enforce(merged, &mut self.reader.report);
    }
}
