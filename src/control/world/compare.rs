//! What containers are made with, compared with what is desired of them: once for each of them and each of both, not at
//! each decision.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::cache::Cache;
use crate::control::sensors::files::Seen;
use crate::control::steps::desired;
use crate::decide::sharing;
use crate::engine::EngineRead;
use crate::model::fields::{Difference, Fields};
use crate::model::ledger::Contents;
use crate::model::{ContainerId, Project, Timestamp};

/// What was compared, so that it is not compared again.
#[derive(Debug, Default)]
pub(in crate::control) struct Comparisons(HashMap<ContainerId, Compared, RandomState>);

#[derive(Debug)]
struct Compared {
    observed: Arc<Fields>,
    target: Arc<Project>,
    image: Option<Arc<Fields>>,
    /// How the files differ that it mounts.
    files: Vec<Difference>,
    differences: Arc<Vec<Difference>>,
}

/// What a project's containers are compared with.
pub(in crate::control) struct Compare<'a> {
    /// Says what a container of some service would be made with.
    pub(in crate::control) engine: &'a dyn EngineRead,
    pub(in crate::control) target: &'a Arc<Project>,
    /// What is found to differ is known to since then; `None`: nobody looked before, so nobody can tell since when.
    pub(in crate::control) now: Option<Timestamp>,
    /// What was seen of the files that containers mount.
    pub(in crate::control) files: &'a dyn Fn(&ContainerId) -> Option<&'a Seen>,
    /// What processes took notice of; brought up to date.
    pub(in crate::control) contents: &'a mut BTreeMap<ContainerId, Contents>,
}

impl Comparisons {
    /// Compares the containers of a project with its target.
    pub(in crate::control) fn update(&mut self, cache: &mut Cache, compare: &mut Compare<'_>) {
        let target = compare.target;
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
            let seen = (compare.files)(&container.id);
            let reload = service.extension.reload.as_ref();
            let files = seen.map(|seen| seen.differences(reload, container, compare.contents)).unwrap_or_default();
            let before = self.0.get(&container.id);
            let known = before.filter(|c| {
                // Whom it shares with is not told by the target.
                service.hash_template.is_none()
                    && c.observed == *observed
                    && Arc::ptr_eq(&c.target, target)
                    && same(&c.image, &image)
                    && c.files == files
            });
            if let Some(known) = known {
                container.differences = Some(Arc::clone(&known.differences));
                continue;
            }
            let Ok(desired) = desired(compare.engine, target, service, container.number) else {
                container.differences = None;
                continue;
            };
            let mut differences = desired.differences(observed, image.as_deref());
            differences.extend(files.iter().cloned());
            let old = before.map(|b| Arc::clone(&b.differences)).unwrap_or_default();
            for difference in &mut differences {
                let since = old.iter().find(|o| o.path == difference.path).and_then(|o| o.since);
                difference.since = since.or(compare.now);
            }
            let compared = Compared {
                observed: Arc::clone(observed),
                target: Arc::clone(target),
                image,
                files,
                differences: Arc::new(differences),
            };
            container.differences = Some(Arc::clone(&compared.differences));
            self.0.insert(container.id.clone(), compared);
        }
    }

    /// Forgets containers that are gone.
    pub(in crate::control) fn retain(&mut self, cache: &Cache) {
        self.0.retain(|id, _| cache.container(id).is_some());
    }
}
