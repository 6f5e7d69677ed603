//! How services and projects are, in the words that people and programs are shown.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Timestamp;
use super::observed::Health;
use super::setback::Setback;

/// How a service is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum ServiceState {
    /// Nothing of it is there yet.
    NotStarted,
    /// It may not go on yet.
    Waiting {
        /// What it waits for, in words.
        on: String,
    },
    /// It is being made or started, or is not ready yet.
    Starting {
        /// Since then, where a container is up already.
        since: Option<Timestamp>,
    },
    /// All of its replicas run.
    Running {
        /// Since then: the youngest replica's start.
        since: Timestamp,
        /// The worst replica's health.
        health: Health,
    },
    /// On its way out.
    Stopping,
    /// A job that is done.
    Completed,
    /// Down, and to be left so.
    Stopped {
        /// Why it is down, in words.
        reason: String,
    },
    /// Watched, not touched.
    Suspended,
    /// A step for it failed; it will be tried again.
    Failed {
        /// The Engine's words.
        error: String,
        /// How often in a row.
        attempts: u32,
        /// What stood in the way; programs are told of it as `start_failure`.
        #[serde(skip)]
        kind: Setback,
    },
}

impl ServiceState {
    /// The state's name.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::NotStarted => "not_started",
            Self::Waiting { .. } => "waiting",
            Self::Starting { .. } => "starting",
            Self::Running { .. } => "running",
            Self::Stopping => "stopping",
            Self::Completed => "completed",
            Self::Stopped { .. } => "stopped",
            Self::Suspended => "suspended",
            Self::Failed { .. } => "failed",
        }
    }
}

impl fmt::Display for ServiceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Waiting { on } => write!(f, "waiting for {on}"),
            Self::Running { health: Health::None, .. } => write!(f, "running"),
            Self::Running { health, .. } => write!(f, "running, {}", health.as_str()),
            Self::Stopped { reason } => write!(f, "stopped: {reason}"),
            Self::Failed { error, attempts, .. } => write!(f, "failed ({attempts}x): {error}"),
            other => f.write_str(&other.as_str().replace('_', " ")),
        }
    }
}

/// How a project is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProjectState {
    /// Everything is as the manifest says.
    Converged,
    /// Steps are being taken.
    Progressing,
    /// No step may be taken now.
    Waiting,
    /// Something of it is down, failing or unhealthy.
    Degraded,
    /// Watched, not touched.
    Suspended,
    /// The manifest's revision failed: the last one that was healthy is in force again, and everything is as that one says.
    RolledBack,
    /// Its manifest does not load; the last good revision is in force.
    Invalid,
}

impl ProjectState {
    /// The state's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Converged => "converged",
            Self::Progressing => "progressing",
            Self::Waiting => "waiting",
            Self::Degraded => "degraded",
            Self::Suspended => "suspended",
            Self::RolledBack => "rolled_back",
            Self::Invalid => "invalid",
        }
    }
}
