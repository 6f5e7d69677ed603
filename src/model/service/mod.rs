//! A service as its manifest wants it.

mod deploy;
mod extras;
mod mount;
mod network;
mod probe;
mod recovery;
mod resources;
mod throttle;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use deploy::{Deploy, FailureAction, Order, Placement, Quota, SwarmRestart, UpdateConfig};
pub use extras::{Build, CredentialSpec, Develop, Hook, ModelUse, Provider, WatchRule};
pub use mount::{FileReference, Mount, MountSource, Recursive, VolumeOptions, VolumesFrom, VolumesSource};
pub use network::{Attachment, ExternalLink, Link, NamespaceMode, Port};
pub use probe::{HttpProbe, Probe, ProbeKind};
pub use recovery::{Backoff, Cascade, FailureKind, Recovery, Strategy};
pub use resources::{Blkio, Bytes, Device, DeviceRate, DeviceRequest, Resources, Ulimit};
pub use throttle::{CpuThrottle, MemoryThrottle, Throttle};

use super::{ContainerId, ProjectName, ServiceName, hash};

/// One service, every attribute resolved. `None` and empty mean "not written".
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Service {
    /// The key under `services`.
    pub name: ServiceName,
    /// SHA-256 of its configuration, as Compose computes it. For a service that shares with others' containers this
    /// tells one configuration from another; what stands on its containers is [`Service::label_hash`].
    pub config_hash: String,
    /// Where the configuration holds the ids of others' containers: what is hashed, with a mark for each id, see
    /// [`Service::mark`].
    pub hash_template: Option<String>,
    /// The containers it shares with, as far as they are there. Not part of the configuration.
    #[serde(skip)]
    pub peers: BTreeMap<ServiceName, ContainerId>,
    /// The image's reference.
    pub image: String,
    /// When the image is fetched.
    pub pull_policy: PullPolicy,
    /// Overrides the image's `CMD`.
    pub command: Option<Vec<String>>,
    /// Overrides the image's `ENTRYPOINT`.
    pub entrypoint: Option<Vec<String>>,
    /// `None` as a value: the image's own variable of that name is removed.
    pub environment: BTreeMap<String, Option<String>>,
    /// The labels written in the manifest.
    pub labels: BTreeMap<String, String>,
    /// The host name that its processes see.
    pub hostname: Option<String>,
    /// NIS domain name.
    pub domainname: Option<String>,
    /// `USER[:GROUP]`.
    pub user: Option<String>,
    /// The folder the command starts in.
    pub working_dir: Option<String>,
    /// A name in place of `PROJECT-SERVICE-NUMBER`.
    pub container_name: Option<String>,
    /// How many containers it is to have.
    pub replicas: u32,
    /// Other services and what is waited for.
    pub depends_on: BTreeMap<ServiceName, Dependency>,
    /// The check the Engine runs.
    pub healthcheck: Option<Healthcheck>,
    /// `deploy.restart_policy`, else `restart`; `None`: not written.
    pub restart: Option<RestartPolicy>,
    /// Published and exposed ports.
    pub ports: Vec<Port>,
    /// Ports told to linked containers only: `PORT[/PROTOCOL]`.
    pub expose: Vec<String>,
    /// Bind mounts, volumes and tmpfs mounts.
    pub mounts: Vec<Mount>,
    /// Short-form `tmpfs`: path to options.
    pub tmpfs: BTreeMap<String, String>,
    /// Networks by key, the one with the highest priority first.
    pub networks: IndexMap<String, Attachment>,
    /// Whose network namespace: instead of networks.
    pub network_mode: Option<NamespaceMode>,
    /// A hardware address for the network with the highest priority.
    pub mac_address: Option<String>,
    /// Services whose containers it knows by further names.
    pub links: Vec<Link>,
    /// The same for anybody's containers.
    pub external_links: Vec<ExternalLink>,
    /// Limits, reservations and devices.
    pub resources: Resources,
    /// `deploy` as written. What of it is in force is in `replicas`, `resources` and `restart`.
    pub deploy: Option<Deploy>,
    /// The signal that asks the process to end.
    pub stop_signal: Option<String>,
    /// How long it may take. The Engine's default is 10 s.
    pub stop_grace_period: Option<Duration>,
    /// Capabilities beyond the Engine's own set.
    pub cap_add: Vec<String>,
    /// Capabilities of the Engine's own set that it does without.
    pub cap_drop: Vec<String>,
    /// All of the host's devices and capabilities.
    pub privileged: bool,
    /// The root file system is read-only.
    pub read_only: bool,
    /// An init process as PID 1.
    pub init: Option<bool>,
    /// A terminal.
    pub tty: bool,
    /// Whether standard input is kept open while nobody is attached.
    pub stdin_open: bool,
    /// `HOST:ADDRESS`.
    pub extra_hosts: Vec<String>,
    /// Addresses of name servers in place of the host's.
    pub dns: Vec<String>,
    /// Domains that bare host names are looked up in.
    pub dns_search: Vec<String>,
    /// Options of `resolv.conf`.
    pub dns_opt: Vec<String>,
    /// Kernel parameters of the container's namespaces.
    pub sysctls: BTreeMap<String, String>,
    /// Limits of processes, by name.
    pub ulimits: BTreeMap<String, Ulimit>,
    /// The log driver and its options.
    pub logging: Option<Logging>,
    /// `label=…`, `no-new-privileges`, `seccomp=…` with the profile itself in place of its path.
    pub security_opt: Vec<String>,
    /// `systempaths=unconfined` among `security_opt`: nothing below `/proc` and `/sys` is hidden or read-only.
    pub unconfined_paths: bool,
    /// Further groups of its first process, by name or number.
    pub group_add: Vec<String>,
    /// Configs it gets as files.
    pub configs: Vec<FileReference>,
    /// Secrets it gets as files.
    pub secrets: Vec<FileReference>,
    /// Volumes of other containers.
    pub volumes_from: Vec<VolumesFrom>,
    /// The driver of volumes that are made by a mount.
    pub volume_driver: Option<String>,
    /// Options of the storage driver.
    pub storage_opt: BTreeMap<String, String>,
    /// Annotations for the runtime; API 1.43 and later.
    pub annotations: BTreeMap<String, String>,
    /// Whose IPC namespace.
    pub ipc: Option<NamespaceMode>,
    /// Whose PID namespace.
    pub pid: Option<NamespaceMode>,
    /// `host`: without the Engine's remapping of users.
    pub userns_mode: Option<String>,
    /// `host`: the host's name.
    pub uts: Option<String>,
    /// Whose cgroup namespace: `host` or `private`.
    pub cgroup: Option<String>,
    /// Windows: `default`, `process` or `hyperv`.
    pub isolation: Option<String>,
    /// `OS/ARCH[/VARIANT]` of the image.
    pub platform: Option<String>,
    /// The OCI runtime.
    pub runtime: Option<String>,
    /// The Engine's socket and the credentials of registries are in the containers. The mount, the variable and the
    /// config that this stands for are among the others.
    pub use_api_socket: bool,
    /// Windows: how it signs in.
    pub credential_spec: Option<CredentialSpec>,
    /// How its image is made.
    pub build: Option<Build>,
    /// What `docker compose watch` does.
    pub develop: Option<Develop>,
    /// Whether `docker compose up` shows its output; `None`: it does.
    pub attach: Option<bool>,
    /// A program in place of containers.
    pub provider: Option<Provider>,
    /// Models it uses, by key.
    pub models: BTreeMap<String, ModelUse>,
    /// Run in a container after its start, one after the other.
    pub post_start: Vec<Hook>,
    /// Run in a container before it is stopped, one after the other.
    pub pre_stop: Vec<Hook>,
    /// Profiles that enable it; empty: always.
    pub profiles: Vec<String>,
    /// `x-evenkeel` of the service.
    pub extension: ServiceExtension,
}

