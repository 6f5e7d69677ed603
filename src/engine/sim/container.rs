//! Containers: made, started, checked, ended, restarted and removed as Docker does it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::pace;
use super::script::Script;
use super::world::{Due, World};
use crate::engine::{ContainerEvent, ContainerSpec, EngineError, EventKind};
use crate::model::observed::{Container, ContainerState, Health};
use crate::model::service::{MountSource, NamespaceMode, RestartPolicy};
use crate::model::{ContainerId, ImageId, InstanceId, NetworkId, ProjectName, Service, ServiceName, Timestamp, labels};

/// Docker's delay before a restart: 100 ms, doubling to a minute, from the start again after 10 s of running.
const FIRST_RESTART: Duration = Duration::from_millis(100);
const LONGEST_RESTART: Duration = Duration::from_secs(60);
const CALM_RUN: Duration = Duration::from_secs(10);
/// Docker's default for a check's interval, and for that of the start period from API 1.44 on.
const INTERVAL: Duration = Duration::from_secs(30);
const START_INTERVAL: Duration = Duration::from_secs(5);
const RETRIES: u32 = 3;

/// A container.
#[derive(Debug, Clone)]
pub struct Simulated {
    /// As an inspect tells.
    pub seen: Container,
    /// What it was made of.
    pub made_of: Blueprint,
    /// What its processes do.
    pub(super) script: Script,
    /// Tells one run from another; rises with each change of state as well.
    pub(super) run: u64,
    /// How often it was started.
    pub(super) starts: u32,
    /// Somebody stopped it, so that its policy rests.
    pub(super) stopped_by_hand: bool,
    /// Somebody made its check fail.
    pub(super) sick: bool,
    failed_checks: u32,
    /// Tells the checks that are due from those that were once.
    checks: u64,
    /// The networks that it was attached to, by the name or id that it asks for.
    bound: BTreeMap<String, NetworkId>,
    /// When its process began.
    started: Timestamp,
    /// The last wait before a restart.
    restart_delay: Duration,
    /// How it ended last: code, and whether for want of memory.
    ended: (i64, bool, Timestamp),
    before: Option<(Timestamp, Box<Container>)>,
}

/// What a container is made of.
#[derive(Debug, Clone, Default)]
pub struct Blueprint {
    /// Its name.
    pub name: String,
    /// All labels.
    pub labels: BTreeMap<String, String>,
    /// Its image's reference.
    pub image: String,
    /// The networks it is attached to, by name or id.
    pub networks: Vec<String>,
    /// Named volumes that it mounts.
    pub volumes: BTreeSet<String>,
    /// Host ports with their protocol and address.
    pub ports: Vec<(String, String, String)>,
    /// The Engine's restart policy.
    pub policy: Option<RestartPolicy>,
    /// Its health check.
    pub check: Option<Check>,
    /// The container whose network it uses.
    pub lives_in: Option<String>,
    /// It has no network and gets none.
    pub no_network: bool,
    /// It uses the host's network.
    pub host_network: bool,
    /// Bytes; `None`: no limit.
    pub memory: Option<u64>,
    /// Billionths of a CPU; `None`: no limit.
    pub nano_cpus: Option<i64>,
    /// Between asking it to end and ending it.
    pub grace: Option<Duration>,
}

/// A health check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Check {
    /// Between two.
    pub interval: Duration,
    /// Failures in a row before it is unhealthy.
    pub retries: u32,
    /// Failures in this time do not count.
    pub start_period: Duration,
    /// Between two during that time.
    pub start_interval: Duration,
}

impl Blueprint {
    /// What a real Engine would be told of a service's container.
    pub(super) fn of(spec: &ContainerSpec<'_>, api: (u16, u16)) -> Self {
        let service: &Service = spec.service;
        let volumes = service.mounts.iter().filter_map(|m| match &m.source {
            MountSource::Volume { key } => spec.volumes.get(key.as_str()).map(|v| (*v).to_owned()),
            _ => None,
        });
        let ports = service.ports.iter().filter_map(|p| {
            let published = p.published.clone().filter(|p| !p.is_empty() && p != "0")?;
            Some((published, p.protocol.clone(), p.host_ip.clone().unwrap_or_default()))
        });
        let peer = |name: &ServiceName| spec.peers.get(name).map(ToString::to_string);
        Self {
            name: spec.name.to_owned(),
            labels: spec.labels.clone(),
            image: service.image.clone(),
            networks: spec.networks.iter().map(|(name, _)| name.clone()).collect(),
            volumes: volumes.collect(),
            ports: ports.collect(),
            policy: service.restart,
            check: check(service, api),
            lives_in: match &service.network_mode {
                Some(NamespaceMode::Service(name)) => peer(name),
                Some(NamespaceMode::Container(container)) => Some(container.clone()),
                _ => None,
            },
            no_network: service.network_mode == Some(NamespaceMode::None),
            host_network: service.network_mode == Some(NamespaceMode::Host),
            memory: service.resources.memory.and_then(|m| u64::try_from(m.0).ok()).filter(|m| *m > 0),
            nano_cpus: service.resources.nano_cpus,
            grace: service.stop_grace_period,
        }
    }

