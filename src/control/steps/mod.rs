//! Steps, from the choice of those that there is room for until their effect is seen.

mod execute;
mod in_flight;
mod lanes;
mod order;
mod outcome;
mod pull_budget;
mod recovery_limit;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

pub(super) use execute::desired;
use in_flight::{InFlight, Place};
use lanes::{Lane, Lanes};
pub(super) use order::Order;
pub(super) use outcome::{Outcome, Sight, begin_patch, sight};
use pull_budget::PullBudget;
use recovery_limit::RecoveryLimiter;

use super::message::Message;
use super::options::Options;
use crate::decide::{Action, Decision, Room, Step, WaitingOn};
use crate::engine::Engine;
use crate::model::ledger::{Failure, Subject};
use crate::model::state::ServiceState;
use crate::model::{ContainerId, ProjectName, Timestamp, names};

/// The steps of all projects.
pub(super) struct Steps {
    sender: mpsc::Sender<Message>,
    parallel: usize,
    start_delay: Duration,
    max_recoveries: u32,
    /// A hook that takes longer has failed.
    hook_limit: Duration,
    pulls_an_hour: u32,
    in_flight: InFlight,
    limiter: RecoveryLimiter,
    pull_budget: PullBudget,
    /// Projects with steps that found no room, and in which lanes.
    starved: BTreeMap<ProjectName, Lanes>,
    /// A call came back since the starved were thought of last.
    is_freed: bool,
    next_start: Instant,
}

/// The steps that are begun now.
#[derive(Debug, Default)]
pub(super) struct Chosen {
    pub(super) steps: Vec<Step>,
    /// Another one may be begun after this time.
    pub(super) again_after: Option<Duration>,
}

impl Steps {
    pub(super) fn new(options: &Options, sender: mpsc::Sender<Message>) -> Self {
        Self {
            sender,
            parallel: options.parallel,
            start_delay: options.start_delay,
            max_recoveries: options.recovery.max_parallel,
            hook_limit: options.hook_limit,
            pulls_an_hour: options.recovery.pull_retries,
            in_flight: InFlight::default(),
            limiter: RecoveryLimiter::default(),
            pull_budget: PullBudget::default(),
            starved: BTreeMap::new(),
            is_freed: false,
            next_start: Instant::now(),
        }
    }

    /// The steps of a project whose effect is not seen yet.
    pub(super) fn in_flight(&self, name: &ProjectName) -> &BTreeMap<Subject, Action> {
        self.in_flight.of(name)
    }

    /// Whether calls are under way.
    pub(super) fn is_busy(&self) -> bool {
        self.in_flight.is_busy()
    }

    /// Whether a step works on this container: it is looked at when the step has ended. `died`: it ended, which only a stop
    /// explains; the answer to anything else may be long in coming.
    pub(super) fn explain(&self, name: &ProjectName, id: &ContainerId, died: bool) -> bool {
        let explains = |a: &Action| a.container() == Some(id) && (!died || matches!(a, Action::StopContainer { .. }));
        self.in_flight.of(name).values().any(explains)
    }

    /// How many recoveries of a project may be begun now.
    pub(super) fn recovery_room(&self, name: &ProjectName) -> Room {
        self.limiter.room_for(name, self.max_recoveries)
    }

    /// Whether room became free since this was asked last.
    pub(super) fn take_freed(&mut self) -> bool {
        std::mem::take(&mut self.is_freed)
    }

