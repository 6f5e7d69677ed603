//! Why a service does not come up, as a kind that programs can tell apart, and what to do about it.

use schemars::JsonSchema;
use serde::Serialize;

use crate::decide::{Waiting, WaitingOn};
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

/// What the Engine says, in lower case, and what that means.
const WORDS: [(StartFailureKind, &[&str]); 4] = [
    (StartFailureKind::PortTaken, &["port is already allocated", "address already in use", "ports are not available"]),
    (
        StartFailureKind::ImageMissing,
        &[
            "no such image",
            "pull access denied",
            "manifest unknown",
            "repository does not exist",
            "not found: manifest",
        ],
    ),
    (
        StartFailureKind::InsufficientResources,
        &[
            "cannot allocate memory",
            "no space left on device",
            "range of cpus is from",
            "could not select device driver",
            "no subnet available",
            "address pools have been fully subnetted",
            "resource temporarily unavailable",
        ],
    ),
    (StartFailureKind::TimedOut, &["did not come up in time"]),
];

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
    let ServiceState::Failed { error, .. } = state else { return None };
    let text = error.to_lowercase();
    let known = WORDS.iter().find(|(_, words)| words.iter().any(|word| text.contains(word)));
    let kind = known.map_or(StartFailureKind::Other, |(kind, _)| *kind);
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

    fn kind(error: &str) -> StartFailureKind {
        let state = ServiceState::Failed { error: error.to_owned(), attempts: 1 };
        of(&state, &[], None).expect("a failure").kind
    }

    #[test]
    fn the_engines_words_have_kinds() {
        let bind =
            "driver failed programming external connectivity: Bind for 0.0.0.0:80 failed: port is already allocated";
        assert_eq!(kind(bind), StartFailureKind::PortTaken);
        assert_eq!(kind("No such image: shop:1"), StartFailureKind::ImageMissing);
        assert_eq!(kind("mkdir /var/lib/docker/x: no space left on device"), StartFailureKind::InsufficientResources);
        assert_eq!(kind("it did not come up in time (restart 2)"), StartFailureKind::TimedOut);
        assert_eq!(kind("it exited with 1 (restart 2)"), StartFailureKind::Other);
        assert_eq!(of(&ServiceState::Completed, &[], None), None);
    }
}
