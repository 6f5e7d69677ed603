//! The loop: observe, decide, carry out, remember, observe again.
//!
//! # Guarantees
//! One task owns all state, in components with private fields: this file routes what arrives to them, [`turn`] gathers what
//! may be decided on, decides and hands out. Everything that happens arrives as a [`Message`] on one bounded queue. Nothing
//! waits in the loop: calls to the Engine, the ledger's files, host, probes and plans are all beside it. What is in flight is
//! on the disk before its call is made.
//!
//! # Caveats
//! Nothing is decided while the Engine is away or what is known of a project is out of date.
//!
//! | room | what it keeps |
//! | --- | --- |
//! | `intake` | readings of the manifests, their confirmation, the guard |
//! | `link` | the connection to the Engine, and what it is being asked |
//! | `world` | what the Engine has, and how far that can be trusted |
//! | `steps` | what is under way, the order and limits of steps |
//! | `ledger` | what must outlive a restart, in memory and on the disk |
//! | `sensors` | probes, checks, usage, the host, mounted files |
//! | `operations` | what operators ask for |
//! | `publish` | snapshots, and the bus of records |

mod clock;
mod decider;
mod decisions;
mod handle;
mod input;
pub mod intake;
pub mod ledger;
mod link;
mod message;
pub mod offline;
pub mod operations;
mod options;
mod parts;
mod pending;
pub mod publish;
mod schedule;
mod scope;
pub mod sensors;
pub mod socket;
mod squeezable;
mod steps;
mod supervise;
mod turn;
mod world;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use clock::ClockJumps;
pub use clock::{Clock, SystemClock};
pub use decider::{Decider, Faultless};
use decisions::Decisions;
pub use handle::Handle;
use intake::watch::Reading;
use intake::{Intake, Seen};
use ledger::{Ledger, LedgerError, Outlet, Settled, Written};
use link::{Connected, Link};
use message::{EngineAnswer, INBOX, Message};
pub use operations::{Actor, Answer, Operation, OperationError, Request, Via};
pub use options::Options;
pub use parts::Parts;
use pending::Pending;
use publish::{Bus, Publisher};
use schedule::Schedule;
pub use scope::Scope;
use sensors::{Sensors, Told};
use steps::Steps;
pub use supervise::supervise;
use world::World;

use crate::decide::memory;
use crate::engine::{ContainerEvent, EngineError, EngineEvent, EventKind, Listing};
use crate::model::event::Severity;
use crate::model::ledger::Subject;
use crate::model::observed::{Container, Image};
use crate::model::record::RecordData;
use crate::model::usage::{HostLoad, Load};
use crate::model::{ContainerId, InstanceId, Project, ProjectName, time};
use crate::probe::track::News;

/// For steps in flight when the controller is told to end.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(8);

/// The loop's state.
pub struct Controller {
    options: Options,
    instance: InstanceId,
    decider: Arc<dyn Decider>,
    clock: ClockJumps,
    inbox: mpsc::Receiver<Message>,
    intake: Intake,
    link: Link,
    world: World,
    steps: Steps,
    ledger: Ledger,
    sensors: Sensors,
    schedule: Schedule,
    decisions: Decisions,
    pending: Pending,
    publisher: Publisher,
}

impl Controller {
    /// Prepares the loop from what is remembered. Nothing is done before [`Controller::run`].
    ///
    /// # Errors
    /// When the ledger cannot be read, or this start cannot be noted in it.
    pub fn new(options: Options, parts: Parts) -> Result<(Self, Handle), LedgerError> {
        let Parts { engine, store, clock, rereads, observer, prober, decider } = parts;
        let (instance, epoch) = (store.instance()?, store.begin_epoch()?);
        let (sender, inbox) = mpsc::channel(INBOX);
        let outlet = if options.in_place { Outlet::InPlace(VecDeque::new()) } else { Outlet::Beside(sender.clone()) };
        let ledger = Ledger::open(store, outlet)?;
        let bus = Bus::new(epoch, observer, Arc::clone(&clock));
        let (mut publisher, snapshots) = Publisher::new(bus.clone());
        let told = Told::new(Arc::clone(&engine), Arc::clone(&clock), bus.clone(), sender.clone());
        let sensors = Sensors::new(&options, told, prober);
        let mut decisions = Decisions::default();
        for (name, _, revision) in ledger.iter() {
            publisher.mark(name);
            decisions.target_is(name, revision.in_force.as_deref());
        }
        let (probed, usage) = (sensors.probed().clone(), sensors.usage().clone());
        let controller = Self {
            link: Link::new(engine, sender.clone(), options.address.clone(), options.resync),
            steps: Steps::new(&options, sender.clone()),
            pending: Pending::new(options.in_place),
            options,
            instance,
            decider,
            clock: ClockJumps::of(clock),
            inbox,
            intake: Intake::new(rereads),
            world: World::default(),
            ledger,
            sensors,
            schedule: Schedule::default(),
            decisions,
            publisher,
        };
        Ok((controller, Handle::new(sender, snapshots, bus, probed, usage)))
    }

