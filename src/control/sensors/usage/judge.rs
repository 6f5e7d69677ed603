//! How what a container uses stands to what its manifest lets it.

use std::time::Duration;

use crate::model::service::Throttle;
use crate::model::usage::{Load, Usage};
use crate::model::{Timestamp, time};

/// From this part of its limit on, a container has nearly all of its threads or files.
const NEAR: f64 = 0.9;
/// Below this part it has not any more.
const FAR: f64 = 0.8;

/// Since when something is so.
#[derive(Debug, Default)]
struct Since(Option<Timestamp>);

impl Since {
    /// Takes in whether it is so; says whether it was for this long.
    fn for_long(&mut self, is_so: bool, at: Timestamp, long: Duration) -> bool {
        if !is_so {
            self.0 = None;
            return false;
        }
        // Should the clock have been set back, it is so from now on.
        let since = self.0.map_or(at, |since| since.min(at));
        self.0 = Some(since);
        time::between(since, at) >= long
    }
}

/// Judges what a container uses, moment by moment.
pub(super) struct Judge {
    throttle: Throttle,
    cpus: Option<f64>,
    throttled: bool,
    high: Since,
    low: Since,
    memory: Since,
    last: Load,
}

impl Judge {
    /// `cpus`: its manifest's limit. `throttled`: it has less of the CPUs than its manifest says, for what it used itself.
    pub(super) fn new(throttle: Throttle, cpus: Option<f64>, throttled: bool) -> Self {
        let (high, low, memory, last) = Default::default();
        Self { throttle, cpus, throttled, high, low, memory, last }
    }

    pub(super) fn judge(&mut self, usage: &Usage) -> Load {
        let mut load = Load::default();
        if let Some(cpu) = self.throttle.cpu {
            let all = self.cpus.unwrap_or(f64::from(usage.host_cpus.max(1)));
            let may = if self.throttled { all * cpu.to } else { all };
            let part = usage.cpus / may.max(0.001);
            load.cpu_high = !self.throttled && self.high.for_long(part >= cpu.above, usage.at, cpu.lasting);
            load.cpu_low = self.throttled && self.low.for_long(part < cpu.release, usage.at, cpu.lasting);
        }
        if let Some(memory) = self.throttle.memory {
            let part = part(usage.memory, usage.memory_limit);
            load.memory_high = self.memory.for_long(part >= memory.above, usage.at, memory.lasting);
        }
        let near = |was: bool, part: f64| part >= if was { FAR } else { NEAR };
        load.threads_high =
            usage.thread_limit.is_some_and(|limit| near(self.last.threads_high, part(usage.threads, limit)));
        load.files_high = usage.files.is_some_and(|files| near(self.last.files_high, part(files.open, files.limit)));
        self.last = load;
        load
    }
}

#[allow(clippy::cast_precision_loss)]
fn part(of: u64, all: u64) -> f64 {
    of as f64 / all.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::service::{CpuThrottle, MemoryThrottle};
    use crate::model::usage::{OpenFiles, Traffic};

    fn usage(second: i64, cpus: f64, memory: u64) -> Usage {
        Usage {
            at: Timestamp::from_second(second).unwrap(),
            cpus,
            memory,
            memory_limit: 100,
            host_cpus: 2,
            threads: 1,
            thread_limit: None,
            traffic: Traffic::default(),
            files: None,
        }
    }

    #[test]
    fn too_much_counts_once_it_lasts_and_little_only_of_what_is_throttled() {
        let lasting = Duration::from_secs(3);
        let throttle = Throttle {
            cpu: Some(CpuThrottle { above: 0.9, lasting, to: 0.5, release: 0.6 }),
            memory: Some(MemoryThrottle { above: 0.8, lasting, restart: true }),
            ..Throttle::default()
        };
        let mut judge = Judge::new(throttle, Some(0.5), false);
        let used = [(0.5, 90), (0.46, 90), (0.2, 90), (0.5, 90), (0.5, 10), (0.5, 90), (0.5, 90)];
        let loads: Vec<_> =
            used.iter().zip(0..).map(|((cpus, memory), second)| judge.judge(&usage(second, *cpus, *memory))).collect();
        assert_eq!(
            loads.iter().map(|l| l.cpu_high).collect::<Vec<_>>(),
            [false, false, false, false, false, false, true]
        );
        assert_eq!(
            loads.iter().map(|l| l.memory_high).collect::<Vec<_>>(),
            [false, false, false, true, false, false, false]
        );
        assert!(loads.iter().all(|l| !l.cpu_low));
        // Of the quarter of a CPU that it has now.
        let mut judge = Judge::new(throttle, Some(0.5), true);
        let low: Vec<bool> = [0.25, 0.1, 0.1, 0.1, 0.1]
            .iter()
            .zip(0..)
            .map(|(cpus, second)| judge.judge(&usage(second, *cpus, 0)).cpu_low)
            .collect();
        assert_eq!(low, [false, false, false, false, true]);
    }

    #[test]
    fn nearly_all_threads_or_files_are_told_once() {
        let mut judge = Judge::new(Throttle::default(), None, false);
        let mut near = |threads, open| {
            let files = Some(OpenFiles { open, limit: 100 });
            let load = judge.judge(&Usage { threads, thread_limit: Some(100), files, ..usage(0, 0.0, 0) });
            (load.threads_high, load.files_high)
        };
        let told = [(50, 95), (89, 85), (90, 85), (85, 79), (79, 85)].map(|(threads, open)| near(threads, open));
        assert_eq!(told, [(false, true), (false, true), (true, true), (true, false), (false, false)]);
    }
}
