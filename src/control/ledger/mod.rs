//! What must outlive a restart of the controller: in memory, and on the disk.
//!
//! # Guarantees
//! An *intention* (a step that begins, an operator's request) is a [`LedgerPatch`]: [`Ledger::commit`] writes it, and only
//! once it is on the disk it is in memory; where the write fails, memory is as before and whoever asked is told. A *fact*
//! (the outcome of a call, something that was seen) is true whether or not it can be written: [`Ledger::note`] puts it into
//! memory at once, and it is written with the next commit or flush. No step runs before all facts before it are on the disk,
//! as each commit writes the whole ledger of its project.
//!
//! Writing is done beside the loop: a slow disk holds up the projects that have something to be written, and nothing else.

mod files;
mod format;
pub mod lock;
mod reserve;
mod revision;
mod seal;
pub mod store;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

pub use files::LedgerError;
pub use lock::{Lock, LockError};
pub(super) use revision::{Changed, Revision};
pub use store::Store;
use store::{Kept, Remembered};

use super::message::{Message, Then};
use crate::model::ledger::{Healthy, HostLedger, ProjectLedger};
use crate::model::{Project, ProjectName, Timestamp};

/// After a write that failed.
const RETRY: Duration = Duration::from_secs(1);

/// A change of a project's ledger that counts once it is written. Made by pure functions, applied to the ledger as it is
/// then.
pub(super) struct LedgerPatch(Box<dyn Fn(&mut ProjectLedger) + Send>);

impl LedgerPatch {
    pub(super) fn new(change: impl Fn(&mut ProjectLedger) + Send + 'static) -> Self {
        Self(Box::new(change))
    }

    pub(super) fn apply(&self, ledger: &mut ProjectLedger) {
        (self.0)(ledger);
    }
}

impl std::fmt::Debug for LedgerPatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LedgerPatch")
    }
}

/// The ledger of all projects.
pub(super) struct Ledger {
    store: Arc<Store>,
    entries: BTreeMap<ProjectName, Entry>,
    host: HostLedger,
    host_unwritten: bool,
    /// Projects with facts that are not on the disk.
    unwritten: BTreeSet<ProjectName>,
    /// Projects that are being written.
    writing: BTreeMap<ProjectName, Writing>,
    /// Where what was written is told.
    outcome: Outlet,
    /// Files that were damaged, in words.
    damaged: Vec<String>,
    /// Steps that were under way when the controller ended, in words.
    interrupted: Vec<String>,
    /// Why the last write failed.
    trouble: Option<String>,
    /// Facts that could not be written are written then.
    retry_at: Option<Instant>,
}

#[derive(Debug, Default)]
struct Entry {
    memory: ProjectLedger,
    revision: Revision,
    /// Revisions that are not on the disk.
    changed: Changed,
}

/// A project whose files are being written.
struct Writing {
    patch: Option<LedgerPatch>,
    then: Then,
    changed: Changed,
}

/// What came of a write.
#[derive(Debug)]
pub(super) struct Written {
    project: ProjectName,
    ledger: Result<(), LedgerError>,
    revisions: Result<(), LedgerError>,
}

/// A commit or flush that came to its end.
#[derive(Debug)]
pub(super) struct Settled {
    pub(super) project: ProjectName,
    /// What was to follow.
    pub(super) then: Then,
    /// Whether the ledger is on the disk.
    pub(super) result: Result<(), LedgerError>,
}

/// How writing is done.
pub(super) enum Outlet {
    /// On a thread beside the loop, which is told by a message.
    Beside(mpsc::Sender<Message>),
    /// At once, so that nothing depends on how threads are scheduled: in virtual time.
    InPlace(VecDeque<Written>),
}

/// What is to be written of a project.
struct Job {
    project: ProjectName,
    ledger: ProjectLedger,
    in_force: Option<Arc<Project>>,
    converged: Option<Arc<Healthy>>,
    healthy: Option<Arc<Healthy>>,
}