    fn label(&self, key: &str) -> Option<&str> {
        self.labels.get(key).map(String::as_str)
    }
}

fn check(service: &Service, api: (u16, u16)) -> Option<Check> {
    let check = service.healthcheck.as_ref().filter(|c| !c.disabled() && !c.test.is_empty())?;
    let set = |d: Option<Duration>| d.filter(|d| !d.is_zero());
    let interval = set(check.interval).unwrap_or(INTERVAL);
    let start_period = check.start_period.unwrap_or_default();
    let early = api >= (1, 44) && !start_period.is_zero();
    Some(Check {
        interval,
        retries: check.retries.filter(|n| *n > 0).unwrap_or(RETRIES),
        start_period,
        start_interval: if early { set(check.start_interval).unwrap_or(START_INTERVAL) } else { interval },
    })
}

impl Simulated {
    fn new(id: ContainerId, made_of: Blueprint, image: ImageId, script: Script, now: Timestamp) -> Self {
        let depends_on = made_of.label(labels::DEPENDS_ON).unwrap_or_default();
        let seen = Container {
            id,
            name: made_of.name.clone(),
            project: ProjectName::trusted(made_of.label(labels::PROJECT).unwrap_or_default()),
            service: made_of.label(labels::SERVICE).map(ServiceName::trusted),
            number: made_of.label(labels::CONTAINER_NUMBER).and_then(|n| n.parse().ok()).unwrap_or(0),
            oneoff: made_of.label(labels::ONEOFF).is_some_and(|o| o.eq_ignore_ascii_case("true")),
            created: now,
            config_hash: made_of.label(labels::CONFIG_HASH).map(str::to_owned),
            image,
            instance: made_of.label(labels::INSTANCE).map(InstanceId::trusted),
            depends_on: depends_on
                .split(',')
                .filter_map(|d| d.split(':').next().filter(|d| !d.is_empty()))
                .map(ServiceName::trusted)
                .collect(),
            state: ContainerState::Created,
            health: Health::None,
            engine_restarts: !matches!(made_of.policy, None | Some(RestartPolicy::No)),
            restart_count: 0,
            killed: false,
            exit_watched: false,
            networks: made_of.networks.iter().cloned().collect(),
            error: None,
        };
        Self {
            seen,
            made_of,
            script,
            run: 0,
            starts: 0,
            stopped_by_hand: false,
            sick: false,
            failed_checks: 0,
            checks: 0,
            bound: BTreeMap::new(),
            started: now,
            restart_delay: Duration::ZERO,
            ended: (0, false, now),
            before: None,
        }
    }

    pub(super) fn in_project(&self) -> bool {
        !self.seen.project.as_str().is_empty()
    }

    /// It as it was before its last change, if that was so short ago.
    pub(super) fn behind(&self, now: Timestamp, by: Duration) -> &Container {
        match &self.before {
            Some((at, before)) if at.checked_add(by).is_ok_and(|until| now < until) => before,
            _ => &self.seen,
        }
    }

    /// How often it was started.
    pub fn starts(&self) -> u32 {
        self.starts
    }

    pub(super) fn has_process(&self) -> bool {
        matches!(self.seen.state, ContainerState::Running { .. } | ContainerState::Paused)
    }

    /// The state of one that ended and is not started again.
    pub(super) fn over(&self) -> ContainerState {
        let (code, oom, finished) = self.ended;
        ContainerState::Exited { code, oom, started: self.started, finished }
    }
}

fn refused(status: u16, message: impl Into<String>) -> EngineError {
    EngineError::Refused { status, message: message.into() }
}

/// What the Engine takes as a container's name.
fn valid_name(name: &str) -> Result<(), String> {
    let mut chars = name.chars();
    let first = chars.next().is_some_and(|c| c.is_ascii_alphanumeric());
    let rest = chars.as_str();
    if first && !rest.is_empty() && rest.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c)) {
        return Ok(());
    }
    Err(format!("Invalid container name (/{name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"))
}

