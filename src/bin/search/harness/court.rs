//! Who decides what goes wrong, sees everything, and judges: the invariants, checked at every call from what the engine
//! really holds, and at every decision by `lint`. Knows nothing of how decisions are reached.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use evenkeel::control::publish::{Notice, Observer};
use evenkeel::decide::{Action, Cause, Decision, Input, lint};
use evenkeel::engine::sim::{self, Call, Director, World};
use evenkeel::engine::{ContainerEvent, EngineError, EngineEvent, EventKind};
use evenkeel::model::event::EventType;
use evenkeel::model::observed::{Container, ContainerState, Health};
use evenkeel::model::{ContainerId, ImageId, Timestamp};

use super::finale::is_job;
use super::recipe::{Version, service};
use super::scenario::{Fate, Fault, Scenario, Upset};

/// What somebody may not have heard of for so long: two resyncs and a bit.
const OUT_OF_DATE: Duration = Duration::from_secs(150);
/// Starts of one replica in one configuration within a minute: with delays that double from a second there is room for
/// seven; failures of other steps and a restart of the engine count apart.
const STARTS_A_MINUTE: usize = 20;

/// A replica: project, service, number.
pub type Replica = (String, String, u32);

/// Everything that was seen.
pub struct Court {
    pub violations: Vec<String>,
    pub trace: Option<Vec<String>>,
    /// How often each fault did something.
    pub fired: BTreeMap<String, u32>,
    pub calls: [u32; 2],
    pub events: u32,
    /// Processes that ended.
    pub deaths: u32,
    pub decisions: u64,
    /// Containers that are started in place of a replacement that failed.
    fallbacks: BTreeSet<ContainerId>,
    /// No fault is due any more.
    pub calm: bool,
    faults: Vec<Fault>,
    scenario: Scenario,
    /// The versions that were in force or may be, by project; `None`: none at all.
    pub versions: Vec<Vec<Option<Version>>>,
    /// Projects whose manifest was half a file for a while.
    pub torn: BTreeSet<usize>,
    starts: BTreeMap<(Replica, Option<String>), Vec<Timestamp>>,
    /// When a container of this final name was made.
    made: BTreeMap<String, Vec<Timestamp>>,
    /// When a service last was: running, healthy, completed.
    last: BTreeMap<(String, String), [Option<Timestamp>; 3]>,
    /// Containers whose run the controller began.
    ours: BTreeSet<ContainerId>,
    /// When the start of a container was asked for last.
    asked: BTreeMap<ContainerId, Timestamp>,
    /// Whose a container is.
    known: BTreeMap<ContainerId, (String, String)>,
    /// Containers that the controller removes.
    removing: BTreeSet<ContainerId>,
    /// Jobs of one replica that ended with 0 while somebody looked: in which configuration, from which image, when.
    done: BTreeMap<(String, String), (Option<String>, ImageId, Timestamp)>,
    /// Containers that were not told of as they should be, when they were started or looked at.
    unanswered: BTreeSet<ContainerId>,
    /// When nobody looked, or could not remember it, for a moment at least.
    downs: Vec<Timestamp>,
    /// Killed since their last start.
    killed: BTreeSet<ContainerId>,
    /// Services of which something ended that the controller did not end: what that means their `restart` says.
    pub ended: BTreeSet<(String, String)>,
    /// Containers that the controller is stopping.
    stopping: BTreeSet<ContainerId>,
    /// Services that seem to have ended by themselves with 0, as the kill before it went unheard.
    pub seem_done: BTreeSet<(String, String)>,
    /// Nobody listens, or not to everything.
    pub deaf: bool,
    /// Nothing can be written down.
    pub forgetful: bool,
    /// There is no controller, or none that has an engine.
    absent: bool,
    /// Virtual seconds from the end of the faults until all was well.
    pub healed_after: u64,
    /// Services that need not be as without faults.
    pub loose: usize,
    began: Timestamp,
    pub now: Timestamp,
}

/// A reference to the court.
#[derive(Clone)]
pub struct Clerk(pub Arc<Mutex<Court>>);

