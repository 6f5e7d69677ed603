//! How fast and how far the controller goes, as the settings say: data that all rooms may read.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The pace of the controller's own restarts and retries.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RecoveryPolicy {
    /// The delay before the second attempt; the first is made at once.
    pub initial: Duration,
    /// Each further delay is this much longer.
    pub factor: f64,
    /// The longest delay. Kubelet's: 5 min.
    pub max: Duration,
    /// The part of a delay that is drawn, 0 to 1.
    pub jitter: f64,
    /// After so long a run the count begins anew. Kubelet's: 10 min.
    pub reset_after: Duration,
    /// So many restarts of a replica within the window; then its breaker opens.
    pub max_attempts: u32,
    /// The time that restarts are counted in.
    pub window: Duration,
    /// How long nothing is tried once the breaker is open; then one try is made.
    pub cool_down: Duration,
    /// After so long without its first passing check, its start period apart, a start has failed.
    pub start_timeout: Duration,
    /// Recoveries at the same time, of all projects.
    pub max_parallel: u32,
    /// What is not well, but has not ended, is started again.
    pub enabled: bool,
    /// How often an hour a registry is asked again for images that it did not give, all of them together. Docker Hub lets
    /// a host pull 100 images in six hours unless it logs in.
    pub pull_retries: u32,
}

impl Default for RecoveryPolicy {
    fn default() -> Self {
        Self {
            initial: Duration::from_secs(1),
            factor: 2.0,
            max: Duration::from_secs(300),
            jitter: 0.1,
            reset_after: Duration::from_secs(600),
            max_attempts: 5,
            window: Duration::from_secs(600),
            cool_down: Duration::from_secs(300),
            start_timeout: Duration::from_secs(600),
            max_parallel: 10,
            enabled: true,
            pull_retries: 60,
        }
    }
}

/// When a host is hard pressed. Parts are of one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GuardPolicy {
    /// Services are squeezed; else the host is only looked at.
    pub enabled: bool,
    /// From this pressure on.
    pub cpu: f64,
    /// From this pressure on.
    pub memory: f64,
    /// From this pressure on.
    pub io: f64,
    /// Below this part of the memory.
    pub free_memory: f64,
    /// For so long, before each move.
    pub lasting: Duration,
}

impl Default for GuardPolicy {
    fn default() -> Self {
        Self { enabled: false, cpu: 0.6, memory: 0.2, io: 0.4, free_memory: 0.05, lasting: Duration::from_secs(15) }
    }
}

/// How probes are made where manifests do not say.
#[derive(Debug, Clone, PartialEq)]
pub struct HealthPolicy {
    /// The time between two probes of a container.
    pub interval: Duration,
    /// The time that one of them may take.
    pub timeout: Duration,
    /// Failures in a row before it is unhealthy.
    pub retries: u32,
    /// Probes at the same time.
    pub batch_size: usize,
}

impl Default for HealthPolicy {
    fn default() -> Self {
        Self { interval: Duration::from_secs(30), timeout: Duration::from_secs(5), retries: 3, batch_size: 16 }
    }
}

/// How the host is watched.
#[derive(Debug, Clone, PartialEq)]
pub struct HostPolicy {
    /// The folder of the kernel's files: `/proc`, or where a container has the host's.
    pub proc: PathBuf,
    /// The time between two readings.
    pub interval: Duration,
    /// When it is hard pressed, and whether anything is done about that.
    pub guard: GuardPolicy,
}

/// The format in which the ledger is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LedgerFormat {
    /// The newest that this version of evenkeel knows.
    #[default]
    Current,
    /// The one before: for going back to the version of evenkeel before this one.
    Previous,
}
