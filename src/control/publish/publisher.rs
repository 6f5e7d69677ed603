//! The published side of the controller: the latest snapshot, the latest events, and what is wrong with the controller itself.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::sync::Arc;

use tokio::sync::watch as latest;

use super::{Announcement, Bus, EngineStatus, ProjectView, Snapshot};
use crate::decide::{Cause, Step};
use crate::model::event::{Event, Severity};
use crate::model::record::{RecordData, StepRecord};
use crate::model::{ProjectName, ServiceName, Timestamp};

/// Events that are kept for those who ask.
const EVENTS: usize = 500;

/// Publishes.
pub(in crate::control) struct Publisher {
    bus: Bus,
    published: latest::Sender<Arc<Snapshot>>,
    events: VecDeque<Arc<Event>>,
    /// What is wrong with the controller itself, by kind.
    issues: BTreeMap<&'static str, String>,
    /// Projects whose view is out of date.
    stale: BTreeSet<ProjectName>,
    /// Something else that is published is out of date.
    is_outdated: bool,
}

/// What is published beside the projects.
pub(in crate::control) struct General<'a> {
    pub(in crate::control) engine: &'a EngineStatus,
    pub(in crate::control) root: &'a Path,
    pub(in crate::control) commit: Option<&'a str>,
    pub(in crate::control) manifests_read: bool,
    pub(in crate::control) guard: Option<&'a str>,
    pub(in crate::control) resynced: Option<Timestamp>,
}

impl Publisher {
    pub(in crate::control) fn new(bus: Bus) -> (Self, latest::Receiver<Arc<Snapshot>>) {
        let (published, snapshots) = latest::channel(Arc::default());
        let publisher = Self {
            bus,
            published,
            events: VecDeque::new(),
            issues: BTreeMap::new(),
            stale: BTreeSet::new(),
            is_outdated: true,
        };
        (publisher, snapshots)
    }

    pub(in crate::control) fn bus(&self) -> &Bus {
        &self.bus
    }

    /// Tells what happened; `request`: the one that brought it about.
    pub(in crate::control) fn tell_for(
        &mut self,
        request: Option<&str>,
        severity: Severity,
        project: Option<&ProjectName>,
        service: Option<&ServiceName>,
        data: RecordData,
    ) {
        let record = self.bus.tell(severity, project, service, request, data);
        let Some(event) = record.event() else { return };
        self.is_outdated = true;
        self.events.push_back(Arc::new(event));
        while self.events.len() > EVENTS {
            self.events.pop_front();
        }
    }

    /// Tells what happened.
    pub(in crate::control) fn tell(
        &mut self,
        severity: Severity,
        project: Option<&ProjectName>,
        service: Option<&ServiceName>,
        data: RecordData,
    ) {
        self.tell_for(None, severity, project, service, data);
    }

    /// Tells what there is to be told of a project.
    pub(in crate::control) fn announce(
        &mut self,
        project: &ProjectName,
        announcements: impl IntoIterator<Item = Announcement>,
    ) {
        for Announcement { severity, service, data } in announcements {
            self.tell(severity, Some(project), service.as_ref(), data);
        }
    }

    /// Tells what an operator should know.
    pub(in crate::control) fn alert(
        &mut self,
        severity: Severity,
        project: Option<&ProjectName>,
        about: &str,
        message: impl Into<String>,
    ) {
        let data = RecordData::Alert { about: about.to_owned(), message: message.into() };
        self.tell(severity, project, None, data);
    }

    /// Tells that a step began.
    pub(in crate::control) fn step_began(&self, project: &ProjectName, step: &Step) {
        self.bus.observer().begins(project, step);
        self.bus.count(Some(project), step.action.service(), RecordData::StepStarted { step: step_record(step) });
    }

    /// Tells that a step ended.
    pub(in crate::control) fn step_ended(
        &self,
        project: &ProjectName,
        step: &Step,
        took: std::time::Duration,
        error: Option<String>,
    ) {
        self.bus.observer().ended(project, step, error.as_deref());
        let data = RecordData::StepEnded { step: step_record(step), took_us: micros(took), error };
        self.bus.count(Some(project), step.action.service(), data);
    }

    /// Notes or clears something that is wrong with the controller itself. It is told where there was nothing of its kind
    /// before: one disk that is full is one event, however many files it concerns.
    pub(in crate::control) fn issue(
        &mut self,
        kind: &'static str,
        severity: Severity,
        about: &str,
        text: Option<String>,
    ) {
        let Some(text) = text else {
            self.is_outdated |= self.issues.remove(kind).is_some();
            return;
        };
        self.is_outdated |= self.issues.get(kind) != Some(&text);
        if self.issues.insert(kind, text.clone()).is_none() {
            self.alert(severity, None, about, text);
        }
    }