impl Clerk {
    pub fn new(scenario: &Scenario, began: Timestamp, trace: bool) -> Self {
        Self(Arc::new(Mutex::new(Court {
            violations: Vec::new(),
            trace: trace.then(Vec::new),
            fired: BTreeMap::new(),
            calls: [0, 0],
            events: 0,
            deaths: 0,
            decisions: 0,
            fallbacks: BTreeSet::new(),
            calm: false,
            faults: scenario.faults.iter().filter(|f| !matches!(f, Fault::At { .. })).cloned().collect(),
            scenario: scenario.clone(),
            versions: vec![Vec::new(); scenario.projects.len()],
            torn: BTreeSet::new(),
            starts: BTreeMap::new(),
            made: BTreeMap::new(),
            last: BTreeMap::new(),
            ours: BTreeSet::new(),
            asked: BTreeMap::new(),
            known: BTreeMap::new(),
            removing: BTreeSet::new(),
            done: BTreeMap::new(),
            downs: Vec::new(),
            unanswered: BTreeSet::new(),
            killed: BTreeSet::new(),
            ended: BTreeSet::new(),
            stopping: BTreeSet::new(),
            seem_done: BTreeSet::new(),
            deaf: false,
            forgetful: false,
            absent: true,
            healed_after: 0,
            loose: 0,
            began,
            now: began,
        })))
    }

    pub fn court(&self) -> MutexGuard<'_, Court> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Court {
    pub fn say(&mut self, text: impl FnOnce() -> String) {
        let (now, began) = (self.now, self.began);
        if let Some(trace) = &mut self.trace {
            let ms = now.duration_since(began).as_millis();
            trace.push(format!("{:>6}.{:03} {}", ms / 1_000, ms % 1_000, text()));
        }
    }

    pub fn violation(&mut self, text: String) {
        self.say(|| format!("VIOLATION {text}"));
        if self.violations.len() < 20 {
            self.violations.push(text);
        }
    }

    pub fn fire(&mut self, kind: String) {
        self.say(|| format!("  ! {kind}"));
        *self.fired.entry(kind).or_default() += 1;
    }

    /// The versions of a container's project that may be in force; `None`: not one of ours.
    fn versions_of(&self, container: &Container) -> Option<(usize, &[Option<Version>])> {
        let number: usize = container.project.as_str().strip_prefix('p')?.parse().ok()?;
        Some((number, self.versions.get(number)?))
    }

    /// Whether every version that may be in force has this replica.
    fn always_wanted(&self, container: &Container) -> bool {
        let Some((_, versions)) = self.versions_of(container) else { return false };
        let wants = |version: &Option<Version>| {
            version.as_ref().is_some_and(|v| {
                v.services.iter().any(|r| {
                    container.service.as_ref().is_some_and(|s| s.as_str() == service(r.name))
                        && container.number >= 1
                        && container.number <= u32::from(r.replicas)
                })
            })
        };
        !versions.is_empty() && versions.iter().all(wants)
    }

    fn within(&self, at: Option<Timestamp>) -> bool {
        at.is_some_and(|at| Duration::try_from(self.now.duration_since(at)).unwrap_or_default() <= OUT_OF_DATE)
    }

    /// What must hold before a call of the controller takes effect.
    fn check_before(&mut self, call: &Call, world: &World) {
        if let Call::RemoveNetwork { id } = call
            && let Some(network) = world.networks().find(|n| n.id == *id)
            && network.project.as_ref().is_none_or(|p| !p.as_str().starts_with('p'))
        {
            self.violation(format!("{call}: {} is not ours", network.name));
        }
        if let Call::RemoveVolume { .. } = call {
            self.violation(format!("{call}: nobody asked for that"));
        }
        if let Call::CreateContainer { name } = call {
            self.check_creations(name);
        }
        let Some(container) = call.container().and_then(|id| world.container(id)).cloned() else { return };
        if self.versions_of(&container).is_none() {
            self.violation(format!("{call}: {} is not ours", container.name));
            return;
        }
        // With its project it goes.
        if container.oneoff && self.versions_of(&container).is_some_and(|(_, v)| v.iter().all(Option::is_some)) {
            self.violation(format!("{call}: {} is of `compose run`", container.name));
        }
        match call {
            Call::Stop { .. } => self.check_stop(&container, world),
            Call::Remove { id } => {
                self.removing.insert(id.clone());
            }
            Call::Start { id } if !container.is_running() => {
                self.check_twins(&container, world);
                self.check_budget(&container, world);
                self.check_job(&container);
                self.check_done(&container);
                if !self.fallbacks.contains(id) {
                    self.check_dependencies(&container);
                }
            }
            _ => {}
        }
    }

