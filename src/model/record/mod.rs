//! Records: what happened, owned and typed. Control publishes them on one bus; events, metrics, the console and whatever
//! remembers are made from them. Nothing that programs need stands in the words alone.

mod words;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::event::{Event, EventType, Severity};
use super::ledger::Subject;
use super::state::ProjectState;
use super::{ContainerId, ProjectName, ServiceName, Timestamp};

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Rises with every record, across restarts of the controller, too: see [`RecordId`].
    pub id: RecordId,
    /// When it happened, by the controller's clock.
    pub at: Timestamp,
    /// How bad it is.
    pub severity: Severity,
    /// The project that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<ProjectName>,
    /// The service of that project that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceName>,
    /// The id of the request that brought it about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// What happened.
    #[serde(flatten)]
    pub data: RecordData,
}

/// The start of the controller that made a record, and how many it had made by then. As one number they rise for ever:
/// the upper bits count starts (which the ledger remembers), the lower 32 count records. It stays below 2^53, so that
/// JavaScript can hold it, for two million starts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RecordId(u64);

impl RecordId {
    /// The first id of a start of the controller.
    pub fn first(epoch: u64) -> Self {
        Self(epoch << 32)
    }

    /// The id after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The id as a number.
    pub fn get(self) -> u64 {
        self.0
    }
}

/// What happened. The variants down to [`Self::Alert`] are events, for people; the others are for counting.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "data")]
pub enum RecordData {
    /// A service, or one of its containers, came up or is well again.
    ServiceUp {
        /// The container's name, where it is about one.
        container: Option<String>,
        /// Its state or health in words.
        state: String,
        /// What its probe has to say.
        reasons: Vec<String>,
    },
    /// A service, or one of its containers, went down or is not well.
    ServiceDown {
        /// The container's name, where it is about one.
        container: Option<String>,
        /// In which way.
        how: Down,
    },
    /// The controller starts a service again.
    ServiceRestarted {
        /// What is started again for it.
        how: Restart,
        /// Why, in words.
        cause: String,
        /// `x-evenkeel.type` of the service.
        service_type: Option<String>,
        /// `x-evenkeel.critical` of the service.
        critical: bool,
    },
    /// A probe took longer than `alert_latency`.
    HighLatency {
        /// The container's name.
        container: String,
        /// How long the answer took, in milliseconds.
        latency_ms: u64,
    },
    /// A revision was read and is in force.
    RevisionLoaded {
        /// The revision's hash.
        revision: String,
        /// The manifest.
        path: String,
    },
    /// A manifest was read whose revision failed before: the last healthy one stays in force.
    RevisionNotRetried {
        /// The revision's hash.
        revision: String,
        /// The manifest.
        path: String,
    },
    /// A manifest does not load.
    ManifestInvalid {
        /// Its errors, each with its place.
        errors: Vec<String>,
    },
    /// Everything of a project is as its manifest says.
    Converged {
        /// How long it was not, in milliseconds.
        took_ms: u64,
    },
    /// A step failed.
    StepFailed {
        /// The step in words.
        action: String,
        /// How often in a row.
        attempts: u32,
        /// The Engine's words.
        error: String,
    },
    /// A new revision begins to take the place of one that was healthy.
    RolloutStarted {
        /// The revision that was healthy.
        from: String,
        /// The new revision.
        to: String,
    },
    /// A revision was as its manifest says for its monitor time.
    RolloutCompleted {
        /// The revision's hash.
        revision: String,
    },
    /// A revision did not come up.
    RolloutFailed {
        /// The revision's hash.
        revision: String,
        /// Why its service did not come up.
        reason: String,
        /// The last healthy revision is in force again; else the rollout stopped where it was.
        rolled_back: bool,
    },
    /// A container was stopped or killed by somebody else.
    ForeignAction {
        /// The container's name.
        container: String,
        /// The exit code.
        code: i64,
    },
    /// A field is not as the manifest says, and the manifest did not change.
    DriftDetected {
        /// The replica's number, where it is a container's field.
        number: Option<u32>,
        /// The field.
        path: String,
        /// The value that was found; what may be a secret is masked.
        observed: Option<String>,
        /// The value that the manifest asks for.
        desired: Option<String>,
    },
    /// A field that differed is as the manifest says.
    DriftRepaired {
        /// The replica's number, where it is a container's field.
        number: Option<u32>,
        /// The field.
        path: String,
    },
    /// Something was tried too often, and is not tried again for a while.
    BreakerOpened {
        /// The replica's number; none where a repair is what was tried too often.
        number: Option<u32>,
        /// Why, in words.
        reason: String,
    },
    /// The breaker of a replica closed.
    BreakerClosed {
        /// The replica's number.
        number: u32,
    },
    /// A service may use less of the CPUs for a while.
    Throttled {
        /// Why, in words.
        cause: String,
    },
    /// A service may use all of its CPUs again.
    Released {
        /// Why, in words.
        cause: String,
    },
    /// The Engine answers.
    EngineUp {
        /// Its version.
        version: String,
    },
    /// The Engine does not answer.
    EngineDown {
        /// Why, in words.
        reason: String,
    },
    /// Too much would be removed at once, or the manifests directory cannot be trusted.
    GuardTripped {
        /// Why, in words.
        reason: String,
    },
    /// Anything else that an operator should know.
    Alert {
        /// What it is about: `ledger`, `host`, `usage`, `waiting`, `operation`, `removed`, `watcher`, `consumer`, `lint`.
        about: String,
        /// What is to be known.
        message: String,
    },
    /// How every project was when the controller had looked at everything for the first time since its start.
    Baseline {
        /// The states by project.
        projects: Vec<(ProjectName, ProjectState)>,
        /// Steps that were under way when the controller ended, and whose outcome is not known.
        unanswered: Vec<String>,
    },
    /// A step began.
    StepStarted {
        /// The step.
        step: StepRecord,
    },
    /// A step ended.
    StepEnded {
        /// The step.
        step: StepRecord,
        /// How long it took, in microseconds.
        took_us: u64,
        /// The Engine's words where it failed.
        error: Option<String>,
    },
    /// A project was decided about.
    Decided {
        /// How long that took, in microseconds.
        took_us: u64,
        /// There was something to do.
        changes: bool,
    },
    /// A probe was made.
    Probed {
        /// How long the answer took, in microseconds; none: it failed.
        latency_us: Option<u64>,
    },
    /// The Engine told an event.
    EngineEvent,
    /// Everything was listed, to find what events did not tell.
    Resync,
    /// A decision broke an invariant: the steps concerned were not taken.
    InvariantViolated {
        /// The invariant and the step, in words.
        violation: String,
    },
}

