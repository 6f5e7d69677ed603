//! What services get from files: `env_file` below `environment`, `label_file` below `labels`.

use std::collections::BTreeMap;
use std::path::Path;

use crate::manifest::attributes::order_service;
use crate::manifest::document::{Entry, Map, Node, Span, Value};
use crate::manifest::merge::canonical::section_of;
use crate::manifest::read::Reader;
use crate::manifest::read::dotenv::{parse, parse_raw};
use crate::manifest::read::interpolate::{Lookup, Variables};

/// What was read from files so far, and which file said it.
#[derive(Default)]
struct Gathered {
    values: Variables,
    spans: BTreeMap<String, Span>,
}

/// A file that a service names, with how it is read.
struct Named<'a> {
    path: &'a str,
    span: Span,
    /// The dialect; `None`: Compose's own.
    format: Option<&'a str>,
    /// Whether the file must be there.
    required: bool,
}

/// Adds what label files say to the labels; the files stay named, as they count for the hash.
pub(in crate::manifest) fn labels(reader: &mut Reader, tree: &mut Node) {
    for (_, entry) in section_of(tree, "services") {
        let service = &mut entry.node;
        let Some(files) = service.get("label_file").and_then(Node::as_list).map(<[Node]>::to_vec) else { continue };
        let mut read = Gathered::default();
        for file in &files {
            let Some(path) = file.as_text() else { continue };
            let known = read.values.clone();
            let file = Named { path, span: file.span, format: None, required: true };
            reader.variables(&file, &|name| known.get(name).cloned(), &mut read);
        }
        let own = service.get("labels").and_then(Node::as_map).cloned().unwrap_or_default();
        over(service, "labels", read, own);
    }
}

/// Replaces each service's environment by what it comes to.
pub(in crate::manifest) fn variables(reader: &mut Reader, tree: &mut Node, environment: &Variables) {
    for (_, entry) in section_of(tree, "services") {
        let service = &mut entry.node;
        let mut own = service.get("environment").and_then(Node::as_map).cloned().unwrap_or_default();
        for (key, entry) in &mut own {
            if entry.node.is_null()
                && let Some(value) = environment.get(key)
            {
                entry.node.value = Value::Text(value.clone());
            }
        }
        let set: Variables = own.iter().filter_map(|(k, e)| Some((k.clone(), e.node.as_text()?.to_owned()))).collect();
        let files = service.get("env_file").and_then(Node::as_list).unwrap_or_default().to_vec();
        let mut read = Gathered { values: set.clone(), spans: BTreeMap::new() };
        for file in &files {
            let Some(path) = file.get("path").and_then(Node::as_text) else { continue };
            let required = file.get("required").is_none_or(Node::is_true);
            let format = file.get("format").and_then(Node::as_text);
            let lookup = |name: &str| environment.get(name).or_else(|| set.get(name)).cloned();
            let file = Named { path, span: file.span, format, required };
            reader.variables(&file, &lookup, &mut read);
        }
        over(service, "environment", read, own);
    }
}

/// What a service says itself, over what files say.
fn over(service: &mut Node, key: &str, read: Gathered, own: Map) {
    let place = service.span;
    let mut all = Map::default();
    for (name, value) in read.values {
        let span = read.spans.get(&name).copied().unwrap_or(place);
        all.insert(name, Entry { key: span, node: Node::text(value, span) });
    }
    all.extend(own);
    if all.is_empty() {
        return;
    }
    all.sort_unstable_keys();
    match service.get_mut(key) {
        Some(node) => node.value = Value::Map(all),
        None => {
            service.set(key, Value::Map(all));
            order_service(service);
        }
    }
}

impl Reader {
    /// Reads one file's variables over those that were read before it.
    fn variables(&mut self, file: &Named<'_>, lookup: &Lookup<'_>, read: &mut Gathered) {
        let Named { span, format, required, .. } = *file;
        let path = Path::new(file.path);
        let text = match self.read(path) {
            Ok(text) => text,
            Err(error) if error.is_not_found() && !required => return,
            Err(error) => {
                self.report.error(span, "env-file", format!("env file {error}")).help =
                    Some("create it, or write `required: false`".into());
                return;
            }
        };
        let before = read.values.clone();
        let result = match format {
            None | Some("") => parse(&text, &mut read.values, lookup),
            Some("raw") => parse_raw(&text, &mut read.values, lookup),
            Some(other) => {
                let message = format!("`{other}` is no format of an env file");
                self.report.error(span, "wrong-value", message).help = Some("the one there is is `raw`".into());
                return;
            }
        };
        if let Err(error) = result {
            self.env_error(path, &text, &error);
        }
        for (key, _) in read.values.iter().filter(|(key, value)| before.get(*key) != Some(value)) {
            read.spans.insert(key.clone(), span);
        }
    }
}
