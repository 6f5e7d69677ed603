//! What a rehearsal tells: the document of `evenkeel rehearse --format json`. All times are milliseconds of virtual time
//! since the beginning.

use schemars::JsonSchema;
use serde::Serialize;

use crate::model::event::{EventType, Severity};

/// A rehearsal. The same arguments and manifests give the same one.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Rehearsal {
    /// What was drawn was drawn from this.
    pub seed: u64,
    /// How long it was.
    pub length_ms: u64,
    /// At its end everything is as the manifests say, or legitimately stopped.
    pub converged: bool,
    /// What is not, and why.
    pub unfinished: Vec<String>,
    /// When everything was as the manifests say for the first time.
    pub first_converged_ms: Option<u64>,
    /// Calls to the Engine.
    pub calls: Calls,
    /// Containers that were started again.
    pub restarts: Restarts,
    /// Images that the services use. That they can be had was taken for granted.
    pub images: Vec<String>,
    /// External networks and volumes, which were there from the beginning.
    pub made_beforehand: Vec<String>,
    /// Faults and changes of manifests, in the order of time.
    pub markers: Vec<Marker>,
    /// The times when not everything was as the manifests say.
    pub unsettled: Vec<Stretch>,
    /// The times when the Engine was away.
    pub engine_away: Vec<Stretch>,
    /// The times when no controller ran.
    pub controller_away: Vec<Stretch>,
    /// The projects, those first that others wait for.
    pub projects: Vec<ProjectRow>,
    /// What the controller did, in the order of time.
    pub steps: Vec<StepRow>,
    /// The events that the controller told, in the order of time.
    pub events: Vec<EventRow>,
}

/// Calls to the Engine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Calls {
    /// Such that change something.
    pub changes: u64,
    /// Such that only look.
    pub looks: u64,
}

/// Containers that were started again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Restarts {
    /// Those that the controller made.
    pub controller: u64,
    /// By the Engine, as their restart policy says.
    pub engine: u64,
}

/// A fault, or manifests that change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Marker {
    /// When it began, in milliseconds from the beginning.
    pub at_ms: u64,
    /// Until when, where it lasts.
    pub until_ms: Option<u64>,
    /// The fault's name, or `manifest`.
    pub kind: &'static str,
    /// What happens, in words.
    pub text: String,
    /// It could not do anything: there was nothing that it could befall.
    pub missed: bool,
    /// Something was not as the manifests say because of it.
    pub disturbed: bool,
    /// When everything was as the manifests say again; `null`: not before the end.
    pub converged_again_ms: Option<u64>,
}

/// From a time until another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Stretch {
    /// When it begins, in milliseconds from the beginning.
    pub from_ms: u64,
    /// When it ends, in milliseconds from the beginning.
    pub until_ms: u64,
}

/// A project.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct ProjectRow {
    /// The project's name.
    pub name: String,
    /// Its services, dependencies first.
    pub services: Vec<ServiceRow>,
}

/// A service.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct ServiceRow {
    /// `PROJECT.SERVICE`.
    pub id: String,
    /// The service's name within the project.
    pub name: String,
    /// How many containers it has.
    pub replicas: u32,
    /// It is to end, with 0.
    pub job: bool,
    /// When it was up for the first time, and healthy where it has a check; a job: when it was done.
    pub up_ms: Option<u64>,
    /// How often a container of it was started again.
    pub restarts: u64,
    /// How it was, without gaps from when it was declared.
    pub spans: Vec<Span>,
}

/// A stretch of time in which a service looked the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Span {
    /// When it begins, in milliseconds from the beginning.
    pub from_ms: u64,
    /// When it ends, in milliseconds from the beginning.
    pub until_ms: u64,
    /// How the service looked meanwhile.
    pub look: Look,
    /// Why, and from when on.
    pub because: Vec<Because>,
}

/// A reason, from a time on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Because {
    /// When it became the reason, in milliseconds from the beginning.
    pub at_ms: u64,
    /// The reason in words.
    pub text: String,
}

/// How a service looks: what its containers do, and what the controller makes of that. The worst of its replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Look {
    /// A job that is done.
    Completed,
    /// It runs, and its check passes.
    Healthy,
    /// It runs, and has no check.
    Running,
    /// Nothing of it is there.
    NotStarted,
    /// Left alone, as somebody asked.
    Suspended,
    /// On its way up.
    Starting,
    /// It may not start yet.
    Waiting,
    /// Down, and to be left so.
    Stopped,
    /// On its way down.
    Stopping,
    /// Its processes are frozen.
    Paused,
    /// It runs, and its check fails.
    Unhealthy,
    /// It ran, and does not.
    Down,
    /// A step for it failed, and will be tried again.
    Failed,
}

impl Look {
    /// All of them, in the order of a service's life.
    pub const ALL: [Self; 13] = [
        Self::NotStarted,
        Self::Waiting,
        Self::Starting,
        Self::Healthy,
        Self::Running,
        Self::Completed,
        Self::Unhealthy,
        Self::Paused,
        Self::Stopping,
        Self::Down,
        Self::Failed,
        Self::Stopped,
        Self::Suspended,
    ];

    /// The word for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Healthy => "healthy",
            Self::Running => "running",
            Self::NotStarted => "not started",
            Self::Suspended => "suspended",
            Self::Starting => "starting",
            Self::Waiting => "waiting",
            Self::Stopped => "stopped",
            Self::Stopping => "stopping",
            Self::Paused => "paused",
            Self::Unhealthy => "unhealthy",
            Self::Down => "down",
            Self::Failed => "failed",
        }
    }

    /// Whether it is as wanted.
    pub fn is_up(self) -> bool {
        matches!(self, Self::Completed | Self::Healthy | Self::Running)
    }

    /// Whether there is nothing left to do about it.
    pub fn is_settled(self) -> bool {
        self.is_up() || matches!(self, Self::NotStarted | Self::Suspended | Self::Stopped)
    }
}

/// A step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct StepRow {
    /// When it was begun.
    pub at_ms: u64,
    /// How long it took; `null`: its end was not seen.
    pub took_ms: Option<u64>,
    /// The name of the project.
    pub project: String,
    /// `PROJECT.SERVICE`, where it is for one.
    pub service: Option<String>,
    /// A bounded word: `create_container`, …
    pub kind: &'static str,
    /// What was done, in words.
    pub text: String,
    /// Why it was done, in words.
    pub because: String,
    /// The Engine's words where it failed.
    pub error: Option<String>,
}

/// An event that the controller told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct EventRow {
    /// When it was told, in milliseconds from the beginning.
    pub at_ms: u64,
    /// The kind of event.
    pub event_type: EventType,
    /// How urgently somebody should read it.
    pub severity: Severity,
    /// The service as `PROJECT.SERVICE`, or the project.
    pub about: Option<String>,
    /// What happened, in a sentence for people.
    pub message: String,
}
