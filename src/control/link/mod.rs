//! The link to an Engine: connecting, listening, and asking, each thing once at a time. An Engine that is away is not
//! containers that are away: what was asked of it before is of no use, and everything is looked at afresh.

mod connect;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

pub(super) use connect::{Connected, Connection, Heard, look};

use super::message::{EngineAnswer, Message};
use super::publish::EngineStatus;
use crate::engine::{Engine, EngineInfo};
use crate::model::observed::Capabilities;
use crate::model::{ContainerId, ProjectName, Timestamp};

/// After an inspect or a look-up that was refused.
const RETRY: Duration = Duration::from_millis(250);
/// Between two lists while somebody waits for a port: whose container has it, nobody tells when it goes.
const PORTS: Duration = Duration::from_secs(5);

/// The link.
pub(super) struct Link {
    engine: Arc<dyn Engine>,
    sender: mpsc::Sender<Message>,
    status: EngineStatus,
    capabilities: Capabilities,
    /// Counts lost connections.
    epoch: u64,
    listening: Option<AbortOnDropHandle<()>>,
    reconnect: Reconnect,
    questions: Questions,
    resync: Resync,
    /// When the list is asked for again as somebody waits for a port; `None`: nobody does.
    ports_at: Option<Instant>,
}

/// When to try again.
#[derive(Debug, Default)]
struct Reconnect {
    at: Option<Instant>,
    tries: u32,
}

impl Reconnect {
    /// 100 ms doubling to 5 s: an Engine that restarts is away for seconds.
    fn schedule(&mut self) {
        let delay = Duration::from_millis(100 << self.tries.min(6)).min(Duration::from_secs(5));
        self.tries += 1;
        self.at = Some(Instant::now() + delay);
    }
}

/// What is being asked, and what is asked again later.
#[derive(Debug, Default)]
struct Questions {
    /// Containers being inspected, and whether once more afterwards.
    inspecting: BTreeMap<ContainerId, bool>,
    /// Containers whose inspect was refused.
    inspect_later: BTreeSet<ContainerId>,
    /// References being looked up, and whether once more afterwards.
    looking_up: BTreeMap<String, bool>,
    /// References whose look-up failed.
    look_up_later: BTreeSet<String>,
    retry_at: Option<Instant>,
    /// A list is being asked for, and whether once more afterwards.
    listing: Option<bool>,
}

#[derive(Debug)]
struct Resync {
    every: Duration,
    at: Instant,
    /// When everything was listed last.
    done: Option<Timestamp>,
    /// The next list is one after which everything is decided again, whether or not it shows a change.
    decide_all: bool,
}

/// What was to be asked again by now.
#[derive(Debug, Default)]
pub(super) struct Again {
    pub(super) inspect: BTreeSet<ContainerId>,
    pub(super) look_up: BTreeSet<String>,
}

impl Link {
    pub(super) fn new(
        engine: Arc<dyn Engine>,
        sender: mpsc::Sender<Message>,
        address: String,
        every: Duration,
    ) -> Self {
        Self {
            engine,
            sender,
            status: EngineStatus { address, ..EngineStatus::default() },
            capabilities: Capabilities { api: (1, 41) },
            epoch: 0,
            listening: None,
            reconnect: Reconnect::default(),
            questions: Questions::default(),
            resync: Resync { every, at: Instant::now(), done: None, decide_all: false },
            ports_at: None,
        }
    }

    pub(super) fn engine(&self) -> &Arc<dyn Engine> {
        &self.engine
    }

    pub(super) fn status(&self) -> &EngineStatus {
        &self.status
    }

    pub(super) fn is_up(&self) -> bool {
        self.status.up
    }

    pub(super) fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    /// The number of this connection: answers to questions over another one are of no use.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// When everything was listed last.
    pub(super) fn resynced(&self) -> Option<Timestamp> {
        self.resync.done
    }

    /// Begins to look at everything of these projects. `since`: the time of the newest event that is known.
    pub(super) fn connect(&mut self, since: Option<Timestamp>, projects: BTreeSet<ProjectName>) {
        self.reconnect.at = None;
        let (engine, sender) = (Arc::clone(&self.engine), self.sender.clone());
        tokio::spawn(async move {
            let result = connect::connected(&*engine, since, projects).await;
            let _ = sender.send(Message::Connected(Box::new(result))).await;
        });
    }

