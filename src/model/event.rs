//! Events: what happened, for people and programs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Timestamp;

/// Something that happened, as the API, the dashboard and `evenkeel events` show it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// One more than the event's before it.
    pub id: u64,
    /// When it happened, by the controller's clock.
    pub timestamp: Timestamp,
    /// The kind of event, for programs.
    pub event_type: EventType,
    /// How urgently somebody should read it.
    pub severity: Severity,
    /// The project that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// Which service, as `PROJECT.SERVICE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_id: Option<String>,
    /// What happened, in a sentence for people.
    pub message: String,
}

/// What kind of event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum EventType {
    /// A service came up.
    ServiceUp,
    /// A service went down.
    ServiceDown,
    /// The controller started a service again.
    ServiceRestarted,
    /// A service answers more slowly than it may.
    HighLatency,
    /// A revision was read.
    RevisionLoaded,
    /// A manifest does not load.
    ManifestInvalid,
    /// A project is as its manifest says.
    Converged,
    /// A step failed.
    StepFailed,
    /// A new revision begins to take the place of one that was healthy.
    RolloutStarted,
    /// It did, and was healthy for its monitor time.
    RolloutCompleted,
    /// It failed, and the last healthy revision is in force again.
    RolledBack,
    /// Something was changed from outside.
    ForeignAction,
    /// A field of what runs is not what the manifest says, and nobody changed the manifest.
    DriftDetected,
    /// A field that had drifted is as the manifest says again.
    DriftRepaired,
    /// Something was tried over and over, and rests for a while.
    BreakerOpened,
    /// It is well again.
    BreakerClosed,
    /// A service that uses too much has less for a while.
    Throttled,
    /// It has all of it again.
    Released,
    /// The Engine answers.
    EngineUp,
    /// The Engine does not answer.
    EngineDown,
    /// Too much would be removed at once.
    GuardTripped,
    /// Anything else about the controller itself.
    SystemAlert,
}

/// How bad an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Nothing to be done: for the record.
    Info,
    /// Look when there is time.
    Warning,
    /// Something to be looked at now.
    Error,
}
