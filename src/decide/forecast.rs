//! The unfolded plan: the same decisions over a predicted world, until nothing is left to do.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::decide::memory;
use crate::decide::replica::sharing;
use crate::decide::{Action, Cause, Input, Step, Target, Waiting, WaitingOn, decide};
use crate::model::fields::{self, Difference, Repair};
use crate::model::health::HealthClass;
use crate::model::ledger::ProjectLedger;
use crate::model::observed::{Container, ContainerState, Health, Network, Observed, Volume};
use crate::model::{ContainerId, ImageId, NetworkId, Project, ProjectName, ServiceName, Timestamp};

/// Rounds after which a plan is cut: each round takes at least one step of a finite number.
const MAX_ROUNDS: usize = 10_000;

/// What would be done, stage after stage, if all went well.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// The project that is planned for.
    pub project: ProjectName,
    /// Steps that may run at the same time stand in one stage.
    pub stages: Vec<Vec<PlannedStep>>,
    /// What waits at first.
    pub waiting: Vec<Waiting>,
}

/// A step with what it means for who uses the service.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlannedStep {
    /// The step as people read it, with its cause.
    pub step: String,
    /// Why, in words.
    pub why: String,
    /// The step as data.
    #[serde(flatten)]
    pub detail: Step,
    /// `none`, `restart` or `recreate`.
    pub disruption: &'static str,
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.stages.is_empty()
    }

    /// Takes out what becomes of throttles: only who sees what containers use knows that.
    pub fn leave_throttles(&mut self) {
        for stage in &mut self.stages {
            stage.retain(|step| !step.detail.cause.is_throttle());
        }
        self.stages.retain(|stage| !stage.is_empty());
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, stage) in self.stages.iter().enumerate() {
            for step in stage {
                writeln!(f, "{:>3}. {} [{}]", n + 1, step.detail, step.disruption)?;
            }
        }
        for waiting in &self.waiting {
            writeln!(f, "     {waiting}")?;
        }
        Ok(())
    }
}

/// Unfolds the plan. Predicted: every step works, health checks pass, jobs end with 0, other projects stay as they are.
pub fn forecast(input: &Input<'_>) -> Plan {
    let mut world = World {
        observed: input.observed.clone(),
        ledger: input.ledger.clone(),
        now: input.now,
        project: match input.target {
            Target::Declared(project) => Some(project),
            _ => None,
        },
        made: 0,
    };
    let nothing = BTreeMap::new();
    let mut plan = Plan { project: input.project.clone(), stages: Vec::new(), waiting: Vec::new() };
    for round in 0..MAX_ROUNDS {
        let decision = decide(&Input {
            observed: &world.observed,
            ledger: &world.ledger,
            now: world.now,
            in_flight: &nothing,
            ..*input
        });
        if round == 0 {
            plan.waiting = decision.waiting.clone();
        }
        world.ledger.completions.extend(decision.completions.clone());
        memory::decided(&mut world.ledger, &decision, world.now);
        if decision.steps.is_empty() && !decision.transitions.is_empty() {
            continue;
        }
        let delay = decision.waiting.iter().filter_map(|w| match w.on {
            WaitingOn::Turn { until, .. } => until,
            _ => None,
        });
        if let (true, Some(until)) = (decision.steps.is_empty(), delay.min()) {
            world.now = world.now.max(until);
            continue;
        }
        if decision.steps.is_empty() {
            // What is left once all is done can only be waited for.
            let stays = |w: &Waiting| matches!(w.on, WaitingOn::External { .. } | WaitingOn::Resources { .. });
            let left: Vec<_> = decision.waiting.into_iter().filter(|w| stays(w) && !plan.waiting.contains(w)).collect();
            plan.waiting.extend(left);
            break;
        }
        for step in &decision.steps {
            world.apply(step);
        }
        world.now = world.now.checked_add(Duration::from_secs(1)).unwrap_or(world.now);
        plan.stages.push(
            decision
                .steps
                .into_iter()
                .map(|step| PlannedStep {
                    step: step.action.to_string(),
                    why: step.cause.to_string(),
                    disruption: disruption(&step),
                    detail: step,
                })
                .collect(),
        );
    }
    plan
}