impl Default for ServiceName {
    fn default() -> Self {
        Self::trusted("")
    }
}

/// `pull_policy`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PullPolicy {
    /// Not written: built where there is a `build`, else fetched, where it is not there.
    #[default]
    Unwritten,
    /// Fetched where it is not there.
    Missing,
    /// The image has to be there, and is never fetched.
    Never,
    /// Fetched anew before a container is made, once for each configuration.
    Always,
    /// Built anew, once for each configuration.
    Build,
    /// Fetched anew when the last time is so long ago: `daily`, `weekly`, `every_…`.
    Every(Duration),
}

/// One entry of `depends_on`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependency {
    /// What is waited for.
    pub condition: Condition,
    /// `false`: a dependency that failed does not block.
    pub required: bool,
    /// Restarted when the dependency was.
    pub restart: bool,
}

/// `depends_on.condition`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Condition {
    /// A container of it runs.
    #[serde(rename = "service_started")]
    Started,
    /// Its health check passes.
    #[serde(rename = "service_healthy")]
    Healthy,
    /// It ended with 0.
    #[serde(rename = "service_completed_successfully")]
    CompletedSuccessfully,
}

impl Condition {
    /// Compose's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Started => "service_started",
            Self::Healthy => "service_healthy",
            Self::CompletedSuccessfully => "service_completed_successfully",
        }
    }
}

