//! How a service looks from outside: what its containers do, and what the controller makes of that.

use std::collections::BTreeSet;

use super::report::Look;
use super::words::time;
use crate::decide::{Action, Cause, Step, Waiting, WaitingOn};
use crate::model::Timestamp;
use crate::model::observed::{ContainerState, Health};
use crate::model::state::ServiceState;

/// A container as the Engine has it.
#[derive(Debug, Clone)]
pub(super) struct Body {
    pub(super) number: u32,
    pub(super) state: ContainerState,
    pub(super) health: Health,
    /// It was asked to end, or sent a signal that ends it.
    pub(super) killed: bool,
    /// It was the controller that asked.
    pub(super) by_us: bool,
    /// The Engine ended it by going away.
    pub(super) fell: bool,
}

/// What is known of one service.
pub(super) struct Known<'a> {
    /// How many containers it is to have; `None`: no manifest names it any more.
    pub(super) replicas: Option<u32>,
    pub(super) job: bool,
    /// It ran at some time.
    pub(super) ran: bool,
    pub(super) bodies: &'a [&'a Body],
    /// How it is by the latest decision about its project.
    pub(super) state: Option<&'a ServiceState>,
    /// What it waits for by that.
    pub(super) waiting: &'a [&'a Waiting],
    /// What its project as a whole waits for by that.
    pub(super) of_project: &'a [Waiting],
    /// Steps for it whose outcome is not known yet.
    pub(super) in_flight: &'a [&'a Step],
    pub(super) epoch: Timestamp,
}

/// How it looks, and why; `None`: it is not there, and nobody wants it.
pub(super) fn look(known: &Known<'_>) -> Option<(Look, String)> {
    let Some(replicas) = known.replicas else {
        let all = known.bodies.iter().map(|b| body(b, known)).max_by_key(|(look, _)| *look)?;
        let leaving = "no manifest names it any more".to_owned();
        return Some(if all.0.is_up() { (all.0, leaving) } else { (Look::Stopping, leaving) });
    };
    let mut worst: Option<(Look, String)> = None;
    let mut same = 0;
    for number in 1..=replicas {
        // While one replaces the other there are two: the better one counts.
        let one = known.bodies.iter().filter(|b| b.number == number && b.state != ContainerState::Created);
        let best = one.map(|b| (body(b, known), b.by_us)).min_by_key(|((look, _), _)| *look);
        let slot = match best {
            Some((seen, _)) if seen.0 != Look::Down => seen,
            // What is stopped to be replaced is not down: it is on its way up again.
            Some((_, true)) => absent(known, number, Some((Look::Starting, "its replacement comes next".to_owned()))),
            down => absent(known, number, down.map(|(seen, _)| seen)),
        };
        match &worst {
            Some((look, _)) if *look == slot.0 => same += 1,
            Some((look, _)) if *look > slot.0 => {}
            _ => {
                worst = Some(slot);
                same = 1;
            }
        }
    }
    let (look, why) = worst.unwrap_or((Look::NotStarted, "no containers of it are wanted".to_owned()));
    let part = if same < replicas && !look.is_up() { format!("{same} of {replicas}: ") } else { String::new() };
    Some((look, format!("{part}{why}")))
}

/// How a container that was started at least once looks.
fn body(body: &Body, known: &Known<'_>) -> (Look, String) {
    match body.state {
        ContainerState::Running { .. } if body.killed => {
            let step = known.in_flight.iter().find(|s| matches!(s.action, Action::StopContainer { .. }));
            (Look::Stopping, step.map_or_else(|| "it was asked to end from outside".to_owned(), |s| sentence(s, known)))
        }
        ContainerState::Running { .. } => match body.health {
            Health::None if known.job => (Look::Running, "the job runs".to_owned()),
            Health::None => (Look::Running, "it has no healthcheck".to_owned()),
            Health::Starting => (Look::Starting, "it runs, its check has not passed yet".to_owned()),
            Health::Healthy => (Look::Healthy, "its check passes".to_owned()),
            Health::Unhealthy => (Look::Unhealthy, "its check fails".to_owned()),
        },
        ContainerState::Paused => (Look::Paused, "it is frozen".to_owned()),
        ContainerState::Restarting => (Look::Down, "it ended, the Engine restarts it".to_owned()),
        ContainerState::Exited { code, oom, .. } => match () {
            () if known.job && code == 0 => (Look::Completed, "it ended with 0".to_owned()),
            () if body.fell => (Look::Down, "it ended with the Engine".to_owned()),
            () if oom => (Look::Down, "it ran out of memory".to_owned()),
            () if body.killed => (Look::Down, format!("it was stopped or killed, exit {code}")),
            () => (Look::Down, format!("it exited with {code}")),
        },
        ContainerState::Removing | ContainerState::Dead | ContainerState::Created => {
            (Look::Down, "it was removed".to_owned())
        }
    }
}

