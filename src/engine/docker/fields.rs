//! Containers as [`Fields`]: the body of a creation and the answer of an inspect have the same parts, and one reader reads
//! both. What the reader does not know of in a body is kept under its name in the API, so that nothing that is asked for
//! goes uncompared.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bollard::models::ContainerInspectResponse;
use serde_json::{Map, Value};

use super::spec;
use crate::engine::{ContainerSpec, EndpointSpec, EngineError};
use crate::model::fields::{ATTACHED, Fields, OWN_NAME};
use crate::model::service::NamespaceMode;
use crate::model::{labels, names};

/// How a value of the API is read.
#[derive(Clone, Copy)]
enum Kind {
    /// Text; an empty one is none.
    Text,
    /// `true` counts.
    Flag,
    /// A number; 0 is none.
    Number,
    /// A number; 0 and -1 are none.
    Limit,
    /// A number in billionths of a CPU.
    Billionths,
    /// Billionths of a second.
    Nanoseconds,
    /// A number of whole seconds.
    Seconds,
    /// A list whose order counts.
    List,
    /// A list whose order does not.
    Set,
    /// A mapping: a field for each key.
    Map,
    /// `KEY=VALUE`: a field for each key.
    Pairs,
    /// A mapping of which only the keys count.
    Keys,
    /// A value that is compared as a whole, as JSON.
    Whole,
    /// Read together with something else, or of no matter.
    Aside,
}

type Row = (&'static str, &'static str, Kind);

const CONFIG: &[Row] = &[
    ("Hostname", "hostname", Kind::Text),
    ("Domainname", "domainname", Kind::Text),
    ("User", "user", Kind::Text),
    ("Tty", "tty", Kind::Flag),
    ("OpenStdin", "stdin_open", Kind::Flag),
    ("Env", "environment", Kind::Pairs),
    ("Cmd", "command", Kind::List),
    ("Entrypoint", "entrypoint", Kind::List),
    ("WorkingDir", "working_dir", Kind::Text),
    ("Labels", "labels", Kind::Map),
    ("StopSignal", "stop_signal", Kind::Text),
    ("StopTimeout", "stop_grace_period", Kind::Seconds),
    ("ExposedPorts", "expose", Kind::Keys),
    ("Healthcheck", "healthcheck", Kind::Aside),
    ("Image", "image", Kind::Text),
    ("AttachStdin", "", Kind::Aside),
    ("AttachStdout", "", Kind::Aside),
    ("AttachStderr", "", Kind::Aside),
    ("StdinOnce", "", Kind::Aside),
    ("Volumes", "", Kind::Aside),
    ("OnBuild", "", Kind::Aside),
    ("HostConfig", "", Kind::Aside),
    ("NetworkingConfig", "", Kind::Aside),
    ("NetworkDisabled", "network_disabled", Kind::Flag),
];

const CHECK: &[Row] = &[
    ("Test", "healthcheck.test", Kind::List),
    ("Interval", "healthcheck.interval", Kind::Nanoseconds),
    ("Timeout", "healthcheck.timeout", Kind::Nanoseconds),
    ("Retries", "healthcheck.retries", Kind::Number),
    ("StartPeriod", "healthcheck.start_period", Kind::Nanoseconds),
    ("StartInterval", "healthcheck.start_interval", Kind::Nanoseconds),
];

