//! One form for everything: short forms become long ones, `KEY=value` lists become mappings, numbers and truths become
//! what they are, relative paths absolute. Done to each file before it is merged, so that merging meets one form only.

use std::path::{Component, Path, PathBuf};

use super::diagnostic::Report;
use super::document::{Entry, Map, Node, Span, Value};
use super::{schema, short, units};

/// Brings a file into the canonical form. `base` is the folder that relative paths start from.
pub(super) fn file(node: &mut Node, base: &Path, home: Option<&str>, report: &mut Report) {
    let Some(map) = node.as_map_mut() else { return };
    if let Some(services) = map.get_mut("services").and_then(|e| e.node.as_map_mut()) {
        for (name, entry) in services.iter_mut().filter(|(name, _)| !name.starts_with("x-")) {
            if entry.node.is_null() {
                report.error(entry.key, "empty-service", format!("the service `{name}` says nothing"));
            }
            Canon { base, home, report }.service(&mut entry.node);
        }
    }
    for section in ["networks", "volumes"] {
        for (_, entry) in map.get_mut(section).and_then(|e| e.node.as_map_mut()).into_iter().flatten() {
            resource(&mut entry.node, report);
        }
    }
}

fn resource(node: &mut Node, report: &mut Report) {
    pairs(node, "labels", report);
    texts(node, "driver_opts");
    booleans(node, &["attachable", "enable_ipv6", "internal"]);
    let span = node.span;
    let Some(map) = node.as_map_mut() else { return };
    if let Some(external) = map.get_mut("external") {
        // The old form `external: {name: X}`.
        if let Some(name) = external.node.get("name").cloned() {
            external.node = Node::new(Value::Bool(true), span);
            map.entry("name".into()).or_insert(Entry { key: name.span, node: name });
        } else if let Some(b) = schema::to_bool(&external.node) {
            external.node.value = Value::Bool(b);
        }
    }
}

/// The value of a key, unless it is absent, null or tagged `!reset`.
fn at<'n>(node: &'n mut Node, key: &str) -> Option<&'n mut Node> {
    let node = &mut node.as_map_mut()?.get_mut(key)?.node;
    (!node.is_null()).then_some(node)
}

fn booleans(node: &mut Node, keys: &[&str]) {
    for key in keys {
        if let Some(value) = at(node, key)
            && let Some(b) = schema::to_bool(value)
        {
            value.value = Value::Bool(b);
        }
    }
}

fn integers(node: &mut Node, keys: &[&str], report: &mut Report) {
    for key in keys {
        let Some(value) = at(node, key) else { continue };
        integer(value, key, report);
    }
}

fn integer(value: &mut Node, key: &str, report: &mut Report) {
    match schema::to_number(value) {
        #[allow(clippy::cast_possible_truncation)]
        Some(x) if x.fract() == 0.0 && x.abs() < 9e15 => value.value = Value::Int(x as i64),
        Some(_) => {
            report.error(value.span, "wrong-value", format!("{key} must be a whole number"));
        }
        None => {}
    }
}

/// A list of `KEY=value`, or a mapping, as a mapping to text; a bare key has null.
fn pairs(node: &mut Node, key: &str, report: &mut Report) {
    let Some(value) = at(node, key) else { return };
    let mut map = Map::new();
    match std::mem::replace(&mut value.value, Value::Null) {
        Value::List(list) => {
            for element in list {
                let Some(text) = element.scalar() else { continue };
                let span = element.span;
                let (name, node) = match text.split_once('=') {
                    Some((name, value)) => (name.to_owned(), Node::text(value, span)),
                    None => (text, Node::new(Value::Null, span)),
                };
                if name.is_empty() {
                    report.error(span, "wrong-value", format!("an entry of {key} has no name before its `=`"));
                }
                map.insert(name, Entry { key: span, node });
            }
        }
        Value::Map(entries) => {
            for (name, mut entry) in entries {
                if let Some(text) = entry.node.scalar() {
                    entry.node.value = Value::Text(text);
                }
                map.insert(name, entry);
            }
        }
        other => {
            value.value = other;
            return;
        }
    }
    value.value = Value::Map(map);
}

