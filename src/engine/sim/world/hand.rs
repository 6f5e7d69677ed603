//! What happens to an Engine from outside: the machine's restart, the daemon's, the disk, and what people do that the
//! traits have no call for.

use super::{Due, World};
use crate::model::ContainerId;
use crate::model::observed::ContainerState;
use crate::model::service::RestartPolicy;

impl World {
    /// The Engine goes away. `containers`: they end with it, as they do unless it was told to let them live.
    pub fn go_away(&mut self, containers: bool) {
        self.away = true;
        self.epoch += 1;
        self.starting = 0;
        if containers {
            let ids: Vec<ContainerId> = self.containers.keys().cloned().collect();
            for id in ids {
                self.fall(&id);
            }
        }
        self.events.end();
        self.due.retain(|_, due| !matches!(due, Due::Tell { .. }));
    }

    /// It ends with the Engine: nobody restarts it before that is back.
    fn fall(&mut self, id: &ContainerId) {
        let Some(container) = self.containers.get_mut(id) else { return };
        let by_hand = container.stopped_by_hand;
        container.stopped_by_hand = true;
        let run = container.run;
        match container.seen.state {
            ContainerState::Restarting => {
                container.run += 1;
                container.seen.state = container.over();
            }
            _ => self.ends(id, run, 255, false),
        }
        if let Some(container) = self.containers.get_mut(id) {
            container.stopped_by_hand = by_hand;
        }
    }

    /// The Engine is back, and starts what its restart policy says, in any order.
    pub fn come_back(&mut self) {
        self.away = false;
        let mut ids: Vec<ContainerId> = self
            .containers
            .values()
            .filter(|c| match (c.seen.state, c.made_of.policy) {
                (ContainerState::Exited { code, .. }, Some(policy)) => match policy {
                    RestartPolicy::No => false,
                    RestartPolicy::Always => true,
                    RestartPolicy::UnlessStopped => !c.stopped_by_hand,
                    RestartPolicy::OnFailure { .. } => code != 0 && !c.stopped_by_hand,
                },
                _ => false,
            })
            .map(|c| c.seen.id.clone())
            .collect();
        self.draw.shuffle(&mut ids);
        for id in ids {
            // What cannot be started is left down.
            let _ = self.start(&id);
        }
    }

    /// The disk is full, or has room again.
    pub fn fill_disk(&mut self, full: bool) {
        self.full = full;
    }
}
