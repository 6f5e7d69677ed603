//! Writing down what happens: the Engine's side is told by the simulated engine, the controller's side by itself.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;

use super::book::{Book, Mind};
use super::looks;
use super::report::{EventRow, StepRow};
use crate::control::publish::Observer;
use crate::decide::{Decision, Input, Step, Target};
use crate::engine::sim::{Call, Director, Upset, World};
use crate::engine::{EngineEvent, EventKind};
use crate::model::record::{Record, RecordData};
use crate::model::{ContainerId, Project, ProjectName, ServiceId, Timestamp};

/// Writes down what happens; a clone writes into the same book.
#[derive(Clone)]
pub(super) struct Recorder {
    book: Arc<Mutex<Book>>,
}

impl Recorder {
    /// An empty book, and the starts that are told.
    pub(super) fn new(epoch: Timestamp) -> (Self, mpsc::UnboundedReceiver<(ServiceId, ContainerId)>) {
        let (started, starts) = mpsc::unbounded_channel();
        let book = Book::new(epoch, started);
        (Self { book: Arc::new(Mutex::new(book)) }, starts)
    }

    pub(super) fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says what the manifests want from now on.
    pub(super) fn declare(&self, projects: &[Arc<Project>]) {
        self.book().declare(projects);
    }

    /// The Engine goes away, or is back.
    pub(super) fn engine(&self, up: bool) {
        let mut book = self.book();
        let now = book.now();
        book.engine_up = up;
        book.engine_away.set(!up, now);
        book.refresh(None);
    }

    /// The controller is killed, or started.
    pub(super) fn controller(&self, up: bool) {
        let mut book = self.book();
        let now = book.now();
        book.controller_up = up;
        book.controller_away.set(!up, now);
        if !up {
            // What it had begun nobody waits for any more; what it thought counts for nothing once it is back.
            book.in_flight.clear();
            book.minds.clear();
        }
        book.refresh(None);
    }

    /// Looks at everything the Engine has.
    pub(super) fn see(&self, world: &World) {
        let mut book = self.book();
        let ids: BTreeSet<ContainerId> =
            world.containers().map(|c| c.id.clone()).chain(book.bodies.keys().cloned()).collect();
        for id in ids {
            book.see(&id, world);
        }
        book.refresh(None);
    }

    /// Since when everything is as the manifests say, or legitimately stopped.
    pub(super) fn settled_since(&self) -> Option<Duration> {
        self.book().settled.map(Duration::from_millis)
    }
}

impl Director for Recorder {
    fn upset(&mut self, call: &Call, _: &World) -> Option<Upset> {
        let mut book = self.book();
        if call.mutates() {
            book.calls.changes += 1;
        } else {
            book.calls.looks += 1;
        }
        None
    }

    fn happened(&mut self, event: &EngineEvent, world: &World) {
        if let EventKind::Container { id, project, action } = &event.kind {
            let mut book = self.book();
            book.container_event(id, action, world);
            book.refresh(Some(project));
        }
    }
}

impl Observer for Recorder {
    fn record(&self, record: &Record) {
        let mut book = self.book();
        let now = book.now();
        if let (RecordData::ServiceRestarted { .. }, Some(project), Some(service)) =
            (&record.data, &record.project, &record.service)
        {
            book.restarts.controller += 1;
            let id = ServiceId { project: project.clone(), service: service.clone() };
            if let Some(row) = book.rows.get_mut(&id) {
                row.restarts += 1;
            }
        }
        let Some(event) = record.event() else { return };
        book.events.push(EventRow {
            at_ms: now,
            event_type: event.event_type,
            severity: event.severity,
            about: event.service_id.or(event.project),
            message: event.message,
        });
    }

    fn begins(&self, project: &ProjectName, step: &Step) {
        let mut book = self.book();
        let service = step.action.service();
        let row = StepRow {
            at_ms: book.now(),
            took_ms: None,
            project: project.to_string(),
            service: service.map(|s| format!("{project}.{s}")),
            kind: step.action.kind(),
            text: looks::action(&step.action),
            because: looks::cause(&step.cause, book.epoch),
            error: None,
        };
        book.steps.push(row);
        let at = book.steps.len() - 1;
        book.in_flight.insert((project.clone(), step.action.subject()), (at, step.clone()));
        book.refresh(Some(project));
    }

    fn ended(&self, project: &ProjectName, step: &Step, error: Option<&str>) {
        let mut book = self.book();
        let now = book.now();
        let key = (project.clone(), step.action.subject());
        if let Some((at, _)) = book.in_flight.remove(&key)
            && let Some(row) = book.steps.get_mut(at)
        {
            row.took_ms = Some(now - row.at_ms);
            row.error = error.map(str::to_owned);
        }
        book.refresh(Some(project));
    }

    fn decided(&self, input: &Input<'_>, decision: &Decision) {
        let mut book = self.book();
        let revision = match input.target {
            Target::Declared(project) => Some(project.revision.clone()),
            _ => None,
        };
        book.minds.insert(input.project.clone(), Mind::of(decision.clone(), revision));
        book.refresh(Some(input.project));
    }
}
