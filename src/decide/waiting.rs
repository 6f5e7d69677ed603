//! Why a step is not taken yet.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::decide::cause::{FieldChange, write_changes};
use crate::model::service::Condition;
use crate::model::{ProjectName, ServiceName, Timestamp};

/// Something that is desired but may not be done yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Waiting {
    /// The service, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceName>,
    /// What it waits for, with whatever is known of that.
    #[serde(flatten)]
    pub on: WaitingOn,
}

/// What is waited for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "on", rename_all = "snake_case")]
pub enum WaitingOn {
    /// A service it depends on.
    Dependency {
        /// The service that is waited for.
        dependency: ServiceName,
        /// What that service has to reach: started, healthy or completed.
        condition: Condition,
        /// How the dependency is.
        because: String,
    },
    /// A project that this one depends on.
    Project {
        /// The project that is waited for.
        project: ProjectName,
        /// What keeps that project from being converged, for people.
        because: String,
    },
    /// The time of the next attempt.
    Backoff {
        /// When the next attempt is made.
        until: Timestamp,
        /// Attempts so far, from 1.
        attempts: u32,
        /// What went wrong last.
        error: String,
    },
    /// The time of the next attempt to fetch an image anew; the one that is there serves on.
    Refresh {
        /// The image's reference.
        image: String,
        /// When the next attempt is made.
        until: Timestamp,
        /// Attempts so far, from 1.
        attempts: u32,
        /// What went wrong last.
        error: String,
    },
    /// The end of a cool-down: it was started again too often.
    Breaker {
        /// When the cool-down ends and one more try is made.
        until: Timestamp,
        /// What went wrong last.
        error: String,
    },
    /// A service it depends on, which is not well: it is not started again before that is.
    Recovery {
        /// The dependency that is not healthy.
        dependency: ServiceName,
    },
    /// Its turn among the recoveries.
    Queue {
        /// Its service is critical.
        critical: bool,
    },
    /// Its first passing health check.
    Health,
    /// Its turn in a rollout.
    Turn {
        /// What has to come first.
        after: Before,
        /// The time, where it is one.
        #[serde(skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    },
    /// A port of the host, before anything is stopped for the change that wants it.
    Port {
        /// `PORT/PROTOCOL`.
        port: String,
        /// The container that has it.
        holder: String,
    },
    /// A change of the manifest: the rollout came to a stop at a failure.
    Paused {
        /// The service that failed, and how.
        reason: String,
    },
    /// The Engine, which restarts it by itself.
    EngineRestart,
    /// Somebody who must make what the manifest calls external.
    External {
        /// `network NAME` or `volume NAME`.
        what: String,
    },
    /// Somebody to settle what becomes of a network or volume that was made otherwise than the manifest says, and that is
    /// not evenkeel's to make anew.
    Blocked {
        /// `volume NAME` or `network NAME`.
        what: String,
        /// How it differs from what the manifest says.
        fields: Vec<FieldChange>,
    },
    /// What `deploy.resources.reservations` keeps for it: the host has less than that free.
    Resources {
        /// What the service reserves, in words.
        reserved: String,
        /// What the host has.
        free: String,
    },
    /// An operator's `resume`, or the manifest's.
    Suspended,
    /// An operator's `confirm`.
    Guard,
    /// A second reading, a moment later, that finds it still gone from the manifest.
    #[serde(rename = "second_look")]
    Confirmation,
    /// A call whose answer never came: it may take effect yet.
    Unanswered {
        /// From then on the call can take effect no more.
        until: Timestamp,
    },
    /// Somebody to settle what a field is to be: it was repaired over and over, and did not stay so.
    #[serde(rename = "duel")]
    RepairConflict {
        /// The path of the field that is repaired over and over.
        path: String,
        /// Until the next repair.
        until: Timestamp,
    },
    /// Somebody to repair a field: the manifest says that the controller only reports.
    Reported {
        /// The path of the field that differs.
        path: String,
    },
    /// `--take-over`: another evenkeel made this.
    OtherInstance {
        /// The id of the evenkeel instance that made the containers.
        instance: String,
    },
}

/// What comes before a container is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Before {
    /// Other replicas of the service, `deploy.update_config.parallelism` at a time.
    Replicas,
    /// `deploy.update_config.delay`.
    Delay,
    /// Everything that the change needs: images and the other new containers, none of which is started yet.
    Preflight,
}