fn texts(node: &mut Node, key: &str) {
    for (_, entry) in at(node, key).and_then(Node::as_map_mut).into_iter().flatten() {
        if let Some(text) = entry.node.scalar() {
            entry.node.value = Value::Text(text);
        }
    }
}

/// A scalar or a list of scalars, as a list of text.
fn lines(node: &mut Node, keys: &[&str]) {
    for key in keys {
        let Some(value) = at(node, key) else { continue };
        let span = value.span;
        if let Some(text) = value.scalar() {
            value.value = Value::List(vec![Node::text(text, span)]);
        } else if let Value::List(list) = &mut value.value {
            for element in list {
                if let Some(text) = element.scalar() {
                    element.value = Value::Text(text);
                }
            }
        }
    }
}

struct Canon<'a> {
    base: &'a Path,
    home: Option<&'a str>,
    report: &'a mut Report,
}

impl Canon<'_> {
    fn service(&mut self, node: &mut Node) {
        for key in ["environment", "labels", "sysctls"] {
            pairs(node, key, self.report);
        }
        if let Some(logging) = at(node, "logging") {
            texts(logging, "options");
        }
        lines(
            node,
            &[
                "dns",
                "dns_search",
                "dns_opt",
                "tmpfs",
                "expose",
                "cap_add",
                "cap_drop",
                "security_opt",
                "group_add",
                "profiles",
            ],
        );
        booleans(node, &["init", "privileged", "read_only", "stdin_open", "tty"]);
        integers(node, &["cpu_shares", "pids_limit", "scale"], self.report);
        self.sizes(node, &["mem_limit", "mem_reservation", "memswap_limit", "shm_size"]);
        self.durations(node, &["stop_grace_period"]);
        if let Some(cpus) = at(node, "cpus")
            && let Some(x) = schema::to_number(cpus)
        {
            cpus.value = Value::Float(x);
        }
        for key in ["command", "entrypoint"] {
            self.command(node, key);
        }
        self.env_files(node);
        self.extra_hosts(node);
        self.ports(node);
        self.volumes(node);
        self.names_to_mapping(node, "networks", |_| Value::Null);
        self.names_to_mapping(node, "depends_on", |span| {
            Value::Map(Map::from_iter([(
                "condition".to_owned(),
                Entry { key: span, node: Node::text("service_started", span) },
            )]))
        });
        self.depends_on(node);
        self.ulimits(node);
        self.healthcheck(node);
        self.deploy(node);
    }

    fn sizes(&mut self, node: &mut Node, keys: &[&str]) {
        for key in keys {
            let Some(value) = at(node, key) else { continue };
            let Some(text) = value.scalar() else { continue };
            match units::bytes(&text) {
                Some(n) => value.value = Value::Text(n.to_string()),
                None => {
                    self.report.error(value.span, "wrong-value", format!("{key}: `{text}` is no size")).help =
                        Some("write for example 64m, 1.5g or a number of bytes".into());
                }
            }
        }
    }

    fn durations(&mut self, node: &mut Node, keys: &[&str]) {
        for key in keys {
            let Some(value) = at(node, key) else { continue };
            let Some(text) = value.scalar() else { continue };
            match units::duration(&text) {
                Some(d) => value.value = Value::Text(units::go_duration(d)),
                None => {
                    self.report.error(value.span, "wrong-value", format!("{key}: `{text}` is no duration")).help =
                        Some("write for example 500ms, 10s or 1m30s".into());
                }
            }
        }
    }

    fn command(&mut self, node: &mut Node, key: &str) {
        let Some(value) = at(node, key) else { return };
        let span = value.span;
        if let Some(text) = value.scalar() {
            match shell_words::split(&text) {
                Ok(words) => value.value = Value::List(words.into_iter().map(|w| Node::text(w, span)).collect()),
                Err(_) => {
                    self.report.error(span, "wrong-value", format!("{key}: a quote is opened and not closed"));
                }
            }
        } else {
            lines(node, &[key]);
        }
    }

    fn path(&self, text: &str) -> String {
        let path = match (text.strip_prefix('~'), self.home) {
            (Some(rest), Some(home)) if rest.is_empty() || rest.starts_with('/') => {
                PathBuf::from(format!("{home}{rest}"))
            }
            _ => self.base.join(text),
        };
        let mut clean = PathBuf::new();
        for part in path.components() {
            match part {
                Component::ParentDir => {
                    clean.pop();
                }
                Component::CurDir => {}
                part => clean.push(part),
            }
        }
        clean.display().to_string()
    }

    fn env_files(&mut self, node: &mut Node) {
        let Some(value) = at(node, "env_file") else { return };
        let span = value.span;
        let list = match std::mem::replace(&mut value.value, Value::Null) {
            Value::List(list) => list,
            other => vec![Node::new(other, span)],
        };
        let list = list
            .into_iter()
            .map(|element| {
                let span = element.span;
                let mut map = match element.value {
                    Value::Map(map) => map,
                    other => Map::from_iter([("path".to_owned(), Entry { key: span, node: Node::new(other, span) })]),
                };
                if let Some(path) = map.get_mut("path")
                    && let Some(text) = path.node.scalar()
                {
                    path.node.value = Value::Text(self.path(&text));
                }
                let mut element = Node::new(Value::Map(map), span);
                booleans(&mut element, &["required"]);
                element
            })
            .collect();
        value.value = Value::List(list);
    }

    fn extra_hosts(&mut self, node: &mut Node) {
        let Some(value) = at(node, "extra_hosts") else { return };
        let mut list = Vec::new();
        match &value.value {
            Value::List(elements) => {
                for element in elements {
                    let Some(text) = element.scalar() else { continue };
                    match text.split_once('=').or_else(|| text.split_once(':')) {
                        Some((host, address)) => {
                            let address = address.trim_start_matches('[').trim_end_matches(']');
                            list.push(Node::text(format!("{host}={address}"), element.span));
                        }
                        None => {
                            self.report.error(element.span, "wrong-value", format!("`{text}` is not HOST=ADDRESS"));
                        }
                    }
                }
            }
            Value::Map(map) => {
                for (host, entry) in map {
                    let addresses = match &entry.node.value {
                        Value::List(list) => list.iter().filter_map(Node::scalar).collect(),
                        _ => entry.node.scalar().into_iter().collect::<Vec<_>>(),
                    };
                    list.extend(addresses.iter().map(|a| Node::text(format!("{host}={a}"), entry.key)));
                }
            }
            _ => return,
        }
        value.value = Value::List(list);
    }

    fn ports(&mut self, node: &mut Node) {
        let Some(Value::List(list)) = at(node, "ports").map(|n| &mut n.value) else { return };
        let mut ports = Vec::new();
        for mut element in std::mem::take(list) {
            if let Some(text) = element.scalar() {
                match short::ports(&text, element.span) {
                    Ok(spread) => ports.extend(spread),
                    Err(message) => {
                        self.report.error(element.span, "bad-port", message);
                    }
                }
                continue;
            }
            integers(&mut element, &["target"], self.report);
            let span = element.span;
            if let Some(map) = element.as_map_mut() {
                if let Some(published) = map.get_mut("published")
                    && let Some(text) = published.node.scalar()
                {
                    published.node.value = Value::Text(text);
                }
                for (key, default) in [("mode", "ingress"), ("protocol", "tcp")] {
                    map.entry(key.to_owned()).or_insert(Entry { key: span, node: Node::text(default, span) });
                }
            }
            ports.push(element);
        }
        *list = ports;
    }

    fn volumes(&mut self, node: &mut Node) {
        let Some(Value::List(list)) = at(node, "volumes").map(|n| &mut n.value) else { return };
        let mut mounts = Vec::new();
        for element in std::mem::take(list) {
            let mut mount = match element.as_text().map(|text| short::mount(text, element.span)) {
                Some(Ok(mount)) => mount,
                Some(Err(message)) => {
                    self.report.error(element.span, "bad-volume", message);
                    continue;
                }
                None => element,
            };
            booleans(&mut mount, &["read_only"]);
            for (key, flag) in [("bind", "create_host_path"), ("volume", "nocopy")] {
                if let Some(options) = at(&mut mount, key) {
                    booleans(options, &[flag]);
                }
            }
            if let Some(tmpfs) = at(&mut mount, "tmpfs") {
                self.sizes(tmpfs, &["size"]);
                integers(tmpfs, &["mode"], self.report);
            }
            let is_bind = mount.get("type").and_then(Node::as_text) == Some("bind");
            if let (true, Some(source)) = (is_bind, at(&mut mount, "source"))
                && let Some(text) = source.scalar()
            {
                source.value = Value::Text(self.path(&text));
            }
            mounts.push(mount);
        }
        *list = mounts;
    }

    fn names_to_mapping(&mut self, node: &mut Node, key: &str, value: impl Fn(Span) -> Value) {
        let Some(names) = at(node, key) else { return };
        let Value::List(list) = &names.value else { return };
        let map = list
            .iter()
            .filter_map(|n| Some((n.scalar()?, Entry { key: n.span, node: Node::new(value(n.span), n.span) })))
            .collect();
        names.value = Value::Map(map);
    }

    fn depends_on(&mut self, node: &mut Node) {
        for (_, entry) in at(node, "depends_on").and_then(Node::as_map_mut).into_iter().flatten() {
            booleans(&mut entry.node, &["required", "restart"]);
            if entry.node.is_null() {
                entry.node.value = Value::Map(Map::new());
            }
            let span = entry.node.span;
            let Some(map) = entry.node.as_map_mut() else { continue };
            map.entry("condition".into()).or_insert(Entry { key: span, node: Node::text("service_started", span) });
            map.entry("required".into()).or_insert(Entry { key: span, node: Node::new(Value::Bool(true), span) });
        }
    }

    fn ulimits(&mut self, node: &mut Node) {
        for (name, entry) in at(node, "ulimits").and_then(Node::as_map_mut).into_iter().flatten() {
            if entry.node.as_map().is_some() {
                integers(&mut entry.node, &["soft", "hard"], self.report);
            } else {
                integer(&mut entry.node, name, self.report);
            }
        }
    }

    fn healthcheck(&mut self, node: &mut Node) {
        let Some(check) = at(node, "healthcheck") else { return };
        booleans(check, &["disable"]);
        integers(check, &["retries"], self.report);
        self.durations(check, &["interval", "timeout", "start_period", "start_interval"]);
        let Some(test) = at(check, "test") else { return };
        let span = test.span;
        if let Some(text) = test.scalar() {
            test.value = Value::List(vec![Node::text("CMD-SHELL", span), Node::text(text, span)]);
            return;
        }
        let head = test.as_list().and_then(|l| l.first()).and_then(Node::as_text);
        if !matches!(head, Some("CMD" | "CMD-SHELL" | "NONE")) {
            self.report.error(span, "wrong-value", "a health check's test begins with CMD, CMD-SHELL or NONE").help =
                Some("write [\"CMD\", \"program\", \"argument\"], or plain text for a shell command".into());
        }
        lines(check, &["test"]);
    }

    fn deploy(&mut self, node: &mut Node) {
        let Some(deploy) = at(node, "deploy") else { return };
        integers(deploy, &["replicas"], self.report);
        if let Some(policy) = at(deploy, "restart_policy") {
            integers(policy, &["max_attempts"], self.report);
        }
        let Some(resources) = at(deploy, "resources") else { return };
        for key in ["limits", "reservations"] {
            let Some(limits) = at(resources, key) else { continue };
            self.sizes(limits, &["memory"]);
            integers(limits, &["pids"], self.report);
            if let Some(cpus) = at(limits, "cpus") {
                match schema::to_number(cpus) {
                    Some(x) => cpus.value = Value::Float(x),
                    None => {
                        self.report.error(cpus.span, "wrong-value", "cpus must be a number");
                    }
                }
            }
        }
    }
}
