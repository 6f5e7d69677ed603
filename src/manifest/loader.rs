//! The phases of loading, in the order in which Compose has them: each rule meets the form that the one before it leaves.
//!
//! For each document of each file: interpolate and cast, lay over what it extends, add what it includes, lay it over the
//! files before it, check, bring into the long forms. Then once: defaults, paths, what follows from what is written, the
//! binding of every value, profiles, consistency, env files. A mistake does not hide the next one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::attributes;
use super::bind::{Model, api_socket, environment, values};
use super::check::consistency;
use super::diagnostic::{Diagnostic, Report};
use super::document::{Map, Node, Value};
use super::merge::{Merger, Scope, canonical, normalize};
use super::read::Reader;
use super::read::interpolate::{Variables, interpolate};
use super::read::source::{self, Found};
use super::render;
use crate::model::ProjectName;

/// The files to load, and what they are loaded with.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The files, the first one first.
    pub files: Vec<PathBuf>,
    /// The folder that relative paths start from.
    pub working_dir: PathBuf,
    /// In place of the `.env` of that folder.
    pub env_files: Vec<PathBuf>,
    /// `.env` is not read.
    pub without_dotenv: bool,
    /// In place of COMPOSE_PROFILES.
    pub profiles: Vec<String>,
    /// How the project is called.
    pub naming: Naming,
    /// Whether env files are read.
    pub resolve_environment: bool,
}

impl Request {
    /// Files as they are named on a command line; their paths are absolute.
    pub fn compose(files: Vec<PathBuf>) -> Self {
        let working_dir = files.first().and_then(|f| f.parent()).unwrap_or(Path::new("/")).to_owned();
        Self { files, working_dir, resolve_environment: true, ..Self::default() }
    }

    /// A manifest that was found.
    pub fn of(found: &Found) -> Self {
        let absolute = |path: &Path| source::clean(&std::path::absolute(path).unwrap_or_else(|_| path.to_owned()));
        let files: Vec<PathBuf> = found.files.iter().map(|f| absolute(f)).collect();
        let working_dir = files.first().and_then(|f| f.parent()).unwrap_or(Path::new("/")).to_owned();
        Self {
            files,
            working_dir,
            naming: Naming::Manifest(found.clone()),
            resolve_environment: true,
            ..Self::default()
        }
    }
}

/// How a project gets its name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Naming {
    /// As on Compose's command line: what is given here, COMPOSE_PROJECT_NAME, the last `name:`, the folder.
    #[default]
    Compose,
    /// This name, whatever is written.
    Given(String),
    /// As a manifest: COMPOSE_PROJECT_NAME of the folder's own `.env` where it is a folder, the last `name:`, the
    /// folder's or the file's name. The environment has no say: it is one for many projects.
    Manifest(Found),
}

/// Everything about one project, from its files to the bound tree.
pub(super) struct Loader {
    pub(super) merger: Merger,
}

impl Loader {
    pub(super) fn new(environment: &Variables) -> Self {
        Self { merger: Merger::new(environment) }
    }

    /// What was read, and what is wrong with it.
    pub(super) fn reader(&mut self) -> &mut Reader {
        &mut self.merger.reader
    }

    /// Loads everything: the name as far as it is known, and what was loaded, which means little where the report has
    /// errors.
    pub(super) fn load(&mut self, request: &Request, outer: &Variables) -> (Option<ProjectName>, Option<Model>) {
        let mut name = None;
        let model = self.model(request, outer, &mut name);
        (name, model)
    }

    fn model(&mut self, request: &Request, outer: &Variables, known: &mut Option<ProjectName>) -> Option<Model> {
        let mut environment = outer.clone();
        let own = self.dotenv(request, &environment);
        for (key, value) in &own {
            environment.entry(key.clone()).or_insert_with(|| value.clone());
        }
        let parsed = self.reader().texts(&request.files);
        let name = self.name(request, &parsed, &environment, &own);
        // Without a name the rest is checked all the same.
        let called = name.as_ref().map_or("unnamed", ProjectName::as_str).to_owned();
        environment.insert("COMPOSE_PROJECT_NAME".into(), called.clone());
        known.clone_from(&name);
        let scope = Scope { folder: &request.working_dir, environment: &environment, including: &[] };
        let Some(mut tree) = self.merger.merged(parsed, &scope) else {
            // One file without content does no harm beside others; nothing at all is a mistake.
            self.nothing(request);
            return None;
        };
        if tree.as_map().is_some_and(Map::is_empty) {
            self.nothing(request);
        }
        normalize::normalize(&mut tree, &called, &environment);
        tree.set("name", Value::Text(called));
        values::bind(&mut tree, &attributes::FILE, &mut self.reader().report);
        let profiles = profiles(request, &environment);
        let disabled = disable(&mut tree, &profiles);
        consistency::check(&tree, &disabled, &mut self.reader().report);
        environment::labels(self.reader(), &mut tree);
        let mut model = Model { name: name.clone()?, tree, disabled, hashes: BTreeMap::new() };
        if !request.resolve_environment {
            model.hash(|hashes, service| hashes.written = render::service_hash(service, &["label_file"]));
        } else {
            environment::variables(self.reader(), &mut model.tree, &environment);
            self.note_seccomp_profiles(&model.tree, &request.working_dir);
            model.hash(|hashes, service| {
                let service = api_socket::with_api_socket(service);
                hashes.label = render::service_hash(&service, &["env_file"]);
                hashes.template = render::sharing_template(&service, &["env_file"]);
            });
        }
        for (_, entry) in canonical::section_of(&mut model.tree, "services") {
            for key in ["env_file", "label_file"] {
                entry.node.as_map_mut().and_then(|m| m.shift_remove(key));
            }
        }
        consistency::drop_unused(&mut model.tree);
        Some(model)
    }

