//! The link to the engine: connecting, listening, looking again. An engine that is away is not containers that are away:
//! nothing is decided until everything was looked at afresh.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::interest::Interest;
use super::publish::{EngineStatus, Notice};
use super::tracked::Refresh;
use super::{Answer, Controller, Message};
use crate::decide::{Action, memory};
use crate::engine::{
    ContainerEvent, Engine, EngineError, EngineEvent, EngineInfo, EngineRead, EventKind, ListedContainer, Listing,
};
use crate::model::event::{EventType, Severity};
use crate::model::observed::{Container, ContainerState, Image};
use crate::model::{ContainerId, ProjectName, Timestamp};

/// After an inspect or a look-up that was refused.
const INSPECT_RETRY: Duration = Duration::from_millis(250);
/// Inspects at the same time while everything is looked at.
const INSPECTS: usize = 8;
/// After so long a container is looked at again though nothing seems to have changed.
const INSPECT_AGE: Duration = Duration::from_secs(600);
/// Containers, and images, that are looked at again for their age at one resync.
const INSPECTS_A_RESYNC: usize = 20;

/// A fresh look at everything.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) info: EngineInfo,
    pub(super) listing: Listing,
    pub(super) containers: Vec<(ContainerId, Option<Container>)>,
}

/// When to try again.
#[derive(Debug, Default)]
pub(super) struct Reconnect {
    at: Option<Instant>,
    tries: u32,
}

impl Reconnect {
    pub(super) fn due(&self) -> Option<Instant> {
        self.at
    }

    /// 100 ms doubling to 5 s: an Engine that restarts is away for seconds.
    fn schedule(&mut self) {
        let delay = Duration::from_millis(100 << self.tries.min(6)).min(Duration::from_secs(5));
        self.tries += 1;
        self.at = Some(Instant::now() + delay);
    }
}

/// What happens while everything is looked at: a look can take seconds, and what it saw first may be over by then.
#[derive(Debug)]
pub(super) struct Heard {
    events: mpsc::UnboundedReceiver<Result<EngineEvent, EngineError>>,
    _listening: AbortOnDropHandle<()>,
}

impl Heard {
    fn begin(engine: &dyn Engine, since: Timestamp) -> Self {
        let mut stream = engine.events(since);
        let (sender, events) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            while let Some(event) = stream.next().await {
                let failed = event.is_err();
                if sender.send(event).is_err() || failed {
                    return;
                }
            }
        });
        Self { events, _listening: AbortOnDropHandle::new(task) }
    }
}

pub(super) async fn look(
    engine: &dyn EngineRead,
    info: EngineInfo,
    projects: &BTreeSet<ProjectName>,
) -> Result<Connection, EngineError> {
    let listing = engine.list().await?;
    let concern = listing.containers.iter().filter(|c| projects.contains(&c.project));
    let ids: Vec<ContainerId> = concern.map(|c| c.id.clone()).collect();
    let mut inspects = stream::iter(ids).map(|id| inspect(engine, id)).buffered(INSPECTS);
    let mut containers = Vec::new();
    while let Some(inspected) = inspects.next().await {
        containers.push(inspected?);
    }
    drop(inspects);
    Ok(Connection { info, listing, containers })
}

/// A look with what happened meanwhile.
#[derive(Debug)]
pub(super) struct Connected {
    connection: Connection,
    heard: Heard,
    /// The projects that were looked at.
    projects: BTreeSet<ProjectName>,
}

async fn connected(
    engine: &dyn Engine,
    since: Option<Timestamp>,
    projects: BTreeSet<ProjectName>,
) -> Result<Connected, EngineError> {
    let info = engine.info().await?;
    let heard = Heard::begin(engine, since.unwrap_or(info.time).min(info.time));
    let connection = look(engine, info, &projects).await?;
    Ok(Connected { connection, heard, projects })
}

/// One container, with its id.
async fn inspect(engine: &dyn EngineRead, id: ContainerId) -> Result<(ContainerId, Option<Container>), EngineError> {
    let found = engine.inspect(&id).await?;
    Ok((id, found))
}

