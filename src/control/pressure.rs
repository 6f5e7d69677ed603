//! The host under the containers: how hard pressed it is, and what is done about that.

use std::sync::atomic::Ordering;

use tokio_util::task::AbortOnDropHandle;

use super::tracked::Tracked;
use super::{Controller, Message};
use crate::decide::WaitingOn;
use crate::decide::pressure::Candidate;
use crate::model::event::{EventType, Severity};
use crate::model::observed::ContainerState;
use crate::model::usage::HostLoad;

impl Controller {
    /// Looks at the host.
    pub(super) fn look_at_host(&self) -> Option<HostLoad> {
        self.options.host.as_ref()?.look(self.clock.now())
    }

    /// Looks at the host from time to time, where there is one to look at.
    pub(super) fn watch_host(&self) -> Option<AbortOnDropHandle<()>> {
        let options = self.options.host.clone()?;
        let (clock, sender) = (self.clock.clone(), self.sender.clone());
        let task = tokio::spawn(async move {
            loop {
                tokio::time::sleep(options.interval).await;
                let load = options.look(clock.now());
                if sender.send(Message::Host(load)).is_err() {
                    return;
                }
            }
        });
        Some(AbortOnDropHandle::new(task))
    }

    /// The host that this runs on was looked at, which may be another one than the Engine's; `None`: nothing could be read.
    pub(super) fn on_host(&mut self, load: Option<HostLoad>) {
        self.host_load = load;
        let blind = self.blind();
        if self.issue("host_figures", blind.clone())
            && let Some(text) = blind
        {
            self.event(EventType::SystemAlert, Severity::Warning, None, None, text);
        }
        let load = load.filter(|_| self.host_is_here());
        self.cache.host_is(load);
        let Some(policy) = self.options.host.as_ref().map(|host| host.policy) else { return };
        let watched = self.host_guard.needs_usage();
        let changed = match load {
            Some(load) => {
                let candidates = if policy.enabled { self.candidates() } else { Vec::new() };
                self.host_guard.look(&policy, &load, &candidates)
            }
            None => std::mem::take(&mut self.host_guard).forgets(),
        };
        let concerned = changed.iter().filter_map(|id| Some(self.cache.container(id)?.project.clone()));
        self.dirty.extend(concerned);
        if watched != self.host_guard.needs_usage() {
            self.dirty.extend(self.projects.keys().cloned());
        }
        let short =
            |tracked: &&Tracked| tracked.decision.waiting.iter().any(|w| matches!(w.on, WaitingOn::Resources { .. }));
        self.dirty.extend(self.projects.values().filter(short).map(|tracked| tracked.name.clone()));
        let worst = self.host_guard.worst();
        self.probing.pressed.store(worst.is_some_and(|worst| worst.beyond >= 1.0), Ordering::Relaxed);
        let pressed = load.is_some_and(|load| self.host_guard.is_pressed(&policy, load.at));
        let text = worst.filter(|_| pressed).map(|worst| format!("the host is hard pressed: {worst}"));
        if self.issue("host", text.clone())
            && let Some(text) = text
        {
            self.event(EventType::SystemAlert, Severity::Warning, None, None, text);
        }
    }

    /// Why nobody can tell how the host is, where somebody wants to know.
    fn blind(&self) -> Option<String> {
        let (options, engine) = (self.options.host.as_ref()?, self.engine_memory?);
        let reserves = |tracked: &Tracked| tracked.target.as_ref().is_some_and(|project| project.reserves());
        if self.host_is_here() || !options.policy.enabled && !self.projects.values().any(reserves) {
            return None;
        }
        let proc = options.proc.display();
        let why = match self.host_load {
            None => format!("{proc} tells nothing of the host"),
            Some(load) => {
                let (other, own) = (load.memory >> 20, engine >> 20);
                format!("{proc} tells of another host than the Engine's: of {other} MiB of memory, not {own}")
            }
        };
        Some(format!(
            "{why}; nothing is throttled for the host's sake, and reservations are not looked at: \
             mount /proc of the Engine's host and name it as `host_guard.proc`"
        ))
    }

    /// Whether the host that is looked at is the Engine's.
    pub(super) fn host_is_here(&self) -> bool {
        self.host_load.is_some_and(|load| Some(load.memory) == self.engine_memory)
    }

    /// Containers that may be squeezed.
    fn candidates(&self) -> Vec<Candidate> {
        let mut candidates = Vec::new();
        for tracked in self.projects.values().filter(|t| t.manifest.is_some() && t.ledger.down.is_none()) {
            let Some(target) = tracked.target.as_deref() else { continue };
            if target.extension.suspend || tracked.ledger.suspended {
                continue;
            }
            for container in self.cache.of_project(&tracked.name).filter(|c| !c.oneoff) {
                let service = container.service.as_ref().and_then(|name| target.services.get(name));
                let may_be = service.filter(|service| {
                    let suspended = &tracked.ledger.suspended_services;
                    let suspended = service.extension.suspend || suspended.contains(&service.name);
                    !service.extension.critical && !suspended
                });
                let Some(service) = may_be else { continue };
                if matches!(container.state, ContainerState::Running { .. }) {
                    candidates.push(Candidate {
                        id: container.id.clone(),
                        priority: service.extension.throttle.priority,
                        cpus: self.cpus_of(&container.id),
                    });
                }
            }
        }
        candidates
    }
}
