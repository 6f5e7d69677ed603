//! Printing a project as Compose prints it, and hashing its services as Compose hashes them.

use serde::ser::{Error as _, Serialize, SerializeMap, SerializeSeq, Serializer};

use crate::manifest::attributes::EXTENSIONS;
use crate::manifest::document::{Map, Node, Value};
use crate::model::Service;
use crate::model::hash::sha256_hex;

/// A value as it is printed; in mappings that are objects, extensions are left out or put in.
struct Printed<'n> {
    node: &'n Node,
    extensions: bool,
}

impl Serialize for Printed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.node.value {
            Value::Null => serializer.serialize_none(),
            Value::Bool(b) => serializer.serialize_bool(*b),
            Value::Int(n) => match (i64::try_from(*n), u64::try_from(*n)) {
                (Ok(n), _) => serializer.serialize_i64(n),
                (_, Ok(n)) => serializer.serialize_u64(n),
                _ => serializer.serialize_str(&n.to_string()),
            },
            // Go prints whole floats without a point.
            Value::Float(x) if x.fract() == 0.0 && x.abs() < 1e21 => match x.to_string().parse::<i128>() {
                Ok(n) => serializer.serialize_i128(n),
                Err(_) => serializer.serialize_f64(*x),
            },
            Value::Float(x) if !x.is_finite() => Err(S::Error::custom("a number without end has no form here")),
            Value::Float(x) => serializer.serialize_f64(*x),
            Value::Text(text) | Value::Date(text) => serializer.serialize_str(text),
            Value::List(list) => {
                let mut out = serializer.serialize_seq(Some(list.len()))?;
                for node in list {
                    out.serialize_element(&self.of(node))?;
                }
                out.end()
            }
            Value::Map(map) => {
                let mut out = serializer.serialize_map(None)?;
                for (key, entry) in map {
                    match &entry.node.value {
                        Value::Map(extensions) if key == EXTENSIONS => {
                            for (key, entry) in extensions.iter().filter(|(k, _)| self.extensions && *k != SECRET) {
                                out.serialize_entry(key, &self.of(&entry.node))?;
                            }
                        }
                        _ => out.serialize_entry(key, &self.of(&entry.node))?,
                    }
                }
                out.end()
            }
        }
    }
}

impl<'n> Printed<'n> {
    fn of(&self, node: &'n Node) -> Self {
        Self { node, extensions: self.extensions }
    }
}

const SECRET: &str = crate::manifest::merge::normalize::SECRET_VALUE;

/// How a project is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// As `docker compose config` does.
    Yaml,
    /// As `docker compose config --format json` does.
    Json,
}

/// Prints a project. A dollar sign is printed twice, so that what is printed can be read again.
///
/// # Errors
/// A number that cannot be written in this format.
pub(super) fn project(tree: &Node, format: Format) -> anyhow::Result<String> {
    let mut top = Map::default();
    for (key, entry) in tree.as_map().into_iter().flatten() {
        match &entry.node.value {
            // In JSON an extension at the top is printed beside the sections, and models are not printed.
            Value::Map(extensions) if key == EXTENSIONS => {
                let mut extensions = extensions.clone();
                if format == Format::Json {
                    extensions.values_mut().for_each(|e| without_empty_lists(&mut e.node));
                }
                top.extend(extensions);
            }
            _ if key == "models" && format == Format::Json => {}
            _ => {
                top.insert(key.clone(), entry.clone());
            }
        }
    }
    // The value of a config that comes from the environment is not shown.
    let configs = top.get_mut("configs").and_then(|e| e.node.as_map_mut());
    for config in configs.into_iter().flat_map(|m| m.values_mut()) {
        if config.node.get("environment").is_some()
            && let Some(map) = config.node.as_map_mut()
        {
            map.shift_remove("content");
        }
    }
    let text = match format {
        Format::Json => {
            refuse_keys(tree)?;
            top.sort_unstable_keys();
            let node = Node::new(Value::Map(top), tree.span);
            serde_json::to_string_pretty(&Printed { node: &node, extensions: false })?
        }
        Format::Yaml => {
            let mut node = Node::new(Value::Map(top), tree.span);
            for (_, entry) in crate::manifest::merge::canonical::section_of(&mut node, "services") {
                make_readable(&mut entry.node);
            }
            serde_saphyr::to_string(&Printed { node: &node, extensions: true })?
        }
    };
    Ok(text.replace('$', "$$"))
}

/// What is printed as YAML can be read again, but for what Compose itself prints otherwise than it reads it.
fn make_readable(service: &mut Node) {
    // A size that means "no limit" is read as a number only.
    if let Some(Value::Text(text)) = service.get("memswap_limit").map(|n| &n.value)
        && let Some(n) = text.parse().ok().filter(|n: &i128| *n < 0)
        && let Some(limit) = service.get_mut("memswap_limit")
    {
        limit.value = Value::Int(n);
    }
    let lists = service.get_mut("blkio_config").and_then(Node::as_map_mut);
    for list in lists.into_iter().flat_map(|m| m.values_mut()) {
        for device in list.node.as_list_mut().into_iter().flatten() {
            if let Some(map) = device.as_map_mut() {
                *map = std::mem::take(map).into_iter().map(|(key, e)| (key.to_lowercase(), e)).collect();
            }
        }
    }
}

