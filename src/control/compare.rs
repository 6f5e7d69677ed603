//! What containers are made with, compared with what is desired of them: once for each of them and each of both, not at
//! each decision.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use foldhash::fast::RandomState;
use tokio::time::Instant;

use super::observe::Cache;
use super::{execute, files};
use crate::decide::sharing;
use crate::engine::EngineRead;
use crate::model::fields::{Difference, Fields};
use crate::model::ledger::Contents;
use crate::model::{ContainerId, Project, Timestamp};

/// What was compared, so that it is not compared again.
#[derive(Debug, Default)]
pub(super) struct Comparisons(HashMap<ContainerId, Compared, RandomState>);

#[derive(Debug)]
struct Compared {
    observed: Arc<Fields>,
    target: Arc<Project>,
    image: Option<Arc<Fields>>,
    /// When files were looked at.
    looked: Look,
    /// What was seen of them.
    seen: files::Seen,
    /// How they differ.
    files: Vec<Difference>,
    differences: Arc<Vec<Difference>>,
}

/// The process that files were looked at through, and the reading of the manifests that it was for: they are looked at
/// again with each of either.
type Look = (Option<u32>, Option<Instant>);

impl Comparisons {
    /// Compares the containers of a project with its target. `reading`: the latest of the manifests. `now`: since then what
    /// is found to differ is known to; `None`: nobody looked before, so nobody can tell since when. `contents`: what processes
    /// took notice of, which is brought up to date.
    pub(super) fn update(
        &mut self,
        engine: &dyn EngineRead,
        cache: &mut Cache,
        target: &Arc<Project>,
        reading: Option<Instant>,
        now: Option<Timestamp>,
        contents: &mut BTreeMap<ContainerId, Contents>,
    ) {
        let name = &target.name;
        let images: Vec<_> = cache
            .of_project(name)
            .map(|c| {
                let service = c.service.as_ref().and_then(|s| target.services.get(s));
                service.and_then(|s| cache.images().fields(&s.image, &c.image))
            })
            .collect();
        let shares = target.services.values().any(|s| s.hash_template.is_some());
        let resolved = shares.then(|| {
            let observed = cache.snapshot(name, Some(target));
            sharing::resolve(target, &observed).into_owned()
        });
        for (container, image) in cache.of_project_mut(name).zip(images) {
            let same = |a: &Option<Arc<Fields>>, b: &Option<Arc<Fields>>| match (a, b) {
                (Some(a), Some(b)) => Arc::ptr_eq(a, b),
                (None, None) => true,
                _ => false,
            };
            let service = container.service.as_ref();
            let service = service.and_then(|s| resolved.as_ref().unwrap_or(target).services.get(s));
            let (Some(observed), Some(service)) = (&container.fields, service.filter(|_| !container.oneoff)) else {
                container.differences = None;
                continue;
            };
            let look = (container.pid, reading);
            let mut before = self.0.get_mut(&container.id);
            let seen = match &before {
                _ if !files::concern(service) => files::Seen::default(),
                Some(before) if before.looked == look && Arc::ptr_eq(&before.target, target) => before.seen.clone(),
                _ => files::look(target, service, container),
            };
            let files = seen.differences(service.extension.reload.as_ref(), container, contents);
            let known = before.as_mut().filter(|c| {
                // Whom it shares with is not told by the target.
                service.hash_template.is_none()
                    && c.observed == *observed
                    && Arc::ptr_eq(&c.target, target)
                    && same(&c.image, &image)
                    && c.files == files
            });
            if let Some(known) = known {
                known.looked = look;
                known.seen = seen;
                container.differences = Some(Arc::clone(&known.differences));
                continue;
            }
            let desired = execute::desired(engine, target, service, container.number);
            let Ok(desired) = desired else {
                container.differences = None;
                continue;
            };
            let mut differences = desired.differences(observed, image.as_deref());
            differences.extend(files.iter().cloned());
            let old = before.map(|b| Arc::clone(&b.differences)).unwrap_or_default();
            for difference in &mut differences {
                let since = old.iter().find(|o| o.path == difference.path).and_then(|o| o.since);
                difference.since = since.or(now);
            }
            let compared = Compared {
                observed: Arc::clone(observed),
                target: Arc::clone(target),
                image,
                looked: look,
                seen,
                files,
                differences: Arc::new(differences),
            };
            container.differences = Some(Arc::clone(&compared.differences));
            self.0.insert(container.id.clone(), compared);
        }
    }

    /// Forgets containers that are gone.
    pub(super) fn retain(&mut self, cache: &Cache) {
        self.0.retain(|id, _| cache.container(id).is_some());
    }
}
