//! `deploy`: what is meant for a swarm, most of which a single Engine has no use for. Replicas, resources and the restart
//! policy are in force as fields of the service itself; the rest is kept as written and ignored, as by `docker compose`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// `deploy`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Deploy {
    /// `replicated`, `global`, …: ignored by Compose, which goes by the number of replicas.
    pub mode: Option<String>,
    /// Labels of the service, not of its containers.
    pub labels: BTreeMap<String, String>,
    /// How an update goes about.
    pub update_config: Option<UpdateConfig>,
    /// How an update is taken back.
    pub rollback_config: Option<UpdateConfig>,
    /// `resources.limits`.
    pub limits: Option<Quota>,
    /// `resources.reservations`.
    pub reservations: Option<Quota>,
    /// When its containers are started again. Condition and attempts are in force as [`super::Service::restart`].
    pub restart_policy: Option<SwarmRestart>,
    /// On which nodes.
    pub placement: Placement,
    /// `vip` or `dnsrr`.
    pub endpoint_mode: Option<String>,
}

/// `update_config` and `rollback_config`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct UpdateConfig {
    /// How many containers at once; 0: all.
    pub parallelism: Option<u64>,
    /// Between two of them.
    pub delay: Option<Duration>,
    /// `continue`, `pause` or `rollback`.
    pub failure_action: Option<String>,
    /// How long each is watched.
    pub monitor: Option<Duration>,
    /// The part that may fail, 0 to 1.
    pub max_failure_ratio: f64,
    /// `stop-first` or `start-first`.
    pub order: Option<String>,
}

/// `limits` or `reservations` as written; what is in force is in [`super::Resources`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Quota {
    /// Billionths of a CPU.
    pub nano_cpus: Option<i64>,
    /// Memory.
    pub memory: Option<super::Bytes>,
    /// Processes.
    pub pids: Option<i64>,
    /// Devices.
    pub devices: Vec<super::DeviceRequest>,
    /// `generic_resources`: kind to number.
    pub generic: BTreeMap<String, i64>,
}

/// `deploy.restart_policy`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SwarmRestart {
    /// `none`, `on-failure` or `any`.
    pub condition: Option<String>,
    /// Between two attempts.
    pub delay: Option<Duration>,
    /// How often.
    pub max_attempts: Option<u64>,
    /// How long it must run to count as started.
    pub window: Option<Duration>,
}

/// `deploy.placement`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Placement {
    /// `node.role==manager`, …
    pub constraints: Vec<String>,
    /// `preferences[].spread`.
    pub spread: Vec<String>,
    /// Containers on one node; 0: no limit.
    pub max_replicas_per_node: u64,
}
