//! The probes that manifests ask for: one task for each container that runs, so that none can pile up on itself; spread over
//! the interval, and not too many at once.
//!
//! What they find lies on a [`Board`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::task::AbortOnDropHandle;

use super::Told;
use super::board::{Board, Claim};
use crate::control::message::EngineAnswer;
use crate::control::world::World;
use crate::model::health::{HealthClass, Probed, Reach, Way};
use crate::model::observed::{Container, ContainerState};
use crate::model::policy::HealthPolicy;
use crate::model::record::RecordData;
use crate::model::service::{Probe, ProbeKind};
use crate::model::{ContainerId, Project, ProjectName, ServiceName, Timestamp, hash, time};
use crate::probe::track::{self, News, Patience};
use crate::probe::{Document, Outcome, Prober, within};

/// Between the first two probes of a container that is not up yet; each further pause is half as long again.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// How much longer the interval of who is well is while the host is hard pressed.
const EASED: u32 = 2;
/// The part of an interval that is drawn, so that probes do not come to march in step.
const JITTER: f64 = 0.1;

/// The probes that are being made.
pub(in crate::control) struct Probes {
    policy: HealthPolicy,
    running: BTreeMap<ContainerId, Running>,
    /// The containers of `running`, by project.
    projects: BTreeMap<ProjectName, BTreeSet<ContainerId>>,
    board: Board<Probed>,
    permits: Arc<Semaphore>,
    prober: Arc<dyn Prober>,
    /// The host is hard pressed: who is well is asked less often.
    pressed: Arc<AtomicBool>,
}

struct Running {
    project: ProjectName,
    run: (Option<u32>, Timestamp),
    probe: Arc<Probe>,
    reach: Reach,
    _task: AbortOnDropHandle<()>,
}

impl Probes {
    pub(in crate::control) fn new(policy: &HealthPolicy, prober: Arc<dyn Prober>) -> Self {
        Self {
            running: BTreeMap::new(),
            projects: BTreeMap::new(),
            board: Board::default(),
            permits: Arc::new(Semaphore::new(policy.batch_size.max(1))),
            policy: policy.clone(),
            prober,
            pressed: Arc::default(),
        }
    }
}

/// What a task needs.
struct Task {
    id: ContainerId,
    project: ProjectName,
    service: ServiceName,
    name: String,
    since: Timestamp,
    probe: Arc<Probe>,
    reach: Reach,
    patience: Patience,
    interval: Duration,
    timeout: Duration,
    seed: u64,
    prober: Arc<dyn Prober>,
    permits: Arc<Semaphore>,
    board: Claim<Probed>,
    pressed: Arc<AtomicBool>,
    told: Told,
}

impl Probes {
    /// Brings the probes of a project in line with what runs.
    pub(super) fn update(&mut self, name: &ProjectName, target: &Project, world: &World, told: &Told) {
        let wants = |container: &Container| {
            let service = container.service.as_ref().filter(|_| !container.oneoff)?;
            let probe = target.services.get(service)?.extension.probe.as_ref()?;
            let ContainerState::Running { since } = container.state else { return None };
            Some((service.clone(), Arc::new(probe.clone()), since))
        };
        let mut wanted = BTreeMap::new();
        if target.services.values().any(|s| s.extension.probe.is_some()) {
            for container in world.of_project(name) {
                if let Some(found) = wants(container) {
                    wanted.insert(container.id.clone(), found);
                }
            }
        } else if !self.projects.contains_key(name) {
            return;
        }
        let running = self.projects.get(name);
        let gone = running.into_iter().flatten().filter(|id| !wanted.contains_key(*id)).cloned().collect::<Vec<_>>();
        for id in gone {
            self.end(&id);
        }
        for (id, (service, probe, since)) in wanted {
            let Some(container) = world.container(&id) else { continue };
            let reach = reach_of(container, target, world);
            let same = self.running.get(&id).is_some_and(|running| {
                let one_run = running.run.0 == container.pid && time::is_one_start(running.run.1, since);
                one_run && *running.probe == *probe && running.reach == reach
            });
            if !same {
                self.begin(container, service, probe, since, reach, told);
            }
        }
    }

