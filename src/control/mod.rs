//! The loop: observe, decide, carry out, remember, observe again.
//!
//! # Guarantees
//! One task owns all state, so there are no locks and no order of locks. Everything that happens arrives as a
//! [`Message`] on one queue; calls to the engine run beside the loop, at most `parallel` mutating ones at a time and at
//! most one for each subject. What is in flight is on the disk before its call is made.
//!
//! # Caveats
//! Nothing is decided while the engine is away or what is known of a project is out of date.

pub mod advice;
pub mod board;
mod budget;
mod checks;
mod clock;
mod compare;
mod execute;
mod files;
mod guard;
mod herd;
pub mod host;
mod images;
pub mod interest;
pub mod ledger;
mod link;
pub mod lock;
mod manifests;
pub mod observe;
pub mod offline;
mod operations;
mod places;
pub mod planted;
mod ports;
mod pressure;
pub mod probing;
mod projects;
pub mod publish;
mod rollout;
mod runs;
mod seal;
mod settling;
pub mod socket;
mod steps;
mod tell;
mod tracked;
mod usage;
mod view;
pub mod watch;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch as latest};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use board::Board;
pub use clock::{Clock, SystemClock};
use ledger::{LedgerError, Store};
use observe::Cache;
pub use operations::{Operation, Refused, Reply};
use projects::Projects;
use publish::{EngineStatus, Notice, Observer, Snapshot};
use steps::Outcome;
use tracked::Tracked;
use watch::Reading;

use crate::decide::RecoveryPolicy;
use crate::decide::pressure::HostGuard;
use crate::engine::{Engine, EngineError, EngineEvent, HOOK_LIMIT, Listing};
use crate::model::event::{Event, EventType, Severity};
use crate::model::health::Probed;
use crate::model::ledger::HostLedger;
use crate::model::observed::{Capabilities, Container, Image};
use crate::model::usage::{HostLoad, Load, Usage};
use crate::model::{ContainerId, InstanceId, ProjectName, ServiceName, Timestamp, time};
use crate::probe::track::News;
use crate::probe::{NetworkProber, Prober};

/// Events that are kept for those who ask.
const EVENTS_KEPT: usize = 500;
/// For steps in flight when the controller is told to end.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(8);

/// How the controller behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// The manifests directory.
    pub root: PathBuf,
    /// The root is one manifest of several: others that are remembered are left alone.
    pub single: bool,
    /// Nothing is done but what an operation asks for.
    pub asked_only: bool,
    /// Mutating calls at the same time.
    pub parallel: usize,
    /// Between two starts.
    pub start_delay: Duration,
    /// Between two full resyncs.
    pub resync: Duration,
    /// Touch what another evenkeel made.
    pub take_over: bool,
    /// The pace of restarts and retries.
    pub recovery: RecoveryPolicy,
    /// How probes are made where manifests do not say.
    pub health: probing::HealthOptions,
    /// A hook that takes longer has failed.
    pub hook_limit: Duration,
    /// How the host is watched; `None`: not at all.
    pub host: Option<host::HostOptions>,
    /// What services with limits use is followed; else only of those with a throttle, and of those that somebody looks at.
    pub stats: bool,
    /// Where the Engine is, in words.
    pub address: String,
}

impl Options {
    /// For that root, with everything else as it is where no settings say otherwise.
    pub fn of(root: PathBuf) -> Self {
        Self {
            root,
            single: false,
            asked_only: false,
            parallel: 8,
            start_delay: Duration::ZERO,
            resync: Duration::from_secs(60),
            take_over: false,
            recovery: RecoveryPolicy::default(),
            health: probing::HealthOptions::default(),
            hook_limit: HOOK_LIMIT,
            host: None,
            stats: true,
            address: String::new(),
        }
    }
}

/// What arrives at the loop.
#[derive(Debug)]
enum Message {
    Reading(Box<Reading>),
    Connected(Box<Result<link::Connected, EngineError>>),
    Event(Result<EngineEvent, EngineError>),
    EventsEnded,
    /// An answer to a question asked over the `epoch`-th connection: of no use once that was lost.
    Answer {
        epoch: u64,
        answer: Answer,
    },
    Step(Box<Outcome>),
    Host(Option<HostLoad>),
    LookedAt(ProjectName, ServiceName),
    Operation(Operation, tokio::sync::oneshot::Sender<Reply>),
    Shutdown,
}

