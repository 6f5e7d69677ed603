//! The Engine's streams of statistics. It sends a message a second for each container; they are read every other second, all
//! that has arrived at once and for all containers at the same time, and only the last one is looked at: with a hundred
//! containers, waking up for each message and reading all of it costs several times as much as everything else.
//!
//! bollard reads each message as it comes, and whole; that is why the stream is read here.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};
use http_body_util::Empty;
use hyper::Request;
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::{self, Connection};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::Instant;

use super::address::Address;
use super::{DockerEngine, refusal};
use crate::engine::{EngineError, EngineUsage};
use crate::model::usage::{Traffic, Usage};
use crate::model::{ContainerId, Timestamp};

/// Between two readings of one container.
const BEAT: Duration = Duration::from_secs(2);
/// For the Engine to begin a stream.
const BEGIN: Duration = Duration::from_secs(10);
/// A message is a few kilobytes: what is longer is none.
const LONGEST: usize = 1 << 20;

impl EngineUsage for DockerEngine {
    fn usage(&self, id: &ContainerId) -> BoxStream<'static, Result<Usage, EngineError>> {
        let (major, minor) = self.api();
        let path = format!("/v{major}.{minor}/containers/{id}/stats?stream=true");
        let address = self.address.clone();
        let begin = stream::once(async move {
            let no_answer = |_| EngineError::NoAnswer(format!("none within {} s", BEGIN.as_secs()));
            tokio::time::timeout(BEGIN, Messages::begin(&address, &path)).await.map_err(no_answer)?
        });
        let all = begin.flat_map(|messages| match messages {
            Ok(messages) => stream::unfold(messages, Messages::next).boxed(),
            Err(error) => stream::once(std::future::ready(Err(error))).boxed(),
        });
        all.boxed()
    }
}

/// A connection of its own for one stream.
trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

type Http = Connection<TokioIo<Box<dyn Io>>, Empty<Bytes>>;

/// The messages of one container.
struct Messages {
    connection: Pin<Box<Http>>,
    body: Incoming,
    /// The message that is not whole yet.
    rest: Vec<u8>,
    before: Option<Moment>,
}

/// The processor time that a container had used at a time.
#[derive(Clone, Copy)]
struct Moment {
    at: Timestamp,
    nanos: u64,
}

impl Messages {
    async fn begin(address: &str, path: &str) -> Result<Self, EngineError> {
        let unreachable = |error: io::Error| super::unreachable_error(address, &error);
        let io: Box<dyn Io> = match Address::parse(address).map_err(|error| unreachable(io::Error::other(error)))? {
            Address::Unix(path) => Box::new(UnixStream::connect(path).await.map_err(unreachable)?),
            Address::Tcp(host) => Box::new(TcpStream::connect(host).await.map_err(unreachable)?),
        };
        let broken = |error: hyper::Error| EngineError::NoAnswer(error.to_string());
        let (mut sender, connection) = http1::handshake(TokioIo::new(io)).await.map_err(broken)?;
        let mut connection = Box::pin(connection);
        let request = Request::get(path).header(hyper::header::HOST, "docker").body(Empty::new());
        let request = request.map_err(|error| EngineError::NotUnderstood(error.to_string()))?;
        let mut answer = std::pin::pin!(sender.send_request(request));
        let answer = poll_fn(|context| {
            // Whether the connection ended shows in the answer.
            let _ = connection.as_mut().poll(context);
            answer.as_mut().poll(context)
        });
        let answer = answer.await.map_err(broken)?;
        if !answer.status().is_success() {
            return Err(refusal::error(Some(answer.status().as_u16()), "it tells no statistics"));
        }
        Ok(Self { connection, body: answer.into_body(), rest: Vec::new(), before: None })
    }

    /// What the container uses, as of the next beat; `None`: the stream ended.
    async fn next(mut self) -> Option<(Result<Usage, EngineError>, Self)> {
        loop {
            tokio::time::sleep_until(next_beat()).await;
            let (first, last) = self.arrived().await?;
            for message in [first, last].into_iter().flatten() {
                if let Some(usage) = self.usage(&message) {
                    return Some((Ok(usage), self));
                }
            }
        }
    }

