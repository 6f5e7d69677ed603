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
    /// The nodes of a Swarm that it may run on.
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
    /// What follows a failure.
    pub failure_action: Option<FailureAction>,
    /// How long each is watched.
    pub monitor: Option<Duration>,
    /// The part that may fail, 0 to 1.
    pub max_failure_ratio: f64,
    /// Whether the old container ends before the new one starts.
    pub order: Option<Order>,
}

/// `failure_action`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureAction {
    /// It is tried again and again; what else changed goes on.
    Continue,
    /// Nothing more is replaced until the manifest changes.
    Pause,
    /// The last healthy revision of the whole project is in force again.
    Rollback,
}

impl FailureAction {
    /// The action of Compose's word for it; `None`: it is none.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "continue" => Some(Self::Continue),
            "pause" => Some(Self::Pause),
            "rollback" => Some(Self::Rollback),
            _ => None,
        }
    }
}

/// `order`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// The old container is stopped before the new one is started.
    StopFirst,
    /// The new one is started, and when it is ready the old one is stopped.
    StartFirst,
}

/// `limits` or `reservations` as written; what is in force is in [`super::Resources`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Quota {
    /// Billionths of a CPU.
    pub nano_cpus: Option<i64>,
    /// Bytes of memory.
    pub memory: Option<super::Bytes>,
    /// The number of processes.
    pub pids: Option<i64>,
    /// Devices, such as GPUs.
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
    /// The pause between two attempts.
    pub delay: Option<Duration>,
    /// How often it is tried within the window.
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
