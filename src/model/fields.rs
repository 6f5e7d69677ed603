//! What a container is made with, as paths and values: the same form for what a manifest asks for and for what an Engine
//! tells, so that the two can be compared field by field.
//!
//! Paths are Compose's attributes: `mem_limit`, `environment.LOG_LEVEL`, `ports.80/tcp`, `networks.back.aliases`. What the
//! Engine fills in by itself, its defaults, has no entry.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Timestamp, hash};

/// Paths and values, in the order of the paths.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fields(BTreeMap<Cow<'static, str>, Box<str>>);

/// A field that is not as it is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The path of the field, in Compose's words.
    pub path: String,
    /// What is desired; `None`: that it is not set.
    pub desired: Option<String>,
    /// What is; `None`: it is not set.
    pub observed: Option<String>,
    /// What it takes to repair it.
    pub repair: Repair,
    /// Since when it is known to be so.
    pub since: Option<Timestamp>,
}

/// What it takes to repair a difference, the least disruptive first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Repair {
    /// The container runs on: the Engine can change the field in place.
    Update,
    /// The container runs on: it is attached to a network or detached from one.
    Attach,
    /// The container runs on: its process is sent a signal, as the manifest asks for.
    Signal,
    /// The container is stopped and started again.
    Restart,
    /// The container, or the network, is replaced.
    Recreate,
    /// Nothing: whoever did would lose data, or touch what is not the controller's.
    Blocked,
}

/// Attributes that `docker update` can set. Unset they can be only where the Engine takes a value for that.
const UPDATED: [&str; 12] = [
    "blkio_config.weight",
    "cpu_period",
    "cpu_quota",
    "cpu_rt_period",
    "cpu_rt_runtime",
    "cpu_shares",
    "cpus",
    "cpuset",
    "mem_limit",
    "mem_reservation",
    "memswap_limit",
    "pids_limit",
];

/// Attributes that count only where the manifest says something: the Engine, or the daemon's own settings, fill them in.
const SILENT: [&str; 10] = [
    "cgroup",
    // Of whose namespace it lives in.
    "domainname",
    "hostname",
    "isolation",
    "logging",
    "mac_address",
    "runtime",
    "security_opt.label",
    "shm_size",
    "systempaths",
];

/// The name that a container has in the end: told of desired ones, and never compared. Nor is an alias that says it, as a
/// container answers to its own name anyway; one that Compose v1 made has another name, and nobody asks for it by this.
pub const OWN_NAME: &str = "container_name";

/// The value of `networks.NAME`.
pub const ATTACHED: &str = "attached";

/// An empty list: the same as none, but that an entrypoint of it keeps the image's away.
const EMPTY: &str = "[]";

/// Attributes that an image contributes to.
const FROM_IMAGE: [&str; 9] =
    ["command", "entrypoint", "environment", "expose", "healthcheck", "labels", "stop_signal", "user", "working_dir"];

/// Whether an image contributes to an attribute.
pub fn from_image(attribute: &str) -> bool {
    FROM_IMAGE.contains(&attribute)
}

/// Whether a field can be changed in place.
pub fn is_updated(path: &str) -> bool {
    UPDATED.contains(&path) || path == "restart"
}

