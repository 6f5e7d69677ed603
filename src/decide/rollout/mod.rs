//! Rollouts: the way from the last healthy revision to the one that is wanted, without a swarm.
//!
//! What a change needs is made first: nothing that runs is stopped before all images are there and every new container
//! is made. Replicas take turns, and each new one must be up before the next. A revision is healthy once everything was
//! as it says for its monitor time. One that fails before that is given up, as a whole, for the last healthy one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::decide::Before;
use crate::decide::recovery::pace::Verdict;
use crate::decide::replica::readiness;
use crate::decide::replica::slots::{Filled, Phase, Slot, Slots};
use crate::decide::resources::Prerequisites;
use crate::decide::{Action, Cause, Decision, Input, Step, WaitingOn};
use crate::model::ledger::{FailedRevision, Healthy, ProjectLedger, Proven, RolledBack, Subject};
use crate::model::observed::{Container, Health, PublishedPort};
use crate::model::service::{FailureAction, Order, Port, PullPolicy, UpdateConfig};
use crate::model::state::ProjectState;
use crate::model::{ImageId, Project, Service, ServiceName, Timestamp, hash, time};

/// How long a revision is watched where nothing is written.
const MONITOR: Duration = Duration::from_secs(10);
/// A container that ends so often is no accident.
const ENDS: u32 = 3;
/// Nor is a call that fails so often: a disk that is full for a moment, or a port that is just being given up, is.
const TRIES: u32 = 5;

/// What is new about how far the revision in force has come.
#[derive(Debug, Clone, PartialEq)]
pub enum RolloutStatus {
    /// Everything came to be as it says, with these images.
    Converged(Proven, BTreeMap<ServiceName, ImageId>),
    /// It had converged, and something of it differs again before the monitor time was over.
    Lapsed,
    /// It stayed converged for the monitor time.
    Healthy,
    /// Something of it does not come up: it is given up, or stays where it is.
    Failed {
        /// The service, the reason, and whether the last healthy revision follows.
        failure: FailedRevision,
    },
}

/// The replacement of running containers in this decision.
pub(in crate::decide) struct Rollout<'a> {
    input: &'a Input<'a>,
    /// There is a healthy revision, and this is another one.
    on: bool,
    paused: Option<&'a FailedRevision>,
}

impl<'a> Rollout<'a> {
    pub(in crate::decide) fn of(input: &'a Input<'a>, project: &Project) -> Self {
        let other = |healthy: &Healthy| healthy.project.revision != project.revision;
        let on = input.ledger.rolled_back.is_none() && input.healthy.is_some_and(other);
        let paused = input.ledger.failed.get(&project.revision).filter(|f| !f.rolled_back);
        Self { input, on, paused }
    }

