//! What control publishes: the bus of records, and plain snapshots that the API, metrics and the command line read. Nobody
//! steers through them.

mod advice;
mod announce;
mod bus;
mod news;
mod publisher;
mod view;

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use advice::{StartFailure, StartFailureKind};
pub(super) use announce::{Announcement, changes, restarted, throttle};
pub use bus::{Bus, Follower, Heard, Observer, Unobserved};
pub(super) use news::{died, invalid, probed, revision_read};
pub(super) use publisher::{General, Publisher, micros};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
pub(super) use view::{Outlook, status_json, view};

use crate::decide::{BreakerState, Drift, Step, Waiting};
use crate::manifest::Diagnostic;
use crate::model::event::Event;
use crate::model::health::{HealthClass, Probed};
use crate::model::observed::Health;
use crate::model::state::{ProjectState, ServiceState};
use crate::model::{ProjectName, ServiceName, Timestamp};

/// Everything that the controller lets be read, as of one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// How the Engine is.
    pub engine: EngineStatus,
    /// The manifests directory that is watched.
    pub root: PathBuf,
    /// The git commit the directory is at.
    pub commit: Option<String>,
    /// The manifests were read at least once.
    pub manifests_read: bool,
    /// The projects, by name.
    pub projects: BTreeMap<ProjectName, Arc<ProjectView>>,
    /// Manifests that do not load and whose project is not known.
    pub nameless: Vec<Diagnostic>,
    /// Why nothing is removed at present.
    pub guard: Option<String>,
    /// What is wrong with the controller itself.
    pub issues: Vec<String>,
    /// The latest events, the oldest first.
    pub events: VecDeque<Arc<Event>>,
    /// The last full resync.
    pub resynced: Option<Timestamp>,
}

/// The document that says how everything is: `evenkeel status --format json`, `GET /api/projects`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Status<'a> {
    /// How the Engine is.
    pub engine: &'a EngineStatus,
    /// The manifests directory; only where a controller runs.
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub root: Option<&'a Path>,
    /// The git commit the directory is at; only where a controller runs.
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub commit: Option<&'a str>,
    /// Why nothing is removed at present.
    pub guard: Option<&'a str>,
    /// What is wrong with the controller itself; not in the API's answer.
    #[schemars(skip_serializing_if = "<[_]>::is_empty")]
    pub issues: &'a [String],
    /// The projects, in the order of their names.
    pub projects: Vec<&'a ProjectView>,
}

/// What differs in a project, each with where it is: `GET /api/drift`, `evenkeel drift --format json`.
pub fn drift_json(project: &ProjectName, drift: &[Drift]) -> Vec<Value> {
    let one = |drift: &Drift| {
        let mut value = serde_json::to_value(drift).unwrap_or_default();
        value["project"] = project.as_str().into();
        if let Some(service) = &drift.service {
            value["service_id"] = format!("{project}.{service}").into();
        }
        value
    };
    drift.iter().map(one).collect()
}

/// How the Engine is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct EngineStatus {
    /// It answers, and what it said is fresh.
    pub up: bool,
    /// The address that the Engine is asked at.
    pub address: String,
    /// The Engine's version; `None`: it never answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Why it is not up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// How a project is.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ProjectView {
    /// The project's name.
    pub name: ProjectName,
    /// The state that the last decision found.
    pub state: ProjectState,
    /// Whether the manifest on the disk loads.
    pub manifest_valid: bool,
    /// The manifest; absent: it is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manifest: Option<PathBuf>,
    /// The revision in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// The last revision that was healthy for its monitor time: a rollout that fails goes back to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthy: Option<String>,
    /// The manifest's revision, where that failed: another one is in force, or the rollout came to a stop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<FailedView>,
    /// The git commit of the directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// When everything was last as it should be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_converged: Option<Timestamp>,
    /// Steps that are being taken.
    pub in_flight: Vec<String>,
    /// Steps that may be taken now.
    pub steps: Vec<Step>,
    /// What waits, and for what.
    pub waiting: Vec<Waiting>,
    /// Where what runs differs from what the manifest says.
    pub drift: Vec<Drift>,
    /// Steps that failed and will be tried again: subject and the Engine's words.
    pub failures: BTreeMap<String, String>,
    /// What is wrong with the manifest.
    pub diagnostics: Vec<Diagnostic>,
    /// The services, by name.
    pub services: BTreeMap<ServiceName, ServiceView>,
}

/// A revision that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FailedView {
    /// The hash of the revision.
    pub revision: String,
    /// The service that did not come up.
    pub service: ServiceName,
    /// Why the service did not come up.
    pub reason: String,
    /// When the revision was given up.
    pub at: Timestamp,
    /// The last healthy revision is in force; else the rollout came to a stop where it was.
    pub rolled_back: bool,
    /// All of it in words.
    pub summary: String,
}

/// How a service is.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ServiceView {
    /// `PROJECT.SERVICE`.
    pub id: String,
    /// The state that the last decision found.
    #[serde(flatten)]
    pub state: ServiceState,
    /// The state in words.
    pub summary: String,
    /// The image it is to run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// `x-evenkeel.type`.
    #[serde(skip_serializing_if = "Option::is_none", rename = "type")]
    pub kind: Option<String>,
    /// `x-evenkeel.critical`.
    pub critical: bool,
    /// It is to end, with 0.
    pub job: bool,
    /// The controller's restarts since the last calm time.
    pub restarts: u32,
    /// What it waits for.
    pub depends_on: Vec<ServiceName>,
    /// How well it is.
    pub class: HealthClass,
    /// Why it is not healthy.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
    /// Why it does not come up, where that is more than a matter of time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_failure: Option<StartFailure>,
    /// How the worst of its breakers stands.
    pub breaker: BreakerState,
    /// What its probe asks: `http`, `tcp`, `grpc` or `exec`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probe: Option<&'static str>,
    /// The containers of its replicas.
    pub containers: Vec<ContainerView>,
}

/// How a container is.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ContainerView {
    /// The Engine's id.
    pub id: String,
    /// The container's name, without the leading slash.
    pub name: String,
    /// The replica's number.
    pub number: u32,
    /// The Engine's word.
    pub state: &'static str,
    /// What its check and its probe say.
    pub health: Health,
    /// What its probe found, as of the last change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probed: Option<Probed>,
    /// CPUs that it may use, while that is less than its manifest says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub throttled_to: Option<f64>,
    /// The Engine's words when its last start failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}
