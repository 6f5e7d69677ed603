//! Everything that is written down in a rehearsal, and what is read off it.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::looks::{self, Body, Known};
use super::report::{Because, Calls, EventRow, Look, ProjectRow, Restarts, ServiceRow, Span, StepRow};
use super::stretches::Stretches;
use crate::decide::{Action, Decision, Step, Waiting};
use crate::engine::ContainerEvent;
use crate::engine::sim::World;
use crate::model::ledger::Subject;
use crate::model::observed::ContainerState;
use crate::model::state::{ProjectState, ServiceState};
use crate::model::{ContainerId, Project, ProjectName, ServiceId, ServiceName, Timestamp};

/// What fails in so many milliseconds was never about to succeed.
const ATTEMPT: u64 = 50;

/// Everything that was written down.
pub(super) struct Book {
    pub(super) epoch: Timestamp,
    pub(super) began: Instant,
    pub(super) declared: BTreeMap<ProjectName, Arc<Project>>,
    pub(super) rows: BTreeMap<ServiceId, Row>,
    /// Projects and services in the order that they are shown in.
    pub(super) order: Vec<(ProjectName, Vec<ServiceName>)>,
    pub(super) bodies: BTreeMap<ContainerId, (ServiceId, Body)>,
    pub(super) minds: BTreeMap<ProjectName, Mind>,
    pub(super) in_flight: BTreeMap<(ProjectName, Subject), (usize, Step)>,
    pub(super) engine_up: bool,
    pub(super) controller_up: bool,
    /// Since then everything is as the manifests say, in milliseconds.
    pub(super) settled: Option<u64>,
    /// Tells of each start.
    pub(super) started: mpsc::UnboundedSender<(ServiceId, ContainerId)>,
    pub(super) calls: Calls,
    pub(super) restarts: Restarts,
    pub(super) unsettled: Stretches,
    pub(super) engine_away: Stretches,
    pub(super) controller_away: Stretches,
    pub(super) steps: Vec<StepRow>,
    pub(super) events: Vec<EventRow>,
}

#[derive(Debug, Default)]
pub(super) struct Row {
    /// `None`: no manifest names it any more.
    pub(super) replicas: Option<u32>,
    pub(super) shown_replicas: u32,
    pub(super) job: bool,
    pub(super) ran: bool,
    pub(super) restarts: u64,
    pub(super) spans: Vec<Span>,
    pub(super) look: Option<Look>,
}

/// What the controller thinks of a project.
#[derive(Debug, Default)]
pub(super) struct Mind {
    pub(super) decision: Decision,
    /// Which revision it is about.
    pub(super) revision: Option<String>,
    /// What the project as a whole waits for.
    pub(super) of_project: Vec<Waiting>,
}

impl Mind {
    pub(super) fn of(decision: Decision, revision: Option<String>) -> Self {
        let of_project = decision.waiting.iter().filter(|w| w.service.is_none()).cloned().collect();
        Self { decision, revision, of_project }
    }
}

/// What is known of one service.
#[derive(Default)]
struct Part<'a> {
    bodies: Vec<&'a Body>,
    in_flight: Vec<&'a Step>,
    waiting: Vec<&'a Waiting>,
}

/// Projects, those first that others wait for.
fn in_order(projects: &[Arc<Project>]) -> Vec<&Arc<Project>> {
    let mut left: Vec<&Arc<Project>> = projects.iter().collect();
    left.sort_by(|a, b| a.name.cmp(&b.name));
    let mut order: Vec<&Arc<Project>> = Vec::new();
    while !left.is_empty() {
        let waits = |p: &Project, left: &[&Arc<Project>]| {
            p.extension.depends_on.iter().any(|d| left.iter().any(|l| l.name == *d && l.name != p.name))
        };
        // Where they wait for each other the first of them comes first.
        let next = left.iter().position(|p| !waits(p, &left)).unwrap_or(0);
        order.push(left.remove(next));
    }
    order
}

