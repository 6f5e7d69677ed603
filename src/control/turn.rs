//! A turn of the loop: gather what may be decided on, decide, note what begins, and hand it out once that is on the disk.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::Controller;
use super::input::{Rules, Situation};
use super::ledger::{Changed, LedgerError, LedgerPatch};
use super::message::Then;
use super::operations::{self, After, Answer, Operation, OperationError, Progress, Request};
use super::pending::Plans;
use super::publish::{self, Outlook, ProjectView};
use super::sensors::Watch;
use super::steps::{self, Order, Outcome};
use super::world::Compare;
use super::{decisions, steps::Sight};
use crate::decide::memory;
use crate::decide::{self, Action, Decision, RolloutStatus, Step};
use crate::engine::EngineError;
use crate::model::event::Severity;
use crate::model::ledger::{Healthy, ProjectLedger};
use crate::model::observed::Container;
use crate::model::record::RecordData;
use crate::model::state::ProjectState;
use crate::model::{ContainerId, Project, ProjectName, time};

/// After the ledger could not be written.
const LEDGER_RETRY: Duration = Duration::from_secs(1);

impl Controller {
    /// Decides about everything that changed, begins what may be done, writes and publishes.
    pub(super) fn turn(&mut self) {
        if self.may_decide() {
            let mut due = self.schedule.take();
            let freed = self.steps.take_freed();
            let mut last = None;
            while let Some(name) = self.next_project(&mut due, freed, last.as_ref()) {
                self.decide(&name);
                self.publisher.mark(&name);
                last = Some(name);
            }
            self.tell_baseline();
        }
        self.ledger.flush(Instant::now());
        // What is written in place is there already, and what follows may have more to write.
        while let Some(written) = self.ledger.next_written() {
            self.on_written(written);
        }
        self.publish();
    }

    /// The project to decide about after this one, in the order of names: one that changed, or, where room became free,
    /// one that has steps for it.
    fn next_project(
        &self,
        due: &mut BTreeSet<ProjectName>,
        freed: bool,
        last: Option<&ProjectName>,
    ) -> Option<ProjectName> {
        let starved = if freed { self.steps.next_starved(last) } else { None };
        match (due.first(), starved) {
            (Some(first), Some(starved)) if starved < first => Some(starved.clone()),
            (None, starved) => starved.cloned(),
            _ => due.pop_first(),
        }
    }

    /// Whether what is known is worth a decision.
    pub(super) fn may_decide(&self) -> bool {
        self.link.is_up() && self.intake.last().is_some() && self.pending.stopping().is_none()
    }

    fn decide(&mut self, name: &ProjectName) {
        let Some(ledger) = self.ledger.of(name) else { return };
        if !self.options.scope.decides(ledger, self.intake.has_manifest(name)) {
            return;
        }
        if self.ledger.is_writing(name) {
            self.schedule.hold(name);
            return;
        }
        let (began, now) = (std::time::Instant::now(), self.clock.now());
        if ledger.unanswered.is_some_and(|at| at > now) {
            // The clock was set back: from now on, then.
            self.ledger.note(name, |ledger| ledger.unanswered.replace(now).is_some());
        }
        let target = self.ledger.target(name).cloned();
        if let Some(target) = &target
            && let Some(until) = self.look_at_containers(target)
        {
            self.schedule.wake_by(name, time::after(now, until.duration_since(Instant::now())));
            return;
        }
        let others = self.others(target.as_deref());
        let is_fresh = self.world.is_fresh(name);
        let (Some(ledger), Some(revision)) = (self.ledger.of(name), self.ledger.revision(name)) else { return };
        let situation = Situation {
            project: name,
            manifest: self.intake.manifest_state(name),
            revision,
            ledger,
            observed: self.world.observed(name, target.as_deref()),
            in_flight: self.steps.in_flight(name),
            others: &others,
            guard_tripped: self.intake.guard().is_some(),
            capabilities: self.link.capabilities(),
            room: self.steps.recovery_room(name),
            rules: Rules::of(&self.options, &self.instance),
            now,
        };
        let input = situation.input();
        if !is_fresh {
            let done = self.decider.completions(&input);
            self.note_done(name, done);
            return;
        }
        let mut decision = self.decider.decide(&input);
        self.publisher.bus().observer().decided(&input, &decision);
        let broken = decide::lint(&input, &decision);
        let took_us = publish::micros(began.elapsed());
        for violation in broken {
            // A step that breaks an invariant is not taken, whatever led to it.
            decision.steps.retain(|step| *step != violation.step);
            let data = RecordData::InvariantViolated { violation: violation.to_string() };
            self.publisher.tell(Severity::Error, Some(name), None, data);
        }
        let data = RecordData::Decided { took_us, changes: !decision.steps.is_empty() };
        self.publisher.bus().count(Some(name), None, data);
        self.take_decision(name, decision, target);
    }

