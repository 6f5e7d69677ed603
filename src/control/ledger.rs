//! The ledger on disk: one folder a project, each file replaced as a whole and synced, readable by its owner only.
//!
//! ```text
//! STATE/instance                       who we are
//! STATE/host.json                      what is remembered of the host
//! STATE/projects/NAME/ledger.json      attempts, backoff, completions, marks
//! STATE/projects/NAME/last-good        the revision in force
//! STATE/projects/NAME/converged        the revision that everything came to be as it says, with its images
//! STATE/projects/NAME/healthy          the last one of those that stayed so for its monitor time
//! STATE/key                            what the revisions are sealed with
//! ```
//! Revisions are files of their own, because they are large and the ledger is written before every step; and sealed, as
//! they hold the values of secrets.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Serialize, de::DeserializeOwned};

use super::seal::Seal;
use crate::model::ledger::{Healthy, HostLedger, ProjectLedger};
use crate::model::{InstanceId, Project, ProjectName};

/// Why the ledger cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The system's word.
    #[error("the state folder cannot be used: {}: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Somebody wrote into it, or another version did.
    #[error("{} is not readable as a ledger: {reason}; move it away to begin anew", path.display())]
    Corrupt {
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// The ledger's folder.
#[derive(Debug, Clone)]
pub struct Store {
    folder: PathBuf,
    seal: Seal,
}

/// What is remembered of one project.
#[derive(Debug, Clone, Default)]
pub struct Remembered {
    /// The ledger.
    pub ledger: ProjectLedger,
    /// The revision in force.
    pub last_good: Option<Arc<Project>>,
    /// The revision that everything came to be as it says.
    pub converged: Option<Arc<Healthy>>,
    /// The last revision that was healthy.
    pub healthy: Option<Arc<Healthy>>,
}

impl Store {
    /// Opens the folder, making it where it is missing.
    ///
    /// # Errors
    /// When it cannot be made or written.
    pub fn open(folder: &Path) -> Result<Self, LedgerError> {
        make_folder(&folder.join("projects"))?;
        Ok(Self { folder: folder.to_owned(), seal: Seal::of(folder)? })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Who we are: made on first use.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn instance(&self) -> Result<InstanceId, LedgerError> {
        let path = self.folder.join("instance");
        match fs::read_to_string(&path) {
            Ok(text) if !text.trim().is_empty() => Ok(InstanceId::trusted(text.trim())),
            Ok(_) => self.new_instance(&path),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => self.new_instance(&path),
            Err(source) => Err(LedgerError::Io { path, source }),
        }
    }

    fn new_instance(&self, path: &Path) -> Result<InstanceId, LedgerError> {
        let instance = uuid::Uuid::new_v4().simple().to_string();
        write(path, instance.as_bytes())?;
        Ok(InstanceId::trusted(instance))
    }

    /// What is remembered of the host.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn host(&self) -> Result<HostLedger, LedgerError> {
        Ok(read(&self.folder.join("host.json"))?.unwrap_or_default())
    }

    /// Remembers the host.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save_host(&self, host: &HostLedger) -> Result<(), LedgerError> {
        save(&self.folder.join("host.json"), host)
    }

    /// Everything that is remembered.
    ///
    /// # Errors
    /// When a file cannot be read: nothing may be decided then.
    pub fn projects(&self) -> Result<BTreeMap<ProjectName, Remembered>, LedgerError> {
        let folder = self.folder.join("projects");
        let io = |source| LedgerError::Io { path: folder.clone(), source };
        let mut found = BTreeMap::new();
        for entry in fs::read_dir(&folder).map_err(io)? {
            let entry = entry.map_err(io)?;
            let Some(name) = entry.file_name().to_str().and_then(|n| ProjectName::parse(n).ok()) else { continue };
            let Some(ledger) = read(&entry.path().join("ledger.json"))? else { continue };
            let last_good = self.opened(&entry.path().join("last-good"))?.map(Arc::new);
            let converged = self.opened(&entry.path().join("converged"))?.map(Arc::new);
            let healthy = self.opened(&entry.path().join("healthy"))?.map(Arc::new);
            found.insert(name, Remembered { ledger, last_good, converged, healthy });
        }
        Ok(found)
    }

    /// Remembers a project; returns when it is on the disk.
    ///
    /// # Errors
    /// When the file cannot be written: then no step may run.
    pub fn save(&self, name: &ProjectName, ledger: &ProjectLedger) -> Result<(), LedgerError> {
        let folder = self.folder.join("projects").join(name.as_str());
        make_folder(&folder)?;
        save(&folder.join("ledger.json"), ledger)
    }

    /// Remembers the revision in force.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save_last_good(&self, name: &ProjectName, project: &Project) -> Result<(), LedgerError> {
        self.save_sealed(name, "last-good", project)
    }

    /// Remembers the last revision that was healthy.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save_healthy(&self, name: &ProjectName, healthy: &Healthy) -> Result<(), LedgerError> {
        self.save_sealed(name, "healthy", healthy)
    }

    /// Remembers the revision that everything came to be as it says.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save_converged(&self, name: &ProjectName, converged: &Healthy) -> Result<(), LedgerError> {
        self.save_sealed(name, "converged", converged)
    }

    fn save_sealed<T: Serialize>(&self, name: &ProjectName, file: &str, value: &T) -> Result<(), LedgerError> {
        let folder = self.folder.join("projects").join(name.as_str());
        make_folder(&folder)?;
        let path = folder.join(file);
        let json = serde_json::to_vec(value)
            .map_err(|e| LedgerError::Corrupt { path: path.clone(), reason: e.to_string() })?;
        write(&path, &self.seal.seal(&path, &json)?)
    }

    fn opened<T: DeserializeOwned>(&self, path: &Path) -> Result<Option<T>, LedgerError> {
        let bytes = match fs::read(path) {
            Ok(bytes) => self.seal.open(path, &bytes)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(LedgerError::Io { path: path.to_owned(), source }),
        };
        parse(path, &bytes).map(Some)
    }

    /// Forgets a project of which nothing is left.
    ///
    /// # Errors
    /// When the folder cannot be removed.
    pub fn forget(&self, name: &ProjectName) -> Result<(), LedgerError> {
        let path = self.folder.join("projects").join(name.as_str());
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(LedgerError::Io { path, source: error }),
            _ => Ok(()),
        }
    }
}

