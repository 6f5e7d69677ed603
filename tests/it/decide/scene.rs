//! A scene: a manifest, what the engine has, what is remembered. Goldens read like manifests.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use evenkeel::decide::{
    Action, Decision, Input, RecoveryPolicy, RolloutStatus, Room, Step, Target, decide, in_force, lint, memory,
};
use evenkeel::model::ledger::{Down, Failure, Healthy, ProjectLedger, Subject};
use evenkeel::model::observed::{Capabilities, ContainerState, Health};
use evenkeel::model::setback::Setback;
use evenkeel::model::state::ProjectState;
use evenkeel::model::{ContainerId, ImageId, InstanceId, Project, ProjectName, ServiceName, Timestamp};

use super::world::{Run, World};
use crate::manifest::loading;

/// What is wanted of the project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    Declared,
    Removed { confirmed: bool },
    Unknown,
}

pub struct Scene {
    pub project: Project,
    pub wanted: Wanted,
    pub world: World,
    pub ledger: ProjectLedger,
    pub in_flight: BTreeMap<Subject, Action>,
    pub healthy: Option<Healthy>,
    converged: Option<Healthy>,
    pub others: BTreeMap<ProjectName, ProjectState>,
    pub api: (u16, u16),
    pub absences_confirmed: bool,
    pub guard_tripped: bool,
    pub take_over: bool,
    pub recovery: RecoveryPolicy,
    pub room: Room,
    /// What the containers of a service do once they are started; others run on, with a passing check if they have one.
    pub runs: BTreeMap<String, Run>,
    hashes: Vec<String>,
    instance: InstanceId,
}

impl Scene {
    /// Nothing is there but the images.
    #[track_caller]
    pub fn of(yaml: &str) -> Self {
        let mut scene = Self {
            project: loading::shop(yaml),
            wanted: Wanted::Declared,
            world: World::new("2026-01-01T00:00:00Z".parse().unwrap()),
            ledger: ProjectLedger::default(),
            in_flight: BTreeMap::new(),
            healthy: None,
            converged: None,
            others: BTreeMap::new(),
            api: (1, 44),
            absences_confirmed: true,
            guard_tripped: false,
            take_over: false,
            recovery: RecoveryPolicy { jitter: 0.0, ..RecoveryPolicy::default() },
            room: Room::default(),
            runs: BTreeMap::new(),
            hashes: Vec::new(),
            instance: InstanceId::trusted("us"),
        };
        scene.change(yaml);
        scene
    }

    /// Everything of the manifest is there and runs.
    #[track_caller]
    pub fn converged(yaml: &str) -> Self {
        let mut scene = Self::of(yaml);
        scene.settle();
        scene
    }

    /// Another revision of the manifest. Configuration hashes are numbered as they come up.
    #[track_caller]
    pub fn change(&mut self, yaml: &str) {
        self.project = loading::shop(yaml);
        for service in self.project.services.values_mut() {
            let number = match self.hashes.iter().position(|h| *h == service.config_hash) {
                Some(at) => at,
                None => {
                    self.hashes.push(service.config_hash.clone());
                    self.hashes.len() - 1
                }
            };
            service.config_hash = format!("config-{}", number + 1);
            let id = ImageId::trusted(format!("sha256:{}", service.image));
            self.world.observed.images.entry(service.image.clone()).or_insert(Some(id));
        }
    }

    /// A service's container of the configuration in force, running since now.
    pub fn running(&mut self, service: &str, number: u32) -> ContainerId {
        let since = self.world.now;
        let mut container = self.world.container(&self.project, service, number);
        container.state = ContainerState::Running { since };
        container.health = self.run(service, number).1;
        let keys = self.project.services[service].networks.keys();
        let names: Vec<_> = keys.map(|k| self.project.networks[k].name.clone()).collect();
        let networks = self.world.observed.networks.values().filter(|n| names.contains(&n.name));
        container.networks = networks.flat_map(|n| [n.id.to_string(), n.name.clone()]).collect();
        self.world.put(container)
    }

    /// The networks of the manifest.
    pub fn with_networks(mut self) -> Self {
        for network in self.project.networks.values() {
            let owner = (!network.external).then_some(&self.project);
            self.world.put_network(&network.name, owner);
        }
        self
    }

    fn run(&self, service: &str, number: u32) -> (Run, Health) {
        let check = self.project.services.get(service).and_then(|s| s.healthcheck.as_ref());
        let health = if check.is_some_and(|h| !h.disabled()) { Health::Healthy } else { Health::None };
        let run = self.runs.get(&format!("{service}/{number}")).or_else(|| self.runs.get(service));
        (run.copied().unwrap_or(Run::Stays(health)), health)
    }

