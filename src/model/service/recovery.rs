//! `x-evenkeel.recovery`: what is done when a service fails, and how often.

use std::collections::BTreeSet;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::ServiceName;

/// `recovery` as written; what is not written is said by the settings.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Recovery {
    /// What is done, whatever the failure is.
    pub strategy: Option<Strategy>,
    /// The same for one kind of failure, in the order of [`FailureKind`].
    pub by_kind: [Option<Strategy>; 4],
    /// So many restarts within the window; then the breaker opens.
    pub max_attempts: Option<u32>,
    /// The time that restarts are counted in.
    pub window: Option<Duration>,
    /// The delays between restarts.
    pub backoff: Backoff,
    /// How long nothing is tried once the breaker is open.
    pub cool_down: Option<Duration>,
    /// Volumes that [`Strategy::RestartWithReset`] empties, by key.
    pub reset_volumes: BTreeSet<String>,
    /// Services that [`Strategy::DegradedMode`] gives up.
    pub give_up: BTreeSet<ServiceName>,
    /// What becomes of dependents meanwhile.
    pub cascade: Cascade,
}

/// `recovery.backoff` as written.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Backoff {
    /// The delay before the second attempt.
    pub initial: Option<Duration>,
    /// Each further delay is this much longer.
    pub factor: Option<f64>,
    /// The longest delay, before jitter.
    pub max: Option<Duration>,
    /// The part of a delay that is drawn, 0 to 1.
    pub jitter: Option<f64>,
}

/// What is done about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// The container is started again.
    Restart,
    /// Another container takes its place, and the volumes that are named for it are emptied.
    RestartWithReset,
    /// Other services are given up while it is not well.
    DegradedMode,
    /// The whole project is started again, in order.
    ProjectRestart,
    /// Nothing is done about it.
    None,
}

impl Strategy {
    /// All strategies.
    pub const ALL: [Self; 5] =
        [Self::Restart, Self::RestartWithReset, Self::DegradedMode, Self::ProjectRestart, Self::None];

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Restart => "restart",
            Self::RestartWithReset => "restart_with_reset",
            Self::DegradedMode => "degraded_mode",
            Self::ProjectRestart => "project_restart",
            Self::None => "none",
        }
    }
}

/// A kind of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// Its check, or a probe, fails.
    Unhealthy,
    /// It ended by itself with another exit code than 0, or was killed.
    Crashed,
    /// The kernel ended it for want of memory.
    OutOfMemory,
    /// It uses more memory than `throttle.memory` lets it.
    OverLimit,
}

impl FailureKind {
    /// All of them, in the order of [`Recovery::by_kind`].
    pub const ALL: [Self; 4] = [Self::Unhealthy, Self::Crashed, Self::OutOfMemory, Self::OverLimit];

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unhealthy => "unhealthy",
            Self::Crashed => "crashed",
            Self::OutOfMemory => "out_of_memory",
            Self::OverLimit => "over_limit",
        }
    }
}

/// What becomes of the dependents of a service that is not well.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cascade {
    /// Those that run go on; those that fail are not started again before it is back.
    #[default]
    Hold,
    /// They are stopped, and started again in order when it is back.
    Stop,
    /// They are started again all the same.
    Ignore,
}

impl Recovery {
    /// What is done about a failure of that kind.
    pub fn strategy(&self, kind: FailureKind) -> Strategy {
        self.by_kind[kind as usize].or(self.strategy).unwrap_or(Strategy::Restart)
    }
}