fn taken(name: &str, by: &ContainerId) -> String {
    format!(
        "Conflict. The container name \"/{name}\" is already in use by container \"{by}\". You have to remove (or rename) that container to be able to reuse that name."
    )
}

pub(super) fn no_such(id: &ContainerId) -> EngineError {
    refused(404, format!("No such container: {id}"))
}

impl World {
    /// A container by its id or name.
    pub fn find(&self, text: &str) -> Option<&ContainerId> {
        let by_id = self.containers.get_key_value(text).map(|(id, _)| id);
        by_id.or_else(|| self.names.get(text))
    }

    fn get(&mut self, id: &ContainerId) -> Result<&mut Simulated, EngineError> {
        let (now, remembers) = (self.now, self.remembers);
        let container = self.containers.get_mut(id).ok_or_else(|| no_such(id))?;
        if remembers {
            container.before = Some((now, Box::new(container.seen.clone())));
        }
        Ok(container)
    }

    /// Makes a container.
    pub fn create(&mut self, mut made_of: Blueprint) -> Result<ContainerId, EngineError> {
        let Some(image) = self.images.get(&made_of.image).cloned() else {
            return Err(refused(404, format!("No such image: {}", made_of.image)));
        };
        if let Err(words) = valid_name(&made_of.name) {
            return Err(refused(400, words));
        }
        if let Some(other) = self.find(&made_of.name) {
            return Err(refused(409, taken(&made_of.name, other)));
        }
        if made_of.networks.len() > 1 && !self.capabilities().several_networks_at_creation() {
            let mut names = made_of.networks.clone();
            names.sort();
            let message = format!("Container cannot be connected to network endpoints: {}", names.join(", "));
            return Err(refused(400, message));
        }
        if self.full {
            return Err(refused(500, "mkdir /var/lib/docker/overlay2: no space left on device"));
        }
        // What is asked for by its id is kept by its name, and bound to that id.
        let mut by_id = BTreeMap::new();
        for network in &mut made_of.networks {
            if let Some(known) = self.networks.get(&NetworkId::trusted(network.as_str())) {
                network.clone_from(&known.name);
                by_id.insert(known.name.clone(), known.id.clone());
            }
        }
        let id = ContainerId::trusted(self.id());
        for volume in &made_of.volumes {
            self.make_volume(volume, None);
        }
        let mut container = Simulated::new(id.clone(), made_of, image, Script::default(), self.now);
        container.seen.networks.extend(by_id.values().map(ToString::to_string));
        container.bound = by_id;
        if let Some(service) = &container.seen.service
            && let Some(script) = self.scripts.get(&(container.seen.project.clone(), service.clone()))
        {
            container.script = script.clone();
        }
        self.names.insert(container.seen.name.clone(), id.clone());
        self.containers.insert(id.clone(), container);
        self.emit_of(&id, ContainerEvent::Created);
        Ok(id)
    }

    /// Starts a container; one that runs, or is about to be started again, is left as it is.
    pub fn start(&mut self, id: &ContainerId) -> Result<(), EngineError> {
        let container = self.containers.get(id).ok_or_else(|| no_such(id))?;
        match container.seen.state {
            ContainerState::Running { .. } | ContainerState::Restarting => return Ok(()),
            ContainerState::Paused => {
                return Err(refused(409, "cannot start a paused container, try unpause instead"));
            }
            ContainerState::Removing | ContainerState::Dead => {
                return Err(refused(409, "container is marked for removal and cannot be started"));
            }
            ContainerState::Created | ContainerState::Exited { .. } => {}
        }
        self.launch(id, true)
    }

    /// Starts it, by hand or by its policy.
    fn launch(&mut self, id: &ContainerId, by_hand: bool) -> Result<(), EngineError> {
        if by_hand && self.is_newer() {
            self.counts_anew(id);
        }
        let joined = match self.may_run(id) {
            Ok(()) => self.join_networks(id),
            Err(error) => Err(error),
        };
        if let Err(error) = joined {
            let message = match &error {
                EngineError::Refused { message, .. } => message.clone(),
                other => other.to_string(),
            };
            let container = self.get(id)?;
            container.seen.error = Some(message);
            container.run += 1;
            match &mut container.seen.state {
                // How it ended before is kept, but for an end that was well.
                ContainerState::Exited { code, .. } if *code == 0 => {
                    *code = 128;
                    container.ended.0 = 128;
                }
                ContainerState::Restarting => container.seen.state = container.over(),
                _ => {}
            }
            return Err(error);
        }
        if by_hand {
            self.counts_anew(id);
        }
        self.runs(id)
    }

