//! Files of the host that containers mount one by one. A mount holds the file it was made with: who replaces a file by
//! another one of its name, as editors and git do, leaves containers with the old one until they are started again.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::model::fields::{Difference, Repair};
use crate::model::observed::Container;
use crate::model::service::MountSource;
use crate::model::{Project, Service};

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

/// The files that a container sees otherwise than the host does. What cannot be looked at is no difference: a container of
/// another host, or a process of another user.
pub(super) fn differences(project: &Project, service: &Service, container: &Container) -> Vec<Difference> {
    let Some(pid) = container.pid.filter(|pid| is_of(*pid, container)) else { return Vec::new() };
    let files = mounted(project, service).filter_map(|(source, target)| {
        let here = fs::metadata(source).ok().filter(fs::Metadata::is_file)?;
        let inside = Path::new("/proc").join(pid.to_string()).join("root").join(target.trim_start_matches('/'));
        let there = fs::symlink_metadata(inside).ok().filter(fs::Metadata::is_file)?;
        (identity(&here) != identity(&there)).then(|| Difference {
            path: format!("volumes.{target}.inode"),
            desired: Some(here.ino().to_string()),
            observed: Some(there.ino().to_string()),
            repair: Repair::Restart,
            since: None,
        })
    });
    files.collect()
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
