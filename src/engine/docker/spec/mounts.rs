//! What a container mounts: in the short notation where that says it all, as it makes missing folders of the host.

use bollard::models::{Mount, MountBindOptions, MountImageOptions, MountTmpfsOptions, MountType, MountVolumeOptions};

use super::{Api, refused, word};
use crate::engine::{ContainerSpec, EngineError};
use crate::model::project::FileObject;
use crate::model::service::{self, FileReference, MountSource, Recursive, VolumeOptions};

/// Binds and mounts of a container.
pub(super) fn mounts(spec: &ContainerSpec<'_>, api: Api) -> Result<(Vec<String>, Vec<Mount>), EngineError> {
    let (mut binds, mut mounts) = (Vec::new(), Vec::new());
    for mount in &spec.service.mounts {
        match short(mount, spec) {
            Some(bind) => binds.push(bind),
            None => mounts.push(long(mount, spec, api)?),
        }
    }
    // What the image wants a volume for.
    let own = |target: &str| spec.service.mounts.iter().any(|m| m.target == target);
    let of_image = spec.inherited.iter().filter(|(target, _)| !own(target));
    binds.extend(of_image.map(|(target, volume)| format!("{volume}:{target}:rw")));
    let secrets = files(&spec.service.secrets, spec.secrets, "/run/secrets/", Some(MountBindOptions::default()));
    let configs = files(&spec.service.configs, spec.configs, "/", None);
    for file in secrets.into_iter().chain(configs) {
        let taken = spec.service.mounts.iter().any(|m| Some(&m.target) == file.target.as_ref())
            || mounts.iter().any(|m| m.target == file.target);
        if !taken {
            mounts.push(file);
        }
    }
    Ok((binds, mounts))
}

/// `SOURCE:TARGET:OPTIONS`; `None`: it has no word for one of the options.
fn short(mount: &service::Mount, spec: &ContainerSpec<'_>) -> Option<String> {
    let mut options = vec![if mount.read_only { "ro" } else { "rw" }.to_owned()];
    let source = match &mount.source {
        MountSource::Bind { path, create: true, propagation: None, selinux, recursive: None } => {
            options.extend(selinux.clone());
            path.display().to_string()
        }
        MountSource::Volume { key } if !mount.volume.as_ref().is_some_and(VolumeOptions::beyond_short_notation) => {
            (*spec.volumes.get(key.as_str())?).to_owned()
        }
        _ => return None,
    };
    Some(format!("{source}:{}:{}", mount.target, options.join(",")))
}

fn long(mount: &service::Mount, spec: &ContainerSpec<'_>, api: Api) -> Result<Mount, EngineError> {
    let base = Mount {
        target: Some(mount.target.clone()),
        read_only: Some(mount.read_only),
        consistency: mount.consistency.clone(),
        ..Mount::default()
    };
    if api < (1, 45) && mount.volume.as_ref().is_some_and(|options| options.subpath.is_some()) {
        // Earlier ones mount all of it, in silence.
        return Err(refused("volume.subpath needs Docker Engine 26 or later"));
    }
    let volume_options = mount.volume.as_ref().map(|options| MountVolumeOptions {
        no_copy: Some(options.nocopy),
        labels: (!options.labels.is_empty()).then(|| options.labels.clone().into_iter().collect()),
        subpath: options.subpath.clone(),
        driver_config: None,
    });
    Ok(match &mount.source {
        MountSource::Bind { path, create, propagation, recursive, .. } => Mount {
            typ: Some(MountType::BIND),
            source: Some(path.display().to_string()),
            bind_options: Some(MountBindOptions {
                propagation: word("bind.propagation", propagation.as_deref())?,
                create_mountpoint: create.then_some(true),
                non_recursive: (*recursive == Some(Recursive::Disabled)).then_some(true),
                read_only_non_recursive: (*recursive == Some(Recursive::Writable)).then_some(true),
                read_only_force_recursive: (*recursive == Some(Recursive::Readonly)).then_some(true),
            }),
            ..base
        },
        MountSource::Volume { key } => Mount {
            typ: Some(MountType::VOLUME),
            source: Some(spec.volumes.get(key.as_str()).map_or_else(|| key.clone(), |name| (*name).to_owned())),
            volume_options,
            ..base
        },
        MountSource::Anonymous => {
            let source = spec.inherited.get(&mount.target).cloned();
            Mount { typ: Some(MountType::VOLUME), source, volume_options, ..base }
        }
        MountSource::Tmpfs { size, mode, written } => Mount {
            typ: Some(MountType::TMPFS),
            tmpfs_options: (*written || size.is_some() || mode.is_some()).then(|| MountTmpfsOptions {
                size_bytes: size.and_then(|s| i64::try_from(s).ok()),
                mode: mode.map(i64::from),
                options: None,
            }),
            ..base
        },
        MountSource::Pipe { path } => Mount { typ: Some(MountType::NPIPE), source: Some(path.clone()), ..base },
        MountSource::Cluster { volume } => {
            Mount { typ: Some(MountType::CLUSTER), source: Some(volume.clone()), ..base }
        }
        MountSource::Image { reference, subpath, written } => {
            if api < (1, 48) {
                return Err(refused("a mount of type image needs Docker Engine 28 or later"));
            }
            Mount {
                typ: Some(MountType::IMAGE),
                source: Some(reference.clone()),
                image_options: written.then(|| MountImageOptions { subpath: subpath.clone() }),
                ..base
            }
        }
    })
}

/// Configs or secrets that are files of the host. The others are copied in before the start.
fn files(
    references: &[FileReference],
    objects: &std::collections::BTreeMap<String, FileObject>,
    base: &str,
    options: Option<MountBindOptions>,
) -> Vec<Mount> {
    let mut mounts: Vec<Mount> = Vec::new();
    for reference in references {
        let Some(object) = objects.get(&reference.source) else { continue };
        let Some(file) = object.file.as_ref().filter(|_| object.environment.is_none() && object.content.is_none())
        else {
            continue;
        };
        let target = reference.mounted_at(base);
        mounts.retain(|m| m.target.as_ref() != Some(&target));
        mounts.push(Mount {
            typ: Some(MountType::BIND),
            source: Some(file.display().to_string()),
            target: Some(target),
            read_only: Some(true),
            bind_options: options.clone(),
            ..Mount::default()
        });
    }
    mounts
}
