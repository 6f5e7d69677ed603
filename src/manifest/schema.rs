//! Which keys there are and what their values look like: one table for each kind of object. What Compose knows and this
//! build does not act on yet is listed as such, so that it is an error with a place and never dropped in silence.

use super::diagnostic::{Report, suggestion};
use super::document::{Node, Value};

/// What a value looks like.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape {
    /// Text.
    Text,
    /// Text or a number.
    Scalar,
    /// `true` or `false`, also as text.
    Bool,
    /// A number, also as text.
    Number,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A list of scalars.
    List,
    /// A scalar or a list of scalars.
    Lines,
    /// A list of `KEY=value` or a mapping to scalars.
    Pairs,
    /// A mapping to scalars.
    Scalars,
    /// A list of such.
    ListOf(&'static Shape),
    /// A mapping to such; a value may be absent.
    MapOf(&'static Shape),
    /// An object with these keys, and `x-…`.
    Object(&'static [(&'static str, Shape)]),
    /// The first of two that fits the kind of value.
    Or(&'static Shape, &'static Shape),
    /// Known to Compose, not yet to this build.
    NotYet,
}

use Shape::{Bool, Lines, List, ListOf, MapOf, NotYet, Number, Object, Or, Pairs, Scalar, Scalars, Text, Word};

/// A Compose file.
pub(super) const FILE: Shape = Object(&[
    ("version", Text),
    ("name", Text),
    ("services", MapOf(&SERVICE)),
    ("networks", MapOf(&NETWORK)),
    ("volumes", MapOf(&VOLUME)),
    ("configs", NotYet),
    ("secrets", NotYet),
    ("models", NotYet),
    ("include", NotYet),
]);

const CONDITIONS: &[&str] = &["service_started", "service_healthy", "service_completed_successfully"];

const SERVICE: Shape = Object(&[
    ("annotations", NotYet),
    ("attach", NotYet),
    ("blkio_config", NotYet),
    ("build", NotYet),
    ("cap_add", List),
    ("cap_drop", List),
    ("cgroup", NotYet),
    ("cgroup_parent", NotYet),
    ("command", Lines),
    ("configs", NotYet),
    ("container_name", Text),
    ("cpu_count", NotYet),
    ("cpu_percent", NotYet),
    ("cpu_period", NotYet),
    ("cpu_quota", NotYet),
    ("cpu_rt_period", NotYet),
    ("cpu_rt_runtime", NotYet),
    ("cpu_shares", Number),
    ("cpus", Number),
    ("cpuset", NotYet),
    ("credential_spec", NotYet),
    ("depends_on", Or(&List, &MapOf(&DEPENDENCY))),
    ("deploy", DEPLOY),
    ("develop", NotYet),
    ("device_cgroup_rules", NotYet),
    ("devices", NotYet),
    ("dns", Lines),
    ("dns_opt", List),
    ("dns_search", Lines),
    ("domainname", Text),
    ("entrypoint", Lines),
    ("env_file", Or(&Text, &ListOf(&Or(&Text, &ENV_FILE)))),
    ("environment", Pairs),
    ("expose", List),
    ("extends", NotYet),
    ("external_links", NotYet),
    ("extra_hosts", Or(&List, &MapOf(&Lines))),
    ("gpus", NotYet),
    ("group_add", List),
    ("healthcheck", HEALTHCHECK),
    ("hostname", Text),
    ("image", Text),
    ("init", Bool),
    ("ipc", NotYet),
    ("isolation", NotYet),
    ("label_file", NotYet),
    ("labels", Pairs),
    ("links", NotYet),
    ("logging", Object(&[("driver", Text), ("options", Scalars)])),
    ("mac_address", NotYet),
    ("mem_limit", Scalar),
    ("mem_reservation", Scalar),
    ("mem_swappiness", NotYet),
    ("memswap_limit", Scalar),
    ("models", NotYet),
    ("network_mode", Text),
    ("networks", Or(&List, &MapOf(&ATTACHMENT))),
    ("oom_kill_disable", NotYet),
    ("oom_score_adj", NotYet),
    ("pid", NotYet),
    ("pids_limit", Number),
    ("platform", NotYet),
    ("ports", ListOf(&Or(&Scalar, &PORT))),
    ("post_start", NotYet),
    ("pre_stop", NotYet),
    ("privileged", Bool),
    ("profiles", List),
    ("provider", NotYet),
    ("pull_policy", Text),
    ("read_only", Bool),
    ("restart", Text),
    ("runtime", NotYet),
    ("scale", Number),
    ("secrets", NotYet),
    ("security_opt", List),
    ("shm_size", Scalar),
    ("stdin_open", Bool),
    ("stop_grace_period", Text),
    ("stop_signal", Text),
    ("storage_opt", NotYet),
    ("sysctls", Pairs),
    ("tmpfs", Lines),
    ("tty", Bool),
    ("ulimits", MapOf(&Or(&Number, &Object(&[("soft", Number), ("hard", Number)])))),
    ("use_api_socket", NotYet),
    ("user", Text),
    ("userns_mode", NotYet),
    ("uts", NotYet),
    ("volumes", ListOf(&Or(&Text, &MOUNT))),
    ("volumes_from", NotYet),
    ("working_dir", Text),
]);