    /// What the probe of a container found; `None`: it has none.
    pub(super) fn class(&self, id: &ContainerId) -> Option<HealthClass> {
        let found = || self.board.of(id.as_str()).map(|probed| probed.class).unwrap_or_default();
        self.running.contains_key(id).then(found)
    }

    /// What the probe of a container found, in full.
    pub(super) fn found(&self, id: &ContainerId) -> Option<Probed> {
        self.board.of(id.as_str())
    }

    pub(super) fn board(&self) -> &Board<Probed> {
        &self.board
    }

    /// The host is hard pressed, or not any more.
    pub(super) fn press(&self, is_pressed: bool) {
        self.pressed.store(is_pressed, Ordering::Relaxed);
    }

    /// Ends the probe of a container, if it has one.
    pub(super) fn end(&mut self, id: &ContainerId) {
        if let Some(running) = self.running.remove(id)
            && let Some(all) = self.projects.get_mut(&running.project)
        {
            all.remove(id);
            if all.is_empty() {
                self.projects.remove(&running.project);
            }
        }
        self.board.remove(id);
    }

    /// Makes no probes any more: the Engine was lost, and what runs may be something else when it is back. What was found
    /// stays to be read until then.
    pub(super) fn stop(&mut self) {
        self.running.clear();
        self.projects.clear();
    }

    fn begin(
        &mut self,
        container: &Container,
        service: ServiceName,
        probe: Arc<Probe>,
        since: Timestamp,
        reach: Reach,
        told: &Told,
    ) {
        let (policy, id, project) = (&self.policy, container.id.clone(), container.project.clone());
        let task = Task {
            id: id.clone(),
            project: project.clone(),
            service,
            name: container.name.clone(),
            since,
            patience: Patience {
                retries: probe.retries.unwrap_or(policy.retries).max(1),
                successes: probe.successes.unwrap_or(1).max(1),
                expected_latency: probe.expected_latency,
                alert_latency: probe.alert_latency,
            },
            interval: probe.interval.unwrap_or(policy.interval).max(Duration::from_millis(50)),
            timeout: probe.timeout.unwrap_or(policy.timeout).max(Duration::from_millis(10)),
            seed: hash::spread(0, &[id.as_str()], 0),
            probe: Arc::clone(&probe),
            reach: reach.clone(),
            prober: Arc::clone(&self.prober),
            permits: Arc::clone(&self.permits),
            board: self.board.claim(&id),
            pressed: Arc::clone(&self.pressed),
            told: told.clone(),
        };
        let task = AbortOnDropHandle::new(tokio::spawn(task.run()));
        let run = (container.pid, since);
        self.projects.entry(project.clone()).or_default().insert(id.clone());
        self.running.insert(id, Running { project, run, probe, reach, _task: task });
    }
}

/// Where a container is reached: one that lives in another one's network has that one's addresses.
fn reach_of(container: &Container, target: &Project, world: &World) -> Reach {
    let service = container.service.as_ref().and_then(|name| target.services.get(name));
    let owner = service.and_then(|s| match &s.network_mode {
        Some(crate::model::service::NamespaceMode::Service(owner)) => Some(owner),
        _ => None,
    });
    let owner = owner.and_then(|owner| {
        let mut all = world.of_project(&container.project);
        all.find(|c| c.service.as_ref() == Some(owner) && c.is_running() && !c.oneoff)
    });
    owner.unwrap_or(container).reach.clone()
}

/// How long it is until the next probe. `pause`: how long while nothing is known yet. `drawn`: from 0 to 1.
fn rest(class: HealthClass, is_pressed: bool, interval: Duration, pause: Duration, drawn: f64) -> Duration {
    let interval = match class {
        // Somebody may wait for the first success, and who is about to be called unhealthy is looked at soon.
        HealthClass::Unknown => return pause,
        HealthClass::Healthy if is_pressed => interval * EASED,
        _ => interval,
    };
    interval.mul_f64(1.0 - JITTER * drawn)
}

