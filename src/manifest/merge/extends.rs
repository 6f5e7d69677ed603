//! `extends`: a service laid over another one, of the same file or of another.

use std::path::{Path, PathBuf};

use super::paths::{Base, is_remote};
use super::reset::Resets;
use super::{Merger, Scope, canonical, layers, unique};
use crate::manifest::diagnostic::suggestion;
use crate::manifest::document::{Map, Node, Span, Value};
use crate::manifest::read::interpolate::interpolate;
use crate::manifest::read::source;

/// Services within services beyond this are refused: each takes a part of the stack.
const MAX_DEPTH: usize = 100;

/// A file that services are extended from.
#[derive(Clone)]
pub(super) struct Extended {
    services: Map,
    resets: Resets,
}

/// A service on the way through `extends`.
struct Step {
    file: PathBuf,
    service: String,
    span: Span,
}

/// Where a service that extends another one is written.
#[derive(Clone, Copy)]
struct Here<'a> {
    file: &'a Path,
    resets: &'a Resets,
}

/// What is wrong about a service's `extends` is said once.
fn cut(services: &mut Map, name: &str) {
    if let Some(map) = services.get_mut(name).and_then(|e| e.node.as_map_mut()) {
        map.shift_remove("extends");
    }
}

impl Merger {
    /// Resolves every `extends` of a document.
    pub(super) fn extend(&mut self, document: &mut Node, file: &Path, scope: &Scope<'_>, resets: &Resets) {
        let Some(services) = document.get_mut("services").and_then(Node::as_map_mut) else { return };
        let extending: Vec<String> =
            services.iter().filter(|(_, e)| e.node.get("extends").is_some()).map(|(name, _)| name.clone()).collect();
        for name in extending {
            self.service(&name, services, Here { file, resets }, scope, &mut Vec::new());
        }
    }

    /// Resolves the `extends` of one service, and of those it leads to.
    fn service(&mut self, name: &str, services: &mut Map, here: Here<'_>, scope: &Scope<'_>, way: &mut Vec<Step>) {
        let Here { file, resets } = here;
        let Some(extends) = services.get(name).and_then(|e| e.node.get("extends")) else { return };
        let span = extends.span;
        let (reference, other) = match &extends.value {
            Value::Text(reference) => (reference.clone(), None),
            Value::Map(_) => match extends.get("service").and_then(Node::as_text) {
                Some(reference) => (reference.to_owned(), extends.get("file").cloned()),
                // The check says so.
                None => return,
            },
            _ => return,
        };
        if let Some(first) = way.iter().position(|step| step.file == file && step.service == name) {
            let names: Vec<&str> = way[first..].iter().map(|s| s.service.as_str()).chain([name]).collect();
            let message = format!("services extend each other in a circle: {}", names.join(" -> "));
            let places: Vec<_> = way[first + 1..]
                .iter()
                .map(|s| (self.reader.report.place(s.span), format!("`{}` extends", s.service)))
                .collect();
            self.reader.report.error(way[first].span, "cycle", message).related = places;
            cut(services, name);
            return;
        }
        if way.len() > MAX_DEPTH {
            self.reader.report.error(span, "too-deep", format!("more than {MAX_DEPTH} services extend each other"));
            cut(services, name);
            return;
        }
        way.push(Step { file: file.to_owned(), service: name.to_owned(), span });
        let base = match other.as_ref().map(|n| (n, n.as_text())) {
            None => {
                if !services.contains_key(&reference) {
                    let message = format!("`{name}` extends `{reference}`, and there is no such service here");
                    let help = suggestion(&reference, services.keys().map(String::as_str));
                    self.reader.report.error(span, "undefined-service", message).help = help;
                }
                self.service(&reference, services, here, scope, way);
                services.get(&reference).map(|e| e.node.clone())
            }
            Some((node, Some(path))) => self.in_file(name, &reference, path, node.span, scope, way),
            Some((_, None)) => None,
        };
        way.pop();
        let (Some(mut base), Some(entry)) = (base, services.get_mut(name)) else { return };
        if base.as_map().is_none() || entry.node.as_map().is_none() {
            return;
        }
        resets.apply_to_service(name, &mut base);
        let over = std::mem::replace(&mut entry.node, Node::new(Value::Null, span));
        let place = over.span;
        layers::extend(&mut base, over, &mut self.reader.report);
        base.span = place;
        if let Some(map) = base.as_map_mut() {
            map.shift_remove("extends");
        }
        entry.node = base;
    }

    fn in_file(
        &mut self,
        name: &str,
        reference: &str,
        path: &str,
        span: Span,
        scope: &Scope<'_>,
        way: &mut Vec<Step>,
    ) -> Option<Node> {
        if is_remote(path) {
            let message = format!("`{path}` would have to be fetched, which evenkeel does not do");
            self.reader.report.error(span, "unsupported", message).help =
                Some("keep the file beside the manifest".into());
            return None;
        }
        let path =
            if Path::new(path).is_absolute() { PathBuf::from(path) } else { source::clean(&scope.folder.join(path)) };
        self.parts.insert(path.clone());
        let mut extended = match self.extended.remove(&path) {
            Some(extended) => extended,
            None => self.extended_file(&path, span, scope)?,
        };
        if extended.services.contains_key(reference) {
            let resets = std::mem::take(&mut extended.resets);
            self.service(reference, &mut extended.services, Here { file: &path, resets: &resets }, scope, way);
            extended.resets = resets;
        } else {
            let message = format!("`{name}` extends `{reference}` of {}, which has no such service", path.display());
            let help = suggestion(reference, extended.services.keys().map(String::as_str));
            self.reader.report.error(span, "undefined-service", message).help = help;
        }
        let base = extended.services.get(reference).map(|e| e.node.clone());
        self.extended.insert(path, extended);
        base
    }

    /// Reads a file for its services alone: their paths start from its own folder.
    fn extended_file(&mut self, path: &Path, span: Span, scope: &Scope<'_>) -> Option<Extended> {
        let text = match self.reader.read(path) {
            Ok(text) => text,
            Err(error) => {
                self.reader.report.error(span, "unreadable", error.to_string());
                return None;
            }
        };
        let mut tree: Option<Node> = None;
        let mut resets = Resets::default();
        for mut document in self.reader.documents(path, &text)? {
            resets = Resets::take(&mut document);
            interpolate(&mut document, scope.environment, &mut self.reader.report);
            let merged = match &mut tree {
                None => tree.insert(document),
                Some(tree) => {
                    resets.apply(tree);
                    layers::merge(tree, document, &mut self.reader.report);
                    tree
                }
            };
            unique::enforce(merged, &mut self.reader.report);
            canonical::canonical(merged, &mut self.reader.report);
            unique::enforce(merged, &mut self.reader.report);
        }
        let mut tree = tree?;
        let folder = path.parent().unwrap_or(Path::new("/")).display().to_string();
        Base { folder: &folder, home: self.home.as_deref() }.resolve(&mut tree, &mut self.reader.report);
        match tree.as_map_mut().and_then(|m| m.shift_remove("services")).map(|e| e.node.value) {
            Some(Value::Map(services)) => Some(Extended { services, resets }),
            _ => {
                let message = format!("{} has no services to extend", path.display());
                self.reader.report.error(span, "undefined-service", message);
                None
            }
        }
    }
}
