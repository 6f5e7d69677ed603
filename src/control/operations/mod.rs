//! What operators ask for: one way in for the control socket, the HTTP API and whatever else, typed on both sides.

mod error;
mod names;
mod progress;
mod verbs;

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use error::OperationError;
pub use names::resolve;
pub(super) use names::{Named, project};
pub(super) use progress::{After, Change, Progress};
pub(super) use verbs::{confirm, down, resume_all, set_suspended};

use crate::model::ProjectName;

/// Somebody's wish.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Tells requests apart, in records and logs: made by whoever asks.
    pub id: String,
    /// The person or program that asks.
    pub actor: Actor,
    /// What is asked for.
    pub operation: Operation,
}

impl Request {
    /// A request with an id of its own.
    pub fn new(actor: Actor, operation: Operation) -> Self {
        Self { id: uuid::Uuid::new_v4().simple().to_string(), actor, operation }
    }
}

/// Who asks for an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// How the request came in.
    pub via: Via,
    /// A name that is known there: of a system user, of a token; empty where there is none.
    pub name: String,
}

/// How a request came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Via {
    /// The control socket in the state folder.
    ControlSocket,
    /// The HTTP API.
    Http,
    /// The process that runs the loop itself: a verb while no controller runs, a rehearsal.
    Process,
}

impl Actor {
    /// The process that runs the loop.
    pub fn process() -> Self {
        Self { via: Via::Process, name: String::new() }
    }
}

/// What can be asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "operation", rename_all = "snake_case")]
pub enum Operation {
    /// How everything is.
    Status,
    /// The unfolded plan of a project.
    Plan {
        /// The project's name.
        project: String,
    },
    /// Leave a project or service alone.
    Suspend {
        /// `PROJECT`, `PROJECT.SERVICE`, or a service's name where only one project has it.
        id: String,
    },
    /// Take it up again, and try at once what failed.
    Resume {
        /// `PROJECT`, `PROJECT.SERVICE`, or a service's name where only one project has it.
        id: String,
    },
    /// Take everything up again.
    ResumeAll,
    /// Let the projects go whose manifests vanished, although they are many.
    Confirm,
    /// Remove a project's containers and networks.
    Down {
        /// The project's name.
        project: String,
        /// Remove its volumes, too.
        volumes: bool,
    },
}

impl Operation {
    /// Its name, as serialised.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Plan { .. } => "plan",
            Self::Suspend { .. } => "suspend",
            Self::Resume { .. } => "resume",
            Self::ResumeAll => "resume_all",
            Self::Confirm => "confirm",
            Self::Down { .. } => "down",
        }
    }
}

/// What came of an operation: it is done, and remembered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// How everything is: the document of the schema `status`.
    Status {
        /// The document.
        status: Value,
    },
    /// The unfolded plan: the document that `evenkeel plan --format json` prints.
    Plan {
        /// The document.
        plan: Value,
    },
    /// It is watched and not touched.
    Suspended {
        /// As it was asked for.
        id: String,
    },
    /// It is taken up again.
    Resumed {
        /// As it was asked for.
        id: String,
    },
    /// Everything that was suspended is taken up again.
    ResumedAll {
        /// The projects concerned.
        projects: Vec<ProjectName>,
    },
    /// The guard is open again.
    Confirmed {
        /// Why it had tripped.
        reason: String,
        /// Projects that will be removed.
        removed: Vec<ProjectName>,
    },
    /// The guard had not tripped.
    NothingToConfirm,
    /// The removal has begun.
    Removing {
        /// The project.
        project: ProjectName,
    },
}

/// The answer in one sentence, for people.
impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |names: &[ProjectName]| names.iter().map(ProjectName::as_str).collect::<Vec<_>>().join(", ");
        match self {
            Self::Status { .. } | Self::Plan { .. } => f.write_str("done"),
            Self::Suspended { id } => write!(f, "{id} is suspended: it is watched and not touched"),
            Self::Resumed { id } => write!(f, "{id} is resumed"),
            Self::ResumedAll { projects } if projects.is_empty() => f.write_str("nothing is suspended"),
            Self::ResumedAll { projects } => write!(f, "{} resumed", list(projects)),
            Self::Confirmed { reason, removed } if removed.is_empty() => write!(f, "confirmed: {reason}"),
            Self::Confirmed { reason, removed } => {
                write!(f, "confirmed: {reason}; {} will be removed, volumes are kept", list(removed))
            }
            Self::NothingToConfirm => f.write_str("there is nothing to confirm"),
            Self::Removing { project } => write!(f, "{project} is being removed"),
        }
    }
}