const HOST: &[Row] = &[
    ("Binds", "", Kind::Aside),
    ("Mounts", "", Kind::Aside),
    ("Tmpfs", "tmpfs", Kind::Map),
    ("PortBindings", "", Kind::Aside),
    ("RestartPolicy", "", Kind::Aside),
    ("NetworkMode", "", Kind::Aside),
    ("LogConfig", "", Kind::Aside),
    ("Devices", "", Kind::Aside),
    ("Ulimits", "", Kind::Aside),
    // Names of containers that come and go; how many there are is compared.
    ("Links", "", Kind::Aside),
    ("SecurityOpt", "", Kind::Aside),
    ("MaskedPaths", "", Kind::Aside),
    ("ReadonlyPaths", "", Kind::Aside),
    ("ContainerIDFile", "", Kind::Aside),
    ("ConsoleSize", "", Kind::Aside),
    ("AutoRemove", "", Kind::Aside),
    ("VolumeDriver", "volume_driver", Kind::Text),
    ("VolumesFrom", "volumes_from", Kind::List),
    ("Annotations", "annotations", Kind::Map),
    ("CapAdd", "cap_add", Kind::Aside),
    ("CapDrop", "cap_drop", Kind::Aside),
    ("CgroupnsMode", "cgroup", Kind::Text),
    ("Privileged", "privileged", Kind::Flag),
    ("PublishAllPorts", "", Kind::Aside),
    ("ReadonlyRootfs", "read_only", Kind::Flag),
    ("Init", "init", Kind::Flag),
    ("IpcMode", "", Kind::Aside),
    ("PidMode", "pid", Kind::Text),
    ("UTSMode", "uts", Kind::Text),
    ("UsernsMode", "userns_mode", Kind::Text),
    ("Isolation", "isolation", Kind::Text),
    ("Runtime", "runtime", Kind::Text),
    ("ExtraHosts", "extra_hosts", Kind::List),
    ("Dns", "dns", Kind::List),
    ("DnsSearch", "dns_search", Kind::List),
    ("DnsOptions", "dns_opt", Kind::List),
    ("Sysctls", "sysctls", Kind::Map),
    ("StorageOpt", "storage_opt", Kind::Map),
    ("GroupAdd", "group_add", Kind::Set),
    ("OomScoreAdj", "oom_score_adj", Kind::Number),
    ("ShmSize", "shm_size", Kind::Number),
    ("NanoCpus", "cpus", Kind::Billionths),
    ("CpuShares", "cpu_shares", Kind::Number),
    ("CpuPeriod", "cpu_period", Kind::Number),
    ("CpuQuota", "cpu_quota", Kind::Limit),
    ("CpuRealtimePeriod", "cpu_rt_period", Kind::Number),
    ("CpuRealtimeRuntime", "cpu_rt_runtime", Kind::Number),
    ("CpuCount", "cpu_count", Kind::Number),
    ("CpuPercent", "cpu_percent", Kind::Number),
    ("CpusetCpus", "cpuset", Kind::Text),
    ("CpusetMems", "", Kind::Aside),
    ("Memory", "mem_limit", Kind::Number),
    ("MemoryReservation", "mem_reservation", Kind::Number),
    ("MemorySwap", "memswap_limit", Kind::Number),
    ("MemorySwappiness", "mem_swappiness", Kind::Limit),
    ("OomKillDisable", "oom_kill_disable", Kind::Flag),
    ("PidsLimit", "pids_limit", Kind::Limit),
    ("CgroupParent", "cgroup_parent", Kind::Text),
    ("Cgroup", "", Kind::Aside),
    ("BlkioWeight", "blkio_config.weight", Kind::Number),
    ("BlkioWeightDevice", "blkio_config.weight_device", Kind::Whole),
    ("BlkioDeviceReadBps", "blkio_config.device_read_bps", Kind::Whole),
    ("BlkioDeviceReadIOps", "blkio_config.device_read_iops", Kind::Whole),
    ("BlkioDeviceWriteBps", "blkio_config.device_write_bps", Kind::Whole),
    ("BlkioDeviceWriteIOps", "blkio_config.device_write_iops", Kind::Whole),
    ("DeviceCgroupRules", "device_cgroup_rules", Kind::Set),
    ("DeviceRequests", "device_requests", Kind::Whole),
];