fn disruption(step: &Step) -> &'static str {
    match (&step.action, &step.cause) {
        (Action::StopContainer { .. }, Cause::Replaced) => "recreate",
        (Action::StopContainer { .. }, Cause::StartedBefore { .. } | Cause::FieldsDiffer { .. }) => "restart",
        (Action::StopContainer { .. }, _) => "stop",
        _ => "none",
    }
}

struct World<'a> {
    observed: Observed,
    ledger: ProjectLedger,
    now: Timestamp,
    project: Option<&'a Project>,
    made: u64,
}

impl World<'_> {
    fn apply(&mut self, step: &Step) {
        self.made += 1;
        let id = format!("{:0>12x}", self.made);
        match &step.action {
            Action::CreateNetwork { key, name } => self.create_network(NetworkId::trusted(id), key, name),
            Action::RemoveNetwork { id, .. } => {
                self.observed.networks.remove(id);
            }
            Action::CreateVolume { key, name } => {
                let project = self.project.map(|p| p.name.clone());
                self.observed
                    .volumes
                    .insert(name.clone(), Volume { name: name.clone(), project, key: Some(key.clone()), made: None });
            }
            Action::RemoveVolume { name } => {
                self.observed.volumes.remove(name);
            }
            Action::BuildImage { image, .. } | Action::PullImage { image } => {
                // Whether another one comes of it is not known before; predicted is that none does.
                let there = self.observed.images.entry(image.clone()).or_default();
                there.get_or_insert_with(|| ImageId::trusted("sha256:predicted"));
                memory::supplied(&mut self.ledger, self.project, &step.action, self.now);
            }
            Action::CreateContainer { service, number, name, networks, .. } => {
                self.create(ContainerId::trusted(id), service, *number, name, networks);
            }
            Action::ConnectNetwork { container, network, .. } => {
                let name = self.observed.networks.get(network).map(|n| format!("networks.{}", n.name));
                self.mended(container, |d| name.as_ref().is_some_and(|name| fields::within(&d.path, name)));
                if let Some(c) = self.observed.containers.get_mut(container) {
                    c.networks.insert(network.to_string());
                }
            }
            Action::DisconnectNetwork { container, name, network, .. } => self.disconnect(container, name, network),
            Action::UpdateContainer { container, changes, .. } => {
                self.update(container, changes);
                memory::throttled(&mut self.ledger, container, &step.cause);
                memory::seen(&mut self.ledger, container);
            }
            Action::RunHooks { container, since, .. } => {
                self.ledger.hooked.insert(container.clone(), *since);
            }
            Action::SignalContainer { container, .. } => self.mended(container, |d| d.repair == Repair::Signal),
            Action::StartContainer { container, service, .. } => {
                self.mended(container, |d| matches!(d.repair, Repair::Signal | Repair::Restart));
                self.start(container, service);
            }
            Action::StopContainer { container, .. } => {
                let now = self.now;
                if let Some(c) = self.observed.containers.get_mut(container) {
                    c.killed = true;
                    c.state = ContainerState::Exited { code: 0, oom: false, started: now, finished: now };
                }
            }
            Action::RemoveContainer { container, .. } => {
                self.observed.containers.remove(container);
            }
            Action::RenameContainer { container, name, .. } => {
                if let Some(c) = self.observed.containers.get_mut(container) {
                    c.name.clone_from(name);
                }
            }
            Action::UnpauseContainer { container, .. } => {
                let since = self.now;
                if let Some(c) = self.observed.containers.get_mut(container) {
                    c.state = ContainerState::Running { since };
                }
            }
        }
    }

    fn create_network(&mut self, id: NetworkId, key: &str, name: &str) {
        let network = Network {
            made: None,
            id: id.clone(),
            name: name.to_owned(),
            created: self.now,
            project: self.project.map(|p| p.name.clone()),
            key: Some(key.to_owned()),
        };
        self.observed.networks.insert(id, network);
    }

    fn disconnect(&mut self, container: &ContainerId, name: &str, network: &NetworkId) {
        let at = format!("networks.{name}");
        self.mended(container, |d| fields::within(&d.path, &at));
        if let Some(c) = self.observed.containers.get_mut(container) {
            c.networks.retain(|n| n != name && *n != *network.as_str());
            if let Some(fields) = &mut c.fields {
                Arc::make_mut(fields).unset_all(&at);
            }
        }
    }

    fn update(&mut self, container: &ContainerId, changes: &BTreeMap<String, Option<String>>) {
        self.mended(container, |d| changes.contains_key(&d.path));
        if let Some(fields) = self.observed.containers.get_mut(container).and_then(|c| c.fields.as_mut()) {
            for (path, value) in changes {
                match value {
                    Some(value) => Arc::make_mut(fields).set(path.clone(), value.as_str()),
                    None => Arc::make_mut(fields).unset(path),
                }
            }
        }
    }

    /// These fields are as desired from now on.
    fn mended(&mut self, container: &ContainerId, which: impl Fn(&Difference) -> bool) {
        if let Some(differences) = self.observed.containers.get_mut(container).and_then(|c| c.differences.as_mut()) {
            Arc::make_mut(differences).retain(|d| !which(d));
        }
    }

    fn create(
        &mut self,
        id: ContainerId,
        service: &ServiceName,
        number: u32,
        name: &str,
        networks: &[(String, NetworkId)],
    ) {
        let Some(project) = self.project.map(|p| sharing::resolve(p, &self.observed)) else { return };
        let Some(wanted) = project.services.get(service) else { return };
        let image = self.observed.images.get(&wanted.image).cloned().flatten();
        self.ledger.prepared.insert(id.clone());
        let container = Container {
            service: Some(service.clone()),
            number,
            config_hash: wanted.label_hash(),
            image: image.unwrap_or_else(|| ImageId::trusted("")),
            depends_on: wanted.depends_on.keys().cloned().collect(),
            exit_watched: true,
            networks: networks.iter().map(|(_, id)| id.to_string()).collect(),
            ..Container::made(id.clone(), name, project.name.clone(), self.now)
        };
        self.observed.containers.insert(id, container);
    }

    fn start(&mut self, container: &ContainerId, service: &ServiceName) {
        let job = self.project.is_some_and(|p| p.is_job(service));
        // Whether an image has a check of its own is not known here: one is predicted where somebody waits for it.
        let waited_for = self.project.is_some_and(|p| {
            p.services.values().any(|s| {
                s.depends_on.get(service).is_some_and(|d| d.condition == crate::model::service::Condition::Healthy)
            })
        });
        let check = self.project.and_then(|p| p.services.get(service)?.healthcheck.as_ref()).map(|h| !h.disabled());
        let probe = self.project.is_some_and(|p| p.services.get(service).is_some_and(|s| s.extension.probe.is_some()));
        let now = self.now;
        let Some(c) = self.observed.containers.get_mut(container) else { return };
        // Before its first start a container is listed under the names of its networks, and then under both.
        let networks = self.observed.networks.values().filter(|n| c.networks.contains(&n.name));
        let ids: Vec<_> = networks.map(|n| n.id.to_string()).collect();
        c.networks.extend(ids);
        c.killed = false;
        c.probed = probe.then_some(HealthClass::Healthy);
        c.state = if job {
            ContainerState::Exited { code: 0, oom: false, started: now, finished: now }
        } else {
            ContainerState::Running { since: now }
        };
        c.health = if check.unwrap_or(waited_for) { Health::Healthy } else { Health::None };
    }
}
