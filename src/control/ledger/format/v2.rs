//! The second format of a project's ledger: the first one, with its version and what came since.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::convert::Convert as _;
use super::v1;
use crate::model::Timestamp;
use crate::model::ledger as model;
use crate::model::ledger::Subject;
use crate::model::setback::Setback;

/// A project's ledger.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct ProjectLedger {
    /// Always 2.
    pub(super) version: u32,
    #[serde(flatten)]
    pub(super) first: v1::ProjectLedger,
    #[serde(default)]
    pub(super) retried: Option<Timestamp>,
    /// What stood in the way of steps that failed.
    #[serde(default)]
    pub(super) setbacks: BTreeMap<Subject, Setback>,
}

impl ProjectLedger {
    pub(super) fn of(ledger: model::ProjectLedger) -> Self {
        let retried = ledger.retried;
        let setbacks = ledger.failures.iter().map(|(subject, failure)| (subject.clone(), failure.kind)).collect();
        Self { version: super::CURRENT, retried, setbacks, first: ledger.convert() }
    }

    pub(super) fn read(self) -> model::ProjectLedger {
        let mut ledger = model::ProjectLedger { retried: self.retried, ..self.first.convert() };
        for (subject, setback) in self.setbacks {
            if let Some(failure) = ledger.failures.get_mut(&subject) {
                failure.kind = setback;
            }
        }
        ledger
    }
}