/// Of a container that is to be made. `spec` names all its networks, by their names.
pub(in crate::engine) fn desired(spec: &ContainerSpec<'_>, api: spec::Api) -> Result<Fields, EngineError> {
    // Only one network may be named at the creation with an old API; what is compared are all of them.
    let creation = spec::container(spec, api)?;
    let body = serde_json::to_value(&creation.body).unwrap_or_default();
    let mut fields = Fields::default();
    read(&mut fields, CONFIG, &body, true);
    config(&mut fields, &body);
    let host = &body["HostConfig"];
    read(&mut fields, HOST, host, true);
    self::host(&mut fields, host);
    if let (Some(memory), None) = (number(&host["Memory"]), number(&host["MemorySwap"])) {
        // What the Engine does by itself; by an update it would not.
        fields.set("memswap_limit", (memory.saturating_mul(2)).to_string());
    }
    if spec.service.network_mode.is_some() {
        text(&mut fields, "network_mode", &host["NetworkMode"]);
    }
    match &spec.service.network_mode {
        None | Some(NamespaceMode::Service(_) | NamespaceMode::Container(_)) => {}
        Some(mode) => {
            let name = mode.to_string();
            fields.set(format!("networks.{}", if name == "default" { "bridge" } else { &name }), ATTACHED);
        }
    }
    if let Some(own) = spec.networks.first().and_then(|(_, endpoint)| endpoint.aliases.first()) {
        fields.set(OWN_NAME, own.as_str());
    }
    for (place, (name, endpoint)) in spec.networks.iter().enumerate() {
        fields.extend(&attached(name, endpoint, spec.service.hostname.as_deref(), api)?);
        if place > 0 && api < (1, 44) {
            // Such an Engine takes one address, for the first network.
            fields.unset(&format!("mac_address.{name}"));
        }
    }
    if let (Some((name, _)), Some(mac)) = (spec.networks.first(), &spec.service.mac_address) {
        fields.set(format!("mac_address.{name}"), mac.to_lowercase());
    }
    Ok(fields)
}

/// Of an attachment that is to be made.
pub(in crate::engine) fn attached(
    network: &str,
    endpoint: &EndpointSpec<'_>,
    hostname: Option<&str>,
    api: spec::Api,
) -> Result<Fields, EngineError> {
    let mut fields = Fields::default();
    let settings = serde_json::to_value(spec::endpoint(endpoint, api)?).unwrap_or_default();
    attachment(&mut fields, network, &settings, [None, hostname]);
    if api < (1, 48) {
        // Dropped in silence.
        fields.unset(&format!("networks.{network}.gw_priority"));
    }
    Ok(fields)
}

/// Of a container that is there.
pub(super) fn observed(answer: &ContainerInspectResponse) -> Fields {
    let mut fields = Fields::default();
    let config = serde_json::to_value(&answer.config).unwrap_or_default();
    read(&mut fields, CONFIG, &config, false);
    self::config(&mut fields, &config);
    let host = serde_json::to_value(&answer.host_config).unwrap_or_default();
    read(&mut fields, HOST, &host, false);
    self::host(&mut fields, &host);
    text(&mut fields, "network_mode", &host["NetworkMode"]);
    let content = config["Labels"][labels::CONTENT].as_str().unwrap_or_default();
    let content: BTreeMap<String, String> = serde_json::from_str(content).unwrap_or_default();
    content.into_iter().for_each(|(path, hash)| fields.set(format!("content.{path}"), hash));
    let id = answer.id.as_deref().and_then(|id| id.get(..12));
    let hostname = config["Hostname"].as_str().filter(|h| !h.is_empty());
    let networks = answer.network_settings.as_ref().and_then(|n| n.networks.as_ref());
    for (name, endpoint) in networks.into_iter().flatten() {
        let settings = serde_json::to_value(endpoint).unwrap_or_default();
        attachment(&mut fields, name, &settings, [id, hostname]);
    }
    fields
}

