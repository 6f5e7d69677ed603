//! A simulated container: what an inspect tells of it, and what only the simulation knows.

use std::collections::BTreeMap;
use std::time::Duration;

use super::blueprint::Blueprint;
use super::script::Script;
use super::{pace, refused};
use crate::engine::EngineError;
use crate::engine::unfinished::Running;
use crate::model::observed::{Container, ContainerState};
use crate::model::service::RestartPolicy;
use crate::model::setback::{Missing, Refusal};
use crate::model::{ContainerId, ImageId, InstanceId, NetworkId, ProjectName, ServiceName, Timestamp, labels};

/// A container.
#[derive(Debug, Clone)]
pub struct Simulated {
    /// As an inspect tells.
    pub seen: Container,
    /// What it was made of.
    pub made_of: Blueprint,
    /// What its processes do.
    pub(super) script: Script,
    /// Tells one run from another; rises with each change of state as well.
    pub(super) run: u64,
    /// How often it was started.
    pub(super) starts: u32,
    /// Somebody stopped it, so that its policy rests.
    pub(super) stopped_by_hand: bool,
    /// Somebody made its check fail.
    pub(super) sick: bool,
    pub(super) failed_checks: u32,
    /// Tells the checks that are due from those that were once.
    pub(super) checks: u64,
    /// The networks that it was attached to, by the name or id that it asks for.
    pub(super) bound: BTreeMap<String, NetworkId>,
    /// When its process began.
    pub started: Timestamp,
    /// The last wait before a restart.
    pub(super) restart_delay: Duration,
    /// How it ended last: code, and whether for want of memory.
    pub(super) ended: (i64, bool, Timestamp),
    /// Commands that run in it, each until then.
    pub(super) commands: Vec<(Running, Timestamp)>,
    before: Option<(Timestamp, Box<Container>)>,
}

impl Simulated {
    pub(super) fn new(id: ContainerId, made_of: Blueprint, image: ImageId, script: Script, now: Timestamp) -> Self {
        let seen = Container {
            service: made_of.label(labels::SERVICE).map(ServiceName::trusted),
            number: made_of.label(labels::CONTAINER_NUMBER).and_then(|n| n.parse().ok()).unwrap_or(0),
            oneoff: made_of.label(labels::ONEOFF).is_some_and(|o| o.eq_ignore_ascii_case("true")),
            config_hash: made_of.label(labels::CONFIG_HASH).map(str::to_owned),
            image,
            instance: made_of.label(labels::INSTANCE).map(InstanceId::trusted),
            depends_on: made_of.label(labels::DEPENDS_ON).map(labels::depends_on).unwrap_or_default(),
            engine_restarts: !matches!(made_of.policy, None | Some(RestartPolicy::No)),
            networks: made_of.networks.iter().cloned().collect(),
            fields: made_of.fields.clone(),
            ..Container::made(
                id,
                made_of.name.clone(),
                ProjectName::trusted(made_of.label(labels::PROJECT).unwrap_or_default()),
                now,
            )
        };
        Self {
            seen,
            made_of,
            script,
            run: 0,
            starts: 0,
            stopped_by_hand: false,
            sick: false,
            failed_checks: 0,
            checks: 0,
            bound: BTreeMap::new(),
            started: now,
            restart_delay: Duration::ZERO,
            ended: (0, false, now),
            commands: Vec::new(),
            before: None,
        }
    }

    pub(super) fn in_project(&self) -> bool {
        !self.seen.project.as_str().is_empty()
    }

    /// It as it was before its last change, if that was so short ago.
    pub(super) fn behind(&self, now: Timestamp, by: Duration) -> &Container {
        match &self.before {
            Some((at, before)) if at.checked_add(by).is_ok_and(|until| now < until) => before,
            _ => &self.seen,
        }
    }

    /// How often it was started.
    pub fn starts(&self) -> u32 {
        self.starts
    }

    pub(super) fn has_process(&self) -> bool {
        matches!(self.seen.state, ContainerState::Running { .. } | ContainerState::Paused)
    }

    /// The state of one that ended and is not started again.
    pub(super) fn over(&self) -> ContainerState {
        let (code, oom, finished) = self.ended;
        ContainerState::Exited { code, oom, started: self.started, finished }
    }

    /// Whether its process ended a moment ago.
    pub(super) fn just_died(&self, now: Timestamp) -> bool {
        match self.seen.state {
            ContainerState::Exited { finished, .. } => {
                finished.checked_add(2 * pace::DEATH).is_ok_and(|until| now < until)
            }
            _ => false,
        }
    }

    /// Keeps it as it is now, before a change, for reads that are behind.
    pub(super) fn remember(&mut self, now: Timestamp) {
        self.before = Some((now, Box::new(self.seen.clone())));
    }
}

pub(super) fn no_such(id: &ContainerId) -> EngineError {
    refused(Refusal::NotFound(Missing::Itself), format!("No such container: {id}"))
}
