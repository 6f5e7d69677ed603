//! What surrounds a service's containers: how its image is built, what runs beside its process, what stands in for it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Bytes, FileReference, Ulimit};

/// `build`: how the image is made, by the Engine's own builder. A context that changed does not build it again, as with
/// `up`; `pull_policy: build` does for each configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Build {
    /// The folder or address that is sent to the builder.
    pub context: String,
    /// The Dockerfile's path in the context.
    pub dockerfile: Option<String>,
    /// A Dockerfile's text in place of a file.
    pub dockerfile_inline: Option<String>,
    /// `network.host`, `security.insecure`.
    pub entitlements: Vec<String>,
    /// Arguments; `None` as a value: the Dockerfile's own stays.
    pub args: BTreeMap<String, Option<String>>,
    /// `provenance`: `true`, `false`, `mode=max`.
    pub provenance: Option<String>,
    /// `sbom`: `true`, `false`, `generator=…`.
    pub sbom: Option<String>,
    /// `default` or `ID=PATH`.
    pub ssh: Vec<String>,
    /// Labels of the image.
    pub labels: BTreeMap<String, String>,
    /// Where layers are looked for.
    pub cache_from: Vec<String>,
    /// Where layers are put.
    pub cache_to: Vec<String>,
    /// Nothing is taken from the cache.
    pub no_cache: bool,
    /// Name to folder, address or image.
    pub additional_contexts: BTreeMap<String, String>,
    /// Base images are fetched anew.
    pub pull: bool,
    /// `HOST=ADDRESS`.
    pub extra_hosts: Vec<String>,
    /// Windows: how its containers are isolated.
    pub isolation: Option<String>,
    /// The network of `RUN` steps.
    pub network: Option<String>,
    /// The stage that is built.
    pub target: Option<String>,
    /// Secrets of `RUN` steps.
    pub secrets: Vec<FileReference>,
    /// `/dev/shm` of `RUN` steps.
    pub shm_size: Option<Bytes>,
    /// Further names of the image.
    pub tags: Vec<String>,
    /// Limits of `RUN` steps.
    pub ulimits: BTreeMap<String, Ulimit>,
    /// `linux/amd64`, …
    pub platforms: Vec<String>,
    /// All of the host's devices and capabilities for `RUN` steps.
    pub privileged: bool,
}

/// `develop`: what `docker compose watch` does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Develop {
    /// Paths and what follows from a change.
    pub watch: Vec<WatchRule>,
}

/// One entry of `develop.watch`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WatchRule {
    /// A file or folder of the host.
    pub path: String,
    /// `sync`, `rebuild`, `restart`, `sync+restart` or `sync+exec`.
    pub action: String,
    /// The path in the container.
    pub target: Option<String>,
    /// What `sync+exec` runs.
    pub exec: Option<Hook>,
    /// Patterns; empty: everything.
    pub include: Vec<String>,
    /// Patterns of paths whose changes are ignored.
    pub ignore: Vec<String>,
    /// Synchronised once at the beginning.
    pub initial_sync: bool,
}

/// A command that is run in a container: `post_start`, `pre_stop`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hook {
    /// The command and its arguments.
    pub command: Vec<String>,
    /// `USER[:GROUP]`; the container's own where absent.
    pub user: Option<String>,
    /// All of the host's devices and capabilities.
    pub privileged: bool,
    /// The folder it starts in.
    pub working_dir: Option<String>,
    /// Variables beside the container's; `None` as a value: without one.
    pub environment: BTreeMap<String, Option<String>>,
}

/// `provider`: a program that stands in for the containers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Provider {
    /// The program's name.
    pub kind: String,
    /// Its options, each with all its values.
    pub options: BTreeMap<String, Vec<String>>,
}

/// One entry of a service's `models`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ModelUse {
    /// The variable that gets the model's address.
    pub endpoint_var: Option<String>,
    /// The variable that gets the model's name.
    pub model_var: Option<String>,
}

/// `credential_spec`: how a Windows container signs in. Compose does not pass it on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CredentialSpec {
    /// The key of a top-level config.
    pub config: Option<String>,
    /// A file of the Engine's.
    pub file: Option<String>,
    /// A value of the host's registry.
    pub registry: Option<String>,
}
