//! The phases of loading, in the order in which Compose has them: each rule meets the form that the one before it leaves.
//!
//! For each document of each file: interpolate and cast, lay over what it extends, add what it includes, lay it over the
//! files before it, check, bring into the long forms. Then once: defaults, paths, what follows from what is written, the
//! binding of every value, profiles, consistency, env files. A mistake does not hide the next one.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::diagnostic::{Diagnostic, Report};
use super::document::{Entry, FileId, Map, Node, Span, Value};
use super::extends::Extended;
use super::interpolate::{Variables, interpolate};
use super::paths::Base;
use super::reset::Resets;
use super::source::{self, Found, Stamp};
use super::{
    attributes, bind, canonical, check, consistency, dotenv, environment, merge, normalize, parse, render, typed,
    unique,
};
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

    fn hash(&mut self, put: impl Fn(&mut Hashes, &Node)) {
        for (name, entry) in self.tree.get("services").and_then(Node::as_map).into_iter().flatten() {
            put(self.hashes.entry(name.clone()).or_default(), &entry.node);
        }
    }
}

pub(super) struct Loader {
    pub(super) report: Report,
    /// The files that were read or looked for.
    pub(super) inputs: Vec<Stamp>,
    /// Files that are included, or whose services are extended.
    pub(super) parts: BTreeSet<PathBuf>,
    /// Every text that was read.
    pub(super) content: String,
    pub(super) home: Option<String>,
    /// Files that services extend others of, as they were read.
    pub(super) extended: BTreeMap<PathBuf, Extended>,
}

/// What is the same for all files that are laid over each other.
pub(super) struct Scope<'a> {
    /// The folder that relative paths start from.
    pub(super) folder: &'a Path,
    pub(super) environment: &'a Variables,
    /// The files that include each other on the way here.
    pub(super) including: &'a [PathBuf],
}

impl Loader {
    pub(super) fn new(environment: &Variables) -> Self {
        Self {
            report: Report::default(),
            inputs: Vec::new(),
            parts: BTreeSet::new(),
            content: String::new(),
            home: environment.get("HOME").filter(|h| !h.is_empty()).cloned(),
            extended: BTreeMap::new(),
        }
    }

