//! What was read in the manifests directory: which manifests there are, which absences two readings confirmed, and whether
//! the directory can be trusted at all.

mod confirmation;
mod guard;
mod names;
pub mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use confirmation::{APART, Confirmation};
use guard::Guard;
pub(super) use guard::too_many;
pub(super) use names::by_name;
use watch::Reading;

use super::input::ManifestState;
use super::ledger::Ledger;
use super::scope::Scope;
use crate::manifest::Loaded;
use crate::model::{Project, ProjectName};

/// The second reading comes a little after the second is over.
const SECOND_READING: Duration = APART.saturating_add(Duration::from_millis(50));

/// The manifests as they were read last.
pub(super) struct Intake {
    /// Asks the watcher for a reading at a time.
    rereads: mpsc::Sender<Instant>,
    manifests: BTreeMap<ProjectName, Manifest>,
    guard: Guard,
    last: Option<Box<Reading>>,
}

/// The manifest of one project.
#[derive(Debug, Default)]
struct Manifest {
    /// As it was read last; `None`: it is gone, or was not read yet.
    loaded: Option<Arc<Loaded>>,
    /// What it names.
    names: Confirmation<BTreeSet<String>>,
    /// Whether there is one.
    presence: Confirmation<bool>,
}

/// What came of a reading.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// The guard tripped just now, for this reason.
    pub(super) tripped: Option<String>,
    /// The directory cannot be trusted: nothing else was taken in.
    pub(super) is_refused: bool,
    /// The manifests that are there, and of known projects those that are not.
    pub(super) seen: Vec<Seen>,
}

/// One project's manifest, or that it is not there.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) name: ProjectName,
    pub(super) loaded: Option<Arc<Loaded>>,
    /// It is the very one that was read before, or is as absent as it was.
    pub(super) is_same: bool,
    /// What is absent counts as removed from now on.
    pub(super) is_confirmed: bool,
    /// It loaded when it was read before.
    pub(super) was_valid: bool,
}

impl Intake {
    pub(super) fn new(rereads: mpsc::Sender<Instant>) -> Self {
        Self { rereads, manifests: BTreeMap::new(), guard: Guard::default(), last: None }
    }

    /// Takes in a reading.
    pub(super) fn take(&mut self, reading: Box<Reading>, ledger: &Ledger, scope: &Scope) -> Taken {
        let root = reading.root.clone();
        let before = ledger.device(&root);
        let moved = reading.device.is_some_and(|now| before.is_some_and(|before| now != before));
        let manifests = match (&reading.manifests, moved) {
            (Ok(_), true) => Err(format!("{} is on another device than before", root.display())),
            (Ok(manifests), false) => Ok(manifests.clone()),
            (Err(reason), _) => Err(reason.clone()),
        };
        let mut taken = Taken::default();
        let manifests = match manifests {
            Ok(manifests) => manifests,
            Err(reason) => {
                taken.tripped = self.guard.set(Some(reason));
                taken.is_refused = true;
                self.last = Some(reading);
                return taken;
            }
        };
        let known = ledger.iter().map(|(name, _, revision)| (name, revision.in_force.as_deref(), self.loaded(name)));
        let mut present = by_name(known, &manifests);
        let is_ours = |name: &ProjectName| {
            self.has_manifest(name) || ledger.of(name).is_some_and(|ledger| scope.owns_from(&root, ledger))
        };
        let ours: Vec<ProjectName> = ledger.names().filter(|name| is_ours(name)).cloned().collect();
        let confirmed = |name: &ProjectName| ledger.of(name).is_some_and(|ledger| ledger.removal_confirmed);
        let vanished = ours.iter().filter(|name| !present.contains_key(*name) && !confirmed(name)).count();
        let reason = too_many(vanished, ours.len())
            .then(|| format!("{vanished} of {} projects vanished from {} at once", ours.len(), root.display()));
        taken.tripped = self.guard.set(reason);
        let gone: Vec<_> =
            ours.into_iter().filter(|name| !present.contains_key(name)).map(|name| (name, None)).collect();
        let all = gone.into_iter().chain(std::mem::take(&mut present).into_iter().map(|(n, l)| (n, Some(l))));
        let mut again = false;
        for (name, loaded) in all {
            let manifest = self.manifests.entry(name.clone()).or_default();
            taken.seen.push(manifest.read(name, loaded, &reading));
            again |= manifest.needs_second_reading();
        }
        if again {
            // One more that waits says the same.
            let _ = self.rereads.try_send(Instant::now() + SECOND_READING);
        }
        self.last = Some(reading);
        taken
    }