impl Book {
    /// A book in which nothing is written yet. `started` is told of every container that is started.
    pub(super) fn new(epoch: Timestamp, started: mpsc::UnboundedSender<(ServiceId, ContainerId)>) -> Self {
        let mut unsettled = Stretches::default();
        unsettled.set(true, 0);
        Self {
            epoch,
            began: Instant::now(),
            declared: BTreeMap::new(),
            rows: BTreeMap::new(),
            order: Vec::new(),
            bodies: BTreeMap::new(),
            minds: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            engine_up: true,
            controller_up: true,
            settled: None,
            started,
            calls: Calls::default(),
            restarts: Restarts::default(),
            unsettled,
            engine_away: Stretches::default(),
            controller_away: Stretches::default(),
            steps: Vec::new(),
            events: Vec::new(),
        }
    }

    pub(super) fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Says what the manifests want from now on.
    pub(super) fn declare(&mut self, projects: &[Arc<Project>]) {
        self.declared = projects.iter().map(|p| (p.name.clone(), Arc::clone(p))).collect();
        for row in self.rows.values_mut() {
            row.replicas = None;
        }
        for project in in_order(projects) {
            let at = match self.order.iter().position(|(name, _)| *name == project.name) {
                Some(at) => at,
                None => {
                    self.order.push((project.name.clone(), Vec::new()));
                    self.order.len() - 1
                }
            };
            for service in project.in_dependency_order() {
                let id = ServiceId { project: project.name.clone(), service: service.name.clone() };
                let row = self.rows.entry(id).or_default();
                row.replicas = Some(service.replicas);
                row.shown_replicas = service.replicas;
                row.job = project.is_job(&service.name);
                let services = &mut self.order[at].1;
                if !services.contains(&service.name) {
                    services.push(service.name.clone());
                }
            }
        }
        self.refresh(None);
    }

    /// Takes in a container as the Engine has it.
    pub(super) fn see(&mut self, id: &ContainerId, world: &World) {
        let Some(container) = world.container(id) else {
            self.bodies.remove(id);
            return;
        };
        let Some(service) = container.service.clone().filter(|_| !container.oneoff) else { return };
        let of = ServiceId { project: container.project.clone(), service };
        let before = self.bodies.get(id).map(|(_, b)| b);
        let runs = matches!(container.state, ContainerState::Running { .. });
        let killed = before.is_some_and(|b| b.killed);
        let fell = !runs && (before.is_some_and(|b| b.fell) || (!self.engine_up && before.is_some_and(is_alive)));
        let by_us = before.is_some_and(|b| b.by_us);
        let (number, state, health) = (container.number, container.state, container.health);
        let body = Body { number, state, health, killed, by_us, fell };
        if let Some(row) = self.rows.get_mut(&of) {
            row.ran |= runs;
        }
        self.bodies.insert(id.clone(), (of, body));
    }

    pub(super) fn container_event(&mut self, id: &ContainerId, action: &ContainerEvent, world: &World) {
        self.see(id, world);
        let Some((of, body)) = self.bodies.get_mut(id) else { return };
        let step = self.in_flight.get(&(of.project.clone(), Subject::Replica(of.service.clone(), body.number)));
        let step = step.map(|(_, step)| &step.action);
        match action {
            ContainerEvent::Killed => {
                body.killed = true;
                body.by_us = matches!(step, Some(Action::StopContainer { .. }));
            }
            ContainerEvent::Started => {
                body.killed = false;
                body.by_us = false;
                let of = of.clone();
                let ours = matches!(step, Some(Action::StartContainer { .. }));
                // A start that a controller had begun and did not live to see is its own as well.
                let again = world.simulated(id).is_some_and(|c| c.starts() > 1);
                if !ours && again {
                    self.restarts.engine += 1;
                    if let Some(row) = self.rows.get_mut(&of) {
                        row.restarts += 1;
                    }
                }
                let _ = self.started.send((of, id.clone()));
            }
            _ => {}
        }
    }

