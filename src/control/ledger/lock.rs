//! One writer: an exclusive lock on the state folder, held as long as the process lives.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Why the lock was not had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error("the state folder {} is in use by {holder}", folder.display())]
    Held {
        /// The state folder.
        folder: PathBuf,
        /// The verb and process that hold it.
        holder: String,
    },
    /// The system refuses.
    #[error("the state folder {} cannot be locked: {source}; name another with --state or EVENKEEL_STATE_DIR", folder.display())]
    Io {
        /// The state folder.
        folder: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
}

/// The lock; released when dropped, and by the kernel when the process ends in any way.
#[derive(Debug)]
pub struct Lock {
    _file: File,
    folder: PathBuf,
}

impl Lock {
    /// Takes the lock or says who has it. `holder` is what others are told, such as `evenkeel run (pid 7)`.
    ///
    /// # Errors
    /// When it is held, or the folder cannot be written.
    pub fn take(folder: &Path, holder: &str) -> Result<Self, LockError> {
        let io = |source| LockError::Io { folder: folder.to_owned(), source };
        fs::create_dir_all(folder).map_err(io)?;
        let path = folder.join("lock");
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let holder = fs::read_to_string(&path).unwrap_or_default();
                let holder = if holder.is_empty() { "another evenkeel".to_owned() } else { holder };
                return Err(LockError::Held { folder: folder.to_owned(), holder });
            }
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
        file.set_len(0).and_then(|()| file.write_all(holder.as_bytes())).map_err(io)?;
        Ok(Self { _file: file, folder: folder.to_owned() })
    }

    /// The folder that it is the lock of.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_holds_it_and_gets_it_afterwards() {
        let dir = tempfile::tempdir().unwrap();
        let first = Lock::take(dir.path(), "evenkeel run (pid 7)").unwrap();
        let error = Lock::take(dir.path(), "another").unwrap_err().to_string();
        assert!(error.contains("evenkeel run (pid 7)"), "{error}");
        drop(first);
        Lock::take(dir.path(), "another").unwrap();
    }
}
