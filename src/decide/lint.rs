//! A second pair of eyes: checks a decision against the invariants without knowing how it was reached.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::{Action, Cause, Decision, Input, Step, Target};
use crate::model::observed::{Container, ContainerState, Health};
use crate::model::service::{Cascade, Condition, Order, PullPolicy};
use crate::model::{ContainerId, Project, ServiceName};

/// A rule that no decision may break.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Invariant {
    /// At most one step works on a subject.
    OneStepASubject,
    /// Only what is there is worked on, and only what is the project's own.
    OwnContainers,
    /// What runs is not removed.
    StoppedBeforeRemoval,
    /// A container is started only once all of its making was seen.
    PreparedBeforeStart,
    /// Volumes are removed only where somebody said so.
    VolumesStay,
    /// Only networks of the project are removed.
    OwnNetworks,
    /// What is suspended is not touched.
    SuspendedUntouched,
    /// Nothing is removed while the guard holds.
    GuardHolds,
    /// Images are fetched and built only where the manifest allows it.
    PullPolicy,
    /// A first start comes after what it depends on.
    DependenciesFirst,
    /// No two containers of one replica run.
    OneWriter,
}

/// A step that breaks an invariant.
#[derive(Debug, Clone, PartialEq)]
pub struct Violation {
    /// The rule.
    pub invariant: Invariant,
    /// The step that would break it.
    pub step: Step,
    detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.detail, self.step)
    }
}

/// The steps of a decision that break an invariant; none for a good one.
pub fn lint(input: &Input<'_>, decision: &Decision) -> Vec<Violation> {
    if decision.steps.is_empty() {
        return Vec::new();
    }
    let containers = Containers::of(input, decision);
    let mut broken = Vec::new();
    let mut subjects = BTreeSet::new();
    for step in &decision.steps {
        let mut complain = |invariant, what: &str| {
            broken.push(Violation { invariant, step: step.clone(), detail: what.to_owned() });
        };
        let subject = step.action.subject();
        if input.in_flight.contains_key(&subject) {
            complain(Invariant::OneStepASubject, "a step for a subject whose step is in flight");
        }
        if !subjects.insert(subject) {
            complain(Invariant::OneStepASubject, "two steps for one subject");
        }
        if let Some(id) = step.action.container() {
            match input.observed.containers.get(id) {
                None => complain(Invariant::OwnContainers, "a step for a container that is not there"),
                Some(c) if c.project != *input.project => {
                    complain(Invariant::OwnContainers, "a step for another project's container")
                }
                Some(c) if c.oneoff && input.ledger.down.is_none() && matches!(input.target, Target::Declared(_)) => {
                    complain(Invariant::OwnContainers, "a step for a container of `docker compose run`");
                }
                Some(c) if matches!(step.action, Action::RemoveContainer { .. }) && c.is_running() => {
                    complain(Invariant::StoppedBeforeRemoval, "removes a running container");
                }
                Some(c)
                    if matches!(step.action, Action::StartContainer { .. })
                        && c.state == ContainerState::Created
                        && !input.ledger.prepared.contains(id) =>
                {
                    complain(Invariant::PreparedBeforeStart, "starts a container whose making was not seen to its end");
                }
                _ => {}
            }
        }
        let prunes = matches!(input.target, Target::Declared(project) if project.extension.prune_volumes);
        let resets = |project: &Project, name: &str| {
            let keys = project.services.values().flat_map(|s| &s.extension.recovery.reset_volumes);
            keys.filter_map(|key| project.volumes.get(key)).any(|volume| volume.name == name && !volume.external)
        };
        let reset = match (&step.action, input.target) {
            (Action::RemoveVolume { name }, Target::Declared(project)) => resets(project, name),
            _ => false,
        };
        let told = reset || prunes || input.ledger.down.as_ref().is_some_and(|d| d.volumes);
        if matches!(step.action, Action::RemoveVolume { .. }) && !told {
            complain(Invariant::VolumesStay, "removes a volume that nobody asked to be removed");
        }
        if let Action::RemoveNetwork { id, .. } = &step.action
            && input.observed.networks.get(id).is_none_or(|n| n.project.as_ref() != Some(input.project))
        {
            complain(Invariant::OwnNetworks, "removes a network that is not ours");
        }
        // What a throttle took is given back.
        let gives_back = matches!(step.cause, Cause::Released { .. });
        if input.ledger.suspended && input.ledger.down.is_none() && !gives_back {
            complain(Invariant::SuspendedUntouched, "a step for a suspended project");
        }
        let held = input.guard_tripped && !input.ledger.removal_confirmed && input.ledger.down.is_none();
        if held && matches!(step.cause, Cause::ProjectRemoved) {
            complain(Invariant::GuardHolds, "a removal past the guard");
        }
        if let Target::Declared(project) = input.target {
            if let Some(what) = unwanted_image(project, input, step) {
                complain(Invariant::PullPolicy, what);
            }
            for name in unready(project, input, step, &containers) {
                complain(Invariant::DependenciesFirst, &format!("started before {name} is ready"));
            }
            if two_writers(project, input, step, &containers) {
                complain(Invariant::OneWriter, "two containers of one replica would run");
            }
        }
    }
    broken
}

