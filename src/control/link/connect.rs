//! A fresh look at everything, with the events that came meanwhile.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt, stream};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::Message;
use crate::engine::{Engine, EngineError, EngineEvent, EngineInfo, EngineRead, ListedContainer, Listing};
use crate::model::observed::Container;
use crate::model::{ContainerId, ProjectName, Timestamp};

/// Inspects at the same time while everything is looked at.
const INSPECTS: usize = 8;
/// Events that may come while everything is looked at; a stream that waits longer is cut by the Engine, and begun anew.
const EVENTS: usize = 4096;

/// Everything that the Engine has of some projects.
#[derive(Debug)]
pub(in crate::control) struct Connection {
    pub(in crate::control) info: EngineInfo,
    pub(in crate::control) listing: Listing,
    pub(in crate::control) containers: Vec<(ContainerId, Option<Container>)>,
}

/// That, with what happened meanwhile: it can take seconds, and what it saw first may be over by then.
#[derive(Debug)]
pub(in crate::control) struct Connected {
    pub(in crate::control) connection: Connection,
    pub(in crate::control) heard: Heard,
    /// The projects that were looked at.
    pub(in crate::control) projects: BTreeSet<ProjectName>,
}

/// Events that are being listened to.
#[derive(Debug)]
pub(in crate::control) struct Heard {
    events: mpsc::Receiver<Result<EngineEvent, EngineError>>,
    _listening: AbortOnDropHandle<()>,
}

impl Heard {
    fn begin(engine: &dyn Engine, since: Timestamp) -> Self {
        let mut stream = engine.events(since);
        let (sender, events) = mpsc::channel(EVENTS);
        let task = tokio::spawn(async move {
            while let Some(event) = stream.next().await {
                let failed = event.is_err();
                if sender.send(event).await.is_err() || failed {
                    return;
                }
            }
        });
        Self { events, _listening: AbortOnDropHandle::new(task) }
    }

    /// An event that has come already.
    pub(in crate::control) fn next(&mut self) -> Option<Result<EngineEvent, EngineError>> {
        self.events.try_recv().ok()
    }

    /// Hands all further events to the loop, until the task is dropped.
    pub(super) fn forward(self, sender: mpsc::Sender<Message>) -> AbortOnDropHandle<()> {
        AbortOnDropHandle::new(tokio::spawn(async move {
            // All of it: the listening ends with this task, and not before.
            let mut heard = self;
            while let Some(event) = heard.events.recv().await {
                let failed = event.is_err();
                if sender.send(Message::Event(event)).await.is_err() || failed {
                    return;
                }
            }
            let _ = sender.send(Message::EventsEnded).await;
        }))
    }
}

/// Looks at everything, and listens meanwhile.
pub(super) async fn connected(
    engine: &dyn Engine,
    since: Option<Timestamp>,
    projects: BTreeSet<ProjectName>,
) -> Result<Connected, EngineError> {
    let info = engine.info().await?;
    let heard = Heard::begin(engine, since.unwrap_or(info.time).min(info.time));
    let connection = look(engine, info, &projects).await?;
    Ok(Connected { connection, heard, projects })
}

/// Lists everything, and inspects the containers of these projects.
pub(in crate::control) async fn look(
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

/// One container, with its id.
async fn inspect(engine: &dyn EngineRead, id: ContainerId) -> Result<(ContainerId, Option<Container>), EngineError> {
    let found = engine.inspect(&id).await?;
    Ok((id, found))
}

impl Connection {
    /// Projects of whose containers the list and the inspect a moment later tell differently, or one is gone: no event tells
    /// which of them is true, so that is to be seen twice.
    pub(in crate::control) fn contradicted(&self) -> BTreeSet<ProjectName> {
        let inspected: BTreeMap<_, _> = self.containers.iter().map(|(id, found)| (id, found)).collect();
        let agree = |listed: &ListedContainer| match inspected.get(&listed.id) {
            Some(Some(found)) => found.state.as_str() == listed.state,
            Some(None) => false,
            None => true,
        };
        self.listing.containers.iter().filter(|c| !agree(c)).map(|c| c.project.clone()).collect()
    }
}