    /// Nothing is said at all.
    fn nothing(&mut self, request: &Request) {
        let reader = self.reader();
        if let Some(first) = request.files.first().filter(|_| !reader.report.has_errors()) {
            let file = reader.report.file_of(first);
            reader.empty(first, file);
        }
    }

    /// Profiles of seccomp are read for their content later; here they become inputs, whose change is the manifest's.
    fn note_seccomp_profiles(&mut self, tree: &Node, folder: &Path) {
        let services = tree.get("services").and_then(Node::as_map).into_iter().flatten();
        let options =
            services.flat_map(|(_, e)| e.node.get("security_opt").and_then(Node::as_list).unwrap_or_default());
        for option in options.filter_map(Node::as_text) {
            let profile = option.strip_prefix("seccomp=").or_else(|| option.strip_prefix("seccomp:"));
            if let Some(path) = profile.filter(|p| !matches!(*p, "unconfined" | "builtin")) {
                // What is wrong with it is said then.
                drop(self.reader().read(&folder.join(path)));
            }
        }
    }

    /// The variables of `.env`, or of the files that stand in its place.
    fn dotenv(&mut self, request: &Request, environment: &Variables) -> Variables {
        let given = !request.env_files.is_empty();
        if request.without_dotenv && !given {
            return Variables::new();
        }
        let files = if given { request.env_files.clone() } else { vec![request.working_dir.join(".env")] };
        self.reader().env_files(&files, given, environment)
    }

    fn name(
        &mut self,
        request: &Request,
        files: &[(PathBuf, Option<Vec<Node>>)],
        environment: &Variables,
        own: &Variables,
    ) -> Option<ProjectName> {
        let given = match &request.naming {
            Naming::Given(name) => Some(name),
            Naming::Compose => environment.get("COMPOSE_PROJECT_NAME"),
            Naming::Manifest(found) => own.get("COMPOSE_PROJECT_NAME").filter(|_| found.is_folder()),
        };
        if let Some(given) = given.filter(|name| !name.is_empty()) {
            return match ProjectName::parse(given) {
                Ok(name) => Some(name),
                Err(error) => {
                    let file = request.files.first().map_or(request.working_dir.as_path(), PathBuf::as_path);
                    self.reader().report.push(Diagnostic::file(file, "bad-name", error.to_string()));
                    None
                }
            };
        }
        let written = files
            .iter()
            .flat_map(|(_, documents)| documents.iter().flatten())
            .filter_map(|d| d.get("name").filter(|n| n.as_text().is_some_and(|t| !t.is_empty())))
            .next_back();
        if let Some(node) = written {
            let mut node = node.clone();
            // What is wrong with it is said when the file itself is interpolated.
            interpolate(&mut node, environment, &mut Report::default());
            let name = ProjectName::sanitised(node.as_text().unwrap_or_default());
            if name.is_none() {
                self.reader().report.error(node.span, "bad-name", "no project name can be made of this").help =
                    Some("a name has small letters, digits, `-` and `_`, and begins with a letter or digit".into());
            }
            return name;
        }
        // A file that could not be parsed has no name: what it was called before is not known here.
        if files.iter().any(|(_, documents)| documents.is_none()) {
            return None;
        }
        let (path, is_folder) = match &request.naming {
            Naming::Manifest(found) => (found.path.as_path(), found.is_folder()),
            _ => (request.working_dir.as_path(), true),
        };
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let stem = if is_folder { path.file_name() } else { path.file_stem() };
        let stem = stem.map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
        let name = ProjectName::sanitised(&stem);
        if name.is_none() {
            let mut diagnostic =
                Diagnostic::file(&path, "bad-name", format!("no project name can be made from `{stem}`"));
            diagnostic.help = Some("write `name:` at the top of the file".into());
            self.reader().report.push(diagnostic);
        }
        name
    }
}

/// The profiles that are enabled.
fn profiles(request: &Request, environment: &Variables) -> Vec<String> {
    if !request.profiles.is_empty() {
        return request.profiles.clone();
    }
    let list = environment.get("COMPOSE_PROFILES").map(String::as_str).unwrap_or_default();
    list.split(',').map(|p| p.trim().to_owned()).collect()
}

/// Takes out the services whose profiles are not enabled.
fn disable(tree: &mut Node, profiles: &[String]) -> Map {
    let Some(services) = tree.get_mut("services").and_then(Node::as_map_mut) else { return Map::default() };
    let on = |node: &Node| {
        let own = node.get("profiles").and_then(Node::as_list).unwrap_or_default();
        own.is_empty() || profiles.iter().any(|p| p == "*" || own.iter().filter_map(Node::as_text).any(|own| own == p))
    };
    let (enabled, disabled) = std::mem::take(services).into_iter().partition(|(_, entry)| on(&entry.node));
    *services = enabled;
    disabled
}