    /// The reading that was taken in last.
    pub(super) fn last(&self) -> Option<&Reading> {
        self.last.as_deref()
    }

    /// Takes the last reading out, to be taken in once more.
    pub(super) fn take_last(&mut self) -> Option<Box<Reading>> {
        self.last.take()
    }

    /// The git commit that the directory is at.
    pub(super) fn commit(&self) -> Option<String> {
        self.last.as_ref().and_then(|reading| reading.commit.clone())
    }

    /// Why nothing is removed; `None`: the guard is open.
    pub(super) fn guard(&self) -> Option<&str> {
        self.guard.reason()
    }

    /// Opens the guard: an operator said that it is right so.
    pub(super) fn open_guard(&mut self) {
        self.guard.set(None);
    }

    /// The manifest of a project as it was read last.
    pub(super) fn loaded(&self, name: &ProjectName) -> Option<&Loaded> {
        self.manifests.get(name)?.loaded.as_deref()
    }

    /// The manifest's revision, where it loads.
    pub(super) fn project(&self, name: &ProjectName) -> Option<Arc<Project>> {
        self.loaded(name)?.project.clone()
    }

    pub(super) fn has_manifest(&self, name: &ProjectName) -> bool {
        self.loaded(name).is_some()
    }

    /// Whether two readings agree on what the manifest names.
    pub(super) fn absences_confirmed(&self, name: &ProjectName) -> bool {
        self.manifests.get(name).is_some_and(|manifest| manifest.names.is_confirmed())
    }

    /// Whether two readings agree that there is no manifest.
    pub(super) fn removal_confirmed(&self, name: &ProjectName) -> bool {
        self.manifests.get(name).is_some_and(|m| m.loaded.is_none() && m.presence.is_confirmed())
    }

    /// What a decision may know of a project's manifest.
    pub(super) fn manifest_state(&self, name: &ProjectName) -> ManifestState {
        ManifestState {
            is_there: self.has_manifest(name),
            absences_confirmed: self.absences_confirmed(name),
            removal_confirmed: self.removal_confirmed(name),
        }
    }

    /// Projects of the directories whose manifests are gone.
    pub(super) fn vanished(&self, ledger: &Ledger, scope: &Scope) -> Vec<ProjectName> {
        let gone = ledger.iter().filter(|(name, ledger, _)| !self.has_manifest(name) && scope.owns(ledger));
        gone.map(|(name, ..)| name.clone()).collect()
    }

    /// A project is gone.
    pub(super) fn forget(&mut self, name: &ProjectName) {
        self.manifests.remove(name);
    }
}

impl Manifest {
    fn read(&mut self, name: ProjectName, loaded: Option<Arc<Loaded>>, reading: &Reading) -> Seen {
        let (at, busy) = (reading.at, reading.busy);
        let before = std::mem::replace(&mut self.loaded, loaded.clone());
        let is_same = match (&before, &loaded) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (None, None) => true,
            _ => false,
        };
        let mut is_confirmed = self.presence.read(loaded.is_some(), at, busy);
        if let Some(project) = loaded.as_ref().and_then(|m| m.project.as_ref()) {
            is_confirmed |= if is_same && before.is_some() {
                self.names.again(at, busy)
            } else {
                let services = project.services.values().map(|s| format!("{} {}", s.name, s.replicas));
                let networks = project.networks.keys().map(|n| format!("network {n}"));
                let volumes = project.volumes.keys().map(|n| format!("volume {n}"));
                self.names.read(services.chain(networks).chain(volumes).collect(), at, busy)
            };
        }
        let was_valid = before.is_some_and(|b| b.project.is_some());
        Seen { name, loaded, is_same, is_confirmed, was_valid }
    }

    /// Whether another reading is needed before what is absent counts as removed.
    fn needs_second_reading(&self) -> bool {
        !self.presence.is_confirmed() || (self.loaded.is_some() && !self.names.is_confirmed())
    }
}
