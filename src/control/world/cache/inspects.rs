//! Inspects tell most, and may be behind what events told.

use tokio::time::Instant;

use super::super::runs;
use super::{Cache, Entry};
use crate::model::ContainerId;
use crate::model::observed::{Container, ContainerState, Health};

/// So often an inspect that is behind the events is not believed: clocks may have been set.
const DOUBTS: u8 = 3;

impl Cache {
    /// Takes in an inspect that was begun at `point`; says whether it has to be repeated, as an event came meanwhile.
    pub(in crate::control) fn inspected(
        &mut self,
        id: &ContainerId,
        point: u64,
        found: Option<Container>,
        now: Instant,
    ) -> bool {
        self.clock += 1;
        let Some(mut container) = found else {
            self.forget(id);
            return false;
        };
        let (mut oom, mut ended, mut passed) = (false, None, false);
        if let Some(entry) = self.entries.get_mut(id) {
            if entry.event > point {
                return true;
            }
            (oom, ended) = (entry.oom, entry.ended);
            if let Some(old) = self.projects.get(&entry.project).and_then(|o| o.containers.get(id)) {
                let over =
                    matches!(container.state, ContainerState::Running { since } if ended.is_some_and(|at| since < at));
                if entry.doubts < DOUBTS && (over || runs::is_behind(old.state, container.state)) {
                    entry.doubts += 1;
                    return true;
                }
                let same_run = runs::goes_on(old, container.state);
                container.killed = same_run && old.killed;
                container.exit_watched = same_run && old.exit_watched;
                passed =
                    entry.passed && container.health == Health::Starting && runs::is_one(old.state, container.state);
                if passed {
                    container.health = Health::Healthy;
                }
            }
        }
        if let ContainerState::Exited { oom: seen, .. } = &mut container.state {
            *seen |= oom;
        }
        let event = self.entries.get(id).map_or(0, |e| e.event);
        let entry = Entry { project: container.project.clone(), event, inspected: now, oom, ended, doubts: 0, passed };
        self.entries.insert(id.clone(), entry);
        self.projects.entry(container.project.clone()).or_default().containers.insert(id.clone(), container);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{ContainerEvent, EngineEvent, EventKind, Listing};
    use crate::model::{ImageId, ProjectName, Timestamp};

    fn removing(id: &ContainerId, project: &ProjectName) -> Container {
        Container {
            image: ImageId::trusted("sha256:1"),
            state: ContainerState::Removing,
            ..Container::made(id.clone(), "shop-web-1", project.clone(), Timestamp::UNIX_EPOCH)
        }
    }

    #[test]
    fn an_inspect_from_before_the_destruction_does_not_bring_a_container_back() {
        let (id, project) = (ContainerId::trusted("c1"), ProjectName::trusted("shop"));
        for known in [true, false] {
            let mut cache = Cache::default();
            cache.interest_mut().follow(&project, None);
            let now = Timestamp::UNIX_EPOCH;
            if known {
                cache.inspected(&id, cache.point(), Some(removing(&id, &project)), Instant::now());
            }
            let begun = cache.point();
            let kind =
                EventKind::Container { id: id.clone(), project: project.clone(), action: ContainerEvent::Destroyed };
            assert_eq!(cache.event(&EngineEvent { time: now, kind }).inspect, None);
            assert!(cache.inspected(&id, begun, Some(removing(&id, &project)), Instant::now()), "to be repeated");
            assert_eq!(cache.container(&id), None);
            assert!(!cache.inspected(&id, cache.point(), None, Instant::now()));
            assert_eq!(cache.of_project(&project).count(), 0);
        }
    }

    #[test]
    fn an_inspect_that_tells_of_a_time_before_the_events_is_repeated_and_in_the_end_believed() {
        let (id, project) = (ContainerId::trusted("c1"), ProjectName::trusted("shop"));
        let mut cache = Cache::default();
        let at = |second| Timestamp::from_second(second).unwrap();
        let with = |state| Some(Container { state, ..removing(&id, &project) });
        cache.inspected(&id, cache.point(), with(ContainerState::Running { since: at(5) }), Instant::now());
        for _ in 0..DOUBTS {
            assert!(cache.inspected(&id, cache.point(), with(ContainerState::Created), Instant::now()));
            assert!(cache.container(&id).is_some_and(Container::is_running));
        }
        assert!(!cache.inspected(&id, cache.point(), with(ContainerState::Created), Instant::now()));
        assert!(cache.container(&id).is_some_and(|c| c.state == ContainerState::Created));
    }

    #[test]
    fn a_kill_that_is_told_after_the_end_was_seen_belongs_to_that_end() {
        let (id, project) = (ContainerId::trusted("c1"), ProjectName::trusted("shop"));
        let at = |second| Timestamp::from_second(second).unwrap();
        for (time, killed) in [(8, true), (3, false)] {
            let mut cache = Cache::default();
            cache.interest_mut().follow(&project, None);
            let state = ContainerState::Exited { code: 0, oom: false, started: at(5), finished: at(9) };
            let found = Container { state, ..removing(&id, &project) };
            cache.inspected(&id, cache.point(), Some(found), Instant::now());
            let action = ContainerEvent::Killed;
            let kind = EventKind::Container { id: id.clone(), project: project.clone(), action };
            cache.event(&EngineEvent { time: at(time), kind });
            assert_eq!(cache.container(&id).map(|c| c.killed), Some(killed), "{time}");
        }
    }

    #[test]
    fn a_kill_is_not_held_against_a_run_that_nobody_heard_of() {
        let (id, project) = (ContainerId::trusted("c1"), ProjectName::trusted("shop"));
        let at = |second| Timestamp::from_second(second).unwrap();
        let exited = |code, started, finished| {
            let state = ContainerState::Exited { code, oom: false, started: at(started), finished: at(finished) };
            Some(Container { state, ..removing(&id, &project) })
        };
        for (run, killed) in [(exited(0, 20, 23), false), (exited(128, 5, 9), true)] {
            let mut cache = Cache::default();
            cache.interest_mut().follow(&project, None);
            cache.inspected(&id, cache.point(), exited(137, 5, 9), Instant::now());
            let kind =
                EventKind::Container { id: id.clone(), project: project.clone(), action: ContainerEvent::Killed };
            cache.event(&EngineEvent { time: at(8), kind });
            let what = format!("{run:?}");
            cache.inspected(&id, cache.point(), run, Instant::now());
            assert_eq!(cache.container(&id).map(|c| c.killed), Some(killed), "{what}");
        }
    }

    #[test]
    fn what_was_destroyed_is_forgotten_at_the_next_list() {
        let (id, project) = (ContainerId::trusted("c1"), ProjectName::trusted("shop"));
        let mut cache = Cache::default();
        cache.interest_mut().follow(&project, None);
        let kind = EventKind::Container { id, project, action: ContainerEvent::Destroyed };
        cache.event(&EngineEvent { time: Timestamp::UNIX_EPOCH, kind });
        assert_eq!(cache.entries.len(), 1);
        cache.listed(cache.point(), &Listing::default());
        assert!(cache.entries.is_empty());
    }
}
