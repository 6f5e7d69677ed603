//! The one bus on which everything that happens is told, as owned records. It never slows the loop: who follows it and is
//! slow misses records, and is told how many.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::broadcast;

use crate::control::clock::Clock;
use crate::decide::{Decision, Input, Step};
use crate::model::event::Severity;
use crate::model::record::{Record, RecordData, RecordId};
use crate::model::{ProjectName, ServiceName};

/// Records that wait for the slowest follower, before it misses some.
const CAPACITY: usize = 4096;

/// Who sees everything at once, in the loop itself: simulations and measurements, which judge each decision and step. It must
/// not block. Whatever can be told a moment later follows the bus.
pub trait Observer: Send + Sync {
    /// Sees a record, before followers do.
    fn record(&self, record: &Record) {
        let _ = record;
    }

    /// Sees what was decided, and from what: before anything is done about it.
    fn decided(&self, input: &Input<'_>, decision: &Decision) {
        let _ = (input, decision);
    }

    /// Sees a step that begins.
    fn begins(&self, project: &ProjectName, step: &Step) {
        let _ = (project, step);
    }

    /// Sees how a step ended: the Engine's words where it failed.
    fn ended(&self, project: &ProjectName, step: &Step, error: Option<&str>) {
        let _ = (project, step, error);
    }
}

/// Nobody looks.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unobserved;

impl Observer for Unobserved {}

/// The bus. A clone is the same one.
#[derive(Clone)]
pub struct Bus(Arc<Inner>);

struct Inner {
    /// The id of the record told last; held while one is told, so that ids rise in the order in which followers see them.
    last: Mutex<RecordId>,
    sender: broadcast::Sender<Arc<Record>>,
    observer: Arc<dyn Observer>,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Bus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bus").field("followers", &self.0.sender.receiver_count()).finish_non_exhaustive()
    }
}

impl Bus {
    /// A bus whose ids are of this start of the controller.
    pub(in crate::control) fn new(epoch: u64, observer: Arc<dyn Observer>, clock: Arc<dyn Clock>) -> Self {
        let (sender, _) = broadcast::channel(CAPACITY);
        Self(Arc::new(Inner { last: Mutex::new(RecordId::first(epoch)), sender, observer, clock }))
    }

    /// Follows the bus from now on.
    pub fn follow(&self) -> Follower {
        Follower(self.0.sender.subscribe())
    }

    pub(in crate::control) fn observer(&self) -> &dyn Observer {
        &*self.0.observer
    }

    /// Tells what happened.
    pub(in crate::control) fn tell(
        &self,
        severity: Severity,
        project: Option<&ProjectName>,
        service: Option<&ServiceName>,
        request: Option<&str>,
        data: RecordData,
    ) -> Arc<Record> {
        let mut last = self.0.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last = last.next();
        let record = Arc::new(Record {
            id: *last,
            at: self.0.clock.now(),
            severity,
            project: project.cloned(),
            service: service.cloned(),
            request: request.map(str::to_owned),
            data,
        });
        self.0.observer.record(&record);
        // Nobody need follow.
        let _ = self.0.sender.send(Arc::clone(&record));
        record
    }

    /// Tells what is for counting.
    pub(in crate::control) fn count(
        &self,
        project: Option<&ProjectName>,
        service: Option<&ServiceName>,
        data: RecordData,
    ) {
        self.tell(Severity::Info, project, service, None, data);
    }
}

/// What a follower sees next.
#[derive(Debug, Clone)]
pub enum Heard {
    /// A record.
    Record(Arc<Record>),
    /// It was too slow, and missed so many records.
    Missed(u64),
}

/// Follows the bus.
#[derive(Debug)]
pub struct Follower(broadcast::Receiver<Arc<Record>>);

impl Follower {
    /// What comes next; `None`: the controller has ended.
    pub async fn next(&mut self) -> Option<Heard> {
        match self.0.recv().await {
            Ok(record) => Some(Heard::Record(record)),
            Err(broadcast::error::RecvError::Lagged(missed)) => Some(Heard::Missed(missed)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }

    /// The same for a thread that may wait.
    pub fn blocking_next(&mut self) -> Option<Heard> {
        match self.0.blocking_recv() {
            Ok(record) => Some(Heard::Record(record)),
            Err(broadcast::error::RecvError::Lagged(missed)) => Some(Heard::Missed(missed)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::clock::SystemClock;

    #[tokio::test]
    async fn who_is_slow_misses_and_is_told_how_many_and_holds_nobody_up() {
        let bus = Bus::new(7, Arc::new(Unobserved), Arc::new(SystemClock));
        let (mut slow, mut quick) = (bus.follow(), bus.follow());
        let mut ids = Vec::new();
        for _ in 0..CAPACITY + 10 {
            bus.count(None, None, RecordData::Resync);
            let Some(Heard::Record(record)) = quick.next().await else { panic!("the quick one hears all") };
            ids.push(record.id);
        }
        assert!(ids.is_sorted() && ids[0] > RecordId::first(7) && ids[0] < RecordId::first(8));
        assert!(matches!(slow.next().await, Some(Heard::Missed(10))));
        assert!(matches!(slow.next().await, Some(Heard::Record(record)) if record.id == ids[10]));
        drop(bus);
        assert!(quick.next().await.is_none());
    }
}