    /// Runs until it is told to end.
    pub async fn run(mut self) {
        for text in self.ledger.take_damaged() {
            self.publisher.alert(Severity::Error, None, "ledger", text);
        }
        self.sensors.begin().await;
        self.connect();
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
            self.on_time();
            if let Some(limit) = self.pending.stopping()
                && (!(self.steps.is_busy() || self.ledger.is_busy()) || Instant::now() >= limit)
            {
                break;
            }
            self.turn();
        }
        self.end().await;
    }

    /// Writes what is not written yet.
    async fn end(mut self) {
        self.link.close();
        self.ledger.flush(Instant::now());
        let limit = Instant::now() + SHUTDOWN_LIMIT;
        loop {
            while let Some(written) = self.ledger.next_written() {
                self.ledger.written(written);
            }
            if !self.ledger.is_busy() {
                break;
            }
            match tokio::time::timeout_at(limit, self.inbox.recv()).await {
                Ok(Some(Message::Written(written))) => drop(self.ledger.written(*written)),
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => break,
            }
        }
        self.publish();
    }

    fn receive(&mut self, message: Message) {
        match message {
            Message::Reading(reading) => self.on_reading(reading),
            Message::Connected(result) => self.on_connected(*result),
            Message::Event(event) => self.on_event(event),
            Message::EventsEnded => self.on_engine_lost("the event stream ended"),
            Message::Answer { epoch, .. } if epoch != self.link.epoch() => {}
            Message::Answer { answer, .. } => match answer {
                EngineAnswer::Listed { point, result } => self.on_listed(point, result),
                EngineAnswer::Inspected { id, point, result } => self.on_inspected(&id, point, result),
                EngineAnswer::Image { reference, result } => self.on_image(reference, result),
                EngineAnswer::CheckPassed { id } => {
                    if let Some(name) = self.world.check_passed(&id) {
                        self.schedule.mark(&name);
                    }
                }
                EngineAnswer::Load { id, load, host_cpus } => self.on_load(&id, load, host_cpus),
                EngineAnswer::Probed { id, news } => self.on_probed(&id, news),
            },
            Message::Step(outcome) => self.on_outcome(*outcome),
            Message::Host(load) => self.on_host(load),
            Message::Files { project, seen } => {
                self.sensors.looked_at_files(&project, seen);
                self.schedule.mark(&project);
            }
            Message::LookedAt(project, service) => {
                if self.sensors.look_at(project.clone(), service) {
                    self.schedule.mark(&project);
                }
            }
            Message::Request(request, reply) => self.on_request(request, reply),
            Message::Written(written) => self.on_written(*written),
            Message::TaskEnded { task, reason } => {
                let text = format!("the {task} broke off and is started again: {reason}");
                self.publisher.alert(Severity::Error, None, "task", text);
            }
            Message::Shutdown => self.pending.stop(Instant::now() + SHUTDOWN_LIMIT),
        }
    }

    /// When the loop has to look up though nothing arrived.
    fn next_deadline(&self) -> Instant {
        let now = Instant::now();
        // What one project's decision means for another is decided at once.
        if self.schedule.is_due() && self.may_decide() {
            return now;
        }
        let dues = [self.pending.stopping(), self.sensors.looking_until(), self.ledger.retry_at()];
        let mut deadline = dues.into_iter().flatten().fold(self.link.due(), Instant::min);
        if let Some(at) = self.schedule.next_wake().filter(|_| self.link.is_up()) {
            deadline = deadline.min(now + time::between(self.clock.now(), at));
        }
        deadline.max(now)
    }

    /// Does what is due.
    fn on_time(&mut self) {
        if let Some(by) = self.clock.take() {
            // What began before the clock was set began so much earlier or later by that clock: no start is late for it.
            self.ledger.shift_starts(by);
        }
        let (now, at) = (Instant::now(), self.clock.now());
        self.schedule.wake(at);
        if self.link.is_connect_due(now) {
            self.connect();
        }
        let again = self.link.take_retries(now);
        again.inspect.into_iter().for_each(|id| self.inspect(id));
        again.look_up.iter().for_each(|reference| self.link.look_up(reference));
        if self.link.take_ports_due(now) {
            if !self.decisions.waiting_for_ports().is_empty() {
                self.link.watch_ports();
            }
            self.list();
        }
        for name in self.sensors.stop_looking(now) {
            self.schedule.mark(&name);
        }
        if self.link.take_resync(now, at) {
            self.resync();
        }
    }

    /// Begins to look at everything.
    fn connect(&mut self) {
        let known = self.ledger.iter().map(|(name, _, revision)| (name, revision.in_force.as_deref()));
        self.world.follow_only(known);
        self.link.connect(self.world.last_event(), self.world.followed());
    }

    fn on_connected(&mut self, result: Result<Connected, EngineError>) {
        let Connected { connection, mut heard, projects: looked_at } = match result {
            Ok(found) => found,
            Err(error) => return self.on_engine_lost(&error.to_string()),
        };
        let (version, memory) = (connection.info.version.clone(), connection.info.memory);
        self.link.connected(&connection.info, self.clock.now());
        self.sensors.engine_is_up(self.link.epoch(), memory);
        self.on_host(self.sensors.host_load());
        let met = self.world.met(connection, &looked_at, self.ledger.names());
        self.publisher.tell(Severity::Info, None, None, RecordData::EngineUp { version });
        looked_at.iter().for_each(|name| self.forget_containers(name));
        if met.is_list_needed {
            self.list();
        }
        // References may mean something else than before.
        for reference in self.world.images().references() {
            self.link.look_up(&reference);
        }
        self.look_up_targets();
        self.schedule.mark_all(self.ledger.names());
        while let Some(event) = heard.next() {
            self.on_event(event);
        }
        if self.link.is_up() {
            self.link.listen(heard);
        }
    }

    /// Forgets what is remembered of containers that are gone.
    fn forget_containers(&mut self, name: &ProjectName) {
        let world = &self.world;
        // What is under way may have made some that were not seen yet.
        if world.is_fresh(name) && self.steps.in_flight(name).is_empty() {
            self.ledger.note(name, |ledger| ledger.forget_containers(|id| world.holds(id)));
        }
    }

    /// The Engine does not answer: everything that is known is old now.
    fn on_engine_lost(&mut self, reason: &str) {
        if self.link.lost(reason) {
            let data = RecordData::EngineDown { reason: reason.to_owned() };
            self.publisher.tell(Severity::Error, None, None, data);
        }
        self.sensors.engine_is_lost(self.link.epoch());
        for (name, _) in self.steps.engine_lost() {
            self.schedule.mark(&name);
        }
        self.ledger.names().for_each(|name| self.publisher.mark(name));
        self.publisher.mark_general();
    }

    fn on_event(&mut self, event: Result<EngineEvent, EngineError>) {
        let event = match event {
            Ok(event) => event,
            Err(error) => return self.on_engine_lost(&error.to_string()),
        };
        self.publisher.bus().count(None, None, RecordData::EngineEvent);
        if let EventKind::Container { id, project, action: ContainerEvent::Started } = &event.kind {
            let in_flight = self.steps.in_flight(project);
            self.ledger.note(project, |ledger| memory::runs_again(ledger, id, in_flight));
            self.sensors.run_ended(id);
        }
        let reaction = self.world.event(&event);
        let died = reaction.died.is_some();
        if let Some((id, code)) = reaction.died {
            self.on_died(&id, code);
        }
        if let Some(project) = reaction.dirty {
            self.schedule.mark(&project);
        }
        if let Some(id) = reaction.inspect {
            let project = self.world.container(&id).map(|c| c.project.clone());
            if !project.is_some_and(|project| self.steps.explain(&project, &id, died)) {
                self.inspect(id);
            }
        }
        if reaction.list {
            self.list();
        }
        if reaction.images {
            self.world.images().references().iter().for_each(|reference| self.link.look_up(reference));
        }
    }

    /// A container ended: by itself, or by somebody's hand.
    fn on_died(&mut self, id: &ContainerId, code: i64) {
        self.sensors.run_ended(id);
        let Some(container) = self.world.container(id).cloned() else { return };
        let Some(service) = &container.service else { return };
        let name = container.project.clone();
        let subject = Subject::Replica(service.clone(), container.number);
        let in_flight = self.steps.in_flight(&name).contains_key(&subject);
        self.ledger.note(&name, |ledger| memory::ended(ledger, &subject, id));
        if in_flight {
            return;
        }
        if container.engine_restarts && !container.killed {
            let now = self.clock.now();
            self.ledger.note(&name, |ledger| {
                memory::started_again(ledger.slots.entry(subject).or_default(), now);
                true
            });
        }
        self.publisher.announce(&name, publish::died(&container, code));
    }

    fn inspect(&mut self, id: ContainerId) {
        self.link.inspect(id, self.world.point());
    }

    fn list(&mut self) {
        if self.link.is_up() {
            self.link.list(self.world.point());
        }
    }

    fn on_inspected(&mut self, id: &ContainerId, point: u64, result: Result<Option<Box<Container>>, EngineError>) {
        let Some(again) = self.link.inspected(id) else { return };
        let before = self.world.container(id).map(|c| c.project.clone());
        match result {
            Ok(found) => {
                match &found {
                    None => {
                        // No event told of it: before anything is made in its place a list begun after that has to agree.
                        if let Some(project) = &before {
                            self.world.look_again(project);
                            self.list();
                        }
                    }
                    Some(container) => {
                        let target = self.ledger.target(&container.project);
                        if let Some(reference) = self.world.doubt_image_of(container, target.map(|t| &**t)) {
                            self.link.look_up(&reference);
                        }
                    }
                }
                let repeat = self.world.inspected(id, point, found.map(|c| *c));
                if repeat || again {
                    self.inspect(id.clone());
                }
                let after = self.world.container(id).map(|c| c.project.clone());
                self.schedule.mark_all(before.iter().chain(&after));
            }
            Err(error) if error.is_unreachable() => self.on_engine_lost(&error.to_string()),
            // A single container's trouble is not the engine's: 20.10 refuses to tell of one that is being made or removed.
            Err(error) => {
                tracing::warn!(%error, container = id.short(), "cannot inspect");
                self.link.inspect_later(id.clone());
                return;
            }
        }
        if !self.link.is_inspecting(id) {
            self.seen(id);
            let fresh = self.world.settled(id);
            self.schedule.mark_all(&fresh);
        }
    }

    /// A container was looked at after its last step.
    fn seen(&mut self, id: &ContainerId) {
        if let Some((name, _)) = self.steps.inspected(id) {
            self.ledger.note(&name, |ledger| memory::seen(ledger, id));
            self.schedule.mark(&name);
        }
    }

    fn on_listed(&mut self, point: u64, result: Result<Listing, EngineError>) {
        let Some(again) = self.link.listed() else { return };
        match result {
            Ok(listing) => {
                let inspecting = self.link.inspecting().cloned().collect();
                let taken = self.world.listed(point, &listing, &inspecting);
                taken.listed.inspect.into_iter().chain(taken.inspect).for_each(|id| self.inspect(id));
                self.schedule.mark_all(taken.listed.dirty.iter().chain(&taken.refreshed));
                if taken.listed.ports {
                    self.schedule.mark_all(self.decisions.waiting_for_ports());
                }
                for (name, _) in self.steps.listed(point) {
                    self.schedule.mark(&name);
                }
                if self.link.take_decide_all() {
                    self.schedule.mark_all(self.ledger.names());
                }
            }
            Err(error) => {
                tracing::warn!(%error, "cannot list");
                self.on_engine_lost(&error.to_string());
            }
        }
        if again {
            self.list();
        }
    }

    /// Lists, and looks at what was not looked at for long, a few at a time.
    fn resync(&mut self) {
        self.publisher.bus().count(None, None, RecordData::Resync);
        self.publisher.mark_general();
        for name in self.ledger.names().cloned().collect::<Vec<_>>() {
            self.forget_containers(&name);
        }
        self.list();
        let stale = self.world.stale();
        stale.inspect.into_iter().for_each(|id| self.inspect(id));
        stale.look_up.iter().for_each(|reference| self.link.look_up(reference));
    }

    /// Looks up the images of all targets that are not known yet.
    fn look_up_targets(&mut self) {
        if self.link.is_up() {
            self.world.unknown_images().iter().for_each(|reference| self.link.look_up(reference));
        }
    }

    fn on_image(&mut self, reference: String, result: Result<Option<Image>, EngineError>) {
        let Some(again) = self.link.looked_up(&reference) else { return };
        match result {
            // Something happened to it meanwhile.
            Ok(_) if again => self.link.look_up(&reference),
            Ok(image) => {
                for (name, _) in self.steps.looked_up(&reference) {
                    self.schedule.mark(&name);
                }
                let concerned = self.world.set_image(&reference, image);
                self.schedule.mark_all(&concerned);
            }
            Err(error) if error.is_unreachable() => self.on_engine_lost(&error.to_string()),
            Err(error) => {
                tracing::warn!(%error, image = reference, "cannot look up");
                // What a step that made an image waits for is this very answer.
                self.link.look_up_later(reference);
            }
        }
    }

    /// A probe found something that matters.
    fn on_probed(&mut self, id: &ContainerId, news: News) {
        let Some(container) = self.world.container(id).filter(|c| c.service.is_some()) else { return };
        let Some(probed) = self.sensors.probe_of(id) else { return };
        self.publisher.mark(&container.project);
        if news.class {
            self.schedule.mark(&container.project);
        }
        self.publisher.announce(&container.project, publish::probed(container, probed, news));
    }

    /// A container uses too much, or little, for long enough; or no more.
    fn on_load(&mut self, id: &ContainerId, load: Load, host_cpus: u32) {
        let Some(container) = self.world.container(id) else { return };
        let service = container.service.clone();
        let Some((name, told)) = self.sensors.take_load(container, load, host_cpus) else { return };
        self.schedule.mark(&name);
        for message in told {
            let data = RecordData::Alert { about: "usage".to_owned(), message };
            self.publisher.tell(Severity::Warning, Some(&name), service.as_ref(), data);
        }
    }

    /// The host that this runs on was read; `None`: nothing could be read.
    fn on_host(&mut self, load: Option<HostLoad>) {
        let (ledger, world, intake) = (&self.ledger, &self.world, &self.intake);
        let news = self.sensors.take_host(load, || squeezable::candidates(ledger, world, intake));
        self.world.host_is(news.load);
        let concerned: Vec<_> =
            news.squeezed.iter().filter_map(|id| Some(self.world.container(id)?.project.clone())).collect();
        self.schedule.mark_all(&concerned);
        if news.usage_wanted_changed {
            self.schedule.mark_all(self.ledger.names());
        }
        self.schedule.mark_all(self.decisions.waiting_for_resources());
        let reserves = || self.ledger.iter().any(|(_, _, r)| r.in_force.as_ref().is_some_and(|p| p.reserves()));
        for (kind, text) in [("host_figures", self.sensors.is_blind(reserves)), ("host", news.pressed)] {
            self.publisher.issue(kind, Severity::Warning, "host", text);
        }
    }

    /// The manifests directory was read.
    fn on_reading(&mut self, reading: Box<Reading>) {
        let (root, device) = (reading.root.clone(), reading.device);
        let taken = self.intake.take(reading, &self.ledger, &self.options.scope);
        self.publisher.mark_general();
        if let Some(reason) = taken.tripped {
            self.publisher.tell(Severity::Error, None, None, RecordData::GuardTripped { reason });
        }
        if taken.is_refused || self.intake.guard().is_some() {
            self.schedule.mark_all(self.ledger.names());
        }
        if taken.is_refused {
            self.ledger.names().for_each(|name| self.publisher.mark(name));
            return;
        }
        if let Some(device) = device {
            self.ledger.note_device(root.clone(), device);
        }
        // Of what is gone nothing is to be heard any more.
        let ledger = &self.ledger;
        self.world.retain(|name| ledger.knows(name));
        for seen in taken.seen {
            self.on_manifest(seen, &root);
        }
        self.look_at_what_is_in_force();
    }

    /// One project's manifest was read, or is not there.
    fn on_manifest(&mut self, seen: Seen, root: &std::path::Path) {
        let Seen { name, loaded, is_same, is_confirmed, was_valid } = seen;
        if !self.ledger.knows(&name) {
            // Something of it may run already: that is looked at first.
            self.ledger.follow(&name);
            self.world.look_again(&name);
            self.world.follow(&name, None);
        }
        if is_same && !is_confirmed {
            // A file beside the manifest may have been replaced.
            let target = self.ledger.target(&name);
            if target.is_some_and(|t| t.services.values().any(sensors::files::concern)) {
                self.schedule.mark(&name);
            }
            return;
        }
        self.schedule.mark(&name);
        self.publisher.mark(&name);
        let Some(loaded) = loaded.filter(|_| !is_same) else { return };
        self.ledger.note(&name, |ledger| std::mem::take(&mut ledger.removal_confirmed));
        let Some(project) = &loaded.project else {
            return self.publisher.announce(&name, [publish::invalid(&loaded)]);
        };
        let is_new = self.put_in_force(&name, Arc::clone(project));
        let is_single = self.options.scope.is_single();
        self.ledger.note(&name, |ledger| {
            let moves = ledger.root != root && (!is_single || ledger.root.as_os_str().is_empty());
            if moves {
                root.clone_into(&mut ledger.root);
            }
            moves
        });
        if (is_new || !was_valid)
            && let (Some(ledger), Some(revision)) = (self.ledger.of(&name), self.ledger.revision(&name))
        {
            let path = loaded.path.display().to_string();
            self.publisher.announce(&name, publish::revision_read(project, path, ledger, revision));
        }
    }

    /// Asks the Engine for what has to be known of revisions that are in force by now: for all projects at once.
    fn look_at_what_is_in_force(&mut self) {
        self.look_up_targets();
        if self.world.needs_list() {
            self.list();
        }
    }

    /// Takes a revision of the manifest; says whether another one is in force than was. What has to be known of it is asked
    /// for afterwards, with [`Self::look_at_what_is_in_force`].
    fn put_in_force(&mut self, name: &ProjectName, project: Arc<Project>) -> bool {
        let (now, world) = (self.clock.now(), &self.world);
        let before = self.ledger.target(name).cloned();
        let changed = self
            .ledger
            .note_revision(name, |ledger, revision| revision.take(ledger, project, now, |image| world.image(image)));
        let in_force = self.ledger.target(name).cloned();
        let (old, new) = (before.iter().flat_map(|p| p.ports()), in_force.iter().flat_map(|p| p.ports()));
        if changed.in_force && old.ne(new) {
            // Who has its ports by now, only a list tells.
            self.world.look_again(name);
        }
        self.world.follow(name, in_force.as_deref());
        self.decisions.target_is(name, in_force.as_deref());
        self.schedule.mark(name);
        self.publisher.mark(name);
        changed.in_force
    }

    /// A project's ledger was written, or could not be.
    fn on_written(&mut self, written: Written) {
        let Some(Settled { project, then, result }) = self.ledger.written(written) else { return };
        self.note_ledger();
        // What is remembered is shown: attempts, suspensions, a removal that begins.
        self.publisher.mark(&project);
        if self.schedule.release(&project) {
            self.schedule.mark(&project);
        }
        self.follow_up(&project, then, result);
        if let Some(progress) = self.pending.take_waiting(&project) {
            self.advance(progress);
        }
    }
}