impl Job {
    fn run(self, store: &Store) -> Written {
        let name = &self.project;
        let ledger = store.save(name, self.ledger);
        let last_good = self.in_force.map_or(Ok(()), |p| store.save_revision(name, Kept::LastGood, &*p));
        let converged = self.converged.map_or(Ok(()), |c| store.save_revision(name, Kept::Converged, &*c));
        let healthy = self.healthy.map_or(Ok(()), |h| store.save_revision(name, Kept::Healthy, &*h));
        Written { ledger, revisions: last_good.and(converged).and(healthy), project: self.project }
    }
}

impl Ledger {
    /// Reads everything that is remembered. What was in flight when the controller ended has no known outcome.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub(super) fn open(store: Store, outcome: Outlet) -> Result<Self, LedgerError> {
        let memory = store.projects()?;
        let host = store.host()?;
        let marks = memory.projects.iter().flat_map(|(name, r)| r.ledger.in_flight.values().map(move |m| (name, m)));
        let interrupted = marks.map(|(name, mark)| format!("{name}: {}", mark.action)).collect();
        let entries = memory.projects.into_iter().map(|(name, remembered)| (name, Entry::of(remembered))).collect();
        Ok(Self {
            store: Arc::new(store),
            entries,
            host,
            host_unwritten: false,
            unwritten: BTreeSet::new(),
            writing: BTreeMap::new(),
            outcome,
            damaged: memory.damaged,
            interrupted,
            trouble: None,
            retry_at: None,
        })
    }

    /// Projects that are known.
    pub(super) fn names(&self) -> impl Iterator<Item = &ProjectName> {
        self.entries.keys()
    }

    /// All that is remembered, by project.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&ProjectName, &ProjectLedger, &Revision)> + Clone {
        self.entries.iter().map(|(name, entry)| (name, &entry.memory, &entry.revision))
    }

    pub(super) fn knows(&self, name: &ProjectName) -> bool {
        self.entries.contains_key(name)
    }

    /// What is remembered of a project.
    pub(super) fn of(&self, name: &ProjectName) -> Option<&ProjectLedger> {
        self.entries.get(name).map(|entry| &entry.memory)
    }

    /// The revisions of a project.
    pub(super) fn revision(&self, name: &ProjectName) -> Option<&Revision> {
        self.entries.get(name).map(|entry| &entry.revision)
    }

    /// The revision in force.
    pub(super) fn target(&self, name: &ProjectName) -> Option<&Arc<Project>> {
        self.revision(name)?.in_force.as_ref()
    }

    /// Begins to remember a project. Nothing is written before there is something to remember.
    pub(super) fn follow(&mut self, name: &ProjectName) {
        self.entries.entry(name.clone()).or_default();
    }

    /// Notes facts; `change` says whether there were any.
    pub(super) fn note(&mut self, name: &ProjectName, change: impl FnOnce(&mut ProjectLedger) -> bool) -> bool {
        let Some(entry) = self.entries.get_mut(name) else { return false };
        let news = change(&mut entry.memory);
        if news {
            self.unwritten.insert(name.clone());
        }
        news
    }

    /// Notes facts about the revisions, too; `change` says which of these are to be written. What it changes of the rest of
    /// the ledger is written in any case.
    pub(super) fn note_revision(
        &mut self,
        name: &ProjectName,
        change: impl FnOnce(&mut ProjectLedger, &mut Revision) -> Changed,
    ) -> Changed {
        let Some(entry) = self.entries.get_mut(name) else { return Changed::default() };
        let before = entry.memory.clone();
        let changed = change(&mut entry.memory, &mut entry.revision);
        if changed.any() || entry.memory != before {
            entry.changed.add(changed);
            self.unwritten.insert(name.clone());
        }
        changed
    }

    /// Notes which revision was read and decided about: that is not remembered.
    pub(super) fn revision_mut(&mut self, name: &ProjectName) -> Option<&mut Revision> {
        self.entries.get_mut(name).map(|entry| &mut entry.revision)
    }

    /// The device on which a root was seen last.
    pub(super) fn device(&self, root: &Path) -> Option<u64> {
        self.host.devices.get(root).copied()
    }

    /// Remembers on which device a root is.
    pub(super) fn note_device(&mut self, root: PathBuf, device: u64) {
        self.host_unwritten |= self.host.devices.insert(root, device) != Some(device);
    }

    /// Whether a project is being written: it is not decided about until that is over.
    pub(super) fn is_writing(&self, name: &ProjectName) -> bool {
        self.writing.contains_key(name)
    }

    /// Whether anything is being written.
    pub(super) fn is_busy(&self) -> bool {
        !self.writing.is_empty()
    }

    /// Writes a patch with everything that is known by now. It counts, and `then` follows, once [`Self::written`] says so.
    ///
    /// A project that is being written cannot be committed to: [`Self::is_writing`] is to be asked before.
    pub(super) fn commit(&mut self, name: &ProjectName, patch: LedgerPatch, then: Then) {
        debug_assert!(!self.is_writing(name), "{name} is being written");
        self.write(name, Some(patch), then);
    }

    /// Writes facts that are not on the disk, of projects that are not being written already.
    pub(super) fn flush(&mut self, now: Instant) {
        if self.retry_at.is_some_and(|at| now < at) {
            return;
        }
        self.retry_at = None;
        if std::mem::take(&mut self.host_unwritten) {
            let (store, host) = (Arc::clone(&self.store), self.host.clone());
            let save = move || {
                if let Err(error) = store.save_host(&host) {
                    tracing::warn!(%error, "cannot remember the device of the manifests directory");
                }
            };
            match &self.outcome {
                Outlet::Beside(_) => drop(tokio::task::spawn_blocking(save)),
                Outlet::InPlace(_) => save(),
            }
        }
        let due: Vec<_> = self.unwritten.iter().filter(|name| !self.is_writing(name)).cloned().collect();
        for name in due {
            self.write(&name, None, Then::Nothing);
        }
    }

    fn write(&mut self, name: &ProjectName, patch: Option<LedgerPatch>, then: Then) {
        let Some(entry) = self.entries.get_mut(name) else { return };
        self.unwritten.remove(name);
        let mut ledger = entry.memory.clone();
        if let Some(patch) = &patch {
            patch.apply(&mut ledger);
        }
        let changed = std::mem::take(&mut entry.changed);
        let revision = &entry.revision;
        let job = Job {
            project: name.clone(),
            ledger,
            in_force: revision.in_force.clone().filter(|_| changed.in_force),
            converged: revision.converged.clone().filter(|_| changed.converged),
            healthy: revision.healthy.clone().filter(|_| changed.healthy),
        };
        self.writing.insert(name.clone(), Writing { patch, then, changed });
        match &mut self.outcome {
            Outlet::InPlace(written) => written.push_back(job.run(&self.store)),
            Outlet::Beside(sender) => {
                let (store, sender) = (Arc::clone(&self.store), sender.clone());
                tokio::task::spawn_blocking(move || {
                    let written = job.run(&store);
                    // The loop has ended: it waits for what it writes before.
                    let _ = sender.blocking_send(Message::Written(Box::new(written)));
                });
            }
        }
    }

    /// What was written in place.
    pub(super) fn next_written(&mut self) -> Option<Written> {
        match &mut self.outcome {
            Outlet::InPlace(written) => written.pop_front(),
            Outlet::Beside(_) => None,
        }
    }

    /// Takes in what came of a write: a patch counts from now on, or is dropped.
    pub(super) fn written(&mut self, written: Written) -> Option<Settled> {
        let Written { project, ledger, revisions } = written;
        let Writing { patch, then, changed } = self.writing.remove(&project)?;
        let trouble = match (&ledger, &revisions) {
            (Err(why), _) => Some(format!("nothing is done while the ledger cannot be written: {why}")),
            (_, Err(why)) => {
                Some(format!("revisions cannot be remembered, and would be missed at the next start: {why}"))
            }
            (Ok(()), Ok(())) => None,
        };
        if let Some(entry) = self.entries.get_mut(&project) {
            if let (Some(patch), Ok(())) = (&patch, &ledger) {
                patch.apply(&mut entry.memory);
            }
            if revisions.is_err() {
                entry.changed.add(changed);
            }
            if trouble.is_some() {
                self.unwritten.insert(project.clone());
                self.retry_at.get_or_insert_with(|| Instant::now() + RETRY);
            }
        }
        if trouble.is_none() && self.trouble.is_some() {
            // There is room again, maybe for the reserve, too.
            self.store.fill_reserve();
        }
        self.trouble = trouble;
        Some(Settled { project, then, result: ledger })
    }

    /// What is to be said of a disk that is full, as long as the reserve holds out.
    pub(super) fn fullness(&self) -> Option<String> {
        let folder = self.store.folder().display();
        self.store.is_on_reserve().then(|| {
            format!(
                "the disk of the state folder {folder} is full: steps are still noted, in its reserve, and what crashed is \
                 started again, but new revisions cannot be remembered; make room there"
            )
        })
    }

    /// Why what happened last could not be written.
    pub(super) fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// When facts that could not be written are to be written again.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        self.retry_at
    }

    /// Files that were damaged when everything was read.
    pub(super) fn take_damaged(&mut self) -> Vec<String> {
        std::mem::take(&mut self.damaged)
    }

    /// Steps that were under way when the controller ended before, in words.
    pub(super) fn take_interrupted(&mut self) -> Vec<String> {
        std::mem::take(&mut self.interrupted)
    }

    /// Forgets a project of which nothing is left, on the disk, too.
    pub(super) fn forget(&mut self, name: &ProjectName) {
        self.entries.remove(name);
        self.unwritten.remove(name);
        if let Err(error) = self.store.forget(name) {
            self.trouble = Some(error.to_string());
        }
    }

    /// Shifts the times at which starts began by as much as the clock was set.
    pub(super) fn shift_starts(&mut self, by: jiff::SignedDuration) {
        for (name, entry) in &mut self.entries {
            for begun in entry.memory.slots.values_mut().filter_map(|slot| slot.begun.as_mut()) {
                *begun = Timestamp::checked_add(*begun, by).unwrap_or(*begun);
                self.unwritten.insert(name.clone());
            }
        }
    }
}

