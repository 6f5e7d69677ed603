//! Failures that what is observed now shows to be over: somebody else did what the step could not, the call had taken
//! effect after all, or nobody wants it any more.

use std::collections::BTreeSet;

use super::readiness;
use super::slots::{Filled, Phase, Slot, Slots};
use crate::decide::Input;
use crate::decide::throttle;
use crate::model::Project;
use crate::model::ledger::Subject;
use crate::model::observed::Container;

/// The subjects whose failures are over. One whose step is in flight or to be taken is not.
pub(in crate::decide) fn subjects(
    input: &Input<'_>,
    project: &Project,
    slots: &Slots<'_>,
    busy: &BTreeSet<Subject>,
) -> BTreeSet<Subject> {
    let over = |subject: &Subject| match subject {
        Subject::Network(name) => {
            let wanted = usize::from(project.networks.values().any(|n| n.name == *name));
            input.observed.networks.values().filter(|n| n.name == *name).count() == wanted
        }
        Subject::Volume(name) => {
            let wanted = project.volumes.values().any(|v| v.name == *name);
            wanted == input.observed.volumes.contains_key(name)
        }
        Subject::Image(reference) => {
            let wanted = project.services.values().any(|s| s.image == *reference);
            !wanted || input.observed.images.get(reference).is_some_and(Option::is_some)
        }
        Subject::Replica(service, number) => {
            match slots.find(service).zip(slots.of_service(service).iter().find(|s| s.number == *number)) {
                // Until it is known which image is meant, what runs only seems to be as desired.
                Some((filled, slot)) => {
                    let done = filled.image.is_some() && slot.stale.is_empty() && readiness::came_up(&slot.phase);
                    done && !slot.current.is_some_and(|current| is_to_change(input, filled, slot, current))
                }
                None => !input
                    .observed
                    .containers
                    .values()
                    .any(|c| c.service.as_ref() == Some(service) && c.number == *number && !c.oneoff),
            }
        }
    };
    let failures = input.ledger.failures.keys();
    failures.filter(|s| !input.in_flight.contains_key(s) && !busy.contains(s) && over(s)).cloned().collect()
}

/// Whether something is left to be done about a container that runs: what failed may have been just that.
fn is_to_change(input: &Input<'_>, filled: &Filled<'_>, slot: &Slot<'_>, container: &Container) -> bool {
    let Phase::Running { since, .. } = slot.phase else { return false };
    readiness::hooks_pending(input, filled.service, container, since)
        || throttle::step(input, filled.service, container).is_some()
        || filled.drift.of(container).is_some_and(|differing| differing.is_to_change())
}
