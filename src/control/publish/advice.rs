//! Why a service does not come up, as a kind that programs can tell apart, and what to do about it.

use schemars::JsonSchema;
use serde::Serialize;

use crate::decide::{Waiting, WaitingOn};
use crate::model::setback::{Missing, Refusal, Setback};
use crate::model::state::ServiceState;

/// A service that does not come up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct StartFailure {
    /// What kind of failure.
    pub kind: StartFailureKind,
    /// What to do.
    pub advice: String,
}

/// A kind of failure at the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StartFailureKind {
    /// What it depends on is not there, or does not come up.
    DependencyMissing,
    /// Its image is not there and cannot be had.
    ImageMissing,
    /// Somebody has a port that it publishes.
    PortTaken,
    /// The host has not got what it needs.
    InsufficientResources,
    /// It did not come up in time.
    TimedOut,
    /// Something else.
    Other,
}

impl StartFailureKind {
    fn of(setback: Setback) -> Self {
        match setback {
            Setback::Refused(Refusal::PortTaken) => Self::PortTaken,
            Setback::Refused(Refusal::NotFound(Missing::Image) | Refusal::PullDenied) => Self::ImageMissing,
            Setback::Refused(Refusal::OutOf(_)) => Self::InsufficientResources,
            Setback::TimedOut => Self::TimedOut,
            Setback::Refused(_) | Setback::Unanswered | Setback::Other => Self::Other,
        }
    }
}

/// What to do about something outside that a project waits for.
pub(super) fn external(waiting: &[Waiting]) -> Option<String> {
    waiting.iter().find_map(|w| match &w.on {
        WaitingOn::External { what } => Some(format!("make the external {what}, or take it out of the manifest")),
        _ => None,
    })
}

/// Why a service does not come up; `None`: it does, or it is only a matter of time. `own`: what it waits for itself;
/// `external`: what to do about things outside that its project waits for.
pub(super) fn of(state: &ServiceState, own: &[&Waiting], external: Option<&str>) -> Option<StartFailure> {
    let own = || own.iter();
    let port = own().find_map(|w| match &w.on {
        WaitingOn::Port { port, holder } => {
            Some(format!("stop the container {holder}, or publish another port than {port}"))
        }
        _ => None,
    });
    if let Some(advice) = port {
        return Some(StartFailure { kind: StartFailureKind::PortTaken, advice });
    }
    let resources = own().find_map(|w| match &w.on {
        WaitingOn::Resources { reserved, free } => {
            Some(format!("stop something else, or reserve less than {reserved}: the host has {free}"))
        }
        _ => None,
    });
    if let Some(advice) = resources {
        return Some(StartFailure { kind: StartFailureKind::InsufficientResources, advice });
    }
    if matches!(state, ServiceState::Waiting { .. } | ServiceState::NotStarted) {
        let dependency = own().find_map(|w| match &w.on {
            WaitingOn::Dependency { dependency, because, .. } => Some(format!("look at {dependency}: {because}")),
            _ => None,
        });
        let advice = dependency.or(external.map(str::to_owned))?;
        return Some(StartFailure { kind: StartFailureKind::DependencyMissing, advice });
    }
    let ServiceState::Failed { kind, .. } = state else { return None };
    let kind = StartFailureKind::of(*kind);
    let advice = match kind {
        StartFailureKind::PortTaken => "free the port of the host, or publish another one",
        StartFailureKind::ImageMissing => {
            "look at the name and tag of the image, log in to its registry with `docker login`, or build it"
        }
        StartFailureKind::InsufficientResources => "free memory, disk or addresses on the host, or ask for less",
        StartFailureKind::TimedOut => "look at its logs and its check, or give it a longer `start_period`",
        StartFailureKind::DependencyMissing | StartFailureKind::Other => "look at its logs with `docker logs`",
    };
    Some(StartFailure { kind, advice: advice.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::setback::Resource;

    #[test]
    fn what_stood_in_the_way_has_a_kind() {
        let kind = |kind| {
            let state = ServiceState::Failed { error: "no".to_owned(), attempts: 1, kind };
            of(&state, &[], None).expect("a failure").kind
        };
        let refused = |refusal| kind(Setback::Refused(refusal));
        assert_eq!(refused(Refusal::PortTaken), StartFailureKind::PortTaken);
        assert_eq!(refused(Refusal::NotFound(Missing::Image)), StartFailureKind::ImageMissing);
        assert_eq!(refused(Refusal::NotFound(Missing::Network)), StartFailureKind::Other);
        assert_eq!(refused(Refusal::OutOf(Resource::Disk)), StartFailureKind::InsufficientResources);
        assert_eq!(kind(Setback::TimedOut), StartFailureKind::TimedOut);
        assert_eq!(kind(Setback::Other), StartFailureKind::Other);
        assert_eq!(of(&ServiceState::Completed, &[], None), None);
    }
}