    /// Looks again at the services of a project, or of all of them.
    pub(super) fn refresh(&mut self, only: Option<&ProjectName>) {
        let now = self.now();
        let is_meant = |project: &ProjectName| only.is_none_or(|p| p == project);
        // What is asked of each service is sorted by service once: with many of them it is asked often.
        let mut parts: BTreeMap<(&ProjectName, &ServiceName), Part<'_>> = BTreeMap::new();
        let mut steps: BTreeMap<(&ProjectName, &Subject), &Step> = BTreeMap::new();
        for (id, body) in self.bodies.values().filter(|(id, _)| is_meant(&id.project)) {
            parts.entry((&id.project, &id.service)).or_default().bodies.push(body);
        }
        for ((project, subject), (_, step)) in self.in_flight.iter().filter(|((project, _), _)| is_meant(project)) {
            match step.action.service().filter(|_| !matches!(subject, Subject::Image(_))) {
                Some(service) => parts.entry((project, service)).or_default().in_flight.push(step),
                None => drop(steps.insert((project, subject), step)),
            }
        }
        for (project, mind) in self.minds.iter().filter(|(project, _)| is_meant(project)) {
            for waiting in &mind.decision.waiting {
                if let Some(service) = &waiting.service {
                    parts.entry((project, service)).or_default().waiting.push(waiting);
                }
            }
        }
        for (id, row) in self.rows.iter_mut().filter(|(id, _)| is_meant(&id.project)) {
            let mut part = parts.remove(&(&id.project, &id.service)).unwrap_or_default();
            let declared = self.declared.get(&id.project).and_then(|p| p.services.get(&id.service));
            let image = declared.map(|service| Subject::Image(service.image.clone()));
            part.in_flight.extend(image.and_then(|image| steps.get(&(&id.project, &image)).copied()));
            let decision = self.minds.get(&id.project).map(|mind| &mind.decision);
            let known = Known {
                replicas: row.replicas,
                job: row.job,
                ran: row.ran,
                bodies: &part.bodies,
                state: decision.and_then(|decision| decision.services.get(&id.service)),
                waiting: &part.waiting,
                of_project: self.minds.get(&id.project).map_or(&[], |mind| &mind.of_project),
                in_flight: &part.in_flight,
                epoch: self.epoch,
            };
            row.shows(looks::look(&known), now);
        }
        let settled = self.all_is_settled();
        if settled != self.settled.is_some() {
            self.settled = settled.then_some(now);
            self.unsettled.set(!settled, now);
        }
    }

    fn all_is_settled(&self) -> bool {
        self.engine_up
            && self.controller_up
            && self.in_flight.is_empty()
            && self.declared.values().all(|p| self.unfinished_project(p).is_none())
            && self.rows.values().all(|r| r.look.is_none_or(Look::is_settled))
            && self.bodies.values().all(|(of, _)| self.declared.contains_key(&of.project))
    }

    /// Why a project is not done; what is to be left down is no reason.
    fn unfinished_project(&self, project: &Project) -> Option<String> {
        let Some(mind) = self.minds.get(&project.name) else {
            return Some(format!("{}: nothing was decided about it", project.name));
        };
        if mind.revision.as_ref() != Some(&project.revision) {
            return Some(format!("{}: its new revision was not looked at yet", project.name));
        }
        match mind.decision.state {
            Some(ProjectState::Converged | ProjectState::Suspended) => None,
            Some(ProjectState::Degraded) => {
                let bad = |s: &&ServiceState| {
                    !matches!(
                        s,
                        ServiceState::Stopped { .. }
                            | ServiceState::Running { .. }
                            | ServiceState::Completed
                            | ServiceState::Suspended
                            | ServiceState::NotStarted
                    )
                };
                let services = &mind.decision.services;
                let still = !mind.decision.steps.is_empty() || services.values().any(|s| bad(&s));
                still.then(|| format!("{} is degraded", project.name))
            }
            state => {
                let about = mind.decision.waiting.iter().find(|w| w.service.is_none());
                let words = about.map(|w| looks::waiting(&w.on, self.epoch));
                let words = words.or(state.map(|s| format!("is {}", s.as_str()))).unwrap_or_default();
                Some(format!("{} {words}", project.name))
            }
        }
    }