    /// The first message that has arrived, where none did before, and the last one; `None`: nothing more will.
    async fn arrived(&mut self) -> Option<(Option<Vec<u8>>, Option<Vec<u8>>)> {
        let mut arrived = Vec::new();
        let mut ended = false;
        poll_fn(|context| {
            loop {
                let _ = self.connection.as_mut().poll(context);
                match Pin::new(&mut self.body).poll_frame(context) {
                    Poll::Ready(Some(Ok(frame))) => arrived.extend(frame.into_data().ok()),
                    Poll::Ready(Some(Err(_)) | None) => ended = true,
                    Poll::Pending => return Poll::Ready(()),
                }
                if ended {
                    return Poll::Ready(());
                }
            }
        })
        .await;
        for data in &arrived {
            self.rest.extend_from_slice(data);
        }
        if ended || self.rest.len() > LONGEST {
            return None;
        }
        let Some(end) = self.rest.iter().rposition(|byte| *byte == b'\n') else { return Some((None, None)) };
        let mut whole = self.rest.split_off(end + 1);
        std::mem::swap(&mut whole, &mut self.rest);
        let mut messages = whole.split(|byte| *byte == b'\n').filter(|message| !message.is_empty());
        let first = if self.before.is_none() { messages.next().map(<[u8]>::to_vec) } else { None };
        Some((first, messages.next_back().map(<[u8]>::to_vec)))
    }

    /// What a message tells together with the one before.
    fn usage(&mut self, message: &[u8]) -> Option<Usage> {
        let stats: Stats<'_> = serde_json::from_slice(message).ok()?;
        let now = Moment { at: stats.read.parse().ok()?, nanos: stats.cpu_stats.cpu_usage.total_usage };
        let before = self.before.replace(now)?;
        let seconds = now.at.duration_since(before.at).as_secs_f64();
        if !(0.05..60.0).contains(&seconds) {
            return None;
        }
        #[allow(clippy::cast_precision_loss)]
        let cpus = now.nanos.saturating_sub(before.nanos) as f64 / 1e9 / seconds;
        let memory = &stats.memory_stats;
        // The second version of control groups has one name for it, the first another.
        let cache = memory.stats.total_inactive_file.or(memory.stats.inactive_file).unwrap_or_default();
        Some(Usage {
            at: now.at,
            cpus,
            memory: memory.usage?.saturating_sub(cache),
            memory_limit: memory.limit?,
            host_cpus: stats.cpu_stats.online_cpus.unwrap_or(1),
            threads: stats.pids_stats.current.unwrap_or_default(),
            // Where there is no limit, some versions say 0 and others the most that a number can hold.
            thread_limit: stats.pids_stats.limit.filter(|limit| (1..u64::from(u32::MAX)).contains(limit)),
            traffic: stats.traffic(),
            files: None,
        })
    }
}

/// The next moment at which all streams are read.
fn next_beat() -> Instant {
    static FIRST: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    let first = *FIRST.get_or_init(Instant::now);
    let beats = first.elapsed().as_millis() / BEAT.as_millis() + 1;
    first + BEAT * u32::try_from(beats).unwrap_or(u32::MAX)
}

/// What is looked at of a message.
#[derive(Deserialize)]
struct Stats<'m> {
    #[serde(borrow)]
    read: Cow<'m, str>,
    #[serde(default)]
    cpu_stats: CpuStats,
    #[serde(default)]
    memory_stats: MemoryStats,
    #[serde(default)]
    pids_stats: PidsStats,
    #[serde(default, borrow)]
    networks: Option<BTreeMap<Cow<'m, str>, NetworkStats>>,
    #[serde(default, borrow)]
    blkio_stats: BlockStats<'m>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct CpuStats {
    cpu_usage: CpuUsage,
    online_cpus: Option<u32>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct CpuUsage {
    total_usage: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct MemoryStats {
    usage: Option<u64>,
    limit: Option<u64>,
    stats: MemoryDetails,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct MemoryDetails {
    total_inactive_file: Option<u64>,
    inactive_file: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PidsStats {
    current: Option<u64>,
    limit: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NetworkStats {
    rx_bytes: u64,
    tx_bytes: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct BlockStats<'m> {
    #[serde(borrow)]
    io_service_bytes_recursive: Option<Vec<BlockBytes<'m>>>,
}

#[derive(Deserialize)]
struct BlockBytes<'m> {
    #[serde(borrow)]
    op: Cow<'m, str>,
    value: u64,
}

impl Stats<'_> {
    fn traffic(&self) -> Traffic {
        let networks = || self.networks.iter().flat_map(BTreeMap::values);
        let blocks = self.blkio_stats.io_service_bytes_recursive.as_deref().unwrap_or_default();
        let block = |op: &str| blocks.iter().filter(|b| b.op.eq_ignore_ascii_case(op)).map(|b| b.value).sum();
        Traffic {
            network_in: networks().map(|network| network.rx_bytes).sum(),
            network_out: networks().map(|network| network.tx_bytes).sum(),
            block_read: block("read"),
            block_write: block("write"),
        }
    }
}