/// What an image contributes. `config`: of its inspect.
pub(super) fn of_image(config: &impl serde::Serialize) -> Fields {
    let mut fields = Fields::default();
    let value = serde_json::to_value(config).unwrap_or_default();
    let part: Vec<Row> = CONFIG.iter().filter(|(_, path, _)| crate::model::fields::from_image(path)).copied().collect();
    read(&mut fields, &part, &value, false);
    self::config(&mut fields, &value);
    fields
}

/// Reads what the table names. `all`: and what it does not name, under its own name.
fn read(fields: &mut Fields, table: &[Row], value: &Value, all: bool) {
    for (key, path, kind) in table {
        one(fields, path, *kind, &value[*key]);
    }
    let Value::Object(map) = value else { return };
    for (key, value) in map.iter().filter(|(key, _)| all && !table.iter().any(|(known, ..)| known == key)) {
        one(fields, key, Kind::Whole, value);
    }
}

fn one(fields: &mut Fields, path: &str, kind: Kind, value: &Value) {
    let none_but = |empty: &[i64]| number(value).filter(|n| !empty.contains(n));
    let texts = || value.as_array().into_iter().flatten().filter_map(Value::as_str);
    let path = || path.to_owned();
    match kind {
        Kind::Aside => {}
        Kind::Text => text(fields, &path(), value),
        Kind::Flag if value == &Value::Bool(true) => fields.set(path(), "true"),
        Kind::Flag => {}
        Kind::Number => none_but(&[0]).into_iter().for_each(|n| fields.set(path(), n.to_string())),
        Kind::Limit => none_but(&[0, -1]).into_iter().for_each(|n| fields.set(path(), n.to_string())),
        #[allow(clippy::cast_precision_loss)]
        Kind::Billionths => none_but(&[0]).into_iter().for_each(|n| fields.set(path(), (n as f64 / 1e9).to_string())),
        Kind::Nanoseconds => none_but(&[0]).into_iter().for_each(|n| fields.set(path(), duration(n))),
        Kind::Seconds => number(value).into_iter().for_each(|n| fields.set(path(), format!("{n}s"))),
        Kind::List => {
            if let Value::Array(list) = value {
                fields.set(path(), serde_json::to_string(list).unwrap_or_default());
            }
        }
        Kind::Set => {
            let set: BTreeSet<&str> = texts().collect();
            if !set.is_empty() {
                fields.set(path(), serde_json::to_string(&set).unwrap_or_default());
            }
        }
        Kind::Map => {
            for (key, value) in value.as_object().into_iter().flatten().filter(|(key, _)| !is_ours(key)) {
                fields.set(format!("{}.{key}", path()), value.as_str().unwrap_or_default());
            }
        }
        Kind::Pairs => {
            for pair in texts() {
                match pair.split_once('=') {
                    Some((key, value)) => fields.set(format!("{}.{key}", path()), value),
                    None => fields.set(format!("{}.{pair}", path()), "(not set)"),
                }
            }
        }
        Kind::Keys => {
            let keys = value.as_object().into_iter().flat_map(Map::keys).map(String::as_str).chain(texts());
            // Of ports, of which those of TCP may go without saying so.
            let full = |key: &str| if key.contains('/') { key.to_owned() } else { format!("{key}/tcp") };
            keys.for_each(|key| fields.set(format!("{}.{}", path(), full(key)), "exposed"));
        }
        Kind::Whole => {
            let pruned = prune(value);
            if !pruned.is_null() {
                fields.set(path(), pruned.to_string());
            }
        }
    }
}

/// Labels that say what a container is for, not how it is made.
fn is_ours(label: &str) -> bool {
    label.starts_with("com.docker.compose.") || label.starts_with(labels::OWN)
}

fn number(value: &Value) -> Option<i64> {
    value.as_i64().filter(|n| *n != 0)
}

fn duration(nanoseconds: i64) -> String {
    format!("{:?}", Duration::from_nanos(nanoseconds.unsigned_abs()))
}