/// The way in which something went down.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "way", rename_all = "snake_case")]
pub enum Down {
    /// It stopped, and is not started again.
    LeftStopped {
        /// Why not.
        reason: String,
    },
    /// Its process ended.
    Exited {
        /// The exit code.
        code: i64,
    },
    /// Its probe says so.
    Unwell {
        /// Its health class.
        class: String,
        /// What the probe found.
        reasons: Vec<String>,
    },
    /// What it can do without was given up.
    Degraded,
}

/// What is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Restart {
    /// The container.
    Container,
    /// A new container with emptied volumes.
    Reset,
    /// All of the project.
    Project,
}

/// A step, as far as others have to know of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepRecord {
    /// The kind of action, such as `start_container`.
    pub action: String,
    /// What the step works on.
    pub subject: Subject,
    /// The container that it is about.
    pub container: Option<ContainerId>,
    /// The action in words.
    pub summary: String,
    /// What was done to what, in words, once it is done.
    pub done: String,
    /// Why it is taken, in words.
    pub cause: String,
    /// There is nothing special about that: it was missing, or its turn came.
    pub is_routine: bool,
    /// It is a restart by the controller: its ordinal since the last calm time.
    pub attempt: Option<u32>,
}

impl Record {
    /// The event that people are told of it; none: it is for counting.
    pub fn event(&self) -> Option<Event> {
        Some(Event {
            id: self.id.get(),
            timestamp: self.at,
            event_type: self.data.event_type()?,
            severity: self.severity,
            project: self.project.as_ref().map(ToString::to_string),
            service_id: self.service_id(),
            message: self.message(),
            data: self.values(),
        })
    }