    /// It is started by hand: its policy's restarts count from here on.
    fn counts_anew(&mut self, id: &ContainerId) {
        let Ok(container) = self.get(id) else { return };
        container.seen.restart_count = 0;
        container.restart_delay = Duration::ZERO;
        container.stopped_by_hand = false;
    }

    /// Whether networks, ports and namespaces let it run.
    fn may_run(&self, id: &ContainerId) -> Result<(), EngineError> {
        let container = self.containers.get(id).ok_or_else(|| no_such(id))?;
        if self.full {
            return Err(refused(500, "failed to create shim: no space left on device"));
        }
        if let Some(words) = &container.script.refuses {
            return Err(refused(400, words.clone()));
        }
        if let Some(other) = &container.made_of.lives_in {
            match self.find(other).and_then(|id| self.containers.get(id)) {
                None => {
                    let status = if self.is_newer() { 500 } else { 404 };
                    return Err(refused(status, format!("No such container: {other}")));
                }
                Some(_) if self.is_newer() && !container.made_of.networks.is_empty() => {
                    return Err(refused(
                        400,
                        "conflicting options: cannot attach both user-defined and non-user-defined network-modes",
                    ));
                }
                Some(other) if !other.has_process() => {
                    let message = format!("cannot join network of a non running container: {}", other.seen.id);
                    return Err(refused(409, message));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Attaches it to its networks. What was done of it is undone when one of them cannot be had.
    fn join_networks(&mut self, id: &ContainerId) -> Result<(), EngineError> {
        let container = self.containers.get(id).ok_or_else(|| no_such(id))?;
        if container.made_of.lives_in.is_some() {
            return Ok(());
        }
        let (mut names, bound) = (container.made_of.networks.clone(), container.bound.clone());
        // The Engine goes through them in any order.
        self.draw.shuffle(&mut names);
        let mut joined = Vec::new();
        for name in &names {
            let answer = self.resolve(name, bound.get(name)).and_then(|network| {
                if let Some(container) = self.containers.get_mut(id) {
                    container.bound.insert(name.clone(), network.clone());
                }
                let free = self.ports_are_free(id);
                if free.is_ok() {
                    self.emit_endpoint(&network, id);
                }
                joined.push(network);
                free
            });
            if let Err(error) = answer {
                self.show_networks(id);
                // Once there is a place for networks, the leaving of all of them is told, of those not joined as well. A
                // newer Engine makes that place first.
                if !joined.is_empty() || self.is_newer() {
                    let bound = self.containers.get(id).map(|c| c.bound.clone()).unwrap_or_default();
                    let left: Vec<_> = names.iter().filter_map(|n| self.resolve(n, bound.get(n)).ok()).collect();
                    for network in left {
                        self.emit_endpoint(&network, id);
                    }
                }
                return Err(error);
            }
        }
        self.show_networks(id);
        Ok(())
    }

    /// The network under a name or id; one that it was attached to before is meant for ever.
    fn resolve(&self, name: &str, bound: Option<&NetworkId>) -> Result<NetworkId, EngineError> {
        if let Some(bound) = bound {
            let found = self.networks.get(bound).map(|n| n.id.clone());
            return found.ok_or_else(|| refused(404, format!("network {bound} not found")));
        }
        if let Some(network) = self.networks.get(&NetworkId::trusted(name)) {
            return Ok(network.id.clone());
        }
        let found = self.network_names.get(name);
        match (found.and_then(BTreeSet::first), found.map_or(0, BTreeSet::len)) {
            (None, _) => Err(refused(404, format!("network {name} not found"))),
            (Some(network), 1) => Ok(network.clone()),
            (Some(_), matches) => {
                Err(refused(400, format!("network {name} is ambiguous ({matches} matches found on name)")))
            }
        }
    }

    /// Tells that it left its networks.
    fn leave_networks(&mut self, id: &ContainerId) {
        let attached: Vec<NetworkId> = self.containers.get(id).map(|c| self.attached(c)).unwrap_or_default();
        for network in attached {
            self.emit_endpoint(&network, id);
        }
    }

    /// Its networks as an inspect tells: names, and ids of those that it was attached to.
    fn show_networks(&mut self, id: &ContainerId) {
        let Some(container) = self.containers.get(id) else { return };
        let mut shown = std::collections::BTreeSet::new();
        for name in &container.made_of.networks {
            let bound = container.bound.get(name);
            let known = bound.and_then(|id| self.networks.get(id)).map(|n| n.name.clone());
            shown.insert(known.unwrap_or_else(|| name.clone()));
            shown.extend(bound.map(ToString::to_string));
        }
        if let Ok(container) = self.get(id) {
            container.seen.networks = shown;
        }
    }

    fn ports_are_free(&self, id: &ContainerId) -> Result<(), EngineError> {
        let Some(container) = self.containers.get(id) else { return Ok(()) };
        for port in &container.made_of.ports {
            let taken = self.containers.values().any(|other| {
                other.seen.id != *id && other.has_process() && other.made_of.ports.iter().any(|p| clash(p, port))
            });
            if taken {
                let address = if port.2.is_empty() { "0.0.0.0" } else { &port.2 };
                let message = format!(
                    "driver failed programming external connectivity on endpoint {} ({:064x}): Bind for {address}:{} failed: port is already allocated",
                    container.seen.name, container.run, port.0
                );
                return Err(refused(500, message));
            }
        }
        Ok(())
    }

    /// Its process begins.
    fn runs(&mut self, id: &ContainerId) -> Result<(), EngineError> {
        let now = self.now;
        let container = self.get(id)?;
        container.run += 1;
        container.starts += 1;
        container.failed_checks = 0;
        container.started = now;
        container.seen.state = ContainerState::Running { since: now };
        container.seen.error = None;
        container.seen.health = if container.made_of.check.is_some() { Health::Starting } else { Health::None };
        let key = (container.seen.project.clone(), container.seen.service.clone());
        let (run, memory) = (container.run, container.made_of.memory);
        let runs = self.runs.entry(key).or_default();
        *runs += 1;
        let runs = *runs;
        let Some(container) = self.containers.get(id) else { return Ok(()) };
        let end = container.script.end(runs, memory);
        let check = container.made_of.check;
        self.emit_of(id, ContainerEvent::Started);
        if let Some((after, code, oom)) = end {
            self.later((after + pace::DEATH).saturating_sub(pace::AHEAD), Due::End { id: id.clone(), run, code, oom });
        }
        if let Some(check) = check {
            self.check_later(id, check.start_interval.min(check.interval));
        }
        Ok(())
    }

    fn emit_endpoint(&mut self, network: &NetworkId, id: &ContainerId) {
        let Some(name) = self.networks.get(network).map(|n| n.name.clone()) else { return };
        let container = Some(id.clone());
        self.emit(EventKind::Network { id: network.clone(), name, destroyed: false, container });
    }

    /// A process ended, if it still is that run: some time before this is known and told.
    pub(super) fn ends(&mut self, id: &ContainerId, run: u64, code: i64, oom: bool) {
        let now = self.now.checked_sub(pace::DEATH).unwrap_or(self.now);
        let Some(container) = self.containers.get(id).filter(|c| c.run == run && c.has_process()) else { return };
        let since = container.started;
        let age = Duration::try_from(now.duration_since(since)).unwrap_or_default();
        let again = match container.made_of.policy {
            _ if container.stopped_by_hand => false,
            None | Some(RestartPolicy::No) => false,
            Some(RestartPolicy::Always | RestartPolicy::UnlessStopped) => true,
            Some(RestartPolicy::OnFailure { max }) => {
                code != 0 && max.is_none_or(|max| container.seen.restart_count < max)
            }
        };
        // The news that the memory was full comes at times too late to be part of the end.
        let too_late = oom && self.draw.u8(..4) == 0;
        if oom && !too_late {
            self.emit_of(id, ContainerEvent::OutOfMemory);
        }
        let Ok(container) = self.get(id) else { return };
        container.run += 1;
        container.ended = (code, oom && !too_late, now);
        container.seen.health = if container.made_of.check.is_some() { Health::Unhealthy } else { Health::None };
        container.seen.state = if again { ContainerState::Restarting } else { container.over() };
        if again {
            container.seen.restart_count += 1;
            let calm = age >= CALM_RUN || container.restart_delay.is_zero();
            let delay = if calm { FIRST_RESTART } else { container.restart_delay * 2 };
            container.restart_delay = delay.min(LONGEST_RESTART);
        }
        let (run, delay) = (container.run, container.restart_delay);
        if self.is_newer() {
            self.leave_networks(id);
        }
        self.emit_of(id, ContainerEvent::Died { code });
        if too_late {
            self.emit_of(id, ContainerEvent::OutOfMemory);
        }
        if !self.is_newer() {
            self.leave_networks(id);
        }
        if again {
            self.later(delay, Due::Restart { id: id.clone(), run });
        }
    }

    fn attached(&self, container: &Simulated) -> Vec<NetworkId> {
        let bound = container.made_of.networks.iter().filter_map(|n| container.bound.get(n));
        bound.filter(|n| self.networks.contains_key(*n)).cloned().collect()
    }

    /// The Engine starts it again.
    pub(super) fn restarts(&mut self, id: &ContainerId, run: u64) {
        let waits = |c: &&mut Simulated| c.run == run && c.seen.state == ContainerState::Restarting;
        if self.containers.get_mut(id).filter(waits).is_some() {
            // What cannot be started is left down.
            let _ = self.launch(id, false);
        }
    }

    fn check_later(&mut self, id: &ContainerId, delay: Duration) {
        let Some(container) = self.containers.get_mut(id) else { return };
        container.checks += 1;
        let number = container.checks;
        self.later(delay, Due::Check { id: id.clone(), number });
    }

    /// Its check is made, if that is still the one that is due.
    pub(super) fn check(&mut self, id: &ContainerId, number: u64) {
        let now = self.now;
        let Some(container) = self.containers.get_mut(id).filter(|c| c.checks == number) else { return };
        let (ContainerState::Running { .. }, Some(check)) = (container.seen.state, container.made_of.check) else {
            return;
        };
        let age = Duration::try_from(now.duration_since(container.started)).unwrap_or_default();
        let passes = container.script.passes(age) && !container.sick;
        let early = age < check.start_period;
        let before = container.seen.health;
        let after = if passes {
            container.failed_checks = 0;
            Health::Healthy
        } else if early && before == Health::Starting {
            Health::Starting
        } else {
            container.failed_checks += 1;
            if container.failed_checks >= check.retries { Health::Unhealthy } else { before }
        };
        let settled = after == before
            && passes == (after == Health::Healthy)
            && match after {
                Health::Healthy => container.script.sick_after.is_none_or(|at| age >= at),
                Health::Unhealthy => container.script.healthy_after.is_none_or(|at| age >= at),
                _ => false,
            };
        if after != before {
            if let Ok(container) = self.get(id) {
                container.seen.health = after;
            }
            self.emit_of(id, ContainerEvent::Health(after));
        }
        // Where no check can change anything any more none is made: who changes something begins anew.
        if !settled {
            let next = if early && after == Health::Starting { check.start_interval } else { check.interval };
            self.check_later(id, next);
        }
    }

    /// Asks it to end, and makes it when the grace is over; when that will be. `None`: it does not run.
    pub fn ask_to_end(&mut self, id: &ContainerId, grace: Option<Duration>) -> Result<Option<Duration>, EngineError> {
        if self.rests(id) {
            return Ok(None);
        }
        let container = self.containers.get(id).ok_or_else(|| no_such(id))?;
        if !container.has_process() {
            return Ok(None);
        }
        let (run, stop) = (container.run, container.script.on_stop);
        let grace = grace.or(container.made_of.grace).unwrap_or(Duration::from_secs(10));
        self.asked_to_end(id);
        if stop.takes > grace {
            self.later(grace, Due::Insist { id: id.clone(), run });
        }
        Ok(Some(stop.takes.min(grace) + pace::DEATH))
    }

    /// One that waits for its restart does not get it any more.
    fn rests(&mut self, id: &ContainerId) -> bool {
        let waits = |c: &&mut Simulated| c.seen.state == ContainerState::Restarting;
        let Some(container) = self.containers.get_mut(id).filter(waits) else { return false };
        container.run += 1;
        container.stopped_by_hand = true;
        container.seen.state = container.over();
        true
    }

    /// Its process gets SIGTERM. One that is frozen then goes on.
    fn asked_to_end(&mut self, id: &ContainerId) {
        let Ok(container) = self.get(id) else { return };
        container.stopped_by_hand = true;
        let (run, stop) = (container.run, container.script.on_stop);
        let paused = container.seen.state == ContainerState::Paused;
        if paused {
            container.seen.state = ContainerState::Running { since: container.started };
        }
        self.emit_of(id, ContainerEvent::Killed);
        if paused {
            self.emit_of(id, ContainerEvent::Unpaused);
        }
        self.later(stop.takes + pace::DEATH, Due::End { id: id.clone(), run, code: stop.code, oom: false });
    }

    /// The grace is over: its process is ended, if it still is that run.
    pub(super) fn insists(&mut self, id: &ContainerId, run: u64) {
        if self.containers.get(id).is_some_and(|c| c.run == run && c.has_process()) {
            self.ended_at_once(id);
        }
    }

    fn ended_at_once(&mut self, id: &ContainerId) {
        let Ok(container) = self.get(id) else { return };
        container.stopped_by_hand = true;
        let run = container.run;
        self.emit_of(id, ContainerEvent::Killed);
        self.later(pace::DEATH, Due::End { id: id.clone(), run, code: 137, oom: false });
    }

    /// Whether there is a process that can be sent a signal; one that waits for its restart rests from now on.
    fn can_be_killed(&mut self, id: &ContainerId) -> Result<bool, EngineError> {
        if !self.containers.contains_key(id) {
            return Err(refused(404, format!("Cannot kill container: {id}: No such container: {id}")));
        }
        if self.rests(id) {
            return Ok(false);
        }
        if self.containers.get(id).is_some_and(Simulated::has_process) {
            return Ok(true);
        }
        Err(refused(409, format!("Cannot kill container: {id}: Container {id} is not running")))
    }

    /// Ends it at once.
    pub fn kill(&mut self, id: &ContainerId) -> Result<(), EngineError> {
        if self.can_be_killed(id)? {
            self.ended_at_once(id);
        }
        Ok(())
    }

    /// Asks it to end by a signal, once and without insisting.
    pub fn terminate(&mut self, id: &ContainerId) -> Result<(), EngineError> {
        if self.can_be_killed(id)? {
            self.asked_to_end(id);
        }
        Ok(())
    }

    /// Begins a removal; `false`: somebody else did already.
    pub fn remove(&mut self, id: &ContainerId, force: bool) -> Result<bool, EngineError> {
        let container = self.containers.get(id).ok_or_else(|| no_such(id))?;
        match container.seen.state {
            ContainerState::Removing => return Ok(false),
            state @ (ContainerState::Running { .. } | ContainerState::Paused | ContainerState::Restarting)
                if !force =>
            {
                let first = if state == ContainerState::Paused { "Unpause and then stop" } else { "Stop" };
                let message = format!(
                    "You cannot remove a {} container {id}. {first} the container before attempting removal or force remove",
                    state.as_str()
                );
                return Err(refused(409, message));
            }
            _ => {}
        }
        self.rests(id);
        if self.containers.get(id).is_some_and(Simulated::has_process) {
            self.emit_of(id, ContainerEvent::Killed);
            if let Some(container) = self.containers.get_mut(id) {
                container.stopped_by_hand = true;
                let run = container.run;
                self.ends(id, run, 137, false);
            }
        }
        let container = self.get(id)?;
        container.run += 1;
        container.seen.state = ContainerState::Removing;
        self.later(pace::REMOVAL, Due::Destroy { id: id.clone() });
        Ok(true)
    }

    pub(super) fn destroy(&mut self, id: &ContainerId) {
        let Some(container) = self.containers.get(id) else { return };
        let (in_project, project) = (container.in_project(), container.seen.project.clone());
        self.names.remove(&container.seen.name);
        self.containers.remove(id);
        if in_project {
            let action = ContainerEvent::Destroyed;
            self.emit(EventKind::Container { id: id.clone(), project, action });
        }
    }

    /// Gives it another name.
    pub fn rename(&mut self, id: &ContainerId, name: &str) -> Result<(), EngineError> {
        let container = self.containers.get(id).ok_or_else(|| no_such(id))?;
        if container.seen.name == name {
            return Err(refused(400, "Renaming a container with the same name as its current name"));
        }
        let allocating = "Error when allocating new name: ";
        if let Err(words) = valid_name(name) {
            return Err(refused(400, format!("{allocating}{words}")));
        }
        if let Some(other) = self.find(name) {
            return Err(refused(409, format!("{allocating}{}", taken(name, other))));
        }
        let before = std::mem::replace(&mut self.get(id)?.seen.name, name.to_owned());
        self.names.remove(&before);
        self.names.insert(name.to_owned(), id.clone());
        self.emit_of(id, ContainerEvent::Changed);
        Ok(())
    }

    /// Freezes it.
    pub fn pause(&mut self, id: &ContainerId) -> Result<(), EngineError> {
        let container = self.get(id)?;
        let why_not = match container.seen.state {
            ContainerState::Running { .. } => None,
            ContainerState::Paused => Some("already paused"),
            ContainerState::Restarting => Some("restarting, wait until the container is running"),
            _ => Some("not running"),
        };
        if let Some(words) = why_not {
            return Err(refused(409, format!("Container {id} is {words}")));
        }
        container.seen.state = ContainerState::Paused;
        if container.made_of.check.is_some() {
            // Nobody is told: the Engine says so of whatever it does not check.
            container.seen.health = Health::Unhealthy;
        }
        self.emit_of(id, ContainerEvent::Paused);
        Ok(())
    }

    /// Lets it go on.
    pub fn unpause(&mut self, id: &ContainerId) -> Result<(), EngineError> {
        let container = self.get(id)?;
        if container.seen.state != ContainerState::Paused {
            return Err(refused(500, format!("Container {id} is not paused")));
        }
        container.seen.state = ContainerState::Running { since: container.started };
        let check = container.made_of.check;
        self.emit_of(id, ContainerEvent::Unpaused);
        if let Some(check) = check {
            self.check_later(id, check.interval);
        }
        Ok(())
    }

    /// Attaches it to a network.
    pub fn connect(&mut self, network: &NetworkId, id: &ContainerId) -> Result<(), EngineError> {
        let runs = self.containers.get(id).ok_or_else(|| no_such(id))?.has_process();
        let Some(name) = self.networks.get(network).map(|n| n.name.clone()) else {
            if runs {
                return Err(refused(404, format!("network {network} not found")));
            }
            // It is taken down unseen, and the next start fails for it.
            let container = self.get(id)?;
            container.made_of.networks.push(network.to_string());
            self.show_networks(id);
            return Ok(());
        };
        let container = self.get(id)?;
        if container.made_of.no_network {
            let message =
                "container cannot be connected to multiple networks with one of the networks in private (none) mode";
            return Err(refused(400, message));
        }
        if (container.made_of.lives_in.is_some() && runs) || container.made_of.host_network {
            let message = "container sharing network namespace with another container or host cannot be connected to any other network";
            return Err(refused(400, message));
        }
        let known = container.seen.networks.contains(network.as_str()) || container.seen.networks.contains(&name);
        if known && runs {
            let message = format!("endpoint with name {} already exists in network {name}", container.seen.name);
            return Err(refused(403, message));
        }
        if !known {
            container.made_of.networks.push(name.clone());
        }
        if runs {
            container.bound.insert(name, network.clone());
        }
        self.show_networks(id);
        if runs {
            self.emit_endpoint(network, id);
        }
        Ok(())
    }

    /// Detaches it from a network, by the network's name.
    pub fn disconnect(&mut self, network: &str, id: &ContainerId) -> Result<(), EngineError> {
        let found = self.resolve(network, None);
        let runs = self.containers.get(id).ok_or_else(|| no_such(id))?.has_process();
        let found = match found {
            Err(error) if runs => return Err(error),
            other => other.ok(),
        };
        let container = self.get(id)?;
        let count = container.made_of.networks.len();
        container.made_of.networks.retain(|n| n != network);
        if container.made_of.networks.len() == count {
            let the = if runs { "" } else { "the " };
            return Err(refused(500, format!("container {id} is not connected to {the}network {network}")));
        }
        container.bound.remove(network);
        self.show_networks(id);
        if let Some(found) = found {
            // Old Engines tell of it once more than there is to tell.
            let times = usize::from(runs) + usize::from(!self.is_newer());
            for _ in 0..times {
                self.emit_endpoint(&found, id);
            }
        }
        Ok(())
    }

    /// `docker update`.
    pub fn update(&mut self, id: &ContainerId, memory: Option<u64>, nano_cpus: Option<i64>) -> Result<(), EngineError> {
        let container = self.get(id)?;
        container.made_of.memory = memory.filter(|m| *m > 0).or(container.made_of.memory);
        container.made_of.nano_cpus = nano_cpus.filter(|n| *n > 0).or(container.made_of.nano_cpus);
        self.emit_of(id, ContainerEvent::Changed);
        Ok(())
    }

    /// Its process ends by itself now.
    pub fn crash(&mut self, id: &ContainerId, code: i64, oom: bool) {
        if let Some(container) = self.containers.get(id) {
            let run = container.run;
            self.later(pace::DEATH, Due::End { id: id.clone(), run, code, oom });
        }
    }

    /// Its check fails from now on, or passes again.
    pub fn sicken(&mut self, id: &ContainerId, sick: bool) {
        let Some(container) = self.containers.get_mut(id) else { return };
        container.sick = sick;
        if let Some(check) = container.made_of.check.filter(|_| container.has_process()) {
            self.check_later(id, check.interval);
        }
    }
}

/// Whether two published ports cannot be had at the same time.
fn clash(a: &(String, String, String), b: &(String, String, String)) -> bool {
    let any = |ip: &str| ip.is_empty() || ip == "0.0.0.0" || ip == "::";
    a.0 == b.0 && a.1 == b.1 && (any(&a.2) || any(&b.2) || a.2 == b.2)
}

impl Simulated {
    /// Whether its process ended a moment ago.
    pub(super) fn just_died(&self, now: Timestamp) -> bool {
        match self.seen.state {
            ContainerState::Exited { finished, .. } => {
                finished.checked_add(2 * pace::DEATH).is_ok_and(|until| now < until)
            }
            _ => false,
        }
    }
}
