//! Making what is published.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::publish::{ContainerView, FailedView, ProjectView, ServiceView, Snapshot, Status};
use super::steps::seed;
use super::tracked::Tracked;
use super::{Controller, EVENTS_KEPT, Reply, operations::Refused};
use crate::control::advice;
use crate::control::board::Board;
use crate::decide::{BreakerState, Input, RecoveryPolicy, Room, Target, forecast};
use crate::model::health::{HealthClass, Probed};
use crate::model::ledger::{Slot, Subject};
use crate::model::observed::{Container, Health};
use crate::model::state::ServiceState;
use crate::model::{ProjectName, ServiceName, Timestamp};

impl Controller {
    /// Publishes if something changed.
    pub(super) fn publish(&mut self) {
        if !self.unpublished && self.stale_views.is_empty() {
            return;
        }
        self.unpublished = false;
        let mut views = Vec::new();
        for name in std::mem::take(&mut self.stale_views) {
            let concerned = self.projects.get(&name).filter(|t| self.concerns(t));
            let made = concerned.map(|tracked| {
                let containers: Vec<&Container> = self.cache.of_project(&name).collect();
                let commit = self.reading.as_ref().and_then(|r| r.commit.clone());
                let policy = &self.options.recovery;
                Arc::new(view(tracked, &containers, commit, (&self.probing.board, policy, self.clock.now())))
            });
            views.push((name, made));
        }
        self.published.send_modify(|published| {
            // In place where nobody looks at it just now: with many projects a copy costs more than all that changed.
            let snapshot = Arc::make_mut(published);
            for (name, view) in views {
                match view {
                    Some(view) => snapshot.projects.insert(name, view),
                    None => snapshot.projects.remove(&name),
                };
            }
            snapshot.engine.clone_from(&self.engine_status);
            snapshot.root.clone_from(&self.options.root);
            snapshot.commit = self.reading.as_ref().and_then(|r| r.commit.clone());
            snapshot.manifests_read = self.reading.is_some();
            snapshot.guard = self.guard.reason().map(str::to_owned);
            snapshot.issues = self.issues.values().cloned().collect();
            let told = snapshot.events.back().map_or(0, |e| e.id);
            let news = self.events.iter().rev().take_while(|e| e.id > told).count();
            snapshot.events.extend(self.events.range(self.events.len() - news..).cloned());
            while snapshot.events.len() > EVENTS_KEPT {
                snapshot.events.pop_front();
            }
            snapshot.resynced = self.resynced;
        });
    }

    fn concerns(&self, tracked: &Tracked) -> bool {
        let ours = !self.options.single && tracked.ledger.root == self.options.root;
        tracked.manifest.is_some() || tracked.ledger.down.is_some() || ours
    }

    pub(super) fn plan(&self, name: &ProjectName) -> Reply {
        let Some(tracked) = self.projects.get(name) else {
            return Err(Refused(format!("there is no project `{name}`")));
        };
        if !self.engine_status.up {
            return Err(Refused("the Engine does not answer, so there is no plan".into()));
        }
        let observed = self.cache.snapshot(name, tracked.target.as_deref());
        let others = self
            .projects
            .values()
            .filter(|t| t.manifest.is_some())
            .map(|t| (t.name.clone(), t.state()))
            .collect::<BTreeMap<_, _>>();
        let plan = forecast(&Input {
            project: name,
            target: match (&tracked.manifest, &tracked.target) {
                (Some(_), Some(project)) => Target::Declared(project),
                (Some(_), None) => Target::Unknown,
                (None, last) => Target::Removed { last: last.as_deref(), confirmed: tracked.removal_confirmed() },
            },
            absences_confirmed: true,
            guard_tripped: self.guard.reason().is_some(),
            observed: &observed,
            in_flight: &tracked.in_flight,
            ledger: &tracked.ledger,
            healthy: tracked.healthy.as_deref(),
            others: &others,
            capabilities: self.capabilities,
            recovery: &self.options.recovery,
            instance: &self.instance,
            take_over: self.options.take_over,
            room: Room::default(),
            seed: seed(&self.instance),
            now: self.clock.now(),
        });
        serde_json::to_value(plan).map_err(|e| Refused(e.to_string()))
    }
}