    pub fn input<T>(&self, with: impl FnOnce(&Input<'_>) -> T) -> T {
        with(&Input {
            project: &self.project.name,
            target: match self.wanted {
                Wanted::Declared => Target::Declared(&self.project),
                Wanted::Removed { confirmed } => Target::Removed { last: Some(&self.project), confirmed },
                Wanted::Unknown => Target::Unknown,
            },
            absences_confirmed: self.absences_confirmed,
            guard_tripped: self.guard_tripped,
            observed: &self.world.observed,
            in_flight: &self.in_flight,
            ledger: &self.ledger,
            healthy: self.healthy.as_ref(),
            others: &self.others,
            capabilities: Capabilities { api: self.api },
            recovery: &self.recovery,
            instance: &self.instance,
            take_over: self.take_over,
            room: self.room,
            seed: 7,
            now: self.world.now,
        })
    }

    /// Decides; the same input gives the same decision, and the decision breaks no invariant.
    #[track_caller]
    pub fn decide(&self) -> Decision {
        self.input(|input| {
            let decision = decide(input);
            assert_eq!(lint(input, &decision), [], "{decision}");
            assert_eq!(decide(input), decision);
            decision
        })
    }

    #[track_caller]
    pub fn text(&self) -> String {
        self.decide().to_string()
    }

    /// The decision, then how the project and its services are.
    #[track_caller]
    pub fn report(&self) -> String {
        let decision = self.decide();
        let mut text = decision.to_string();
        let state = decision.state.map_or("-", ProjectState::as_str);
        writeln!(text, "[{state}]").unwrap();
        for (service, state) in &decision.services {
            writeln!(text, "[{service}: {state}]").unwrap();
        }
        text
    }

    /// One step, with the notes that control keeps.
    pub fn take(&mut self, decided: &Decision, step: &Step) {
        let target = (self.wanted == Wanted::Declared).then_some(&self.project);
        memory::begins(&mut self.ledger, target, step, self.world.now);
        let run = match &step.action {
            Action::StartContainer { service, number, .. } => self.run(service.as_str(), *number).0,
            _ => Run::Exits(0),
        };
        match self.world.apply(target, &step.action, run) {
            Ok(made) => {
                memory::worked(&mut self.ledger, target, decided, step, made.as_ref());
                step.action.container().map(|id| memory::seen(&mut self.ledger, id));
            }
            Err(error) => {
                memory::failed(&mut self.ledger, target, step, Setback::Other, &error, self.world.now);
            }
        }
    }

    /// What is remembered of a decision, before its steps are taken; what control does with a revision that failed.
    fn note(&mut self, decision: &Decision) {
        self.ledger.completions.extend(decision.completions.clone());
        memory::decided(&mut self.ledger, decision, self.world.now);
        let Some(rollout_status) = &decision.rollout_status else { return };
        memory::record_rollout_status(&mut self.ledger, &self.project.revision, rollout_status);
        match rollout_status {
            RolloutStatus::Converged(_, images) => {
                let project = Arc::new(self.project.clone());
                self.converged = Some(Healthy { project, images: images.clone() });
            }
            RolloutStatus::Healthy => self.healthy = self.converged.clone(),
            RolloutStatus::Lapsed => {}
            RolloutStatus::Failed { .. } => self.put_in_force(),
        }
    }

    pub fn put_in_force(&mut self) {
        let images = &self.world.observed.images;
        let now = |reference: &str| images.get(reference).and_then(Option::as_ref);
        let project = Arc::new(self.project.clone());
        self.project = Project::clone(&in_force(&mut self.ledger, self.healthy.as_ref(), project, now));
        for service in self.project.services.values() {
            let reference = service.image.clone();
            if reference.starts_with("sha256:") {
                self.world.observed.images.insert(reference.clone(), Some(ImageId::trusted(reference)));
            }
        }
    }

    /// Time passes until what runs counts as healthy.
    pub fn proves_itself(&mut self) {
        for _ in 0..3 {
            let decision = self.decide();
            self.note(&decision);
            self.world.pass(10);
        }
        assert!(self.healthy.is_some(), "{}", self.report());
    }

    /// The frontier is carried out.
    #[track_caller]
    pub fn round(&mut self) -> String {
        let decision = self.decide();
        self.note(&decision);
        for step in &decision.steps {
            self.take(&decision, step);
        }
        decision.to_string()
    }

    /// Rounds, numbered, until no step is left.
    #[track_caller]
    pub fn settle(&mut self) -> String {
        let mut text = String::new();
        for round in 1..100 {
            let decision = self.decide();
            self.note(&decision);
            if let Some(RolloutStatus::Failed { failure }) = &decision.rollout_status {
                writeln!(text, "{round}. FAILED: {}: {}", failure.service, failure.reason).unwrap();
                continue;
            }
            if decision.steps.is_empty() && !decision.transitions.is_empty() {
                continue;
            }
            if decision.steps.is_empty() {
                for waiting in &decision.waiting {
                    writeln!(text, "-  {waiting}").unwrap();
                }
                return text;
            }
            for step in &decision.steps {
                writeln!(text, "{round}. {step}").unwrap();
                self.take(&decision, step);
            }
            self.world.pass(1);
        }
        panic!("no end:\n{text}");
    }

    /// The containers there are, by name.
    pub fn containers(&self) -> String {
        let mut lines: Vec<_> = self
            .world
            .observed
            .containers
            .values()
            .map(|c| format!("{} {} {}\n", c.name, c.state.as_str(), c.config_hash.as_deref().unwrap_or("-")))
            .collect();
        lines.sort();
        lines.concat()
    }

    /// The container of a replica, the youngest where there are several.
    #[track_caller]
    pub fn id(&self, service: &str, number: u32) -> ContainerId {
        let service = ServiceName::trusted(service);
        let same =
            |c: &&evenkeel::model::observed::Container| c.service.as_ref() == Some(&service) && c.number == number;
        let found = self.world.observed.containers.values().filter(same);
        found.max_by_key(|c| (c.created, c.id.clone())).expect("there is such a container").id.clone()
    }

    pub fn fails(&mut self, service: &str, attempts: u32, error: &str) {
        let subject = Subject::Replica(ServiceName::trusted(service), 1);
        let config = self.project.services[service].config_hash.clone();
        let last = self.world.now;
        let error = error.to_owned();
        let (came_down, in_place, not_before) = (false, false, None);
        let kind = Setback::Other;
        let failure = Failure { attempts, last, kind, error, config, came_down, in_place, not_before };
        self.ledger.failures.insert(subject, failure);
    }

    pub fn down(&mut self, volumes: bool) {
        self.ledger.down = Some(Down { volumes });
    }

    pub fn now(&self) -> Timestamp {
        self.world.now
    }
}
