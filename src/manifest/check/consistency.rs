//! Mistakes that only show in the whole: what is named and not there, what excludes each other, cycles.

use std::collections::{BTreeMap, BTreeSet};

use crate::manifest::diagnostic::{Report, suggestion};
use crate::manifest::document::{Entry, Map, Node, Span, Value};

/// Checks what a file says of its resources, before its values are bound.
pub(in crate::manifest) fn resources(tree: &Node, report: &mut Report) {
    for (name, entry) in entries(tree, "volumes") {
        let node = &entry.node;
        if !node.get("external").is_some_and(Node::is_true) {
            continue;
        }
        for (key, other) in node.as_map().into_iter().flatten() {
            if !matches!(key.as_str(), "name" | "external") && !key.starts_with("x-") {
                let message = format!("volumes.{name} is external, so nothing else is said of it but its name");
                report.error(other.key, "conflict", message).help = Some(format!("take `{key}` out"));
            }
        }
    }
    let sources: [(&str, &[&str]); 2] =
        [("configs", &["file", "environment", "content"]), ("secrets", &["file", "environment"])];
    for (section, keys) in sources {
        for (name, entry) in entries(tree, section).filter(|(_, e)| e.node.as_map().is_some()) {
            let node = &entry.node;
            let written: Vec<&Entry> = keys.iter().filter_map(|k| node.as_map()?.get(*k)).collect();
            let list = keys.iter().map(|k| format!("`{k}`")).collect::<Vec<_>>().join(", ");
            if let [first, second, ..] = written.as_slice() {
                let other = report.place(first.key);
                let message = format!("{section}.{name}: only one of {list} can be there");
                report.error(second.key, "conflict", message).related.push((other, "the other one".into()));
            } else if written.is_empty() && node.get("driver").is_none() && node.get("external").is_none() {
                let message = format!("{section}.{name}: one of {list} must be there");
                report.error(entry.key, "missing-key", message);
            }
        }
    }
    for (_, entry) in entries(tree, "services") {
        let service = &entry.node;
        for port in list(service, "ports") {
            let Some(address) = port.get("host_ip") else { continue };
            if address.as_text().is_some_and(|a| a.parse::<std::net::IpAddr>().is_err()) {
                let message = format!("`{}` is no IP address", address.scalar().unwrap_or_default());
                report.error(address.span, "wrong-value", message);
            }
        }
        for watch in service.get("develop").map(|n| list(n, "watch")).unwrap_or_default() {
            if let Some(path) = watch.get("path").filter(|p| p.as_text() == Some("")) {
                report.error(path.span, "wrong-value", "the path to watch is empty");
            }
        }
        let reservations = service.get("deploy").and_then(|n| n.get("resources")).and_then(|n| n.get("reservations"));
        let reserved = reservations.map(|n| list(n, "devices")).unwrap_or_default();
        for device in reserved.iter().chain(list(service, "gpus")) {
            if let (Some(_), Some(ids)) = (device.get("count"), device.get("device_ids")) {
                report.error(ids.span, "conflict", "`count` and `device_ids` exclude each other");
            }
        }
    }
}

/// The last line that a value reaches.
fn last_line(node: &Node) -> u32 {
    let inner = match &node.value {
        Value::List(list) => list.iter().map(last_line).max(),
        Value::Map(map) => map.values().map(|e| last_line(&e.node).max(e.key.line)).max(),
        _ => None,
    };
    inner.unwrap_or(0).max(node.span.line)
}

fn entries<'n>(tree: &'n Node, section: &str) -> impl Iterator<Item = (&'n String, &'n Entry)> {
    tree.get(section).and_then(Node::as_map).into_iter().flatten()
}

fn list<'n>(node: &'n Node, key: &str) -> &'n [Node] {
    node.get(key).and_then(Node::as_list).unwrap_or_default()
}

fn text<'n>(node: &'n Node, key: &str) -> &'n str {
    node.get(key).and_then(Node::as_text).unwrap_or_default()
}

/// Checks a bound project. `disabled`: services whose profiles are not enabled.
pub(in crate::manifest) fn check(tree: &Node, disabled: &Map, report: &mut Report) {
    let empty = Map::default();
    let services = tree.get("services").and_then(Node::as_map).unwrap_or(&empty);
    for (name, entry) in services.iter().filter(|(_, e)| e.node.as_map().is_some()) {
        let mut checker = Checker { tree, services, disabled, name, node: &entry.node, key: entry.key, report };
        checker.source();
        checker.references();
        checker.limits();
        checker.scale();
        checker.mounts();
    }
    cycles(services, report);
    containers(services, report);
}

