//! The event stream with the real one's limits: so many are kept for those who come later, and who does not listen loses
//! some.

use std::collections::VecDeque;

use tokio::sync::mpsc;

use crate::engine::{EngineError, EngineEvent};
use crate::model::Timestamp;

/// Events that are kept. Docker's own.
const KEPT: usize = 256;
/// What is on its way to one listener. Docker drops what a listener does not take within 100 ms.
const UNDER_WAY: usize = 512;

pub(super) type Told = Result<EngineEvent, EngineError>;

/// What happened lately, and who listens.
#[derive(Debug, Default)]
pub(super) struct Events {
    kept: VecDeque<EngineEvent>,
    listeners: Vec<mpsc::Sender<Told>>,
    /// Lost because a listener did not take them.
    pub(super) lost: u64,
}

impl Events {
    /// Keeps an event for those who come later.
    pub(super) fn keep(&mut self, event: EngineEvent) {
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(event);
    }

    /// Tells an event to everybody who listens, as the director lets it come through.
    pub(super) fn tell(&mut self, event: &EngineEvent) {
        self.listeners.retain(|listener| match listener.try_send(Ok(event.clone())) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.lost += 1;
                true
            }
            Err(mpsc::error::TrySendError::Closed(_)) => false,
        });
    }

    /// Listens, to what was kept since then first.
    pub(super) fn listen(&mut self, since: Timestamp) -> mpsc::Receiver<Told> {
        let (sender, receiver) = mpsc::channel(UNDER_WAY);
        for event in self.kept.iter().filter(|e| e.time >= since) {
            let _ = sender.try_send(Ok(event.clone()));
        }
        self.listeners.push(sender);
        receiver
    }

    /// The Engine goes away: streams end, and nothing is remembered.
    pub(super) fn end(&mut self) {
        self.listeners.clear();
        self.kept.clear();
    }
}
