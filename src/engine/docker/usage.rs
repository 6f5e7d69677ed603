//! The Engine's stream of statistics: about one message a second.

use bollard::models::{ContainerBlkioStatEntry, ContainerStatsResponse};
use bollard::query_parameters::StatsOptionsBuilder;
use futures_util::stream::{BoxStream, StreamExt};

use super::DockerEngine;
use crate::engine::{EngineError, EngineUsage};
use crate::model::usage::{Traffic, Usage};
use crate::model::{ContainerId, Timestamp};

impl EngineUsage for DockerEngine {
    fn usage(&self, id: &ContainerId) -> BoxStream<'static, Result<Usage, EngineError>> {
        let (docker, address, id) = (self.docker.clone(), self.address.clone(), id.clone());
        let (sender, receiver) = tokio::sync::mpsc::channel(4);
        // bollard's stream borrows the client: the two are kept together, and end when nobody listens.
        tokio::spawn(async move {
            let options = StatsOptionsBuilder::new().stream(true).one_shot(false).build();
            let mut stream = docker.stats(id.as_str(), Some(options));
            loop {
                let message = tokio::select! {
                    message = stream.next() => message,
                    () = sender.closed() => return,
                };
                let usage = match message {
                    Some(Ok(stats)) => match usage(&stats) {
                        Some(usage) => Ok(usage),
                        None => continue,
                    },
                    Some(Err(error)) => Err(super::error(&address, error)),
                    None => return,
                };
                if sender.send(usage).await.is_err() {
                    return;
                }
            }
        });
        futures_util::stream::unfold(receiver, |mut receiver| async move {
            receiver.recv().await.map(|usage| (usage, receiver))
        })
        .boxed()
    }
}

/// What a message tells; the first one has nothing before it to compare with.
fn usage(stats: &ContainerStatsResponse) -> Option<Usage> {
    let (now, before) = (stats.cpu_stats.as_ref()?, stats.precpu_stats.as_ref()?);
    let nanos = |cpu: &bollard::models::ContainerCpuStats| cpu.cpu_usage.as_ref()?.total_usage;
    let time = |date: &Option<bollard::models::BollardDate>| {
        Timestamp::from_nanosecond(date.as_ref()?.unix_timestamp_nanos()).ok()
    };
    let (at, earlier) = (time(&stats.read)?, time(&stats.preread)?);
    let seconds = at.duration_since(earlier).as_secs_f64();
    if !(0.05..60.0).contains(&seconds) {
        return None;
    }
    let memory = stats.memory_stats.as_ref()?;
    let cache = |key: &str| memory.stats.as_ref().and_then(|all| all.get(key).copied());
    // The second version of control groups has one name for it, the first another.
    let cache = cache("total_inactive_file").or_else(|| cache("inactive_file"));
    #[allow(clippy::cast_precision_loss)]
    let cpus = nanos(now)?.saturating_sub(nanos(before)?) as f64 / 1e9 / seconds;
    let threads = stats.pids_stats.as_ref();
    Some(Usage {
        at,
        cpus,
        memory: memory.usage?.saturating_sub(cache.unwrap_or_default()),
        memory_limit: memory.limit?,
        host_cpus: now.online_cpus.unwrap_or(1),
        threads: threads.and_then(|t| t.current).unwrap_or_default(),
        // Where there is no limit, some versions say 0 and others the most that a number can hold.
        thread_limit: threads.and_then(|t| t.limit).filter(|limit| (1..u64::from(u32::MAX)).contains(limit)),
        traffic: traffic(stats),
        files: None,
    })
}

fn traffic(stats: &ContainerStatsResponse) -> Traffic {
    let networks = || stats.networks.iter().flat_map(|networks| networks.values());
    let blocks = stats.blkio_stats.as_ref().and_then(|b| b.io_service_bytes_recursive.as_ref());
    let block = |op: &str| {
        let of = |entry: &&ContainerBlkioStatEntry| entry.op.as_ref().is_some_and(|o| o.eq_ignore_ascii_case(op));
        blocks.into_iter().flatten().filter(of).filter_map(|entry| entry.value).sum()
    };
    Traffic {
        network_in: networks().filter_map(|n| n.rx_bytes).sum(),
        network_out: networks().filter_map(|n| n.tx_bytes).sum(),
        block_read: block("read"),
        block_write: block("write"),
    }
}