impl WaitingOn {
    /// A bounded word for metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Dependency { .. } => "dependency",
            Self::Project { .. } => "project",
            Self::Backoff { .. } => "backoff",
            Self::Refresh { .. } => "refresh",
            Self::Breaker { .. } => "breaker",
            Self::Recovery { .. } => "recovery",
            Self::Queue { .. } => "queue",
            Self::Health => "health",
            Self::Turn { .. } => "turn",
            Self::Port { .. } => "port",
            Self::Paused { .. } => "paused",
            Self::EngineRestart => "engine_restart",
            Self::External { .. } => "external",
            Self::Blocked { .. } => "blocked",
            Self::Resources { .. } => "resources",
            Self::Suspended => "suspended",
            Self::Guard => "guard",
            Self::Confirmation => "second_look",
            Self::Unanswered { .. } => "unanswered",
            Self::RepairConflict { .. } => "duel",
            Self::Reported { .. } => "reported",
            Self::OtherInstance { .. } => "other_instance",
        }
    }
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(service) = &self.service {
            write!(f, "{service} waits for ")?;
        } else {
            f.write_str("waits for ")?;
        }
        self.on.fmt(f)
    }
}

impl fmt::Display for WaitingOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dependency { dependency, condition, because } => {
                write!(f, "{dependency} ({}): {because}", condition.as_str())
            }
            Self::Project { project, because } => write!(f, "project {project}: {because}"),
            Self::Backoff { until, attempts, error } => {
                write!(f, "the next attempt at {until:.0} ({attempts} so far): {error}")
            }
            Self::Refresh { image, until, attempts, error } => {
                write!(f, "a newer {image}, the next attempt at {until:.0} ({attempts} so far): {error}")
            }
            Self::Breaker { until, error } => {
                write!(f, "one more try at {until:.0}, as it was started again too often: {error}")
            }
            Self::Recovery { dependency } => write!(f, "{dependency} to be well again"),
            Self::Queue { .. } => f.write_str("its turn: other services are being recovered"),
            Self::Health => f.write_str("its health check"),
            Self::Turn { after: Before::Replicas, .. } => f.write_str("its turn: other replicas are being replaced"),
            Self::Turn { after: Before::Delay, until } => {
                f.write_str("the delay between two replicas to pass")?;
                until.iter().try_for_each(|until| write!(f, ", until {until:.0}"))
            }
            Self::Turn { after: Before::Preflight, .. } => {
                f.write_str("all images and new containers of the change to be there before anything is stopped")
            }
            Self::Port { port, holder } => write!(f, "port {port} of the host, which the container {holder} has"),
            Self::Paused { reason } => write!(f, "another revision, or `evenkeel resume`: {reason}"),
            Self::EngineRestart => f.write_str("the Engine to restart it"),
            Self::External { what } => write!(f, "external {what}, which does not exist"),
            Self::Blocked { what, fields } => {
                write!(f, "somebody to make {what} anew or to change the manifest: ")?;
                write_changes(f, fields)
            }
            Self::Resources { reserved, free } => write!(f, "{reserved}, which it reserves: the host has {free}"),
            Self::Suspended => f.write_str("`evenkeel resume`: it is suspended"),
            Self::Guard => f.write_str("`evenkeel confirm`: too much would be removed at once"),
            Self::Confirmation => f.write_str("a second look at the manifest before anything is removed"),
            Self::Unanswered { until } => {
                write!(f, "what an unanswered call may still bring, until {until:.0}")
            }
            Self::RepairConflict { path, until } => {
                write!(f, "somebody who changes {path} back each time it is repaired; the next repair at {until:.0}")
            }
            Self::Reported { path } => write!(f, "somebody to repair {path}: drift is only reported"),
            Self::OtherInstance { instance } => {
                write!(f, "`--take-over`: it was made by the evenkeel instance {instance}")
            }
        }
    }
}