fn text(fields: &mut Fields, path: &str, value: &Value) {
    if let Some(text) = value.as_str().filter(|t| !t.is_empty()) {
        fields.set(path.to_owned(), text);
    }
}

/// Without what says nothing: nulls, `false`, empty texts, lists and mappings.
fn prune(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let kept: Map<_, _> =
                map.iter().map(|(k, v)| (k.clone(), prune(v))).filter(|(_, v)| !v.is_null()).collect();
            if kept.is_empty() { Value::Null } else { Value::Object(kept) }
        }
        Value::Array(list) if list.is_empty() => Value::Null,
        Value::Array(list) => list.iter().map(prune).collect(),
        Value::Bool(false) => Value::Null,
        Value::String(text) if text.is_empty() => Value::Null,
        other => other.clone(),
    }
}

fn config(fields: &mut Fields, config: &Value) {
    for (key, path, kind) in CHECK {
        one(fields, path, *kind, &config["Healthcheck"][*key]);
    }
}

fn host(fields: &mut Fields, host: &Value) {
    let list = |key: &str| host[key].as_array().map_or(&[][..], Vec::as_slice);
    let texts = |key: &str| list(key).iter().filter_map(Value::as_str).map(str::to_owned).collect::<BTreeSet<_>>();
    for bind in list("Binds").iter().filter_map(Value::as_str) {
        let mut parts = bind.split(':');
        let (Some(source), Some(target)) = (parts.next(), parts.next()) else { continue };
        // Which anonymous volume it is, and whether it was handed on, is nobody's business but the data's.
        if names::is_anonymous(source) {
            continue;
        }
        let kind = if source.starts_with('/') { "bind" } else { "volume" };
        let mut options: BTreeSet<&str> = parts.next().into_iter().flat_map(|o| o.split(',')).collect();
        let mode = if options.remove("ro") { "ro" } else { "rw" };
        options.remove("rw");
        let rest: Vec<_> = options.into_iter().collect();
        fields.set(format!("volumes.{target}"), format!("{kind} {source} {mode} {}", rest.join(",")).trim_end());
    }
    for mount in list("Mounts") {
        let mut rest = mount.clone();
        let mut take = |key: &str| match rest.as_object_mut().and_then(|map| map.remove(key)) {
            Some(Value::String(text)) => text,
            Some(Value::Bool(true)) => "ro".to_owned(),
            _ => String::new(),
        };
        let (kind, source, target, mode) = (take("Type"), take("Source"), take("Target"), take("ReadOnly"));
        let mode = if mode.is_empty() { "rw" } else { "ro" };
        let source = if names::is_anonymous(&source) { String::new() } else { source };
        let rest = match prune(&rest) {
            Value::Null => String::new(),
            options => format!(" {options}"),
        };
        let what = [kind.as_str(), source.as_str(), mode].into_iter().filter(|w| !w.is_empty()).collect::<Vec<_>>();
        fields.set(format!("volumes.{target}"), format!("{}{rest}", what.join(" ")));
    }
    for (port, bindings) in host["PortBindings"].as_object().into_iter().flatten() {
        let bindings = bindings.as_array().into_iter().flatten().map(|b| {
            let part = |key: &str| b[key].as_str().unwrap_or_default();
            if part("HostIp").is_empty() {
                part("HostPort").to_owned()
            } else {
                format!("{}:{}", part("HostIp"), part("HostPort"))
            }
        });
        let bindings: BTreeSet<String> = bindings.collect();
        if !bindings.is_empty() {
            let all: Vec<_> = bindings.into_iter().collect();
            fields.set(format!("ports.{port}"), all.join(", "));
        }
    }
    match host["RestartPolicy"]["Name"].as_str() {
        None | Some("" | "no") => {}
        Some("on-failure") => match number(&host["RestartPolicy"]["MaximumRetryCount"]) {
            Some(n) => fields.set("restart", format!("on-failure:{n}")),
            None => fields.set("restart", "on-failure"),
        },
        Some(name) => fields.set("restart", name),
    }
    if let Some(driver) = host["LogConfig"]["Type"].as_str().filter(|d| !d.is_empty()) {
        fields.set("logging.driver", driver);
    }
    one(fields, "logging.options", Kind::Map, &host["LogConfig"]["Config"]);
    for device in list("Devices") {
        let part = |key: &str| device[key].as_str().unwrap_or_default();
        let value = format!("{}:{}", part("PathOnHost"), part("CgroupPermissions"));
        fields.set(format!("devices.{}", part("PathInContainer")), value);
    }
    for limit in list("Ulimits") {
        let value = format!("{}:{}", limit["Soft"], limit["Hard"]);
        fields.set(format!("ulimits.{}", limit["Name"].as_str().unwrap_or_default()), value);
    }
    if !list("Links").is_empty() {
        fields.set("links", "some");
    }
    for option in texts("SecurityOpt") {
        let (name, value) = option.split_once(['=', ':']).unwrap_or((&option, "true"));
        fields.set(format!("security_opt.{name}"), value);
    }
    if host["MaskedPaths"].as_array().is_some_and(Vec::is_empty)
        && host["ReadonlyPaths"].as_array().is_some_and(Vec::is_empty)
    {
        fields.set("systempaths", "unconfined");
    }
    for (key, path) in [("CapAdd", "cap_add"), ("CapDrop", "cap_drop")] {
        let short = texts(key).into_iter().map(|c| c.to_uppercase().trim_start_matches("CAP_").to_owned());
        let all: BTreeSet<String> = short.collect();
        if !all.is_empty() {
            fields.set(path, serde_json::to_string(&all).unwrap_or_default());
        }
    }
    // The daemon says which of the two is meant where nothing is written.
    if let Some(mode) = host["IpcMode"].as_str().filter(|m| !matches!(*m, "" | "private" | "shareable")) {
        fields.set("ipc", mode);
    }
}

