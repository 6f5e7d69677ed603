//! Who decides. In production the pure functions of [`decide`](crate::decide); a test hands in one with an injected fault, to
//! show that it would be found.

use std::collections::BTreeMap;

use crate::decide::{self, Decision, Input};
use crate::model::ServiceName;
use crate::model::ledger::Completion;

/// Decides what may be done.
pub trait Decider: Send + Sync {
    /// Decides about a project of which all is known.
    fn decide(&self, input: &Input<'_>) -> Decision {
        decide::decide(input)
    }

    /// Jobs that are seen to be done, of a project of which too little is known to decide.
    fn completions(&self, input: &Input<'_>) -> BTreeMap<ServiceName, Completion> {
        decide::completions(input)
    }
}

/// Decides as it should be.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faultless;

impl Decider for Faultless {}
