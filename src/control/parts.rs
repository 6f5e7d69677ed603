//! What a controller is made of.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::clock::{Clock, SystemClock};
use super::decider::{Decider, Faultless};
use super::ledger::Store;
use super::publish::{Observer, Unobserved};
use crate::engine::Engine;
use crate::probe::{NetworkProber, Prober};

/// What a controller is made of.
pub struct Parts {
    /// The Engine.
    pub engine: Arc<dyn Engine>,
    /// The ledger's files.
    pub store: Store,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Asks the watcher for readings at a time.
    pub rereads: mpsc::Sender<Instant>,
    /// Sees everything at once.
    pub observer: Arc<dyn Observer>,
    /// Makes probes.
    pub prober: Arc<dyn Prober>,
    /// Decides.
    pub decider: Arc<dyn Decider>,
}

impl Parts {
    /// The parts as they are in production.
    pub fn new(engine: Arc<dyn Engine>, store: Store, rereads: mpsc::Sender<Instant>) -> Self {
        Self {
            engine,
            store,
            clock: Arc::new(SystemClock),
            rereads,
            observer: Arc::new(Unobserved),
            prober: Arc::new(NetworkProber::default()),
            decider: Arc::new(Faultless),
        }
    }
}