/// A project for people and programs.
pub(super) fn view(
    tracked: &Tracked,
    containers: &[&Container],
    commit: Option<String>,
    surroundings: (&Board<Probed>, &RecoveryPolicy, Timestamp),
) -> ProjectView {
    // What is asked for each service is sorted by service once.
    let mut parts: BTreeMap<&ServiceName, Part<'_>> = BTreeMap::new();
    for name in tracked.target.iter().flat_map(|p| p.services.keys()).chain(tracked.decision.services.keys()) {
        parts.entry(name).or_default();
    }
    for container in containers {
        if let Some(name) = &container.service {
            parts.entry(name).or_default().containers.push(container);
        }
    }
    for name in tracked.target.iter().flat_map(|p| p.jobs()) {
        parts.entry(name).and_modify(|part| part.job = true);
    }
    for (subject, slot) in &tracked.ledger.slots {
        if let Subject::Replica(name, _) = subject {
            parts.entry(name).and_modify(|part| {
                part.restarts += slot.restarts;
                part.slots.push(slot);
            });
        }
    }
    let services = parts.into_iter().map(|(name, part)| (name.clone(), service(tracked, name, &part, surroundings)));
    let services = services.collect();
    let manifest = tracked.manifest.as_ref();
    ProjectView {
        name: tracked.name.clone(),
        state: tracked.state(),
        manifest_valid: manifest.is_none_or(|m| m.project.is_some()),
        manifest: manifest.map(|m| m.path.clone()),
        revision: tracked.target.as_ref().map(|p| p.revision.clone()),
        healthy: tracked.healthy.as_ref().map(|h| h.project.revision.clone()),
        failed: failed(tracked),
        commit,
        last_converged: tracked.last_converged,
        in_flight: tracked.in_flight.values().map(ToString::to_string).collect(),
        steps: tracked.decision.steps.clone(),
        waiting: tracked.decision.waiting.clone(),
        drift: tracked.decision.drift.clone(),
        failures: tracked.ledger.failures.iter().map(|(s, f)| (s.to_string(), f.error.clone())).collect(),
        diagnostics: manifest.map(|m| m.diagnostics.clone()).unwrap_or_default(),
        services,
    }
}

fn failed(tracked: &Tracked) -> Option<FailedView> {
    let ledger = &tracked.ledger;
    let revision = match &ledger.rolled_back {
        Some(back) => &back.from,
        None => &tracked.target.as_ref()?.revision,
    };
    let failed = ledger.failed.get(revision)?;
    let short: String = revision.chars().take(12).collect();
    let back = ledger.rolled_back.is_some();
    let what = if back { "failed and was rolled back" } else { "failed, and its rollout came to a stop" };
    Some(FailedView {
        revision: revision.clone(),
        service: failed.service.clone(),
        reason: failed.reason.clone(),
        at: failed.at,
        rolled_back: back,
        summary: format!(
            "revision {short} of {name} {what}: {}: {}; it is tried again once the manifest changes, or with `evenkeel resume \
             {name}`",
            failed.service,
            failed.reason,
            name = tracked.name,
        ),
    })
}

/// What is known of one service besides its state.
#[derive(Default)]
struct Part<'a> {
    containers: Vec<&'a Container>,
    job: bool,
    restarts: u32,
    slots: Vec<&'a Slot>,
}

