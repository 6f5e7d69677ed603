//! `volumes`, `tmpfs`, `volumes_from`, `configs` and `secrets` of a service.

use super::read::{count, flag, integer, is_set, mode, nodes, text, text_list, text_map};
use crate::manifest::diagnostic::Report;
use crate::manifest::document::Node;
use crate::model::ServiceName;
use crate::model::service::{FileReference, Mount, MountSource, Recursive, VolumeOptions, VolumesFrom, VolumesSource};

pub(super) fn mounts(service: &Node, report: &mut Report) -> Vec<Mount> {
    let mut mounts: Vec<Mount> = Vec::new();
    for node in nodes(service, "volumes") {
        let Some(target) = text(node, "target") else {
            report.error(node.span, "bad-volume", "a mount needs a `target`");
            continue;
        };
        let kind = text(node, "type").unwrap_or_else(|| "volume".to_owned());
        if !target.starts_with('/') && kind != "npipe" {
            report.error(node.span, "bad-volume", format!("the target `{target}` must be an absolute path"));
        }
        let Some(source) = source(node, &kind) else {
            report.error(node.span, "bad-volume", format!("a mount of type `{kind}` needs a `source`"));
            continue;
        };
        mounts.push(Mount {
            target,
            source,
            read_only: is_set(node, "read_only"),
            consistency: text(node, "consistency"),
            volume: section(node, "volume").map(|n| VolumeOptions {
                nocopy: is_set(n, "nocopy"),
                subpath: text(n, "subpath"),
                labels: text_map(n, "labels"),
            }),
        });
    }
    mounts
}

fn section<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    node.get(key).filter(|n| !n.is_null())
}

/// `None`: it needs a source and has none.
fn source(node: &Node, kind: &str) -> Option<MountSource> {
    let from = text(node, "source");
    Some(match kind {
        "bind" => {
            let options = section(node, "bind");
            MountSource::Bind {
                path: from?.into(),
                create: options.is_none_or(|n| flag(n, "create_host_path").unwrap_or(false)),
                propagation: options.and_then(|n| text(n, "propagation")),
                selinux: options.and_then(|n| text(n, "selinux")),
                recursive: options.and_then(|n| text(n, "recursive")).and_then(|word| recursive(&word)),
            }
        }
        "tmpfs" => {
            let options = section(node, "tmpfs");
            MountSource::Tmpfs {
                size: options.and_then(|n| count(n, "size")).filter(|n| *n != 0),
                mode: options.and_then(|n| integer(n, "mode")).and_then(|n| u32::try_from(n).ok()).filter(|n| *n != 0),
                written: options.is_some(),
            }
        }
        "npipe" => MountSource::Pipe { path: from? },
        "cluster" => MountSource::Cluster { volume: from? },
        "image" => {
            let options = section(node, "image");
            MountSource::Image {
                reference: from?,
                subpath: options.and_then(|n| text(n, "subpath")),
                written: options.is_some(),
            }
        }
        _ => match from {
            Some(key) => MountSource::Volume { key },
            None => MountSource::Anonymous,
        },
    })
}

fn recursive(word: &str) -> Option<Recursive> {
    Some(match word {
        "enabled" => Recursive::Enabled,
        "disabled" => Recursive::Disabled,
        "writable" => Recursive::Writable,
        "readonly" => Recursive::Readonly,
        _ => return None,
    })
}

/// `[SERVICE|container:NAME][:MODE]`.
pub(super) fn volumes_from(service: &Node) -> Vec<VolumesFrom> {
    let entry = |text: String| {
        let mut parts = text.split(':').map(str::to_owned);
        let first = parts.next().unwrap_or_default();
        let source = match (first.as_str(), parts.clone().next()) {
            ("container", Some(name)) => {
                parts.next();
                VolumesSource::Container(name)
            }
            _ => VolumesSource::Service(ServiceName::trusted(first)),
        };
        VolumesFrom { source, mode: parts.next() }
    };
    text_list(service, "volumes_from").into_iter().map(entry).collect()
}

/// `configs` or `secrets`.
pub(super) fn references(node: &Node, key: &str) -> Vec<FileReference> {
    nodes(node, key)
        .iter()
        .map(|n| FileReference {
            source: text(n, "source").or_else(|| n.scalar()).unwrap_or_default(),
            target: text(n, "target"),
            uid: text(n, "uid"),
            gid: text(n, "gid"),
            mode: mode(n, "mode"),
        })
        .collect()
}
