//! The probes that manifests ask for: one task for each container that runs, so that none can pile up on itself; spread over
//! the interval, and not too many at once.
//!
//! What they find lies on a [`Board`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};
use tokio_util::task::AbortOnDropHandle;

use super::board::Board;
use super::clock::Clock;
use super::publish::{Notice, Observer};
use super::{Answer, Controller, Message};
use crate::engine::Engine;
use crate::model::event::{EventType, Severity};
use crate::model::health::{HealthClass, Probed, Reach, Way};
use crate::model::observed::{Container, ContainerState};
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

/// How probes are made where manifests do not say.
#[derive(Debug, Clone, PartialEq)]
pub struct HealthOptions {
    /// Between two probes of a container.
    pub interval: Duration,
    /// For one of them.
    pub timeout: Duration,
    /// Failures in a row before it is unhealthy.
    pub retries: u32,
    /// Probes at the same time.
    pub batch_size: usize,
}

impl Default for HealthOptions {
    fn default() -> Self {
        Self { interval: Duration::from_secs(30), timeout: Duration::from_secs(5), retries: 3, batch_size: 16 }
    }
}

/// The probes that are being made.
pub(super) struct Probing {
    running: BTreeMap<ContainerId, Running>,
    pub(super) board: Board<Probed>,
    permits: Arc<Semaphore>,
    pub(super) prober: Arc<dyn Prober>,
    /// The host is hard pressed: who is well is asked less often.
    pub(super) pressed: Arc<AtomicBool>,
}

struct Running {
    project: ProjectName,
    run: (Option<u32>, Timestamp),
    probe: Arc<Probe>,
    reach: Reach,
    _task: AbortOnDropHandle<()>,
}