/// `healthcheck`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Healthcheck {
    /// `["NONE"]`, `["CMD", …]` or `["CMD-SHELL", …]`; empty: the image's own.
    pub test: Vec<String>,
    /// The pause between two checks.
    pub interval: Option<Duration>,
    /// How long one check may take.
    pub timeout: Option<Duration>,
    /// Failures in a row before it is unhealthy.
    pub retries: Option<u32>,
    /// Failures in this time after the start do not count.
    pub start_period: Option<Duration>,
    /// Between two checks during `start_period`; API 1.44 and later.
    pub start_interval: Option<Duration>,
}

impl Healthcheck {
    /// Whether this turns the image's check off.
    pub fn disabled(&self) -> bool {
        self.test.first().is_some_and(|t| t == "NONE")
    }
}

/// `restart`, one of the five forms; the fifth is "not written".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestartPolicy {
    /// It is not started again.
    No,
    /// It is started again, whatever its exit code.
    Always,
    /// Always, but not after a stop by hand (which evenkeel undoes as a foreign action).
    UnlessStopped,
    /// After a failure, at most so many times; `None`: without end.
    OnFailure {
        /// The `n` of `on-failure:n`.
        max: Option<u32>,
    },
}

/// `logging`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logging {
    /// The driver; the Engine's default where absent.
    pub driver: Option<String>,
    /// The options of the driver.
    pub options: BTreeMap<String, String>,
}

/// `drift`: what is done about a field that somebody changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DriftMode {
    /// Drift is repaired.
    #[default]
    Enforce,
    /// Drift is told, and left as it is.
    Report,
}

/// `x-evenkeel` of a service.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ServiceExtension {
    /// `type`: a label on metrics; `job` makes an exit with 0 a completion.
    pub kind: Option<String>,
    /// Counts for the overall health.
    pub critical: bool,
    /// Watch and report, change nothing.
    pub suspend: bool,
    /// What is done about drift; `None`: what the project says.
    #[serde(default)]
    pub drift: Option<DriftMode>,
    /// Who starts it again.
    #[serde(default)]
    pub supervise: Supervise,
    /// `rollout`.
    #[serde(default)]
    pub rollout: Rollout,
    /// What follows when the content of a file that is mounted by itself changes; `None`: nothing.
    #[serde(default)]
    pub reload: Option<Reload>,
    /// `recovery`.
    #[serde(default)]
    pub recovery: Recovery,
    /// `health`.
    #[serde(default)]
    pub probe: Option<Probe>,
    /// `throttle`.
    #[serde(default)]
    pub throttle: Throttle,
}

