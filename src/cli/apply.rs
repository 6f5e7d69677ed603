//! `evenkeel apply`: make it so once, then exit.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use super::Ended;
use super::context::Context;
use super::progress::Progress;
use super::validate::print_diagnostics;
use crate::control::publish::{ProjectView, Snapshot};
use crate::decide::WaitingOn;
use crate::model::state::{ProjectState, ServiceState};
use crate::settings::Span;

/// Attempts after which `apply` gives up on a step.
const ATTEMPTS: u32 = 3;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// A manifest or a directory of them [default: the manifests directory]
    path: Option<PathBuf>,
    /// Wait until health checks pass, not only until everything is started
    #[arg(long)]
    wait_healthy: bool,
    /// Give up after this long
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = parse_span)]
    timeout: Span,
}

fn parse_span(text: &str) -> Result<Span, String> {
    crate::manifest::duration::parse(text)
        .map(Span)
        .ok_or_else(|| format!("`{text}` is no duration; write for example 30s or 5m"))
}

pub(super) async fn apply(context: &Context, arguments: &Arguments) -> Ended {
    let scope = context.scope(arguments.path.as_deref());
    let (engine, address) = context.engine().await?;
    let running = context.start("apply", scope, engine, address, |_| Ok(()))?;
    let mut snapshots = running.handle.snapshots();
    let mut progress = Progress::new();
    let all = async {
        loop {
            let snapshot = Arc::clone(&snapshots.borrow_and_update());
            progress.show(&snapshot);
            if let Some(verdict) = verdict(&snapshot, arguments.wait_healthy) {
                return Some(verdict);
            }
            if snapshots.changed().await.is_err() {
                return None;
            }
        }
    };
    let ended = tokio::time::timeout(arguments.timeout.0, all).await;
    progress.finish();
    let snapshot = running.handle.snapshot();
    running.stop().await?;
    let diagnostics: Vec<_> = snapshot.projects.values().flat_map(|p| p.diagnostics.iter().cloned()).collect();
    print_diagnostics(&diagnostics);
    let message = match ended {
        Ok(Some(Ok(()))) => return Ok(ExitCode::SUCCESS),
        Ok(Some(Err(reason))) => reason,
        Ok(None) => "the control loop ended".to_owned(),
        Err(_) => format!("not done within the --timeout; {}", unfinished(&snapshot).join("; ")),
    };
    errln!("evenkeel: {message}");
    Ok(ExitCode::from(1))
}

/// Done, or hopeless; `None`: still under way.
fn verdict(snapshot: &Snapshot, wait_healthy: bool) -> Option<Result<(), String>> {
    if let Some(guard) = &snapshot.guard {
        return Some(Err(format!("{guard}; run `evenkeel confirm` if that is meant")));
    }
    if !snapshot.manifests_read || !snapshot.engine.up {
        return None;
    }
    let invalid: Vec<_> = snapshot.projects.values().filter(|p| !p.manifest_valid).map(|p| p.name.as_str()).collect();
    if !invalid.is_empty() {
        return Some(Err(format!("the manifest of {} does not load", invalid.join(", "))));
    }
    let (mut done, mut hopeless) = (true, Vec::new());
    for project in snapshot.projects.values() {
        done &= is_done(project, wait_healthy);
        hopeless
            .extend(project.failed.iter().filter(|f| has_failed(project, f.rolled_back)).map(|f| f.summary.clone()));
        hopeless.extend(hopeless_services(project));
    }
    if done {
        return Some(Ok(()));
    }
    let busy = snapshot.projects.values().any(|p| !p.in_flight.is_empty());
    (!hopeless.is_empty() && !busy).then(|| Err(hopeless.join("; ")))
}

/// A revision failed, and what follows that came to its end, too.
fn has_failed(project: &ProjectView, rolled_back: bool) -> bool {
    let settled = project.steps.is_empty() && project.in_flight.is_empty();
    settled
        && if rolled_back { project.state == ProjectState::RolledBack } else { project.state == ProjectState::Waiting }
}

/// Whether some replica has two containers: the one that is replaced, and its replacement.
fn is_replacing(project: &ProjectView) -> bool {
    project.services.values().any(|service| {
        let numbers: std::collections::BTreeSet<u32> = service.containers.iter().map(|c| c.number).collect();
        numbers.len() < service.containers.len()
    })
}

fn is_done(project: &ProjectView, wait_healthy: bool) -> bool {
    if matches!(project.state, ProjectState::Converged | ProjectState::Suspended) {
        return true;
    }
    let started = |s: &ServiceState| {
        matches!(
            s,
            ServiceState::Running { .. }
                | ServiceState::Completed
                | ServiceState::Suspended
                | ServiceState::NotStarted
                | ServiceState::Starting { since: Some(_) }
        )
    };
    let waits_for_health_only =
        project.waiting.iter().all(|w| matches!(w.on, WaitingOn::Health | WaitingOn::Suspended));
    !wait_healthy
        && !is_replacing(project)
        && project.state == ProjectState::Progressing
        && project.steps.is_empty()
        && project.in_flight.is_empty()
        && waits_for_health_only
        && project
            .services
            .values()
            .all(|s| started(&s.state) && !(s.job && matches!(s.state, ServiceState::Running { .. })))
}

fn hopeless_services(project: &ProjectView) -> Vec<String> {
    let services = project.services.values().filter_map(|s| match &s.state {
        ServiceState::Failed { error, attempts, .. } if *attempts >= ATTEMPTS => Some(format!("{}: {error}", s.id)),
        ServiceState::Stopped { reason } => Some(format!("{}: {reason}", s.id)),
        _ => None,
    });
    let others = project.waiting.iter().filter_map(|w| match &w.on {
        WaitingOn::Backoff { attempts, error, .. } if w.service.is_none() && *attempts >= ATTEMPTS => {
            Some(format!("{}: {error}", project.name))
        }
        WaitingOn::External { .. } | WaitingOn::OtherInstance { .. } | WaitingOn::Resources { .. } => {
            Some(format!("{} {w}", project.name))
        }
        _ => None,
    });
    services.chain(others).collect()
}

fn unfinished(snapshot: &Snapshot) -> Vec<String> {
    snapshot
        .projects
        .values()
        .flat_map(|p| p.services.values())
        .filter(|s| !matches!(s.state, ServiceState::Running { .. } | ServiceState::Completed))
        .map(|s| format!("{} is {}", s.id, s.summary))
        .collect()
}