impl Probing {
    pub(super) fn new(options: &HealthOptions, prober: Arc<dyn Prober>) -> Self {
        Self {
            running: BTreeMap::new(),
            board: Board::default(),
            permits: Arc::new(Semaphore::new(options.batch_size.max(1))),
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
    engine: Arc<dyn Engine>,
    prober: Arc<dyn Prober>,
    permits: Arc<Semaphore>,
    board: Board<Probed>,
    pressed: Arc<AtomicBool>,
    clock: Arc<dyn Clock>,
    observer: Arc<dyn Observer>,
    sender: mpsc::UnboundedSender<Message>,
    epoch: u64,
}

impl Controller {
    /// Brings the probes of a project in line with what runs, and what they found into what is decided about.
    pub(super) fn update_probes(&mut self, name: &ProjectName, target: &Project) {
        let wants = |container: &Container| {
            let service = container.service.as_ref().filter(|_| !container.oneoff)?;
            let probe = target.services.get(service)?.extension.probe.as_ref()?;
            let ContainerState::Running { since } = container.state else { return None };
            Some((service.clone(), Arc::new(probe.clone()), since))
        };
        let mut wanted = BTreeMap::new();
        if target.services.values().any(|s| s.extension.probe.is_some()) {
            for container in self.cache.of_project(name) {
                if let Some(found) = wants(container) {
                    wanted.insert(container.id.clone(), found);
                }
            }
        } else if !self.probing.running.values().any(|r| r.project == *name) {
            return;
        }
        let gone: Vec<ContainerId> = self
            .probing
            .running
            .iter()
            .filter(|(id, running)| running.project == *name && !wanted.contains_key(*id))
            .map(|(id, _)| id.clone())
            .collect();
        for id in gone {
            self.probing.running.remove(&id);
            self.probing.board.remove(&id);
        }
        for (id, (service, probe, since)) in wanted {
            let Some(container) = self.cache.container(&id).cloned() else { continue };
            let reach = self.reach_of(&container, target);
            let same = self.probing.running.get(&id).is_some_and(|running| {
                let one_run = running.run.0 == container.pid && time::is_one_start(running.run.1, since);
                one_run && *running.probe == *probe && running.reach == reach
            });
            if !same {
                self.begin_probe(&container, service, probe, since, reach);
            }
        }
        let board = self.probing.board.clone();
        let probed = |container: &Container| {
            let declared = self.probing.running.contains_key(&container.id);
            declared.then(|| board.of(container.id.as_str()).map(|probed| probed.class).unwrap_or_default())
        };
        for container in self.cache.of_project_mut(name) {
            container.probed = probed(container);
        }
    }

    /// Where a container is reached: one that lives in another one's network has that one's addresses.
    fn reach_of(&self, container: &Container, target: &Project) -> Reach {
        let service = container.service.as_ref().and_then(|name| target.services.get(name));
        let owner = service.and_then(|s| match &s.network_mode {
            Some(crate::model::service::NamespaceMode::Service(owner)) => Some(owner),
            _ => None,
        });
        let owner = owner.and_then(|owner| {
            let mut all = self.cache.of_project(&container.project);
            all.find(|c| c.service.as_ref() == Some(owner) && c.is_running() && !c.oneoff)
        });
        owner.unwrap_or(container).reach.clone()
    }

    fn begin_probe(
        &mut self,
        container: &Container,
        service: ServiceName,
        probe: Arc<Probe>,
        since: Timestamp,
        reach: Reach,
    ) {
        let options = &self.options.health;
        let id = container.id.clone();
        let task = Task {
            id: id.clone(),
            project: container.project.clone(),
            service,
            name: container.name.clone(),
            since,
            patience: Patience {
                retries: probe.retries.unwrap_or(options.retries).max(1),
                successes: probe.successes.unwrap_or(1).max(1),
                expected_latency: probe.expected_latency,
                alert_latency: probe.alert_latency,
            },
            interval: probe.interval.unwrap_or(options.interval).max(Duration::from_millis(50)),
            timeout: probe.timeout.unwrap_or(options.timeout).max(Duration::from_millis(10)),
            seed: hash::spread(0, &[id.as_str()], 0),
            probe: Arc::clone(&probe),
            reach: reach.clone(),
            engine: Arc::clone(&self.engine),
            prober: Arc::clone(&self.probing.prober),
            permits: Arc::clone(&self.probing.permits),
            board: self.probing.board.clone(),
            pressed: Arc::clone(&self.probing.pressed),
            clock: Arc::clone(&self.clock),
            observer: Arc::clone(&self.observer),
            sender: self.sender.clone(),
            epoch: self.epoch,
        };
        self.probing.board.remove(&id);
        let task = AbortOnDropHandle::new(tokio::spawn(task.run()));
        let project = container.project.clone();
        let run = (container.pid, since);
        let running = Running { project, run, probe, reach, _task: task };
        self.probing.running.insert(id, running);
    }

    /// A probe found something that matters.
    pub(super) fn on_probed(&mut self, id: &ContainerId, news: News) {
        let Some(container) = self.cache.container(id) else { return };
        let (name, container_name) = (container.project.clone(), container.name.clone());
        let Some(service) = container.service.clone() else { return };
        let Some(probed) = self.probing.board.of(id.as_str()) else { return };
        self.stale_views.insert(name.clone());
        if news.class {
            self.dirty.insert(name.clone());
            let (kind, severity) = match probed.class {
                HealthClass::Unhealthy => (EventType::ServiceDown, Severity::Error),
                HealthClass::Degraded => (EventType::ServiceDown, Severity::Warning),
                _ => (EventType::ServiceUp, Severity::Info),
            };
            let why =
                if probed.reasons.is_empty() { String::new() } else { format!(": {}", probed.reasons.join(", ")) };
            let message = format!("{container_name} is {}{why}", probed.class.as_str());
            self.event(kind, severity, Some(&name), Some(&service), message);
        }
        if news.slow {
            let message = format!("{container_name} answers in {} ms", probed.latency_ms.unwrap_or_default());
            self.event(EventType::HighLatency, Severity::Warning, Some(&name), Some(&service), message);
        }
    }

    /// Makes no probes any more: the Engine was lost, and what runs may be something else when it is back.
    pub(super) fn stop_probes(&mut self) {
        self.probing.running.clear();
    }
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
            let is_starting = time::between(self.since, self.clock.now()) < start_period;
            let young = is_starting && probed.class == HealthClass::Unknown
                || !track::counts(probed.class, counted.elapsed(), self.interval);
            if !young {
                counted = tokio::time::Instant::now();
            }
            let news = track::note(&mut probed, &outcome, &self.patience, young);
            self.board.set(&self.id, probed.clone());
            self.observer.notice(&Notice::Probed {
                project: &self.project,
                service: &self.service,
                latency: outcome.result.is_ok().then_some(outcome.latency),
            });
            if news != News::default() {
                tracing::debug!(container = %self.name, class = probed.class.as_str(), "a probe found news");
                let answer = Answer::Probed { id: self.id.clone(), news };
                let _ = self.sender.send(Message::Answer { epoch: self.epoch, answer });
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
        let answer = self.engine.check(&self.id, &test, self.timeout).await;
        let outcome = |result| Outcome {
            result,
            latency: began.elapsed(),
            way: Some(Way::Exec),
            reached: true,
            at: self.clock.now(),
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