/// What the engine was asked for beside the loop.
#[derive(Debug)]
enum Answer {
    Listed { point: u64, result: Result<Listing, EngineError> },
    Inspected { id: ContainerId, point: u64, result: Result<Option<Box<Container>>, EngineError> },
    Image { reference: String, result: Result<Option<Image>, EngineError> },
    Passed { id: ContainerId },
    Probed { id: ContainerId, news: News },
    Load { id: ContainerId, load: Load, host_cpus: u32 },
}

/// A way to talk to the loop.
#[derive(Debug, Clone)]
pub struct Handle {
    sender: mpsc::UnboundedSender<Message>,
    snapshots: latest::Receiver<Arc<Snapshot>>,
    probed: Board<Probed>,
    usage: Board<Usage>,
}

impl Handle {
    /// How everything is now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshots.borrow())
    }

    /// What probes found.
    pub fn probed(&self) -> &Board<Probed> {
        &self.probed
    }

    /// What containers use, of those that are followed.
    pub fn usage(&self) -> &Board<Usage> {
        &self.usage
    }

    /// Says that somebody looks at a service: what it uses is followed for a minute.
    pub fn look_at(&self, project: &ProjectName, service: &ServiceName) {
        let _ = self.sender.send(Message::LookedAt(project.clone(), service.clone()));
    }

    /// Snapshots as they change.
    pub fn snapshots(&self) -> latest::Receiver<Arc<Snapshot>> {
        self.snapshots.clone()
    }

    /// Asks for an operation.
    ///
    /// # Errors
    /// When it is refused, or the controller is ending.
    pub async fn ask(&self, operation: Operation) -> Reply {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let ending = || Refused("the controller is ending".to_owned());
        self.sender.send(Message::Operation(operation, sender)).map_err(|_| ending())?;
        receiver.await.map_err(|_| ending())?
    }

    /// Hands over what the watcher read; `false`: the loop has ended.
    pub fn reading(&self, reading: Reading) -> bool {
        self.sender.send(Message::Reading(Box::new(reading))).is_ok()
    }

    /// Asks the loop to end: running steps are finished, the ledger is written.
    pub fn shut_down(&self) {
        let _ = self.sender.send(Message::Shutdown);
    }
}

/// The loop's state.
pub struct Controller {
    options: Options,
    engine: Arc<dyn Engine>,
    store: Store,
    instance: InstanceId,
    clock: Arc<dyn Clock>,
    pulse: clock::Pulse,
    observer: Arc<dyn Observer>,
    /// Asks the watcher for a reading.
    readings: mpsc::UnboundedSender<Instant>,
    sender: mpsc::UnboundedSender<Message>,
    inbox: mpsc::UnboundedReceiver<Message>,
    published: latest::Sender<Arc<Snapshot>>,

    cache: Cache,
    comparisons: compare::Comparisons,
    checks: checks::Checks,
    probing: probing::Probing,
    watching: usage::Watching,
    host_guard: HostGuard,
    /// The host that this runs on, as of the last look.
    host_load: Option<HostLoad>,
    /// Bytes of memory of the Engine's.
    engine_memory: Option<u64>,
    host: HostLedger,
    projects: Projects,
    /// Projects to decide again.
    dirty: BTreeSet<ProjectName>,
    /// Projects that wait for inspects.
    awaiting: BTreeSet<ProjectName>,
    /// Projects some of whose steps found no room.
    starved: BTreeSet<ProjectName>,
    /// A step ended since they were last thought of.
    freed: bool,
    /// Projects whose view is out of date.
    stale_views: BTreeSet<ProjectName>,
    engine_status: EngineStatus,
    capabilities: Capabilities,
    event_task: Option<AbortOnDropHandle<()>>,
    reconnect: link::Reconnect,
    /// Counts lost connections.
    epoch: u64,
    /// Containers being inspected, and whether once more afterwards.
    inspecting: BTreeMap<ContainerId, bool>,
    /// Containers whose inspect was refused, and when they are asked about again.
    inspect_later: BTreeSet<ContainerId>,
    /// References whose look-up failed.
    look_up_later: BTreeSet<String>,
    retry_at: Option<Instant>,
    listing: bool,
    list_again: bool,
    /// The next list is one of those after which everything is decided again, whether or not it shows a change.
    decide_all: bool,
    /// References being looked up, and whether once more afterwards.
    looking_up: BTreeMap<String, bool>,
    resync_at: Instant,
    next_start: Instant,
    /// Steps whose calls have not come back.
    running: usize,
    /// Those of them that keep the engine busy.
    busy: usize,
    herd: herd::Herd,
    pull_budget: budget::Budget,
    port_look: ports::PortLook,
    settling: settling::Settling,
    guard: guard::Guard,
    reading: Option<Box<Reading>>,
    issues: BTreeMap<&'static str, String>,
    events: VecDeque<Arc<Event>>,
    event_count: u64,
    resynced: Option<Timestamp>,
    stopping: Option<Instant>,
    /// What is published is out of date.
    unpublished: bool,
}