fn service(
    tracked: &Tracked,
    name: &ServiceName,
    part: &Part<'_>,
    (board, policy, now): (&Board<Probed>, &RecoveryPolicy, Timestamp),
) -> ServiceView {
    let declared = tracked.target.as_ref().and_then(|p| p.services.get(name));
    let state = tracked.decision.services.get(name).cloned().unwrap_or(ServiceState::NotStarted);
    let probed: Vec<_> = part.containers.iter().map(|c| board.of(c.id.as_str())).collect();
    let (class, reasons) = class(&state, &probed);
    let policy = declared.map_or(*policy, |service| policy.of(service));
    #[allow(clippy::cast_precision_loss)]
    let throttled_to = |c: &Container| Some(tracked.ledger.throttled.get(&c.id)?.milli_cpus as f64 / 1e3);
    let throttled = part.containers.iter().find_map(|c| throttled_to(c));
    let breaker = part.slots.iter().map(|slot| BreakerState::of(slot, &policy, now)).max().unwrap_or_default();
    ServiceView {
        start_failure: advice::of(name, &state, &tracked.decision.waiting),
        class,
        breaker,
        probe: declared.and_then(|s| s.extension.probe.as_ref()).map(|probe| probe.kind.as_str()),
        id: format!("{}.{name}", tracked.name),
        summary: summary(&state, (class, &reasons), throttled, breaker),
        reasons,
        state,
        image: declared.map(|s| s.image.clone()),
        kind: declared.and_then(|s| s.extension.kind.clone()),
        critical: declared.is_some_and(|s| s.extension.critical),
        job: part.job,
        restarts: part.restarts,
        depends_on: declared.map(|s| s.depends_on.keys().cloned().collect()).unwrap_or_default(),
        containers: part
            .containers
            .iter()
            .zip(probed)
            .map(|(c, probed)| ContainerView {
                id: c.id.to_string(),
                name: c.name.clone(),
                number: c.number,
                state: c.state.as_str(),
                health: c.health(),
                probed,
                throttled_to: throttled_to(c),
                error: c.error.clone(),
            })
            .collect(),
    }
}

/// How a service is, on one line.
fn summary(
    state: &ServiceState,
    (class, reasons): (HealthClass, &[String]),
    throttled: Option<f64>,
    breaker: BreakerState,
) -> String {
    let mut summary = match (state, class) {
        (_, HealthClass::Degraded) => format!("running, degraded: {}", reasons.join(", ")),
        (ServiceState::Running { .. }, HealthClass::Unhealthy) => format!("running, unhealthy: {}", reasons.join(", ")),
        _ => state.to_string(),
    };
    if let Some(cpus) = throttled {
        summary += &format!(", throttled to {cpus} CPUs");
    }
    if breaker != BreakerState::Closed {
        summary += &format!(", breaker {}", breaker.as_str().replace('_', " "));
    }
    summary
}

/// How well a service is, and why it is not healthy. One that runs without a check or a probe is taken at its word.
fn class(state: &ServiceState, probed: &[Option<Probed>]) -> (HealthClass, Vec<String>) {
    match state {
        ServiceState::Completed => (HealthClass::Healthy, Vec::new()),
        ServiceState::Failed { error, .. } => (HealthClass::Unhealthy, vec![error.clone()]),
        ServiceState::Stopped { reason } => (HealthClass::Unhealthy, vec![reason.clone()]),
        ServiceState::Running { health, .. } => {
            let known = || probed.iter().flatten();
            let found = known().map(|probed| probed.class).max().unwrap_or(HealthClass::Healthy);
            let class = if *health == Health::Unhealthy { HealthClass::Unhealthy } else { found };
            let mut reasons: Vec<String> = known().flat_map(|probed| probed.reasons.clone()).collect();
            if reasons.is_empty() && class == HealthClass::Unhealthy {
                reasons.push("its check fails".to_owned());
            }
            (class, reasons)
        }
        _ => (HealthClass::Unknown, Vec::new()),
    }
}

/// A snapshot as a document.
pub(super) fn status_json(snapshot: &Snapshot) -> Value {
    json!(Status {
        engine: &snapshot.engine,
        root: Some(&snapshot.root),
        commit: snapshot.commit.as_deref(),
        guard: snapshot.guard.as_deref(),
        issues: &snapshot.issues,
        projects: snapshot.projects.values().map(|p| &**p).collect(),
    })
}
