//! Files of the host that containers mount one by one. A mount holds the file it was made with: who replaces a file by
//! another one of its name, as editors and git do, leaves containers with the old one until they are started again. What
//! is written into a file they see at once, but their processes rarely look: `reload` tells them.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::model::fields::{Difference, Repair};
use crate::model::ledger::Contents;
use crate::model::observed::{Container, ContainerState};
use crate::model::service::{MountSource, Reload};
use crate::model::{ContainerId, Project, Service, Timestamp, hash};

/// Larger files are no configuration: they are told apart by size and time.
const READ: u64 = 4 << 20;

/// What was seen of the files that a container mounts.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Seen {
    /// Those that it sees otherwise than the host does.
    replaced: Vec<Difference>,
    /// Those whose changes its process is told of, by the path in the container.
    contents: BTreeMap<String, Content>,
}

#[derive(Debug, Clone, PartialEq)]
struct Content {
    digest: String,
    /// When it was last written.
    written: Timestamp,
}

/// The files that containers of a service mount: on the host, and in the container.
fn mounted<'p>(project: &'p Project, service: &'p Service) -> impl Iterator<Item = (&'p Path, String)> {
    let binds = service.mounts.iter().filter_map(|mount| match &mount.source {
        MountSource::Bind { path, .. } => Some((path.as_path(), mount.target.clone())),
        _ => None,
    });
    let kinds = [("/run/secrets/", &service.secrets, &project.secrets), ("/", &service.configs, &project.configs)];
    let objects = kinds.into_iter().flat_map(|(base, references, objects)| {
        references.iter().filter_map(move |reference| {
            let object = objects.get(&reference.source)?;
            Some((object.file.as_deref()?, reference.mounted_at(base)))
        })
    });
    binds.chain(objects)
}

/// Whether a service mounts something that may be replaced behind its back.
pub(super) fn concern(service: &Service) -> bool {
    let bind = |source: &MountSource| matches!(source, MountSource::Bind { .. });
    service.mounts.iter().any(|m| bind(&m.source)) || !service.configs.is_empty() || !service.secrets.is_empty()
}

/// Looks at the files that a container mounts. What cannot be looked at is not seen: that of a container of another host,
/// or of a process of another user.
pub(super) fn look(project: &Project, service: &Service, container: &Container) -> Seen {
    let mut seen = Seen::default();
    let Some(pid) = container.pid.filter(|pid| is_of(*pid, container)) else { return seen };
    for (source, target) in mounted(project, service) {
        let Some(here) = fs::metadata(source).ok().filter(fs::Metadata::is_file) else { continue };
        let inside = Path::new("/proc").join(pid.to_string()).join("root").join(target.trim_start_matches('/'));
        let Some(there) = fs::symlink_metadata(inside).ok().filter(fs::Metadata::is_file) else { continue };
        if identity(&here) != identity(&there) {
            seen.replaced.push(Difference {
                path: format!("volumes.{target}.inode"),
                desired: Some(here.ino().to_string()),
                observed: Some(there.ino().to_string()),
                repair: Repair::Restart,
                since: None,
            });
        } else if service.extension.reload.is_some()
            && let Some(content) = content(source, &here)
        {
            seen.contents.insert(target, content);
        }
    }
    seen
}

impl Seen {
    /// How what is mounted differs from what the process took notice of. What it took notice of, as far as that is news, is
    /// noted: a file that was not written since the process began is what it read.
    pub(super) fn differences(
        &self,
        reload: Option<&Reload>,
        container: &Container,
        noted: &mut BTreeMap<ContainerId, Contents>,
    ) -> Vec<Difference> {
        let mut differences = self.replaced.clone();
        let repair = match reload {
            Some(Reload::Restart) => Repair::Restart,
            Some(Reload::Signal(_)) => Repair::Signal,
            None => return differences,
        };
        let (Some(pid), ContainerState::Running { since }) = (container.pid, container.state) else {
            return differences;
        };
        if self.contents.is_empty() {
            return differences;
        }
        let known = noted.entry(container.id.clone()).or_insert(Contents { pid, since, files: BTreeMap::new() });
        if !known.is_of(pid, since) {
            *known = Contents { pid, since, files: BTreeMap::new() };
        }
        for (target, content) in &self.contents {
            let as_begun = || if content.written < since { content.digest.clone() } else { "unknown".to_owned() };
            let read = known.files.entry(target.clone()).or_insert_with(as_begun);
            if *read != content.digest {
                differences.push(Difference {
                    path: Contents::path(target),
                    desired: Some(content.digest.clone()),
                    observed: Some(read.clone()),
                    repair,
                    since: None,
                });
            }
        }
        differences
    }
}

fn content(path: &Path, metadata: &fs::Metadata) -> Option<Content> {
    let written = metadata.modified().ok().and_then(|at| Timestamp::try_from(at).ok())?;
    let digest = match metadata.len() {
        0..=READ => format!("sha256 {:.16}", hash::sha256_hex(fs::read(path).ok()?)),
        size => format!("{size} bytes of {written}"),
    };
    Some(Content { digest, written })
}

fn identity(file: &fs::Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}

/// Whether a process of this host is the container's: its control group, or its root, has the container's id in it.
fn is_of(pid: u32, container: &Container) -> bool {
    let folder = Path::new("/proc").join(pid.to_string());
    let tells =
        |file: &str| fs::read_to_string(folder.join(file)).is_ok_and(|text| text.contains(container.id.as_str()));
    tells("cgroup") || tells("mountinfo")
}