    /// The Engine was reached.
    pub(super) fn connected(&mut self, info: &EngineInfo, now: Timestamp) {
        self.reconnect = Reconnect::default();
        self.capabilities = info.capabilities;
        let (address, version) = (self.status.address.clone(), Some(info.version.clone()));
        self.status = EngineStatus { up: true, address, version, error: None };
        self.resync.done = Some(now);
        self.resync.at = Instant::now() + self.resync.every;
    }

    /// Hands all further events to the loop.
    pub(super) fn listen(&mut self, heard: Heard) {
        self.listening = Some(heard.forward(self.sender.clone()));
    }

    /// The Engine does not answer; says whether that is news.
    pub(super) fn lost(&mut self, reason: &str) -> bool {
        self.listening = None;
        let news = self.status.up || self.status.error.is_none();
        self.status.up = false;
        self.status.error = Some(reason.to_owned());
        self.epoch += 1;
        self.questions = Questions::default();
        if self.reconnect.at.is_none() {
            self.reconnect.schedule();
        }
        news
    }

    /// Stops listening.
    pub(super) fn close(&mut self) {
        self.listening = None;
    }

    /// Asks for a container, once at a time. `point`: where in the order of arrivals that begins.
    pub(super) fn inspect(&mut self, id: ContainerId, point: u64) {
        if let Some(again) = self.questions.inspecting.get_mut(&id) {
            *again = true;
            return;
        }
        self.questions.inspecting.insert(id.clone(), false);
        self.ask(|engine| async move {
            let result = engine.inspect(&id).await.map(|found| found.map(Box::new));
            EngineAnswer::Inspected { id, point, result }
        });
    }

    pub(super) fn is_inspecting(&self, id: &ContainerId) -> bool {
        self.questions.inspecting.contains_key(id)
    }

    /// Containers that are being asked for.
    pub(super) fn inspecting(&self) -> impl Iterator<Item = &ContainerId> {
        self.questions.inspecting.keys()
    }

    /// A container was told of; says whether it was to be asked for once more. `None`: nobody asked.
    pub(super) fn inspected(&mut self, id: &ContainerId) -> Option<bool> {
        self.questions.inspecting.remove(id)
    }

    /// A container's inspect was refused: it is asked for a little later.
    pub(super) fn inspect_later(&mut self, id: ContainerId) {
        self.questions.inspect_later.insert(id);
        self.retry_soon();
    }

    /// Lists everything, once at a time.
    pub(super) fn list(&mut self, point: u64) {
        if let Some(again) = &mut self.questions.listing {
            *again = true;
            return;
        }
        self.questions.listing = Some(false);
        self.ask(|engine| async move { EngineAnswer::Listed { point, result: engine.list().await } });
    }

    /// The list came back; says whether it was to be asked for once more. `None`: nobody asked.
    pub(super) fn listed(&mut self) -> Option<bool> {
        self.questions.listing.take()
    }

    /// Finds out what an image reference means, once at a time.
    pub(super) fn look_up(&mut self, reference: &str) {
        if let Some(again) = self.questions.looking_up.get_mut(reference) {
            *again = true;
            return;
        }
        let reference = reference.to_owned();
        self.questions.looking_up.insert(reference.clone(), false);
        self.ask(|engine| async move {
            let result = engine.image(&reference).await;
            EngineAnswer::Image { reference, result }
        });
    }

    /// A reference was looked up; says whether it was to be looked up once more. `None`: nobody asked.
    pub(super) fn looked_up(&mut self, reference: &str) -> Option<bool> {
        self.questions.looking_up.remove(reference)
    }

    /// A look-up failed: it is made a little later.
    pub(super) fn look_up_later(&mut self, reference: String) {
        self.questions.look_up_later.insert(reference);
        self.retry_soon();
    }

    fn retry_soon(&mut self) {
        self.questions.retry_at.get_or_insert_with(|| Instant::now() + RETRY);
    }