    fn config<'s>(&self, service: &'s Service) -> Option<&'s UpdateConfig> {
        let deploy = service.deploy.as_ref()?;
        match self.input.ledger.rolled_back {
            Some(_) => deploy.rollback_config.as_ref(),
            None => deploy.update_config.as_ref(),
        }
    }

    /// Whether the new container is started beside the old one.
    pub(in crate::decide) fn starts_first(&self, service: &Service) -> bool {
        let written = self.config(service).and_then(|c| c.order) == Some(Order::StartFirst);
        written && service.shared_by_twins().is_none()
    }

    /// What comes before a container that runs is replaced.
    pub(in crate::decide) fn turn(
        &self,
        filled: &Filled<'_>,
        slot: &Slot<'_>,
        decision: &mut Decision,
    ) -> Option<WaitingOn> {
        if let Some(paused) = self.paused {
            return Some(WaitingOn::Paused { reason: format!("{}: {}", paused.service, paused.reason) });
        }
        let service = filled.service;
        let config = self.config(service);
        let parallelism = match config.and_then(|c| c.parallelism) {
            Some(0) => return None,
            n => usize::try_from(n.unwrap_or(1)).unwrap_or(usize::MAX),
        };
        let others = || filled.slots.iter().filter(|s| s.number != slot.number);
        let begun = |other: &Slot<'_>| {
            let makes = |a: &Action| matches!(a, Action::CreateContainer { replaces: Some(_), .. });
            let subject = Subject::Replica(service.name.clone(), other.number);
            self.input.in_flight.get(&subject).is_some_and(makes)
                || decision.steps.iter().any(|s| makes(&s.action) && s.action.subject() == subject)
        };
        let goes_on = self.action(service) == FailureAction::Continue;
        let busy = |other: &&Slot<'_>| match other.current {
            Some(_) if !other.stale.is_empty() => true,
            Some(_) => !(readiness::came_up(&other.phase) || goes_on && self.trouble(filled, other).is_some()),
            None => begun(other),
        };
        if others().filter(busy).count() >= parallelism {
            return Some(WaitingOn::Turn { after: Before::Replicas, until: None });
        }
        let delay = config.and_then(|c| c.delay).filter(|d| !d.is_zero())?;
        let came_up = others().filter_map(|s| match s.phase {
            Phase::Running { since, .. } => Some(since.min(self.input.now)),
            _ => None,
        });
        let until = time::after(came_up.max()?, delay);
        if until <= self.input.now {
            return None;
        }
        decision.wake(until);
        Some(WaitingOn::Turn { after: Before::Delay, until: Some(until) })
    }

    /// Holds back what stops a container to be replaced while something that the change needs is still to be made; the
    /// services that are held.
    pub(in crate::decide) fn preflight(
        &self,
        slots: &Slots<'_>,
        prerequisites: &Prerequisites,
        decision: &mut Decision,
    ) -> Vec<(ServiceName, WaitingOn)> {
        let stops = |a: &Action, c: &Cause| match c {
            Cause::Replaced => matches!(a, Action::StopContainer { .. }),
            // What the manifest changes in place is part of the change, too.
            Cause::FieldsDiffer { by_hand: false, .. } => matches!(a, Action::UpdateContainer { .. }),
            _ => false,
        };
        let begins = decision.steps.iter().any(|s| stops(&s.action, &s.cause));
        let taken = if begins || self.on { self.taken(slots, decision, stops) } else { Vec::new() };
        if !begins && taken.is_empty() {
            return Vec::new();
        }
        let makes = |a: &Action| matches!(a, Action::CreateContainer { replaces: Some(_), .. });
        let being_made = decision.steps.iter().any(|s| makes(&s.action)) || self.input.in_flight.values().any(makes);
        let will_be_made = || {
            slots.by_name().any(|filled| {
                let refused = |s: &Slot<'_>| {
                    s.current.is_none() && s.stale.iter().any(|c| c.is_running()) && self.is_refused(filled.service, s)
                };
                // Who waits for its turn after one that is made already holds nothing up.
                let made = filled.slots.iter().any(|s| s.current.is_some() && !s.stale.is_empty());
                let rolled = self.on && self.action(filled.service) != FailureAction::Continue;
                rolled && !made && filled.slots.iter().any(refused)
            })
        };
        if !prerequisites.images.lacking && !being_made && !will_be_made() && taken.is_empty() {
            return Vec::new();
        }
        let mut held = Vec::new();
        decision.steps.retain(|step| {
            let in_vain = |service: &ServiceName| taken.iter().any(|(s, _)| s == service);
            let starts = matches!(&step.action, Action::StartContainer { service, .. } if in_vain(service));
            let hold = starts || stops(&step.action, &step.cause);
            held.extend(step.action.service().filter(|_| hold).cloned());
            !hold
        });
        held.dedup();
        held.retain(|service| !taken.iter().any(|(s, _)| s == service));
        let turn = || WaitingOn::Turn { after: Before::Preflight, until: None };
        let all: Vec<_> = taken.into_iter().chain(held.into_iter().map(|service| (service, turn()))).collect();
        for (service, on) in &all {
            decision.wait(Some(service), on.clone());
        }
        all
    }

    /// Services that the change starts anew or for the first time, and that want a port of the host which a container outside the project has.
    fn taken(
        &self,
        slots: &Slots<'_>,
        decision: &Decision,
        stops: impl Fn(&Action, &Cause) -> bool,
    ) -> Vec<(ServiceName, WaitingOn)> {
        let observed = self.input.observed;
        // Its own are handed over; what a list tells of them may be of before.
        let ours = |holder: &PublishedPort| holder.project.as_ref() == Some(self.input.project);
        let replaced = |service: &ServiceName| {
            decision.steps.iter().any(|s| stops(&s.action, &s.cause) && s.action.service() == Some(service))
        };
        let starts = |service: &ServiceName| {
            let begins = |s: &Step| {
                matches!(s.action, Action::StartContainer { .. } | Action::CreateContainer { .. })
                    && s.cause != Cause::FallBack
                    && s.action.service() == Some(service)
            };
            decision.steps.iter().any(begins)
        };
        let never_ran = |s: &Slot<'_>| matches!(s.phase, Phase::Absent | Phase::Created) && s.stale.is_empty();
        let new = |filled: &Filled<'_>| {
            let as_before = || self.input.healthy.is_some_and(|before| is_as_before(before, filled));
            !filled.slots.is_empty()
                && filled.slots.iter().all(never_ran)
                && starts(&filled.service.name)
                && self.action(filled.service) != FailureAction::Continue
                && !as_before()
        };
        let wants = slots
            .by_name()
            .filter(|filled| !filled.service.ports.is_empty() && (replaced(&filled.service.name) || new(filled)));
        let held = wants.filter_map(|filled| {
            let holder = |port: &Port| observed.published.iter().find(|held| held.clashes(port) && !ours(held));
            let port = filled.service.ports.iter().find_map(|port| Some((port, holder(port)?)));
            port.map(|(port, holder)| {
                let port = format!("{}/{}", port.published.as_deref().unwrap_or_default(), port.protocol);
                (filled.service.name.clone(), WaitingOn::Port { port, holder: holder.name.clone() })
            })
        });
        held.collect()
    }

    /// Whether the Engine refused to make it lately.
    fn is_refused(&self, service: &Service, slot: &Slot<'_>) -> bool {
        let subject = Subject::Replica(service.name.clone(), slot.number);
        self.input.ledger.failures.get(&subject).is_some_and(|f| f.config == service.config_hash)
    }

    fn action(&self, service: &Service) -> FailureAction {
        let written = service.deploy.as_ref().and_then(|d| d.update_config.as_ref()?.failure_action);
        service.extension.rollout.on_failure.or(written).unwrap_or(FailureAction::Rollback)
    }

    /// How far the revision is, if that is news. `state`: how the project is.
    pub(in crate::decide) fn status(
        &self,
        project: &Project,
        slots: &Slots<'_>,
        state: ProjectState,
        decision: &mut Decision,
    ) -> Option<RolloutStatus> {
        let ledger = self.input.ledger;
        if ledger.rolled_back.is_some() {
            return None;
        }
        if let Some(failure) = self.failure(slots).filter(|_| self.paused.is_none()) {
            return Some(RolloutStatus::Failed { failure });
        }
        let known = ledger.converged.as_ref();
        if state != ProjectState::Converged {
            return known.is_some().then_some(RolloutStatus::Lapsed);
        }
        let running = || slots.by_name().filter_map(|filled| Some((&filled.service.name, filled.image?.as_ref()?)));
        if self.input.healthy.is_some_and(|h| h.project.revision == project.revision && h.images.iter().eq(running())) {
            return known.is_some().then_some(RolloutStatus::Lapsed);
        }
        let images: BTreeMap<_, _> = running().map(|(name, image)| (name.clone(), image.clone())).collect();
        let now = Proven { revision: project.revision.clone(), at: self.input.now, images: digest(&images) };
        match known.filter(|known| known.revision == now.revision && known.images == now.images) {
            None => {
                decision.wake(due(&now, project, self.input.now));
                Some(RolloutStatus::Converged(now, images))
            }
            Some(known) if is_over(known, project, self.input.now) => Some(RolloutStatus::Healthy),
            Some(known) => {
                decision.wake(due(known, project, self.input.now));
                None
            }
        }
    }

    /// The first service that changed and of which more fail than may.
    fn failure(&self, slots: &Slots<'_>) -> Option<FailedRevision> {
        let before = self.input.healthy.filter(|_| self.on)?;
        slots.by_name().find_map(|filled| {
            let service = filled.service;
            let action = self.action(service);
            if action == FailureAction::Continue || is_as_before(before, filled) {
                return None;
            }
            let troubles: Vec<String> = filled.slots.iter().filter_map(|slot| self.trouble(filled, slot)).collect();
            let reason = troubles.first()?.clone();
            let written = service.deploy.as_ref().and_then(|d| d.update_config.as_ref());
            let ratio = written.map_or(0.0, |c| c.max_failure_ratio);
            #[allow(clippy::cast_precision_loss)] // Ten thousand replicas at most.
            let part = troubles.len() as f64 / filled.slots.len() as f64;
            (part > ratio).then(|| FailedRevision {
                service: service.name.clone(),
                reason,
                at: self.input.now,
                rolled_back: action == FailureAction::Rollback,
            })
        })
    }

    /// Why a replica of a new configuration counts as failed. What ended by somebody's hand, or while nobody watched, as
    /// with a restart of the Engine, is no fault of the revision.
    fn trouble(&self, filled: &Filled<'_>, slot: &Slot<'_>) -> Option<String> {
        let subject = Subject::Replica(filled.service.name.clone(), slot.number);
        let failure = self.input.ledger.failures.get(&subject).filter(|f| f.config == filled.service.config_hash);
        if let Some(failure) = failure.filter(|f| f.came_down || f.attempts >= TRIES) {
            return Some(failure.error.clone());
        }
        let current = slot.current?;
        match &slot.phase {
            Phase::Running { health: Health::Unhealthy, .. } => Some("its health check fails".to_owned()),
            Phase::Restarting if current.restart_count >= ENDS => Some("it ends over and over".to_owned()),
            Phase::Ended(Verdict::Again { attempts, cause, .. }) if its_own_end(current) && attempts + 1 >= ENDS => {
                Some(cause.to_string())
            }
            Phase::Ended(Verdict::Final { reason }) if its_own_end(current) => Some(reason.clone()),
            _ => None,
        }
    }
}