    pub(super) fn read(&mut self, path: &Path) -> Result<Arc<str>, source::ReadError> {
        self.inputs.push(Stamp::of(path));
        let text = source::read(path)?;
        self.content.push_str(&text);
        self.content.push('\0');
        Ok(text)
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
        let parsed = self.texts(&request.files);
        let name = self.name(request, &parsed, &environment, &own);
        // Without a name the rest is checked all the same.
        let called = name.as_ref().map_or("unnamed", ProjectName::as_str).to_owned();
        environment.insert("COMPOSE_PROJECT_NAME".into(), called.clone());
        known.clone_from(&name);
        let scope = Scope { folder: &request.working_dir, environment: &environment, including: &[] };
        let Some(mut tree) = self.merged(parsed, &scope) else {
            // One file without content does no harm beside others; nothing at all is a mistake.
            self.nothing(request);
            return None;
        };
        if tree.as_map().is_some_and(Map::is_empty) {
            self.nothing(request);
        }
        normalize::normalize(&mut tree, &called, &environment);
        tree.set("name", Value::Text(called));
        bind::bind(&mut tree, &attributes::FILE, &mut self.report);
        let profiles = profiles(request, &environment);
        let disabled = disable(&mut tree, &profiles);
        consistency::check(&tree, &disabled, &mut self.report);
        environment::labels(self, &mut tree);
        let mut model = Model { name: name.clone()?, tree, disabled, hashes: BTreeMap::new() };
        if !request.resolve_environment {
            model.hash(|hashes, service| hashes.written = render::service_hash(service, &["label_file"]));
        } else {
            environment::variables(self, &mut model.tree, &environment);
            self.note_seccomp_profiles(&model.tree, &request.working_dir);
            model.hash(|hashes, service| {
                let service = with_api_socket(service);
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

    /// Reads and parses files; `None`: it is no YAML.
    fn texts(&mut self, files: &[PathBuf]) -> Vec<(PathBuf, Option<Vec<Node>>)> {
        files
            .iter()
            .map(|path| {
                let documents = match self.read(path) {
                    Ok(text) => self.documents(path, &text),
                    Err(error) => {
                        self.report.push(Diagnostic::file(path, "unreadable", error.to_string()));
                        None
                    }
                };
                (path.clone(), documents)
            })
            .collect()
    }

    pub(super) fn documents(&mut self, path: &Path, text: &Arc<str>) -> Option<Vec<Node>> {
        let file = self.report.add_file(path, Arc::clone(text));
        let documents = parse::parse(text, file, &mut self.report)?;
        if !documents.is_empty() && documents.iter().all(Node::is_null) {
            self.empty(path, file);
            return Some(Vec::new());
        }
        Some(documents)
    }

    /// Nothing is said at all.
    fn nothing(&mut self, request: &Request) {
        if let Some(first) = request.files.first().filter(|_| !self.report.has_errors()) {
            self.empty(first, self.report.file_of(first));
        }
    }

    fn empty(&mut self, path: &Path, file: FileId) {
        let start = Span { file, line: 1, col: 0, len: 1 };
        let message = format!("{} is empty", path.file_name().unwrap_or_default().display());
        self.report.error(start, "empty", message).help = Some("a Compose file has at least `services:`".into());
    }

    /// Lays files over each other, with all they include, and resolves their paths.
    pub(super) fn merged(&mut self, files: Vec<(PathBuf, Option<Vec<Node>>)>, scope: &Scope<'_>) -> Option<Node> {
        let mut tree: Option<Node> = None;
        for (path, documents) in files {
            for document in documents.into_iter().flatten() {
                if document.as_map().is_none() {
                    let message = format!("the file must be a mapping, this is {}", document.kind());
                    self.report.error(document.span, "wrong-type", message);
                    continue;
                }
                self.document(&mut tree, document, &path, scope);
            }
        }
        let mut tree = tree?;
        canonical::defaults(&mut tree);
        consistency::resources(&tree, &mut self.report);
        let folder = scope.folder.display().to_string();
        Base { folder: &folder, home: self.home.as_deref() }.resolve(&mut tree, &mut self.report);
        normalize::resolve_environment(&mut tree, scope.environment);
        Some(tree)
    }

    fn document(&mut self, tree: &mut Option<Node>, mut document: Node, path: &Path, scope: &Scope<'_>) {
        let resets = Resets::take(&mut document);
        interpolate(&mut document, scope.environment, &mut self.report);
        self.extend(&mut document, path, scope, &resets);
        if let Some(tree) = tree {
            resets.apply(tree);
        }
        self.include(&mut document, path, scope);
        let merged = match tree {
            None => tree.insert(document),
            Some(tree) => {
                merge::merge(tree, document, &mut self.report);
                tree
            }
        };
        unique::enforce(merged, &mut self.report);
        check::object(merged, &attributes::FILE, &check::Path::Top(""), &mut self.report);
        if let Some(entry) = merged.as_map_mut().and_then(|m| m.shift_remove("version")) {
            self.report.warning(entry.key, "old-version", "`version` is obsolete and ignored").help =
                Some("take it out".into());
        }
        canonical::canonical(merged, &mut self.report);
        // Short forms that were spread out may show the same port twice.
        unique::enforce(merged, &mut self.report);
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
                drop(self.read(&folder.join(path)));
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
        self.env_files(&files, given, environment)
    }

    /// Reads env files into one: later lines win, and `environment` is what they are expanded from first.
    pub(super) fn env_files(&mut self, files: &[PathBuf], required: bool, environment: &Variables) -> Variables {
        let mut found = Variables::new();
        for path in files {
            let text = match self.read(path) {
                Ok(text) => text,
                Err(error) if !required && (error.is_not_found() || error.is_folder()) => continue,
                Err(error) => {
                    self.report.push(Diagnostic::file(path, "unreadable", error.to_string()));
                    continue;
                }
            };
            if let Err(error) = dotenv::parse(&text, &mut found, &|name| environment.get(name).cloned()) {
                self.env_error(path, &text, &error);
            }
        }
        found
    }

    /// A mistake in an env file.
    pub(super) fn env_error(&mut self, path: &Path, text: &Arc<str>, error: &dotenv::DotenvError) {
        let file = self.report.add_file(path, Arc::clone(text));
        let span = Span { file, line: error.line, col: 0, len: 1 };
        self.report.error(span, "env-file", error.message.clone());
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
                    self.report.push(Diagnostic::file(file, "bad-name", error.to_string()));
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
                self.report.error(node.span, "bad-name", "no project name can be made of this").help =
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
            self.report.push(diagnostic);
        }
        name
    }
}

/// What `use_api_socket` stands for is hashed on a container, as Compose adds it before it makes one.
fn with_api_socket(service: &Node) -> Cow<'_, Node> {
    if !service.get("use_api_socket").is_some_and(Node::is_true) {
        return Cow::Borrowed(service);
    }
    let mut owned = service.clone();
    let service = &mut owned;
    let span = service.span;
    let text = |key: &str, value: &str| (key.to_owned(), Entry { key: span, node: Node::text(value, span) });
    let add = |service: &mut Node, key: &str, value: Map| {
        if service.get(key).is_none() {
            service.set(key, Value::List(Vec::new()));
        }
        if let Some(list) = service.get_mut(key).and_then(Node::as_list_mut) {
            list.push(Node::new(Value::Map(value), span));
        }
    };
    let socket = typed::SOCKET;
    add(service, "volumes", Map::from_iter([text("type", "bind"), text("source", socket), text("target", socket)]));
    let config = format!("{}/config.json", typed::SOCKET_CONFIG);
    add(service, "configs", Map::from_iter([text("source", typed::SOCKET_KEY), text("target", &config)]));
    if service.get("environment").is_none() {
        service.set("environment", Value::Map(Map::default()));
    }
    if let Some(variables) = service.get_mut("environment").and_then(Node::as_map_mut) {
        let (key, value) = text("DOCKER_CONFIG", typed::SOCKET_CONFIG);
        variables.entry(key).or_insert(value);
        variables.sort_unstable_keys();
    }
    attributes::order_service(service);
    Cow::Owned(owned)
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
