//! What containers use, told by the Engine's streams of statistics: one for each container whose manifest asks for it, and
//! no call at each tick. The loop is told only when too much, or little, was used for the time.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::task::AbortHandle;

use super::{Answer, Controller, Message};
use crate::model::event::{EventType, Severity};
use crate::model::observed::ContainerState;
use crate::model::service::{Resources, Throttle};
use crate::model::usage::{Load, Usage};
use crate::model::{ContainerId, Project, ProjectName, Timestamp, time};

/// After a stream ended.
const RETRY: Duration = Duration::from_secs(2);

/// The streams that are followed.
#[derive(Debug, Default)]
pub(super) struct Watching(BTreeMap<ContainerId, Watched>);

#[derive(Debug)]
struct Watched {
    project: ProjectName,
    throttle: Throttle,
    throttled: bool,
    load: Option<Load>,
    host_cpus: Option<u32>,
    task: AbortHandle,
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.task.abort();
    }
}

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
        time::between(*self.0.get_or_insert(at), at) >= long
    }
}

/// Judges what a container uses. `throttled`: it has less of the CPUs than its manifest says.
pub(super) struct Judge {
    throttle: Throttle,
    cpus: Option<f64>,
    throttled: bool,
    high: Since,
    low: Since,
    memory: Since,
}

impl Judge {
    pub(super) fn new(throttle: &Throttle, resources: &Resources, throttled: bool) -> Self {
        #[allow(clippy::cast_precision_loss)]
        let cpus = resources.nano_cpus.filter(|n| *n > 0).map(|n| n as f64 / 1e9);
        let (high, low, memory) = Default::default();
        Self { throttle: throttle.clone(), cpus, throttled, high, low, memory }
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
            #[allow(clippy::cast_precision_loss)]
            let part = usage.memory as f64 / usage.memory_limit.max(1) as f64;
            load.memory_high = self.memory.for_long(part >= memory.above, usage.at, memory.lasting);
        }
        load
    }
}

impl Controller {
    /// Brings the streams of a project in line with what runs, and what they told into what is decided about.
    pub(super) fn update_watching(&mut self, name: &ProjectName, target: &Project) {
        let throttles = target.services.values().any(|s| s.extension.throttle != Throttle::default());
        if !throttles && !self.watching.0.values().any(|w| w.project == *name) {
            return;
        }
        let Some(tracked) = self.projects.get(name) else { return };
        let mut wanted = BTreeMap::new();
        for container in self.cache.of_project(name).filter(|c| !c.oneoff) {
            let service = container.service.as_ref().and_then(|s| target.services.get(s));
            let Some(service) = service.filter(|s| s.extension.throttle != Throttle::default()) else { continue };
            if matches!(container.state, ContainerState::Running { .. }) {
                let throttled = tracked.ledger.throttled.contains_key(&container.id);
                wanted.insert(container.id.clone(), (service, throttled));
            }
        }
        self.watching.0.retain(|id, w| w.project != *name || wanted.contains_key(id));
        for (id, (service, throttled)) in wanted {
            let throttle = &service.extension.throttle;
            let same = |w: &Watched| w.throttle == *throttle && w.throttled == throttled;
            if self.watching.0.get(&id).is_some_and(same) {
                continue;
            }
            let mut judge = Judge::new(throttle, &service.resources, throttled);
            let (engine, sender, epoch, container) = (self.engine.clone(), self.sender.clone(), self.epoch, id.clone());
            let task = tokio::spawn(async move {
                let mut told = None;
                loop {
                    let mut stream = engine.usage(&container);
                    while let Some(Ok(usage)) = stream.next().await {
                        let load = judge.judge(&usage);
                        if told != Some(load) {
                            told = Some(load);
                            let answer = Answer::Load { id: container.clone(), load, host_cpus: usage.host_cpus };
                            let _ = sender.send(Message::Answer { epoch, answer });
                        }
                    }
                    tokio::time::sleep(RETRY).await;
                }
            });
            let before = self.watching.0.remove(&id);
            // What was throttled just now is not calm before that was seen.
            let load =
                before.as_ref().and_then(|w| w.load).map(|load| Load { cpu_high: false, cpu_low: false, ..load });
            let host_cpus = before.as_ref().and_then(|w| w.host_cpus);
            let watched = Watched {
                project: name.clone(),
                throttle: throttle.clone(),
                throttled,
                load,
                host_cpus,
                task: task.abort_handle(),
            };
            self.watching.0.insert(id, watched);
        }
        for container in self.cache.of_project_mut(name) {
            let watched = self.watching.0.get(&container.id);
            container.load = watched.and_then(|w| w.load);
            container.host_cpus = watched.and_then(|w| w.host_cpus);
        }
    }

    /// A container uses too much, or little, for long enough; or no more.
    pub(super) fn on_load(&mut self, id: &ContainerId, load: Load, host_cpus: u32) {
        let Some(watched) = self.watching.0.get_mut(id) else { return };
        watched.host_cpus = Some(host_cpus);
        let before = watched.load.replace(load);
        let name = watched.project.clone();
        let alerts = watched.throttle.memory.is_some_and(|memory| !memory.restart);
        self.dirty.insert(name.clone());
        let told = before.is_some_and(|before| before.memory_high);
        if load.memory_high && alerts && !told {
            let Some(container) = self.cache.container(id) else { return };
            let (service, container) = (container.service.clone(), container.name.clone());
            let message = format!("{container} uses more memory than its manifest lets it");
            self.event(EventType::SystemAlert, Severity::Warning, Some(&name), service.as_ref(), message);
        }
    }

    /// Follows none any more: the Engine was lost.
    pub(super) fn stop_watching(&mut self) {
        self.watching.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::service::{CpuThrottle, MemoryThrottle};

    fn usage(second: i64, cpus: f64, memory: u64) -> Usage {
        let at = Timestamp::from_second(second).unwrap();
        Usage { at, cpus, memory, memory_limit: 100, host_cpus: 2 }
    }

    #[test]
    fn too_much_counts_once_it_lasts_and_little_only_of_what_is_throttled() {
        let lasting = Duration::from_secs(3);
        let throttle = Throttle {
            cpu: Some(CpuThrottle { above: 0.9, lasting, to: 0.5, release: 0.6 }),
            memory: Some(MemoryThrottle { above: 0.8, lasting, restart: true }),
        };
        let resources = Resources { nano_cpus: Some(500_000_000), ..Resources::default() };
        let mut judge = Judge::new(&throttle, &resources, false);
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
        let mut judge = Judge::new(&throttle, &resources, true);
        let low: Vec<bool> = [0.25, 0.1, 0.1, 0.1, 0.1]
            .iter()
            .zip(0..)
            .map(|(cpus, second)| judge.judge(&usage(second, *cpus, 0)).cpu_low)
            .collect();
        assert_eq!(low, [false, false, false, false, true]);
    }
}
