//! Probes: asking a service how it is, over the network. What answers mean is [`track`]'s.
//!
//! # Guarantees
//! A probe ends within its timeout. Connections are kept and used again. Redirects are followed on the same host only, and
//! certificates are verified unless the probe says otherwise.

mod document;
mod grpc;
mod http;
pub mod track;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use async_trait::async_trait;

pub use document::Document;

use crate::model::health::{Reach, Way};
use crate::model::service::ProbeKind;
use crate::model::{ContainerId, Timestamp};

/// What came of a probe.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// What the service says of itself; an error: why it is not well.
    pub result: Result<Document, String>,
    /// How long the answer took.
    pub latency: Duration,
    /// Which way was taken; `None`: there was none.
    pub way: Option<Way>,
    /// When.
    pub at: Timestamp,
}

/// Who makes probes.
#[async_trait]
pub trait Prober: Send + Sync {
    /// Makes a probe. [`ProbeKind::Exec`] is made through the engine, and by nobody here.
    async fn probe(&self, container: &ContainerId, kind: &ProbeKind, timeout: Duration, reach: &Reach) -> Outcome;
}

/// Probes over the network of this host.
#[derive(Default)]
pub struct NetworkProber {
    http: http::Clients,
    grpc: grpc::Channels,
}

/// Why a probe failed.
enum Failure {
    /// Nobody could be reached that way: another one may work.
    Unreachable(String),
    /// There was an answer, or it was refused.
    Answered(String),
}

/// The ways to a port of a container, the most direct first.
fn ways(reach: &Reach, port: u16) -> Vec<(Way, SocketAddr)> {
    if reach.host {
        return vec![(Way::Host, SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port))];
    }
    let own = reach.addresses.first().map(|address| (Way::Address, SocketAddr::new(*address, port)));
    let published = reach.published.get(&port).map(|(address, port)| {
        let address = if address.is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { *address };
        (Way::Published, SocketAddr::new(address, *port))
    });
    own.into_iter().chain(published).collect()
}

#[async_trait]
impl Prober for NetworkProber {
    async fn probe(&self, _: &ContainerId, kind: &ProbeKind, timeout: Duration, reach: &Reach) -> Outcome {
        let began = Instant::now();
        let end = |result, way, began: Instant| Outcome { result, latency: began.elapsed(), way, at: Timestamp::now() };
        let ways = kind.port().map(|port| ways(reach, port)).unwrap_or_default();
        let last = ways.len().saturating_sub(1);
        for (n, (way, address)) in ways.into_iter().enumerate() {
            // Where there is another way a silent one is not waited for to the end.
            let limit = if n < last { timeout / 2 } else { timeout.saturating_sub(began.elapsed()) };
            let began = Instant::now();
            let asked = async {
                match kind {
                    ProbeKind::Http(probe) => self.http.get(probe, address).await,
                    ProbeKind::Tcp { .. } => tcp(address).await,
                    ProbeKind::Grpc { service, .. } => self.grpc.check(service, address).await,
                    ProbeKind::Exec(_) => Err(Failure::Answered("is made in the container".to_owned())),
                }
            };
            let silent = || Failure::Unreachable(format!("no answer of {address} within {limit:?}"));
            match tokio::time::timeout(limit, asked).await.unwrap_or_else(|_| Err(silent())) {
                Ok(document) => return end(Ok(document), Some(way), began),
                Err(Failure::Unreachable(_)) if n < last => {}
                Err(Failure::Unreachable(why) | Failure::Answered(why)) => return end(Err(why), Some(way), began),
            }
        }
        end(Err("the container has no address and publishes no such port: use an `exec` probe".to_owned()), None, began)
    }
}

async fn tcp(address: SocketAddr) -> Result<Document, Failure> {
    match tokio::net::TcpStream::connect(address).await {
        Ok(_) => Ok(Document::default()),
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
            Err(Failure::Answered(format!("{address} refuses connections")))
        }
        Err(error) => Err(Failure::Unreachable(format!("{address}: {error}"))),
    }
}