/// `reload`: how a process takes notice of files that changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reload {
    /// It is stopped and started again.
    Restart,
    /// It is sent this signal, such as `SIGHUP`.
    Signal(String),
}

/// `supervise`: who starts containers again that ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Supervise {
    /// The Engine, by the policy as written; the controller where that is at its end.
    #[default]
    Engine,
    /// The controller alone, dependencies first: the Engine's policy is `no`.
    Controller,
}

/// `rollout`: what `deploy.update_config` does not say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rollout {
    /// What follows a failure.
    pub on_failure: Option<FailureAction>,
    /// How long everything is watched before the revision counts as healthy.
    pub monitor: Option<Duration>,
}

impl Service {
    /// What two containers of one replica could not both have, so that the old one has to end before the new one starts.
    pub fn shared_by_twins(&self) -> Option<&'static str> {
        let host = |mode: &Option<NamespaceMode>| matches!(mode, Some(NamespaceMode::Host));
        let fixed = |a: &Attachment| a.ipv4_address.is_some() || a.ipv6_address.is_some() || a.mac_address.is_some();
        let written =
            |m: &Mount| !m.read_only && !matches!(m.source, MountSource::Anonymous | MountSource::Tmpfs { .. });
        if self.ports.iter().any(|p| p.published.is_some()) || host(&self.network_mode) {
            Some("a port of the host")
        } else if self.networks.values().any(fixed) || self.mac_address.is_some() {
            Some("an address")
        } else if self.container_name.is_some() {
            Some("a container name")
        } else if self.mounts.iter().any(written) || !self.volumes_from.is_empty() {
            Some("what they write to a mount")
        } else {
            None
        }
    }

    /// What stands in a template for the id of a service's container: nothing that can stand in a manifest.
    pub fn mark(service: &str) -> String {
        format!("\u{1}{service}\u{1}")
    }

    /// The services whose containers' namespaces it lives in.
    pub fn lives_in(&self) -> impl Iterator<Item = &ServiceName> {
        let modes = [&self.network_mode, &self.ipc, &self.pid].into_iter().flatten();
        modes.filter_map(|mode| match mode {
            NamespaceMode::Service(service) => Some(service),
            _ => None,
        })
    }

    /// The services whose containers it shares namespaces or volumes with.
    pub fn shares_with(&self) -> BTreeSet<ServiceName> {
        let volumes = self.volumes_from.iter().filter_map(|from| match &from.source {
            VolumesSource::Service(service) => Some(service),
            VolumesSource::Container(_) => None,
        });
        self.lives_in().chain(volumes).cloned().collect()
    }

    /// The hash that Compose writes on its containers; `None`: a container it shares with is not there.
    pub fn label_hash(&self) -> Option<String> {
        self.hash_on_label().map(Cow::into_owned)
    }

    /// The same, for who only compares it: most services share nothing, and need no text of their own for it.
    pub fn hash_on_label(&self) -> Option<Cow<'_, str>> {
        let Some(template) = &self.hash_template else { return Some(Cow::Borrowed(&self.config_hash)) };
        let mut text = template.clone();
        for service in self.shares_with() {
            // In JSON the mark is escaped.
            text = text.replace(&format!("\\u0001{service}\\u0001"), self.peers.get(&service)?.as_str());
        }
        Some(Cow::Owned(super::hash::sha256_hex(text)))
    }

    /// `PROJECT-SERVICE-NUMBER`, or `container_name`.
    pub fn container_name(&self, project: &ProjectName, number: u32) -> String {
        match &self.container_name {
            Some(name) => name.clone(),
            None => format!("{project}-{}-{number}", self.name),
        }
    }

    /// Hash of all that its image may depend on, but for the files it is built from.
    pub fn build_config(&self) -> String {
        let build = serde_json::to_string(&self.build).unwrap_or_default();
        hash::sha256_hex(format!("{}\n{}\n{:?}\n{build}", self.config_hash, self.image, self.platform))
    }
}