    /// `PROJECT.SERVICE`, where it is about a service.
    pub fn service_id(&self) -> Option<String> {
        Some(format!("{}.{}", self.project.as_ref()?, self.service.as_ref()?))
    }

    /// The data without their kind.
    fn values(&self) -> Option<Value> {
        serde_json::to_value(&self.data).ok()?.get_mut("data").map(Value::take)
    }
}

impl RecordData {
    /// The type of the event that people are told; none: it is for counting.
    pub fn event_type(&self) -> Option<EventType> {
        Some(match self {
            Self::ServiceUp { .. } => EventType::ServiceUp,
            Self::ServiceDown { .. } => EventType::ServiceDown,
            Self::ServiceRestarted { .. } => EventType::ServiceRestarted,
            Self::HighLatency { .. } => EventType::HighLatency,
            Self::RevisionLoaded { .. } => EventType::RevisionLoaded,
            Self::ManifestInvalid { .. } => EventType::ManifestInvalid,
            Self::Converged { .. } => EventType::Converged,
            Self::StepFailed { .. } | Self::RolloutFailed { rolled_back: false, .. } => EventType::StepFailed,
            Self::RolloutStarted { .. } => EventType::RolloutStarted,
            Self::RolloutCompleted { .. } => EventType::RolloutCompleted,
            Self::RevisionNotRetried { .. } | Self::RolloutFailed { rolled_back: true, .. } => EventType::RolledBack,
            Self::ForeignAction { .. } => EventType::ForeignAction,
            Self::DriftDetected { .. } => EventType::DriftDetected,
            Self::DriftRepaired { .. } => EventType::DriftRepaired,
            Self::BreakerOpened { .. } => EventType::BreakerOpened,
            Self::BreakerClosed { .. } => EventType::BreakerClosed,
            Self::Throttled { .. } => EventType::Throttled,
            Self::Released { .. } => EventType::Released,
            Self::EngineUp { .. } => EventType::EngineUp,
            Self::EngineDown { .. } => EventType::EngineDown,
            Self::GuardTripped { .. } => EventType::GuardTripped,
            Self::Alert { .. } | Self::InvariantViolated { .. } => EventType::SystemAlert,
            Self::Baseline { .. }
            | Self::StepStarted { .. }
            | Self::StepEnded { .. }
            | Self::Decided { .. }
            | Self::Probed { .. }
            | Self::EngineEvent
            | Self::Resync => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_a_later_start_are_higher_and_fit_into_a_double() {
        let mut before = RecordId::first(1);
        for _ in 0..1_000 {
            before = before.next();
        }
        assert!(before < RecordId::first(2));
        assert!(RecordId::first(2_000_000).get() < 1 << 53);
    }

    #[test]
    fn a_record_is_read_back_from_its_text() {
        let record = Record {
            id: RecordId::first(3).next(),
            at: Timestamp::UNIX_EPOCH,
            severity: Severity::Warning,
            project: Some(ProjectName::trusted("shop")),
            service: Some(ServiceName::trusted("web")),
            request: Some("r1".into()),
            data: RecordData::ServiceDown { container: Some("shop-web-1".into()), how: Down::Exited { code: 1 } },
        };
        let text = serde_json::to_string(&record).unwrap();
        assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), record, "{text}");
        let event = record.event().unwrap();
        assert_eq!(event.message, "shop-web-1 exited with 1");
        assert_eq!(event.service_id.as_deref(), Some("shop.web"));
        assert_eq!(event.data.unwrap()["how"]["code"], 1);
        let counted = Record { data: RecordData::Resync, ..record };
        assert_eq!(counted.event(), None);
        assert_eq!(serde_json::from_str::<Record>(&serde_json::to_string(&counted).unwrap()).unwrap(), counted);
    }
}
