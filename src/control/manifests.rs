//! What was read in the manifests directory becomes what is wanted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::tracked::{CONFIRMED_AFTER, Refresh, Tracked};
use super::watch::Reading;
use super::{Controller, files, guard};
use crate::manifest::{Loaded, Severity as Badness};
use crate::model::ProjectName;
use crate::model::event::{EventType, Severity};

/// The reading that confirms comes a little after [`CONFIRMED_AFTER`] is over.
const CONFIRMATION_READ: Duration = CONFIRMED_AFTER.saturating_add(Duration::from_millis(50));

impl Controller {
    pub(super) fn on_reading(&mut self, reading: Box<Reading>) {
        let manifests = match reading.manifests.clone().and_then(|m| self.other_device(&reading).map_or(Ok(m), Err)) {
            Ok(manifests) => manifests,
            Err(reason) => {
                self.trip(reason);
                self.stale_views.extend(self.projects.keys().cloned());
                self.reading = Some(reading);
                return;
            }
        };
        self.remember_device(&reading);
        let mut present = by_name(&self.projects, &manifests);
        let root = self.options.root.clone();
        let ours: Vec<ProjectName> = self
            .projects
            .values()
            .filter(|t| t.manifest.is_some() || (!self.options.single && t.ledger.root == root))
            .map(|t| t.name.clone())
            .collect();
        let confirmed = |name: &ProjectName| self.projects.get(name).is_some_and(|t| t.ledger.removal_confirmed);
        let vanished = ours.iter().filter(|name| !present.contains_key(*name) && !confirmed(name)).count();
        if guard::too_many(vanished, ours.len()) {
            self.trip(format!("{vanished} of {} projects vanished from {} at once", ours.len(), root.display()));
        } else {
            self.guard.set(None);
        }
        // Of what is gone nothing is to be heard any more.
        self.cache.interest_mut().retain(|name| self.projects.contains_key(name));
        let mut unconfirmed = false;
        for name in ours {
            if !present.contains_key(&name) {
                unconfirmed |= self.take_reading(&name, None, &reading);
            }
        }
        while let Some((name, loaded)) = present.pop_first() {
            unconfirmed |= self.take_reading(&name, Some(loaded), &reading);
        }
        if unconfirmed {
            let _ = self.readings.send(Instant::now() + CONFIRMATION_READ);
        }
        self.reading = Some(reading);
        self.look_at_what_is_in_force();
    }

    /// Takes in one project's manifest, or that it is not there; says whether another reading has to confirm it.
    fn take_reading(&mut self, name: &ProjectName, loaded: Option<Arc<Loaded>>, reading: &Reading) -> bool {
        let mark = self.cache.mark();
        let known = self.projects.contains_key(name);
        let tracked = self.projects.get_or_insert_with(name, || {
            // Something of it may run already: that is looked at first.
            let mut tracked = Tracked::new(name.clone());
            tracked.refresh = Refresh::List(mark);
            tracked
        });
        let before = tracked.manifest.clone();
        let same = match (&before, &loaded) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (None, None) => true,
            _ => false,
        };
        let confirmed = tracked.was_read(loaded.clone(), reading.at, reading.busy);
        let unconfirmed = tracked.needs_confirmation();
        if !known {
            self.cache.interest_mut().follow(name, None);
        }
        if same && !confirmed {
            // A file beside the manifest may have been replaced.
            if tracked.target.as_ref().is_some_and(|t| t.services.values().any(files::concern)) {
                self.dirty.insert(name.clone());
            }
            return unconfirmed;
        }
        self.dirty.insert(name.clone());
        self.stale_views.insert(name.clone());
        let Some(loaded) = loaded.filter(|_| !same) else { return unconfirmed };
        tracked.ledger.removal_confirmed = false;
        let Some(project) = &loaded.project else {
            let errors: Vec<String> =
                loaded.diagnostics.iter().filter(|d| d.severity == Badness::Error).map(ToString::to_string).collect();
            let message = format!("{}; the last good revision stays in force", errors.join("; "));
            self.event(EventType::ManifestInvalid, Severity::Error, Some(name), None, message);
            return unconfirmed;
        };
        let was_valid = before.is_some_and(|b| b.project.is_some());
        let new = self.put_in_force(name, Arc::clone(project));
        let root = self.options.root.clone();
        if let Some(tracked) = self.projects.get_mut(name)
            && tracked.ledger.root != root
            && (!self.options.single || tracked.ledger.root.as_os_str().is_empty())
        {
            tracked.ledger.root = root;
            tracked.unsaved = true;
            tracked.unsaved_target = true;
        }
        if new || !was_valid {
            self.tell_revision(name, project, &loaded.path.display().to_string());
        }
        unconfirmed
    }

    pub(super) fn trip(&mut self, reason: String) {
        let message = format!("{reason}; nothing is removed until `evenkeel confirm`");
        if self.guard.set(Some(reason)) {
            self.event(EventType::GuardTripped, Severity::Error, None, None, message);
        }
        self.dirty.extend(self.projects.keys().cloned());
    }

    /// Whether the directory is on another device than it was: a disk that is not mounted leaves an empty folder.
    fn other_device(&self, reading: &Reading) -> Option<String> {
        let before = self.host.devices.get(&self.options.root)?;
        let moved = reading.device.is_some_and(|now| now != *before);
        moved.then(|| format!("{} is on another device than before", self.options.root.display()))
    }

    pub(super) fn remember_device(&mut self, reading: &Reading) {
        let Some(device) = reading.device else { return };
        if self.host.devices.insert(self.options.root.clone(), device) != Some(device)
            && let Err(error) = self.store.save_host(&self.host)
        {
            self.issue("ledger", Some(error.to_string()));
        }
    }
}

/// Manifests by the project they are for. One that cannot be parsed is for the project that its file was for.
pub(super) fn by_name(
    tracked: &BTreeMap<ProjectName, Tracked>,
    manifests: &[Arc<Loaded>],
) -> BTreeMap<ProjectName, Arc<Loaded>> {
    let mut by_name: BTreeMap<ProjectName, Arc<Loaded>> = BTreeMap::new();
    for loaded in manifests {
        let known = || {
            let path = std::path::absolute(&loaded.path).unwrap_or_else(|_| loaded.path.clone());
            let was = |t: &Tracked| {
                t.target.as_ref().is_some_and(|p| p.files.iter().any(|f| f.starts_with(&path)))
                    || t.manifest.as_ref().is_some_and(|m| m.path == loaded.path)
            };
            tracked.values().find(|t| was(t)).map(|t| t.name.clone())
        };
        let by_path = || {
            let stem = if loaded.path.is_dir() { loaded.path.file_name() } else { loaded.path.file_stem() };
            ProjectName::sanitised(&stem?.to_string_lossy())
        };
        // Of two manifests of one name, both refused, the first is shown; both are named in its diagnostics.
        if let Some(name) = loaded.name.clone().or_else(known).or_else(by_path) {
            match by_name.get(&name) {
                Some(first) if first.project.is_some() || loaded.project.is_none() => {}
                _ => {
                    by_name.insert(name, Arc::clone(loaded));
                }
            }
        }
    }
    by_name
}