/// Whether a path is an attribute or lies within it.
pub fn within(path: &str, attribute: &str) -> bool {
    path.strip_prefix(attribute).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

impl Fields {
    /// Sets the value of a field, whatever it had been.
    pub fn set(&mut self, path: impl Into<Cow<'static, str>>, value: impl Into<Box<str>>) {
        self.0.insert(path.into(), value.into());
    }

    /// Takes a field away.
    pub fn unset(&mut self, path: &str) {
        self.0.remove(path);
    }

    /// Takes away an attribute with all that lies within it.
    pub fn unset_all(&mut self, attribute: &str) {
        self.0.retain(|path, _| !within(path, attribute));
    }

    /// Sets all of these.
    pub fn extend(&mut self, more: &Fields) {
        self.0.extend(more.0.iter().map(|(path, value)| (path.clone(), value.clone())));
    }

    /// The names of the networks that it is attached to.
    pub fn networks(&self) -> impl Iterator<Item = &str> {
        self.iter().filter(|(_, value)| *value == ATTACHED).filter_map(|(path, _)| path.strip_prefix("networks."))
    }

    /// A field.
    pub fn get(&self, path: &str) -> Option<&str> {
        self.0.get(path).map(AsRef::as_ref)
    }

    /// All of them, in the order of their paths.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(path, value)| (path.as_ref(), value.as_ref()))
    }

    /// With what an image contributes where nothing else is said, as the Engine merges the two.
    #[must_use]
    pub fn over(&self, image: &Fields) -> Fields {
        let mut merged = self.clone();
        let own_entrypoint = self.get("entrypoint").is_some_and(|e| e != EMPTY);
        for (path, value) in image.iter() {
            // Another entrypoint is not given the image's arguments.
            if !(path == "command" && own_entrypoint) && self.get(path).is_none() {
                merged.set(path.to_owned(), value);
            }
        }
        merged
    }

    /// How what is observed differs from this, which is desired. `image`: what the image contributes; `None`: not known,
    /// and then nothing is said about what it may contribute to.
    pub fn differences(&self, observed: &Fields, image: Option<&Fields>) -> Vec<Difference> {
        let merged = image.map(|image| self.over(image));
        let desired = merged.as_ref().unwrap_or(self);
        let paths: BTreeSet<&str> = desired.iter().chain(observed.iter()).map(|(path, _)| path).collect();
        let mut found = Vec::new();
        for path in paths {
            let [wanted, seen] = [desired, observed].map(|f| f.get(path).filter(|value| *value != EMPTY));
            let silent = wanted.is_none() && SILENT.iter().any(|a| within(path, a));
            let unknown = image.is_none() && self.get(path).is_none() && FROM_IMAGE.iter().any(|a| within(path, a));
            let aliases = path.starts_with("networks.") && path.ends_with(".aliases");
            let named = || aliases && same_but(self.get(OWN_NAME), wanted, seen);
            if wanted == seen || silent || unknown || path == OWN_NAME || holds_anyway(path, wanted, seen) || named() {
                continue;
            }
            found.push(Difference {
                path: path.to_owned(),
                desired: wanted.map(str::to_owned),
                observed: seen.map(str::to_owned),
                repair: repair(path, wanted),
                since: None,
            });
        }
        found
    }
}

/// Whether two lists are the same but for a name.
fn same_but(name: Option<&str>, wanted: Option<&str>, seen: Option<&str>) -> bool {
    let others = |list: Option<&str>| -> BTreeSet<String> {
        let all: BTreeSet<String> = serde_json::from_str(list.unwrap_or(EMPTY)).unwrap_or_default();
        all.into_iter().filter(|alias| Some(alias.as_str()) != name).collect()
    };
    others(wanted) == others(seen)
}

/// Where the kernel cannot limit swap the Engine says so at the creation and keeps -1. The network mode of a container that
/// has networks is the name of one of them.
fn holds_anyway(path: &str, wanted: Option<&str>, seen: Option<&str>) -> bool {
    let of_its_own = |mode: &str| !matches!(mode, "host" | "none") && !mode.starts_with("container:");
    match path {
        "memswap_limit" => seen == Some("-1"),
        "network_mode" => wanted.is_none() && seen.is_some_and(of_its_own),
        _ => false,
    }
}

fn repair(path: &str, wanted: Option<&str>) -> Repair {
    match path {
        // Elsewhere `0` is ignored where it would unset something.
        "restart" | "pids_limit" => Repair::Update,
        path if UPDATED.contains(&path) && wanted.is_some() => Repair::Update,
        path if within(path, "networks") => Repair::Attach,
        _ => Repair::Recreate,
    }
}

