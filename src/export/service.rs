//! One service's attributes from the fields of its container.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{Known, key_of};
use crate::model::ServiceName;
use crate::model::fields;

/// Whose container it is, and whose the others are.
pub(super) struct Scope<'a> {
    pub(super) project: &'a str,
    pub(super) service: &'a str,
    pub(super) owners: &'a BTreeMap<&'a str, &'a ServiceName>,
}

/// What was made of a container.
#[derive(Default)]
pub(super) struct Made {
    pub(super) attributes: Map<String, Value>,
    pub(super) networks: BTreeSet<String>,
    pub(super) volumes: BTreeSet<String>,
    pub(super) left_out: BTreeSet<String>,
    /// Attributes that are mappings, until all of them are known.
    mappings: BTreeMap<String, Map<String, Value>>,
}

/// Attributes with a single value that Compose writes as it is.
const PLAIN: [&str; 30] = [
    "user",
    "domainname",
    "working_dir",
    "stop_signal",
    "stop_grace_period",
    "restart",
    "cpus",
    "cpu_shares",
    "cpu_period",
    "cpu_quota",
    "cpu_rt_period",
    "cpu_rt_runtime",
    "cpu_count",
    "cpu_percent",
    "cpuset",
    "mem_limit",
    "mem_reservation",
    "memswap_limit",
    "mem_swappiness",
    "oom_score_adj",
    "pids_limit",
    "cgroup_parent",
    "pid",
    "ipc",
    "uts",
    "userns_mode",
    "volume_driver",
    "image",
    "network_mode",
    "isolation",
];
/// Attributes that are on or off.
const FLAGS: [&str; 6] = ["tty", "stdin_open", "privileged", "read_only", "init", "oom_kill_disable"];
/// Attributes of a service that are written as lists.
const LISTS: [&str; 11] = [
    "command",
    "entrypoint",
    "volumes_from",
    "extra_hosts",
    "dns",
    "dns_search",
    "dns_opt",
    "group_add",
    "cap_add",
    "cap_drop",
    "device_cgroup_rules",
];
/// Mappings with a field for each key.
const MAPS: [&str; 5] = ["environment", "labels", "sysctls", "annotations", "storage_opt"];
/// What the Engine fills in where nothing is written: it is not told where it may be that.
const FILLED_IN: [&str; 7] =
    ["cgroup", "hostname", "logging.driver", "mac_address", "runtime", "security_opt.label", "shm_size"];

pub(super) fn of(scope: &Scope<'_>, known: &Known) -> Made {
    let mut made = Made::default();
    let Some(all) = known.container.fields.as_deref() else { return made };
    let attached: BTreeSet<&str> = all.networks().collect();
    for (path, value) in all.iter() {
        if known.image.get(path) == Some(value) && fields::from_image(path.split('.').next().unwrap_or(path)) {
            continue;
        }
        let known_to = one(scope, known, &attached, path, value, &mut made);
        if !known_to {
            made.left_out.insert(path.to_owned());
        }
    }
    let mappings = std::mem::take(&mut made.mappings);
    made.attributes.extend(mappings.into_iter().map(|(attribute, entries)| (attribute, Value::Object(entries))));
    // Twice the memory is what the Engine allows by itself.
    let number = |key: &str| made.attributes.get(key).and_then(Value::as_str).and_then(|t| t.parse::<i64>().ok());
    if number("memswap_limit").is_some_and(|swap| swap == -1 || number("mem_limit").is_some_and(|m| m * 2 == swap)) {
        made.attributes.remove("memswap_limit");
    }
    let depends_on: Vec<&str> = known.container.depends_on.iter().map(ServiceName::as_str).collect();
    if !depends_on.is_empty() {
        made.attributes.insert("depends_on".into(), json!(depends_on));
    }
    let expected = format!("{}-{}-{}", scope.project, scope.service, known.container.number);
    if known.container.name != expected {
        made.attributes.insert("container_name".into(), json!(known.container.name));
    }
    made
}

/// Takes one field; says whether there is a word for it.
fn one(scope: &Scope<'_>, known: &Known, attached: &BTreeSet<&str>, path: &str, value: &str, made: &mut Made) -> bool {
    let (attribute, rest) = path.split_once('.').unwrap_or((path, ""));
    match attribute {
        "network_mode" if attached.contains(value) || value == "default" => true,
        "network_mode" | "ipc" | "pid" => {
            made.put(attribute, text(&of_service(scope, value)));
            true
        }
        _ if PLAIN.contains(&path) => {
            made.put(attribute, text(value));
            true
        }
        _ if FLAGS.contains(&path) => {
            made.put(attribute, json!(true));
            true
        }
        _ if LISTS.contains(&path) => {
            // An empty one says something only where an image says something else.
            if value != "[]" || fields::from_image(path) {
                made.put(attribute, list(value));
            }
            true
        }
        _ if MAPS.contains(&attribute) => {
            made.entry(attribute, rest, text(value));
            true
        }
        "healthcheck" if rest == "test" => {
            made.entry(attribute, rest, list(value));
            true
        }
        "healthcheck" => {
            made.entry(attribute, rest, text(value));
            true
        }
        "logging" if rest == "driver" && value == "json-file" => true,
        "logging" => {
            match rest.split_once('.') {
                Some((_, option)) => made.nested("logging", "options", option, text(value)),
                None => made.entry("logging", rest, text(value)),
            }
            true
        }
        "hostname" if is_short_id(value) => true,
        "hostname" => {
            made.put("hostname", text(value));
            true
        }
        "shm_size" if value != "67108864" => {
            made.put("shm_size", text(value));
            true
        }
        "expose" if known.container.fields.as_deref().is_some_and(|f| f.get(&format!("ports.{rest}")).is_some()) => {
            true
        }
        "expose" => {
            made.add("expose", json!(rest.trim_end_matches("/tcp")));
            true
        }
        _ => keyed(scope, path, value, made),
    }
}

