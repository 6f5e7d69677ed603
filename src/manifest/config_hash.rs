//! The hash that Compose labels a container with: SHA-256 of the service as Go's `json.Marshal` writes compose-go's
//! `ServiceConfig`, without what does not concern the container itself.

use super::document::{Node, Value};
use crate::model::hash::sha256_hex;

/// The order of `ServiceConfig`'s fields in compose-go v2, as far as this loader knows them.
const SERVICE: &[&str] = &[
    "cap_add",
    "cap_drop",
    "cpus",
    "cpu_shares",
    "command",
    "container_name",
    "deploy",
    "dns",
    "dns_opt",
    "dns_search",
    "domainname",
    "entrypoint",
    "environment",
    "expose",
    "extra_hosts",
    "group_add",
    "hostname",
    "healthcheck",
    "image",
    "init",
    "labels",
    "logging",
    "mem_limit",
    "mem_reservation",
    "memswap_limit",
    "network_mode",
    "networks",
    "pids_limit",
    "ports",
    "privileged",
    "read_only",
    "restart",
    "security_opt",
    "shm_size",
    "stdin_open",
    "stop_grace_period",
    "stop_signal",
    "sysctls",
    "tmpfs",
    "tty",
    "ulimits",
    "user",
    "volumes",
    "working_dir",
];

/// The order of a nested object's fields; other mappings are sorted.
fn order(path: &[&str]) -> Option<&'static [&'static str]> {
    Some(match path {
        ["ports", _] => &["name", "mode", "host_ip", "target", "published", "protocol", "app_protocol"],
        ["volumes", _] => &["type", "source", "target", "read_only", "consistency", "bind", "volume", "tmpfs"],
        ["volumes", _, "bind"] => &["selinux", "propagation", "create_host_path"],
        ["volumes", _, "volume"] => &["nocopy"],
        ["volumes", _, "tmpfs"] => &["size", "mode"],
        ["healthcheck"] => &["test", "timeout", "interval", "retries", "start_period", "start_interval", "disable"],
        ["deploy"] => &["mode", "resources", "restart_policy", "placement"],
        ["deploy", "resources"] => &["limits", "reservations"],
        ["deploy", "resources", _] => &["cpus", "memory", "pids"],
        ["deploy", "restart_policy"] => &["condition", "delay", "max_attempts", "window"],
        ["networks", _] => &["aliases", "ipv4_address", "ipv6_address", "priority"],
        ["logging"] => &["driver", "options"],
        ["ulimits", _] => &["soft", "hard"],
        _ => return None,
    })
}

/// The hash of a service in the canonical form with its environment resolved.
pub(super) fn of(service: &Node) -> String {
    let mut json = String::new();
    let mut first = true;
    json.push('{');
    for key in SERVICE {
        let value = service.get(key);
        match *key {
            "command" | "entrypoint" if value.is_none_or(Node::is_null) => {
                field(key, &mut first, &mut json);
                json.push_str("null");
            }
            // The implicit network.
            "networks" if value.is_none_or(Node::is_null) && service.get("network_mode").is_none() => {
                field(key, &mut first, &mut json);
                json.push_str("{\"default\":null}");
            }
            _ => {
                if let Some(value) = value.filter(|v| !is_empty(v, key)) {
                    field(key, &mut first, &mut json);
                    write(value, &[key], &mut json);
                }
            }
        }
    }
    json.push('}');
    sha256_hex(json)
}

fn field(key: &str, first: &mut bool, json: &mut String) {
    if !std::mem::take(first) {
        json.push(',');
    }
    json.push_str(&text(key));
    json.push(':');
}

/// What Go's `omitempty` leaves out: zero values, but not a pointer to one (`init`, resolved durations).
fn is_empty(node: &Node, key: &str) -> bool {
    match &node.value {
        Value::Null => true,
        Value::Bool(b) => !b && !matches!(key, "init"),
        Value::Int(n) => *n == 0 && !matches!(key, "retries"),
        Value::Float(x) => *x == 0.0,
        Value::Text(text) => text.is_empty() || (text == "0" && matches!(key, "mem_limit" | "shm_size")),
        Value::List(list) => list.is_empty() && !matches!(key, "command" | "entrypoint"),
        // `deploy`, `healthcheck`, `bind`, … are pointers to structs: empty ones are written; empty maps are not.
        Value::Map(map) => {
            map.is_empty() && matches!(key, "environment" | "labels" | "sysctls" | "ulimits" | "networks" | "options")
        }
    }
}

fn write(node: &Node, path: &[&str], json: &mut String) {
    match &node.value {
        Value::Null => json.push_str("null"),
        Value::Bool(b) => json.push_str(if *b { "true" } else { "false" }),
        Value::Int(n) => json.push_str(&n.to_string()),
        Value::Float(x) => json.push_str(&x.to_string()),
        Value::Text(t) => json.push_str(&text(t)),
        Value::List(list) => {
            json.push('[');
            for (n, element) in list.iter().enumerate() {
                if n > 0 {
                    json.push(',');
                }
                let mut path = path.to_vec();
                path.push("");
                write(element, &path, json);
            }
            json.push(']');
        }
        Value::Map(map) => {
            json.push('{');
            let mut first = true;
            // Structs that compose-go holds by value are written even where they are empty.
            let always: &[&str] = if path == ["deploy"] { &["resources", "placement"] } else { &[] };
            let keys: Vec<&str> = match order(path) {
                Some(order) => order.iter().copied().filter(|k| map.contains_key(*k) || always.contains(k)).collect(),
                None => {
                    let mut keys: Vec<&str> = map.keys().map(String::as_str).collect();
                    keys.sort_unstable();
                    keys
                }
            };
            for key in keys {
                let Some(value) = map.get(key).map(|e| &e.node) else {
                    field(key, &mut first, json);
                    json.push_str("{}");
                    continue;
                };
                // A mapping's own values may be null or empty; a struct's empty fields are left out.
                if order(path).is_some() && is_empty(value, key) {
                    continue;
                }
                field(key, &mut first, json);
                let mut path = path.to_vec();
                path.push(key);
                write(value, &path, json);
            }
            json.push('}');
        }
    }
}

/// A JSON string as Go writes it.
fn text(text: &str) -> String {
    serde_json::to_string(text)
        .unwrap_or_default()
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}