    /// Asks something beside the loop; the answer comes as a message.
    fn ask<F: Future<Output = EngineAnswer> + Send + 'static>(&self, question: impl FnOnce(Arc<dyn Engine>) -> F) {
        let (sender, epoch) = (self.sender.clone(), self.epoch);
        let answer = question(Arc::clone(&self.engine));
        tokio::spawn(async move {
            let answer = answer.await;
            let _ = sender.send(Message::Answer { epoch, answer }).await;
        });
    }

    /// When something is due.
    pub(super) fn due(&self) -> Instant {
        let dues = [self.reconnect.at, self.questions.retry_at, self.ports_at];
        dues.into_iter().flatten().fold(self.resync.at, Instant::min)
    }

    /// Whether it is time to connect.
    pub(super) fn is_connect_due(&self, now: Instant) -> bool {
        self.reconnect.at.is_some_and(|at| at <= now)
    }

    /// What is to be asked again by now.
    pub(super) fn take_retries(&mut self, now: Instant) -> Again {
        if self.questions.retry_at.is_none_or(|at| now < at) {
            return Again::default();
        }
        self.questions.retry_at = None;
        Again {
            inspect: std::mem::take(&mut self.questions.inspect_later),
            look_up: std::mem::take(&mut self.questions.look_up_later),
        }
    }

    /// Whether it is time for a full resync, and the Engine is there for it.
    pub(super) fn take_resync(&mut self, now: Instant, at: Timestamp) -> bool {
        if now < self.resync.at {
            return false;
        }
        self.resync.at = now + self.resync.every;
        if self.status.up {
            self.resync.done = Some(at);
            self.resync.decide_all = true;
        }
        self.status.up
    }

    /// Whether everything is to be decided again after the list that came now.
    pub(super) fn take_decide_all(&mut self) -> bool {
        std::mem::take(&mut self.resync.decide_all)
    }

    /// Somebody waits for a port of the host.
    pub(super) fn watch_ports(&mut self) {
        self.ports_at.get_or_insert_with(|| Instant::now() + PORTS);
    }

    /// Whether it is time to look who has the ports.
    pub(super) fn take_ports_due(&mut self, now: Instant) -> bool {
        self.ports_at.take_if(|at| *at <= now).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::EngineError;
    use crate::engine::sim::{Model, SimEngine};
    use crate::rehearsal::virtually;

    fn link() -> (Link, mpsc::Receiver<Message>) {
        let engine = SimEngine::new(1, Model::V28, Timestamp::UNIX_EPOCH);
        let (sender, inbox) = mpsc::channel(16);
        let every = Duration::from_secs(60);
        (Link::new(Arc::new(engine.client()), sender, "simulated".into(), every), inbox)
    }

    #[test]
    fn a_thing_is_asked_once_at_a_time_and_once_more_if_that_was_wanted_meanwhile() {
        virtually(async {
            let (mut link, mut inbox) = link();
            let id = ContainerId::trusted("c1");
            for _ in 0..3 {
                link.inspect(id.clone(), 0);
                link.list(0);
            }
            for _ in 0..2 {
                match inbox.recv().await {
                    Some(Message::Answer { answer: EngineAnswer::Listed { .. }, .. }) => {
                        assert_eq!(link.listed(), Some(true));
                    }
                    Some(Message::Answer { answer: EngineAnswer::Inspected { id, .. }, .. }) => {
                        assert_eq!(link.inspected(&id), Some(true));
                    }
                    other => panic!("{other:?}"),
                }
            }
            assert!(inbox.try_recv().is_err() && link.listed().is_none());
        })
        .unwrap();
    }

    #[test]
    fn what_was_asked_of_an_engine_that_was_lost_is_of_no_use() {
        virtually(async {
            let (mut link, _inbox) = link();
            let error = EngineError::NoAnswer("cut".into()).to_string();
            link.list(0);
            assert!(link.lost(&error) && !link.lost(&error), "told once");
            assert_eq!(link.epoch(), 2);
            assert!(link.listed().is_none() && !link.is_up());
            assert!(link.due() <= Instant::now() + Duration::from_millis(100));
            let far = Instant::now() + Duration::from_secs(600);
            assert!(link.is_connect_due(far));
            assert!(!link.take_resync(far, Timestamp::UNIX_EPOCH), "there is nobody to ask");
        })
        .unwrap();
    }

    #[test]
    fn what_was_refused_is_asked_again_a_little_later() {
        virtually(async {
            let (mut link, _inbox) = link();
            link.inspect_later(ContainerId::trusted("c1"));
            link.look_up_later("web:1".into());
            assert!(link.take_retries(Instant::now()).inspect.is_empty());
            let again = link.take_retries(Instant::now() + RETRY);
            assert_eq!((again.inspect.len(), again.look_up.len()), (1, 1));
        })
        .unwrap();
    }
}