/// In extensions Compose prints a list without elements as null.
fn without_empty_lists(node: &mut Node) {
    match &mut node.value {
        Value::List(list) if list.is_empty() => node.value = Value::Null,
        Value::List(list) => list.iter_mut().for_each(without_empty_lists),
        Value::Map(map) => map.values_mut().for_each(|e| without_empty_lists(&mut e.node)),
        _ => {}
    }
}

/// As in Compose: the form in which it prints a key for a build is no JSON.
fn refuse_keys(tree: &Node) -> anyhow::Result<()> {
    for (name, entry) in tree.get("services").and_then(Node::as_map).into_iter().flatten() {
        let keys = entry.node.get("build").and_then(|n| n.get("ssh")).and_then(Node::as_list).unwrap_or_default();
        if keys.iter().filter_map(Node::as_text).any(|key| key.contains('=')) {
            anyhow::bail!("services.{name}.build.ssh: a key with a path has no form in JSON; use --format yaml");
        }
    }
    Ok(())
}

/// Keys of a service that its hash does not cover: what changes without the container changing.
const NOT_HASHED: [&str; 5] = ["profiles", "build", "depends_on", "pull_policy", "scale"];

/// The hash of a service as Compose computes it: SHA-256 of its fields as Go writes them. `without`: further keys that
/// it does not cover.
pub(super) fn service_hash(service: &Node, without: &[&str]) -> String {
    sha256_hex(json(&Hashed { service, without }))
}

/// The part of a service that its hash covers.
struct Hashed<'n> {
    service: &'n Node,
    without: &'n [&'n str],
}

impl Serialize for Hashed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_map(None)?;
        let entries = self.service.as_map().into_iter().flatten();
        let covered = |key: &str| key != EXTENSIONS && !NOT_HASHED.contains(&key) && !self.without.contains(&key);
        for (key, entry) in entries.filter(|(key, _)| covered(key)) {
            match key.as_str() {
                "deploy" => out.serialize_entry(key, &Hashed { service: &entry.node, without: &["replicas"] })?,
                "env_file" => {
                    let files = entry.node.as_list().unwrap_or_default();
                    out.serialize_entry(key, &files.iter().map(EnvFile).collect::<Vec<_>>())?;
                }
                _ => out.serialize_entry(key, &plain(&entry.node))?,
            }
        }
        out.end()
    }
}

/// An env file that must be there is its path.
struct EnvFile<'n>(&'n Node);

impl Serialize for EnvFile<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Some(path) = self.0.get("path").filter(|_| self.0.get("required").is_some_and(Node::is_true)) {
            return plain(path).serialize(serializer);
        }
        let mut out = serializer.serialize_map(None)?;
        for key in ["path", "required", "format"] {
            if let Some(value) = self.0.get(key) {
                out.serialize_entry(key, &plain(value))?;
            }
        }
        out.end()
    }
}

fn plain(node: &Node) -> Printed<'_> {
    Printed { node, extensions: false }
}

/// What the hash on a container is of where the service shares with others' containers: their ids stand in it, here as
/// marks. `None`: it names none.
pub(super) fn sharing_template(service: &Node, without: &[&str]) -> Option<String> {
    if !["network_mode", "ipc", "pid", "volumes_from"].iter().any(|key| service.get(key).is_some()) {
        return None;
    }
    let mut service = service.clone();
    let mut marked = false;
    for key in ["network_mode", "ipc", "pid"] {
        if let Some(Value::Text(text)) = service.get_mut(key).map(|n| &mut n.value)
            && let Some(other) = text.strip_prefix("service:")
        {
            *text = format!("container:{}", Service::mark(other));
            marked = true;
        }
    }
    for from in service.get_mut("volumes_from").and_then(Node::as_list_mut).into_iter().flatten() {
        let Value::Text(text) = &mut from.value else { continue };
        let mut parts = text.split(':');
        let name = match (parts.next().unwrap_or_default(), parts.next()) {
            ("container", Some(container)) => container.to_owned(),
            (other, _) => Service::mark(other),
        };
        *text = name;
        marked = true;
    }
    marked.then(|| json(&Hashed { service: &service, without }))
}

/// SHA-256 of a value as Go writes it in JSON.
pub(super) fn hash(node: &Node) -> String {
    sha256_hex(json(&plain(node)))
}

fn json(value: &impl Serialize) -> String {
    let json = serde_json::to_string(value).unwrap_or_default();
    if !json.contains(['<', '>', '&', '\u{2028}', '\u{2029}']) {
        return json;
    }
    let mut escaped = String::with_capacity(json.len() + 64);
    for c in json.chars() {
        match c {
            '<' => escaped.push_str("\\u003c"),
            '>' => escaped.push_str("\\u003e"),
            '&' => escaped.push_str("\\u0026"),
            '\u{2028}' => escaped.push_str("\\u2028"),
            '\u{2029}' => escaped.push_str("\\u2029"),
            c => escaped.push(c),
        }
    }
    escaped
}