/// How a replica looks that has no process, `down` being what became of the one it had.
fn absent(known: &Known<'_>, number: u32, down: Option<(Look, String)>) -> (Look, String) {
    let of_it = |s: &&&Step| match &s.action {
        Action::CreateContainer { number: n, .. }
        | Action::ConnectNetwork { number: n, .. }
        | Action::StartContainer { number: n, .. }
        | Action::RemoveContainer { number: n, .. } => *n == number,
        Action::PullImage { .. } | Action::BuildImage { .. } => true,
        _ => false,
    };
    // A container that is made is on its way nowhere yet: it may have to wait first.
    let not_yet = |why: String| (if known.ran { Look::Down } else { Look::NotStarted }, why);
    if let Some(step) = known.in_flight.iter().find(of_it) {
        let starts = matches!(step.action, Action::StartContainer { .. });
        return if starts { (Look::Starting, sentence(step, known)) } else { not_yet(sentence(step, known)) };
    }
    // Replicas wait for the same.
    let waits: BTreeSet<String> = known.waiting.iter().map(|w| waiting(&w.on, known.epoch)).collect();
    let waits: Vec<String> = waits.into_iter().collect();
    match known.state {
        Some(ServiceState::Completed) => (Look::Completed, "it is done".to_owned()),
        Some(ServiceState::Stopped { reason }) => (Look::Stopped, reason.clone()),
        Some(ServiceState::Failed { error, .. }) if waits.is_empty() => (Look::Failed, error.clone()),
        Some(ServiceState::Failed { .. }) => (Look::Failed, waits.join("; ")),
        Some(ServiceState::Suspended) => (Look::Suspended, "it is suspended".to_owned()),
        Some(ServiceState::Waiting { on }) => {
            let why = if waits.is_empty() { format!("waits for {on}") } else { waits.join("; ") };
            let mut held = known.waiting.iter().copied().chain(known.of_project);
            match held.clone().any(|w| matches!(w.on, WaitingOn::Backoff { .. })) {
                true if known.ran => (Look::Down, why),
                // What is being made for it right now is no reason to speak of.
                _ if held.next().is_none() => down.unwrap_or_else(|| not_yet(why)),
                _ => (Look::Waiting, why),
            }
        }
        Some(ServiceState::Starting { .. }) => down.unwrap_or_else(|| not_yet("its turn comes next".to_owned())),
        _ => match down {
            Some(down) => down,
            None if known.ran => (Look::Down, "it was removed".to_owned()),
            None => (Look::NotStarted, "nothing of it is there yet".to_owned()),
        },
    }
}

fn sentence(step: &Step, known: &Known<'_>) -> String {
    format!("{}: {}", action(&step.action), cause(&step.cause, known.epoch))
}

/// What a step does, without the ids that say nothing to people.
pub(super) fn action(action: &Action) -> String {
    match action {
        Action::StartContainer { service, number, .. } => format!("start {service}/{number}"),
        Action::StopContainer { service, number, .. } => format!("stop {service}/{number}"),
        Action::RemoveContainer { service, number, .. } => format!("remove {service}/{number}"),
        other => other.to_string(),
    }
}

/// Why a step is taken. Hashes hold the paths of files, which may be others each time.
pub(super) fn cause(cause: &Cause, epoch: Timestamp) -> String {
    match cause {
        Cause::ConfigChanged { from: Some(_), .. } => "its configuration changed".to_owned(),
        Cause::Aged { since: Some(since) } => format!("it was fetched at {}, and grew old", at(*since, epoch)),
        other => other.to_string(),
    }
}

/// What is waited for, with times as they are counted here.
pub(super) fn waiting(on: &WaitingOn, epoch: Timestamp) -> String {
    match on {
        WaitingOn::Backoff { until, attempts, error } => {
            format!("{error}; the next attempt is at {} ({attempts} so far)", at(*until, epoch))
        }
        WaitingOn::Refresh { image, until, .. } => {
            format!("waits for a newer {image}, the next attempt is at {}", at(*until, epoch))
        }
        other => format!("waits for {other}"),
    }
}

fn at(then: Timestamp, epoch: Timestamp) -> String {
    let since = std::time::Duration::try_from(then.duration_since(epoch)).unwrap_or_default();
    format!("+{}", time(u64::try_from(since.as_millis()).unwrap_or(u64::MAX)))
}