    /// Brings sensors and comparisons of a project in line with what runs. Gives until when its decision has to wait for
    /// them.
    fn look_at_containers(&mut self, target: &Arc<Project>) -> Option<Instant> {
        let name = &target.name;
        let reading = self.intake.last().map(|reading| reading.at);
        let ledger = self.ledger.of(name)?;
        let watch = Watch { target, ledger, world: &self.world, reading };
        if let Some(until) = self.sensors.look_at_files(&watch) {
            return Some(until);
        }
        self.sensors.update(&watch);
        let mut contents = ledger.contents.clone();
        let engine = Arc::clone(self.link.engine());
        let (sensors, now) = (&self.sensors, self.clock.now());
        self.world.compare(&mut Compare {
            engine: &*engine,
            target,
            now: Some(now),
            files: &|id| sensors.seen_files(name, id),
            contents: &mut contents,
        });
        self.world.assess(name, |container| sensors.assessment(container));
        self.ledger.note(name, |ledger| {
            let news = ledger.contents != contents;
            ledger.contents = contents;
            news
        });
        None
    }

    /// How the projects are that this one depends on.
    fn others(&self, target: Option<&Project>) -> BTreeMap<ProjectName, ProjectState> {
        let wanted = target.into_iter().flat_map(|p| &p.extension.depends_on);
        let with_manifest = wanted.filter(|other| self.intake.has_manifest(other));
        with_manifest.filter_map(|other| Some((other.clone(), self.state(other)?))).collect()
    }

    fn state(&self, name: &ProjectName) -> Option<ProjectState> {
        Some(decisions::state(self.intake.loaded(name), self.ledger.revision(name)?, self.decisions.of(name)))
    }

    /// Remembers jobs that are done.
    fn note_done(
        &mut self,
        name: &ProjectName,
        done: BTreeMap<crate::model::ServiceName, crate::model::ledger::Completion>,
    ) {
        let news = self.ledger.note(name, |ledger| {
            let news = !done.is_empty();
            ledger.completions.extend(done);
            news
        });
        if news {
            // What depends on a job goes on at once.
            self.schedule.mark(name);
        }
    }

    /// Notes what was decided, tells it, and begins its steps.
    fn take_decision(&mut self, name: &ProjectName, decision: Decision, target: Option<Arc<Project>>) {
        let now = self.clock.now();
        self.schedule.wake_at(name, decision.wake_at);
        self.note_done(name, decision.completions.clone());
        // Breakers that open and recoveries that begin count as attempts: only once they are on the disk.
        let intends = !decision.transitions.is_empty() || !decision.breakers.is_empty();
        if !intends {
            self.ledger.note(name, |ledger| memory::decided(ledger, &decision, now));
        }
        if let Some(revision) = self.ledger.revision_mut(name) {
            revision.decided = target.as_ref().map(|t| t.revision.clone());
        }
        let (rollout_status, steps, gone) = (decision.rollout_status.clone(), decision.steps.clone(), decision.gone);
        let before = self.decisions.set(name, decision);
        if !intends || self.ledger.trouble().is_none() {
            self.tell_changes(name, &before, target.as_deref());
        }
        if gone {
            return self.on_gone(name);
        }
        self.forget_what_is_gone(name, target.as_deref());
        if self.decisions.waiting_for_ports().contains(name) {
            self.link.watch_ports();
        }
        let freed = self.steps.recovered(name, self.decisions.of(name));
        self.schedule.mark_all(&freed);
        self.sensors.await_checks(name, target.as_deref(), &self.decisions.of(name).awaited, &self.world);
        if let Some(rollout_status) = rollout_status {
            self.on_rollout_status(name, rollout_status);
        }
        self.begin(name, steps, intends, target);
    }

