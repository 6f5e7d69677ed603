//! The answer to `GET /health`.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Healthy,
    Degraded,
    Down,
}

impl Status {
    /// A broken dependency degrades; only the service's own failure takes it down. Otherwise one failure
    /// would restart everything above it.
    pub fn of(failing: bool, dependencies: &BTreeMap<String, Status>) -> Self {
        match failing {
            true => Self::Down,
            false if dependencies.values().all(|status| *status == Self::Healthy) => Self::Healthy,
            false => Self::Degraded,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Down => "down",
        })
    }
}

#[derive(Serialize)]
pub struct Report {
    pub status: Status,
    pub service: String,
    pub version: String,
    /// RFC 3339, in milliseconds.
    pub timestamp: String,
    pub dependencies: BTreeMap<String, Status>,
    pub metadata: Metadata,
}

#[derive(Serialize)]
pub struct Metadata {
    pub uptime_seconds: u64,
    /// Answers in the last 60 seconds, health checks included.
    pub requests_per_minute: u64,
    /// How often this service started on its volume; only with a state folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub starts: Option<u64>,
}