impl Task {
    async fn run(self) {
        let mut draw = fastrand::Rng::with_seed(self.seed);
        let mut probed = Probed::default();
        let mut pause = FIRST_PAUSE.min(self.interval);
        let mut counted = tokio::time::Instant::now();
        // The one that last led there.
        let mut way = None;
        let start_period = self.probe.start_period.unwrap_or_default();
        loop {
            let outcome = {
                let _permit = self.permits.acquire().await;
                self.ask(&probed, way).await
            };
            way = outcome.way.filter(|_| outcome.reached);
            let is_starting = time::between(self.since, self.told.clock.now()) < start_period;
            let young = is_starting && probed.class == HealthClass::Unknown
                || !track::counts(probed.class, counted.elapsed(), self.interval);
            if !young {
                counted = tokio::time::Instant::now();
            }
            let news = track::note(&mut probed, &outcome, &self.patience, young);
            self.board.set(probed.clone());
            let latency = outcome.result.is_ok().then_some(outcome.latency);
            let latency_us = latency.map(|latency| u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
            self.told.bus.count(Some(&self.project), Some(&self.service), RecordData::Probed { latency_us });
            if news != News::default() {
                tracing::debug!(container = %self.name, class = probed.class.as_str(), "a probe found news");
                self.told.answer(EngineAnswer::Probed { id: self.id.clone(), news }).await;
            }
            let is_pressed = self.pressed.load(Ordering::Relaxed);
            tokio::time::sleep(rest(probed.class, is_pressed, self.interval, pause, draw.f64())).await;
            pause = (pause * 3 / 2).min(self.interval);
        }
    }

    async fn ask(&self, before: &Probed, way: Option<Way>) -> Outcome {
        if let ProbeKind::Exec(command) = &self.probe.kind {
            return self.within(command).await.unwrap_or_else(|failed| failed);
        }
        let by_exec = before.way == Some(Way::Exec);
        if by_exec && let Some(found) = self.within_any().await {
            return found;
        }
        let way = way.filter(|_| !by_exec);
        let mut asked = self.prober.probe(&self.id, &self.probe.kind, self.timeout, &self.reach, way).await;
        if by_exec && !asked.reached {
            // That is the way still.
            asked.way = Some(Way::Exec);
        }
        // Who was reached before is there, and hangs.
        let was_reached = before.latency_ms.is_some();
        if asked.reached || by_exec || was_reached { asked } else { self.within_any().await.unwrap_or(asked) }
    }

    /// Asks the same in the container, by a program that it may have.
    async fn within_any(&self) -> Option<Outcome> {
        for command in within::commands(&self.probe.kind, self.timeout) {
            if let Ok(found) = self.within(&command).await {
                return Some(found);
            }
        }
        None
    }

    /// Runs a command in the container; an error: how it failed.
    async fn within(&self, command: &[String]) -> Result<Outcome, Outcome> {
        let began = tokio::time::Instant::now();
        let test: Vec<String> = std::iter::once("CMD".to_owned()).chain(command.iter().cloned()).collect();
        let answer = self.told.engine.check(&self.id, &test, self.timeout).await;
        let outcome = |result| Outcome {
            result,
            latency: began.elapsed(),
            way: Some(Way::Exec),
            reached: true,
            at: self.told.clock.now(),
        };
        match answer {
            Ok(None) => Ok(outcome(Ok(Document::default()))),
            Ok(Some(why)) => Err(outcome(Err(why))),
            Err(error) => Err(outcome(Err(error.to_string()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_is_well_is_asked_less_often_while_the_host_is_hard_pressed() {
        let (interval, pause) = (Duration::from_secs(10), Duration::from_millis(200));
        let rests = |class, is_pressed| rest(class, is_pressed, interval, pause, 0.0);
        assert_eq!(rests(HealthClass::Healthy, false), interval);
        assert_eq!(rests(HealthClass::Healthy, true), interval * EASED);
        for class in [HealthClass::Degraded, HealthClass::Unhealthy] {
            assert_eq!(rests(class, true), interval, "{class:?}");
        }
        assert_eq!(rests(HealthClass::Unknown, true), pause);
        assert!(rest(HealthClass::Healthy, false, interval, pause, 1.0) < interval, "they do not stay in step");
    }
}
