//! Deciding, and carrying out what was decided.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::execute::{Order, Peers, execute};
use super::planted::{self, Planted};
use super::publish::Notice;
use super::tracked::{Refresh, Starved};
use super::{Controller, Message};
use crate::decide::sharing;
use crate::decide::{self, Action, Input, Step, Target, WaitingOn, memory};
use crate::engine::EngineError;
use crate::model::event::{EventType, Severity};
use crate::model::ledger::ProjectLedger;
use crate::model::service::MountSource;
use crate::model::state::ProjectState;
use crate::model::{ContainerId, NetworkId, Project, ProjectName, hash, names};

/// Calls that mostly wait, stops, pulls and builds, at the same time.
const WAITING_CALLS: usize = 32;
/// After the ledger could not be written.
const LEDGER_RETRY: Duration = Duration::from_secs(1);

/// How a step ended.
#[derive(Debug)]
pub(super) struct Outcome {
    project: ProjectName,
    step: Step,
    took: Duration,
    result: Result<Option<ContainerId>, EngineError>,
}

/// Whether a call keeps the engine busy, rather than waiting for a process to end, a registry to answer or a builder to be done.
fn keeps_busy(action: &Action) -> bool {
    !matches!(action, Action::StopContainer { .. } | Action::PullImage { .. } | Action::BuildImage { .. })
}

impl Controller {
    /// Decides about everything that changed, begins what may be done, writes and publishes.
    pub(super) fn turn(&mut self) {
        if self.may_decide() {
            let mut dirty = std::mem::take(&mut self.dirty);
            let freed = std::mem::take(&mut self.freed);
            let mut last = None;
            while let Some(name) = self.next(&mut dirty, freed, last.as_ref()) {
                self.decide(&name);
                self.stale_views.insert(name.clone());
                last = Some(name);
            }
        }
        self.save_all();
        self.publish();
    }

