//! Steps from their beginning until their effect is seen: the one place that knows what is under way. The marks in the
//! ledger are for the case that the controller ends meanwhile, and are made from the same steps.

use std::collections::BTreeMap;

use super::lanes::{Lane, Lanes};
use crate::decide::{Action, Step};
use crate::model::ledger::Subject;
use crate::model::{ContainerId, ProjectName};

/// A subject of a project.
pub(in crate::control) type Place = (ProjectName, Subject);

/// What is under way. At most one step for each subject.
#[derive(Debug, Default)]
pub(in crate::control) struct InFlight {
    projects: BTreeMap<ProjectName, BTreeMap<Subject, Action>>,
    /// Calls that have not come back, by lane.
    calls: BTreeMap<Lane, usize>,
    awaited: Awaited,
}

/// Effects that are to be seen, by how they are: until then their subject stays in flight.
#[derive(Debug, Default)]
struct Awaited {
    containers: BTreeMap<ContainerId, Place>,
    images: BTreeMap<String, Vec<Place>>,
    /// Lists that were begun at this point in the order of arrivals, or later.
    lists: Vec<(u64, Place)>,
}

impl InFlight {
    /// The steps of a project whose effect is not seen yet.
    pub(in crate::control) fn of(&self, name: &ProjectName) -> &BTreeMap<Subject, Action> {
        static NONE: BTreeMap<Subject, Action> = BTreeMap::new();
        self.projects.get(name).unwrap_or(&NONE)
    }

    /// Whether calls are under way.
    pub(in crate::control) fn is_busy(&self) -> bool {
        self.calls.values().any(|count| *count > 0)
    }

    /// The lanes with room for one more call.
    pub(super) fn room(&self, parallel: usize) -> Lanes {
        let mut free = Lanes::default();
        let used = |lane: &Lane| self.calls.get(lane).copied().unwrap_or_default();
        Lane::ALL.into_iter().filter(|lane| used(lane) < lane.limit(parallel)).for_each(|lane| free.insert(lane));
        free
    }

    /// A step begins.
    pub(super) fn begins(&mut self, name: &ProjectName, step: &Step) {
        *self.calls.entry(Lane::of(&step.action)).or_default() += 1;
        self.projects.entry(name.clone()).or_default().insert(step.action.subject(), step.action.clone());
    }

    /// The call of a step came back, or was never made. The step stays in flight.
    pub(super) fn returned(&mut self, action: &Action) {
        if let Some(count) = self.calls.get_mut(&Lane::of(action)) {
            *count = count.saturating_sub(1);
        }
    }

    /// A step is over.
    pub(super) fn ends(&mut self, name: &ProjectName, subject: &Subject) {
        if let Some(steps) = self.projects.get_mut(name) {
            steps.remove(subject);
            if steps.is_empty() {
                self.projects.remove(name);
            }
        }
    }

    /// A step whose call is over stays in flight, as its effect is in doubt.
    pub(super) fn in_doubt(&mut self, name: &ProjectName, action: &Action) {
        self.projects.entry(name.clone()).or_default().insert(action.subject(), action.clone());
    }

    /// A step is over once this container was looked at.
    pub(super) fn until_inspected(&mut self, id: ContainerId, place: Place) {
        self.awaited.containers.insert(id, place);
    }

    /// A step is over once this reference was looked up.
    pub(super) fn until_looked_up(&mut self, reference: &str, place: Place) {
        self.awaited.images.entry(reference.to_owned()).or_default().push(place);
    }

    /// A step is over with a list that was begun at this point, or later.
    pub(super) fn until_listed(&mut self, point: u64, place: Place) {
        self.awaited.lists.push((point, place));
    }

    /// A container was looked at; the step that this ends.
    pub(super) fn inspected(&mut self, id: &ContainerId) -> Option<Place> {
        let place = self.awaited.containers.remove(id)?;
        self.ends(&place.0, &place.1);
        Some(place)
    }

    /// A reference was looked up; the steps that this ends.
    pub(super) fn looked_up(&mut self, reference: &str) -> Vec<Place> {
        let places = self.awaited.images.remove(reference).unwrap_or_default();
        places.iter().for_each(|(name, subject)| self.ends(name, subject));
        places
    }

    /// A list that was begun at this point came; the steps that this ends.
    pub(super) fn listed(&mut self, point: u64) -> Vec<Place> {
        let (seen, waiting): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.awaited.lists).into_iter().partition(|(mark, _)| point >= *mark);
        self.awaited.lists = waiting;
        let places: Vec<Place> = seen.into_iter().map(|(_, place)| place).collect();
        places.iter().for_each(|(name, subject)| self.ends(name, subject));
        places
    }

    /// The Engine was lost: nothing more is seen. What is known is looked at afresh anyway.
    pub(super) fn engine_lost(&mut self) -> Vec<Place> {
        let Awaited { containers, images, lists } = std::mem::take(&mut self.awaited);
        let lists = lists.into_iter().map(|(_, place)| place);
        let places: Vec<Place> = containers.into_values().chain(images.into_values().flatten()).chain(lists).collect();
        places.iter().for_each(|(name, subject)| self.ends(name, subject));
        places
    }

    /// A project is gone.
    pub(super) fn forget(&mut self, name: &ProjectName) {
        self.projects.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::Cause;
    use crate::model::ServiceName;

    fn start() -> Step {
        let (service, container) = (ServiceName::trusted("web"), ContainerId::trusted("c1"));
        Step { action: Action::StartContainer { service, number: 1, container }, cause: Cause::Ready }
    }

    #[test]
    fn a_step_stays_in_flight_until_its_effect_is_seen() {
        let (mut in_flight, name, step) = (InFlight::default(), ProjectName::trusted("shop"), start());
        in_flight.begins(&name, &step);
        assert!(in_flight.is_busy() && in_flight.of(&name).len() == 1);
        in_flight.returned(&step.action);
        in_flight.until_inspected(ContainerId::trusted("c1"), (name.clone(), step.action.subject()));
        assert!(!in_flight.is_busy() && in_flight.of(&name).len() == 1);
        assert!(in_flight.inspected(&ContainerId::trusted("other")).is_none());
        assert!(in_flight.inspected(&ContainerId::trusted("c1")).is_some() && in_flight.of(&name).is_empty());
        assert!(in_flight.projects.is_empty(), "nothing is kept of who has nothing under way");
    }

    #[test]
    fn a_list_from_before_shows_nothing() {
        let (mut in_flight, name, step) = (InFlight::default(), ProjectName::trusted("shop"), start());
        in_flight.begins(&name, &step);
        in_flight.until_listed(5, (name.clone(), step.action.subject()));
        assert!(in_flight.listed(4).is_empty());
        assert_eq!(in_flight.listed(5).len(), 1);
    }

    #[test]
    fn each_lane_has_room_of_its_own() {
        let (mut in_flight, name) = (InFlight::default(), ProjectName::trusted("shop"));
        for n in 0..Lane::Pull.limit(8) {
            let action = Action::PullImage { image: format!("i{n}") };
            in_flight.begins(&name, &Step { action, cause: Cause::Missing });
        }
        let lanes = |lane| {
            let mut lanes = Lanes::default();
            lanes.insert(lane);
            lanes
        };
        let room = in_flight.room(8);
        assert!(!room.meets(lanes(Lane::Pull)) && room.meets(lanes(Lane::Stop)) && room.meets(lanes(Lane::Engine)));
    }
}