const DEPENDENCY: Shape = Object(&[("condition", Word(CONDITIONS)), ("required", Bool), ("restart", Bool)]);

const ENV_FILE: Shape = Object(&[("path", Text), ("required", Bool), ("format", Word(&["raw"]))]);

const HEALTHCHECK: Shape = Object(&[
    ("disable", Bool),
    ("interval", Text),
    ("retries", Number),
    ("start_interval", Text),
    ("start_period", Text),
    ("test", Lines),
    ("timeout", Text),
]);

const DEPLOY: Shape = Object(&[
    ("endpoint_mode", NotYet),
    ("labels", NotYet),
    ("mode", Word(&["replicated"])),
    ("placement", NotYet),
    ("replicas", Number),
    ("resources", Object(&[("limits", RESOURCES), ("reservations", RESOURCES)])),
    (
        "restart_policy",
        Object(&[
            ("condition", Word(&["none", "on-failure", "any"])),
            ("delay", NotYet),
            ("max_attempts", Number),
            ("window", NotYet),
        ]),
    ),
    ("rollback_config", NotYet),
    ("update_config", NotYet),
]);

const RESOURCES: Shape = Object(&[
    ("cpus", Scalar),
    ("memory", Scalar),
    ("pids", Number),
    ("devices", NotYet),
    ("generic_resources", NotYet),
]);

const ATTACHMENT: Shape = Object(&[
    ("aliases", List),
    ("driver_opts", NotYet),
    ("gw_priority", NotYet),
    ("interface_name", NotYet),
    ("ipv4_address", Text),
    ("ipv6_address", Text),
    ("link_local_ips", NotYet),
    ("mac_address", NotYet),
    ("priority", Number),
]);

const PORT: Shape = Object(&[
    ("app_protocol", Text),
    ("host_ip", Text),
    ("mode", Text),
    ("name", Text),
    ("protocol", Text),
    ("published", Scalar),
    ("target", Number),
]);

const MOUNT: Shape = Object(&[
    ("bind", Object(&[("create_host_path", Bool), ("propagation", Text), ("recursive", NotYet), ("selinux", Text)])),
    ("consistency", Text),
    ("image", NotYet),
    ("read_only", Bool),
    ("source", Text),
    ("target", Text),
    ("tmpfs", Object(&[("mode", Number), ("size", Scalar)])),
    ("type", Word(&["bind", "volume", "tmpfs"])),
    ("volume", Object(&[("labels", NotYet), ("nocopy", Bool), ("subpath", NotYet)])),
]);

const NETWORK: Shape = Object(&[
    ("attachable", Bool),
    ("driver", Text),
    ("driver_opts", Scalars),
    ("enable_ipv4", NotYet),
    ("enable_ipv6", Bool),
    ("external", Or(&Bool, &Object(&[("name", Text)]))),
    ("internal", Bool),
    (
        "ipam",
        Object(&[
            (
                "config",
                ListOf(&Object(&[("subnet", Text), ("ip_range", Text), ("gateway", Text), ("aux_addresses", NotYet)])),
            ),
            ("driver", Text),
            ("options", NotYet),
        ]),
    ),
    ("labels", Pairs),
    ("name", Text),
]);

const VOLUME: Shape = Object(&[
    ("driver", Text),
    ("driver_opts", Scalars),
    ("external", Or(&Bool, &Object(&[("name", Text)]))),
    ("labels", Pairs),
    ("name", Text),
]);