impl Controller {
    /// Prepares the loop from what is remembered. Nothing is done before [`Controller::run`].
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn new(
        options: Options,
        engine: Arc<dyn Engine>,
        store: Store,
        clock: Arc<dyn Clock>,
        observer: Arc<dyn Observer>,
        readings: mpsc::UnboundedSender<Instant>,
    ) -> Result<(Self, Handle), LedgerError> {
        let instance = store.instance()?;
        let host = store.host()?;
        let remembered = store.projects()?;
        let (sender, inbox) = mpsc::unbounded_channel();
        let (published, snapshots) = latest::channel(Arc::default());
        let probing = probing::Probing::new(&options.health, Arc::new(NetworkProber::default()));
        let watching = usage::Watching::default();
        let (probed, usage) = (probing.board.clone(), watching.board.clone());
        let now = Instant::now();
        let projects: Projects =
            remembered.into_iter().map(|(name, r)| (name.clone(), Tracked::remembered(name, r))).collect();
        let controller = Self {
            engine_status: EngineStatus { address: options.address.clone(), ..EngineStatus::default() },
            capabilities: Capabilities { api: (1, 41) },
            dirty: BTreeSet::new(),
            awaiting: BTreeSet::new(),
            starved: BTreeSet::new(),
            freed: false,
            stale_views: projects.keys().cloned().collect(),
            projects,
            options,
            engine,
            store,
            instance,
            pulse: clock::Pulse::new(clock.now()),
            clock,
            observer,
            readings,
            sender: sender.clone(),
            inbox,
            published,
            cache: Cache::default(),
            comparisons: compare::Comparisons::default(),
            checks: checks::Checks::default(),
            probing,
            watching,
            host_guard: HostGuard::default(),
            host_load: None,
            engine_memory: None,
            host,
            event_task: None,
            reconnect: link::Reconnect::default(),
            epoch: 0,
            inspecting: BTreeMap::new(),
            inspect_later: BTreeSet::new(),
            look_up_later: BTreeSet::new(),
            retry_at: None,
            listing: false,
            list_again: false,
            decide_all: false,
            looking_up: BTreeMap::new(),
            resync_at: now,
            next_start: now,
            running: 0,
            busy: 0,
            herd: herd::Herd::default(),
            pull_budget: budget::Budget::default(),
            port_look: ports::PortLook::default(),
            settling: settling::Settling::default(),
            guard: guard::Guard::default(),
            reading: None,
            issues: BTreeMap::new(),
            events: VecDeque::new(),
            event_count: 0,
            resynced: None,
            stopping: None,
            unpublished: true,
        };
        Ok((controller, Handle { sender, snapshots, probed, usage }))
    }

    /// With another one to make probes: without a network, as in a rehearsal.
    #[must_use]
    pub fn probed_by(mut self, prober: Arc<dyn Prober>) -> Self {
        self.probing.prober = prober;
        self
    }

    /// Runs until it is told to end.
    pub async fn run(mut self) {
        self.connect();
        self.host_load = self.look_at_host();
        let _host = self.watch_host();
        loop {
            let deadline = self.next_deadline();
            let message = tokio::select! {
                biased;
                message = self.inbox.recv() => message,
                () = tokio::time::sleep_until(deadline) => None,
            };
            if let Some(message) = message {
                self.receive(message);
                // What has arrived by now is taken in before anything is decided.
                while let Ok(message) = self.inbox.try_recv() {
                    self.receive(message);
                }
            }
            self.note_clock();
            self.on_time();
            if let Some(limit) = self.stopping
                && (self.running == 0 || Instant::now() >= limit)
            {
                break;
            }
            self.turn();
        }
        self.save_all();
        self.event_task = None;
        self.publish();
    }