/// Takes a field whose path ends in a key of its own: a port, a mount, a device, …; says whether there is a word for it.
fn keyed(scope: &Scope<'_>, path: &str, value: &str, made: &mut Made) -> bool {
    let (attribute, rest) = path.split_once('.').unwrap_or((path, ""));
    match attribute {
        "ports" => {
            let of = rest.trim_end_matches("/tcp");
            for host in value.split(", ") {
                made.add("ports", json!(if host.is_empty() { of.to_owned() } else { format!("{host}:{of}") }));
            }
            true
        }
        "tmpfs" => {
            made.add("tmpfs", json!(if value.is_empty() { rest.to_owned() } else { format!("{rest}:{value}") }));
            true
        }
        "volumes" => volume(scope, rest, value, made),
        "networks" => network(scope, rest, value, made),
        "devices" => {
            let (host, permissions) = value.split_once(':').unwrap_or((value, "rwm"));
            made.add("devices", json!(format!("{host}:{rest}:{permissions}")));
            true
        }
        "ulimits" => {
            let (soft, hard) = value.split_once(':').unwrap_or((value, value));
            let number = |text: &str| text.parse::<i64>().unwrap_or(-1);
            made.entry("ulimits", rest, json!({"soft": number(soft), "hard": number(hard)}));
            true
        }
        "security_opt" if !FILLED_IN.contains(&path) => {
            made.add("security_opt", json!(if value == "true" { rest.to_owned() } else { format!("{rest}={value}") }));
            true
        }
        _ => FILLED_IN.iter().any(|known| fields::within(path, known)),
    }
}

/// `KIND SOURCE MODE`, as the fields have it.
fn volume(scope: &Scope<'_>, target: &str, value: &str, made: &mut Made) -> bool {
    let words: Vec<&str> = value.split(' ').collect();
    let read_only = |mode: &str| if mode == "ro" { ":ro" } else { "" };
    match words.as_slice() {
        ["bind", source, mode] => made.add("volumes", json!(format!("{source}:{target}{}", read_only(mode)))),
        ["volume", _mode] => made.add("volumes", json!(target)),
        ["volume", name, mode] => {
            made.volumes.insert((*name).to_owned());
            let key = key_of(scope.project, name);
            made.add("volumes", json!(format!("{key}:{target}{}", read_only(mode))));
        }
        ["tmpfs", _mode] => made.add("volumes", json!({"type": "tmpfs", "target": target})),
        _ => return false,
    }
    true
}

/// `NAME`, `NAME.aliases`, `NAME.ipv4_address`, …: names of networks may have dots.
fn network(scope: &Scope<'_>, path: &str, value: &str, made: &mut Made) -> bool {
    if value == fields::ATTACHED {
        if !matches!(path, "bridge" | "host" | "none") {
            made.networks.insert(path.to_owned());
            made.attribute("networks").entry(key_of(scope.project, path)).or_insert(Value::Null);
        }
        return true;
    }
    let Some((name, part)) = path.rsplit_once('.') else { return false };
    let own =
        |alias: &str| alias == scope.service || alias.starts_with(&format!("{}-{}-", scope.project, scope.service));
    let value = match part {
        "aliases" => {
            let all: Vec<String> = serde_json::from_str(value).unwrap_or_default();
            let further: Vec<String> = all.into_iter().filter(|alias| !own(alias)).collect();
            if further.is_empty() {
                return true;
            }
            json!(further)
        }
        "ipv4_address" | "ipv6_address" => text(value),
        _ => return false,
    };
    made.nested("networks", &key_of(scope.project, name), part, value);
    true
}

/// `container:ID` of one of the project's is `service:NAME`.
fn of_service(scope: &Scope<'_>, mode: &str) -> String {
    let owner = mode.strip_prefix("container:").and_then(|id| scope.owners.get(id));
    owner.map_or_else(|| mode.to_owned(), |service| format!("service:{service}"))
}

/// The Engine's own name for a host: the beginning of an id, its own or that of whose namespace it lives in.
fn is_short_id(hostname: &str) -> bool {
    hostname.len() == 12 && hostname.bytes().all(|b| b.is_ascii_hexdigit())
}

/// In a Compose file a dollar sign begins a variable.
fn text(value: &str) -> Value {
    json!(value.replace('$', "$$"))
}

fn list(value: &str) -> Value {
    let all: Vec<String> = serde_json::from_str(value).unwrap_or_default();
    json!(all.iter().map(|text| text.replace('$', "$$")).collect::<Vec<_>>())
}

impl Made {
    fn put(&mut self, attribute: &str, value: Value) {
        self.attributes.insert(attribute.to_owned(), value);
    }

    fn attribute(&mut self, attribute: &str) -> &mut Map<String, Value> {
        self.mappings.entry(attribute.to_owned()).or_default()
    }

    fn entry(&mut self, attribute: &str, key: &str, value: Value) {
        self.attribute(attribute).insert(key.to_owned(), value);
    }

    fn nested(&mut self, attribute: &str, key: &str, part: &str, value: Value) {
        let entry = self.attribute(attribute).entry(key).or_insert(Value::Null);
        if !entry.is_object() {
            *entry = json!({});
        }
        entry[part] = value;
    }

    fn add(&mut self, attribute: &str, value: Value) {
        if let Value::Array(all) = self.attributes.entry(attribute).or_insert_with(|| json!([])) {
            all.push(value);
        }
    }
}