/// Projects of whose containers the list and the inspect a moment later tell differently, or one is gone: no event tells
/// which of them is true, so that is to be seen twice.
fn contradicted(connection: &Connection) -> BTreeSet<ProjectName> {
    let inspected: BTreeMap<_, _> = connection.containers.iter().map(|(id, found)| (id, found)).collect();
    let agree = |listed: &ListedContainer| match inspected.get(&listed.id) {
        Some(Some(found)) => found.state.as_str() == listed.state,
        Some(None) => false,
        None => true,
    };
    connection.listing.containers.iter().filter(|c| !agree(c)).map(|c| c.project.clone()).collect()
}

impl Controller {
    /// Begins to look at everything.
    pub(super) fn connect(&mut self) {
        self.reconnect.at = None;
        let (engine, sender) = (self.engine.clone(), self.sender.clone());
        let since = self.cache.last_event();
        self.update_interest();
        let projects: BTreeSet<ProjectName> = self.cache.interest().projects().cloned().collect();
        tokio::spawn(async move {
            let result = connected(&*engine, since, projects).await;
            let _ = sender.send(Message::Connected(Box::new(result)));
        });
    }

    pub(super) fn on_connected(&mut self, result: Result<Connected, EngineError>) {
        let Connected { connection, heard, projects: looked_at } = match result {
            Ok(found) => found,
            Err(error) => {
                self.on_engine_lost(&error.to_string());
                return;
            }
        };
        self.reconnect = Reconnect::default();
        self.capabilities = connection.info.capabilities;
        self.engine_memory = connection.info.memory;
        self.on_host(self.host_load);
        let point = self.cache.point();
        self.cache.listed(point, &connection.listing);
        let now = self.clock.now();
        let doubtful = contradicted(&connection);
        for (id, found) in connection.containers {
            self.cache.inspected(&id, point, found, Instant::now());
        }
        self.engine_status = EngineStatus {
            up: true,
            address: self.options.address.clone(),
            version: Some(connection.info.version.clone()),
            error: None,
        };
        let message = format!("the Docker Engine {} answers", connection.info.version);
        self.event(EventType::EngineUp, Severity::Info, None, None, message);
        self.resynced = Some(now);
        self.resync_at = Instant::now() + self.options.resync;
        // What was read meanwhile was not looked at.
        let mark = self.cache.mark();
        let mut missed = false;
        for tracked in self.projects.values_mut() {
            let seen = looked_at.contains(&tracked.name);
            if seen {
                let before = tracked.ledger.prepared.len();
                tracked.ledger.prepared.retain(|id| self.cache.container(id).is_some());
                tracked.unsaved |= tracked.ledger.prepared.len() != before;
                tracked.ledger.fits.retain(|id, _| self.cache.container(id).is_some());
            }
            let fresh = seen && !doubtful.contains(&tracked.name);
            tracked.refresh = if fresh { Refresh::Fresh } else { Refresh::List(mark) };
            missed |= !fresh;
        }
        if missed {
            self.list();
        }
        // References may mean something else than before.
        for reference in self.cache.images().references() {
            self.look_up(&reference);
        }
        self.look_up_targets();
        self.dirty.extend(self.projects.keys().cloned());
        self.listen(heard);
    }

    /// Follows the projects that are known and what their manifests use.
    pub(super) fn update_interest(&mut self) {
        let mut interest = Interest::default();
        for tracked in self.projects.values() {
            interest.follow(&tracked.name, tracked.target.as_deref());
        }
        self.cache.set_interest(interest);
    }

    /// Takes in what happened meanwhile, and then what happens.
    fn listen(&mut self, mut heard: Heard) {
        while let Ok(event) = heard.events.try_recv() {
            self.on_event(event);
        }
        if !self.engine_status.up {
            return;
        }
        let sender = self.sender.clone();
        let task = tokio::spawn(async move {
            // All of it: the listening ends with this task, and not before.
            let mut heard = heard;
            while let Some(event) = heard.events.recv().await {
                let failed = event.is_err();
                if sender.send(Message::Event(event)).is_err() || failed {
                    return;
                }
            }
            let _ = sender.send(Message::EventsEnded);
        });
        self.event_task = Some(AbortOnDropHandle::new(task));
    }

