//! `POST /control`: change the behaviour of a running service.

use serde::Deserialize;

use crate::misbehaviour::Settings;

/// Every key is optional, and they combine; a key that does not exist is an error, not a silent nothing.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Control {
    latency_ms: Option<u64>,
    fail: Option<bool>,
    cpu_percent: Option<u32>,
    memory_mb: Option<u64>,
    /// Exit with this code, right after the answer.
    pub crash: Option<u8>,
    /// First go back to what the service started with.
    reset: bool,
}

impl Control {
    pub fn parse(body: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(body).map_err(|error| error.to_string())
    }

    pub fn settings(&self, first: Settings, current: Settings) -> Settings {
        let base = if self.reset { first } else { current };
        Settings {
            latency_ms: self.latency_ms.unwrap_or(base.latency_ms),
            fail: self.fail.unwrap_or(base.fail),
            cpu_percent: self.cpu_percent.unwrap_or(base.cpu_percent),
            memory_mb: self.memory_mb.unwrap_or(base.memory_mb),
        }
    }
}
