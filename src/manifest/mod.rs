//! Compose files in, typed projects or diagnostics out.
//!
//! The phases: find and read (`source`), parse to a tree that keeps places (`parse`), interpolate, check against the
//! table of keys (`schema`), bring into one form (`canonical`), lay override files over (`merge`), resolve env files,
//! leave out what no profile enables, type it and check the whole (`typed`). A mistake does not hide the next one.

mod canonical;
mod config_hash;
pub mod diagnostic;
pub mod document;
pub mod dotenv;
mod extension;
pub mod interpolate;
mod merge;
mod parse;
mod schema;
mod short;
pub mod source;
mod typed;
mod units;
mod validate;

/// Durations as Compose writes them, for other files of ours that hold some.
pub mod duration {
    pub use super::units::{duration as parse, go_duration as print};
}

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use diagnostic::Report;
pub use diagnostic::{Diagnostic, Severity};
use document::{Entry, Map, Node, Value};
use interpolate::Variables;
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
    /// Errors and warnings.
    pub diagnostics: Vec<Diagnostic>,
    /// The files that were read or looked for: it is as it was while they are.
    inputs: Vec<Stamp>,
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
    for found in source::discover(root)? {
        let same = previous.iter().find(|l| l.found == found && l.inputs.iter().all(Stamp::is_current));
        all.push(match same {
            Some(loaded) => Arc::clone(loaded),
            None => Arc::new(load(found, environment)),
        });
    }
    Ok(refuse_doubles(all))
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
    let file = report.add_file(path, source::read(path).ok()?);
    let text = source::read(path).ok()?;
    let documents = parse::parse(&text, file, &mut report)?;
    let span = documents.first()?.as_map()?.get("name")?.node.span;
    Some(report.place(span))
}

/// Loads one manifest.
pub fn load(found: Found, environment: &Variables) -> Loaded {
    let mut loader = Loader { environment: environment.clone(), report: Report::default(), inputs: Vec::new() };
    let (name, project) = loader.load(&found);
    let usable = project.filter(|_| !loader.report.has_errors());
    Loaded {
        path: found.path.clone(),
        name,
        project: usable.map(Arc::new),
        diagnostics: loader.report.finish(),
        inputs: loader.inputs,
        found,
    }
}

struct Loader {
    environment: Variables,
    report: Report,
    inputs: Vec<Stamp>,
}

impl Loader {
    fn read(&mut self, path: &Path) -> Result<Arc<str>, source::ReadError> {
        self.inputs.push(Stamp::of(path));
        source::read(path)
    }

    fn load(&mut self, found: &Found) -> (Option<ProjectName>, Option<Project>) {
        let working_dir = std::path::absolute(found.working_dir()).unwrap_or_else(|_| found.working_dir().to_owned());
        let dotenv = self.dotenv(&working_dir.join(".env"));
        let mut content = String::new();
        let mut tree: Option<Node> = None;
        let home = self.environment.get("HOME").cloned();
        for path in &found.files {
            let text = match self.read(path) {
                Ok(text) => text,
                Err(error) => {
                    self.report.push(Diagnostic::file(path, "unreadable", error.to_string()));
                    continue;
                }
            };
            content.push_str(&text);
            content.push('\0');
            let file = self.report.add_file(path, Arc::clone(&text));
            let Some(documents) = parse::parse(&text, file, &mut self.report) else { continue };
            if documents.iter().all(Node::is_null) {
                let start = document::Span { file, line: 1, col: 0, len: 1 };
                self.report.error(start, "empty", "the file is empty").help =
                    Some("a Compose file has at least `services:`".into());
            }
            for mut document in documents.into_iter().filter(|d| !d.is_null()) {
                interpolate::interpolate(&mut document, &self.environment, &mut self.report);
                schema::check(&document, schema::FILE, "", &mut self.report);
                canonical::file(&mut document, &working_dir, home.as_deref(), &mut self.report);
                match &mut tree {
                    None => tree = Some(document),
                    Some(tree) => merge::merge(tree, document, &mut self.report),
                }
            }
        }
        let name = self.name(found, tree.as_ref(), &dotenv);
        let (Some(mut tree), Some(name)) = (tree, name.clone()) else { return (name, None) };
        if tree.as_map().is_none() {
            return (Some(name), None);
        }
        merge::untag(&mut tree);
        if tree.get("services").and_then(Node::as_map).is_none_or(Map::is_empty) {
            self.report.error(tree.span, "no-services", "there are no services").help =
                Some("add `services:` with at least one service".into());
        }
        let disabled = self.profiles(&mut tree);
        self.environments(&mut tree);
        let revision = revision(&content, &dotenv, &tree);
        let files = found.files.iter().map(|f| std::path::absolute(f).unwrap_or_else(|_| f.clone())).collect();
        let frame = typed::Frame { name: name.clone(), working_dir, files, revision, disabled };
        let project = typed::project(&tree, frame, &mut self.report);
        (Some(name), Some(project))
    }

