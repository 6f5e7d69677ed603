//! Recoveries at the same time: after an outage everything wants to be started again at once. They are made a few at a time,
//! critical services first.

use crate::decide::{Decision, Input, WaitingOn};
use crate::model::{Project, ServiceName};

/// How many recoveries may be begun now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Recoveries that may be begun, over all projects.
    pub free: u32,
    /// Those of them that are kept for critical services of other projects: `kept <= free`.
    pub kept: u32,
}

impl Default for Room {
    fn default() -> Self {
        Self { free: u32::MAX, kept: 0 }
    }
}

/// Takes back the recoveries that there is no room for.
pub(in crate::decide) fn limit(input: &Input<'_>, project: &Project, decision: &mut Decision) {
    let critical = |service: &ServiceName| project.services.get(service).is_some_and(|s| s.extension.critical);
    let mut wanted: Vec<(bool, ServiceName, usize)> = Vec::new();
    for (place, step) in decision.steps.iter().enumerate() {
        if let (Some(_), Some(service)) = (step.cause.attempt(), step.action.service()) {
            wanted.push((!critical(service), service.clone(), place));
        }
    }
    if wanted.len() <= input.room.free.saturating_sub(input.room.kept) as usize {
        return;
    }
    // In the order of urgency that the steps have, but for what is critical.
    wanted.sort_by_key(|(lesser, _, place)| (*lesser, *place));
    let mut begun = 0;
    let mut held = Vec::new();
    for (lesser, service, place) in wanted {
        let kept = if lesser { input.room.kept } else { 0 };
        if begun < input.room.free.saturating_sub(kept) {
            begun += 1;
        } else {
            held.push((place, service, !lesser));
        }
    }
    held.sort_unstable_by_key(|(place, ..)| std::cmp::Reverse(*place));
    for (place, service, critical) in held {
        decision.steps.remove(place);
        decision.wait(Some(&service), WaitingOn::Queue { critical });
    }
}
