//! How projects and services are, put together for people and programs.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{ContainerView, FailedView, ProjectView, ServiceView, Snapshot, Status, advice};
use crate::control::ledger::Revision;
use crate::control::sensors::Board;
use crate::decide::{Action, BreakerState, Decision, RecoveryPolicy, Waiting};
use crate::manifest::Loaded;
use crate::model::health::{HealthClass, Probed};
use crate::model::ledger::{ProjectLedger, Slot, Subject};
use crate::model::observed::{Container, Health};
use crate::model::state::{ProjectState, ServiceState};
use crate::model::{ProjectName, ServiceName, Timestamp};

/// All that a project's view is made from.
pub(in crate::control) struct Outlook<'a> {
    pub(in crate::control) name: &'a ProjectName,
    pub(in crate::control) state: ProjectState,
    pub(in crate::control) manifest: Option<&'a Loaded>,
    pub(in crate::control) revision: &'a Revision,
    pub(in crate::control) ledger: &'a ProjectLedger,
    pub(in crate::control) decision: &'a Decision,
    pub(in crate::control) in_flight: &'a BTreeMap<Subject, Action>,
    pub(in crate::control) containers: Vec<&'a Container>,
    pub(in crate::control) last_converged: Option<Timestamp>,
    pub(in crate::control) commit: Option<String>,
    /// What probes found.
    pub(in crate::control) probed: &'a Board<Probed>,
    pub(in crate::control) recovery: &'a RecoveryPolicy,
    pub(in crate::control) now: Timestamp,
}

/// A project for people and programs.
pub(in crate::control) fn view(outlook: &Outlook<'_>) -> ProjectView {
    let Outlook { ledger, decision, .. } = outlook;
    let target = outlook.revision.in_force.as_deref();
    // What is asked for each service is sorted by service once.
    let mut parts: BTreeMap<&ServiceName, Part<'_>> = BTreeMap::new();
    for name in target.into_iter().flat_map(|p| p.services.keys()).chain(decision.services.keys()) {
        parts.entry(name).or_default();
    }
    for container in &outlook.containers {
        if let Some(name) = &container.service {
            parts.entry(name).or_default().containers.push(container);
        }
    }
    for name in target.into_iter().flat_map(|p| p.jobs()) {
        parts.entry(name).and_modify(|part| part.job = true);
    }
    for (subject, slot) in &ledger.slots {
        if let Subject::Replica(name, _) = subject {
            parts.entry(name).and_modify(|part| {
                part.restarts += slot.restarts;
                part.slots.push(slot);
            });
        }
    }
    for waiting in &decision.waiting {
        if let Some(part) = waiting.service.as_ref().and_then(|service| parts.get_mut(service)) {
            part.waiting.push(waiting);
        }
    }
    let external = advice::external(&decision.waiting);
    let external = external.as_deref();
    let services = parts.into_iter().map(|(name, part)| (name.clone(), service(outlook, name, &part, external)));
    let services = services.collect();
    let manifest = outlook.manifest;
    ProjectView {
        name: outlook.name.clone(),
        state: outlook.state,
        manifest_valid: manifest.is_none_or(|m| m.project.is_some()),
        manifest: manifest.map(|m| m.path.clone()),
        revision: target.map(|p| p.revision.clone()),
        healthy: outlook.revision.healthy.as_ref().map(|h| h.project.revision.clone()),
        failed: failed(outlook),
        commit: outlook.commit.clone(),
        last_converged: outlook.last_converged,
        in_flight: outlook.in_flight.values().map(ToString::to_string).collect(),
        steps: decision.steps.clone(),
        waiting: decision.waiting.clone(),
        drift: decision.drift.clone(),
        failures: ledger.failures.iter().map(|(s, f)| (s.to_string(), f.error.clone())).collect(),
        diagnostics: manifest.map(|m| m.diagnostics.clone()).unwrap_or_default(),
        services,
    }
}

fn failed(outlook: &Outlook<'_>) -> Option<FailedView> {
    let (ledger, name) = (outlook.ledger, outlook.name);
    let revision = match &ledger.rolled_back {
        Some(back) => &back.from,
        None => &outlook.revision.in_force.as_ref()?.revision,
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
            failed.service, failed.reason,
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
    waiting: Vec<&'a Waiting>,
}

fn service(outlook: &Outlook<'_>, name: &ServiceName, part: &Part<'_>, external: Option<&str>) -> ServiceView {
    let Outlook { ledger, decision, now, .. } = *outlook;
    let declared = outlook.revision.in_force.as_ref().and_then(|p| p.services.get(name));
    let state = decision.services.get(name).cloned().unwrap_or(ServiceState::NotStarted);
    let probed: Vec<_> = part.containers.iter().map(|c| outlook.probed.of(c.id.as_str())).collect();
    let (class, reasons) = class(&state, &probed);
    let policy = declared.map_or(*outlook.recovery, |service| outlook.recovery.of(service));
    #[allow(clippy::cast_precision_loss)]
    let throttled_to = |c: &Container| Some(ledger.throttled.get(&c.id)?.milli_cpus as f64 / 1e3);
    let throttled = part.containers.iter().find_map(|c| throttled_to(c));
    let breaker = part.slots.iter().map(|slot| BreakerState::of(slot, &policy, now)).max().unwrap_or_default();
    ServiceView {
        start_failure: advice::of(&state, &part.waiting, external),
        class,
        breaker,
        probe: declared.and_then(|s| s.extension.probe.as_ref()).map(|probe| probe.kind.as_str()),
        id: format!("{}.{name}", outlook.name),
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
pub(in crate::control) fn status_json(snapshot: &Snapshot) -> Value {
    json!(Status {
        engine: &snapshot.engine,
        root: Some(&snapshot.root),
        commit: snapshot.commit.as_deref(),
        guard: snapshot.guard.as_deref(),
        issues: &snapshot.issues,
        projects: snapshot.projects.values().map(|p| &**p).collect(),
    })
}