    /// Forgets services that the manifest has no more, once nothing of them is left and two readings agree on that.
    fn forget_what_is_gone(&mut self, name: &ProjectName, target: Option<&Project>) {
        let Some(target) = target else { return };
        let is_read = self.ledger.revision(name).is_some_and(|r| r.read.as_ref() == Some(&target.revision));
        if !is_read || !self.intake.absences_confirmed(name) || !self.steps.in_flight(name).is_empty() {
            return;
        }
        let is_wanted = |c: &&Container| c.service.as_ref().is_some_and(|s| target.services.contains_key(s));
        let others: BTreeSet<_> =
            self.world.of_project(name).filter(|c| !is_wanted(c)).filter_map(|c| c.service.clone()).collect();
        self.ledger.note(name, |ledger| ledger.forget_services(target, |service| others.contains(service)));
    }

    /// Tells what a decision changed.
    fn tell_changes(&mut self, name: &ProjectName, before: &Decision, target: Option<&Project>) {
        let after = self.decisions.of(name);
        let (was, is, gone) = (before.state, after.state, after.gone);
        self.publisher.announce(name, publish::changes(before, after, target));
        if was == is && was.is_some() || gone {
            return;
        }
        if is == Some(ProjectState::Converged) {
            let took = self.decisions.converged(name, self.clock.now());
            let data = RecordData::Converged { took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX) };
            self.publisher.tell(Severity::Info, Some(name), None, data);
        } else {
            self.decisions.unsettled(name);
        }
        // Those that depend on this one have news.
        self.schedule.mark_all(self.decisions.dependents(name));
    }

    /// Nothing is left of a project that was to be removed.
    fn on_gone(&mut self, name: &ProjectName) {
        let freed = self.steps.forget(name);
        self.schedule.mark_all(&freed);
        if self.intake.has_manifest(name) {
            // Suspended, or it would come back at once.
            self.ledger.note(name, |ledger| {
                *ledger = ProjectLedger {
                    root: std::mem::take(&mut ledger.root),
                    last_good: ledger.last_good.take(),
                    suspended: true,
                    ..ProjectLedger::default()
                };
                true
            });
            self.schedule.mark(name);
            return;
        }
        self.ledger.forget(name);
        self.note_ledger();
        self.intake.forget(name);
        self.decisions.forget(name);
        self.schedule.forget(name);
        self.sensors.forget(name, &self.world);
        let text = "the project is removed; its volumes are kept";
        self.publisher.alert(Severity::Info, Some(name), "removed", text);
    }

    /// Remembers how far a revision is, and gives it up where it failed.
    fn on_rollout_status(&mut self, name: &ProjectName, rollout_status: RolloutStatus) {
        let Some(target) = self.ledger.target(name).cloned() else { return };
        let revision = target.revision.clone();
        self.ledger.note_revision(name, |ledger, revisions| {
            let healthy = rollout_status == RolloutStatus::Healthy && revisions.is_healthy(ledger);
            memory::record_rollout_status(ledger, &revision, &rollout_status);
            let mut converged = false;
            if let RolloutStatus::Converged(_, images) = &rollout_status {
                let (project, images) = (Arc::clone(&target), images.clone());
                revisions.converged = Some(Arc::new(Healthy { project, images }));
                converged = true;
            }
            Changed { healthy, converged, in_force: false }
        });
        match rollout_status {
            RolloutStatus::Converged(..) | RolloutStatus::Lapsed => {}
            RolloutStatus::Healthy => {
                // What waits for that goes on.
                self.schedule.mark(name);
                let data = RecordData::RolloutCompleted { revision };
                self.publisher.tell(Severity::Info, Some(name), None, data);
            }
            RolloutStatus::Failed { failure } => {
                let (reason, rolled_back) = (failure.reason.clone(), failure.rolled_back);
                let data = RecordData::RolloutFailed { revision, reason, rolled_back };
                self.publisher.tell(Severity::Error, Some(name), Some(&failure.service), data);
                self.put_in_force(name, target);
                self.look_at_what_is_in_force();
            }
        }
    }

    /// Begins steps as far as there is room, once it is on the disk that they begin. `intends`: the decision itself has to be
    /// there, too.
    fn begin(&mut self, name: &ProjectName, steps: Vec<Step>, intends: bool, target: Option<Arc<Project>>) {
        let now = self.clock.now();
        let chosen = self.steps.choose(name, steps);
        if let Some(after) = chosen.again_after {
            self.schedule.wake_by(name, time::after(now, after));
        }
        if chosen.steps.is_empty() && !intends {
            return;
        }
        let begin = steps::begin_patch(chosen.steps.clone(), target, now);
        let decision = intends.then(|| self.decisions.of(name).clone());
        let patch = LedgerPatch::new(move |ledger| {
            if let Some(decision) = &decision {
                memory::decided(ledger, decision, now);
            }
            begin.apply(ledger);
        });
        self.ledger.commit(
            name,
            patch,
            if intends { Then::BeginAndDecide(chosen.steps) } else { Then::Begin(chosen.steps) },
        );
    }

    /// What follows a write of the ledger, or of its failure.
    pub(super) fn follow_up(&mut self, name: &ProjectName, then: Then, result: Result<(), LedgerError>) {
        match (then, result) {
            (Then::Nothing, _) => {}
            (Then::Begin(steps), Ok(())) => steps.into_iter().for_each(|step| self.launch(name, step)),
            (Then::BeginAndDecide(steps), Ok(())) => {
                steps.into_iter().for_each(|step| self.launch(name, step));
                // What has begun goes on at once.
                self.schedule.mark(name);
            }
            (Then::Begin(steps) | Then::BeginAndDecide(steps), Err(_)) => {
                // Without a note of it no step runs.
                self.steps.cancel(name, &steps);
                self.schedule.wake_by(name, time::after(self.clock.now(), LEDGER_RETRY));
            }
            (Then::Operation(mut progress), Ok(())) => {
                self.schedule.mark(name);
                self.publisher.mark(name);
                for after in progress.take_after() {
                    match after {
                        After::TakeRevision => {
                            if let Some(project) = self.intake.project(name) {
                                self.put_in_force(name, project);
                                self.look_at_what_is_in_force();
                            }
                        }
                        After::Tell(data) => {
                            let request = Some(progress.request.id.as_str());
                            self.publisher.tell_for(request, Severity::Info, Some(name), None, data);
                        }
                    }
                }
                self.advance(*progress);
            }
            (Then::Operation(progress), Err(error)) => {
                progress.failed(OperationError::NotDurable { reason: error.to_string() });
            }
        }
    }

    /// Takes a step that is noted.
    fn launch(&mut self, name: &ProjectName, step: Step) {
        self.publisher.step_began(name, &step);
        let target = self.ledger.target(name).cloned();
        let Some(ledger) = self.ledger.of(name) else { return };
        let order = Order::of(name, &step, target, ledger, &mut self.world, &self.instance);
        self.steps.launch(name, step, order, Arc::clone(self.link.engine()));
    }

    /// The call of a step came back.
    pub(super) fn on_outcome(&mut self, outcome: Outcome) {
        let Outcome { project: name, step, took, result } = outcome;
        self.steps.returned(&step);
        let error = result.as_ref().err().map(ToString::to_string);
        self.publisher.step_ended(&name, &step, took, error);
        self.schedule.mark(&name);
        match result {
            Ok(made) => self.on_success(&name, &step, made.as_ref()),
            Err(error) => self.on_failure(&name, &step, &error),
        }
    }

    fn on_success(&mut self, name: &ProjectName, step: &Step, made: Option<&ContainerId>) {
        let (target, decision) = (self.ledger.target(name).cloned(), self.decisions.of(name));
        self.ledger.note(name, |ledger| {
            memory::worked(ledger, target.as_deref(), decision, step, made);
            true
        });
        let sight = steps::sight(&step.action, made, self.world.mark());
        self.steps.await_sight(name, &step.action.subject(), &sight);
        if let Action::RemoveContainer { container, .. } = &step.action {
            self.world.forget(container);
        }
        self.look_for(sight, matches!(step.action, Action::CreateContainer { .. }));
        let restarts = matches!(
            step.action,
            Action::StartContainer { .. } | Action::StopContainer { .. } | Action::CreateContainer { .. }
        );
        let Some(service) = step.action.service() else { return };
        let told = match &step.action {
            _ if restarts && step.cause.attempt().is_some() => {
                Some(publish::restarted(service, &step.cause, target.as_deref()))
            }
            Action::UpdateContainer { .. } => publish::throttle(service, &step.cause),
            _ => None,
        };
        self.publisher.announce(name, told);
    }

    /// Asks for what has to be seen before a step is over. `is_new`: it made a container, which may have been looked at
    /// already.
    fn look_for(&mut self, sight: Sight, is_new: bool) {
        match sight {
            Sight::Nothing => {}
            Sight::Inspect(id) if is_new && self.world.holds(&id) => self.seen(&id),
            Sight::Inspect(id) if is_new && self.link.is_inspecting(&id) => {}
            Sight::Inspect(id) => self.inspect(id),
            Sight::LookUp(reference) => self.link.look_up(&reference),
            Sight::List(_) => self.list(),
        }
    }

    /// The call failed, or its outcome is not known: everything of the project is looked at again first.
    fn on_failure(&mut self, name: &ProjectName, step: &Step, error: &EngineError) {
        let now = self.clock.now();
        let subject = step.action.subject();
        self.world.look_again(name);
        self.steps.ends(name, &subject);
        if error.is_unreachable() {
            // The engine is away: that is no failure of the step.
            self.ledger.note(name, |ledger| {
                ledger.in_flight.remove(&subject);
                ledger.unanswered = Some(now);
                true
            });
            return self.on_engine_lost(&error.to_string());
        }
        let attempts = self.note_failure(name, step, error);
        if let Action::UpdateContainer { container, .. } = &step.action {
            // What was seen meanwhile may be what was asked for, and not what is.
            self.steps.changed_in_doubt(name, &step.action, container);
            self.inspect(container.clone());
        }
        self.list();
        // Told when it begins and as it doubles, not each time.
        if attempts.is_power_of_two() {
            let (action, error) = (step.action.to_string(), error.to_string());
            let data = RecordData::StepFailed { action, attempts, error };
            self.publisher.tell(Severity::Error, Some(name), step.action.service(), data);
        }
        // An image that vanished shows when it is looked up.
        let service = step.action.service().and_then(|s| self.ledger.target(name)?.services.get(s));
        if let (Action::CreateContainer { .. }, Some(service)) = (&step.action, service) {
            self.link.look_up(&service.image);
        }
    }

    /// Notes a failure; how often in a row that is.
    fn note_failure(&mut self, name: &ProjectName, step: &Step, error: &EngineError) -> u32 {
        let (now, target) = (self.clock.now(), self.ledger.target(name).cloned());
        let (steps, mut attempts) = (&mut self.steps, 0);
        self.ledger.note(name, |ledger| {
            attempts = memory::failed(ledger, target.as_deref(), step, error.setback(), &error.to_string(), now);
            if let (Action::PullImage { image }, Some(failure)) =
                (&step.action, ledger.failures.get_mut(&step.action.subject()))
            {
                steps.spread_pull(image, failure, now);
            }
            true
        });
        attempts
    }

    /// Says, or no more, that the ledger cannot be written.
    pub(super) fn note_ledger(&mut self) {
        let trouble = self.ledger.trouble().map(str::to_owned);
        for (kind, text) in [("ledger", trouble), ("disk", self.ledger.fullness())] {
            self.publisher.issue(kind, Severity::Error, "ledger", text);
        }
    }

    /// Somebody asks for an operation.
    pub(super) fn on_request(&mut self, request: Box<Request>, reply: oneshot::Sender<Result<Answer, OperationError>>) {
        let planned = match &request.operation {
            Operation::Status => {
                self.publish();
                let status = publish::status_json(&self.publisher.snapshot());
                return drop(reply.send(Ok(Answer::Status { status })));
            }
            Operation::Plan { project } => return self.plan(project, reply),
            Operation::Suspend { id } => operations::set_suspended(&self.ledger, id, true, self.clock.now()),
            Operation::Resume { id } => operations::set_suspended(&self.ledger, id, false, self.clock.now()),
            Operation::ResumeAll => Ok(operations::resume_all(&self.ledger)),
            Operation::Confirm => self.confirm(),
            Operation::Down { project, volumes } => operations::down(&self.ledger, project, *volumes),
        };
        match planned {
            Ok((changes, answer)) => self.advance(Progress::new(request, reply, changes, answer)),
            Err(error) => drop(reply.send(Err(error))),
        }
    }

    /// Goes on with an operation: writes the change of its next project, or tells that it is done.
    pub(super) fn advance(&mut self, mut progress: Progress) {
        match progress.next_project() {
            Some(name) if self.ledger.is_writing(name) => {
                let name = name.clone();
                self.pending.wait(&name, progress);
            }
            Some(_) => {
                if let Some((name, patch)) = progress.next() {
                    self.ledger.commit(&name, patch, Then::Operation(Box::new(progress)));
                }
            }
            None => {
                let request = progress.request.id.clone();
                // Who waits for its end has to see its beginning, also where no manifest declares it.
                self.publish();
                if let answer @ Answer::Confirmed { .. } = progress.done() {
                    self.intake.open_guard();
                    self.publisher.mark_general();
                    let data = RecordData::Alert { about: "operation".to_owned(), message: answer.to_string() };
                    self.publisher.tell_for(Some(&request), Severity::Warning, None, None, data);
                }
            }
        }
    }

    /// Lets projects go whose manifests vanished.
    fn confirm(&mut self) -> Result<(Vec<operations::Change>, Answer), OperationError> {
        let Some(reason) = self.intake.guard().map(str::to_owned) else {
            return Ok((Vec::new(), Answer::NothingToConfirm));
        };
        if let Some(Err(error)) = self.intake.last().map(|reading| &reading.manifests) {
            let why = format!("{error}: while the directory cannot be read, nothing can be confirmed");
            return Err(OperationError::refused(why));
        }
        // Another device is the right one now; what is on it is looked at afresh.
        if let Some(reading) = self.intake.take_last() {
            if let Some(device) = reading.device {
                self.ledger.note_device(reading.root.clone(), device);
            }
            self.on_reading(reading);
        }
        Ok(operations::confirm(self.intake.vanished(&self.ledger, &self.options.scope), reason))
    }

    /// The unfolded plan of a project, made beside the loop.
    fn plan(&mut self, text: &str, reply: oneshot::Sender<Result<Answer, OperationError>>) {
        let name = match operations::project(&self.ledger, text) {
            Ok(name) => name,
            Err(error) => return drop(reply.send(Err(error))),
        };
        if !self.link.is_up() {
            let reason = self.link.status().error.clone().unwrap_or_else(|| "it was not reached yet".to_owned());
            return drop(reply.send(Err(OperationError::EngineDown { reason })));
        }
        let (Some(ledger), Some(revision)) = (self.ledger.of(&name), self.ledger.revision(&name)) else { return };
        let observed = self.world.snapshot(&name, revision.in_force.as_deref());
        let others = self.others(revision.in_force.as_deref());
        let situation = Situation {
            project: &name,
            manifest: self.intake.manifest_state(&name).foreseen(),
            revision,
            ledger,
            observed: &observed,
            in_flight: self.steps.in_flight(&name),
            others: &others,
            guard_tripped: self.intake.guard().is_some(),
            capabilities: self.link.capabilities(),
            room: decide::Room::default(),
            rules: Rules::of(&self.options, &self.instance),
            now: self.clock.now(),
        };
        Plans::make(self.pending.plans(), situation.to_owned(), reply);
    }

    /// Tells once how everything was after the start.
    fn tell_baseline(&mut self) {
        if !self.pending.take_baseline() {
            return;
        }
        let states = self.ledger.names().filter_map(|name| Some((name.clone(), self.state(name)?)));
        let projects = states.collect();
        let unanswered = self.ledger.take_interrupted();
        self.publisher.tell(Severity::Info, None, None, RecordData::Baseline { projects, unanswered });
    }

    /// Publishes what changed.
    pub(super) fn publish(&mut self) {
        let general = publish::General {
            engine: self.link.status(),
            root: self.options.scope.root(),
            commit: self.intake.last().and_then(|reading| reading.commit.as_deref()),
            manifests_read: self.intake.last().is_some(),
            guard: self.intake.guard(),
            resynced: self.link.resynced(),
        };
        let now = self.clock.now();
        let view = |name: &ProjectName| -> Option<ProjectView> {
            let (ledger, revision) = (self.ledger.of(name)?, self.ledger.revision(name)?);
            let manifest = self.intake.loaded(name);
            if !self.options.scope.shows(ledger, manifest.is_some()) {
                return None;
            }
            let decision = self.decisions.of(name);
            Some(publish::view(&Outlook {
                name,
                state: decisions::state(manifest, revision, decision),
                manifest,
                revision,
                ledger,
                decision,
                in_flight: self.steps.in_flight(name),
                containers: self.world.of_project(name).collect(),
                last_converged: self.decisions.last_converged(name),
                commit: self.intake.commit(),
                probed: self.sensors.probed(),
                recovery: &self.options.recovery,
                now,
            }))
        };
        self.publisher.publish(&general, view);
    }
}
