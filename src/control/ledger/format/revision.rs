//! Revisions on the disk: the resolved project in an envelope that names its version. The first format had no envelope.
//! The project itself is written as the model has it; every field that came later has a default, and a fixture of each
//! version holds that.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{CURRENT, Unreadable};
use crate::model::policy::LedgerFormat;

#[derive(Serialize)]
struct Written<'a, T> {
    version: u32,
    revision: &'a T,
}

#[derive(Deserialize)]
struct Read<T> {
    revision: T,
}

/// The text of a revision.
pub(in super::super) fn write<T: Serialize>(revision: &T, format: LedgerFormat) -> Result<Vec<u8>, serde_json::Error> {
    match format {
        LedgerFormat::Current => serde_json::to_vec(&Written { version: CURRENT, revision }),
        LedgerFormat::Previous => serde_json::to_vec(revision),
    }
}

/// A revision from its text, whatever version that has.
pub(in super::super) fn read<T: DeserializeOwned>(text: &[u8]) -> Result<T, Unreadable> {
    #[derive(Deserialize)]
    struct Versioned {
        version: Option<u32>,
    }
    match serde_json::from_slice::<Versioned>(text)?.version {
        None => Ok(serde_json::from_slice(text)?),
        Some(version) if version <= CURRENT + 1 => Ok(serde_json::from_slice::<Read<T>>(text)?.revision),
        Some(newer) => Err(Unreadable::Newer(newer)),
    }
}
