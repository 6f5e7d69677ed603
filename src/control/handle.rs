//! A way to talk to the loop.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch as latest};

use super::intake::watch::Reading;
use super::message::Message;
use super::operations::{Answer, OperationError, Request};
use super::publish::{Bus, Follower, Snapshot};
use super::sensors::Board;
use crate::model::health::Probed;
use crate::model::usage::Usage;
use crate::model::{ProjectName, ServiceName};

/// A way to talk to the loop, and to read what it publishes. Clones are the same.
#[derive(Debug, Clone)]
pub struct Handle {
    sender: mpsc::Sender<Message>,
    snapshots: latest::Receiver<Arc<Snapshot>>,
    bus: Bus,
    probed: Board<Probed>,
    usage: Board<Usage>,
}

impl Handle {
    pub(super) fn new(
        sender: mpsc::Sender<Message>,
        snapshots: latest::Receiver<Arc<Snapshot>>,
        bus: Bus,
        probed: Board<Probed>,
        usage: Board<Usage>,
    ) -> Self {
        Self { sender, snapshots, bus, probed, usage }
    }

    /// How everything is now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshots.borrow())
    }

    /// Snapshots as they change.
    pub fn snapshots(&self) -> latest::Receiver<Arc<Snapshot>> {
        self.snapshots.clone()
    }

    /// Follows everything that happens from now on.
    pub fn follow(&self) -> Follower {
        self.bus.follow()
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
        // Who asks again is heard.
        let _ = self.sender.try_send(Message::LookedAt(project.clone(), service.clone()));
    }

    /// Asks for an operation; returns when it is done, and remembered.
    ///
    /// # Errors
    /// When it is refused, could not be remembered, or cannot be done at present.
    pub async fn submit(&self, request: Request) -> Result<Answer, OperationError> {
        let (reply, answer) = oneshot::channel();
        self.sender.try_send(Message::Request(Box::new(request), reply)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => OperationError::Busy,
            mpsc::error::TrySendError::Closed(_) => OperationError::Ending,
        })?;
        answer.await.unwrap_or(Err(OperationError::Ending))
    }

    /// Hands over what the watcher read; `false`: the loop has ended.
    pub async fn reading(&self, reading: Reading) -> bool {
        self.sender.send(Message::Reading(Box::new(reading))).await.is_ok()
    }

    /// The same without waiting; `false`: the loop has ended, or has too much to do.
    pub fn offer_reading(&self, reading: Reading) -> bool {
        self.sender.try_send(Message::Reading(Box::new(reading))).is_ok()
    }

    /// Tells that a task ended that the controller depends on.
    pub(super) async fn task_ended(&self, task: &'static str, reason: String) {
        let _ = self.sender.send(Message::TaskEnded { task, reason }).await;
    }

    /// Whether the loop has ended.
    pub fn has_ended(&self) -> bool {
        self.sender.is_closed()
    }

    /// Asks the loop to end: running steps are finished, the ledger is written.
    pub async fn shut_down(&self) {
        let _ = self.sender.send(Message::Shutdown).await;
    }
}