/// Images are fetched and built only where the manifest allows it.
fn unwanted_image(project: &Project, input: &Input<'_>, step: &Step) -> Option<&'static str> {
    let there = |image: &str| matches!(input.observed.images.get(image), Some(Some(_)));
    match &step.action {
        Action::PullImage { image } => {
            let mut policies = project.services.values().filter(|s| s.image == *image).map(|s| s.pull_policy);
            let allowed = |policy| match policy {
                PullPolicy::Always | PullPolicy::Every(_) => true,
                PullPolicy::Missing => !there(image),
                PullPolicy::Unwritten => !there(image) && !project.can_build(image),
                PullPolicy::Never | PullPolicy::Build => false,
            };
            (!policies.any(allowed)).then_some("fetches an image that is not to be fetched")
        }
        Action::BuildImage { service, image } => {
            let service = project.services.get(service).filter(|s| s.build.is_some() && s.image == *image);
            let allowed = service.is_some_and(|s| !there(image) || s.pull_policy == PullPolicy::Build);
            (!allowed).then_some("builds an image that is not to be built")
        }
        _ => None,
    }
}

/// The project's containers by service, and which of them are being stopped: looked up once for all steps.
struct Containers<'a> {
    by_service: BTreeMap<&'a ServiceName, Vec<&'a Container>>,
    ending: BTreeSet<&'a ContainerId>,
}

impl<'a> Containers<'a> {
    fn of(input: &Input<'a>, decision: &'a Decision) -> Self {
        let mut by_service: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for container in input.observed.containers.values() {
            if let Some(service) = &container.service {
                by_service.entry(service).or_default().push(container);
            }
        }
        let actions = decision.steps.iter().map(|step| &step.action).chain(input.in_flight.values());
        let stops = actions.filter_map(|action| match action {
            Action::StopContainer { container, .. } => Some(container),
            _ => None,
        });
        Self { by_service, ending: stops.collect() }
    }

    fn of_service(&self, name: &ServiceName) -> impl Iterator<Item = &'a Container> {
        self.by_service.get(name).into_iter().flatten().copied()
    }
}

/// What a first start needs and is not ready: looked up here from the containers alone.
fn unready<'p>(
    project: &'p Project,
    input: &Input<'_>,
    step: &Step,
    containers: &Containers<'_>,
) -> Vec<&'p ServiceName> {
    let Action::StartContainer { service, container, .. } = &step.action else { return Vec::new() };
    if matches!(step.cause, Cause::FallBack) {
        return Vec::new();
    }
    let Some(service) = project.services.get(service) else { return Vec::new() };
    let ignored = |name: &ServiceName| {
        let cascade = project.services.get(name).map(|s| s.extension.recovery.cascade);
        step.cause.attempt().is_some() && cascade == Some(Cascade::Ignore)
    };
    let is_done = |c: &Container| matches!(c.state, ContainerState::Exited { code: 0, .. });
    let is_missing = |name: &&ServiceName, condition: Condition| {
        let all = || containers.of_service(name);
        let mut alive = all()
            .filter(|c| c.id != *container && !c.oneoff)
            .filter(|c| !c.is_running() || !containers.ending.contains(&c.id));
        let holds = match condition {
            Condition::Started => {
                alive.any(Container::is_running) || input.ledger.completion(name).is_some() || all().any(is_done)
            }
            Condition::Healthy => alive.any(|c| c.is_running() && c.health() == Health::Healthy),
            Condition::CompletedSuccessfully => input.ledger.completion(name).is_some() || alive.any(is_done),
        };
        !holds && project.services.get(*name).is_some_and(|s| s.replicas > 0)
    };
    let needed = service.depends_on.iter().filter(|(name, d)| d.required && !ignored(name));
    needed.filter(|(name, d)| is_missing(name, d.condition)).map(|(name, _)| name).collect()
}

/// Whether a replica would be started while another container of the same replica runs.
fn two_writers(project: &Project, input: &Input<'_>, step: &Step, containers: &Containers<'_>) -> bool {
    let Action::StartContainer { service, number, container } = &step.action else { return false };
    let config =
        project.services.get(service).filter(|s| s.shared_by_twins().is_none()).and_then(|s| s.deploy.as_ref());
    let configs = config.into_iter().flat_map(|d| [&d.update_config, &d.rollback_config]).flatten();
    if configs.into_iter().any(|c| c.order == Some(Order::StartFirst)) {
        return false;
    }
    containers.of_service(service).any(|c| {
        c.project == *input.project && c.id != *container && c.number == *number && !c.oneoff && c.is_running()
    })
}
