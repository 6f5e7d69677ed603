//! What a container uses of the host.

use super::Timestamp;

/// What it used, as of one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Usage {
    /// When.
    pub at: Timestamp,
    /// CPUs, over the time since the last moment.
    pub cpus: f64,
    /// Bytes of memory that cannot just be taken back: without the cache of files.
    pub memory: u64,
    /// Bytes that it may use; where it has no limit, those of the host.
    pub memory_limit: u64,
    /// CPUs of the host.
    pub host_cpus: u32,
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
}
