//! Events patch the cache at once: what they tell is newer than any list or inspect that was begun before.

use tokio::time::Instant;

use super::{Cache, Entry};
use crate::engine::{ContainerEvent, EngineEvent, EventKind};
use crate::model::observed::{ContainerState, Health};
use crate::model::{ContainerId, ProjectName, Timestamp};

/// What is to be done about something that arrived.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::control) struct Reaction {
    /// The project to decide again.
    pub(in crate::control) dirty: Option<ProjectName>,
    /// A container to look at.
    pub(in crate::control) inspect: Option<ContainerId>,
    /// Lists are out of date.
    pub(in crate::control) list: bool,
    /// References to images may mean something else.
    pub(in crate::control) images: bool,
    /// A container ended: which, and how.
    pub(in crate::control) died: Option<(ContainerId, i64)>,
}

impl Cache {
    /// Takes in an event.
    pub(in crate::control) fn event(&mut self, event: &EngineEvent) -> Reaction {
        self.clock += 1;
        self.last_event = Some(self.last_event.map_or(event.time, |t| t.max(event.time)));
        let list = |list| Reaction { list, ..Reaction::default() };
        match &event.kind {
            EventKind::Container { project, .. } if !self.interest.knows(project) => Reaction::default(),
            EventKind::Container { id, project, action } => self.container_event(id, project, action, event.time),
            EventKind::Network { container: Some(id), .. } => {
                Reaction { inspect: self.entries.contains_key(id).then(|| id.clone()), ..Reaction::default() }
            }
            EventKind::Network { id, name, destroyed, .. } => {
                let known = self.resources.network(id).and_then(|n| n.project.as_ref());
                let ours = known.is_some_and(|p| self.interest.knows(p));
                if *destroyed && let Some(network) = self.resources.remove_network(id) {
                    self.note_network(&network);
                }
                list(ours || self.interest.of_network(name).next().is_some())
            }
            EventKind::Volume { name, destroyed } => {
                let known = self.resources.volume(name).and_then(|v| v.project.as_ref());
                let ours = known.is_some_and(|p| self.interest.knows(p));
                if *destroyed && let Some(volume) = self.resources.remove_volume(name) {
                    self.note_volume(&volume);
                }
                list(ours || self.interest.of_volume(name).next().is_some())
            }
            EventKind::Image => Reaction { images: true, ..Reaction::default() },
        }
    }

    fn container_event(
        &mut self,
        id: &ContainerId,
        project: &ProjectName,
        action: &ContainerEvent,
        time: Timestamp,
    ) -> Reaction {
        let mut reaction = Reaction { dirty: Some(project.clone()), ..Reaction::default() };
        let look = |mut reaction: Reaction| {
            reaction.inspect = Some(id.clone());
            reaction
        };
        let clock = self.clock;
        if *action == ContainerEvent::Destroyed {
            self.forget(id);
            let entry = Entry {
                project: project.clone(),
                event: clock,
                inspected: Instant::now(),
                oom: false,
                ended: None,
                doubts: 0,
                passed: false,
            };
            self.entries.insert(id.clone(), entry);
            return reaction;
        }
        let Some(entry) = self.entries.get_mut(id) else { return look(reaction) };
        entry.event = clock;
        let Some(container) = self.projects.get_mut(&entry.project).and_then(|o| o.containers.get_mut(id)) else {
            return look(reaction);
        };
        // After a reconnection old events are told again, and some come late: what is known since is newer.
        let outdated = match container.state {
            ContainerState::Running { since: known } | ContainerState::Exited { finished: known, .. } => time < known,
            _ => false,
        };
        match (action, container.state) {
            // The inspect that told of the end cannot tell what brought it about.
            (ContainerEvent::Killed, ContainerState::Exited { started, finished, .. }) => {
                container.killed |= started <= time && time <= finished;
                return reaction;
            }
            _ if outdated => return reaction,
            _ => {}
        }
        match action {
            // Handled above; and it was looked at already, after its creation came back.
            ContainerEvent::Destroyed | ContainerEvent::Created => {}
            ContainerEvent::Started => {
                container.state = ContainerState::Running { since: time };
                container.killed = false;
                container.exit_watched = false;
                // Whether there is a check is told by the inspect that follows.
                container.health = Health::Starting;
                entry.oom = false;
                entry.ended = None;
                entry.passed = false;
                return look(reaction);
            }
            ContainerEvent::Died { code } => {
                reaction.died = Some((id.clone(), *code));
                container.exit_watched = true;
                entry.ended = Some(time);
                entry.passed = false;
                if container.engine_restarts {
                    // The Engine may be about to restart it: only an inspect tells.
                    return look(reaction);
                }
                let started = match container.state {
                    ContainerState::Running { since } => since,
                    _ => time,
                };
                container.state = ContainerState::Exited { code: *code, oom: entry.oom, started, finished: time };
                container.health = Health::None;
            }
            ContainerEvent::Killed => container.killed |= container.is_running(),
            ContainerEvent::OutOfMemory => entry.oom = true,
            ContainerEvent::Paused => container.state = ContainerState::Paused,
            ContainerEvent::Health(health) if container.is_running() => container.health = *health,
            ContainerEvent::Health(_) => {}
            ContainerEvent::Unpaused | ContainerEvent::Changed => return look(reaction),
        }
        reaction
    }
}
