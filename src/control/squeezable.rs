//! Which containers may get less of the CPUs for the sake of the host.

use super::intake::Intake;
use super::ledger::Ledger;
use super::world::World;
use crate::decide::pressure::Candidate;
use crate::model::observed::ContainerState;

/// Running containers of services that are not critical, of projects that are kept as their manifests say. What they use is
/// for who has that to add.
pub(super) fn candidates(ledger: &Ledger, world: &World, intake: &Intake) -> Vec<Candidate> {
    let mut candidates = Vec::new();
    for (name, ledger, revision) in ledger.iter() {
        let Some(target) = revision.in_force.as_deref() else { continue };
        let is_kept = intake.has_manifest(name) && ledger.down.is_none();
        if !is_kept || target.extension.suspend || ledger.suspended {
            continue;
        }
        for container in world.of_project(name).filter(|c| !c.oneoff) {
            let service = container.service.as_ref().and_then(|name| target.services.get(name));
            let may_be = service.filter(|service| {
                let suspended = service.extension.suspend || ledger.suspended_services.contains(&service.name);
                !service.extension.critical && !suspended
            });
            let Some(service) = may_be else { continue };
            if matches!(container.state, ContainerState::Running { .. }) {
                let (id, priority) = (container.id.clone(), service.extension.throttle.priority);
                candidates.push(Candidate { id, priority, cpus: None });
            }
        }
    }
    candidates
}
