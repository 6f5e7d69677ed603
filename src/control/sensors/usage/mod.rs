//! What containers use, told by the Engine's streams of statistics: one for each container that somebody wants to know it of,
//! and no call at each tick. The loop is told only when too much, or little, was used for the time.

mod judge;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::board::{Board, Claim};
use super::host_guard::Host;
use super::{Told, host};
use crate::control::message::EngineAnswer;
use crate::control::world::World;
use crate::model::ledger::ProjectLedger;
use crate::model::observed::{Container, ContainerState};
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
pub(in crate::control) struct UsageStreams {
    /// Of services with limits, too; else only of those with a throttle, and of those that somebody looks at.
    of_all_limits: bool,
    streams: BTreeMap<ContainerId, Watched>,
    /// The containers of `streams`, by project.
    projects: BTreeMap<ProjectName, BTreeSet<ContainerId>>,
    /// Services that somebody looks at, and until when that is believed.
    looked_at: BTreeMap<(ProjectName, ServiceName), Instant>,
    board: Board<Usage>,
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
    board: Claim<Usage>,
    told: Told,
}

impl Task {
    async fn run(mut self) {
        let mut told = None;
        let mut messages = 0_u64;
        let mut files = None;
        loop {
            let mut stream = self.told.engine.usage(&self.id);
            while let Some(Ok(usage)) = stream.next().await {
                if messages.is_multiple_of(FILES_EVERY) {
                    files = match self.files_of.clone() {
                        Some((proc, pid)) => {
                            let count = move || host::open_files(&proc, pid);
                            tokio::task::spawn_blocking(count).await.ok().flatten()
                        }
                        None => None,
                    };
                }
                messages += 1;
                let usage = Usage { files, ..usage };
                self.board.set(usage);
                let load = self.judge.judge(&usage);
                if told != Some(load) {
                    told = Some(load);
                    let answer = EngineAnswer::Load { id: self.id.clone(), load, host_cpus: usage.host_cpus };
                    self.told.answer(answer).await;
                }
            }
            tokio::time::sleep(RETRY).await;
        }
    }
}

impl UsageStreams {
    pub(in crate::control) fn new(of_all_limits: bool) -> Self {
        Self { of_all_limits, ..Self::default() }
    }

    pub(super) fn board(&self) -> &Board<Usage> {
        &self.board
    }

    /// Brings the streams of a project in line with what runs.
    pub(super) fn update(
        &mut self,
        name: &ProjectName,
        target: &Project,
        ledger: &ProjectLedger,
        world: &World,
        host: &Host,
        told: &Told,
    ) {
        let wants = |service: &Service| self.wants(name, service, host);
        if !target.services.values().any(wants) && !self.projects.contains_key(name) {
            return;
        }
        let mut wanted = BTreeMap::new();
        for container in world.of_project(name).filter(|c| !c.oneoff) {
            let service = container.service.as_ref().and_then(|s| target.services.get(s));
            let Some(service) = service.filter(|service| wants(service)) else { continue };
            if matches!(container.state, ContainerState::Running { .. }) {
                let terms = Terms {
                    throttle: service.extension.throttle,
                    cpus: service.resources.cpu_limit(),
                    throttled: ledger.throttled.get(&container.id).is_some_and(|known| known.own),
                    files_of: container.pid.filter(|_| host.is_the_engines() && service.ulimits.contains_key("nofile")),
                };
                wanted.insert(container.id.clone(), terms);
            }
        }
        let followed = self.projects.get(name).into_iter().flatten();
        let gone: Vec<ContainerId> = followed.filter(|id| !wanted.contains_key(*id)).cloned().collect();
        gone.iter().for_each(|id| self.end(id));
        for (id, terms) in wanted {
            if self.streams.get(&id).is_none_or(|watched| watched.terms != terms) {
                self.follow(name, id, terms, host, told);
            }
        }
    }

    /// Whether it is to be known what a service uses.
    fn wants(&self, project: &ProjectName, service: &Service, host: &Host) -> bool {
        let looked_at = || self.looked_at.contains_key(&(project.clone(), service.name.clone()));
        has_throttle(service)
            || self.of_all_limits && has_limits(service)
            || host.needs_usage() && !service.extension.critical
            || !self.looked_at.is_empty() && looked_at()
    }