    /// The project to decide about after this one, in the order of names: one that changed, or, where room became free,
    /// one that has steps for it. The others that had no room would be decided as they were, and begin nothing.
    fn next(&self, dirty: &mut BTreeSet<ProjectName>, freed: bool, last: Option<&ProjectName>) -> Option<ProjectName> {
        let room = self.room();
        let after = (last.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        let finds = |name: &&ProjectName| self.projects.get(*name).is_some_and(|t| t.starved.finds(room));
        let any = freed && (room.busy || room.waiting);
        let starved = if any { self.starved.range::<ProjectName, _>(after).find(finds) } else { None };
        match (dirty.first(), starved) {
            (Some(first), Some(starved)) if starved < first => Some(starved.clone()),
            (None, starved) => starved.cloned(),
            _ => dirty.pop_first(),
        }
    }

    /// The kinds of steps that there is room for.
    fn room(&self) -> Starved {
        room(self.busy, self.running, self.options.parallel)
    }

    /// Whether what is known is worth a decision.
    pub(super) fn may_decide(&self) -> bool {
        self.engine_status.up && self.reading.is_some() && self.stopping.is_none()
    }

    fn decide(&mut self, name: &ProjectName) {
        let Some(tracked) = self.projects.get_mut(name) else { return };
        let ours = !self.options.single && tracked.ledger.root == self.options.root;
        let wanted = !self.options.asked_only && (tracked.manifest.is_some() || ours);
        let concerned = tracked.ledger.down.is_some() || tracked.ledger.suspended || wanted;
        if !concerned {
            return;
        }
        let fresh = tracked.refresh == Refresh::Fresh;
        let began = std::time::Instant::now();
        let now = self.clock.now();
        if let Some(unanswered) = &mut tracked.ledger.unanswered {
            // The clock was set back: from now on, then.
            *unanswered = now.min(*unanswered);
        }
        let others = self.others(name);
        let room = self.herd.room_for(name, self.options.recovery.max_parallel);
        let Some(tracked) = self.projects.get_mut(name) else { return };
        let target = tracked.target.clone();
        if let Some(target) = &target {
            let reading = self.reading.as_ref().map(|reading| reading.at);
            let noted = &mut tracked.ledger.contents;
            let before = noted.clone();
            self.comparisons.update(&*self.engine, &mut self.cache, target, reading, Some(now), noted);
            tracked.unsaved |= *noted != before;
        }
        if let Some(target) = &target {
            self.update_probes(name, target);
            self.update_watching(name, target);
        }
        let Some(tracked) = self.projects.get_mut(name) else { return };
        let observed = self.cache.observed(name, target.as_deref());
        let policy = &self.options.recovery;
        let input = Input {
            project: name,
            target: match (&tracked.manifest, &target) {
                (Some(_), Some(project)) => Target::Declared(project),
                (Some(_), None) => Target::Unknown,
                (None, last) => Target::Removed { last: last.as_deref(), confirmed: tracked.removal_confirmed() },
            },
            absences_confirmed: tracked.absences_confirmed() || planted::is(Planted::LooksOnce),
            guard_tripped: self.guard.reason().is_some(),
            observed,
            in_flight: &tracked.in_flight,
            ledger: &tracked.ledger,
            healthy: tracked.healthy.as_deref(),
            others: &others,
            capabilities: self.capabilities,
            recovery: policy,
            room,
            instance: &self.instance,
            take_over: self.options.take_over,
            seed: seed(&self.instance),
            now,
        };
        if !fresh {
            let done = decide::completions(&input);
            tracked.remember_done(done);
            return;
        }
        let decision = planted::decide(&input);
        if !planted::any() {
            debug_assert_eq!(decide::lint(&input, &decision), Vec::<String>::new());
        }
        self.observer.decided(&input, &decision);
        let changes = !decision.steps.is_empty();
        self.observer.notice(&Notice::Decided { project: name, took: began.elapsed(), changes });
        tracked.wake_at = decision.wake_at;
        if tracked.remember_done(decision.completions.clone()) {
            // What depends on a job goes on at once.
            self.dirty.insert(name.clone());
        }
        tracked.unsaved |= memory::decided(&mut tracked.ledger, &decision, now);
        if !decision.regimes.is_empty() {
            // What has begun goes on at once.
            self.dirty.insert(name.clone());
        }
        tracked.decided = target.as_ref().map(|t| t.revision.clone());
        let before = std::mem::replace(&mut tracked.decision, decision.clone());
        self.tell_changes(name, &before, &decision);
        if decision.gone {
            self.forget_recoveries(name);
            self.gone(name);
            return;
        }
        if decision.waiting.iter().any(|w| matches!(w.on, WaitingOn::Port { .. })) {
            self.look_at_ports_later();
        }
        self.note_recovered(name, &decision);
        self.check_awaited(name, target.as_deref(), &decision.awaited);
        if let Some(standing) = decision.standing {
            self.on_standing(name, standing);
        }
        self.begin(name, decision.steps);
    }

    /// How the projects are that this one depends on.
    fn others(&self, name: &ProjectName) -> BTreeMap<ProjectName, ProjectState> {
        let wanted = self.projects.get(name).and_then(|t| t.target.as_ref());
        wanted
            .into_iter()
            .flat_map(|p| &p.extension.depends_on)
            .filter_map(|other| {
                let tracked = self.projects.get(other).filter(|t| t.manifest.is_some())?;
                Some((other.clone(), tracked.state()))
            })
            .collect()
    }

    /// Nothing is left of a project that was to be removed.
    fn gone(&mut self, name: &ProjectName) {
        let Some(tracked) = self.projects.get_mut(name) else { return };
        if tracked.manifest.is_some() {
            // Suspended, or it would come back at once.
            tracked.ledger = ProjectLedger {
                root: std::mem::take(&mut tracked.ledger.root),
                last_good: tracked.ledger.last_good.take(),
                suspended: true,
                ..ProjectLedger::default()
            };
            tracked.unsaved = true;
            self.dirty.insert(name.clone());
            return;
        }
        if let Err(error) = self.store.forget(name) {
            self.issue("ledger", Some(error.to_string()));
        }
        self.projects.remove(name);
        self.starved.remove(name);
        self.event(
            EventType::SystemAlert,
            Severity::Info,
            Some(name),
            None,
            "the project is removed; its volumes are kept",
        );
    }

    /// Begins steps as far as there is room, after writing down that it does.
    fn begin(&mut self, name: &ProjectName, steps: Vec<Step>) {
        let now = self.clock.now();
        let mut chosen = Vec::new();
        let mut starved = Starved::default();
        let Some(tracked) = self.projects.get_mut(name) else { return };
        for step in steps {
            let busy = keeps_busy(&step.action);
            let kind = Starved { busy, waiting: !busy };
            if !kind.finds(room(self.busy, self.running, self.options.parallel)) {
                starved.busy |= kind.busy;
                starved.waiting |= kind.waiting;
                continue;
            }
            if matches!(step.action, Action::StartContainer { .. }) && !self.options.start_delay.is_zero() {
                if Instant::now() < self.next_start {
                    let later = now.checked_add(self.next_start - Instant::now()).unwrap_or(now);
                    tracked.wake_at = Some(tracked.wake_at.map_or(later, |at| at.min(later)));
                    continue;
                }
                self.next_start = Instant::now() + self.options.start_delay;
            }
            self.running += 1;
            self.busy += usize::from(busy);
            tracked.in_flight.insert(step.action.subject(), step.action.clone());
            memory::begins(&mut tracked.ledger, tracked.target.as_deref(), &step, now);
            self.herd.begins(name, &step);
            chosen.push(step);
        }
        tracked.starved = starved;
        if starved.busy || starved.waiting {
            self.starved.insert(name.clone());
        } else {
            self.starved.remove(name);
        }
        if chosen.is_empty() {
            return;
        }
        if let Err(error) = self.store.save(name, &tracked.ledger) {
            // Without a note of it no step runs.
            for step in &chosen {
                self.running -= 1;
                self.busy -= usize::from(keeps_busy(&step.action));
                tracked.in_flight.remove(&step.action.subject());
                tracked.ledger.in_flight.remove(&step.action.subject());
            }
            tracked.wake_at = now.checked_add(LEDGER_RETRY).ok();
            let text = format!("nothing is done while the ledger cannot be written: {error}");
            if self.issue("ledger", Some(text.clone())) {
                self.event(EventType::SystemAlert, Severity::Error, None, None, text);
            }
            return;
        }
        tracked.unsaved = false;
        let target = tracked.target.clone();
        self.issue("ledger", None);
        for step in chosen {
            self.launch(name, step, target.clone());
        }
    }

    fn launch(&mut self, name: &ProjectName, step: Step, target: Option<Arc<crate::model::Project>>) {
        self.observer.notice(&Notice::StepStarted { project: name, step: &step });
        let image = step
            .action
            .service()
            .and_then(|s| target.as_ref()?.services.get(s))
            .and_then(|s| self.cache.images().get(&s.image).cloned().flatten());
        let (target, peers, ambiguous) = self.surroundings(name, &step.action, target);
        let instance = self.instance.clone();
        let inherited = target.as_ref().map(|target| self.inherited(name, &step.action, target)).unwrap_or_default();
        let (action, hook_limit) = (step.action.clone(), self.options.hook_limit);
        let order = Order { action, target, image, instance, peers, ambiguous, hook_limit, inherited };
        let (engine, sender, project) = (self.engine.clone(), self.sender.clone(), name.clone());
        tokio::spawn(async move {
            let began = Instant::now();
            let result = execute(&*engine, &order).await;
            let outcome = Outcome { project, step, took: began.elapsed(), result };
            let _ = sender.send(Message::Step(Box::new(outcome)));
        });
    }

    /// The anonymous volumes that a replacement takes over from what it replaces: those that it has a place for, too.
    fn inherited(&self, name: &ProjectName, action: &Action, target: &Project) -> BTreeMap<String, String> {
        let Action::CreateContainer { service, number, replaces, .. } = action else { return BTreeMap::new() };
        let Some(service) = target.services.get(service) else { return BTreeMap::new() };
        let none = BTreeMap::new();
        let kept = self.projects.get(name).and_then(|t| t.ledger.kept.get(&action.subject())).unwrap_or(&none);
        if replaces.is_none() && kept.is_empty() {
            return none;
        }
        let twins =
            self.cache.of_project(name).filter(|c| c.service.as_ref() == Some(&service.name) && c.number == *number);
        let old = twins.filter(|c| !c.oneoff).max_by_key(|c| (c.is_running(), c.created));
        let of_image = self.cache.images().volumes(&service.image);
        let fits = |path: &String| match service.mounts.iter().find(|m| m.target == *path) {
            Some(mount) => mount.source == MountSource::Anonymous,
            None => of_image.contains(path) && service.tmpfs.iter().all(|(at, _)| at != path),
        };
        let anonymous =
            old.into_iter().flat_map(|c| &c.volumes).filter(|(_, volume)| names::is_anonymous(volume)).chain(kept);
        let all = anonymous.filter(|(path, _)| fits(path));
        all.map(|(path, volume)| (path.clone(), volume.clone())).collect()
    }

    /// What a container that is made or attached has to know of what is there: the project with the ids of the containers
    /// that it shares with, the containers it links to in the order of their names, and the networks whose name is not
    /// theirs alone. Other steps need none of it.
    fn surroundings(
        &mut self,
        name: &ProjectName,
        action: &Action,
        target: Option<Arc<Project>>,
    ) -> (Option<Arc<Project>>, Peers, BTreeSet<NetworkId>) {
        let mut peers = Peers::new();
        let makes = matches!(action, Action::CreateContainer { .. } | Action::ConnectNetwork { .. });
        let service = action.service().filter(|_| makes).and_then(|s| target.as_ref()?.services.get(s));
        let (Some(project), Some(service)) = (&target, service) else { return (target, peers, BTreeSet::new()) };
        let observed = self.cache.observed(name, Some(project));
        for container in observed.containers.values().filter(|c| !c.oneoff && !service.links.is_empty()) {
            if let Some(of) = container.service.as_ref().filter(|of| service.links.iter().any(|l| l.service == **of)) {
                peers.entry(of.clone()).or_default().push((container.name.clone(), container.id.clone()));
            }
        }
        peers.values_mut().for_each(|containers| containers.sort());
        let twice = |name: &str| observed.networks.values().filter(|n| n.name == name).count() > 1;
        let ambiguous = observed.networks.values().filter(|n| twice(&n.name)).map(|n| n.id.clone()).collect();
        let resolved = match sharing::resolve(project, observed) {
            Cow::Borrowed(_) => None,
            Cow::Owned(resolved) => Some(Arc::new(resolved)),
        };
        (resolved.or(target), peers, ambiguous)
    }

    pub(super) fn on_outcome(&mut self, outcome: Outcome) {
        let Outcome { project, step, took, result } = outcome;
        self.running -= 1;
        self.busy -= usize::from(keeps_busy(&step.action));
        let error = result.as_ref().err().map(ToString::to_string);
        self.observer.notice(&Notice::StepEnded { project: &project, step: &step, took, error: error.as_deref() });
        self.freed = true;
        self.dirty.insert(project.clone());
        match result {
            Ok(made) => self.on_success(&project, &step, made),
            Err(error) => self.on_failure(&project, &step, &error),
        }
    }

    fn on_success(&mut self, name: &ProjectName, step: &Step, made: Option<ContainerId>) {
        let subject = step.action.subject();
        let Some(tracked) = self.projects.get_mut(name) else { return };
        let target = tracked.target.clone();
        memory::worked(&mut tracked.ledger, target.as_deref(), &tracked.decision, step, made.as_ref());
        tracked.unsaved = true;
        let key = (name.clone(), subject.clone());
        match &step.action {
            Action::CreateContainer { .. } => {
                let Some(id) = made else { return };
                self.settling.containers.insert(id.clone(), key);
                self.inspect_new(id);
            }
            Action::RemoveContainer { container, .. } => {
                tracked.in_flight.remove(&subject);
                self.cache.forget(container);
            }
            Action::StartContainer { container, service, .. } => {
                self.settling.containers.insert(container.clone(), key);
                self.inspect(container.clone());
                if step.cause.attempt().is_some() {
                    let service = service.clone();
                    self.tell_restart(name, &service, &step.cause);
                }
            }
            Action::PullImage { image } | Action::BuildImage { image, .. } => {
                self.settling.images.entry(image.clone()).or_default().push(key);
                self.look_up(image);
            }
            Action::StopContainer { service, container, .. } if step.cause.attempt().is_some() => {
                self.settling.containers.insert(container.clone(), key);
                self.inspect(container.clone());
                let service = service.clone();
                self.tell_restart(name, &service, &step.cause);
            }
            Action::UpdateContainer { service, container, .. } => {
                self.settling.containers.insert(container.clone(), key);
                self.inspect(container.clone());
                let service = service.clone();
                self.tell_throttle(name, &service, &step.cause);
            }
            action => match action.container() {
                Some(container) => {
                    self.settling.containers.insert(container.clone(), key);
                    self.inspect(container.clone());
                }
                None => {
                    let mark = self.cache.mark();
                    self.settling.lists.push((mark, key.0, key.1));
                    self.list();
                }
            },
        }
        if let (Action::CreateContainer { service, .. }, Some(_)) = (&step.action, step.cause.attempt()) {
            self.tell_restart(name, service, &step.cause);
        }
    }

    /// The call failed, or its outcome is not known: everything of the project is looked at again first.
    fn on_failure(&mut self, name: &ProjectName, step: &Step, error: &EngineError) {
        let now = self.clock.now();
        let mark = self.cache.mark();
        let Some(tracked) = self.projects.get_mut(name) else { return };
        let subject = step.action.subject();
        tracked.in_flight.remove(&subject);
        tracked.ledger.in_flight.remove(&subject);
        tracked.refresh = Refresh::List(mark);
        tracked.unsaved = true;
        if error.is_unreachable() {
            // The engine is away: that is no failure of the step.
            tracked.ledger.unanswered = Some(now);
            self.on_engine_lost(&error.to_string());
            return;
        }
        let target = tracked.target.clone();
        let (kind, words) = (error.setback(), error.to_string());
        let attempts = memory::failed(&mut tracked.ledger, target.as_deref(), step, kind, &words, now);
        if let (Action::PullImage { image, .. }, Some(failure)) =
            (&step.action, tracked.ledger.failures.get_mut(&subject))
        {
            let per_hour = self.options.recovery.pull_retries;
            let registry = names::registry(image);
            let not_before = self.pull_budget.take(registry, per_hour, now);
            failure.not_before = Some(not_before);
            if not_before > now {
                let why = format!("; retries of {registry} are spread, {per_hour} an hour (recovery.pull_retries)");
                failure.error.push_str(&why);
            }
        }
        if let Action::UpdateContainer { container, .. } = &step.action {
            // What was seen meanwhile may be what was asked for, and not what is.
            tracked.in_flight.insert(subject.clone(), step.action.clone());
            self.settling.containers.insert(container.clone(), (name.clone(), subject));
            self.inspect(container.clone());
        }
        self.list();
        // Told when it begins and as it doubles, not each time.
        if attempts.is_power_of_two() {
            let message = format!("{} failed ({attempts}x): {error}", step.action);
            self.event(EventType::StepFailed, Severity::Error, Some(name), step.action.service(), message);
        }
        // An image that vanished shows when it is looked up.
        let image = step
            .action
            .service()
            .and_then(|s| Some(self.projects.get(name)?.target.as_ref()?.services.get(s)?.image.clone()));
        if let (Action::CreateContainer { .. }, Some(image)) = (&step.action, image) {
            self.look_up(&image);
        }
    }

    /// Writes what is not written yet.
    pub(super) fn save_all(&mut self) {
        let mut failed = None;
        for name in self.projects.take_unsaved() {
            let Some(tracked) = self.projects.get_mut(&name) else { continue };
            if tracked.unsaved_target
                && let Some(target) = &tracked.target
            {
                match self.store.save_last_good(&tracked.name, target) {
                    Ok(()) => tracked.unsaved_target = false,
                    Err(error) => failed = Some(error.to_string()),
                }
            }
            if tracked.unsaved_converged
                && let Some(converged) = &tracked.converged
            {
                match self.store.save_converged(&tracked.name, converged) {
                    Ok(()) => tracked.unsaved_converged = false,
                    Err(error) => failed = Some(error.to_string()),
                }
            }
            if tracked.unsaved_healthy
                && let Some(healthy) = &tracked.healthy
            {
                match self.store.save_healthy(&tracked.name, healthy) {
                    Ok(()) => tracked.unsaved_healthy = false,
                    Err(error) => failed = Some(error.to_string()),
                }
            }
            if tracked.unsaved {
                match self.store.save(&tracked.name, &tracked.ledger) {
                    Ok(()) => tracked.unsaved = false,
                    Err(error) => failed = Some(error.to_string()),
                }
            }
        }
        if let Some(text) = failed
            && self.issue("ledger", Some(text.clone()))
        {
            self.event(EventType::SystemAlert, Severity::Error, None, None, text);
        }
    }
}

/// The kinds of steps that there is room for while so many run, so many of them keeping the engine busy.
fn room(busy: usize, running: usize, parallel: usize) -> Starved {
    Starved { busy: busy < parallel, waiting: running - busy < WAITING_CALLS }
}

/// Decides the jitter: each evenkeel has its own.
pub(super) fn seed(instance: &crate::model::InstanceId) -> u64 {
    hash::spread(0, &[instance.as_str()], 0)
}
