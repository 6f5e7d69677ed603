//! Files of the host that containers mount one by one. A mount holds the file it was made with: who replaces a file by
//! another one of its name, as editors and git do, leaves containers with the old one until they are started again. What
//! is written into a file they see at once, but their processes rarely look: `reload` tells them.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::control::message::Message;
use crate::model::fields::{Difference, Repair};
use crate::model::ledger::Contents;
use crate::model::observed::{Container, ContainerState};
use crate::model::service::{MountSource, Reload};
use crate::model::{ContainerId, Project, ProjectName, Service, Timestamp, hash};

/// A project whose files were never looked at, or whose containers are others, waits so long for that before it is decided
/// about. A file system that hangs holds up its own project for this time, and no other one at all.
const PATIENCE: Duration = Duration::from_secs(2);
/// Larger files are no configuration: they are told apart by size and time.
const READ: u64 = 4 << 20;

/// The files of all projects, as they were seen last. Looking is done beside the loop, one look a project at a time.
pub(in crate::control) struct Files {
    sender: mpsc::Sender<Message>,
    projects: BTreeMap<ProjectName, Look>,
}

/// The last look at a project's files.
struct Look {
    of: LookedAt,
    /// Something else is to be looked at once the look that goes on is over.
    is_outdated: bool,
    /// Since when it goes on; `None`: it is over.
    since: Option<Instant>,
    seen: BTreeMap<ContainerId, Seen>,
}

/// What a look is at: another one is needed with each reading of the manifests, and each new process.
#[derive(Clone)]
struct LookedAt {
    target: Arc<Project>,
    reading: Option<Instant>,
    processes: BTreeMap<ContainerId, u32>,
}

impl LookedAt {
    fn is_same(&self, other: &Self) -> bool {
        self.shows_the_same(other) && self.reading == other.reading
    }

    /// Whether what was seen of one says something of the other.
    fn shows_the_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.target, &other.target) && self.processes == other.processes
    }
}

impl Files {
    pub(super) fn new(sender: mpsc::Sender<Message>) -> Self {
        Self { sender, projects: BTreeMap::new() }
    }

    /// Looks at the files of a project where that is due. Gives until when its decision has to wait for that.
    pub(super) fn update<'c>(
        &mut self,
        target: &Arc<Project>,
        reading: Option<Instant>,
        containers: impl Iterator<Item = &'c Container>,
    ) -> Option<Instant> {
        let name = &target.name;
        let concerned = |c: &&Container| {
            let service = c.service.as_ref().filter(|_| !c.oneoff).and_then(|s| target.services.get(s));
            c.pid.is_some() && service.is_some_and(concern)
        };
        let containers: Vec<&Container> =
            if target.services.values().any(concern) { containers.filter(concerned).collect() } else { Vec::new() };
        if containers.is_empty() {
            self.projects.remove(name);
            return None;
        }
        let processes = containers.iter().filter_map(|c| Some((c.id.clone(), c.pid?))).collect();
        let of = LookedAt { target: Arc::clone(target), reading, processes };
        let now = Instant::now();
        match self.projects.get_mut(name) {
            Some(look) if look.of.is_same(&of) => {}
            Some(look) if look.since.is_some() => {
                if !look.of.shows_the_same(&of) {
                    look.seen.clear();
                }
                look.of = of;
                look.is_outdated = true;
            }
            before => {
                let kept = before.filter(|look| look.of.shows_the_same(&of)).map(|look| std::mem::take(&mut look.seen));
                let seen = kept.unwrap_or_default();
                self.begin(&of, containers.into_iter().cloned().collect());
                let look = Look { of, is_outdated: false, since: Some(now), seen };
                self.projects.insert(name.clone(), look);
            }
        }
        let look = self.projects.get(name)?;
        let until = look.since? + PATIENCE;
        (look.seen.is_empty() && now < until).then_some(until)
    }

    fn begin(&self, of: &LookedAt, containers: Vec<Container>) {
        let (sender, target) = (self.sender.clone(), Arc::clone(&of.target));
        tokio::task::spawn_blocking(move || {
            let seen = containers.iter().filter_map(|container| {
                let service = container.service.as_ref().and_then(|s| target.services.get(s))?;
                Some((container.id.clone(), look(&target, service, container)))
            });
            let (project, seen) = (target.name.clone(), seen.collect());
            let _ = sender.blocking_send(Message::Files { project, seen });
        });
    }

    /// A look is over; says whether another one is due.
    pub(super) fn looked(&mut self, project: &ProjectName, seen: Vec<(ContainerId, Seen)>) {
        let Some(look) = self.projects.get_mut(project) else { return };
        look.since = None;
        if std::mem::take(&mut look.is_outdated) {
            // The next decision looks again: what was seen may be of other processes.
            look.of.reading = None;
            look.of.processes.clear();
        } else {
            look.seen = seen.into_iter().collect();
        }
    }

    /// What was seen of the files of a container.
    pub(super) fn seen(&self, project: &ProjectName, id: &ContainerId) -> Option<&Seen> {
        self.projects.get(project)?.seen.get(id)
    }

    /// A project is gone.
    pub(super) fn forget(&mut self, project: &ProjectName) {
        self.projects.remove(project);
    }
}

/// Looks at the files that containers mount, here and now.
pub(in crate::control) fn look_now<'c>(
    target: &Project,
    containers: impl Iterator<Item = &'c Container>,
) -> BTreeMap<ContainerId, Seen> {
    let one = |container: &Container| {
        let service = container.service.as_ref().filter(|_| !container.oneoff).and_then(|s| target.services.get(s))?;
        concern(service).then(|| (container.id.clone(), look(target, service, container)))
    };
    containers.filter_map(one).collect()
}

/// What was seen of the files that a container mounts.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::control) struct Seen {
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
pub(in crate::control) fn concern(service: &Service) -> bool {
    let bind = |source: &MountSource| matches!(source, MountSource::Bind { .. });
    service.mounts.iter().any(|m| bind(&m.source)) || !service.configs.is_empty() || !service.secrets.is_empty()
}

/// Looks at the files that a container mounts. What cannot be looked at is not seen: that of a container of another host,
/// or of a process of another user.
fn look(project: &Project, service: &Service, container: &Container) -> Seen {
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
    pub(in crate::control) fn differences(
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
