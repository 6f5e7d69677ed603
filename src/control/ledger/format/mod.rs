//! What stands on the disk, with types of its own: the model may change, what was written once stays readable.
//!
//! Rules: a version only adds fields to the one before, so that a controller one version behind can read what it knows. The
//! controller writes its own version, or the one before where the settings say so (`state.format: previous`), so that going
//! back one version loses nothing. What is two or more versions newer is refused. Each version has a fixture in
//! `tests/fixtures/ledger`, which is read back by a test for ever.

mod convert;
pub(super) mod revision;
mod v1;
mod v2;

use serde::Deserialize;

use convert::Convert as _;

use crate::model::ledger::ProjectLedger;
use crate::model::policy::LedgerFormat;

/// The version that this program writes.
pub(super) const CURRENT: u32 = 2;

/// Why a text is not read as a ledger.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    #[error(
        "it was written in format {0}, and this evenkeel knows formats up to {CURRENT}; use the evenkeel that wrote it"
    )]
    Newer(u32),
    #[error("{0}")]
    Damaged(#[from] serde_json::Error),
}

/// The text of a ledger.
pub(super) fn write(ledger: ProjectLedger, format: LedgerFormat) -> Result<Vec<u8>, serde_json::Error> {
    match format {
        LedgerFormat::Current => serde_json::to_vec(&v2::ProjectLedger::of(ledger)),
        LedgerFormat::Previous => {
            let first: v1::ProjectLedger = ledger.convert();
            serde_json::to_vec(&first)
        }
    }
}

/// A ledger from its text, whatever version that has.
pub(super) fn read(text: &[u8]) -> Result<ProjectLedger, Unreadable> {
    #[derive(Deserialize)]
    struct Versioned {
        #[serde(default = "first")]
        version: u32,
    }
    fn first() -> u32 {
        1
    }
    match serde_json::from_slice::<Versioned>(text)?.version {
        0 | 1 => Ok(serde_json::from_slice::<v1::ProjectLedger>(text)?.convert()),
        // Of the next version what is known is read: it only adds.
        2 | 3 => Ok(serde_json::from_slice::<v2::ProjectLedger>(text)?.read()),
        newer => Err(Unreadable::Newer(newer)),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::model::setback::Setback;

    fn fixture(name: &str) -> Vec<u8> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/ledger");
        std::fs::read(folder.join(name)).unwrap()
    }

    #[test]
    fn every_version_that_was_ever_written_is_read_and_means_the_same() {
        let (first, mut second) = (read(&fixture("v1.json")).unwrap(), read(&fixture("v2.json")).unwrap());
        // What the second one added.
        assert!(second.retried.take().is_some());
        for failure in second.failures.values_mut() {
            assert_ne!(std::mem::take(&mut failure.kind), Setback::Other);
        }
        assert_eq!(first, second);
        assert!(first.suspended && first.slots.len() == 1 && first.in_flight.len() == 1, "{first:?}");
        assert!(!first.completions.is_empty() && !first.failures.is_empty() && first.rolled_back.is_some());
    }

    #[test]
    fn this_program_writes_its_own_version_and_the_one_before() {
        let ledger = read(&fixture("v2.json")).unwrap();
        for (format, name) in [(LedgerFormat::Current, "v2.json"), (LedgerFormat::Previous, "v1.json")] {
            let written: serde_json::Value = serde_json::from_slice(&write(ledger.clone(), format).unwrap()).unwrap();
            let expected: serde_json::Value = serde_json::from_slice(&fixture(name)).unwrap();
            assert_eq!(written, expected, "{name}");
        }
    }

    #[test]
    fn a_version_ahead_is_read_as_far_as_it_is_known_and_two_are_refused() {
        assert!(read(br#"{"version": 3, "suspended": true, "unknown": 1}"#).unwrap().suspended);
        let refused = read(br#"{"version": 4}"#).unwrap_err().to_string();
        assert!(refused.contains("format 4") && refused.contains("up to 2"), "{refused}");
        assert!(matches!(read(b"{"), Err(Unreadable::Damaged(_))));
    }

    #[test]
    fn a_text_padded_with_spaces_is_read() {
        let mut text = br#"{"version": 2, "suspended": true}"#.to_vec();
        text.extend([b' '; 4096]);
        assert!(read(&text).unwrap().suspended);
    }
}