    fn follow(&mut self, project: &ProjectName, id: ContainerId, terms: Terms, host: &Host, told: &Told) {
        let proc = host.policy().map(|host| host.proc.clone());
        let task = Task {
            id: id.clone(),
            judge: Judge::new(terms.throttle, terms.cpus, terms.throttled),
            files_of: proc.zip(terms.files_of),
            board: self.board.reclaim(&id),
            told: told.clone(),
        };
        let before = self.streams.remove(&id);
        // What was throttled just now is not calm before that was seen.
        let load = before.as_ref().and_then(|w| w.load).map(|load| Load { cpu_high: false, cpu_low: false, ..load });
        let host_cpus = before.as_ref().and_then(|w| w.host_cpus);
        let began = before.as_ref().map_or_else(Instant::now, |w| w.began);
        let task = AbortOnDropHandle::new(tokio::spawn(task.run()));
        self.projects.entry(project.clone()).or_default().insert(id.clone());
        self.streams.insert(id, Watched { project: project.clone(), terms, load, host_cpus, began, _task: task });
    }

    /// How a container's use compares with what its manifest allows, and how many CPUs its host has.
    pub(super) fn judged(&self, id: &ContainerId) -> (Option<Load>, Option<u32>) {
        let watched = self.streams.get(id);
        (watched.and_then(|w| w.load), watched.and_then(|w| w.host_cpus))
    }

    /// A container uses too much, or little, for long enough; or no more. Gives its project, and what people are to be told.
    pub(super) fn take(
        &mut self,
        container: &Container,
        load: Load,
        host_cpus: u32,
    ) -> Option<(ProjectName, Vec<String>)> {
        let id = &container.id;
        let watched = self.streams.get_mut(id)?;
        watched.host_cpus = Some(host_cpus);
        let before = watched.load.replace(load).unwrap_or_default();
        let name = watched.project.clone();
        let alerts = watched.terms.throttle.memory.is_some_and(|memory| !memory.restart);
        let (who, usage) = (&container.name, self.board.of(id.as_str()));
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
        Some((name, told))
    }

    /// Somebody looks at a service: what it uses is told for a while. Says whether nobody did before.
    pub(super) fn look_at(&mut self, project: ProjectName, service: ServiceName) -> bool {
        self.looked_at.insert((project, service), Instant::now() + LOOKING).is_none()
    }

    /// When the first of those who looked is taken to look away.
    pub(super) fn looking_until(&self) -> Option<Instant> {
        self.looked_at.values().min().copied()
    }

    /// Forgets who looks no more; the projects that were looked at.
    pub(super) fn stop_looking(&mut self, now: Instant) -> Vec<ProjectName> {
        let gone = self.looked_at.extract_if(.., |_, until| *until <= now);
        gone.map(|((project, _), _)| project).collect()
    }

    /// CPUs that a container uses; `None`: that is soon to be known. One that tells nothing is taken to use nothing.
    pub(super) fn cpus(&self, id: &ContainerId) -> Option<f64> {
        let known = self.board.of(id.as_str()).map(|usage| usage.cpus);
        let is_new = || self.streams.get(id).is_none_or(|watched| watched.began.elapsed() < SILENCE);
        known.or_else(|| if is_new() { None } else { Some(0.0) })
    }

    /// Another run of a container began.
    pub(super) fn started(&self, id: &ContainerId) {
        self.board.clear(id);
    }

    /// Follows a container no more.
    pub(super) fn end(&mut self, id: &ContainerId) {
        if let Some(watched) = self.streams.remove(id)
            && let Some(all) = self.projects.get_mut(&watched.project)
        {
            all.remove(id);
            if all.is_empty() {
                self.projects.remove(&watched.project);
            }
        }
        self.board.remove(id);
    }

    /// Follows none any more: the Engine was lost.
    pub(super) fn stop(&mut self) {
        for id in self.streams.keys().cloned().collect::<Vec<_>>() {
            self.end(&id);
        }
    }
}
