//! Inspects without what differs from one run to the next: ids, times, addresses, names' random parts.

use serde_json::{Map, Value};

use crate::support::World;

/// Fields that are an id, a time, an address or a path of the Engine's own.
const ELSEWHERE: &[&str] = &[
    "Id",
    "Created",
    "CreatedAt",
    "StartedAt",
    "FinishedAt",
    "Pid",
    "ResolvConfPath",
    "HostnamePath",
    "HostsPath",
    "LogPath",
    "SandboxID",
    "SandboxKey",
    "EndpointID",
    "NetworkID",
    "Gateway",
    "IPAddress",
    "IPPrefixLen",
    "GlobalIPv6PrefixLen",
    "IPv6Gateway",
    "GlobalIPv6Address",
    "Mountpoint",
    "Data",
    "GraphDriver",
    "Health",
    "HostPort",
    "Containers",
];
/// Labels of which Compose has none, or which are compared elsewhere: that of services by tests of the loader.
const OWN: [&str; 2] = ["dev.evenkeel.instance", "dev.evenkeel.content"];
const HASH: &str = "com.docker.compose.config-hash";

pub fn normal(all: Value, world: &World, project: &str, ids: Vec<(String, String)>, started: bool) -> Value {
    let image = world.engine.call("GET", &format!("/images/{}/json", world.image), None);
    let mut words = ids;
    for (id, word) in words.clone() {
        words.push((id[..12].to_owned(), word));
    }
    words.push((image["Id"].as_str().unwrap_or_default().to_owned(), "IMAGE-ID".to_owned()));
    words.push((world.image.to_owned(), "IMAGE".to_owned()));
    words.push((world.dir().display().to_string(), "DIR".to_owned()));
    words.push((project.to_owned(), "PROJECT".to_owned()));
    let Value::Object(all) = all else { return Value::Null };
    let mut result = Map::new();
    for (key, value) in all {
        let (kind, rest) = key.split_once(' ').unwrap_or((&key, ""));
        let mut value = walk("", value, &words);
        if kind == "container" {
            container(&mut value, started);
        }
        if kind == "network" && !labelled_subnet(&value) {
            value["IPAM"]["Config"] = Value::Null;
        }
        result.insert(format!("{kind} {}", replaced(rest, &words)), value);
    }
    Value::Object(result)
}

/// Whether the addresses of a network were asked for.
fn labelled_subnet(network: &Value) -> bool {
    network["Name"].as_str().is_some_and(|n| n.ends_with("_described"))
}

fn replaced(text: &str, words: &[(String, String)]) -> String {
    words.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

fn walk(key: &str, value: Value, words: &[(String, String)]) -> Value {
    if ELSEWHERE.contains(&key) {
        return Value::Null;
    }
    match value {
        Value::String(text) => Value::String(dotted(&replaced(&text, words))),
        Value::Array(list) => {
            let mut list: Vec<Value> = list.into_iter().map(|v| walk("", v, words)).collect();
            // What Compose keeps in Go's maps comes in any order.
            if matches!(key, "Env" | "Ulimits" | "Mounts" | "Binds" | "Aliases" | "DNSNames" | "Links" | "ExtraHosts") {
                list.sort_by_key(Value::to_string);
            }
            Value::Array(list)
        }
        Value::Object(map) => {
            let entries = map.into_iter().filter(|(k, _)| !OWN.contains(&k.as_str()));
            Value::Object(entries.map(|(k, v)| (replaced(&k, words), walk(&k, v, words))).collect())
        }
        other => other,
    }
}

/// The subnet of a test is its own.
fn dotted(text: &str) -> String {
    let mut parts: Vec<&str> = text.split('.').collect();
    if parts.len() == 4 && parts[0] == "10" && parts[1].len() == 3 {
        parts.splice(..3, ["SUBNET"]);
        return parts.join(".");
    }
    text.to_owned()
}

fn container(value: &mut Value, started: bool) {
    if let Some(labels) = value["Config"]["Labels"].as_object_mut() {
        labels.remove(HASH);
        // Dependencies come in any order.
        if let Some(Value::String(text)) = labels.get_mut("com.docker.compose.depends_on") {
            let mut parts: Vec<&str> = text.split(',').collect();
            parts.sort_unstable();
            *text = parts.join(",");
        }
    }
    // Made up by the Engine where the file has none.
    if value["Config"]["Hostname"].as_str().is_some_and(|h| h.len() == 12 || h.starts_with("ID-")) {
        value["Config"]["Hostname"] = Value::Null;
    }
    for mount in value["Mounts"].as_array_mut().into_iter().flatten() {
        let anonymous = mount["Name"].as_str().is_some_and(|n| n.len() == 64);
        if mount["Type"] == "volume" {
            mount["Source"] = Value::Null;
        }
        if anonymous {
            mount["Name"] = Value::Null;
        }
    }
    if let Some(list) = value["Mounts"].as_array_mut() {
        list.sort_by_key(Value::to_string);
    }
    let networks = value["NetworkSettings"]["Networks"].as_object_mut();
    for (_, network) in networks.into_iter().flatten() {
        if !network["MacAddress"].as_str().is_some_and(|m| m.starts_with("02:42:ac:11:77")) {
            network["MacAddress"] = Value::Null;
        }
    }
    let own = value["NetworkSettings"]["MacAddress"].as_str().is_some_and(|m| m.starts_with("02:42:ac:11:77"));
    if !own {
        value["NetworkSettings"]["MacAddress"] = Value::Null;
    }
    if !started {
        // One of the two tried to start it.
        value["State"] = Value::Null;
        value["NetworkSettings"] = Value::Null;
    }
}

/// Without the hashes of networks and volumes.
pub fn unhashed(mut all: Value) -> Value {
    for (_, value) in all.as_object_mut().into_iter().flatten() {
        if let Some(hash) = value["Labels"].get_mut(HASH) {
            *hash = Value::Null;
        }
    }
    all
}