/// Checks a value against its shape; `path` is where it stands, for messages.
pub(super) fn check(node: &Node, shape: Shape, path: &str, report: &mut Report) {
    let mut wrong = |wanted: &str| {
        let path = if path.is_empty() { "the file" } else { path };
        report.error(node.span, "wrong-type", format!("{path} must be {wanted}, this is {}", node.kind()));
    };
    let scalar = node.scalar().is_some();
    match shape {
        Text if node.as_text().is_none() => wrong("text"),
        Scalar if !scalar || matches!(node.value, Value::Bool(_)) => wrong("text or a number"),
        Bool if to_bool(node).is_none() => wrong("true or false"),
        Number if to_number(node).is_none() => wrong("a number"),
        Word(words) => match node.as_text() {
            Some(word) if words.contains(&word) => {}
            _ => {
                let quoted: Vec<_> = words.iter().map(|w| format!("`{w}`")).collect();
                let help = node.as_text().and_then(|word| suggestion(word, words.iter().copied()));
                let message = format!("{path} must be {}", quoted.join(" or "));
                report.error(node.span, "wrong-value", message).help = help;
            }
        },
        List => each(node, Scalar, path, report),
        Lines if scalar || node.is_null() => {}
        Lines => each(node, Scalar, path, report),
        Pairs => match &node.value {
            Value::List(_) => each(node, Scalar, path, report),
            Value::Map(map) => {
                for (key, entry) in map {
                    if entry.node.scalar().is_none() && !entry.node.is_null() {
                        check(&entry.node, Scalar, &format!("{path}.{key}"), report);
                    }
                }
            }
            _ => wrong("a list of `KEY=value` or a mapping"),
        },
        Scalars => match &node.value {
            Value::Map(map) => {
                for (key, entry) in map {
                    if entry.node.scalar().is_none() && !entry.node.is_null() {
                        check(&entry.node, Scalar, &format!("{path}.{key}"), report);
                    }
                }
            }
            _ => wrong("a mapping"),
        },
        ListOf(inner) => each(node, *inner, path, report),
        MapOf(inner) => match &node.value {
            Value::Map(map) => {
                for (key, entry) in map.iter().filter(|(k, _)| !k.starts_with("x-")) {
                    if !entry.node.is_null() {
                        check(&entry.node, *inner, &format!("{path}.{key}"), report);
                    }
                }
            }
            _ => wrong("a mapping"),
        },
        Object(keys) => match &node.value {
            Value::Map(_) => object(node, keys, path, report),
            _ => wrong("a mapping"),
        },
        Or(first, second) => check(node, if fits_kind(node, *first) { *first } else { *second }, path, report),
        NotYet | Text | Scalar | Bool | Number => {}
    }
}

fn each(node: &Node, inner: Shape, path: &str, report: &mut Report) {
    let Some(list) = node.as_list() else {
        report.error(node.span, "wrong-type", format!("{path} must be a list, this is {}", node.kind()));
        return;
    };
    for (n, element) in list.iter().enumerate() {
        check(element, inner, &format!("{path}[{n}]"), report);
    }
}

fn object(node: &Node, keys: &[(&str, Shape)], path: &str, report: &mut Report) {
    for (key, entry) in node.as_map().into_iter().flatten().filter(|(k, _)| !k.starts_with("x-")) {
        let here = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        match keys.iter().find(|(known, _)| known == key) {
            None => {
                let help = suggestion(key, keys.iter().map(|(known, _)| *known));
                report.error(entry.key, "unknown-key", format!("unknown key `{here}`")).help = help;
            }
            Some((_, NotYet)) => {
                let message = format!("`{here}` is not supported by this version of evenkeel");
                report.error(entry.key, "unsupported", message).help = Some(
                    "it is refused rather than ignored; take it out, or run this project with Docker Compose".into(),
                );
            }
            Some((_, shape)) => {
                // A key without a value is as good as absent, unless something is to be cleared.
                if !entry.node.is_null() && entry.node.tag.is_none() {
                    check(&entry.node, *shape, &here, report);
                }
            }
        }
    }
}

fn fits_kind(node: &Node, shape: Shape) -> bool {
    match shape {
        Object(_) | MapOf(_) | Scalars => node.as_map().is_some(),
        List | ListOf(_) => node.as_list().is_some(),
        Bool => to_bool(node).is_some(),
        Text | Scalar | Number | Word(_) => node.scalar().is_some(),
        _ => true,
    }
}

/// A truth, also from the text that interpolation leaves.
pub(super) fn to_bool(node: &Node) -> Option<bool> {
    match &node.value {
        Value::Bool(b) => Some(*b),
        Value::Text(text) => match text.to_lowercase().as_str() {
            "true" | "y" | "yes" | "on" => Some(true),
            "false" | "n" | "no" | "off" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// A number, also from the text that interpolation leaves.
pub(super) fn to_number(node: &Node) -> Option<f64> {
    match &node.value {
        #[allow(clippy::cast_precision_loss)]
        Value::Int(n) => Some(*n as f64),
        Value::Float(x) => Some(*x),
        Value::Text(text) => text.trim().parse().ok(),
        _ => None,
    }
}
