//! How well services are: the class that people and alerts go by, and what probes found.

// Addresses are data: nothing here opens a connection.
use core::net::IpAddr;
use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Timestamp;

/// What a container's health check says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// There is no check.
    #[default]
    None,
    /// The check has neither passed nor failed often enough yet.
    Starting,
    /// The last checks passed.
    Healthy,
    /// As many checks in a row failed as the manifest allows.
    Unhealthy,
}

impl Health {
    /// Docker's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// How well something is, the worst last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HealthClass {
    /// It does what it is there for, fast enough.
    Healthy,
    /// There is nothing to tell it by yet, or at all.
    #[default]
    Unknown,
    /// It works, but slowly, or without something that it needs.
    Degraded,
    /// It does not work.
    Unhealthy,
}

impl HealthClass {
    /// A word for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Unknown => "unknown",
            Self::Degraded => "degraded",
            Self::Unhealthy => "unhealthy",
        }
    }

    /// The number that metrics have: 0 unknown, 1 healthy, 2 degraded, 3 unhealthy.
    pub fn number(self) -> u8 {
        match self {
            Self::Unknown => 0,
            Self::Healthy => 1,
            Self::Degraded => 2,
            Self::Unhealthy => 3,
        }
    }
}

/// Where a container's ports can be reached.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reach {
    /// The container's own addresses, one a network.
    pub addresses: Vec<IpAddr>,
    /// Published TCP ports: the container's, and where the host has them.
    pub published: BTreeMap<u16, (IpAddr, u16)>,
    /// It has the host's network.
    pub host: bool,
}

/// The way that a probe takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// To the container's own address.
    Address,
    /// To the port that the host has for it.
    Published,
    /// To the host's network, which the container has.
    Host,
    /// By a command that is run in the container.
    Exec,
}

/// What probes found of a container, so far.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub struct Probed {
    /// How well it is.
    pub class: HealthClass,
    /// Why it is not healthy.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
    /// When it was asked last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checked: Option<Timestamp>,
    /// How long the last answer took, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u64>,
    /// Failures in a row.
    pub failures: u32,
    /// Successes in a row.
    pub successes: u32,
    /// Which way the last probe took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub way: Option<Way>,
    /// What the last failure was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What the service says of what it needs.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub dependencies: BTreeMap<String, String>,
    /// The last answers' latencies: their median counts.
    #[serde(skip)]
    pub latencies: Vec<Duration>,
}

impl HealthClass {
    /// What a probe of a running container means together with the Engine's own check.
    pub fn over(self, engine: Health) -> Health {
        match (self, engine) {
            (_, Health::Unhealthy) | (Self::Unhealthy, _) => Health::Unhealthy,
            (_, Health::Starting) | (Self::Unknown, _) => Health::Starting,
            (Self::Healthy | Self::Degraded, _) => Health::Healthy,
        }
    }
}
