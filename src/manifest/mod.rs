//! Compose files in, typed projects or diagnostics out.
//!
//! `loader` takes a project through its phases, each in a folder of its own:
//!
//! 1. `read`: files to trees, with variables put in;
//! 2. `merge`: all files of a project to one tree in the long forms;
//! 3. `check`: what is wrong with it, by the keys and as a whole;
//! 4. `bind`: what is written to what it means;
//! 5. `typed`: the bound tree to the project that the rest of the program knows, with `x-evenkeel` from `extension`.
//!
//! `attributes` has every key of a Compose file, for all of them; `document` is the tree, `diagnostic` what is wrong and
//! where, `units` durations and sizes; `render` prints and hashes what is bound. A mistake does not hide the next one.

mod attributes;
mod bind;
mod check;
pub mod diagnostic;
pub mod document;
mod extension;
mod loader;
mod merge;
mod read;
mod render;
mod typed;
mod units;

/// Durations as Compose writes them, for other files of ours that hold some.
pub mod duration {
    pub use super::units::{duration as parse, go_duration as print};
}

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use attributes::json_schema;
use bind::Model;
use diagnostic::Report;
pub use diagnostic::{Diagnostic, Severity};
use loader::Loader;
pub use loader::{Naming, Request};
use merge::Merger;
use read::interpolate::Variables;
use read::{Reader, parse};
pub use read::{dotenv, interpolate, source};
pub use render::Format;
use source::{Found, Stamp};

use crate::model::hash::sha256_hex;
use crate::model::{Project, ProjectName};

/// What became of one manifest.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The file or folder.
    pub path: PathBuf,
    /// The project's name, as far as it could be read.
    pub name: Option<ProjectName>,
    /// The project; `None`: there are errors.
    pub project: Option<Arc<Project>>,
    /// Errors and warnings, in the order of the places.
    pub diagnostics: Vec<Diagnostic>,
    /// The files that were read or looked for: it is as it was while they are.
    inputs: Vec<Stamp>,
    /// Files that it includes, or whose services it extends.
    parts: BTreeSet<PathBuf>,
    found: Found,
}

/// Loads every manifest below a root. What `previous` holds and did not change is taken from there.
///
/// # Errors
/// When the root cannot be searched: nothing is known then about what it declares.
pub fn load_all(
    root: &Path,
    environment: &Variables,
    previous: &[Arc<Loaded>],
) -> Result<Vec<Arc<Loaded>>, source::ReadError> {
    let mut all: Vec<Arc<Loaded>> = Vec::new();
    // By their text: to compare paths part by part is slow where there are many.
    let before: BTreeMap<&OsStr, &Arc<Loaded>> = previous.iter().map(|l| (l.path.as_os_str(), l)).collect();
    for found in source::discover(root)? {
        let known = before.get(found.path.as_os_str());
        let same = known.filter(|l| l.found == found && l.inputs.iter().all(Stamp::is_current));
        all.push(match same {
            Some(loaded) => Arc::clone(loaded),
            None => {
                let mut loaded = load(found, environment);
                // What no longer parses is made of what it was made of before.
                if loaded.parts.is_empty()
                    && loaded.project.is_none()
                    && let Some(before) = known
                {
                    loaded.parts.clone_from(&before.parts);
                }
                Arc::new(loaded)
            }
        });
    }
    Ok(refuse_doubles(leave_out_parts(all)))
}

/// A file that another manifest includes or extends is part of that one, and no project of its own. As long as that one
/// does not load, nothing changes about the file: it is neither a project nor gone.
fn leave_out_parts(all: Vec<Arc<Loaded>>) -> Vec<Arc<Loaded>> {
    let whole = |path: &Path| source::clean(&std::path::absolute(path).unwrap_or_else(|_| path.to_owned()));
    let owners: Vec<(PathBuf, BTreeSet<PathBuf>, bool)> = all
        .iter()
        .filter(|l| !l.parts.is_empty())
        .map(|l| (whole(&l.path), l.parts.clone(), l.project.is_some()))
        .collect();
    if owners.is_empty() {
        return all;
    }
    all.into_iter()
        .filter_map(|loaded| {
            let path = whole(&loaded.path);
            // Two that are part of each other are a mistake, which is shown with both.
            let owner = owners
                .iter()
                .find(|(owner, parts, _)| *owner != path && parts.contains(&path) && !loaded.parts.contains(owner));
            let Some((owner, _, valid)) = owner else { return Some(loaded) };
            if *valid {
                return None;
            }
            let mut held = (*loaded).clone();
            let message = format!("is part of {}, which does not load", owner.display());
            held.diagnostics = vec![Diagnostic::file(&held.path, "part-of-invalid", message)];
            held.project = None;
            held.inputs = vec![Stamp::never()];
            Some(Arc::new(held))
        })
        .collect()
}

