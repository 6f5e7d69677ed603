//! Which project a manifest is for.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::manifest::Loaded;
use crate::model::{Project, ProjectName};

/// Manifests by the project they are for. One that cannot be parsed is for the project that its file was for; `known`: the
/// projects that are known, with their revision in force and their manifest as it was read last.
pub(in crate::control) fn by_name<'k>(
    known: impl Iterator<Item = (&'k ProjectName, Option<&'k Project>, Option<&'k Loaded>)> + Clone,
    manifests: &[Arc<Loaded>],
) -> BTreeMap<ProjectName, Arc<Loaded>> {
    let mut by_name: BTreeMap<ProjectName, Arc<Loaded>> = BTreeMap::new();
    for loaded in manifests {
        let before = || {
            let path = std::path::absolute(&loaded.path).unwrap_or_else(|_| loaded.path.clone());
            let was = |target: Option<&Project>, manifest: Option<&Loaded>| {
                target.is_some_and(|p| p.files.iter().any(|f| f.starts_with(&path)))
                    || manifest.is_some_and(|m| m.path == loaded.path)
            };
            known.clone().find(|(_, target, manifest)| was(*target, *manifest)).map(|(name, ..)| name.clone())
        };
        let by_path = || {
            let is_file = loaded.path.extension().is_some_and(|e| e == "yaml" || e == "yml");
            let path: &Path = &loaded.path;
            ProjectName::sanitised(&(if is_file { path.file_stem() } else { path.file_name() })?.to_string_lossy())
        };
        // Of two manifests of one name, both refused, the first is shown; both are named in its diagnostics.
        if let Some(name) = loaded.name.clone().or_else(before).or_else(by_path) {
            match by_name.get(&name) {
                Some(first) if first.project.is_some() || loaded.project.is_none() => {}
                _ => {
                    by_name.insert(name, Arc::clone(loaded));
                }
            }
        }
    }
    by_name
}