    /// Nothing that is wanted in all versions is stopped before there is something in its place.
    fn check_stop(&mut self, container: &Container, world: &World) {
        self.stopping.insert(container.id.clone());
        let healthy = matches!(container.health, Health::None | Health::Healthy);
        let alone = !world.containers().any(|c| {
            c.id != container.id
                && c.project == container.project
                && c.service == container.service
                && c.number == container.number
        });
        // What was done once may be stopped: somebody else started it again.
        let key = container.service.as_ref().map(|s| (container.project.to_string(), s.to_string()));
        let done = key.is_some_and(|k| self.seem_done.contains(&k)) || is_job(&self.scenario, container);
        if container.is_running() && healthy && alone && !done && self.always_wanted(container) {
            self.violation(format!("stop of {}, which is wanted, with nothing in its place", container.name));
        }
    }

    fn check_twins(&mut self, container: &Container, world: &World) {
        let twin = world.containers().find(|c| {
            c.id != container.id
                && c.is_running()
                && !c.oneoff
                && c.project == container.project
                && c.service == container.service
                && c.number == container.number
        });
        let Some(twin) = twin else { return };
        let since = match twin.state {
            ContainerState::Running { since } => Some(since),
            _ => None,
        };
        // What came up while the call was under way nobody could know of; nor what the Engine is about to restart.
        let unseen = match since {
            Some(since) => self.asked.get(&container.id).is_none_or(|asked| since > *asked),
            None => twin.state == ContainerState::Restarting,
        };
        if !unseen && (self.ours.contains(&twin.id) || !self.within(since)) {
            self.violation(format!("start of {} while {} runs", container.name, twin.name));
        }
    }

    /// Nothing is made over and over.
    fn check_creations(&mut self, name: &str) {
        // The container it replaces stands before the name.
        let name = name.split_once('_').map_or(name, |(_, name)| name).to_owned();
        let now = self.now;
        let made = self.made.entry(name.clone()).or_default();
        made.retain(|at| Duration::try_from(now.duration_since(*at)).unwrap_or_default() < Duration::from_secs(60));
        made.push(now);
        // Each write of a manifest may make it anew.
        if made.len() > 2 * STARTS_A_MINUTE {
            let count = made.len();
            self.violation(format!("{name} is made {count} times within a minute"));
        }
    }

    fn check_budget(&mut self, container: &Container, _: &World) {
        let Some(name) = &container.service else { return };
        let replica = (container.project.to_string(), name.to_string(), container.number);
        let now = self.now;
        let starts = self.starts.entry((replica, container.config_hash.clone())).or_default();
        starts.retain(|at| Duration::try_from(now.duration_since(*at)).unwrap_or_default() < Duration::from_secs(60));
        starts.push(now);
        if starts.len() > STARTS_A_MINUTE {
            let count = starts.len();
            self.violation(format!("{} is started {count} times within a minute", container.name));
        }
    }

    fn check_job(&mut self, container: &Container) {
        let ContainerState::Exited { code: 0, finished, .. } = container.state else { return };
        // What ended while the call was under way nobody could know of.
        let seen = self.asked.get(&container.id).is_some_and(|asked| finished < *asked);
        // Half a file may not say that it is one.
        let whole = self.versions_of(container).is_some_and(|(number, _)| !self.torn.contains(&number));
        if whole && is_job(&self.scenario, container) && seen && !self.killed.contains(&container.id) {
            self.violation(format!("{} is done, and is started again", container.name));
        }
    }