struct Checker<'a> {
    tree: &'a Node,
    services: &'a Map,
    disabled: &'a Map,
    name: &'a str,
    node: &'a Node,
    key: Span,
    report: &'a mut Report,
}

impl Checker<'_> {
    fn place(&self, key: &str) -> Span {
        self.node.get(key).map_or(self.key, |n| n.span)
    }

    /// Whether it says what it runs: an image, a build or a provider.
    fn source(&mut self) {
        let (name, node) = (self.name, self.node);
        let build = node.get("build");
        let source = ["image", "build", "provider"].iter().any(|key| node.get(key).is_some());
        // A mistake in the service may be why: a misspelt key, a base that is not there.
        if !source && !self.report.has_error_within(self.key, last_line(node)) {
            let message = format!("the service `{name}` has neither `image` nor `build`");
            self.report.error(self.key, "no-image", message).help = Some("add `image:`".into());
        }
        if let Some(build) = build {
            if let (Some(_), Some(inline)) = (build.get("dockerfile"), build.get("dockerfile_inline")) {
                let message = "`dockerfile` and `dockerfile_inline` exclude each other";
                self.report.error(inline.span, "conflict", message);
            }
            for (context, entry) in entries(build, "additional_contexts") {
                let Some(other) = entry.node.as_text().and_then(|t| t.strip_prefix("service:")) else { continue };
                let known = self.services.get(other);
                if known.is_none_or(|e| e.node.get("build").is_none()) {
                    let what = if known.is_none() { "there is no such service" } else { "which is not built" };
                    let message = format!("the context `{context}` is the service `{other}`: {what}");
                    self.report.error(entry.node.span, "undefined-service", message);
                }
            }
            let platforms = list(build, "platforms");
            let own = text(node, "platform");
            if !platforms.is_empty() && !own.is_empty() && !platforms.iter().any(|p| p.as_text() == Some(own)) {
                let message = format!("`build.platforms` must have the service's own platform `{own}`");
                self.report.error(self.place("platform"), "conflict", message);
            }
        }
        let test = node.get("healthcheck").map(|n| list(n, "test")).unwrap_or_default();
        if let Some(first) = test.first()
            && !matches!(first.as_text(), Some("CMD" | "CMD-SHELL" | "NONE"))
        {
            let message = "a health check's test begins with CMD, CMD-SHELL or NONE";
            self.report.error(first.span, "wrong-value", message).help =
                Some("write it as text, or put CMD before the words".into());
        }
        for watch in node.get("develop").map(|n| list(n, "watch")).unwrap_or_default() {
            if text(watch, "target").is_empty() && !matches!(text(watch, "action"), "rebuild" | "restart") {
                self.report.error(watch.span, "missing-key", "a path that is synchronised needs a `target`");
            }
        }
    }

    fn references(&mut self) {
        let (name, node, tree) = (self.name, self.node, self.tree);
        if !text(node, "network_mode").is_empty() && node.get("networks").is_some() {
            let message = format!("`{name}` has both `network_mode` and `networks`");
            self.report.error(self.place("network_mode"), "conflict", message).help = Some("keep one of them".into());
        }
        for (network, entry) in entries(node, "networks") {
            self.defined("network", "networks", network, entry.key, tree);
        }
        for (dependency, entry) in entries(node, "depends_on") {
            if self.services.contains_key(dependency) {
                continue;
            }
            let required = entry.node.get("required").is_some_and(Node::is_true);
            if self.disabled.contains_key(dependency) {
                if required {
                    let message = format!("`{name}` depends on `{dependency}`, whose profile is not enabled");
                    self.report.error(entry.key, "undefined-dependency", message).help =
                        Some("enable the profile, or write `required: false`".into());
                }
            } else {
                let how = self.implied_by(dependency);
                let how = how.map_or_else(|| "depends on".to_owned(), |key| format!("names in `{key}`"));
                let message = format!("`{name}` {how} `{dependency}`, and there is no such service");
                let help = suggestion(dependency, self.services.keys().map(String::as_str));
                self.report.error(entry.key, "undefined-dependency", message).help = help;
            }
        }
        for mount in list(node, "volumes").iter().filter(|m| text(m, "type") == "volume") {
            if let Some(source) = mount.get("source")
                && let Some(volume) = source.as_text()
                && tree.get("volumes").and_then(|n| n.get(volume)).is_none()
            {
                let message = format!("`{name}` uses the volume `{volume}`, which is not defined under `volumes`");
                let known = entries(tree, "volumes").map(|(k, _)| k.as_str());
                let help = suggestion(volume, known)
                    .or_else(|| Some(format!("add `{volume}:` under `volumes`, or write `./{volume}` for a path")));
                self.report.error(source.span, "undefined-volume", message).help = help;
            }
        }
        for (what, section) in [("config", "configs"), ("secret", "secrets")] {
            let used = list(node, section).iter();
            let built = node.get("build").filter(|_| section == "secrets").map(|n| list(n, section));
            for reference in used.chain(built.unwrap_or_default()) {
                let place = reference.get("source").map_or(reference.span, |n| n.span);
                self.defined(what, section, text(reference, "source"), place, tree);
            }
        }
        for (model, entry) in entries(node, "models") {
            self.defined("model", "models", model, entry.key, tree);
        }
    }

    /// The key that makes it depend on another service without saying so.
    fn implied_by(&self, dependency: &str) -> Option<&'static str> {
        let names = |text: &str| text.split(':').next() == Some(dependency);
        let lists = ["links", "volumes_from"].into_iter();
        let list = lists.clone().find(|key| list(self.node, key).iter().filter_map(Node::as_text).any(names));
        let modes = ["network_mode", "ipc", "pid", "uts", "cgroup"];
        list.or_else(|| modes.into_iter().find(|key| text(self.node, key).strip_prefix("service:") == Some(dependency)))
    }

    fn defined(&mut self, what: &str, section: &str, name: &str, place: Span, tree: &Node) {
        if tree.get(section).and_then(Node::as_map).is_some_and(|m| m.contains_key(name)) {
            return;
        }
        let message = format!("`{}` uses the {what} `{name}`, which is not defined under `{section}`", self.name);
        let help = suggestion(name, entries(tree, section).map(|(k, _)| k.as_str()));
        self.report.error(place, &format!("undefined-{what}"), message).help = help;
    }

    /// Limits that are written in two places.
    fn limits(&mut self) {
        let Some(resources) = self.node.get("deploy").and_then(|n| n.get("resources")) else { return };
        let pairs = [
            ("cpus", "limits", "cpus"),
            ("mem_limit", "limits", "memory"),
            ("mem_reservation", "reservations", "memory"),
            ("pids_limit", "limits", "pids"),
        ];
        for (key, section, other) in pairs {
            let (Some(own), Some(section_node)) = (self.node.get(key), resources.get(section)) else { continue };
            let there = section_node.get(other);
            if !there.is_some_and(|n| n.same(own)) {
                let place = there.map_or(section_node.span, |n| n.span);
                let related = (self.report.place(place), format!("the other value of `{key}`"));
                let message = format!("`{key}` and `deploy.resources.{section}.{other}` differ");
                let diagnostic = self.report.error(own.span, "conflict", message);
                diagnostic.related.push(related);
                diagnostic.help = Some("write it in one of the two places".into());
            }
        }
    }

    fn scale(&mut self) {
        let scale = self.node.get("scale");
        let replicas = self.node.get("deploy").and_then(|n| n.get("replicas"));
        if let (Some(scale), Some(replicas)) = (scale, replicas)
            && !scale.same(replicas)
        {
            let other = self.report.place(replicas.span);
            let message = "`scale` and `deploy.replicas` differ";
            self.report.error(scale.span, "conflict", message).related.push((other, "the other number".into()));
        }
        for count in [scale, replicas].into_iter().flatten() {
            if count.as_int().is_some_and(|n| n < 0) {
                self.report.error(count.span, "wrong-value", "the number of containers cannot be negative");
            }
        }
        if let Some(count) = scale.or(replicas)
            && count.as_int().is_some_and(|n| n > 1)
            && !text(self.node, "container_name").is_empty()
        {
            let message = format!("`{}` has a `container_name`, so it can have one container only", self.name);
            self.report.error(count.span, "conflict", message);
        }
    }

    /// Two mounts at one place.
    fn mounts(&mut self) {
        let mut seen: BTreeMap<&str, Span> = BTreeMap::new();
        let tmpfs = list(self.node, "tmpfs")
            .iter()
            .filter_map(|n| Some((n.as_text()?.split(':').next().unwrap_or_default(), n.span)));
        let volumes = list(self.node, "volumes").iter().map(|n| (text(n, "target"), n.span));
        for (target, span) in tmpfs.chain(volumes) {
            if let Some(first) = seen.insert(target, span) {
                let other = self.report.place(first);
                let message = format!("`{}` mounts two things at `{target}`", self.name);
                self.report.error(span, "conflict", message).related.push((other, "the other one".into()));
            }
        }
    }
}

