//! The second format of a project's ledger: the first one, with its version and what came since.

use serde::{Deserialize, Serialize};

use super::convert::Convert as _;
use super::v1;
use crate::model::Timestamp;
use crate::model::ledger as model;

/// A project's ledger.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct ProjectLedger {
    /// Always 2.
    pub(super) version: u32,
    #[serde(flatten)]
    pub(super) first: v1::ProjectLedger,
    #[serde(default)]
    pub(super) retried: Option<Timestamp>,
}

impl ProjectLedger {
    pub(super) fn of(ledger: model::ProjectLedger) -> Self {
        let retried = ledger.retried;
        Self { version: super::CURRENT, retried, first: ledger.convert() }
    }

    pub(super) fn read(self) -> model::ProjectLedger {
        model::ProjectLedger { retried: self.retried, ..self.first.convert() }
    }
}