    /// For a moment at least nobody looks, or what is seen cannot be remembered.
    pub fn down(&mut self) {
        self.downs.push(self.now);
    }

    /// There is no controller any more.
    pub fn leaves(&mut self) {
        (self.deaf, self.absent) = (true, true);
        self.down();
    }

    /// A job that was done, in the same configuration and from the same image, is not made again.
    fn check_done(&mut self, container: &Container) {
        let Some(service) = &container.service else { return };
        let key = (container.project.to_string(), service.to_string());
        let Some((hash, image, at)) = self.done.get(&key) else { return };
        // Seen and remembered: nothing was down around that time.
        let around = |down: &Timestamp| {
            let apart = down.duration_since(*at).abs();
            Duration::try_from(apart).unwrap_or_default() < Duration::from_secs(1)
        };
        let remembered = !self.downs.iter().any(around);
        let same = *hash == container.config_hash && *image == container.image;
        if remembered && same && self.always_wanted(container) && container.state == ContainerState::Created {
            self.violation(format!("{} is done, and is made and started again", container.name));
        }
    }

    /// What it depends on in every version was as it must be not long ago.
    fn check_dependencies(&mut self, container: &Container) {
        let Some((number, versions)) = self.versions_of(container) else { return };
        // Half a file may depend on less.
        if self.torn.contains(&number) {
            return;
        }
        let natures = &self.scenario.projects[number].natures;
        let mut common: Option<BTreeSet<(u8, &'static str)>> = None;
        for version in versions.iter().flatten() {
            let recipe = version
                .services
                .iter()
                .find(|r| container.service.as_ref().is_some_and(|s| s.as_str() == service(r.name)));
            let Some(recipe) = recipe else { return };
            let needs: BTreeSet<_> = version
                .dependencies(recipe, natures)
                .into_iter()
                .filter(|(on, _, required)| *required && version.get(*on).is_some_and(|o| o.replicas > 0))
                .map(|(on, condition, _)| (on, condition))
                .collect();
            common = Some(match common {
                Some(before) => before.intersection(&needs).copied().collect(),
                None => needs,
            });
        }
        let project = container.project.to_string();
        let mut lacking = Vec::new();
        for (on, condition) in common.unwrap_or_default() {
            let [running, healthy, completed] =
                self.last.get(&(project.clone(), service(on))).copied().unwrap_or_default();
            let holds = match condition {
                "service_healthy" => self.within(healthy),
                "service_completed_successfully" => completed.is_some(),
                _ => self.within(running) || completed.is_some(),
            };
            if !holds {
                lacking.push(format!("{} {condition}", service(on)));
            }
        }
        if !lacking.is_empty() {
            self.violation(format!("start of {} before {}", container.name, lacking.join(", ")));
        }
    }

    /// Notes how services are: dependencies are checked against that.
    fn note(&mut self, world: &World) {
        let now = self.now;
        for container in world.containers().filter(|c| !c.oneoff) {
            let Some(name) = &container.service else { continue };
            let key = (container.project.to_string(), name.to_string());
            if !self.known.contains_key(&container.id) {
                self.known.insert(container.id.clone(), key.clone());
            }
            let entry = self.last.entry(key).or_default();
            if container.is_running() {
                entry[0] = Some(now);
                if container.health == Health::Healthy {
                    entry[1] = Some(now);
                }
            }
            if matches!(container.state, ContainerState::Exited { code: 0, .. }) {
                entry[2] = Some(now);
            }
        }
    }

    /// Whether every version has one replica of it.
    fn single(&self, container: &Container) -> bool {
        let Some((_, versions)) = self.versions_of(container) else { return false };
        let Some(name) = &container.service else { return false };
        versions.iter().all(|v| {
            let recipe = v.as_ref().and_then(|v| v.services.iter().find(|r| service(r.name) == name.as_str()));
            recipe.is_some_and(|r| r.replicas == 1)
        })
    }

    /// Services of which something ended with 0.
    pub fn completed(&self) -> BTreeSet<(String, String)> {
        self.last.iter().filter(|(_, [.., completed])| completed.is_some()).map(|(key, _)| key.clone()).collect()
    }

    fn on_container(&mut self, id: &ContainerId, action: &ContainerEvent, world: &World) {
        if *action == ContainerEvent::Destroyed && !self.removing.contains(id) {
            self.ended.extend(self.known.get(id).cloned());
            // Gone before anybody could look at how it had ended.
            let now = self.now;
            let known = self.known.get(id);
            self.done.retain(|key, (.., at)| {
                Some(key) != known || Duration::try_from(now.duration_since(*at)).unwrap_or_default().as_secs() >= 1
            });
        }
        let Some(container) = world.container(id).cloned() else { return };
        let service = container.service.as_ref().map(|s| (container.project.to_string(), s.to_string()));
        match action {
            ContainerEvent::Started => {
                // In another configuration, or by somebody else: what was done is another matter then.
                self.done.retain(|key, _| Some(key) != service.as_ref());
                self.killed.remove(id);
                self.stopping.remove(id);
                self.ours.remove(id);
            }
            ContainerEvent::Killed => {
                self.killed.insert(id.clone());
            }
            ContainerEvent::Died { code } => {
                self.deaths += 1;
                if !self.stopping.contains(id) {
                    self.ended.extend(service.clone());
                }
                if let Some(key) = &service
                    && is_job(&self.scenario, &container)
                    && *code == 0
                    && !self.killed.contains(id)
                    && !self.unanswered.contains(id)
                    && !self.forgetful
                    && !self.absent
                    && self.single(&container)
                {
                    self.done.insert(key.clone(), (container.config_hash.clone(), container.image.clone(), self.now));
                }
                let by_itself = !self.killed.contains(id) || self.deaf;
                if *code == 0 && !self.stopping.contains(id) && by_itself && !is_job(&self.scenario, &container) {
                    self.seem_done.extend(service);
                }
            }
            _ => {}
        }
    }
}

impl Director for Clerk {
    fn upset(&mut self, call: &Call, world: &World) -> Option<sim::Upset> {
        let mut court = self.court();
        court.now = world.now();
        if let Call::Start { id } = call {
            let now = court.now;
            court.asked.insert(id.clone(), now);
        }
        let class = usize::from(!call.mutates());
        let number = court.calls[class];
        court.calls[class] += 1;
        if court.calm {
            return None;
        }
        let planned = court.faults.iter().find_map(|fault| match fault {
            Fault::Call { mutating, nth, upset } if *mutating == call.mutates() && *nth == number => {
                Some((fault.kind(), *upset))
            }
            _ => None,
        });
        let (kind, upset) = planned?;
        // That something is not there any more is the truth when it was to be removed.
        if matches!(
            (call, upset),
            (Call::Remove { .. } | Call::RemoveNetwork { .. } | Call::Stop { .. }, Upset::Missing)
        ) {
            return None;
        }
        court.fire(kind);
        court.say(|| format!("  ! {call}: {upset:?}"));
        if let Call::Inspect { id } | Call::Start { id } = call {
            // Nobody may have seen how it ended, and whoever may run is not done.
            let known = court.known.get(id).cloned();
            court.done.retain(|key, _| Some(key) != known.as_ref());
            court.unanswered.insert(id.clone());
        }
        if let Call::Start { id } = call {
            // Whoever waits for this answer does not look at how it ended meanwhile.
            court.unanswered.insert(id.clone());
        }
        let ms = |n: u32| Duration::from_millis(n.into());
        Some(match upset {
            Upset::FailsAfterEffect => sim::Upset::Fails { effect: true, status: 500 },
            Upset::FailsWithoutEffect => sim::Upset::Fails { effect: false, status: 500 },
            Upset::SilentAfterEffect => sim::Upset::Silent { effect: true },
            Upset::SilentWithoutEffect => sim::Upset::Silent { effect: false },
            Upset::Behind { ms: by } => sim::Upset::Behind { by: ms(by) },
            Upset::Missing => sim::Upset::Missing,
            Upset::DiesAfterEffect => sim::Upset::Dies { effect: true },
            Upset::DiesWithoutEffect => sim::Upset::Dies { effect: false },
            Upset::Slow { ms: by } => sim::Upset::Slow { by: ms(by) },
        })
    }

