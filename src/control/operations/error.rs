//! Why an operation is refused, as types: programs tell the kinds apart, people read the sentence.

use serde::{Deserialize, Serialize};

/// Why an operation is not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(tag = "error", rename_all = "snake_case")]
pub enum OperationError {
    /// There is no such project or service.
    #[error("there is no {kind} `{id}`; {help}")]
    NotFound {
        /// `project`, or `project or service`.
        kind: String,
        /// The id that was asked for.
        id: String,
        /// What to do instead: a name that is meant, or where names are listed.
        help: String,
    },
    /// A bare service name that several projects have.
    #[error("`{id}` names several services; write one of {}", candidates.join(", "))]
    Ambiguous {
        /// The id that was asked for.
        id: String,
        /// The full ids that it may mean.
        candidates: Vec<String>,
    },
    /// It makes no sense, or may not be done at present.
    #[error("{reason}")]
    Refused {
        /// Why, and what to do about it.
        reason: String,
    },
    /// It contradicts something that is being done.
    #[error("{reason}")]
    Conflict {
        /// The other operation.
        reason: String,
    },
    /// It could not be remembered, so it was not done: the disk is full or cannot be written.
    #[error("nothing was changed, as it could not be written down: {reason}")]
    NotDurable {
        /// The system's reason.
        reason: String,
    },
    /// The Engine does not answer.
    #[error("the Docker Engine does not answer: {reason}")]
    EngineDown {
        /// Why not.
        reason: String,
    },
    /// Too much is asked at once; it may be asked again soon.
    #[error("the controller has too much to do at present; try again in a moment")]
    Busy,
    /// The controller ends.
    #[error("the controller is ending")]
    Ending,
}

impl OperationError {
    /// A refusal in words.
    pub fn refused(reason: impl Into<String>) -> Self {
        Self::Refused { reason: reason.into() }
    }
}
