//! What the kernel tells of the host that the Engine runs on: how hard pressed it is, and the files that processes have open.

use std::path::Path;

use crate::model::Timestamp;
use crate::model::policy::HostPolicy;
use crate::model::usage::{HostLoad, OpenFiles, Pressure, Ticks};

/// Processes of one container that are looked at: a container with more of them has other troubles.
const PROCESSES: usize = 256;

/// How hard pressed the host is; `None`: nothing can be read there.
pub(in crate::control) fn read(policy: &HostPolicy, at: Timestamp) -> Option<HostLoad> {
    load(&policy.proc, at)
}

fn load(proc: &Path, at: Timestamp) -> Option<HostLoad> {
    let read = |name: &str| std::fs::read_to_string(proc.join(name)).ok();
    let meminfo = read("meminfo")?;
    let kib = |key: &str| -> Option<u64> {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
    };
    let pressure = |what: &str, kind: &str| -> Option<f64> {
        let text = read(&format!("pressure/{what}"))?;
        let line = text.lines().find(|line| line.starts_with(kind))?;
        let value = line.split_whitespace().find_map(|word| word.strip_prefix("avg10="))?;
        Some(value.parse::<f64>().ok()? / 100.0)
    };
    // For want of a CPU everything cannot stand still; for want of memory or a disk something often does.
    let pressure = pressure("cpu", "some").map(|cpu| Pressure {
        cpu,
        memory: pressure("memory", "full").unwrap_or_default(),
        io: pressure("io", "full").unwrap_or_default(),
    });
    let stat = read("stat").unwrap_or_default();
    // user, nice, system, idle, iowait, irq, softirq, steal; what guests take is among them.
    let times = stat.lines().find_map(|line| line.strip_prefix("cpu "));
    let times: Vec<u64> = times.into_iter().flat_map(str::split_whitespace).take(8).flat_map(str::parse).collect();
    let all: u64 = times.iter().sum();
    let idle: u64 = times.iter().skip(3).take(2).sum();
    let is_cpu =
        |line: &&str| line.strip_prefix("cpu").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    let cpus = stat.lines().filter(is_cpu).count();
    Some(HostLoad {
        at,
        pressure,
        free_memory: kib("MemAvailable")?.saturating_mul(1024),
        memory: kib("MemTotal")?.saturating_mul(1024),
        cpus: u32::try_from(cpus).unwrap_or_default().max(1),
        ticks: Ticks { busy: all - idle, all },
    })
}

/// The files that a process has open, or one that it started, whichever is nearest to its limit. `None`: nobody may look, or
/// the process is on another host.
pub(super) fn open_files(proc: &Path, first: u32) -> Option<OpenFiles> {
    let mut waiting = vec![first];
    let mut nearest: Option<OpenFiles> = None;
    for _ in 0..PROCESSES {
        let Some(pid) = waiting.pop() else { break };
        let folder = proc.join(pid.to_string());
        let children = std::fs::read_to_string(folder.join(format!("task/{pid}/children"))).unwrap_or_default();
        waiting.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
        let Some(files) = files_of(&folder) else { continue };
        let nearer = |other: &OpenFiles| files.open * other.limit.max(1) > other.open * files.limit.max(1);
        if nearest.as_ref().is_none_or(nearer) {
            nearest = Some(files);
        }
    }
    nearest
}

fn files_of(folder: &Path) -> Option<OpenFiles> {
    let limits = std::fs::read_to_string(folder.join("limits")).ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    let limit = line.split_whitespace().next()?.parse().ok()?;
    let open = std::fs::read_dir(folder.join("fd")).ok()?.count();
    Some(OpenFiles { open: u64::try_from(open).unwrap_or(u64::MAX), limit })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        dir
    }

    #[test]
    fn what_the_kernel_tells_is_understood() {
        let stall = |percent: &str, kind: &str| format!("{kind} avg10={percent} avg60=0.00 avg300=0.00 total=1\n");
        let dir = files(&[
            ("meminfo", "MemTotal:       2000 kB\nMemFree:  1 kB\nMemAvailable:    500 kB\n"),
            ("stat", "cpu  1 2 3 10 4 5 6 7 8 9\ncpu0 1 2\ncpu1 1 2\nintr 5\n"),
            ("pressure/cpu", &stall("37.50", "some")),
            ("pressure/memory", &(stall("9.00", "some") + &stall("2.00", "full"))),
            ("pressure/io", &(stall("50.00", "some") + &stall("25.00", "full"))),
        ]);
        let at = Timestamp::UNIX_EPOCH;
        let pressure = Some(Pressure { cpu: 0.375, memory: 0.02, io: 0.25 });
        let found = load(dir.path(), at);
        let ticks = Ticks { busy: 24, all: 38 };
        assert_eq!(found, Some(HostLoad { at, pressure, free_memory: 512_000, memory: 2_048_000, cpus: 2, ticks }));
    }

    #[test]
    fn a_kernel_that_keeps_no_figures_of_pressure_tells_of_memory_all_the_same() {
        let dir = files(&[("meminfo", "MemTotal: 2 kB\nMemAvailable: 1 kB\n")]);
        let found = load(dir.path(), Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!((found.pressure, found.free_memory, found.cpus), (None, 1024, 1));
        assert_eq!(load(&dir.path().join("none"), Timestamp::UNIX_EPOCH), None);
    }

    #[test]
    fn of_a_tree_of_processes_the_one_counts_that_is_nearest_to_its_limit() {
        let limits = |n: u32| {
            format!("Limit  Soft Limit  Hard Limit  Units\nMax open files            {n}     1048576    files\n")
        };
        let dir = files(&[
            ("7/task/7/children", "8 9 "),
            ("7/limits", &limits(100)),
            ("7/fd/0", ""),
            ("8/limits", &limits(4)),
            ("8/fd/0", ""),
            ("8/fd/1", ""),
            ("8/fd/2", ""),
        ]);
        assert_eq!(open_files(dir.path(), 7), Some(OpenFiles { open: 3, limit: 4 }));
        assert_eq!(open_files(dir.path(), 5), None);
    }

    #[test]
    fn this_process_has_files_open() {
        let found = open_files(Path::new("/proc"), std::process::id()).expect("one may look at oneself");
        assert!(found.open > 0 && found.open < found.limit, "{found:?}");
    }
}