    fn fate(&mut self, event: &EngineEvent) -> sim::Fate {
        let mut court = self.court();
        let number = court.events;
        court.events += 1;
        if court.calm {
            return sim::Fate::Told;
        }
        let planned = court.faults.iter().find_map(|fault| match fault {
            Fault::Event { nth, fate } if *nth == number => Some((fault.kind(), *fate)),
            _ => None,
        });
        let Some((kind, fate)) = planned else { return sim::Fate::Told };
        court.fire(kind);
        court.say(|| format!("  ! {fate:?}: {:?}", event.kind));
        court.deaf = true;
        // Nobody may have seen it.
        court.done.clear();
        match fate {
            Fate::Lost => sim::Fate::Lost,
            Fate::Twice => sim::Fate::Twice,
            Fate::Late { ms } => sim::Fate::Late(Duration::from_millis(ms.into())),
        }
    }

    fn taking_effect(&mut self, call: &Call, world: &World) {
        let mut court = self.court();
        court.now = world.now();
        court.note(world);
        court.check_before(call, world);
    }

    fn took_effect(&mut self, call: &Call, world: &World, error: Option<&EngineError>) {
        let mut court = self.court();
        court.now = world.now();
        if let (Call::Start { id }, None) = (call, error) {
            court.ours.insert(id.clone());
        }
        court.say(|| {
            let name = call.container().and_then(|id| world.container(id)).map(|c| format!(" [{}]", c.name));
            let error = error.map(|e| format!(": {e}")).unwrap_or_default();
            format!("{call}{}{error}", name.unwrap_or_default())
        });
    }