    /// The engine does not answer: everything that is known is old now.
    pub(super) fn on_engine_lost(&mut self, reason: &str) {
        self.event_task = None;
        if self.engine_status.up || self.engine_status.error.is_none() {
            self.event(EventType::EngineDown, Severity::Error, None, None, reason);
        }
        self.engine_status.up = false;
        self.epoch += 1;
        self.engine_status.error = Some(reason.to_owned());
        self.inspecting.clear();
        self.checks.stop();
        self.stop_probes();
        self.stop_watching();
        self.inspect_later.clear();
        self.look_up_later.clear();
        self.retry_at = None;
        self.listing = false;
        self.looking_up.clear();
        self.release_all();
        self.unpublished = true;
        self.stale_views.extend(self.projects.keys().cloned());
        if self.reconnect.at.is_none() {
            self.reconnect.schedule();
        }
    }

    pub(super) fn on_event(&mut self, event: Result<EngineEvent, EngineError>) {
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                self.on_engine_lost(&error.to_string());
                return;
            }
        };
        self.observer.notice(&Notice::EngineEvent);
        if let EventKind::Container { id, project, action: ContainerEvent::Started } = &event.kind
            && let Some(tracked) = self.projects.get_mut(project)
        {
            tracked.unsaved |= memory::runs_again(&mut tracked.ledger, id, &tracked.in_flight);
        }
        let reaction = self.cache.event(&event);
        let died = reaction.died.is_some();
        if let Some((id, code)) = reaction.died {
            self.on_died(&id, code);
        }
        if let Some(project) = reaction.dirty {
            self.dirty.insert(project);
        }
        if let Some(id) = reaction.inspect
            && !self.is_being_worked_on(&id, died)
        {
            self.inspect(id);
        }
        if reaction.list {
            self.list();
        }
        if reaction.images {
            self.cache.images_mut().doubt_all();
            for reference in self.cache.images().references() {
                self.look_up(&reference);
            }
        }
    }

    /// Whether a step works on this container: it is looked at when the step has ended. `died`: it ended, which only a stop
    /// explains; the answer to anything else may be long in coming.
    fn is_being_worked_on(&self, id: &ContainerId, died: bool) -> bool {
        let Some(container) = self.cache.container(id) else { return false };
        let explains = |a: &Action| a.container() == Some(id) && (!died || matches!(a, Action::StopContainer { .. }));
        self.projects.get(&container.project).is_some_and(|tracked| tracked.in_flight.values().any(explains))
    }

    /// Looks at a container that was just made, unless that was done or is being done already.
    pub(super) fn inspect_new(&mut self, id: ContainerId) {
        if self.cache.container(&id).is_some() {
            self.release_container(&id);
        } else if !self.inspecting.contains_key(&id) {
            self.inspect(id);
        }
    }

    /// Looks at a container, once at a time.
    pub(super) fn inspect(&mut self, id: ContainerId) {
        if let Some(again) = self.inspecting.get_mut(&id) {
            *again = true;
            return;
        }
        self.inspecting.insert(id.clone(), false);
        let (engine, sender, point) = (self.engine.clone(), self.sender.clone(), self.cache.point());
        let epoch = self.epoch;
        tokio::spawn(async move {
            let result = engine.inspect(&id).await.map(|found| found.map(Box::new));
            let _ = sender.send(Message::Answer { epoch, answer: Answer::Inspected { id, point, result } });
        });
    }

    pub(super) fn on_inspected(
        &mut self,
        id: &ContainerId,
        point: u64,
        result: Result<Option<Box<Container>>, EngineError>,
    ) {
        // An answer from before the engine was lost.
        let Some(again) = self.inspecting.remove(id) else { return };
        let before = self.cache.container(id).map(|c| c.project.clone());
        match result {
            Ok(found) => {
                match &found {
                    None => self.look_whether_gone(id),
                    Some(container) => self.look_at_its_image(container),
                }
                let repeat = self.cache.inspected(id, point, found.map(|c| *c), Instant::now());
                if repeat || again {
                    self.inspect(id.clone());
                }
                let after = self.cache.container(id).map(|c| c.project.clone());
                self.dirty.extend(before.into_iter().chain(after));
            }
            Err(error) if error.is_unreachable() => self.on_engine_lost(&error.to_string()),
            // A single container's trouble is not the engine's: 20.10 refuses to tell of one that is being made or removed.
            Err(error) => {
                tracing::warn!(%error, container = id.short(), "cannot inspect");
                self.inspect_later.insert(id.clone());
                self.retry_at.get_or_insert_with(|| Instant::now() + INSPECT_RETRY);
                return;
            }
        }
        if !self.inspecting.contains_key(id) {
            self.release_container(id);
            self.awaited(id);
        }
    }

    /// An inspect came back that projects may wait for.
    fn awaited(&mut self, id: &ContainerId) {
        for name in std::mem::take(&mut self.awaiting) {
            let Some(tracked) = self.projects.get_mut(&name) else { continue };
            let Refresh::Inspect(waiting) = &mut tracked.refresh else { continue };
            if waiting.remove(id) && waiting.is_empty() {
                tracked.refresh = Refresh::Fresh;
                self.dirty.insert(name);
            } else {
                self.awaiting.insert(name);
            }
        }
    }

    /// A container that was just made is of another image than its reference is known to mean: an event was lost, and
    /// what is made from it would be replaced at once, over and over.
    fn look_at_its_image(&mut self, container: &Container) {
        let target = self.projects.get(&container.project).and_then(|t| t.target.as_ref());
        let service = container.service.as_ref().and_then(|s| target?.services.get(s));
        let Some(reference) = service.map(|s| s.image.clone()) else { return };
        let known = self.cache.images().get(&reference).and_then(Option::as_ref);
        let other = known.is_some_and(|known| *known != container.image);
        if other && container.state == ContainerState::Created && !self.cache.images().is_doubtful(&reference) {
            self.cache.images_mut().doubt(&reference);
            self.look_up(&reference);
        }
    }

    /// An inspect says that a container is gone, and no event told of it: before anything is made in its place a list
    /// begun after that has to agree.
    fn look_whether_gone(&mut self, id: &ContainerId) {
        let Some(project) = self.cache.container(id).map(|c| c.project.clone()) else { return };
        let mark = self.cache.mark();
        if let Some(tracked) = self.projects.get_mut(&project) {
            tracked.refresh = Refresh::List(mark);
            self.list();
        }
    }

    /// Lists everything, once at a time.
    pub(super) fn list(&mut self) {
        if std::mem::replace(&mut self.listing, true) {
            self.list_again = true;
            return;
        }
        let (engine, sender, point) = (self.engine.clone(), self.sender.clone(), self.cache.point());
        let epoch = self.epoch;
        tokio::spawn(async move {
            let result = engine.list().await;
            let _ = sender.send(Message::Answer { epoch, answer: Answer::Listed { point, result } });
        });
    }

    pub(super) fn on_listed(&mut self, point: u64, result: Result<Listing, EngineError>) {
        if !std::mem::replace(&mut self.listing, false) {
            return;
        }
        match result {
            Ok(listing) => {
                let listed = self.cache.listed(point, &listing);
                for id in listed.inspect {
                    self.inspect(id);
                }
                self.dirty.extend(listed.dirty);
                if listed.ports {
                    self.on_ports_changed();
                }
                self.release_listed(point);
                self.refresh_listed(point);
                if std::mem::take(&mut self.decide_all) {
                    self.dirty.extend(self.projects.keys().cloned());
                }
            }
            Err(error) if error.is_unreachable() => self.on_engine_lost(&error.to_string()),
            Err(error) => {
                tracing::warn!(%error, "cannot list");
                self.on_engine_lost(&error.to_string());
            }
        }
        if std::mem::take(&mut self.list_again) && self.engine_status.up {
            self.list();
        }
    }

    /// Projects that wait for a list begun after a step failed go on to their containers.
    fn refresh_listed(&mut self, point: u64) {
        let names: Vec<_> = self
            .projects
            .values()
            .filter(|t| matches!(t.refresh, Refresh::List(mark) if point >= mark))
            .map(|t| t.name.clone())
            .collect();
        for name in names {
            let mut ids: BTreeSet<_> = self.cache.of_project(&name).map(|c| c.id.clone()).collect();
            // New ones are being inspected already, and belong to some project: waiting for all of them is enough.
            ids.extend(self.inspecting.keys().cloned());
            for id in &ids {
                self.inspect(id.clone());
            }
            if let Some(tracked) = self.projects.get_mut(&name) {
                tracked.refresh = if ids.is_empty() { Refresh::Fresh } else { Refresh::Inspect(ids) };
            }
            self.awaiting.insert(name.clone());
            self.dirty.insert(name);
        }
    }

    /// Lists, and looks at what was not looked at for long, a few at a time.
    pub(super) fn resync(&mut self) {
        if !self.engine_status.up {
            return;
        }
        self.observer.notice(&Notice::Resync);
        self.resynced = Some(self.clock.now());
        self.decide_all = true;
        self.comparisons.retain(&self.cache);
        self.list();
        for id in self.cache.unsettled().into_iter().take(INSPECTS_A_RESYNC) {
            self.inspect(id);
        }
        let Some(old) = Instant::now().checked_sub(INSPECT_AGE) else { return };
        for id in self.cache.inspected_before(old).into_iter().take(INSPECTS_A_RESYNC) {
            self.inspect(id);
        }
        for reference in self.cache.images_before(old).into_iter().take(INSPECTS_A_RESYNC) {
            self.look_up(&reference);
        }
    }

    /// Finds out what an image reference means.
    pub(super) fn look_up(&mut self, reference: &str) {
        if let Some(again) = self.looking_up.get_mut(reference) {
            *again = true;
            return;
        }
        self.looking_up.insert(reference.to_owned(), false);
        let (engine, sender, reference) = (self.engine.clone(), self.sender.clone(), reference.to_owned());
        let epoch = self.epoch;
        tokio::spawn(async move {
            let result = engine.image(&reference).await;
            let _ = sender.send(Message::Answer { epoch, answer: Answer::Image { reference, result } });
        });
    }

    /// Looks up the images of all targets that are not known yet.
    pub(super) fn look_up_targets(&mut self) {
        if !self.engine_status.up {
            return;
        }
        let used = self.cache.interest().images();
        let references: Vec<String> =
            used.filter(|i| self.cache.images().get(i).is_none()).map(str::to_owned).collect();
        for reference in references {
            self.look_up(&reference);
        }
    }

    pub(super) fn on_image(&mut self, reference: String, result: Result<Option<Image>, EngineError>) {
        let Some(again) = self.looking_up.remove(&reference) else { return };
        match result {
            // Something happened to it meanwhile.
            Ok(_) if again => self.look_up(&reference),
            Ok(image) => {
                self.release_image(&reference);
                let id = image.as_ref().map(|image| image.id.clone());
                let news =
                    self.cache.images().get(&reference) != Some(&id) || self.cache.images().is_doubtful(&reference);
                self.cache.images_mut().set(&reference, image);
                if news {
                    self.dirty.extend(self.cache.interest().of_image(&reference).cloned());
                }
            }
            Err(error) if error.is_unreachable() => self.on_engine_lost(&error.to_string()),
            Err(error) => {
                tracing::warn!(%error, image = reference, "cannot look up");
                // What a step that made an image waits for is this very answer.
                self.look_up_later.insert(reference);
                self.retry_at.get_or_insert_with(|| Instant::now() + INSPECT_RETRY);
            }
        }
    }
}