    /// The `.env` beside the file: the shell's variables beat it.
    fn dotenv(&mut self, path: &Path) -> Variables {
        let text = match self.read(path) {
            Ok(text) => text,
            Err(error) => {
                if !error.is_not_found() {
                    self.report.push(Diagnostic::file(path, "unreadable", error.to_string()));
                }
                return Variables::new();
            }
        };
        let entries = self.env_entries(path, &text);
        let found: Variables = entries.into_iter().filter_map(|(k, v)| Some((k, v?))).collect();
        for (key, value) in &found {
            self.environment.entry(key.clone()).or_insert_with(|| value.clone());
        }
        found
    }

    fn env_entries(&mut self, path: &Path, text: &Arc<str>) -> Vec<(String, Option<String>)> {
        match dotenv::parse(text, &self.environment) {
            Ok(entries) => entries,
            Err(error) => {
                let file = self.report.add_file(path, Arc::clone(text));
                let span = document::Span { file, line: error.line, col: 0, len: 1 };
                self.report.error(span, "env-file", error.message);
                Vec::new()
            }
        }
    }

    /// A file that could not be parsed has no name: what it was called before is not known here.
    ///
    /// `name:`, then COMPOSE_PROJECT_NAME of a folder's own `.env`, then the folder's or file's name.
    fn name(&mut self, found: &Found, tree: Option<&Node>, dotenv: &Variables) -> Option<ProjectName> {
        let tree = tree?;
        if let Some(node) = tree.get("name")
            && let Some(text) = node.as_text()
        {
            return match ProjectName::parse(text) {
                Ok(name) => Some(name),
                Err(error) => {
                    self.report.error(node.span, "bad-name", error.to_string());
                    None
                }
            };
        }
        if let Some(name) = dotenv.get("COMPOSE_PROJECT_NAME").filter(|_| found.is_folder())
            && let Ok(name) = ProjectName::parse(name)
        {
            return Some(name);
        }
        let path = std::path::absolute(&found.path).unwrap_or_else(|_| found.path.clone());
        let stem = if found.is_folder() { path.file_name() } else { path.file_stem() };
        let stem = stem.map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
        let name = ProjectName::sanitised(&stem);
        if name.is_none() {
            let mut diagnostic =
                Diagnostic::file(&found.path, "bad-name", format!("no project name can be made from `{stem}`"));
            diagnostic.help = Some("write `name:` at the top of the file".into());
            self.report.push(diagnostic);
        }
        name
    }

