//! Which run of a container an event or an inspect tells of.

use crate::model::observed::{Container, ContainerState};
use crate::model::time;

/// Whether an inspect tells of a time before what is known by an event: what runs was not just made, what ran out does
/// not run since before that, and what began did not end before it.
pub(in crate::control) fn is_behind(known: ContainerState, told: ContainerState) -> bool {
    match (known, told) {
        (ContainerState::Running { .. } | ContainerState::Exited { .. }, ContainerState::Created) => true,
        (ContainerState::Exited { finished, .. }, ContainerState::Running { since }) => since < finished,
        (ContainerState::Running { since }, ContainerState::Exited { finished, .. }) => finished < since,
        _ => false,
    }
}

/// Whether both tell of the same run.
pub(in crate::control) fn is_one(known: ContainerState, told: ContainerState) -> bool {
    let (ContainerState::Running { since: a }, ContainerState::Running { since: b }) = (known, told) else {
        return false;
    };
    time::is_one_start(a, b)
}

/// Whether what an inspect tells is of the run that is known already, and what is known of its end belongs to it.
pub(in crate::control) fn goes_on(known: &Container, told: ContainerState) -> bool {
    match (known.state, told) {
        (ContainerState::Running { since: a }, ContainerState::Running { since: b }) => a == b || known.killed,
        (_, ContainerState::Running { .. }) => false,
        // It may have been started and have ended while nobody listened.
        (ContainerState::Exited { finished, .. }, ContainerState::Exited { started, .. }) => started <= finished,
        _ => true,
    }
}
