//! `x-evenkeel.health`: a probe that evenkeel makes itself.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A probe as written; what is not written is said by the settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// What is asked, and how.
    pub kind: ProbeKind,
    /// The pause between two probes.
    pub interval: Option<Duration>,
    /// For one of them.
    pub timeout: Option<Duration>,
    /// Failures in a row before it is unhealthy.
    pub retries: Option<u32>,
    /// Successes in a row before it is healthy again.
    pub successes: Option<u32>,
    /// Failures in this time after a start do not count.
    pub start_period: Option<Duration>,
    /// Slower answers make it degraded.
    pub expected_latency: Option<Duration>,
    /// Slower answers make an event.
    pub alert_latency: Option<Duration>,
}

/// What a probe asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProbeKind {
    /// A `GET`.
    Http(HttpProbe),
    /// A connection.
    Tcp {
        /// The port that the container listens on.
        port: u16,
    },
    /// The standard health protocol of gRPC.
    Grpc {
        /// The port that the container listens on.
        port: u16,
        /// The service that is asked about; empty: the server as a whole.
        service: String,
    },
    /// A command in the container, with its arguments.
    Exec(Vec<String>),
}

impl ProbeKind {
    /// As it is written.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Http(_) => "http",
            Self::Tcp { .. } => "tcp",
            Self::Grpc { .. } => "grpc",
            Self::Exec(_) => "exec",
        }
    }

    /// The port that is asked at, where there is one.
    pub fn port(&self) -> Option<u16> {
        match self {
            Self::Http(http) => Some(http.port),
            Self::Tcp { port } | Self::Grpc { port, .. } => Some(*port),
            Self::Exec(_) => None,
        }
    }
}

/// An HTTP probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpProbe {
    /// The port that the container listens on.
    pub port: u16,
    /// With a leading slash.
    pub path: String,
    /// TLS.
    pub tls: bool,
    /// Whether the certificate is looked at.
    pub verify: bool,
    /// The name that is asked for; `None`: the address.
    pub host: Option<String>,
    /// Statuses that are a success, from and to; empty: 200 to 399.
    pub status: Vec<(u16, u16)>,
    /// A header that must be there with that value.
    pub header: Option<(String, String)>,
    /// Text that must be in the body.
    pub body: Option<String>,
}
