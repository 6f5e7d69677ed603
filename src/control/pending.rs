//! What is asked of the controller and not answered yet: operations whose project is being written, plans that are being made,
//! and the wish that it ends.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Semaphore, oneshot};
use tokio::time::Instant;

use super::input::OwnedSituation;
use super::operations::{Answer, OperationError, Progress};
use crate::decide::forecast;
use crate::model::ProjectName;

/// Plans that are made at the same time: each takes a core.
const PLANS: usize = 2;
/// Plans that wait for that.
const WAITING_PLANS: usize = 32;

/// What is not answered yet.
pub(super) struct Pending {
    waiting: BTreeMap<ProjectName, VecDeque<Progress>>,
    plans: Arc<Plans>,
    /// When the controller ends at the latest.
    stopping: Option<Instant>,
    is_baseline_told: bool,
}

/// Plans that are being made.
pub(super) struct Plans {
    running: Semaphore,
    asked: AtomicUsize,
    in_place: bool,
}

impl Pending {
    pub(super) fn new(in_place: bool) -> Self {
        let plans = Plans { running: Semaphore::new(PLANS), asked: AtomicUsize::new(0), in_place };
        Self { waiting: BTreeMap::new(), plans: Arc::new(plans), stopping: None, is_baseline_told: false }
    }

    /// An operation waits until a project is written.
    pub(super) fn wait(&mut self, name: &ProjectName, progress: Progress) {
        self.waiting.entry(name.clone()).or_default().push_back(progress);
    }

    /// The first operation that waited for a project.
    pub(super) fn take_waiting(&mut self, name: &ProjectName) -> Option<Progress> {
        let waiting = self.waiting.get_mut(name)?;
        let first = waiting.pop_front();
        if waiting.is_empty() {
            self.waiting.remove(name);
        }
        first
    }

    pub(super) fn plans(&self) -> &Arc<Plans> {
        &self.plans
    }

    /// The controller is to end, at the latest at this time.
    pub(super) fn stop(&mut self, limit: Instant) {
        self.stopping.get_or_insert(limit);
    }

    /// When the controller ends at the latest; `None`: nobody wants it to.
    pub(super) fn stopping(&self) -> Option<Instant> {
        self.stopping
    }

    /// Whether it is still to be told how everything was at the start; once.
    pub(super) fn take_baseline(&mut self) -> bool {
        !std::mem::replace(&mut self.is_baseline_told, true)
    }
}

impl Plans {
    /// Makes a plan beside the loop, and tells it. Who asks while too many wait is refused.
    pub(super) fn make(
        this: &Arc<Self>,
        situation: OwnedSituation,
        reply: oneshot::Sender<Result<Answer, OperationError>>,
    ) {
        let unfold = move || {
            let plan = forecast(&situation.situation().input());
            serde_json::to_value(plan)
                .map(|plan| Answer::Plan { plan })
                .map_err(|error| OperationError::refused(error.to_string()))
        };
        if this.in_place {
            return drop(reply.send(unfold()));
        }
        if this.asked.fetch_add(1, Ordering::Relaxed) >= PLANS + WAITING_PLANS {
            this.asked.fetch_sub(1, Ordering::Relaxed);
            return drop(reply.send(Err(OperationError::Busy)));
        }
        let plans = Arc::clone(this);
        tokio::spawn(async move {
            let made = {
                let _permit = plans.running.acquire().await;
                tokio::task::spawn_blocking(unfold).await
            };
            plans.asked.fetch_sub(1, Ordering::Relaxed);
            let broken = |error: tokio::task::JoinError| Err(OperationError::refused(format!("no plan: {error}")));
            let _ = reply.send(made.unwrap_or_else(broken));
        });
    }
}