/// `added`: names that Engines add to the aliases by themselves, the first twelve characters of the container's id and its
/// host name.
fn attachment(fields: &mut Fields, network: &str, settings: &Value, added: [Option<&str>; 2]) {
    let at = |part: &str| format!("networks.{network}.{part}");
    fields.set(format!("networks.{network}"), ATTACHED);
    let aliases = settings["Aliases"].as_array().into_iter().flatten().filter_map(Value::as_str);
    // `db` may be how an id begins, too.
    let aliases: BTreeSet<&str> = aliases.filter(|alias| !added.contains(&Some(*alias))).collect();
    if !aliases.is_empty() {
        fields.set(at("aliases"), serde_json::to_string(&aliases).unwrap_or_default());
    }
    let ipam = &settings["IPAMConfig"];
    text(fields, &at("ipv4_address"), &ipam["IPv4Address"]);
    text(fields, &at("ipv6_address"), &ipam["IPv6Address"]);
    one(fields, &at("link_local_ips"), Kind::Set, &ipam["LinkLocalIPs"]);
    one(fields, &at("driver_opts"), Kind::Map, &settings["DriverOpts"]);
    one(fields, &at("gw_priority"), Kind::Number, &settings["GwPriority"]);
    if let Some(mac) = settings["MacAddress"].as_str().filter(|m| !m.is_empty()) {
        fields.set(format!("mac_address.{network}"), mac.to_lowercase());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_short_id_is_no_alias_of_ours() {
        let id = "dbb886fc9d31740e81159fd13558d9657dd869aef3";
        let mut fields = Fields::default();
        let settings = serde_json::json!({"Aliases": ["shop-db-1", "db", "dbb886fc9d31"]});
        attachment(&mut fields, "shop_default", &settings, [id.get(..12), None]);
        assert_eq!(fields.get("networks.shop_default.aliases"), Some("[\"db\",\"shop-db-1\"]"));
    }
}