/// Whether a service is what it was in the healthy revision.
fn is_as_before(before: &Healthy, filled: &Filled<'_>) -> bool {
    let service = filled.service;
    let same_config = before.project.services.get(&service.name).is_some_and(|s| s.config_hash == service.config_hash);
    let (then, now) = (before.images.get(&service.name), filled.image.and_then(Option::as_ref));
    same_config && then.is_none_or(|then| now.is_none_or(|now| now == then))
}

fn digest(images: &BTreeMap<ServiceName, ImageId>) -> String {
    let lines: Vec<String> = images.iter().map(|(service, image)| format!("{service} {image}")).collect();
    hash::sha256_hex(lines.join("\n"))
}

/// Whether a container is known to have ended by itself.
pub(in crate::decide) fn its_own_end(container: &Container) -> bool {
    container.exit_watched && !container.killed
}

/// How long a revision is watched: as long as the most careful of its services wants.
fn monitor(project: &Project) -> Duration {
    let of = |service: &Service| {
        let written = service.deploy.as_ref().and_then(|d| d.update_config.as_ref()?.monitor);
        service.extension.rollout.monitor.or(written)
    };
    project.services.values().filter_map(of).max().unwrap_or(MONITOR)
}

fn due(known: &Proven, project: &Project, now: Timestamp) -> Timestamp {
    // A time that is still to come was told by a clock that was set back since.
    time::after(known.at.min(now), monitor(project))
}

