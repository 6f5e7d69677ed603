//! The ledger's files: one folder a project, each file replaced as a whole and synced, readable by its owner only.
//!
//! ```text
//! STATE/lock                           who uses the folder
//! STATE/instance                       who this evenkeel is
//! STATE/epoch                          how often a controller started here
//! STATE/host.json                      what is remembered of the host
//! STATE/projects/NAME/ledger.json      attempts, backoff, completions, marks
//! STATE/projects/NAME/last-good        the revision in force
//! STATE/projects/NAME/converged        the revision that everything came to be as it says, with its images
//! STATE/projects/NAME/healthy          the last one of those that stayed so for its monitor time
//! STATE/key                            what the revisions are sealed with
//! STATE/reserve/                       room for the ledger on a full disk
//! ```
//! Revisions are files of their own, because they are large and the ledger is written before every step; and sealed, as
//! they hold the values of secrets.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Serialize, de::DeserializeOwned};

use super::files::{LedgerError, make_folder, write};
use super::format;
use super::lock::Lock;
use super::reserve::Reserve;
use super::seal::Seal;
use crate::model::ledger::{Healthy, HostLedger, ProjectLedger};
use crate::model::policy::LedgerFormat;
use crate::model::{InstanceId, Project, ProjectName};

/// The ledger's folder.
#[derive(Debug, Clone)]
pub struct Store {
    folder: PathBuf,
    seal: Seal,
    reserve: Reserve,
    format: LedgerFormat,
    /// Only who holds the lock writes.
    owned: bool,
    /// The last write found room in the reserve only.
    on_reserve: Arc<AtomicBool>,
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

/// Everything that is remembered.
#[derive(Debug, Default)]
pub struct Memory {
    /// By project.
    pub projects: BTreeMap<ProjectName, Remembered>,
    /// Files that could not be read and were set aside, in words.
    pub damaged: Vec<String>,
}

/// A revision that is kept beside a project's ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    LastGood,
    Converged,
    Healthy,
}

impl Kept {
    fn file(self) -> &'static str {
        match self {
            Self::LastGood => "last-good",
            Self::Converged => "converged",
            Self::Healthy => "healthy",
        }
    }
}

impl Store {
    /// Opens the folder of whoever holds its lock; what is missing in it is made.
    ///
    /// # Errors
    /// When it cannot be made or written.
    pub fn open(lock: &Lock) -> Result<Self, LedgerError> {
        let folder = lock.folder();
        make_folder(&folder.join("projects"))?;
        let reserve = Reserve::of(folder);
        // Without it the ledger works as long as there is room: that is told when there is none.
        let _ = reserve.fill();
        let (seal, format) = (Seal::of(folder)?, LedgerFormat::default());
        Ok(Self { folder: folder.to_owned(), seal, reserve, format, owned: true, on_reserve: Arc::default() })
    }

