//! How many calls of each kind are made at the same time. Kinds do not wait for each other: a registry that is slow holds up
//! no stop.

use crate::decide::Action;

/// A kind of calls that share a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::control) enum Lane {
    /// Calls that keep the Engine busy: create, start, update, remove, and the like.
    Engine,
    /// Stops, which mostly wait for a process to end.
    Stop,
    /// Pulls, which mostly wait for a registry.
    Pull,
    /// Builds, which mostly wait for a builder.
    Build,
}

/// A set of lanes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::control) struct Lanes(u8);

impl Lane {
    pub(super) const ALL: [Self; 4] = [Self::Engine, Self::Stop, Self::Pull, Self::Build];

    /// The lane of an action.
    pub(in crate::control) fn of(action: &Action) -> Self {
        match action {
            Action::StopContainer { .. } => Self::Stop,
            Action::PullImage { .. } => Self::Pull,
            Action::BuildImage { .. } => Self::Build,
            _ => Self::Engine,
        }
    }

    /// Calls at the same time; `parallel`: as the settings say of those that keep the Engine busy.
    pub(super) fn limit(self, parallel: usize) -> usize {
        match self {
            Self::Engine => parallel,
            Self::Stop | Self::Pull => 32,
            Self::Build => 8,
        }
    }
}

impl Lanes {
    pub(super) fn insert(&mut self, lane: Lane) {
        self.0 |= 1 << lane as u8;
    }

    pub(in crate::control) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether both have a lane.
    pub(in crate::control) fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_for_a_lane_is_not_helped_by_another() {
        let (mut waits, mut free) = (Lanes::default(), Lanes::default());
        waits.insert(Lane::Pull);
        free.insert(Lane::Stop);
        assert!(!waits.meets(free) && !waits.is_empty());
        free.insert(Lane::Pull);
        assert!(waits.meets(free));
    }
}
