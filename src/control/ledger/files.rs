//! Files of the ledger: replaced as a whole, synced, and readable by their owner only; and why they cannot be.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::format::Unreadable;

/// Why the ledger cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The system refuses.
    #[error("the state folder cannot be used: {}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Something else was written into it, or it was cut off.
    #[error("{} is not readable as a ledger: {reason}; move it away to begin anew", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A later evenkeel wrote it.
    #[error("{} is not read: {reason}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version and those that are known.
        reason: String,
    },
}

impl LedgerError {
    /// Whether there is no room on the disk.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Io { source, .. } if is_full(source))
    }

    pub(super) fn unreadable(path: &Path, error: Unreadable) -> Self {
        let (path, reason) = (path.to_owned(), error.to_string());
        match error {
            Unreadable::Newer(_) => Self::Newer { path, reason },
            Unreadable::Damaged(_) => Self::Damaged { path, reason },
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Makes a folder that only its owner may enter, with those above it.
pub(super) fn make_folder(path: &Path) -> Result<(), LedgerError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| LedgerError::Io { path: path.to_owned(), source })
}

/// Replaces a file as a whole; it and its folder are on the disk afterwards.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), LedgerError> {
    let io = |source| LedgerError::Io { path: path.to_owned(), source };
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .prefix(".new-")
        .permissions(fs::Permissions::from_mode(0o600))
        .tempfile_in(folder)
        .map_err(io)?;
    file.write_all(bytes).map_err(io)?;
    file.as_file().sync_data().map_err(io)?;
    file.persist(path).map_err(|e| io(e.error))?;
    fs::File::open(folder).and_then(|f| f.sync_all()).map_err(io)
}
