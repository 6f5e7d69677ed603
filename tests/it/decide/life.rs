//! A life of a project: steps that fail or lose their answer, containers that end, people who interfere.

use std::collections::BTreeMap;

use evenkeel::decide::{
    Action, Decision, Input, RecoveryPolicy, RolloutStatus, Step, Target, decide, forecast, lint, memory,
};
use evenkeel::model::ledger::{ProjectLedger, Subject};
use evenkeel::model::observed::{Capabilities, Container, ContainerState, Health};
use evenkeel::model::setback::Setback;
use evenkeel::model::{ContainerId, ImageId, InstanceId, Project, ProjectName};

use super::world::{Run, World};

/// Numbers from a seed.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x ^ (x >> 31)) % sides
    }

    pub fn one_in(&mut self, n: u64) -> bool {
        self.roll(n) == 0
    }
}

pub struct Life {
    pub project: Project,
    pub removed: bool,
    pub world: World,
    pub ledger: ProjectLedger,
    pub decision: Decision,
    pub dice: Dice,
    /// Things go wrong.
    pub faults: bool,
    pub trace: Vec<String>,
    in_flight: BTreeMap<Subject, Action>,
    pending: Vec<Step>,
    api: (u16, u16),
    recovery: RecoveryPolicy,
    instance: InstanceId,
}

impl Life {
    pub fn new(project: Project, seed: u64) -> Self {
        let mut life = Self {
            world: World::new("2026-01-01T00:00:00Z".parse().unwrap()),
            project,
            removed: false,
            ledger: ProjectLedger::default(),
            decision: Decision::default(),
            dice: Dice(seed),
            faults: true,
            trace: Vec::new(),
            in_flight: BTreeMap::new(),
            pending: Vec::new(),
            api: if seed.is_multiple_of(2) { (1, 41) } else { (1, 44) },
            recovery: RecoveryPolicy::default(),
            instance: InstanceId::trusted("us"),
        };
        let mut other = life.project.clone();
        other.name = ProjectName::trusted("other");
        life.world.put_network("other_default", Some(&other));
        life.world.put_network("shop_default_2", None);
        life.world.put_volume("other_data", Some(&other));
        life.world.put_volume("shop_data_2", None);
        life.world.put_volume("shop_old", Some(&life.project.clone()));
        let mut foreign = life.world.container(&other, "s0", 1);
        foreign.state = ContainerState::Running { since: life.world.now };
        life.world.put(foreign);
        let mut run = life.world.container(&life.project, "s0", 1);
        run.oneoff = true;
        run.name = "shop-s0-run-1".into();
        life.world.put(run);
        life
    }

    pub fn target(&self) -> Option<&Project> {
        (!self.removed).then_some(&self.project)
    }

