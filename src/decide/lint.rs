//! A second pair of eyes: checks a decision against the invariants without knowing how it was reached.

use std::collections::BTreeSet;

use crate::decide::{Action, Decision, Input, Target};
use crate::model::observed::{ContainerState, Health};
use crate::model::service::{Cascade, Condition, Order, PullPolicy};
use crate::model::{ContainerId, Project, ServiceName};

/// The invariants that a decision breaks, in words; none for a good one.
pub fn lint(input: &Input<'_>, decision: &Decision) -> Vec<String> {
    let mut broken = Vec::new();
    let mut subjects = BTreeSet::new();
    for step in &decision.steps {
        let mut complain = |what: &str| broken.push(format!("{what}: {step}"));
        let subject = step.action.subject();
        if input.in_flight.contains_key(&subject) {
            complain("a step for a subject whose step is in flight");
        }
        if !subjects.insert(subject) {
            complain("two steps for one subject");
        }
        if let Some(id) = step.action.container() {
            match input.observed.containers.get(id) {
                None => complain("a step for a container that is not there"),
                Some(c) if c.project != *input.project => complain("a step for another project's container"),
                Some(c) if c.oneoff && input.ledger.down.is_none() && matches!(input.target, Target::Declared(_)) => {
                    complain("a step for a container of `docker compose run`");
                }
                Some(c) if matches!(step.action, Action::RemoveContainer { .. }) && c.is_running() => {
                    complain("removes a running container");
                }
                Some(c)
                    if matches!(step.action, Action::StartContainer { .. })
                        && c.state == ContainerState::Created
                        && !input.ledger.prepared.contains(id) =>
                {
                    complain("starts a container whose making was not seen to its end");
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
            complain("removes a volume that nobody asked to be removed");
        }
        if let Action::RemoveNetwork { id, .. } = &step.action
            && input.observed.networks.get(id).is_none_or(|n| n.project.as_ref() != Some(input.project))
        {
            complain("removes a network that is not ours");
        }
        // What a throttle took is given back.
        let gives_back = matches!(step.cause, crate::decide::Cause::Released { .. });
        if input.ledger.suspended && input.ledger.down.is_none() && !gives_back {
            complain("a step for a suspended project");
        }
        let held = input.guard_tripped && !input.ledger.removal_confirmed && input.ledger.down.is_none();
        if held && matches!(step.cause, crate::decide::Cause::ProjectRemoved) {
            complain("a removal past the guard");
        }
        if let Target::Declared(project) = input.target {
            broken.extend(unwanted_image(project, input, step));
        }
        unready_start(input, decision, step, &mut broken);
        two_writers(input, step, &mut broken);
    }
    broken
}

/// Images are fetched and built only where the manifest allows it.
fn unwanted_image(project: &Project, input: &Input<'_>, step: &crate::decide::Step) -> Option<String> {
    let there = |image: &str| matches!(input.observed.images.get(image), Some(Some(_)));
    let what = match &step.action {
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
    };
    what.map(|what| format!("{what}: {step}"))
}

/// A first start needs what it depends on: looked up here from the containers alone.
fn unready_start(input: &Input<'_>, decision: &Decision, step: &crate::decide::Step, broken: &mut Vec<String>) {
    let (Action::StartContainer { service, container, .. }, Target::Declared(project)) = (&step.action, input.target)
    else {
        return;
    };
    if matches!(step.cause, crate::decide::Cause::FallBack) {
        return;
    }
    let Some(service) = project.services.get(service) else { return };
    let ends = |id: &ContainerId| {
        let steps = decision.steps.iter().map(|step| &step.action).chain(input.in_flight.values());
        steps.into_iter().any(|action| matches!(action, Action::StopContainer { container, .. } if container == id))
    };
    let ignored = |name: &ServiceName| {
        let cascade = project.services.get(name).map(|s| s.extension.recovery.cascade);
        step.cause.attempt().is_some() && cascade == Some(Cascade::Ignore)
    };
    for (name, dependency) in service.depends_on.iter().filter(|(name, d)| d.required && !ignored(name)) {
        let mut alive = input
            .observed
            .containers
            .values()
            .filter(|c| c.service.as_ref() == Some(name) && c.id != *container && !c.oneoff)
            .filter(|c| !c.is_running() || !ends(&c.id));
        let holds = match dependency.condition {
            Condition::Started => {
                alive.any(super::super::model::observed::Container::is_running)
                    || input.ledger.completion(name).is_some()
                    || input.observed.containers.values().any(|c| {
                        c.service.as_ref() == Some(name) && matches!(c.state, ContainerState::Exited { code: 0, .. })
                    })
            }
            Condition::Healthy => alive.any(|c| c.is_running() && c.health() == Health::Healthy),
            Condition::CompletedSuccessfully => {
                input.ledger.completion(name).is_some()
                    || alive.any(|c| matches!(c.state, ContainerState::Exited { code: 0, .. }))
            }
        };
        if !holds && project.services.get(name).is_some_and(|s| s.replicas > 0) {
            broken.push(format!("started before {name} is ready: {step}"));
        }
    }
}

/// No replica is started while another container of the same replica runs.
fn two_writers(input: &Input<'_>, step: &crate::decide::Step, broken: &mut Vec<String>) {
    let Action::StartContainer { service, number, container } = &step.action else { return };
    let Target::Declared(project) = input.target else { return };
    let config =
        project.services.get(service).filter(|s| s.shared_by_twins().is_none()).and_then(|s| s.deploy.as_ref());
    let configs = config.into_iter().flat_map(|d| [&d.update_config, &d.rollback_config]).flatten();
    if configs.into_iter().any(|c| c.order == Some(Order::StartFirst)) {
        return;
    }
    let twin = input.observed.containers.values().any(|c| {
        c.project == *input.project
            && c.id != *container
            && c.service.as_ref() == Some(service)
            && c.number == *number
            && !c.oneoff
            && c.is_running()
    });
    if twin {
        broken.push(format!("two containers of one replica would run: {step}"));
    }
}