fn make_folder(path: &Path) -> Result<(), LedgerError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| LedgerError::Io { path: path.to_owned(), source })
}

fn parse<T: DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<T, LedgerError> {
    serde_json::from_slice(bytes).map_err(|e| LedgerError::Corrupt { path: path.to_owned(), reason: e.to_string() })
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, LedgerError> {
    match fs::read(path) {
        Ok(bytes) => parse(path, &bytes).map(Some),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(LedgerError::Io { path: path.to_owned(), source }),
    }
}

fn save<T: Serialize>(path: &Path, value: &T) -> Result<(), LedgerError> {
    let json =
        serde_json::to_vec(value).map_err(|e| LedgerError::Corrupt { path: path.to_owned(), reason: e.to_string() })?;
    write(path, &json)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_is_read_back_and_only_its_owner_may_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("state")).unwrap();
        let name = ProjectName::parse("shop").unwrap();
        let ledger = ProjectLedger { suspended: true, root: "/m".into(), ..ProjectLedger::default() };
        store.save(&name, &ledger).unwrap();
        assert_eq!(store.projects().unwrap()[&name].ledger, ledger);
        let path = dir.path().join("state/projects/shop/ledger.json");
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(store.instance().unwrap(), store.instance().unwrap());
        store.forget(&name).unwrap();
        assert!(store.projects().unwrap().is_empty());
    }

    #[test]
    fn a_ledger_that_is_none_is_an_error_and_not_an_empty_one() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let name = ProjectName::parse("shop").unwrap();
        store.save(&name, &ProjectLedger::default()).unwrap();
        fs::write(dir.path().join("projects/shop/ledger.json"), b"{").unwrap();
        assert!(store.projects().unwrap_err().to_string().contains("ledger.json"));
    }
}