/// Whether a revision that everything came to be as it says was so for its monitor time, with nothing told to the
/// contrary.
pub fn is_over(known: &Proven, project: &Project, now: Timestamp) -> bool {
    known.revision == project.revision && due(known, project, now) <= now
}

/// What is in force where the manifest has this revision: itself, or the healthy one where it failed before. `images`: what
/// references stand for now.
pub fn in_force<'i>(
    ledger: &mut ProjectLedger,
    healthy: Option<&Healthy>,
    wanted: Arc<Project>,
    images: impl Fn(&str) -> Option<&'i ImageId>,
) -> Arc<Project> {
    let before = ledger.rolled_back.take();
    let failed = ledger.failed.get(&wanted.revision).is_some_and(|f| f.rolled_back);
    let Some(healthy) = healthy.filter(|_| failed) else { return wanted };
    let moved = |(name, image): (&ServiceName, &ImageId)| {
        let service = healthy.project.services.get(name)?;
        (images(&service.image) != Some(image)).then(|| (name.clone(), image.clone()))
    };
    let back = before.filter(|b| b.from == wanted.revision).unwrap_or_else(|| RolledBack {
        from: wanted.revision.clone(),
        pinned: healthy.images.iter().filter_map(moved).collect(),
    });
    let project = pinned(healthy, &back);
    ledger.rolled_back = Some(back);
    Arc::new(project)
}

/// The healthy revision as it is in force again: where a reference stands for another image by now, its services are made
/// from the image that ran.
fn pinned(healthy: &Healthy, back: &RolledBack) -> Project {
    let mut project = Project::clone(&healthy.project);
    for (name, image) in &back.pinned {
        if let Some(service) = project.services.get_mut(name) {
            service.image = image.to_string();
            service.pull_policy = PullPolicy::Never;
        }
    }
    project
}