/// A value as it may be shown: what may be a secret only by a short hash, so that two can still be told apart.
pub fn shown(path: &str, value: &str) -> String {
    const HIDDEN: [&str; 8] = ["pass", "secret", "token", "key", "credential", "auth", "private", "dsn"];
    let name = path.to_lowercase();
    let variable = within(&name, "environment");
    let named = variable && HIDDEN.iter().any(|word| name.contains(word));
    // `scheme://user:password@host`
    let in_url = value.split_once("://").is_some_and(|(_, rest)| rest.split('/').next().unwrap_or("").contains('@'));
    if named || in_url {
        return format!("******** (sha256 {:.8})", hash::sha256_hex(value));
    }
    value.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&'static str, &str)]) -> Fields {
        let mut fields = Fields::default();
        pairs.iter().for_each(|(path, value)| fields.set(*path, *value));
        fields
    }

    fn paths(desired: &Fields, observed: &Fields, image: Option<&Fields>) -> Vec<(String, Repair)> {
        desired.differences(observed, image).into_iter().map(|d| (d.path, d.repair)).collect()
    }

    #[test]
    fn a_limit_is_set_in_place_and_unset_by_another_container() {
        let (none, some, more) = (fields(&[]), fields(&[("cpus", "0.5")]), fields(&[("cpus", "1")]));
        assert_eq!(paths(&more, &some, None), [("cpus".to_owned(), Repair::Update)]);
        assert_eq!(paths(&some, &none, None), [("cpus".to_owned(), Repair::Update)]);
        assert_eq!(paths(&none, &some, None), [("cpus".to_owned(), Repair::Recreate)]);
        let pids = fields(&[("pids_limit", "9")]);
        assert_eq!(paths(&none, &pids, None), [("pids_limit".to_owned(), Repair::Update)]);
    }

    #[test]
    fn a_container_answers_to_its_own_name_without_an_alias() {
        let desired = fields(&[(OWN_NAME, "shop-web-1"), ("networks.back.aliases", r#"["shop-web-1","web"]"#)]);
        let observed = |aliases: &str| fields(&[("networks.back.aliases", aliases)]);
        assert_eq!(paths(&desired, &observed(r#"["web"]"#), None), []);
        assert_eq!(paths(&desired, &observed(r#"["shop-web-1","web"]"#), None), []);
        let labelled = |value: &str| fields(&[("labels.aliases", value)]);
        assert_eq!(paths(&labelled("a"), &labelled("b"), None).len(), 1);
        for differs in [r#"["shop-web-1"]"#, r#"["shop-web-1","web","www"]"#, "[]"] {
            assert_eq!(paths(&desired, &observed(differs), None).len(), 1, "{differs}");
        }
    }

    #[test]
    fn what_the_image_contributes_is_no_difference() {
        let image = fields(&[("environment.PATH", "/bin"), ("command", "[\"serve\"]"), ("user", "app")]);
        let desired = fields(&[("environment.A", "1"), ("user", "root")]);
        let observed = fields(&[
            ("environment.A", "1"),
            ("environment.PATH", "/bin"),
            ("command", "[\"serve\"]"),
            ("user", "root"),
        ]);
        assert_eq!(paths(&desired, &observed, Some(&image)), []);
        assert_eq!(paths(&desired, &observed, None), [], "nor is it while the image is not known");
        let observed = fields(&[("environment.A", "1"), ("user", "root"), ("command", "[\"serve\"]")]);
        assert_eq!(paths(&desired, &observed, Some(&image)), [("environment.PATH".to_owned(), Repair::Recreate)]);
    }

    #[test]
    fn another_entrypoint_does_not_get_the_images_arguments() {
        let image = fields(&[("command", "[\"serve\"]"), ("entrypoint", "[\"/app\"]")]);
        let merged = fields(&[("entrypoint", "[\"sh\"]")]).over(&image);
        assert_eq!(merged, fields(&[("entrypoint", "[\"sh\"]")]));
    }

    #[test]
    fn what_the_engine_fills_in_counts_only_where_something_is_written() {
        let observed = fields(&[("hostname", "0123456789ab"), ("logging.driver", "json-file")]);
        assert_eq!(paths(&fields(&[]), &observed, None), []);
        let wanted = fields(&[("logging.driver", "local")]);
        assert_eq!(paths(&wanted, &observed, None), [("logging.driver".to_owned(), Repair::Recreate)]);
    }

    #[test]
    fn secrets_are_shown_by_a_hash_only() {
        let masked = shown("environment.DB_PASSWORD", "hunter2");
        assert!(!masked.contains("hunter2") && masked != shown("environment.DB_PASSWORD", "hunter3"), "{masked}");
        assert!(!shown("environment.DATABASE_URL", "postgres://u:pw@db/x").contains("pw"));
        assert_eq!(shown("environment.LOG_LEVEL", "info"), "info");
        assert_eq!(shown("mem_limit", "64"), "64");
    }
}
