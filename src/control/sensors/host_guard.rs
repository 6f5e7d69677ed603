//! The host under the containers: how hard pressed it is, and what is done about that.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::host;
use crate::control::clock::Clock;
use crate::control::message::Message;
use crate::decide::pressure::{Candidate, HostGuard};
use crate::model::ContainerId;
use crate::model::policy::HostPolicy;
use crate::model::usage::{HostLoad, Squeeze};

/// The first reading is waited for so long before anything is decided: reservations are held against it.
const FIRST: Duration = Duration::from_secs(2);

/// The host as it was read last.
pub(in crate::control) struct Host {
    policy: Option<HostPolicy>,
    clock: Arc<dyn Clock>,
    /// The host that this runs on, which may be another one than the Engine's.
    load: Option<HostLoad>,
    /// Bytes of memory of the Engine's host.
    engine_memory: Option<u64>,
    guard: HostGuard,
    reader: Option<AbortOnDropHandle<()>>,
}

/// What a reading of the host led to.
#[derive(Debug, Default)]
pub(in crate::control) struct HostNews {
    /// The load of the Engine's host; `None`: nobody can tell.
    pub(in crate::control) load: Option<HostLoad>,
    /// Containers that are to give up more or less.
    pub(in crate::control) squeezed: BTreeSet<ContainerId>,
    /// Whether what services use is to be known, or not any more: all are decided again.
    pub(in crate::control) usage_wanted_changed: bool,
    /// In words, where it is hard pressed.
    pub(in crate::control) pressed: Option<String>,
    /// It is hard pressed: who is well is probed less often.
    pub(in crate::control) is_pressed: bool,
}

impl Host {
    pub(in crate::control) fn new(policy: Option<HostPolicy>, clock: Arc<dyn Clock>) -> Self {
        Self { policy, clock, load: None, engine_memory: None, guard: HostGuard::default(), reader: None }
    }

    /// Reads the host from now on, from time to time; the first reading is waited for a little.
    pub(in crate::control) async fn begin(&mut self, sender: mpsc::Sender<Message>) {
        let Some(policy) = self.policy.clone() else { return };
        let clock = Arc::clone(&self.clock);
        let (first, told) = tokio::sync::oneshot::channel();
        let reader = AbortOnDropHandle::new(tokio::spawn(async move {
            let mut first = Some(first);
            loop {
                let (policy, now) = (policy.clone(), clock.now());
                let read = tokio::task::spawn_blocking(move || (host::read(&policy, now), policy.interval)).await;
                let Ok((load, interval)) = read else { return };
                match first.take() {
                    Some(first) => drop(first.send(load)),
                    None if sender.send(Message::Host(load)).await.is_err() => return,
                    None => {}
                }
                tokio::time::sleep(interval).await;
            }
        }));
        drop(self.reader.replace(reader));
        self.load = tokio::time::timeout(FIRST, told).await.ok().and_then(Result::ok).flatten();
    }

    /// The Engine was reached: this is its host's memory.
    pub(in crate::control) fn engine_has(&mut self, memory: Option<u64>) {
        self.engine_memory = memory;
    }

    /// The reading that is known.
    pub(in crate::control) fn load(&self) -> Option<HostLoad> {
        self.load
    }

    pub(in crate::control) fn policy(&self) -> Option<&HostPolicy> {
        self.policy.as_ref()
    }

    /// Whether the host that is read is the Engine's.
    pub(in crate::control) fn is_the_engines(&self) -> bool {
        self.load.is_some_and(|load| Some(load.memory) == self.engine_memory)
    }

    /// What a container is to give up.
    pub(in crate::control) fn squeeze(&self, id: &ContainerId) -> Option<Squeeze> {
        self.guard.of(id)
    }

    /// Whether what services use is to be known.
    pub(in crate::control) fn needs_usage(&self) -> bool {
        self.guard.needs_usage()
    }

    /// Takes in a reading. `candidates`: containers that may be squeezed, asked for only where that may happen.
    pub(in crate::control) fn take(
        &mut self,
        load: Option<HostLoad>,
        candidates: impl FnOnce(&Self) -> Vec<Candidate>,
    ) -> HostNews {
        self.load = load;
        let load = load.filter(|_| self.is_the_engines());
        let Some(policy) = self.policy.as_ref().map(|host| host.guard) else {
            return HostNews { load, ..HostNews::default() };
        };
        let watched = self.guard.needs_usage();
        let squeezed = match load {
            Some(load) => {
                let candidates = if policy.enabled { candidates(self) } else { Vec::new() };
                self.guard.look(&policy, &load, &candidates)
            }
            None => std::mem::take(&mut self.guard).forgets(),
        };
        let worst = self.guard.worst();
        let pressed = load.is_some_and(|load| self.guard.is_pressed(&policy, load.at));
        HostNews {
            load,
            squeezed,
            usage_wanted_changed: watched != self.guard.needs_usage(),
            pressed: worst.filter(|_| pressed).map(|worst| format!("the host is hard pressed: {worst}")),
            is_pressed: worst.is_some_and(|worst| worst.beyond >= 1.0),
        }
    }

    /// Why nobody can tell how the host is, where somebody wants to know. `reserves`: some project reserves memory or CPUs.
    pub(in crate::control) fn blind(&self, reserves: impl FnOnce() -> bool) -> Option<String> {
        let (policy, engine) = (self.policy.as_ref()?, self.engine_memory?);
        if self.is_the_engines() || !policy.guard.enabled && !reserves() {
            return None;
        }
        let proc = policy.proc.display();
        let why = match self.load {
            None => format!("{proc} tells nothing of the host"),
            Some(load) => {
                let (other, own) = (load.memory >> 20, engine >> 20);
                format!("{proc} tells of another host than the Engine's: of {other} MiB of memory, not {own}")
            }
        };
        Some(format!(
            "{why}; nothing is throttled for the host's sake, and reservations are not looked at: \
             mount /proc of the Engine's host and name it as `host_guard.proc`"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::clock::SystemClock;
    use crate::model::Timestamp;
    use crate::model::policy::GuardPolicy;
    use crate::model::usage::Ticks;

    fn load(memory: u64) -> HostLoad {
        let (at, ticks) = (Timestamp::UNIX_EPOCH, Ticks { busy: 0, all: 1 });
        HostLoad { at, pressure: None, free_memory: memory, memory, cpus: 1, ticks }
    }

    #[test]
    fn the_load_of_another_host_than_the_engines_counts_for_nothing_and_is_told() {
        let guard = GuardPolicy { enabled: true, ..GuardPolicy::default() };
        let policy = HostPolicy { proc: "/proc".into(), interval: Duration::from_secs(5), guard };
        let mut host = Host::new(Some(policy), Arc::new(SystemClock));
        host.engine_has(Some(100));
        assert!(host.blind(|| false).is_some_and(|text| text.contains("tells nothing")));
        assert!(host.take(Some(load(50)), |_| Vec::new()).load.is_none());
        assert!(host.blind(|| false).is_some_and(|text| text.contains("another host")));
        assert!(host.take(Some(load(100)), |_| Vec::new()).load.is_some());
        assert_eq!(host.blind(|| true), None);
    }
}
