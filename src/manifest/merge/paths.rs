//! Relative paths become absolute: from the folder of the first file.

use super::canonical::section;
use crate::manifest::diagnostic::Report;
use crate::manifest::document::{Node, Value};
use crate::manifest::read::source;

/// Where paths start from.
pub(super) struct Base<'a> {
    /// The folder; it may be relative itself, to be resolved later.
    pub(super) folder: &'a str,
    /// What `~` stands for.
    pub(super) home: Option<&'a str>,
}

impl Base<'_> {
    /// Resolves every path of a file that is in the canonical form.
    pub(super) fn resolve(&self, node: &mut Node, report: &mut Report) {
        let Some(map) = node.as_map_mut() else { return };
        for (_, entry) in section(map, "services") {
            self.service(&mut entry.node, report);
        }
        for name in ["configs", "secrets"] {
            for (_, entry) in section(map, name) {
                text(&mut entry.node, "file", |t| self.maybe(t));
            }
        }
        for (_, entry) in section(map, "volumes") {
            let volume = &mut entry.node;
            let local = volume.get("driver").and_then(Node::as_text) == Some("local");
            if let Some(options) = volume.get_mut("driver_opts").filter(|_| local)
                && options.get("o").and_then(Node::as_text) == Some("bind")
            {
                text(options, "device", |t| self.maybe(t));
            }
        }
    }

    fn service(&self, node: &mut Node, report: &mut Report) {
        if let Some(build) = node.get_mut("build") {
            text(build, "context", |t| self.context(t));
            for key in ["additional_contexts", "ssh"] {
                let entries = build.get_mut(key).and_then(Node::as_map_mut);
                for entry in entries.into_iter().flat_map(|m| m.values_mut()) {
                    if let Value::Text(text) = &mut entry.node.value {
                        *text = if key == "ssh" { self.maybe(text) } else { self.context(text) };
                    }
                }
            }
        }
        for entry in list(node, "env_file") {
            text(entry, "path", |t| self.path(t));
        }
        for entry in list(node, "label_file") {
            if let Value::Text(text) = &mut entry.value {
                *text = self.path(text);
            }
        }
        if let Some(extends) = node.get_mut("extends") {
            text(extends, "file", |t| if is_remote(t) { t.to_owned() } else { self.path(t) });
        }
        if let Some(develop) = node.get_mut("develop") {
            for entry in list(develop, "watch") {
                text(entry, "path", |t| source::without_link(&self.path(t)));
            }
        }
        for entry in list(node, "volumes") {
            if entry.get("type").and_then(Node::as_text) != Some("bind") {
                continue;
            }
            if entry.get("source").is_none() {
                report.error(entry.span, "missing-key", "a mount of type bind has no `source`");
            }
            text(entry, "source", |t| self.maybe(t));
        }
    }

    /// A path of this system.
    pub(super) fn path(&self, text: &str) -> String {
        let text = self.expand(text);
        if text.is_empty() || text.starts_with('/') { text } else { self.join(&text) }
    }

    /// A path of this system, or of Windows.
    fn maybe(&self, text: &str) -> String {
        let text = self.expand(text);
        if text.starts_with('/') || is_windows_absolute(&text) { text } else { self.join(&text) }
    }

    /// A folder to build from, or where one is fetched from.
    fn context(&self, text: &str) -> String {
        let remote =
            text.contains("://") || ["service:", "github.com/", "git@"].iter().any(|prefix| text.starts_with(prefix));
        if remote { text.to_owned() } else { self.path(text) }
    }

    fn expand(&self, text: &str) -> String {
        match (text.strip_prefix('~'), self.home) {
            (Some(rest), Some(home)) => source::clean_text(&format!("{home}/{rest}")),
            _ => text.to_owned(),
        }
    }

    fn join(&self, text: &str) -> String {
        if self.folder.is_empty() {
            source::clean_text(text)
        } else {
            source::clean_text(&format!("{}/{text}", self.folder))
        }
    }
}

fn text(node: &mut Node, key: &str, rule: impl FnOnce(&str) -> String) {
    if let Some(Value::Text(text)) = node.get_mut(key).map(|n| &mut n.value) {
        *text = rule(text);
    }
}

fn list<'n>(node: &'n mut Node, key: &str) -> impl Iterator<Item = &'n mut Node> {
    node.get_mut(key).and_then(Node::as_list_mut).into_iter().flatten()
}

/// `C:\…` or `\\host\share`.
fn is_windows_absolute(text: &str) -> bool {
    let bytes = text.as_bytes();
    let slash = |b: &u8| matches!(b, b'/' | b'\\');
    match bytes {
        [_, b':', rest @ ..] => rest.first().is_some_and(slash),
        [first, second, ..] => slash(first) && slash(second),
        _ => false,
    }
}

/// Whether a file is to be fetched from elsewhere: git, or a registry.
pub(super) fn is_remote(text: &str) -> bool {
    let git = ["https://", "http://", "git://", "ssh://", "github.com/", "git@"].iter().any(|p| text.starts_with(p));
    (git && (text.contains(".git") || text.starts_with("git@") || text.starts_with("github.com/")))
        || text.starts_with("oci://")
}
