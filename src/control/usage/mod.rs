//! What containers use, told by the Engine's streams of statistics: one for each container that somebody wants to know it of,
//! and no call at each tick. The loop is told only when too much, or little, was used for the time.

mod judge;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::board::Board;
use super::{Answer, Controller, Message, host};
use crate::engine::Engine;
use crate::model::event::{EventType, Severity};
use crate::model::observed::ContainerState;
use crate::model::service::Throttle;
use crate::model::usage::{Load, Usage};
use crate::model::{ContainerId, Project, ProjectName, Service, ServiceName};
use judge::Judge;

/// After a stream ended.
const RETRY: Duration = Duration::from_secs(2);
/// A stream tells something within this time, or is taken to tell nothing.
const SILENCE: Duration = Duration::from_secs(15);
/// Files are counted once in so many messages: each takes a look at every process of the container.
const FILES_EVERY: u64 = 5;
/// So long somebody who looked at a service is taken to look still.
const LOOKING: Duration = Duration::from_secs(60);

/// The streams that are followed.
#[derive(Debug, Default)]
pub(super) struct Watching {
    streams: BTreeMap<ContainerId, Watched>,
    /// Services that somebody looks at, and until when that is believed.
    looked_at: BTreeMap<(ProjectName, ServiceName), Instant>,
    pub(super) board: Board<Usage>,
}

#[derive(Debug)]
struct Watched {
    project: ProjectName,
    terms: Terms,
    load: Option<Load>,
    host_cpus: Option<u32>,
    began: Instant,
    _task: AbortOnDropHandle<()>,
}

/// What a stream is judged by.
#[derive(Debug, Clone, PartialEq)]
struct Terms {
    throttle: Throttle,
    /// CPUs that the manifest lets it use; `None`: all of the host's.
    cpus: Option<f64>,
    throttled: bool,
    /// The process whose files are counted.
    files_of: Option<u32>,
}

/// Whether it is always to be known what a service uses.
fn has_throttle(service: &Service) -> bool {
    let throttle = &service.extension.throttle;
    throttle.cpu.is_some() || throttle.memory.is_some()
}

/// Whether there is something that it may come near to.
fn has_limits(service: &Service) -> bool {
    let resources = &service.resources;
    let limits = [resources.nano_cpus, resources.cpu_quota, resources.memory.map(|bytes| bytes.0), resources.pids];
    limits.iter().flatten().any(|limit| *limit > 0) || service.ulimits.contains_key("nofile")
}

/// Follows one stream.
struct Task {
    id: ContainerId,
    judge: Judge,
    files_of: Option<(PathBuf, u32)>,
    engine: Arc<dyn Engine>,
    board: Board<Usage>,
    sender: mpsc::UnboundedSender<Message>,
    epoch: u64,
}

impl Task {
    async fn run(mut self) {
        let mut told = None;
        let mut messages = 0_u64;
        let mut files = None;
        loop {
            let mut stream = self.engine.usage(&self.id);
            while let Some(Ok(usage)) = stream.next().await {
                if messages.is_multiple_of(FILES_EVERY) {
                    files = self.files_of.as_ref().and_then(|(proc, pid)| host::open_files(proc, *pid));
                }
                messages += 1;
                let usage = Usage { files, ..usage };
                self.board.set(&self.id, usage);
                let load = self.judge.judge(&usage);
                if told != Some(load) {
                    told = Some(load);
                    let answer = Answer::Load { id: self.id.clone(), load, host_cpus: usage.host_cpus };
                    let _ = self.sender.send(Message::Answer { epoch: self.epoch, answer });
                }
            }
            tokio::time::sleep(RETRY).await;
        }
    }
}

impl Controller {
    /// Brings the streams of a project in line with what runs, and what they told into what is decided about.
    pub(super) fn update_watching(&mut self, name: &ProjectName, target: &Project) {
        let wants = |service: &Service| self.wants_usage(name, service);
        if !target.services.values().any(wants) && !self.watching.streams.values().any(|w| w.project == *name) {
            return;
        }
        let Some(tracked) = self.projects.get(name) else { return };
        let mut wanted = BTreeMap::new();
        for container in self.cache.of_project(name).filter(|c| !c.oneoff) {
            let service = container.service.as_ref().and_then(|s| target.services.get(s));
            let Some(service) = service.filter(|service| wants(service)) else { continue };
            if matches!(container.state, ContainerState::Running { .. }) {
                let terms = Terms {
                    throttle: service.extension.throttle,
                    cpus: service.resources.cpu_limit(),
                    throttled: tracked.ledger.throttled.get(&container.id).is_some_and(|known| known.own),
                    files_of: container.pid.filter(|_| self.host_is_here() && service.ulimits.contains_key("nofile")),
                };
                wanted.insert(container.id.clone(), terms);
            }
        }
        self.watching.keep(|id, watched| watched.project != *name || wanted.contains_key(id));
        for (id, terms) in wanted {
            if self.watching.streams.get(&id).is_none_or(|watched| watched.terms != terms) {
                self.watch_usage(name, id, terms);
            }
        }
        for container in self.cache.of_project_mut(name) {
            let watched = self.watching.streams.get(&container.id);
            container.load = watched.and_then(|w| w.load);
            container.host_cpus = watched.and_then(|w| w.host_cpus);
            container.squeeze = self.host_guard.of(&container.id);
        }
    }

