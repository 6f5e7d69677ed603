//! Counts what the controller does and what it costs this process.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use evenkeel::control::publish::Observer;
use evenkeel::decide::{Decision, Input};
use evenkeel::engine::sim::{Call, Director, Upset, World};
use evenkeel::model::ProjectName;
use evenkeel::model::record::{Record, RecordData};
use evenkeel::model::state::ProjectState;
use tokio::sync::Notify;
use tokio::time::Instant;

/// The counts; a clone is the same ones.
#[derive(Clone, Default)]
pub struct Census {
    counts: Arc<Mutex<Counts>>,
    turned: Arc<Notify>,
}

/// What was counted since it was last taken.
#[derive(Default)]
pub struct Counts {
    /// Engine calls by kind.
    pub calls: BTreeMap<&'static str, u64>,
    /// How long each decision took.
    pub decisions: Vec<Duration>,
    /// Steps that were begun.
    pub steps: u64,
    /// Events of the Engine that were taken in.
    pub events: u64,
    converged: BTreeMap<ProjectName, bool>,
    /// When the last project converged.
    since: Option<Instant>,
}

impl Census {
    pub fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to count anew, and gives what was counted.
    pub fn take(&self) -> Counts {
        let mut counts = self.counts();
        let converged = counts.converged.clone();
        let since = counts.since;
        std::mem::replace(&mut *counts, Counts { converged, since, ..Counts::default() })
    }

    /// Waits until so many projects are converged; since when they are.
    pub async fn converged(&self, projects: usize) -> Instant {
        loop {
            let turned = self.turned.notified();
            if let Some(since) = self.counts().all(projects) {
                return since;
            }
            turned.await;
        }
    }

    /// Waits until some project is not converged.
    pub async fn unsettled(&self, projects: usize) {
        loop {
            let turned = self.turned.notified();
            if self.counts().all(projects).is_none() {
                return;
            }
            turned.await;
        }
    }
}

impl Counts {
    fn all(&self, projects: usize) -> Option<Instant> {
        let converged = self.converged.values().filter(|c| **c).count();
        self.since.filter(|_| converged == projects)
    }

    /// Microseconds: mean, median, 99th percentile.
    pub fn decision_times(&self) -> (f64, f64, f64) {
        let mut sorted: Vec<f64> = self.decisions.iter().map(|d| d.as_secs_f64() * 1e6).collect();
        sorted.sort_by(f64::total_cmp);
        let at = |part: usize| sorted.get((sorted.len() * part / 100).min(sorted.len().saturating_sub(1)));
        let mean = sorted.iter().sum::<f64>() / sorted.len().max(1) as f64;
        (mean, at(50).copied().unwrap_or_default(), at(99).copied().unwrap_or_default())
    }
}

impl Observer for Census {
    fn record(&self, record: &Record) {
        match &record.data {
            RecordData::Decided { took_us, .. } => self.counts().decisions.push(Duration::from_micros(*took_us)),
            RecordData::StepStarted { .. } => self.counts().steps += 1,
            RecordData::EngineEvent => self.counts().events += 1,
            _ => {}
        }
    }

    fn decided(&self, input: &Input<'_>, decision: &Decision) {
        let converged = decision.state == Some(ProjectState::Converged);
        let mut counts = self.counts();
        match counts.converged.get_mut(input.project) {
            Some(known) if *known == converged => return,
            Some(known) => *known = converged,
            None => {
                counts.converged.insert(input.project.clone(), converged);
            }
        }
        counts.since = Some(Instant::now());
        self.turned.notify_one();
    }
}

/// Sees each call as it begins; nothing goes wrong with any.
impl Director for Census {
    fn upset(&mut self, call: &Call, _: &World) -> Option<Upset> {
        let kind = match call {
            Call::Info => "info",
            Call::List => "list",
            Call::Inspect { .. } => "inspect",
            Call::Image { .. } => "image",
            Call::CreateNetwork { .. } | Call::CreateVolume { .. } | Call::CreateContainer { .. } => "create",
            Call::Start { .. } => "start",
            Call::Stop { .. } => "stop",
            Call::Remove { .. } | Call::RemoveNetwork { .. } | Call::RemoveVolume { .. } => "remove",
            _ => "other",
        };
        *self.counts().calls.entry(kind).or_default() += 1;
        None
    }
}

/// A figure of `/proc/self/status`, in MB.
pub fn memory(key: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix(':'));
    line.and_then(|l| l.trim().trim_end_matches(" kB").parse::<f64>().ok()).unwrap_or(f64::NAN) * 1024.0 / 1e6
}

/// The CPU time of this thread: what others do on the machine is not in it.
pub fn cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(text.split(' ').next().and_then(|n| n.parse().ok()).unwrap_or_default())
}
