//! A service as its manifest wants it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::{ProjectName, ServiceName};

/// One service, every attribute resolved. `None` and empty mean "not written".
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Service {
    /// Its name.
    pub name: ServiceName,
    /// SHA-256 of its configuration, as Compose computes it.
    pub config_hash: String,
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
    /// Host name.
    pub hostname: Option<String>,
    /// NIS domain name.
    pub domainname: Option<String>,
    /// `USER[:GROUP]`.
    pub user: Option<String>,
    /// The folder the command starts in.
    pub working_dir: Option<String>,
    /// A name in place of `PROJECT-SERVICE-NUMBER`.
    pub container_name: Option<String>,
    /// How many containers.
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
    /// `host`, `none`, `bridge`: instead of networks.
    pub network_mode: Option<String>,
    /// Limits.
    pub resources: Resources,
    /// The signal that asks the process to end.
    pub stop_signal: Option<String>,
    /// How long it may take. The Engine's default is 10 s.
    pub stop_grace_period: Option<Duration>,
    /// Added capabilities.
    pub cap_add: Vec<String>,
    /// Dropped capabilities.
    pub cap_drop: Vec<String>,
    /// All of the host's devices and capabilities.
    pub privileged: bool,
    /// The root file system is read-only.
    pub read_only: bool,
    /// An init process as PID 1.
    pub init: Option<bool>,
    /// A terminal.
    pub tty: bool,
    /// Keeps stdin open.
    pub stdin_open: bool,
    /// `HOST:ADDRESS`.
    pub extra_hosts: Vec<String>,
    /// Name servers.
    pub dns: Vec<String>,
    /// Search domains.
    pub dns_search: Vec<String>,
    /// Resolver options.
    pub dns_opt: Vec<String>,
    /// Kernel parameters.
    pub sysctls: BTreeMap<String, String>,
    /// `name: (soft, hard)`.
    pub ulimits: BTreeMap<String, (i64, i64)>,
    /// The log driver and its options.
    pub logging: Option<Logging>,
    /// `label=…`, `seccomp=…`, `no-new-privileges`.
    pub security_opt: Vec<String>,
    /// Further groups.
    pub group_add: Vec<String>,
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
    /// Fetched where it is not there.
    #[default]
    Missing,
    /// Must be there.
    Never,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Condition {
    /// It runs.
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
    /// Between two checks.
    pub interval: Option<Duration>,
    /// For one check.
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
    /// Never.
    No,
    /// Always.
    Always,
    /// Always, but not after a stop by hand (which evenkeel undoes as a foreign action).
    UnlessStopped,
    /// After a failure, at most so many times; `None`: without end.
    OnFailure {
        /// The `n` of `on-failure:n`.
        max: Option<u32>,
    },
}

/// One entry of `ports`: single ports, ranges were spread out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// The container's port.
    pub target: u16,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
    /// The host's port or range; `None`: the Engine picks one.
    pub published: Option<String>,
    /// The host's address.
    pub host_ip: Option<String>,
}

/// One entry of `volumes`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// The path in the container.
    pub target: String,
    /// Where it comes from.
    pub source: MountSource,
    /// May not be written.
    pub read_only: bool,
}

/// Where a mount comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MountSource {
    /// A path of the host.
    Bind {
        /// Absolute.
        path: PathBuf,
        /// `bind.create_host_path`: a missing path becomes a folder.
        create: bool,
        /// `rprivate`, `rshared`, …
        propagation: Option<String>,
        /// `z` or `Z`.
        selinux: Option<String>,
    },
    /// A top-level volume, by key.
    Volume {
        /// Its key.
        key: String,
        /// Do not copy the image's files into an empty volume.
        nocopy: bool,
    },
    /// A volume without a name.
    Anonymous,
    /// In memory.
    Tmpfs {
        /// Bytes.
        size: Option<u64>,
        /// File mode.
        mode: Option<u32>,
    },
}

/// How a service is attached to a network.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Attachment {
    /// Further names on that network.
    pub aliases: Vec<String>,
    /// A fixed address.
    pub ipv4_address: Option<String>,
    /// A fixed address.
    pub ipv6_address: Option<String>,
    /// The highest is attached first.
    pub priority: i64,
}

/// Limits and reservations; bytes and billionths of a CPU.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// `cpus`: billionths of a CPU.
    pub nano_cpus: Option<i64>,
    /// `cpu_shares`.
    pub cpu_shares: Option<i64>,
    /// `mem_limit`: bytes.
    pub memory: Option<i64>,
    /// `mem_reservation`: bytes.
    pub memory_reservation: Option<i64>,
    /// `memswap_limit`: bytes; -1: no limit.
    pub memory_swap: Option<i64>,
    /// `pids_limit`.
    pub pids: Option<i64>,
    /// `shm_size`: bytes.
    pub shm_size: Option<i64>,
}

/// `logging`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logging {
    /// The driver; the Engine's default where absent.
    pub driver: Option<String>,
    /// Its options.
    pub options: BTreeMap<String, String>,
}

/// `x-evenkeel` of a service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceExtension {
    /// `type`: a label on metrics; `job` makes an exit with 0 a completion.
    pub kind: Option<String>,
    /// Counts for the overall health.
    pub critical: bool,
    /// Watch and report, change nothing.
    pub suspend: bool,
}

impl Service {
    /// `PROJECT-SERVICE-NUMBER`, or `container_name`.
    pub fn container_name(&self, project: &ProjectName, number: u32) -> String {
        match &self.container_name {
            Some(name) => name.clone(),
            None => format!("{project}-{}-{number}", self.name),
        }
    }
}