    fn input<T>(&self, with: impl FnOnce(&Input<'_>) -> T) -> T {
        with(&Input {
            project: &self.project.name,
            target: match self.target() {
                Some(project) => Target::Declared(project),
                None => Target::Removed { last: Some(&self.project), confirmed: true },
            },
            absences_confirmed: true,
            guard_tripped: false,
            observed: &self.world.observed,
            in_flight: &self.in_flight,
            ledger: &self.ledger,
            healthy: None,
            others: &BTreeMap::new(),
            capabilities: Capabilities { api: self.api },
            recovery: &self.recovery,
            instance: &self.instance,
            take_over: false,
            room: Default::default(),
            seed: 7,
            now: self.world.now,
        })
    }

    /// Decides, checks the decision, and begins some of its steps.
    pub fn round(&mut self) -> Result<(), String> {
        let images = self.project.services.values().map(|s| s.image.clone());
        for image in images.collect::<Vec<_>>() {
            let id = Some(ImageId::trusted(format!("sha256:{image}")));
            self.world.observed.images.entry(image).or_insert(id);
        }
        self.finish_some();
        let (decision, again, broken, stages) = self.input(|input| {
            let decision = decide(input);
            let broken = lint(input, &decision);
            (decision.clone(), decide(&input.clone()).to_string(), broken, forecast(input).stages.len())
        });
        let text = decision.to_string();
        self.trace.push(format!("--- {}\n{text}", self.world.now));
        if !broken.is_empty() {
            return Err(format!("the lint complains: {broken:?}"));
        }
        if again != text {
            return Err(format!("the same input gave another decision:\n{again}"));
        }
        if stages > 500 {
            return Err(format!("the forecast does not end: {stages} stages"));
        }
        self.ledger.completions.extend(decision.completions.clone());
        memory::decided(&mut self.ledger, &decision, self.world.now);
        // No revision is ever healthy here, or a failure would put another one in force.
        if let Some(rollout_status @ (RolloutStatus::Converged(..) | RolloutStatus::Lapsed)) = &decision.rollout_status
        {
            memory::record_rollout_status(&mut self.ledger, &self.project.revision, rollout_status);
        }
        self.decision = decision;
        for step in self.decision.steps.clone() {
            if matches!(step.action, Action::RemoveVolume { .. }) {
                return Err(format!("a volume is removed: {step}"));
            }
            if self.faults && self.dice.one_in(5) {
                continue;
            }
            let target = (!self.removed).then_some(&self.project);
            memory::begins(&mut self.ledger, target, &step, self.world.now);
            self.in_flight.insert(step.action.subject(), step.action.clone());
            self.pending.push(step);
        }
        self.finish_some();
        self.one_writer()
    }

    fn finish_some(&mut self) {
        for step in std::mem::take(&mut self.pending) {
            if self.faults && self.dice.one_in(3) {
                self.pending.push(step);
            } else {
                self.finish(&step);
            }
        }
    }

    fn finish(&mut self, step: &Step) {
        self.in_flight.remove(&step.action.subject());
        let (lost, effect) = match self.faults && self.dice.one_in(6) {
            true => (true, self.dice.one_in(2)),
            false => (false, true),
        };
        let run = match &step.action {
            Action::StartContainer { service, .. } => self.run(service.as_str()),
            _ => Run::Exits(0),
        };
        let target = (!self.removed).then_some(&self.project);
        let vanished = match &step.action {
            Action::CreateContainer { service, .. } | Action::ConnectNetwork { service, .. } => {
                target.is_none_or(|p| !p.services.contains_key(service))
            }
            Action::CreateNetwork { .. } | Action::CreateVolume { .. } => target.is_none(),
            _ => false,
        };
        let result = match effect && !vanished {
            true => self.world.apply(target, &step.action, run),
            false => Err("refused".into()),
        };
        match result {
            Ok(made) if !lost => {
                memory::worked(&mut self.ledger, target, &self.decision, step, made.as_ref());
                step.action.container().map(|id| memory::seen(&mut self.ledger, id));
            }
            Ok(_) => self.fail(step, "no answer from the Engine"),
            Err(error) => self.fail(step, &error),
        }
    }

    fn fail(&mut self, step: &Step, error: &str) {
        self.trace.push(format!("failed: {}: {error}\n", step.action));
        let target = (!self.removed).then_some(&self.project);
        memory::failed(&mut self.ledger, target, step, Setback::Other, error, self.world.now);
    }

    /// What a container does once it is started.
    fn run(&mut self, service: &str) -> Run {
        let service = self.project.services.get(service);
        let check = service.is_some_and(|s| s.healthcheck.is_some());
        let job = service.is_some_and(|s| s.extension.kind.is_some());
        match (self.faults, job) {
            (true, _) if self.dice.one_in(3) => Run::Exits([0, 1, 137][self.dice.roll(3) as usize]),
            (true, false) if check => Run::Stays([Health::Starting, Health::Unhealthy][self.dice.roll(2) as usize]),
            (true, true) if self.dice.one_in(2) => Run::Stays(Health::None),
            (_, true) => Run::Exits(0),
            _ => Run::Stays(if check { Health::Healthy } else { Health::None }),
        }
    }

    /// Somebody else does something to one of the project's containers, or removes an image.
    pub fn interfere(&mut self) {
        if self.dice.one_in(6)
            && let Some(image) = self.world.observed.images.values_mut().next()
        {
            *image = None;
            self.trace.push("interference with an image\n".into());
        }
        let ours = self.world.observed.containers.values().filter(|c| c.project == self.project.name && !c.oneoff);
        let ids: Vec<ContainerId> = ours.map(|c| c.id.clone()).collect();
        if ids.is_empty() {
            return;
        }
        let id = &ids[self.dice.roll(ids.len() as u64) as usize];
        let watched = self.dice.one_in(2);
        let what = self.dice.roll(8);
        self.trace.push(format!("interference {what} with {id}\n"));
        let running = self.world.get(id).is_running();
        match what {
            0 if running => self.world.end(id, 137, true, watched),
            1 if running => self.world.end(id, 0, true, watched),
            2 if running => self.world.end(id, 0, false, watched),
            3 if running => self.world.end(id, 1, false, watched),
            4 => drop(self.world.observed.containers.remove(id)),
            5 if running => self.world.get(id).state = ContainerState::Paused,
            6 if running => {
                self.world.get(id).state = ContainerState::Restarting;
                self.world.get(id).restart_count += 1;
            }
            7 if !running => self.world.get(id).state = ContainerState::Dead,
            _ => {}
        }
    }

    /// Time brings checks and jobs to an end, and the Engine restarts what it said it would.
    pub fn time(&mut self, seconds: u64) {
        self.world.pass(seconds);
        let now = self.world.now;
        let jobs: Vec<_> =
            self.project.services.values().filter(|s| s.extension.kind.is_some()).map(|s| s.name.clone()).collect();
        let mut done = Vec::new();
        for container in
            self.world.observed.containers.values_mut().filter(|c| c.project == self.project.name && !c.oneoff)
        {
            if container.state == ContainerState::Restarting {
                container.state = ContainerState::Running { since: now };
            }
            if matches!(container.state, ContainerState::Running { .. }) {
                if container.health != Health::None {
                    container.health = Health::Healthy;
                }
                if container.service.as_ref().is_some_and(|s| jobs.contains(s)) {
                    done.push(container.id.clone());
                }
            }
        }
        for id in done {
            self.world.end(&id, 0, false, true);
        }
    }

    /// No two containers of one replica run at the same time.
    fn one_writer(&self) -> Result<(), String> {
        let mut running = BTreeMap::new();
        for container in self.world.observed.containers.values() {
            if container.project == self.project.name && !container.oneoff && container.is_running() {
                let count = running.entry((container.service.clone(), container.number)).or_insert(0);
                *count += 1;
                if *count > 1 {
                    return Err(format!("two of {:?}/{} run", container.service, container.number));
                }
            }
        }
        Ok(())
    }

    /// What is not the project's own, to be compared. Its one-off containers go with the project, and never before.
    pub fn foreign(&self, with_oneoff: bool) -> String {
        let observed = &self.world.observed;
        let foreign = |c: &&Container| c.project != self.project.name || (c.oneoff && with_oneoff);
        let containers: Vec<_> = observed.containers.values().filter(foreign).collect();
        let networks: Vec<_> =
            observed.networks.values().filter(|n| n.project.as_ref() != Some(&self.project.name)).collect();
        format!("{containers:?} {networks:?}")
    }
}