    /// What is not as the manifests say, and why.
    pub(super) fn unfinished(&self) -> Vec<String> {
        if self.settled.is_some() {
            return Vec::new();
        }
        let mut found = Vec::new();
        if !self.engine_up {
            found.push("the Engine is away".to_owned());
        }
        if !self.controller_up {
            found.push("no controller runs".to_owned());
        }
        for (id, row) in &self.rows {
            if let Some(look) = row.look.filter(|l| !l.is_settled()) {
                let why = row.spans.last().and_then(|s| s.because.last()).map_or("", |b| b.text.as_str());
                found.push(format!("{id} is {}: {why}", look.as_str()));
            }
        }
        if found.is_empty() {
            found.extend(self.declared.values().filter_map(|p| self.unfinished_project(p)));
        }
        if found.is_empty() {
            found.push("steps are under way".to_owned());
        }
        found
    }

    /// The rows as they are shown.
    pub(super) fn projects(&self, now: u64) -> Vec<ProjectRow> {
        let service = |project: &ProjectName, name: &ServiceName| {
            let id = ServiceId { project: project.clone(), service: name.clone() };
            let row = self.rows.get(&id)?;
            let mut spans = row.spans.clone();
            if row.look.is_some()
                && let Some(last) = spans.last_mut()
            {
                last.until_ms = now;
            }
            let up = |s: &&Span| if row.job { s.look == Look::Completed } else { s.look.is_up() };
            Some(ServiceRow {
                id: id.to_string(),
                name: name.to_string(),
                replicas: row.shown_replicas,
                job: row.job,
                up_ms: spans.iter().find(up).map(|s| s.from_ms),
                restarts: row.restarts,
                spans,
            })
        };
        let row = |(name, services): &(ProjectName, Vec<ServiceName>)| ProjectRow {
            name: name.to_string(),
            services: services.iter().filter_map(|s| service(name, s)).collect(),
        };
        self.order.iter().map(row).collect()
    }
}

fn is_alive(body: &Body) -> bool {
    !matches!(body.state, ContainerState::Exited { .. } | ContainerState::Created | ContainerState::Dead)
}

impl Row {
    /// An attempt that fails at once is no time in which it did not fail.
    fn leave_out_attempt(&mut self, look: Option<Look>) {
        if let [.., before, attempt] = self.spans.as_mut_slice()
            && look == Some(Look::Failed)
            && before.look == Look::Failed
            && before.until_ms == attempt.from_ms
            && matches!(attempt.look, Look::Down | Look::NotStarted | Look::Starting)
            && attempt.until_ms - attempt.from_ms < ATTEMPT
        {
            before.until_ms = attempt.until_ms;
            before.because.append(&mut attempt.because);
            self.spans.pop();
        }
    }

    /// Notes how it looks from now on.
    fn shows(&mut self, look: Option<(Look, String)>, now: u64) {
        let before = self.look;
        self.look = look.as_ref().map(|(look, _)| *look);
        if let Some(last) = self.spans.last_mut().filter(|_| before.is_some() && before != self.look) {
            last.until_ms = now;
            // What nobody could have seen is left out.
            if last.from_ms == now {
                self.spans.pop();
            }
        }
        self.leave_out_attempt(look.as_ref().map(|(look, _)| *look));
        let Some((look, text)) = look else { return };
        let because = Because { at_ms: now, text };
        match self.spans.last_mut() {
            Some(last) if last.look == look && (before == Some(look) || last.until_ms == now) => {
                match last.because.last_mut() {
                    Some(reason) if reason.text == because.text => {}
                    Some(reason) if reason.at_ms == now => *reason = because,
                    _ => last.because.push(because),
                }
            }
            _ => self.spans.push(Span { from_ms: now, until_ms: now, look, because: vec![because] }),
        }
    }
}
