//! Health checks that the controller makes itself while somebody waits for them: at once and then ever more seldom, where
//! the Engine makes its first one only after a whole interval.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::task::AbortOnDropHandle;

use super::Told;
use crate::control::message::EngineAnswer;
use crate::control::world::World;
use crate::engine::{Engine, EngineError};
use crate::model::{ContainerId, Project, ProjectName};

/// Between the first two checks; each further pause is half as long again.
const FIRST_PAUSE: Duration = Duration::from_millis(40);
/// Docker's defaults, where the manifest says nothing.
const INTERVAL: Duration = Duration::from_secs(30);
const TIMEOUT: Duration = Duration::from_secs(30);
/// Checks at the same time: each is three calls and a process.
const AT_ONCE: usize = 4;

/// The checks that are being made.
pub(in crate::control) struct Checks {
    running: BTreeMap<ContainerId, (ProjectName, AbortOnDropHandle<()>)>,
    permits: Arc<Semaphore>,
}

impl Default for Checks {
    fn default() -> Self {
        Self { running: BTreeMap::new(), permits: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

impl Checks {
    /// Makes none any more: what they would tell is of an Engine that was lost.
    pub(super) fn stop(&mut self) {
        self.running.clear();
    }

    /// Makes the checks that are waited for in a project, and no others.
    pub(super) fn await_these(
        &mut self,
        name: &ProjectName,
        target: Option<&Project>,
        awaited: &BTreeSet<ContainerId>,
        world: &World,
        told: &Told,
    ) {
        self.running.retain(|id, (project, _)| project != name || awaited.contains(id));
        for id in awaited {
            if self.running.contains_key(id) {
                continue;
            }
            let Some(check) = Check::of(id, target, world) else { continue };
            let (told, container, permits) = (told.clone(), id.clone(), Arc::clone(&self.permits));
            let task = tokio::spawn(async move {
                if check.until_passed(&*told.engine, &permits, &container).await.is_ok() {
                    told.answer(EngineAnswer::CheckPassed { id: container }).await;
                }
            });
            self.running.insert(id.clone(), (name.clone(), AbortOnDropHandle::new(task)));
        }
    }
}

/// A health check.
struct Check {
    test: Vec<String>,
    timeout: Duration,
    interval: Duration,
}

impl Check {
    /// The check of a container: the manifest's, or its image's.
    fn of(id: &ContainerId, target: Option<&Project>, world: &World) -> Option<Self> {
        let container = world.container(id)?;
        let declared = target?.services.get(container.service.as_ref()?)?.healthcheck.clone().unwrap_or_default();
        let fields = container.fields.as_ref();
        let own = || serde_json::from_str(fields?.get("healthcheck.test")?).ok();
        let test = if declared.test.is_empty() { own()? } else { declared.test };
        Some(Self {
            test,
            timeout: declared.timeout.filter(|t| !t.is_zero()).unwrap_or(TIMEOUT),
            interval: declared.interval.filter(|i| !i.is_zero()).unwrap_or(INTERVAL),
        })
    }

    /// Returns when it passed. An error means that it cannot be made, as the container ended or the Engine is away.
    async fn until_passed(
        &self,
        engine: &dyn Engine,
        permits: &Semaphore,
        id: &ContainerId,
    ) -> Result<(), EngineError> {
        let mut pause = FIRST_PAUSE;
        loop {
            {
                let _permit = permits.acquire().await;
                if engine.check(id, &self.test, self.timeout).await?.is_none() {
                    return Ok(());
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 3 / 2).min(self.interval);
        }
    }
}