/// Each cycle of dependencies, once, with its path.
fn cycles(services: &Map, report: &mut Report) {
    // Without recursion: a chain of dependencies may be longer than the stack is deep.
    let next = |name: &str| {
        let dependencies = services.get(name).and_then(|e| e.node.get("depends_on")).and_then(Node::as_map);
        let known = dependencies.into_iter().flatten().filter(|(k, _)| services.contains_key(k.as_str()));
        known.map(|(k, e)| (k.as_str(), e.key))
    };
    let (mut done, mut found) = (BTreeSet::new(), Vec::new());
    for start in services.keys().map(String::as_str) {
        let mut path: Vec<(&str, Span, _)> = Vec::new();
        let mut on_path = BTreeSet::new();
        if done.insert(start) {
            on_path.insert(start);
            path.push((start, Span::default(), next(start)));
        }
        while let Some((name, _, rest)) = path.last_mut() {
            match rest.next() {
                None => {
                    on_path.remove(*name);
                    path.pop();
                }
                Some((dependency, span)) if on_path.contains(dependency) => {
                    let steps = path.iter().skip_while(|(name, ..)| *name != dependency);
                    let mut steps: Vec<(&str, Span)> = steps.map(|(name, span, _)| (*name, *span)).collect();
                    if let Some(first) = steps.first_mut() {
                        first.1 = span;
                    }
                    found.push(steps);
                }
                Some((dependency, span)) if done.insert(dependency) => {
                    on_path.insert(dependency);
                    path.push((dependency, span, next(dependency)));
                }
                Some(_) => {}
            }
        }
    }
    for cycle in found {
        let mut names: Vec<&str> = cycle.iter().chain(cycle.first()).map(|(name, _)| *name).collect();
        // Each step with the place where the one before it names it; the last one names the first.
        let steps = names.windows(2).zip(cycle.iter().skip(1).chain(cycle.first()));
        let mut steps = steps.map(|(pair, (_, span))| (*span, format!("`{}` waits for `{}`", pair[0], pair[1])));
        let place = steps.next().map(|(span, _)| span).unwrap_or_default();
        let related: Vec<_> = steps.take(MOST_SHOWN).map(|(span, label)| (report.place(span), label)).collect();
        if names.len() > 2 * MOST_SHOWN {
            names.splice(MOST_SHOWN..names.len() - 2, ["…"]);
        }
        let diagnostic = report.error(place, "cycle", format!("dependency cycle: {}", names.join(" -> ")));
        diagnostic.help = Some("take one of these out of `depends_on`".into());
        diagnostic.related = related;
    }
}