    /// The first project after this one, in the order of names, that has steps for room that is free. The others that had no
    /// room would be decided as they were, and begin nothing.
    pub(super) fn next_starved(&self, after: Option<&ProjectName>) -> Option<&ProjectName> {
        use std::ops::Bound;
        let room = self.in_flight.room(self.parallel);
        let after = (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        let mut starved = self.starved.range::<ProjectName, _>(after);
        starved.find(|(_, lanes)| lanes.meets(room)).map(|(name, _)| name)
    }

    /// Chooses the steps that there is room for: they are in flight from now on.
    pub(super) fn choose(&mut self, name: &ProjectName, steps: Vec<Step>) -> Chosen {
        let mut chosen = Chosen::default();
        let mut starved = Lanes::default();
        for step in steps {
            let mut lane = Lanes::default();
            lane.insert(Lane::of(&step.action));
            if !lane.meets(self.in_flight.room(self.parallel)) {
                starved.insert(Lane::of(&step.action));
                continue;
            }
            if matches!(step.action, Action::StartContainer { .. }) && !self.start_delay.is_zero() {
                let now = Instant::now();
                if now < self.next_start {
                    chosen.again_after = Some(self.next_start - now);
                    continue;
                }
                self.next_start = now + self.start_delay;
            }
            self.in_flight.begins(name, &step);
            self.limiter.begins(name, &step);
            chosen.steps.push(step);
        }
        if starved.is_empty() {
            self.starved.remove(name);
        } else {
            self.starved.insert(name.clone(), starved);
        }
        chosen
    }

    /// Steps are not taken after all, as they could not be noted.
    pub(super) fn cancel(&mut self, name: &ProjectName, steps: &[Step]) {
        for step in steps {
            self.in_flight.returned(&step.action);
            self.in_flight.ends(name, &step.action.subject());
        }
        self.is_freed = true;
    }

    /// Takes a step: its call is made beside the loop.
    pub(super) fn launch(&self, name: &ProjectName, step: Step, order: Order, engine: Arc<dyn Engine>) {
        let (sender, project, hook_limit) = (self.sender.clone(), name.clone(), self.hook_limit);
        tokio::spawn(async move {
            let began = Instant::now();
            let result = execute::execute(&*engine, &order, hook_limit).await;
            let outcome = Outcome { project, step, took: began.elapsed(), result };
            let _ = sender.send(Message::Step(Box::new(outcome))).await;
        });
    }

    /// The call of a step came back. The step stays in flight until its effect is seen.
    pub(super) fn returned(&mut self, step: &Step) {
        self.in_flight.returned(&step.action);
        self.is_freed = true;
    }

    /// A step is over: it failed, or there is nothing to see.
    pub(super) fn ends(&mut self, name: &ProjectName, subject: &Subject) {
        self.in_flight.ends(name, subject);
    }

    /// A step is over once its effect is seen.
    pub(super) fn await_sight(&mut self, name: &ProjectName, subject: &Subject, sight: &Sight) {
        let place = (name.clone(), subject.clone());
        match sight {
            Sight::Nothing => self.in_flight.ends(name, subject),
            Sight::Inspect(id) => self.in_flight.until_inspected(id.clone(), place),
            Sight::LookUp(reference) => self.in_flight.until_looked_up(reference, place),
            Sight::List(point) => self.in_flight.until_listed(*point, place),
        }
    }

    /// A change in place failed: until its container was looked at afterwards nothing is known of what it made.
    pub(super) fn changed_in_doubt(&mut self, name: &ProjectName, action: &Action, container: &ContainerId) {
        self.in_flight.in_doubt(name, action);
        self.in_flight.until_inspected(container.clone(), (name.clone(), action.subject()));
    }

    /// A container was looked at; the step that this ends.
    pub(super) fn inspected(&mut self, id: &ContainerId) -> Option<Place> {
        self.in_flight.inspected(id)
    }

    /// A reference was looked up; the steps that this ends.
    pub(super) fn looked_up(&mut self, reference: &str) -> Vec<Place> {
        self.in_flight.looked_up(reference)
    }

    /// A list that was begun at this point came; the steps that this ends.
    pub(super) fn listed(&mut self, point: u64) -> Vec<Place> {
        self.in_flight.listed(point)
    }

    /// The Engine was lost; the steps of which nothing is seen any more.
    pub(super) fn engine_lost(&mut self) -> Vec<Place> {
        self.in_flight.engine_lost()
    }

    /// Puts the retry of a pull that failed where its registry has room for it, and says so in the failure's words.
    pub(super) fn spread_pull(&mut self, image: &str, failure: &mut Failure, now: Timestamp) {
        let (registry, an_hour) = (names::registry(image), self.pulls_an_hour);
        let not_before = self.pull_budget.take(registry, an_hour, now);
        failure.not_before = Some(not_before);
        if not_before > now {
            let why = format!("; retries of {registry} are spread, {an_hour} an hour (recovery.pull_retries)");
            failure.error.push_str(&why);
        }
    }

    /// Takes in how recoveries of a project are; the projects that may have room now.
    pub(super) fn recovered(&mut self, name: &ProjectName, decision: &Decision) -> Vec<ProjectName> {
        let queues = decision.waiting.iter().filter_map(|w| match w.on {
            WaitingOn::Queue { critical } => Some(critical),
            _ => None,
        });
        self.limiter.waits(name, queues.max());
        let in_flight = self.in_flight.of(name);
        let goes_on = |subject: &Subject| {
            let Subject::Replica(service, _) = subject else { return false };
            let state = decision.services.get(service);
            in_flight.contains_key(subject)
                || matches!(state, Some(ServiceState::Starting { .. } | ServiceState::Stopping))
        };
        self.limiter.keep(name, goes_on).cloned().collect()
    }

    /// A project is gone; the projects that may have room now.
    pub(super) fn forget(&mut self, name: &ProjectName) -> Vec<ProjectName> {
        self.starved.remove(name);
        self.in_flight.forget(name);
        self.limiter.waits(name, None);
        self.limiter.keep(name, |_| false).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::Cause;

    fn steps(options: &Options) -> Steps {
        Steps::new(options, mpsc::channel(1).0)
    }

    fn step(action: Action) -> Step {
        Step { action, cause: Cause::Missing }
    }

    #[test]
    fn thirty_two_pulls_that_hang_hold_up_no_stop() {
        let options = Options::of("/m".into());
        let (mut all, [slow, other]) = (steps(&options), ["slow", "other"].map(ProjectName::trusted));
        let pulls = (0..40).map(|n| step(Action::PullImage { image: format!("i{n}") })).collect();
        assert_eq!(all.choose(&slow, pulls).steps.len(), 32);
        let (service, container) = (crate::model::ServiceName::trusted("a"), ContainerId::trusted("c"));
        let stop = step(Action::StopContainer { service, number: 1, container, grace: None });
        assert_eq!(all.choose(&other, vec![stop]).steps.len(), 1);
        assert_eq!(all.next_starved(None), None, "there is no room for the pulls that wait");
        all.returned(&step(Action::PullImage { image: "i0".into() }));
        assert!(all.take_freed() && all.next_starved(None) == Some(&slow));
        assert_eq!(all.next_starved(Some(&slow)), None);
    }

    #[test]
    fn a_step_that_could_not_be_noted_is_not_in_flight() {
        let options = Options { parallel: 1, ..Options::of("/m".into()) };
        let (mut all, name) = (steps(&options), ProjectName::trusted("shop"));
        let create = |n: u32| step(Action::CreateVolume { key: n.to_string(), name: n.to_string() });
        let chosen = all.choose(&name, vec![create(1), create(2)]);
        assert_eq!(chosen.steps.len(), 1);
        all.cancel(&name, &chosen.steps);
        assert!(all.in_flight(&name).is_empty() && !all.is_busy());
        assert_eq!(all.choose(&name, vec![create(2)]).steps.len(), 1);
    }
}