/// Two manifests of one name: neither is used.
fn refuse_doubles(all: Vec<Arc<Loaded>>) -> Vec<Arc<Loaded>> {
    let mut by_name: BTreeMap<ProjectName, Vec<PathBuf>> = BTreeMap::new();
    for loaded in &all {
        if let Some(name) = &loaded.name {
            by_name.entry(name.clone()).or_default().push(loaded.path.clone());
        }
    }
    all.into_iter()
        .map(|loaded| {
            let others = loaded.name.as_ref().and_then(|name| by_name.get(name)).filter(|paths| paths.len() > 1);
            let (Some(paths), Some(name)) = (others, &loaded.name) else { return loaded };
            let mut double = (*loaded).clone();
            let message = format!("the project name `{name}` is used by another manifest too");
            let file = double.found.files.first().unwrap_or(&double.path).clone();
            let mut diagnostic = Diagnostic::file(file, "duplicate-project", message);
            diagnostic.place.line = 1;
            diagnostic.place.col = 1;
            diagnostic.place.len = 1;
            if let Some(at) = name_place(&double) {
                diagnostic.place = at;
            }
            diagnostic.help = Some("give one of them another `name:`".into());
            let related = paths.iter().filter(|p| **p != double.path);
            diagnostic.related =
                related.map(|p| (diagnostic::Place::file(p), format!("also named `{name}`"))).collect();
            double.diagnostics.push(diagnostic);
            double.project = None;
            // The double is not kept for the next load, which may find it alone.
            double.inputs = vec![Stamp::never()];
            Arc::new(double)
        })
        .collect()
}

/// Where a manifest's `name:` stands.
fn name_place(loaded: &Loaded) -> Option<diagnostic::Place> {
    let path = loaded.found.files.first()?;
    let mut report = Report::default();
    let text = source::read(path).ok()?;
    let file = report.add_file(path, Arc::clone(&text));
    let documents = parse::parse(&text, file, &mut report)?;
    let span = documents.first()?.as_map()?.get("name")?.node.span;
    Some(report.place(span))
}

/// Loads one manifest that was found: all phases, from the bytes to the project.
pub fn load(found: Found, environment: &Variables) -> Loaded {
    let mut loader = Loader::new(environment);
    let request = Request::of(&found);
    let (name, model) = loader.load(&request, environment);
    let project = model.map(|model| {
        if model.is_empty() && !loader.reader().report.has_errors() {
            // Compose takes it; here everything of the project would be removed.
            loader.reader().report.error(model.tree.span, "no-services", "there are no services").help =
                Some("add `services:` with at least one, or remove the manifest".into());
        }
        let revision = revision(&loader.reader().content, &model);
        let Request { working_dir, files, .. } = request;
        let frame = typed::Frame { working_dir, files, revision, model: &model };
        typed::project(frame, &mut loader.reader().report)
    });
    let Merger { reader: Reader { report, inputs, .. }, parts, .. } = loader.merger;
    let usable = project.filter(|_| !report.has_errors());
    Loaded {
        path: found.path.clone(),
        name,
        project: usable.map(Arc::new),
        diagnostics: report.finish(),
        inputs,
        parts,
        found,
    }
}

/// A project that was printed.
#[derive(Debug)]
pub struct Rendered {
    /// The text; `None`: there are errors.
    pub text: Option<String>,
    /// Each service with its hash.
    pub hashes: Vec<(String, String)>,
    /// Errors and warnings, in the order of the places.
    pub diagnostics: Vec<Diagnostic>,
}

/// Loads a project and prints it as Compose does.
///
/// # Errors
/// A number that the format has no form for.
pub fn render(request: &Request, environment: &Variables, format: Format) -> anyhow::Result<Rendered> {
    let mut loader = Loader::new(environment);
    let (_, model) = loader.load(request, environment);
    let report = loader.merger.reader.report;
    let model = model.filter(|_| !report.has_errors());
    Ok(Rendered {
        text: model.as_ref().map(|m| render::project(&m.tree, format)).transpose()?,
        hashes: model.into_iter().flat_map(|m| m.hashes).map(|(name, h)| (name, h.written)).collect(),
        diagnostics: report.finish(),
    })
}

/// The content hash of a manifest with everything it pulls in, as it came out: two texts that mean the same differ.
fn revision(content: &str, model: &Model) -> String {
    sha256_hex(format!("{content}\0{}", render::hash(&model.tree)))
}