/// Of a longer cycle the beginning is shown.
const MOST_SHOWN: usize = 10;

/// Two services with one `container_name`.
fn containers(services: &Map, report: &mut Report) {
    let mut seen: BTreeMap<&str, (&str, Span)> = BTreeMap::new();
    for (name, entry) in services {
        let Some(node) = entry.node.get("container_name") else { continue };
        let Some(container) = node.as_text() else { continue };
        if let Some((first, span)) = seen.insert(container, (name, node.span)) {
            let other = report.place(span);
            let message = format!("`{first}` and `{name}` have the same container_name `{container}`");
            report.error(node.span, "conflict", message).related.push((other, "the other one".into()));
        }
    }
}

/// Drops the resources that no service uses.
pub(in crate::manifest) fn drop_unused(tree: &mut Node) {
    let mut used: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (_, entry) in entries(tree, "services") {
        let service = &entry.node;
        for section in ["networks", "models"] {
            used.entry(section).or_default().extend(entries(service, section).map(|(k, _)| k.clone()));
        }
        let volumes = list(service, "volumes").iter().filter(|m| text(m, "type") == "volume");
        used.entry("volumes").or_default().extend(volumes.map(|m| text(m, "source").to_owned()));
        for section in ["secrets", "configs"] {
            let own = list(service, section).iter();
            let built = service.get("build").filter(|_| section == "secrets").map(|n| list(n, section));
            let sources = own.chain(built.unwrap_or_default()).map(|n| text(n, "source").to_owned());
            used.entry(section).or_default().extend(sources);
        }
    }
    for section in ["networks", "models", "volumes", "secrets", "configs"] {
        let names = used.remove(section).unwrap_or_default();
        let Some(map) = tree.as_map_mut() else { return };
        if let Some(Value::Map(entries)) = map.get_mut(section).map(|e| &mut e.node.value) {
            entries.retain(|name, _| names.contains(name));
            if entries.is_empty() {
                map.shift_remove(section);
            }
        }
    }
}
