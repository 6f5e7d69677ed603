//! `x-evenkeel.throttle`: what a service gives up while it uses too much. Parts are of its own limit, else of the host.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// `throttle` as written.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Throttle {
    /// `priority`: while the host is hard pressed, the lowest go first.
    pub priority: u32,
    /// `cpu`.
    pub cpu: Option<CpuThrottle>,
    /// `memory`.
    pub memory: Option<MemoryThrottle>,
}

impl Default for Throttle {
    fn default() -> Self {
        Self { priority: 50, cpu: None, memory: None }
    }
}

/// `throttle.cpu`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CpuThrottle {
    /// From this part on it is too much.
    pub above: f64,
    /// How long it has to be over before that is acted on.
    pub lasting: Duration,
    /// It is lowered to this part.
    pub to: f64,
    /// Once it uses less than this part of what it is lowered to, for as long, it has all of it again.
    pub release: f64,
}

/// `throttle.memory`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MemoryThrottle {
    /// From this part on it is too much.
    pub above: f64,
    /// How long it has to be over before that is acted on.
    pub lasting: Duration,
    /// It is started again, before the kernel ends it; else it is only told.
    pub restart: bool,
}
