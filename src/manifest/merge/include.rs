//! `include`: other files, with an environment and a folder of their own, whose definitions become part of this one.

use std::path::{Path as FilePath, PathBuf};

use super::paths::is_remote;
use super::{Merger, Scope};
use crate::manifest::attributes::{INCLUDE, INCLUDED};
use crate::manifest::check::keys::{self, Path};
use crate::manifest::diagnostic::suggestion;
use crate::manifest::document::{Entry, Map, Node, Span, Value};
use crate::manifest::read::source;

/// Files that include each other beyond this are refused: each takes a part of the stack.
const MAX_DEPTH: usize = 50;

/// What of a file becomes part of the one that includes it.
const SECTIONS: [&str; 6] = ["services", "volumes", "networks", "secrets", "configs", "models"];

impl Merger {
    /// Adds what a document includes to it.
    pub(super) fn include(&mut self, document: &mut Node, file: &FilePath, scope: &Scope<'_>) {
        let Some(entry) = document.as_map_mut().and_then(|m| m.shift_remove("include")) else { return };
        let list = match entry.node.value {
            Value::List(list) => list,
            Value::Null => return,
            _ => {
                let message = format!("include must be a list, this is {}", entry.node.kind());
                self.reader.report.error(entry.node.span, "wrong-type", message);
                return;
            }
        };
        let mut including = scope.including.to_vec();
        including.push(file.to_owned());
        for node in list {
            self.check_include(&node);
            let texts = |key: &str| -> Vec<(String, Span)> {
                let value = if key == "path" && node.as_text().is_some() { Some(&node) } else { node.get(key) };
                match value.map(|n| (&n.value, n.span)) {
                    Some((Value::Text(text), span)) => vec![(text.clone(), span)],
                    Some((Value::List(list), _)) => {
                        list.iter().filter_map(|n| Some((n.as_text()?.to_owned(), n.span))).collect()
                    }
                    _ => Vec::new(),
                }
            };
            let directory = node.get("project_directory").and_then(Node::as_text).filter(|d| !d.is_empty());
            let included = self.included(&texts("path"), directory, &texts("env_file"), &including, scope);
            if let Some(included) = included {
                self.import(document, included, node.span);
            }
        }
    }

    /// As in Compose, a key that it does not know does no harm here.
    fn check_include(&mut self, node: &Node) {
        if node.as_map().is_none() {
            keys::check(node, &INCLUDED, &Path::Top("include"), &mut self.reader.report);
        }
        for (key, entry) in node.as_map().into_iter().flatten() {
            let include = Path::Top("include");
            let path = Path::Key(&include, key);
            match INCLUDE.field(key) {
                Some(field) => keys::check(&entry.node, &field.shape, &path, &mut self.reader.report),
                None => {
                    let help = suggestion(key, INCLUDE.fields.iter().map(|f| f.key));
                    let message = format!("unknown key `{path}`, which is ignored");
                    self.reader.report.warning(entry.key, "unknown-key", message).help = help;
                }
            }
        }
    }

    fn included(
        &mut self,
        paths: &[(String, Span)],
        directory: Option<&str>,
        env_files: &[(String, Span)],
        including: &[PathBuf],
        scope: &Scope<'_>,
    ) -> Option<Node> {
        let absolute = |path: &str| PathBuf::from(source::clean_text(&scope.folder.join(path).display().to_string()));
        let mut files = Vec::new();
        for (path, span) in paths {
            if is_remote(path) {
                let message = format!("`{path}` would have to be fetched, which evenkeel does not do");
                self.reader.report.error(*span, "unsupported", message).help =
                    Some("keep the file beside the manifest".into());
                return None;
            }
            files.push((absolute(path), *span));
        }
        let (main, span) = files.first()?;
        if including.contains(main) || including.len() > MAX_DEPTH {
            let names: Vec<_> = including.iter().chain([main]).map(|p| p.display().to_string()).collect();
            let message = format!("files include each other in a circle: {}", names.join(" -> "));
            self.reader.report.error(*span, "cycle", message);
            return None;
        }
        let parent = |path: &FilePath| path.parent().unwrap_or(FilePath::new("/")).to_owned();
        let folder = directory.map_or_else(|| parent(main), absolute);
        // As in Compose, paths start from the folder above one that is not there.
        let relative = directory.is_some_and(|d| !FilePath::new(d).is_absolute());
        let base = if relative && !source::is_folder(&folder) { parent(&folder) } else { folder.clone() };
        let given: Vec<PathBuf> = env_files.iter().map(|(path, _)| absolute(path)).collect();
        let required = !given.is_empty();
        let env_files = if required { given } else { vec![folder.join(".env")] };
        let mut environment = scope.environment.clone();
        for (key, value) in self.reader.env_files(&env_files, required, scope.environment) {
            environment.entry(key).or_insert(value);
        }
        let mut parsed = Vec::new();
        for (path, span) in &files {
            self.parts.insert(path.clone());
            let documents = match self.reader.read(path) {
                Ok(text) => self.reader.documents(path, &text),
                Err(error) => {
                    self.reader.report.error(*span, "unreadable", error.to_string());
                    None
                }
            };
            parsed.push((path.clone(), documents));
        }
        // What is extended is interpolated, and another environment may say otherwise.
        let outside = std::mem::take(&mut self.extended);
        let scope = Scope { folder: &base, environment: &environment, including };
        let merged = self.merged(parsed, &scope);
        self.extended = outside;
        merged
    }

    /// Makes what a file defines part of this one; what is defined here already must be the same.
    fn import(&mut self, document: &mut Node, mut included: Node, span: Span) {
        for section in SECTIONS {
            let from = included.as_map_mut().and_then(|m| m.shift_remove(section)).map(|e| e.node.value);
            let (Some(Value::Map(from)), Some(map)) = (from, document.as_map_mut()) else { continue };
            let to = map
                .entry(section.to_owned())
                .or_insert_with(|| Entry { key: span, node: Node::new(Value::Map(Map::default()), span) });
            let Some(to) = to.node.as_map_mut() else { continue };
            for (name, entry) in from {
                match to.get(&name) {
                    None => {
                        to.insert(name, entry);
                    }
                    Some(there) if there.node.same(&entry.node) => {}
                    Some(there) => {
                        let message = format!("{section}.{name} is defined here and in a file that is included");
                        let other = self.reader.report.place(entry.key);
                        self.reader.report.error(there.key, "conflict", message).related =
                            vec![(other, "the included definition".into())];
                    }
                }
            }
        }
    }
}