    fn happened(&mut self, event: &EngineEvent, world: &World) {
        let mut court = self.court();
        court.now = world.now();
        court.note(world);
        if let EventKind::Container { id, action, .. } = &event.kind {
            court.say(|| {
                let name = world.container(id).map_or_else(|| id.short().to_owned(), |c| c.name.clone());
                format!("    {name} {action:?}")
            });
            court.on_container(id, action, world);
        }
    }
}

impl Observer for Clerk {
    fn notice(&self, notice: &Notice<'_>) {
        let mut court = self.court();
        match notice {
            Notice::StepStarted { project, step } => {
                if let (Action::StartContainer { container, .. }, Cause::FallBack) = (&step.action, &step.cause) {
                    court.fallbacks.insert(container.clone());
                }
                court.say(|| format!("> {project}: {}: {}", step.action, cause(&step.cause)));
            }
            Notice::StepEnded { project, step, error: Some(error), .. } => {
                court.say(|| format!("< {project}: {}: {error}", step.action));
            }
            Notice::Event(event) => {
                if matches!(event.event_type, EventType::EngineUp | EventType::EngineDown) {
                    court.absent = event.event_type == EventType::EngineDown;
                    court.down();
                }
                court.say(|| {
                    let message = if event.message.starts_with("revision ") { "" } else { &event.message };
                    format!("* {:?} {} {message}", event.event_type, event.project.as_deref().unwrap_or_default())
                });
            }
            _ => {}
        }
    }

    fn decided(&self, input: &Input<'_>, decision: &Decision) {
        let broken = lint(input, decision);
        let mut court = self.court();
        court.decisions += 1;
        for text in broken {
            court.violation(text);
        }
    }
}

/// Why, without hashes: those depend on the folder.
fn cause(cause: &Cause) -> String {
    match cause {
        Cause::ConfigChanged { .. } => "its configuration changed".to_owned(),
        other => other.to_string(),
    }
}