    /// Leaves out services whose profiles are not enabled.
    fn profiles(&mut self, tree: &mut Node) -> BTreeSet<String> {
        let enabled: BTreeSet<String> = self
            .environment
            .get("COMPOSE_PROFILES")
            .map(|p| p.split(',').map(|p| p.trim().to_owned()).collect())
            .unwrap_or_default();
        let mut disabled = BTreeSet::new();
        let Some(services) = tree.as_map_mut().and_then(|m| m.get_mut("services")?.node.as_map_mut()) else {
            return disabled;
        };
        services.retain(|name, entry| {
            let profiles = entry.node.get("profiles").and_then(Node::as_list).unwrap_or_default();
            let on = profiles.is_empty()
                || enabled.contains("*")
                || profiles.iter().filter_map(Node::as_text).any(|p| enabled.contains(p));
            if !on {
                disabled.insert(name.clone());
            }
            on
        });
        disabled
    }

    /// Resolves each service's environment: env files first, then `environment`, null values from outside.
    fn environments(&mut self, tree: &mut Node) {
        let Some(services) = tree.as_map_mut().and_then(|m| m.get_mut("services")?.node.as_map_mut()) else { return };
        for (_, entry) in services.iter_mut() {
            let service = &mut entry.node;
            let span = service.span;
            let mut resolved: BTreeMap<String, Node> = BTreeMap::new();
            for file in service.get("env_file").and_then(Node::as_list).unwrap_or_default().to_vec() {
                self.env_file(&file, &mut resolved);
            }
            for (key, entry) in service.get("environment").and_then(Node::as_map).into_iter().flatten() {
                let mut node = entry.node.clone();
                if node.is_null()
                    && let Some(value) = self.environment.get(key)
                {
                    node.value = Value::Text(value.clone());
                }
                resolved.insert(key.clone(), node);
            }
            let Some(map) = service.as_map_mut() else { continue };
            map.shift_remove("env_file");
            if !resolved.is_empty() {
                let resolved = resolved.into_iter().map(|(k, node)| (k, Entry { key: node.span, node })).collect();
                let node = Node::new(Value::Map(resolved), span);
                map.insert("environment".into(), Entry { key: span, node });
            }
        }
    }

    fn env_file(&mut self, node: &Node, resolved: &mut BTreeMap<String, Node>) {
        let Some(path) = node.get("path").and_then(Node::scalar) else { return };
        let required = !matches!(node.get("required").map(|n| &n.value), Some(Value::Bool(false)));
        let text = match self.read(Path::new(&path)) {
            Ok(text) => text,
            Err(error) if error.is_not_found() && !required => return,
            Err(error) => {
                self.report.error(node.span, "env-file", format!("env file: {error}")).help =
                    Some("create it, or write `required: false`".into());
                return;
            }
        };
        let raw = node.get("format").and_then(Node::as_text) == Some("raw");
        let entries = if raw {
            let lines = text.lines().filter(|l| !l.trim().is_empty() && !l.trim_start().starts_with('#'));
            lines
                .map(|l| match l.split_once('=') {
                    Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
                    None => (l.to_owned(), None),
                })
                .collect()
        } else {
            self.env_entries(Path::new(&path), &text)
        };
        for (key, value) in entries {
            if let Some(value) = value.or_else(|| self.environment.get(&key).cloned()) {
                resolved.insert(key, Node::text(value, node.span));
            }
        }
    }
}

/// The content hash of a manifest with everything it pulls in, as it came out: two texts that mean the same differ.
fn revision(content: &str, dotenv: &Variables, tree: &Node) -> String {
    let mut all = content.to_owned();
    for (key, value) in dotenv {
        all.push_str(&format!("{key}={value}\0"));
    }
    fn values(node: &Node, out: &mut String) {
        match &node.value {
            Value::List(list) => list.iter().for_each(|n| values(n, out)),
            Value::Map(map) => map.iter().for_each(|(k, e)| {
                out.push_str(k);
                values(&e.node, out);
            }),
            _ => out.push_str(&node.scalar().unwrap_or_default()),
        }
        out.push('\0');
    }
    values(tree, &mut all);
    sha256_hex(all)
}