    /// Whether it is to be known what a service uses.
    fn wants_usage(&self, project: &ProjectName, service: &Service) -> bool {
        let looked_at = || self.watching.looked_at.contains_key(&(project.clone(), service.name.clone()));
        has_throttle(service)
            || self.options.stats && has_limits(service)
            || self.host_guard.needs_usage() && !service.extension.critical
            || !self.watching.looked_at.is_empty() && looked_at()
    }

    fn watch_usage(&mut self, project: &ProjectName, id: ContainerId, terms: Terms) {
        let proc = self.options.host.as_ref().map(|host| host.proc.clone());
        let task = Task {
            id: id.clone(),
            judge: Judge::new(terms.throttle, terms.cpus, terms.throttled),
            files_of: proc.zip(terms.files_of),
            engine: Arc::clone(&self.engine),
            board: self.watching.board.clone(),
            sender: self.sender.clone(),
            epoch: self.epoch,
        };
        let before = self.watching.streams.remove(&id);
        // What was throttled just now is not calm before that was seen.
        let load = before.as_ref().and_then(|w| w.load).map(|load| Load { cpu_high: false, cpu_low: false, ..load });
        let host_cpus = before.as_ref().and_then(|w| w.host_cpus);
        let began = before.as_ref().map_or_else(Instant::now, |w| w.began);
        let task = AbortOnDropHandle::new(tokio::spawn(task.run()));
        self.watching
            .streams
            .insert(id, Watched { project: project.clone(), terms, load, host_cpus, began, _task: task });
    }

    /// A container uses too much, or little, for long enough; or no more.
    pub(super) fn on_load(&mut self, id: &ContainerId, load: Load, host_cpus: u32) {
        let Some(watched) = self.watching.streams.get_mut(id) else { return };
        watched.host_cpus = Some(host_cpus);
        let before = watched.load.replace(load).unwrap_or_default();
        let name = watched.project.clone();
        let alerts = watched.terms.throttle.memory.is_some_and(|memory| !memory.restart);
        self.dirty.insert(name.clone());
        let Some(container) = self.cache.container(id) else { return };
        let (service, who) = (container.service.clone(), container.name.clone());
        let usage = self.watching.board.of(id.as_str());
        let mut told = Vec::new();
        if load.memory_high && alerts && !before.memory_high {
            let used = usage.map(|u| format!(": {} of {} MiB", u.memory >> 20, u.memory_limit >> 20));
            told.push(format!("{who} uses more memory than its manifest lets it{}", used.unwrap_or_default()));
        }
        if load.threads_high && !before.threads_high {
            let (threads, limit) = usage.map_or((0, 0), |u| (u.threads, u.thread_limit.unwrap_or_default()));
            told.push(format!("{who} has {threads} of the {limit} threads that it may have"));
        }
        if load.files_high && !before.files_high {
            let (open, limit) = usage.and_then(|u| u.files).map_or((0, 0), |files| (files.open, files.limit));
            told.push(format!("a process of {who} has {open} of the {limit} files open that it may have"));
        }
        for message in told {
            self.event(EventType::SystemAlert, Severity::Warning, Some(&name), service.as_ref(), message);
        }
    }

    /// Somebody looks at a service: what it uses is told for a while.
    pub(super) fn on_looked_at(&mut self, project: ProjectName, service: ServiceName) {
        let until = Instant::now() + LOOKING;
        if self.watching.looked_at.insert((project.clone(), service), until).is_none() {
            self.dirty.insert(project);
        }
    }

    /// When the first of those who looked is taken to look away.
    pub(super) fn looking_until(&self) -> Option<Instant> {
        self.watching.looked_at.values().min().copied()
    }

    /// Forgets who looks no more.
    pub(super) fn stop_looking(&mut self) {
        let now = Instant::now();
        let gone = self.watching.looked_at.extract_if(.., |_, until| *until <= now);
        self.dirty.extend(gone.map(|((project, _), _)| project));
    }

    /// CPUs that a container uses; `None`: that is soon to be known. One that tells nothing is taken to use nothing.
    pub(super) fn cpus_of(&self, id: &ContainerId) -> Option<f64> {
        let known = self.watching.board.of(id.as_str()).map(|usage| usage.cpus);
        let is_new = || self.watching.streams.get(id).is_none_or(|watched| watched.began.elapsed() < SILENCE);
        known.or_else(|| if is_new() { None } else { Some(0.0) })
    }

    /// Follows none any more: the Engine was lost.
    pub(super) fn stop_watching(&mut self) {
        self.watching.keep(|_, _| false);
    }
}

impl Watching {
    /// Ends all other streams.
    fn keep(&mut self, is_kept: impl Fn(&ContainerId, &Watched) -> bool) {
        for (id, _) in self.streams.extract_if(.., |id, watched| !is_kept(id, watched)) {
            self.board.remove(&id);
        }
    }
}
