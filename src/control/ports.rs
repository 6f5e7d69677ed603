//! Ports of the host that a change waits for. Whose container has them, nobody tells when it goes: lists are asked for.

use std::time::Duration;

use tokio::time::Instant;

use super::Controller;
use super::tracked::Tracked;
use crate::decide::WaitingOn;

/// Between two looks at whether a port was given up.
const PAUSE: Duration = Duration::from_secs(5);

/// When to look again; `None`: nobody waits.
#[derive(Debug, Default)]
pub(super) struct PortLook(Option<Instant>);

impl PortLook {
    pub(super) fn due(&self) -> Option<Instant> {
        self.0
    }
}

impl Tracked {
    /// Whether it waits for a port.
    fn waits_for_port(&self) -> bool {
        self.decision.waiting.iter().any(|w| matches!(w.on, WaitingOn::Port { .. }))
    }
}

impl Controller {
    /// Looks again after a while, if a project waits for a port.
    pub(super) fn look_at_ports_later(&mut self) {
        if self.projects.values().any(Tracked::waits_for_port) {
            self.port_look.0.get_or_insert_with(|| Instant::now() + PAUSE);
        }
    }

    /// Looks, if it is time to.
    pub(super) fn look_at_ports(&mut self) {
        if self.port_look.0.is_some_and(|at| at <= Instant::now()) {
            self.port_look.0 = None;
            self.look_at_ports_later();
            if self.engine_status.up {
                self.list();
            }
        }
    }

    /// Other ports are taken than before: who waits for one is decided again.
    pub(super) fn on_ports_changed(&mut self) {
        let waiting = self.projects.values().filter(|t| t.waits_for_port());
        self.dirty.extend(waiting.map(|t| t.name.clone()));
    }
}