    /// Opens a folder to read it, without its lock; nothing is made in it. `None`: nobody was there before.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn look_into(folder: &Path) -> Result<Option<Self>, LedgerError> {
        let Some(seal) = Seal::known(folder)? else { return Ok(None) };
        let (reserve, format) = (Reserve::of(folder), LedgerFormat::default());
        Ok(Some(Self { folder: folder.to_owned(), seal, reserve, format, owned: false, on_reserve: Arc::default() }))
    }

    /// With another format that is written.
    #[must_use]
    pub fn written_as(mut self, format: LedgerFormat) -> Self {
        self.format = format;
        self
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Who this evenkeel is: made on first use.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub fn instance(&self) -> Result<InstanceId, LedgerError> {
        let path = self.folder.join("instance");
        match fs::read_to_string(&path) {
            Ok(text) if !text.trim().is_empty() => return Ok(InstanceId::trusted(text.trim())),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(LedgerError::Io { path, source }),
        }
        if !self.owned {
            return Ok(InstanceId::trusted("-"));
        }
        let instance = uuid::Uuid::new_v4().simple().to_string();
        write(&path, instance.as_bytes())?;
        Ok(InstanceId::trusted(instance))
    }

    /// Counts a start of the controller; the count is on the disk when this returns. A file that is not readable counts
    /// from the time of day on: higher than any count before.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub fn begin_epoch(&self) -> Result<u64, LedgerError> {
        let path = self.folder.join("epoch");
        let before = match fs::read_to_string(&path) {
            Ok(text) => text.trim().parse().unwrap_or_else(|_| {
                let days = crate::model::Timestamp::now().as_second() / (24 * 3600);
                u64::try_from(days).unwrap_or_default()
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(source) => return Err(LedgerError::Io { path, source }),
        };
        let epoch = before + 1;
        self.replace(&path, epoch.to_string().as_bytes())?;
        Ok(epoch)
    }

    /// What is remembered of the host.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn host(&self) -> Result<HostLedger, LedgerError> {
        let path = self.folder.join("host.json");
        match read(&path)? {
            Some(bytes) => serde_json::from_slice(&bytes).map_err(|e| LedgerError::unreadable(&path, e.into())),
            None => Ok(HostLedger::default()),
        }
    }

    /// Remembers the host.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save_host(&self, host: &HostLedger) -> Result<(), LedgerError> {
        let path = self.folder.join("host.json");
        let text = serde_json::to_vec(host).map_err(|e| LedgerError::unreadable(&path, e.into()))?;
        self.replace(&path, &text)
    }

    /// Everything that is remembered. A file of a project that is damaged is set aside, by whoever holds the lock: what it
    /// said is lost for that project, and the others go on.
    ///
    /// # Errors
    /// When the folder cannot be read, or a later evenkeel wrote into it: nothing may be decided then.
    pub fn projects(&self) -> Result<Memory, LedgerError> {
        let folder = self.folder.join("projects");
        let io = |source| LedgerError::Io { path: folder.clone(), source };
        let mut memory = Memory::default();
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !self.owned => return Ok(memory),
            entries => entries.map_err(io)?,
        };
        for entry in entries {
            let entry = entry.map_err(io)?;
            let Some(name) = entry.file_name().to_str().and_then(|n| ProjectName::parse(n).ok()) else { continue };
            let path = entry.path();
            let damaged = &mut memory.damaged;
            let ledger = self.or_set_aside(&path.join("ledger.json"), damaged, |path| {
                let Some(bytes) = read(path)? else { return Ok(None) };
                format::read(&bytes).map(Some).map_err(|error| LedgerError::unreadable(path, error))
            })?;
            let last_good = self.or_set_aside(&path.join(Kept::LastGood.file()), damaged, |path| self.opened(path))?;
            let converged = self.or_set_aside(&path.join(Kept::Converged.file()), damaged, |path| self.opened(path))?;
            let healthy = self.or_set_aside(&path.join(Kept::Healthy.file()), damaged, |path| self.opened(path))?;
            let Some(ledger) = ledger else { continue };
            memory.projects.insert(name, Remembered { ledger, last_good, converged, healthy });
        }
        Ok(memory)
    }

    /// Reads a file; one that is damaged is moved away and counts as missing.
    fn or_set_aside<T>(
        &self,
        path: &Path,
        damaged: &mut Vec<String>,
        read: impl FnOnce(&Path) -> Result<Option<T>, LedgerError>,
    ) -> Result<Option<T>, LedgerError> {
        let error = match read(path) {
            Err(error @ LedgerError::Damaged { .. }) => error,
            other => return other,
        };
        if !self.owned {
            damaged.push(error.to_string());
            return Ok(None);
        }
        let aside = (0..)
            .map(|n| if n == 0 { ".damaged".to_owned() } else { format!(".damaged-{n}") })
            .map(|ending| PathBuf::from(format!("{}{ending}", path.display())))
            .find(|aside| !aside.exists());
        let Some(aside) = aside else { return Err(error) };
        fs::rename(path, &aside).map_err(|source| LedgerError::Io { path: path.to_owned(), source })?;
        let reason = match &error {
            LedgerError::Damaged { reason, .. } => reason.clone(),
            other => other.to_string(),
        };
        damaged.push(format!(
            "{} was damaged ({reason}) and is set aside as {}; what it remembered is lost",
            path.display(),
            aside.display()
        ));
        Ok(None)
    }

    /// Remembers a project; returns when it is on the disk.
    ///
    /// # Errors
    /// When the file cannot be written: then no step may run.
    pub fn save(&self, name: &ProjectName, ledger: ProjectLedger) -> Result<(), LedgerError> {
        let path = self.project(name)?.join("ledger.json");
        let text = format::write(ledger, self.format).map_err(|e| LedgerError::unreadable(&path, e.into()))?;
        self.replace(&path, &text)
    }

    /// Remembers a revision; returns when it is on the disk.
    pub(super) fn save_revision<T: Serialize>(
        &self,
        name: &ProjectName,
        kept: Kept,
        revision: &T,
    ) -> Result<(), LedgerError> {
        let path = self.project(name)?.join(kept.file());
        let text = format::revision::write(revision, self.format);
        let text = text.map_err(|e| LedgerError::unreadable(&path, e.into()))?;
        write(&path, &self.seal.seal(&path, &text)?)
    }

    fn project(&self, name: &ProjectName) -> Result<PathBuf, LedgerError> {
        let folder = self.folder.join("projects").join(name.as_str());
        make_folder(&folder)?;
        Ok(folder)
    }

    fn opened<T: DeserializeOwned>(&self, path: &Path) -> Result<Option<Arc<T>>, LedgerError> {
        let Some(bytes) = read(path)? else { return Ok(None) };
        let text = self.seal.open(path, &bytes)?;
        let revision = format::revision::read(&text).map_err(|error| LedgerError::unreadable(path, error))?;
        Ok(Some(Arc::new(revision)))
    }

    /// Forgets a project of which nothing is left.
    ///
    /// # Errors
    /// When the folder cannot be removed.
    pub fn forget(&self, name: &ProjectName) -> Result<(), LedgerError> {
        let path = self.folder.join("projects").join(name.as_str());
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(LedgerError::Io { path, source: error }),
            _ => Ok(()),
        }
    }

    /// Completes the reserve; says whether it is there.
    pub fn fill_reserve(&self) -> bool {
        self.reserve.fill().is_ok()
    }

    /// Replaces a file of JSON, in the reserve where there is no other room.
    fn replace(&self, path: &Path, text: &[u8]) -> Result<(), LedgerError> {
        let written = write(path, text);
        match written {
            Err(error) if error.is_full() => {
                self.reserve.replace(path, text).map_err(|_| error)?;
                self.on_reserve.store(true, Ordering::Relaxed);
                Ok(())
            }
            other => {
                if other.is_ok() {
                    self.on_reserve.store(false, Ordering::Relaxed);
                }
                other
            }
        }
    }

    /// Whether the disk is full, and the last write found room in the reserve only.
    pub fn is_on_reserve(&self) -> bool {
        self.on_reserve.load(Ordering::Relaxed)
    }
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, LedgerError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(LedgerError::Io { path: path.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn store(folder: &Path) -> (Lock, Store) {
        let lock = Lock::take(folder, "a test").unwrap();
        let store = Store::open(&lock).unwrap();
        (lock, store)
    }

    #[test]
    fn what_is_saved_is_read_back_and_only_its_owner_may_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let (_lock, store) = store(&dir.path().join("state"));
        let name = ProjectName::parse("shop").unwrap();
        let ledger = ProjectLedger { suspended: true, root: "/m".into(), ..ProjectLedger::default() };
        store.save(&name, ledger.clone()).unwrap();
        assert_eq!(store.projects().unwrap().projects[&name].ledger, ledger);
        let path = dir.path().join("state/projects/shop/ledger.json");
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(store.instance().unwrap(), store.instance().unwrap());
        store.forget(&name).unwrap();
        assert!(store.projects().unwrap().projects.is_empty());
    }

    #[test]
    fn a_damaged_file_of_one_project_is_set_aside_and_the_others_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let (_lock, store) = store(dir.path());
        let (bad, good) = (ProjectName::trusted("bad"), ProjectName::trusted("good"));
        let revision = Healthy { project: Arc::new(Project::empty("shop")), images: BTreeMap::new() };
        for name in [&bad, &good] {
            store.save(name, ProjectLedger { suspended: true, ..ProjectLedger::default() }).unwrap();
            store.save_revision(name, Kept::Healthy, &revision).unwrap();
        }
        for n in 0..2 {
            fs::write(dir.path().join("projects/bad/ledger.json"), b"{").unwrap();
            fs::write(dir.path().join("projects/good/healthy"), b"x").unwrap();
            // Who only looks moves nothing.
            let looking = Store::look_into(dir.path()).unwrap().unwrap().projects().unwrap();
            assert_eq!((looking.projects.len(), looking.damaged.len()), (1, 2));
            let memory = store.projects().unwrap();
            assert!(memory.projects.len() == 1 && memory.projects[&good].ledger.suspended);
            assert!(memory.projects[&good].healthy.is_none());
            assert_eq!(memory.damaged.len(), 2, "{:?}", memory.damaged);
            let ending = if n == 0 { String::new() } else { format!("-{n}") };
            assert!(dir.path().join(format!("projects/bad/ledger.json.damaged{ending}")).is_file());
            assert!(store.projects().unwrap().damaged.is_empty(), "told once");
        }
    }

    #[test]
    fn what_a_much_later_program_wrote_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (_lock, store) = store(dir.path());
        store.save(&ProjectName::trusted("shop"), ProjectLedger::default()).unwrap();
        let path = dir.path().join("projects/shop/ledger.json");
        fs::write(&path, br#"{"version": 9}"#).unwrap();
        let error = store.projects().unwrap_err();
        assert!(matches!(error, LedgerError::Newer { .. }) && error.to_string().contains("format 9"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), br#"{"version": 9}"#);
    }

    #[test]
    fn each_start_counts_and_a_count_that_is_lost_begins_higher() {
        let dir = tempfile::tempdir().unwrap();
        let (_lock, store) = store(dir.path());
        assert_eq!([store.begin_epoch().unwrap(), store.begin_epoch().unwrap()], [1, 2]);
        fs::write(dir.path().join("epoch"), "gibberish").unwrap();
        assert!(store.begin_epoch().unwrap() > 10_000);
    }

    #[test]
    fn looking_into_a_folder_makes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Store::look_into(dir.path()).unwrap().is_none());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_revision_is_read_from_what_either_format_wrote() {
        let dir = tempfile::tempdir().unwrap();
        let (_lock, store) = store(dir.path());
        let name = ProjectName::trusted("shop");
        let revision = Healthy { project: Arc::new(Project::empty("shop")), images: BTreeMap::new() };
        for format in [LedgerFormat::Previous, LedgerFormat::Current] {
            let store = store.clone().written_as(format);
            store.save(&name, ProjectLedger::default()).unwrap();
            store.save_revision(&name, Kept::Healthy, &revision).unwrap();
            let read = store.projects().unwrap().projects.remove(&name).unwrap();
            assert_eq!(read.healthy.as_deref(), Some(&revision), "{format:?}");
        }
    }
}
