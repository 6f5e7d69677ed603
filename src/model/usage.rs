//! What a container uses of the host, and what the host has left.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Timestamp;

/// What it used, as of one moment.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Usage {
    /// When that was measured.
    pub at: Timestamp,
    /// CPUs, over the time since the last moment.
    pub cpus: f64,
    /// Bytes of memory that cannot just be taken back: without the cache of files.
    pub memory: u64,
    /// Bytes that it may use; where it has no limit, those of the host.
    pub memory_limit: u64,
    /// CPUs of the host.
    pub host_cpus: u32,
    /// Its threads; 0: not told.
    pub threads: u64,
    /// Threads that it may have; `None`: as many as it likes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thread_limit: Option<u64>,
    /// Bytes over all of its networks, and on its disks, since it was started.
    #[serde(flatten)]
    pub traffic: Traffic,
    /// Of the process that is nearest to its limit; `None`: not looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<OpenFiles>,
}

/// Bytes that came and went since a container was started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Traffic {
    /// Bytes received over all networks.
    pub network_in: u64,
    /// Bytes sent over all networks.
    pub network_out: u64,
    /// Bytes read from disks.
    pub block_read: u64,
    /// Bytes written to disks.
    pub block_write: u64,
}

/// File handles of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct OpenFiles {
    /// It has so many open.
    pub open: u64,
    /// It may have so many: `ulimits.nofile`.
    pub limit: u64,
}

/// How what a container uses stands to what its manifest lets it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Load {
    /// It used too much of the CPUs for the time.
    pub cpu_high: bool,
    /// It used little of them for the time.
    pub cpu_low: bool,
    /// It used too much memory for the time.
    pub memory_high: bool,
    /// It has nearly as many threads as it may.
    pub threads_high: bool,
    /// One of its processes has nearly as many files open as it may.
    pub files_high: bool,
}

/// How hard pressed a host is, as of one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HostLoad {
    /// When that was measured.
    pub at: Timestamp,
    /// The kernel's figures; `None`: it keeps none.
    pub pressure: Option<Pressure>,
    /// Bytes of memory that can be had without pushing anything out.
    pub free_memory: u64,
    /// Bytes of memory that the host has in all.
    pub memory: u64,
    /// CPUs.
    pub cpus: u32,
    /// Time that all CPUs together spent since the host was started, in the kernel's ticks.
    pub ticks: Ticks,
}

/// Time of CPUs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ticks {
    /// Ticks in which a CPU did something.
    pub busy: u64,
    /// All ticks, those of idle CPUs too.
    pub all: u64,
}

impl Ticks {
    /// The part of the time since then that the CPUs were busy; `None`: none passed.
    #[allow(clippy::cast_precision_loss)]
    pub fn busy_since(self, before: Self) -> Option<f64> {
        let passed = self.all.saturating_sub(before.all);
        (passed > 0).then(|| (self.busy.saturating_sub(before.busy) as f64 / passed as f64).min(1.0))
    }
}

/// The part of the last ten seconds in which work stood still for want of something, 0 to 1.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Pressure {
    /// Something stood still for want of a CPU.
    pub cpu: f64,
    /// Everything stood still for want of memory.
    pub memory: f64,
    /// Everything stood still for want of a disk.
    pub io: f64,
}

/// What a host is short of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scarce {
    /// CPUs.
    Cpu,
    /// Memory, as the kernel feels it.
    Memory,
    /// The host's disks.
    Io,
    /// Memory that is free.
    FreeMemory,
}

/// Less of the CPUs for a container, for the sake of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Squeeze {
    /// Thousandths of a CPU that it may use.
    pub milli_cpus: u64,
    /// What the host was short of.
    pub scarce: Scarce,
    /// How short, in percent.
    pub percent: u8,
    /// The threshold that this is beyond, in percent.
    pub threshold: u8,
}

impl fmt::Display for Squeeze {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { percent, threshold, .. } = self;
        let what = match self.scarce {
            Scarce::Cpu => "cpu pressure",
            Scarce::Memory => "memory pressure",
            Scarce::Io => "io pressure",
            Scarce::FreeMemory => "free memory",
        };
        write!(f, "{what} of the host is {percent} % (threshold {threshold} %)")
    }
}
