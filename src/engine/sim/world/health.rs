//! Health checks, made as often as Docker makes them while one of them can change something.

use std::time::Duration;

use super::{Due, World};
use crate::engine::ContainerEvent;
use crate::model::ContainerId;
use crate::model::observed::{ContainerState, Health};

impl World {
    pub(super) fn check_later(&mut self, id: &ContainerId, delay: Duration) {
        let Some(container) = self.containers.get_mut(id) else { return };
        container.checks += 1;
        let number = container.checks;
        self.later(delay, Due::Check { id: id.clone(), number });
    }

    /// Its check is made, if that is still the one that is due.
    pub(in crate::engine::sim) fn check(&mut self, id: &ContainerId, number: u64) {
        let now = self.now;
        let Some(container) = self.containers.get_mut(id).filter(|c| c.checks == number) else { return };
        let (ContainerState::Running { .. }, Some(check)) = (container.seen.state, container.made_of.check) else {
            return;
        };
        let age = Duration::try_from(now.duration_since(container.started)).unwrap_or_default();
        let passes = container.script.passes(age) && !container.sick;
        let early = age < check.start_period;
        let before = container.seen.health;
        let after = if passes {
            container.failed_checks = 0;
            Health::Healthy
        } else if early && before == Health::Starting {
            Health::Starting
        } else {
            container.failed_checks += 1;
            if container.failed_checks >= check.retries { Health::Unhealthy } else { before }
        };
        let settled = after == before
            && passes == (after == Health::Healthy)
            && match after {
                Health::Healthy => container.script.sick_after.is_none_or(|at| age >= at),
                Health::Unhealthy => container.script.healthy_after.is_none_or(|at| age >= at),
                _ => false,
            };
        if after != before {
            if let Ok(container) = self.get(id) {
                container.seen.health = after;
            }
            self.emit_of(id, ContainerEvent::Health(after));
        }
        // Where no check can change anything any more none is made: who changes something begins anew.
        if !settled {
            let next = if early && after == Health::Starting { check.start_interval } else { check.interval };
            self.check_later(id, next);
        }
    }

    /// Whether its check passes now, however the Engine holds it to be.
    pub fn would_pass(&self, id: &ContainerId) -> bool {
        let checked = self.containers.get(id).is_some_and(|c| c.made_of.check.is_some());
        checked && self.would_answer(id)
    }

    /// Whether it would answer a probe now.
    pub fn would_answer(&self, id: &ContainerId) -> bool {
        let Some(container) = self.containers.get(id) else { return false };
        let age = Duration::try_from(self.now.duration_since(container.started)).unwrap_or_default();
        let runs = matches!(container.seen.state, ContainerState::Running { .. });
        runs && container.script.passes(age) && !container.sick
    }

    /// Its check fails from now on, or passes again.
    pub fn sicken(&mut self, id: &ContainerId, sick: bool) {
        let Some(container) = self.containers.get_mut(id) else { return };
        container.sick = sick;
        if let Some(check) = container.made_of.check.filter(|_| container.has_process()) {
            self.check_later(id, check.interval);
        }
    }
}
