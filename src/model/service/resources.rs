//! What a service may use of the host: memory, processor, disks, devices.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A number of bytes; -1 is "no limit" where the Engine knows that.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bytes(pub i64);

/// Limits and reservations: the service's own attributes, and those of `deploy.resources` in their place.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// `cpus`: billionths of a CPU.
    pub nano_cpus: Option<i64>,
    /// `cpu_shares`.
    pub cpu_shares: Option<i64>,
    /// `cpu_period`: microseconds.
    pub cpu_period: Option<i64>,
    /// `cpu_quota`: microseconds in a period.
    pub cpu_quota: Option<i64>,
    /// `cpu_rt_period`: microseconds.
    pub cpu_rt_period: Option<i64>,
    /// `cpu_rt_runtime`: microseconds in a period.
    pub cpu_rt_runtime: Option<i64>,
    /// `cpu_count`: Windows.
    pub cpu_count: Option<i64>,
    /// `cpu_percent` in hundredths of a percent: Windows.
    pub cpu_percent: Option<i64>,
    /// `cpuset`: `0-2,5`.
    pub cpuset: Option<String>,
    /// `mem_limit`.
    pub memory: Option<Bytes>,
    /// `mem_reservation`.
    pub memory_reservation: Option<Bytes>,
    /// `memswap_limit`; -1: no limit.
    pub memory_swap: Option<Bytes>,
    /// `mem_swappiness`: 0 to 100.
    pub memory_swappiness: Option<i64>,
    /// `oom_kill_disable`: the kernel does not end it for want of memory.
    pub oom_kill_disable: bool,
    /// `oom_score_adj`: -1000 to 1000; the highest is ended first.
    pub oom_score_adj: i64,
    /// `pids_limit`; -1: no limit.
    pub pids: Option<i64>,
    /// `shm_size`.
    pub shm_size: Option<Bytes>,
    /// `cgroup_parent`.
    pub cgroup_parent: Option<String>,
    /// `blkio_config`.
    pub blkio: Option<Blkio>,
    /// `devices`.
    pub devices: Vec<Device>,
    /// `device_cgroup_rules`: `c 1:3 mr`.
    pub device_cgroup_rules: Vec<String>,
    /// `deploy.resources.reservations.devices`.
    pub reserved_devices: Vec<DeviceRequest>,
    /// `gpus`. The capability `gpu` is not written among theirs.
    pub gpus: Vec<DeviceRequest>,
}

/// The period that quotas are of where none is written, in microseconds: Docker's.
const CPU_PERIOD: f64 = 100_000.0;

impl Resources {
    /// CPUs that may be used, by `cpus` or `cpu_quota`; `None`: all of them.
    #[allow(clippy::cast_precision_loss)]
    pub fn cpu_limit(&self) -> Option<f64> {
        let of_nanos = self.nano_cpus.filter(|n| *n > 0).map(|n| n as f64 / 1e9);
        let of_quota = self.cpu_quota.filter(|n| *n > 0).map(|quota| quota as f64 / self.cpu_period());
        of_nanos.or(of_quota)
    }

    /// The period that quotas are of, in microseconds.
    #[allow(clippy::cast_precision_loss)]
    pub fn cpu_period(&self) -> f64 {
        self.cpu_period.filter(|n| *n > 0).map_or(CPU_PERIOD, |n| n as f64)
    }
}

/// `blkio_config`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Blkio {
    /// 10 to 1000; 0: the default.
    pub weight: u16,
    /// Path of a device to its weight.
    pub weight_device: Vec<DeviceRate>,
    /// Bytes a second that may be read, by device.
    pub device_read_bps: Vec<DeviceRate>,
    /// Reads a second, by device.
    pub device_read_iops: Vec<DeviceRate>,
    /// Bytes a second that may be written, by device.
    pub device_write_bps: Vec<DeviceRate>,
    /// Writes a second, by device.
    pub device_write_iops: Vec<DeviceRate>,
}

/// What a device is allowed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRate {
    /// The device's path on the host.
    pub path: String,
    /// A weight, bytes a second or operations a second.
    pub rate: i64,
}

/// One entry of `devices`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// The path on the host, or a CDI name: `VENDOR/CLASS=NAME`.
    pub source: String,
    /// The path in the container; the same for a CDI name.
    pub target: String,
    /// Of `rwm`.
    pub permissions: String,
}

impl Device {
    /// Whether it is asked for by its name in the Container Device Interface: `VENDOR/CLASS=NAME`.
    pub fn is_cdi(&self) -> bool {
        let word = |text: &str, further: &[char]| {
            text.starts_with(|c: char| c.is_ascii_alphabetic())
                && text.ends_with(|c: char| c.is_ascii_alphanumeric())
                && text.chars().all(|c| c.is_ascii_alphanumeric() || further.contains(&c))
        };
        let name = |text: &str| {
            text.starts_with(|c: char| c.is_ascii_alphanumeric())
                && text.ends_with(|c: char| c.is_ascii_alphanumeric())
                && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-.:".contains(c))
        };
        self.source == self.target
            && self.source.split_once('=').is_some_and(|(kind, device)| {
                name(device)
                    && kind
                        .split_once('/')
                        .is_some_and(|(vendor, class)| word(vendor, &['_', '-', '.']) && word(class, &['_', '-']))
            })
    }
}

/// A device that a driver of the Engine finds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeviceRequest {
    /// What it must be able to do.
    pub capabilities: Vec<String>,
    /// The driver that hands them out.
    pub driver: Option<String>,
    /// How many; -1: all.
    pub count: i64,
    /// The ids of the devices, where certain ones are wanted.
    pub device_ids: Vec<String>,
    /// Options of the driver.
    pub options: BTreeMap<String, String>,
}

/// One entry of `ulimits`; -1: no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    /// What the process has.
    pub soft: i64,
    /// Up to where it may raise it.
    pub hard: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_is_a_limit_of_cpus_too() {
        let limit = |nano_cpus, cpu_quota, cpu_period| {
            Resources { nano_cpus, cpu_quota, cpu_period, ..Resources::default() }.cpu_limit()
        };
        assert_eq!(limit(Some(500_000_000), None, None), Some(0.5));
        assert_eq!(limit(None, Some(50_000), None), Some(0.5));
        assert_eq!(limit(None, Some(50_000), Some(25_000)), Some(2.0));
        assert_eq!(limit(Some(0), Some(-1), Some(25_000)), None);
    }
}
