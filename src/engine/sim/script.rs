//! What simulated processes do.

use std::time::Duration;

/// The script of a service's containers.
#[derive(Debug, Clone, PartialEq)]
pub struct Script {
    /// Its process cannot be started: the Engine's words.
    pub refuses: Option<String>,
    /// It ends by itself.
    pub ends: Option<End>,
    /// How the runs end that `ends` does not speak of.
    pub then_ends: Option<End>,
    /// Bytes a second; with a memory limit the kernel ends it when that is reached.
    pub leaks: Option<u64>,
    /// From so long after its start on its check passes; `None`: never.
    pub healthy_after: Option<Duration>,
    /// From so long after its start on its check fails.
    pub sick_after: Option<Duration>,
    /// So long a command takes that is run in it: a check, a hook. What is given up before runs on. `None`: no time.
    pub commands_take: Option<Duration>,
    /// How it takes being asked to end.
    pub on_stop: OnStop,
}

/// An end of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// So long after the start.
    pub after: Duration,
    /// The exit code of the process.
    pub code: i64,
    /// Only in the first so many runs of the service's containers; `None`: in all.
    pub runs: Option<u32>,
}

/// What a process does about SIGTERM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OnStop {
    /// So long it takes. Longer than the grace period: it is ended with 137.
    pub takes: Duration,
    /// The exit code once it is asked to stop.
    pub code: i64,
}

impl Default for Script {
    /// A service that is well: healthy at its first check, ends at once and with 0 when it is asked to.
    fn default() -> Self {
        Self {
            refuses: None,
            ends: None,
            then_ends: None,
            leaks: None,
            healthy_after: Some(Duration::ZERO),
            sick_after: None,
            commands_take: None,
            on_stop: OnStop { takes: Duration::from_millis(20), code: 0 },
        }
    }
}

impl Script {
    /// A process that ends by itself, each time.
    pub fn ending(after: Duration, code: i64) -> Self {
        Self { ends: Some(End { after, code, runs: None }), ..Self::default() }
    }

    /// Whether the check passes so long after the start.
    pub(super) fn passes(&self, age: Duration) -> bool {
        self.healthy_after.is_some_and(|from| age >= from) && self.sick_after.is_none_or(|from| age < from)
    }

    /// How the `run`-th run ends by itself, with that memory limit: when, the exit code, and whether for want of memory.
    pub(super) fn end(&self, run: u32, memory: Option<u64>) -> Option<(Duration, i64, bool)> {
        let speaks = |end: &&End| end.runs.is_none_or(|n| run <= n);
        let own = self.ends.as_ref().filter(speaks).or(self.then_ends.as_ref()).map(|e| (e.after, e.code, false));
        let full = match (self.leaks, memory) {
            (Some(rate), Some(limit)) if rate > 0 => Some((Duration::from_millis(limit * 1_000 / rate), 137, true)),
            _ => None,
        };
        own.into_iter().chain(full).min_by_key(|(after, ..)| *after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leak_ends_at_the_limit_and_only_where_there_is_one() {
        let script = Script { leaks: Some(1_000), ..Script::default() };
        assert_eq!(script.end(1, Some(5_000)), Some((Duration::from_secs(5), 137, true)));
        assert_eq!(script.end(1, None), None);
    }

    #[test]
    fn a_crash_of_the_first_runs_is_over_afterwards() {
        let ends = End { after: Duration::from_secs(1), code: 3, runs: Some(2) };
        let script = Script { ends: Some(ends), ..Script::default() };
        assert!(script.end(2, None).is_some() && script.end(3, None).is_none());
    }
}