impl Entry {
    fn of(remembered: Remembered) -> Self {
        let Remembered { ledger: mut memory, last_good, converged, healthy } = remembered;
        // Their outcome shows when everything is looked at, or later.
        let begun = std::mem::take(&mut memory.in_flight).into_values().map(|mark| mark.since);
        memory.unanswered = begun.chain(memory.unanswered).max();
        let revision = Revision { in_force: last_good, converged, healthy, ..Revision::default() };
        Self { memory, revision, changed: Changed::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(folder: &Path) -> (Lock, Ledger, ProjectName) {
        let lock = Lock::take(folder, "a test").unwrap();
        let mut ledger = Ledger::open(Store::open(&lock).unwrap(), Outlet::InPlace(VecDeque::new())).unwrap();
        let name = ProjectName::trusted("shop");
        ledger.follow(&name);
        (lock, ledger, name)
    }

    fn settle(ledger: &mut Ledger) -> Result<(), LedgerError> {
        let written = ledger.next_written().expect("something was written");
        ledger.written(written).expect("it was being written").result
    }

    fn suspend() -> LedgerPatch {
        LedgerPatch::new(|ledger| ledger.suspended = true)
    }

    /// Makes a project's folder impossible to write, for root, too; or possible again.
    fn block(folder: &Path, blocked: bool) {
        let path = folder.join("projects/shop");
        let _ = std::fs::remove_dir_all(&path);
        let _ = std::fs::remove_file(&path);
        if blocked {
            std::fs::write(&path, "in the way").unwrap();
        }
    }

    #[test]
    fn an_intention_counts_once_it_is_on_the_disk_and_not_where_that_fails() {
        let dir = tempfile::tempdir().unwrap();
        let (_lock, mut ledger, name) = ledger(dir.path());
        block(dir.path(), true);
        ledger.commit(&name, suspend(), Then::Nothing);
        assert!(ledger.is_writing(&name) && !ledger.of(&name).unwrap().suspended);
        assert!(settle(&mut ledger).is_err());
        assert!(!ledger.of(&name).unwrap().suspended && ledger.trouble().is_some());
        block(dir.path(), false);
        ledger.flush(Instant::now() + RETRY * 2);
        settle(&mut ledger).unwrap();
        assert!(!ledger.of(&name).unwrap().suspended, "what was refused does not happen later");
        ledger.commit(&name, suspend(), Then::Nothing);
        settle(&mut ledger).unwrap();
        assert!(ledger.of(&name).unwrap().suspended && ledger.trouble().is_none());
        assert!(ledger.store.projects().unwrap().projects[&name].ledger.suspended);
    }

    #[test]
    fn a_fact_is_known_at_once_and_written_when_that_is_possible_again() {
        let dir = tempfile::tempdir().unwrap();
        let (_lock, mut ledger, name) = ledger(dir.path());
        block(dir.path(), true);
        ledger.note(&name, |ledger| ledger.prepared.insert(crate::model::ContainerId::trusted("c1")));
        ledger.flush(Instant::now());
        assert!(settle(&mut ledger).is_err());
        assert_eq!(ledger.of(&name).unwrap().prepared.len(), 1);
        ledger.flush(Instant::now());
        assert!(ledger.next_written().is_none(), "not again at once");
        block(dir.path(), false);
        ledger.flush(Instant::now() + RETRY * 2);
        settle(&mut ledger).unwrap();
        assert_eq!(ledger.store.projects().unwrap().projects[&name].ledger.prepared.len(), 1);
        ledger.flush(Instant::now());
        assert!(ledger.next_written().is_none(), "it is written");
    }

    #[test]
    fn what_changes_beside_a_revision_is_written_though_no_revision_is() {
        let dir = tempfile::tempdir().unwrap();
        let (_lock, mut ledger, name) = ledger(dir.path());
        ledger.note_revision(&name, |_, _| Changed::default());
        ledger.flush(Instant::now());
        assert!(ledger.next_written().is_none(), "nothing changed");
        ledger.note_revision(&name, |ledger, _| {
            ledger.last_good = Some("r1".into());
            Changed::default()
        });
        ledger.flush(Instant::now());
        settle(&mut ledger).unwrap();
        assert_eq!(ledger.store.projects().unwrap().projects[&name].ledger.last_good.as_deref(), Some("r1"));
    }

    #[test]
    fn what_is_noted_while_a_patch_is_written_is_not_lost() {
        let dir = tempfile::tempdir().unwrap();
        let (_lock, mut ledger, name) = ledger(dir.path());
        ledger.commit(&name, suspend(), Then::Nothing);
        ledger.note(&name, |ledger| ledger.prepared.insert(crate::model::ContainerId::trusted("c1")));
        settle(&mut ledger).unwrap();
        let known = ledger.of(&name).unwrap();
        assert!(known.suspended && known.prepared.len() == 1);
        ledger.flush(Instant::now());
        settle(&mut ledger).unwrap();
        assert_eq!(ledger.store.projects().unwrap().projects[&name].ledger, *ledger.of(&name).unwrap());
    }

    #[test]
    fn what_was_in_flight_when_the_controller_ended_has_no_known_outcome() {
        let dir = tempfile::tempdir().unwrap();
        let (lock, mut ledger, name) = ledger(dir.path());
        ledger.commit(
            &name,
            LedgerPatch::new(|ledger| {
                let subject = crate::model::ledger::Subject::Volume("v".into());
                let mark = crate::model::ledger::InFlight { action: "create".into(), since: Timestamp::UNIX_EPOCH };
                ledger.in_flight.insert(subject, mark);
            }),
            Then::Nothing,
        );
        settle(&mut ledger).unwrap();
        let again = Ledger::open(Store::open(&lock).unwrap(), Outlet::InPlace(VecDeque::new())).unwrap();
        let known = again.of(&name).unwrap();
        assert!(known.in_flight.is_empty() && known.unanswered == Some(Timestamp::UNIX_EPOCH));
    }

    #[test]
    fn a_project_that_is_forgotten_is_not_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let (_lock, mut ledger, name) = ledger(dir.path());
        ledger.commit(&name, suspend(), Then::Nothing);
        settle(&mut ledger).unwrap();
        ledger.forget(&name);
        assert!(!ledger.knows(&name) && ledger.store.projects().unwrap().projects.is_empty());
    }
}
