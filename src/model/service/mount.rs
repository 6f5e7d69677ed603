//! What a service mounts: folders, volumes, memory, other containers' volumes, configs and secrets.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::model::ServiceName;

/// One entry of `volumes`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// The path in the container.
    pub target: String,
    /// Where it comes from.
    pub source: MountSource,
    /// May not be written.
    pub read_only: bool,
    /// `consistent`, `cached` or `delegated`: a hint of Docker Desktop's.
    #[serde(default)]
    pub consistency: Option<String>,
    /// The `volume` section; `None`: not written. An empty one is told to the Engine too, as Compose does.
    #[serde(default)]
    pub volume: Option<VolumeOptions>,
}

/// Where a mount comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MountSource {
    /// A path of the host.
    Bind {
        /// The absolute path on the host.
        path: PathBuf,
        /// `bind.create_host_path`: a missing path becomes a folder. Also where the `bind` section is absent.
        create: bool,
        /// `rprivate`, `rshared`, …
        propagation: Option<String>,
        /// `z` or `Z`.
        selinux: Option<String>,
        /// How mounts below the path are taken along.
        #[serde(default)]
        recursive: Option<Recursive>,
    },
    /// A top-level volume, by key.
    Volume {
        /// The key under `volumes`.
        key: String,
    },
    /// A volume without a name.
    Anonymous,
    /// A file system in memory.
    Tmpfs {
        /// Its size in bytes; `None`: half of the host's memory.
        size: Option<u64>,
        /// The mode of its top folder.
        mode: Option<u32>,
        /// The `tmpfs` section is there, if only an empty one.
        #[serde(default)]
        written: bool,
    },
    /// A named pipe of Windows.
    Pipe {
        /// `\\.\pipe\…`.
        path: String,
    },
    /// A volume of Swarm's storage plug-ins.
    Cluster {
        /// The name of the cluster volume.
        volume: String,
    },
    /// The file system of an image; API 1.48 and later.
    Image {
        /// The image's reference.
        reference: String,
        /// A folder in it.
        subpath: Option<String>,
        /// The `image` section is there, if only an empty one.
        written: bool,
    },
}

/// `bind.recursive`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recursive {
    /// Mounts below are taken along, read-only where the kernel can do that. The default.
    Enabled,
    /// Mounts below are left out.
    Disabled,
    /// Mounts below stay writable.
    Writable,
    /// Mounts below are read-only, or the start fails.
    Readonly,
}

/// The `volume` section of a mount.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct VolumeOptions {
    /// Do not copy the image's files into an empty volume.
    pub nocopy: bool,
    /// A folder of the volume; API 1.45 and later.
    pub subpath: Option<String>,
    /// Labels of a volume that is made by the mount.
    pub labels: BTreeMap<String, String>,
}

impl VolumeOptions {
    /// Whether the short notation, `SOURCE:TARGET:OPTIONS`, has no word for one of them.
    pub fn beyond_short_notation(&self) -> bool {
        self.nocopy || self.subpath.is_some() || !self.labels.is_empty()
    }
}

/// One entry of `volumes_from`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumesFrom {
    /// The service or container whose volumes are mounted.
    pub source: VolumesSource,
    /// `ro` or `rw` as written. Compose drops it before it asks the Engine, and so does evenkeel.
    pub mode: Option<String>,
}

/// Whose volumes are mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VolumesSource {
    /// Those of a service's first container.
    Service(ServiceName),
    /// Those of a container by name or id.
    Container(String),
}

/// One entry of a service's `configs` or `secrets`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FileReference {
    /// The key of the top-level config or secret.
    pub source: String,
    /// The path in the container, absolute or from `/` (configs) or `/run/secrets/` (secrets) on; `None`: the source's
    /// name there.
    pub target: Option<String>,
    /// The owner; Compose heeds it where the content does not come from a file of the host.
    pub uid: Option<String>,
    /// The group; heeded like `uid`.
    pub gid: Option<String>,
    /// File mode; heeded like `uid`. Default: 0444.
    pub mode: Option<u32>,
}

impl FileReference {
    /// Where it is mounted when it comes from a file of the host. `base` ends with a slash.
    pub fn mounted_at(&self, base: &str) -> String {
        match self.target.as_deref() {
            None | Some("") => format!("{base}{}", self.source),
            Some(target) if absolute(target) => target.to_owned(),
            Some(target) => format!("{base}{target}"),
        }
    }
}

/// A path of Unix or Windows that starts at a root.
fn absolute(path: &str) -> bool {
    let mut start = path.chars();
    let first = start.next();
    let drive = first.is_some_and(|c| c.is_ascii_alphabetic())
        && start.next() == Some(':')
        && start.next().is_some_and(|c| matches!(c, '/' | '\\'));
    first == Some('/') || path.starts_with("\\\\") || drive
}