    fn receive(&mut self, message: Message) {
        match message {
            Message::Reading(reading) => self.on_reading(reading),
            Message::Connected(result) => self.on_connected(*result),
            Message::Event(event) => self.on_event(event),
            Message::EventsEnded => self.on_engine_lost("the event stream ended"),
            Message::Answer { epoch, .. } if epoch != self.epoch => {}
            Message::Answer { answer, .. } => match answer {
                Answer::Listed { point, result } => self.on_listed(point, result),
                Answer::Inspected { id, point, result } => self.on_inspected(&id, point, result),
                Answer::Image { reference, result } => self.on_image(reference, result),
                Answer::Passed { id } => self.dirty.extend(self.cache.passed(&id)),
                Answer::Load { id, load, host_cpus } => self.on_load(&id, load, host_cpus),
                Answer::Probed { id, news } => self.on_probed(&id, news),
            },
            Message::Step(outcome) => self.on_outcome(*outcome),
            Message::Host(load) => self.on_host(load),
            Message::LookedAt(project, service) => self.on_looked_at(project, service),
            Message::Operation(operation, reply) => {
                let answer = self.operate(operation);
                let _ = reply.send(answer);
            }
            Message::Shutdown => {
                self.stopping.get_or_insert_with(|| Instant::now() + SHUTDOWN_LIMIT);
            }
        }
    }

    /// When the loop has to look up though nothing arrived.
    fn next_deadline(&mut self) -> Instant {
        // What one project's decision means for another is decided at once.
        if !self.dirty.is_empty() && self.may_decide() {
            return Instant::now();
        }
        let mut deadline = self.resync_at.max(Instant::now());
        if let Some(limit) = self.stopping {
            deadline = deadline.min(limit);
        }
        let dues = [self.reconnect.due(), self.retry_at, self.port_look.due(), self.looking_until()];
        for at in dues.into_iter().flatten() {
            deadline = deadline.min(at);
        }
        if self.engine_status.up
            && let Some(at) = self.projects.next_wake()
        {
            let wait = time::between(self.clock.now(), at);
            deadline = deadline.min(Instant::now() + wait);
        }
        deadline
    }

    /// Does what is due.
    fn on_time(&mut self) {
        let now = self.clock.now();
        while let Some(name) = self.projects.wake(now) {
            self.dirty.insert(name);
        }
        if self.reconnect.due().is_some_and(|at| at <= Instant::now()) {
            self.connect();
        }
        if self.retry_at.is_some_and(|at| at <= Instant::now()) {
            self.retry_at = None;
            for id in std::mem::take(&mut self.inspect_later) {
                self.inspect(id);
            }
            for reference in std::mem::take(&mut self.look_up_later) {
                self.look_up(&reference);
            }
        }
        self.look_at_ports();
        self.stop_looking();
        if self.resync_at <= Instant::now() {
            self.resync_at = Instant::now() + self.options.resync;
            self.resync();
        }
    }

    /// Raises an event.
    fn event(
        &mut self,
        event_type: EventType,
        severity: Severity,
        project: Option<&ProjectName>,
        service: Option<&crate::model::ServiceName>,
        message: impl Into<String>,
    ) {
        self.event_count += 1;
        let event = Event {
            id: self.event_count,
            timestamp: self.clock.now(),
            event_type,
            severity,
            project: project.map(ToString::to_string),
            service_id: project.zip(service).map(|(p, s)| format!("{p}.{s}")),
            message: message.into(),
        };
        self.observer.notice(&Notice::Event(&event));
        self.unpublished = true;
        self.events.push_back(Arc::new(event));
        while self.events.len() > EVENTS_KEPT {
            self.events.pop_front();
        }
    }

    /// Notes or clears something that is wrong with the controller itself; says whether there was nothing of its kind
    /// before: one disk that is full is one event, however many files it concerns.
    fn issue(&mut self, kind: &'static str, text: Option<String>) -> bool {
        match text {
            Some(text) => {
                self.unpublished = true;
                self.issues.insert(kind, text).is_none()
            }
            None => {
                self.unpublished |= self.issues.remove(kind).is_some();
                false
            }
        }
    }
}
