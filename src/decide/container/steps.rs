//! The steps of one replica as they are written into a decision.

use super::Turn;
use crate::decide::recovery::pace;
use crate::decide::replica::slots::{Slot, attached};
use crate::decide::throttle;
use crate::decide::{Action, Cause, Decision};
use crate::model::observed::{Container, ContainerState};
use crate::model::service::Reload;
use crate::model::{NetworkId, Timestamp};

impl Turn<'_, '_> {
    /// Attaches a container to a network that it lacks; says whether there is one.
    pub(super) fn attach(&self, slot: &Slot<'_>, current: &Container, decision: &mut Decision) -> bool {
        for key in self.service.networks.keys() {
            let Some(id) = self.prerequisites.networks.get(key) else { continue };
            let Some(network) = self.input.observed.networks.get(id) else { continue };
            if !attached(current, network) {
                let action = Action::ConnectNetwork {
                    service: self.service.name.clone(),
                    number: slot.number,
                    container: current.id.clone(),
                    key: key.clone(),
                    network: id.clone(),
                };
                decision.step(action, Cause::Missing);
                return true;
            }
        }
        false
    }

    /// Repairs in place what differs.
    pub(super) fn mend(&self, slot: &Slot<'_>, current: &Container, decision: &mut Decision) {
        let Some(differing) = self.filled.drift.of(current) else { return };
        self.filled.drift.wait(slot.number, &differing, decision);
        let (service, number, container) = (self.service.name.clone(), slot.number, current.id.clone());
        if let Some(cause) = differing.restart() {
            self.stop(slot, current, cause, decision);
            return;
        }
        if let Some((changes, cause)) = differing.update() {
            decision.step(Action::UpdateContainer { service, number, container, changes }, cause);
            return;
        }
        if let (Some(Reload::Signal(signal)), Some(cause)) = (&self.service.extension.reload, differing.signal()) {
            decision.step(Action::SignalContainer { service, number, container, signal: signal.clone() }, cause);
            return;
        }
        let attached = current.fields.iter().flat_map(|fields| fields.networks());
        if let Some((name, cause)) = differing.detach(attached) {
            let known = self.input.observed.networks.values();
            let mut known = known.filter(|n| n.name == name && current.networks.contains(n.id.as_str()));
            let network = known.next().map_or_else(|| NetworkId::trusted(name), |n| n.id.clone());
            let name = name.to_owned();
            decision.step(Action::DisconnectNetwork { service, number, container, name, network }, cause);
        }
    }

    /// Gives back what was taken from a container that is to be replaced and has to wait for it.
    pub(super) fn ease(&self, slot: &Slot<'_>, decision: &mut Decision) {
        // Nearly nobody has one, and all that follows costs something.
        let mut old = slot.stale.iter().filter(|old| old.is_running());
        let released = old.find_map(|old| {
            let step = throttle::step(self.input, self.service, old);
            step.filter(|(_, cause)| matches!(cause, Cause::Released { .. }))
        });
        let Some((action, cause)) = released else { return };
        let subject = self.subject(slot);
        let busy = self.input.in_flight.contains_key(&subject)
            || decision.steps.iter().any(|step| step.action.subject() == subject)
            || pace::backoff(self.input, &subject, &self.service.config_hash).is_some();
        if !busy {
            decision.step(action, cause);
        }
    }

    pub(super) fn networks_at_creation(&self) -> Vec<(String, crate::model::NetworkId)> {
        let several = self.input.capabilities.several_networks_at_creation();
        self.service
            .networks
            .keys()
            .filter_map(|key| Some((key.clone(), self.prerequisites.networks.get(key)?.clone())))
            .take(if several { usize::MAX } else { 1 })
            .collect()
    }

    pub(super) fn final_name(&self, slot: &Slot<'_>) -> String {
        self.service.container_name(&self.project.name, slot.number)
    }

    pub(super) fn start(&self, slot: &Slot<'_>, container: &Container) -> Action {
        Action::StartContainer {
            service: self.service.name.clone(),
            number: slot.number,
            container: container.id.clone(),
        }
    }

    pub(super) fn run_hooks(&self, slot: &Slot<'_>, container: &Container, since: Timestamp, decision: &mut Decision) {
        let action = Action::RunHooks {
            service: self.service.name.clone(),
            number: slot.number,
            container: container.id.clone(),
            since,
        };
        decision.step(action, Cause::Ready);
    }

    pub(super) fn stop(&self, slot: &Slot<'_>, container: &Container, cause: Cause, decision: &mut Decision) {
        let action = Action::StopContainer {
            service: self.service.name.clone(),
            number: slot.number,
            container: container.id.clone(),
            grace: self.service.stop_grace_period,
        };
        decision.step(action, cause);
    }

    pub(super) fn remove(&self, slot: &Slot<'_>, container: &Container, cause: Cause, decision: &mut Decision) {
        if container.state == ContainerState::Removing {
            return;
        }
        let action = Action::RemoveContainer {
            service: self.service.name.clone(),
            number: slot.number,
            container: container.id.clone(),
        };
        decision.step(action, cause);
    }

    pub(super) fn unpause(&self, slot: &Slot<'_>, container: &Container, decision: &mut Decision) {
        let action = Action::UnpauseContainer {
            service: self.service.name.clone(),
            number: slot.number,
            container: container.id.clone(),
        };
        decision.step(action, Cause::Paused);
    }

    /// Stops what runs, removes what does not.
    pub(super) fn discard(&self, slot: &Slot<'_>, container: &Container, cause: Cause, decision: &mut Decision) {
        if container.is_running() {
            self.stop(slot, container, cause, decision);
        } else {
            self.remove(slot, container, cause, decision);
        }
    }
}
