//! What is found out beside the loop: how services answer, what they use, what their host has left, and the files that they
//! mount. The only place that waits for anything but the Engine.

pub mod board;
mod checks;
pub(super) mod files;
mod host;
mod host_guard;
mod probes;
mod usage;

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::Instant;

pub use board::Board;
use checks::Checks;
use files::{Files, Seen};
pub(super) use host::read as read_host;
use host_guard::Host;
pub(super) use host_guard::HostNews;
use probes::Probes;
use usage::UsageStreams;

use super::clock::Clock;
use super::message::{EngineAnswer, Message};
use super::options::Options;
use super::publish::Bus;
use super::world::{Assessment, World};
use crate::decide::pressure::Candidate;
use crate::engine::Engine;
use crate::model::health::Probed;
use crate::model::ledger::ProjectLedger;
use crate::model::observed::Container;
use crate::model::usage::{HostLoad, Load, Usage};
use crate::model::{ContainerId, Project, ProjectName, ServiceName};
use crate::probe::Prober;

/// What the tasks of sensors work with, and where they tell what they found.
#[derive(Clone)]
pub(super) struct Told {
    engine: Arc<dyn Engine>,
    clock: Arc<dyn Clock>,
    bus: Bus,
    sender: mpsc::Sender<Message>,
    /// The connection to the Engine over which this is found out.
    epoch: u64,
}

impl Told {
    pub(super) fn new(engine: Arc<dyn Engine>, clock: Arc<dyn Clock>, bus: Bus, sender: mpsc::Sender<Message>) -> Self {
        Self { engine, clock, bus, sender, epoch: 0 }
    }

    async fn answer(&self, answer: EngineAnswer) {
        let _ = self.sender.send(Message::Answer { epoch: self.epoch, answer }).await;
    }
}

/// All sensors.
pub(super) struct Sensors {
    told: Told,
    checks: Checks,
    probes: Probes,
    usage: UsageStreams,
    host: Host,
    files: Files,
}

/// A project whose sensors are brought in line with what runs.
pub(super) struct Watch<'a> {
    pub(super) target: &'a Arc<Project>,
    pub(super) ledger: &'a ProjectLedger,
    pub(super) world: &'a World,
    /// The reading of the manifests that it is from.
    pub(super) reading: Option<Instant>,
}

impl Sensors {
    pub(super) fn new(options: &Options, told: Told, prober: Arc<dyn Prober>) -> Self {
        Self {
            checks: Checks::default(),
            probes: Probes::new(&options.health, prober),
            usage: UsageStreams::new(options.stats),
            host: Host::new(options.host.clone(), Arc::clone(&told.clock)),
            files: Files::new(told.sender.clone()),
            told,
        }
    }

    /// Reads the host from now on.
    pub(super) async fn begin(&mut self) {
        self.host.begin(self.told.sender.clone()).await;
    }

    /// What probes found.
    pub(super) fn probed(&self) -> &Board<Probed> {
        self.probes.board()
    }

    /// What containers use.
    pub(super) fn usage(&self) -> &Board<Usage> {
        self.usage.board()
    }

    /// The Engine was reached: its host has this much memory.
    pub(super) fn engine_is_up(&mut self, epoch: u64, memory: Option<u64>) {
        self.told.epoch = epoch;
        self.host.engine_has(memory);
    }

    /// The Engine was lost: what would be found out is of no use.
    pub(super) fn engine_is_lost(&mut self, epoch: u64) {
        self.told.epoch = epoch;
        self.checks.stop();
        self.probes.stop();
        self.usage.stop();
    }

    /// Looks at the files of a project where that is due. Gives until when its decision has to wait for that.
    pub(super) fn look_at_files(&mut self, watch: &Watch<'_>) -> Option<Instant> {
        self.files.update(watch.target, watch.reading, watch.world.of_project(&watch.target.name))
    }

    /// Brings probes and streams of a project in line with what runs.
    pub(super) fn update(&mut self, watch: &Watch<'_>) {
        let Watch { target, ledger, world, .. } = watch;
        self.probes.update(&target.name, target, world, &self.told);
        self.usage.update(&target.name, target, ledger, world, &self.host, &self.told);
    }

    /// Control's own judgement of a container.
    pub(super) fn assessment(&self, container: &Container) -> Assessment {
        let (load, host_cpus) = self.usage.judged(&container.id);
        let probed = self.probes.class(&container.id);
        Assessment { probed, load, host_cpus, squeeze: self.host.squeeze(&container.id) }
    }

    /// What was seen of the files that a container mounts.
    pub(super) fn seen_files(&self, project: &ProjectName, id: &ContainerId) -> Option<&Seen> {
        self.files.seen(project, id)
    }

    /// A look at files is over.
    pub(super) fn looked_at_files(&mut self, project: &ProjectName, seen: Vec<(ContainerId, Seen)>) {
        self.files.looked(project, seen);
    }

    /// Makes the checks that are waited for in a project, and no others.
    pub(super) fn await_checks(
        &mut self,
        name: &ProjectName,
        target: Option<&Project>,
        awaited: &BTreeSet<ContainerId>,
        world: &World,
    ) {
        self.checks.await_these(name, target, awaited, world, &self.told);
    }

    /// What the probe of a container found.
    pub(super) fn probe_of(&self, id: &ContainerId) -> Option<Probed> {
        self.probes.found(id)
    }

    /// A container ended, or began another run: what was found is of the run before.
    pub(super) fn run_ended(&mut self, id: &ContainerId) {
        self.probes.end(id);
        self.usage.started(id);
    }

    /// A container uses too much, or little; or no more. Gives its project, and what people are to be told.
    pub(super) fn take_load(
        &mut self,
        container: &Container,
        load: Load,
        host_cpus: u32,
    ) -> Option<(ProjectName, Vec<String>)> {
        self.usage.take(container, load, host_cpus)
    }

    /// The reading of the host that is known.
    pub(super) fn host_load(&self) -> Option<HostLoad> {
        self.host.load()
    }

    /// Takes in a reading of the host. `candidates`: containers that may be squeezed, without the CPUs that they use.
    pub(super) fn take_host(
        &mut self,
        load: Option<HostLoad>,
        candidates: impl FnOnce() -> Vec<Candidate>,
    ) -> HostNews {
        let usage = &self.usage;
        let news = self.host.take(load, |_| {
            let used = |candidate: Candidate| Candidate { cpus: usage.cpus(&candidate.id), ..candidate };
            candidates().into_iter().map(used).collect()
        });
        self.probes.press(news.is_pressed);
        news
    }

    /// Why nobody can tell how the host is, where somebody wants to know.
    pub(super) fn is_blind(&self, reserves: impl FnOnce() -> bool) -> Option<String> {
        self.host.blind(reserves)
    }

    /// Somebody looks at what a service uses; says whether that is to be followed from now on.
    pub(super) fn look_at(&mut self, project: ProjectName, service: ServiceName) -> bool {
        self.usage.look_at(project, service)
    }

    /// When the first of those who looked is taken to look away.
    pub(super) fn looking_until(&self) -> Option<Instant> {
        self.usage.looking_until()
    }

    /// Forgets who looks no more; the projects that were looked at.
    pub(super) fn stop_looking(&mut self, now: Instant) -> Vec<ProjectName> {
        self.usage.stop_looking(now)
    }

    /// A project is gone.
    pub(super) fn forget(&mut self, name: &ProjectName, world: &World) {
        self.files.forget(name);
        self.checks.await_these(name, None, &BTreeSet::new(), world, &self.told);
    }
}