    /// A project's view is out of date.
    pub(in crate::control) fn mark(&mut self, name: &ProjectName) {
        if !self.stale.contains(name) {
            self.stale.insert(name.clone());
        }
    }

    /// Something that is published beside the projects is out of date.
    pub(in crate::control) fn mark_general(&mut self) {
        self.is_outdated = true;
    }

    /// Publishes what is out of date. `view`: how a project is; `None`: it is not shown any more.
    pub(in crate::control) fn publish(
        &mut self,
        general: &General<'_>,
        view: impl Fn(&ProjectName) -> Option<ProjectView>,
    ) {
        if !self.is_outdated && self.stale.is_empty() {
            return;
        }
        self.is_outdated = false;
        let stale = std::mem::take(&mut self.stale);
        let views: Vec<_> = stale.into_iter().map(|name| (view(&name).map(Arc::new), name)).collect();
        let (issues, events) = (&self.issues, &self.events);
        self.published.send_modify(|published| {
            // In place where nobody looks at it just now: with many projects a copy costs more than all that changed.
            let snapshot = Arc::make_mut(published);
            for (view, name) in views {
                match view {
                    Some(view) => snapshot.projects.insert(name, view),
                    None => snapshot.projects.remove(&name),
                };
            }
            snapshot.engine.clone_from(general.engine);
            general.root.clone_into(&mut snapshot.root);
            snapshot.commit = general.commit.map(str::to_owned);
            snapshot.manifests_read = general.manifests_read;
            snapshot.guard = general.guard.map(str::to_owned);
            snapshot.issues = issues.values().cloned().collect();
            let told = snapshot.events.back().map_or(0, |e| e.id);
            let news = events.iter().rev().take_while(|e| e.id > told).count();
            snapshot.events.extend(events.range(events.len() - news..).cloned());
            while snapshot.events.len() > EVENTS {
                snapshot.events.pop_front();
            }
            snapshot.resynced = general.resynced;
        });
    }

    /// What was published last.
    pub(in crate::control) fn snapshot(&self) -> Arc<Snapshot> {
        self.published.borrow().clone()
    }
}

/// A step as others are told of it.
fn step_record(step: &Step) -> StepRecord {
    StepRecord {
        action: step.action.kind().to_owned(),
        subject: step.action.subject(),
        container: step.action.container().cloned(),
        summary: step.action.to_string(),
        done: step.action.done(),
        cause: step.cause.to_string(),
        is_routine: matches!(step.cause, Cause::Missing | Cause::Ready),
        attempt: step.cause.attempt(),
    }
}

/// Microseconds.
pub(in crate::control) fn micros(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::Unobserved;
    use super::*;
    use crate::control::clock::SystemClock;

    fn publisher() -> (Publisher, latest::Receiver<Arc<Snapshot>>) {
        Publisher::new(Bus::new(1, Arc::new(Unobserved), Arc::new(SystemClock)))
    }

    fn publish(publisher: &mut Publisher) {
        let engine = EngineStatus::default();
        let general = General {
            engine: &engine,
            root: Path::new("/m"),
            commit: None,
            manifests_read: true,
            guard: None,
            resynced: None,
        };
        publisher.publish(&general, |_| None);
    }

    #[test]
    fn the_latest_events_are_kept_and_what_is_for_counting_is_none() {
        let (mut publisher, snapshots) = publisher();
        for n in 0..EVENTS + 20 {
            publisher.alert(Severity::Info, None, "test", n.to_string());
            publisher.tell(Severity::Info, None, None, RecordData::Resync);
            if n % 7 == 0 {
                publish(&mut publisher);
            }
        }
        publish(&mut publisher);
        let snapshot = snapshots.borrow();
        assert_eq!(snapshot.events.len(), EVENTS);
        assert!(snapshot.events.iter().zip(20..).all(|(event, n)| event.message == n.to_string()));
        assert!(snapshot.events.iter().map(|e| e.id).is_sorted());
    }

    #[test]
    fn an_issue_is_news_once_and_shown_until_it_is_over() {
        let (mut publisher, snapshots) = publisher();
        let mut is = |text: Option<&str>| publisher.issue("ledger", Severity::Error, "ledger", text.map(str::to_owned));
        is(Some("full"));
        is(Some("still full"));
        publish(&mut publisher);
        assert_eq!(snapshots.borrow().issues, ["still full"]);
        assert_eq!(snapshots.borrow().events.len(), 1);
        publisher.issue("ledger", Severity::Error, "ledger", None);
        publish(&mut publisher);
        assert!(snapshots.borrow().issues.is_empty());
    }
}
