//! Probes: asking a service how it is, over the network. What answers mean is [`track`]'s.
//!
//! # Guarantees
//! A probe ends within its timeout. Connections are kept and used again. Redirects are followed on the same host only, and
//! certificates are verified unless the probe says otherwise.

mod document;
mod grpc;
mod here;
mod http;
pub mod track;
pub mod within;

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
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
    /// Somebody was there, or refused to be; else no way leads to the container.
    pub reached: bool,
    /// When the probe ended.
    pub at: Timestamp,
}

/// Makes one probe of one container; never fails, but tells what it found.
#[async_trait]
pub trait Prober: Send + Sync {
    /// Makes a probe. `before`: the way that was taken last, which is tried first. [`ProbeKind::Exec`] is made through the
    /// engine, and by nobody here.
    async fn probe(
        &self,
        container: &ContainerId,
        kind: &ProbeKind,
        timeout: Duration,
        reach: &Reach,
        before: Option<Way>,
    ) -> Outcome;
}

/// Probes over the network of this host.
pub struct NetworkProber {
    http: http::Clients,
    grpc: grpc::Channels,
    /// Where the ports are that the host publishes on all of its addresses.
    host: IpAddr,
}

impl Default for NetworkProber {
    fn default() -> Self {
        Self { http: http::Clients::default(), grpc: grpc::Channels::default(), host: here::host(Path::new("/")) }
    }
}

/// Why a probe failed.
enum Failure {
    /// Nobody could be reached that way: another one may work.
    Unreachable(String),
    /// There was an answer, or it was refused.
    Answered(String),
}

/// The ways to a port of a container, the one taken last first, then the most direct one. `host`: where the host is.
fn ways(reach: &Reach, port: u16, host: IpAddr, before: Option<Way>) -> Vec<(Way, SocketAddr)> {
    if reach.host {
        return vec![(Way::Host, SocketAddr::new(host, port))];
    }
    let own = reach.addresses.first().map(|address| (Way::Address, SocketAddr::new(*address, port)));
    // What is published on this host's own address alone cannot be reached from a container.
    let reachable = |(address, _): &&(IpAddr, u16)| !address.is_loopback() || host.is_loopback();
    let published = reach.published.get(&port).filter(reachable).map(|(address, port)| {
        let address = if address.is_unspecified() { host } else { *address };
        (Way::Published, SocketAddr::new(address, *port))
    });
    let mut ways: Vec<_> = own.into_iter().chain(published).collect();
    ways.sort_by_key(|(way, _)| Some(*way) != before);
    ways
}

#[async_trait]
impl Prober for NetworkProber {
    async fn probe(
        &self,
        _: &ContainerId,
        kind: &ProbeKind,
        timeout: Duration,
        reach: &Reach,
        before: Option<Way>,
    ) -> Outcome {
        let began = Instant::now();
        let ways = kind.port().map(|port| ways(reach, port, self.host, before)).unwrap_or_default();
        let last = ways.len().saturating_sub(1);
        let nowhere = "the container has no address and publishes no such port: use an `exec` probe".to_owned();
        let mut outcome =
            Outcome { result: Err(nowhere), latency: Duration::ZERO, way: None, reached: false, at: Timestamp::now() };
        for (n, (way, address)) in ways.into_iter().enumerate() {
            // Where there is another way it is seen first whether anybody is there; who is has all of the time.
            if n < last && before != Some(way) && !is_there(address, timeout / 2).await {
                continue;
            }
            let limit = timeout.saturating_sub(began.elapsed());
            if n > 0 && limit.is_zero() {
                break;
            }
            let began = Instant::now();
            let asked = async {
                match kind {
                    ProbeKind::Http(probe) => self.http.get(probe, address).await,
                    ProbeKind::Tcp { .. } => tcp(address).await,
                    ProbeKind::Grpc { service, .. } => self.grpc.check(service, address).await,
                    ProbeKind::Exec(_) => Err(Failure::Answered("is made in the container".to_owned())),
                }
            };
            let silent = || Failure::Unreachable(format!("no answer of {address} within {limit:.1?}"));
            let answer = tokio::time::timeout(limit, asked).await.unwrap_or_else(|_| Err(silent()));
            let reached = !matches!(answer, Err(Failure::Unreachable(_)));
            let result = answer.map_err(|(Failure::Unreachable(why) | Failure::Answered(why))| why);
            outcome = Outcome { result, latency: began.elapsed(), way: Some(way), reached, at: Timestamp::now() };
            if reached {
                break;
            }
        }
        outcome
    }
}

/// Whether anybody answers at an address, be it to refuse.
async fn is_there(address: SocketAddr, limit: Duration) -> bool {
    let asked = tokio::time::timeout(limit, tcp(address)).await;
    asked.is_ok_and(|answer| !matches!(answer, Err(Failure::Unreachable(_))))
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
