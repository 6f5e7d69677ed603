//! The sections of the settings, each with what it is where nothing is written.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::units::{Percent, Span};
use crate::control::probing::HealthOptions;
use crate::decide::RecoveryPolicy;
use crate::decide::pressure::GuardPolicy;

/// `manifests`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Manifests {
    /// The manifests directory.
    pub path: PathBuf,
    /// Use the file system's events; without them the rescan alone finds changes.
    pub watch: bool,
    /// The pause between two readings of the whole directory.
    pub rescan: Span,
}

impl Default for Manifests {
    fn default() -> Self {
        Self { path: "manifests".into(), watch: true, rescan: Span::seconds(30) }
    }
}

/// `engine`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EngineSettings {
    /// `unix://…` or `tcp://…`; otherwise DOCKER_HOST, the docker context, the usual sockets.
    pub url: Option<String>,
}

/// `state`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct State {
    /// The folder; otherwise `/var/lib/evenkeel` for root, `~/.local/state/evenkeel` for others.
    pub dir: Option<PathBuf>,
}

/// `api`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Api {
    /// The address and port that the API is served at.
    pub listen: String,
}

impl Default for Api {
    fn default() -> Self {
        Self { listen: "127.0.0.1:9090".into() }
    }
}

/// `reconcile`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Reconcile {
    /// Steps at the same time. Eight is where a Docker Engine on two cores is fastest.
    #[schemars(range(min = 1))]
    pub parallel: usize,
    /// Between the starts of two containers.
    pub start_delay: Span,
    /// Between two full resyncs.
    pub resync: Span,
    /// After so long without its first passing check, its start period apart, a start has failed.
    pub start_timeout: Span,
    /// Touch what another evenkeel made.
    pub take_over: bool,
}

impl Default for Reconcile {
    fn default() -> Self {
        let start_timeout = Span(RecoveryPolicy::default().start_timeout);
        Self { parallel: 8, start_delay: Span::seconds(0), resync: Span::seconds(60), start_timeout, take_over: false }
    }
}

/// `health`: how probes are made where manifests do not say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Health {
    /// Between two probes of a container.
    pub interval: Span,
    /// For one of them.
    pub timeout: Span,
    /// Failures in a row before it is unhealthy.
    #[schemars(range(min = 1))]
    pub retries: u32,
    /// Probes at the same time.
    #[schemars(range(min = 1))]
    pub batch_size: usize,
    /// Follow what services with limits use; else only those with a throttle, and those that somebody looks at.
    pub stats: bool,
}

impl Default for Health {
    fn default() -> Self {
        let HealthOptions { interval, timeout, retries, batch_size } = HealthOptions::default();
        Self { interval: Span(interval), timeout: Span(timeout), retries, batch_size, stats: true }
    }
}

/// `recovery`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Recovery {
    /// What is not well, but has not ended, is started again; where a manifest says otherwise, that counts.
    pub enabled: bool,
    /// So many restarts of a replica within the window; then its breaker opens.
    #[schemars(range(min = 1))]
    pub max_attempts: u32,
    /// The time that restarts are counted in.
    pub window: Span,
    /// How long nothing is tried once a breaker is open.
    pub cool_down: Span,
    /// Recoveries at the same time, of all projects: critical services come first.
    #[schemars(range(min = 1))]
    pub max_parallel: u32,
    /// The pace of restarts and retries.
    pub backoff: Backoff,
    /// How often an hour a registry is asked again for images that it did not give, all of them together.
    #[schemars(range(min = 1))]
    pub pull_retries: u32,
}

impl Default for Recovery {
    fn default() -> Self {
        let policy = RecoveryPolicy::default();
        Self {
            enabled: policy.enabled,
            max_attempts: policy.max_attempts,
            window: Span(policy.window),
            cool_down: Span(policy.cool_down),
            max_parallel: policy.max_parallel,
            backoff: Backoff::default(),
            pull_retries: policy.pull_retries,
        }
    }
}

/// `recovery.backoff`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Backoff {
    /// The delay before the second attempt.
    pub initial: Span,
    /// Each further delay is this much longer.
    pub factor: f64,
    /// The longest delay, before jitter.
    pub max: Span,
    /// The part of a delay that is drawn, 0 to 1.
    pub jitter: f64,
    /// After so long a run the count begins anew.
    pub reset_after: Span,
}

impl Default for Backoff {
    fn default() -> Self {
        let policy = RecoveryPolicy::default();
        Self {
            initial: Span(policy.initial),
            factor: policy.factor,
            max: Span(policy.max),
            jitter: policy.jitter,
            reset_after: Span(policy.reset_after),
        }
    }
}

/// `host_guard`: while the host is hard pressed, services that are not critical get less of the CPUs, those of the lowest
/// `x-evenkeel.throttle.priority` first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HostGuard {
    /// Do so; else it is only told that the host is hard pressed.
    pub enabled: bool,
    /// Between two looks at the host.
    pub interval: Span,
    /// So long a threshold is passed before each move.
    pub r#for: Span,
    /// When the host is hard pressed.
    pub threshold: Thresholds,
    /// Where the kernel's files are; in a container, where the host's are mounted.
    pub proc: PathBuf,
}

impl Default for HostGuard {
    fn default() -> Self {
        let policy = GuardPolicy::default();
        Self {
            enabled: policy.enabled,
            interval: Span::seconds(5),
            r#for: Span(policy.lasting),
            threshold: Thresholds::default(),
            proc: "/proc".into(),
        }
    }
}

/// `host_guard.threshold`: pressure is the part of the last ten seconds in which work stood still, as the kernel counts it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Thresholds {
    /// Something stood still for want of a CPU.
    pub cpu: Percent,
    /// Everything stood still for want of memory.
    pub memory: Percent,
    /// Everything stood still for want of a disk.
    pub io: Percent,
    /// Less than this part of the memory is available.
    pub free_memory: Percent,
}

impl Default for Thresholds {
    fn default() -> Self {
        let GuardPolicy { cpu, memory, io, free_memory, .. } = GuardPolicy::default();
        Self { cpu: Percent(cpu), memory: Percent(memory), io: Percent(io), free_memory: Percent(free_memory) }
    }
}

/// `metrics`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Metrics {
    /// What every metric's name begins with.
    #[schemars(regex(pattern = "^[a-zA-Z_][a-zA-Z0-9_]*$"))]
    pub namespace: String,
}

impl Default for Metrics {
    fn default() -> Self {
        Self { namespace: "evenkeel".into() }
    }
}
