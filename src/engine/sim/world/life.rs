//! The life of a container's process: started, ended, restarted, stopped, killed, frozen, as Docker does it.

use std::time::Duration;

use super::{Due, World};
use crate::engine::sim::container::{Simulated, no_such};
use crate::engine::sim::{DISK_FULL, pace, refused};
use crate::engine::{ContainerEvent, EngineError, docker};
use crate::model::ContainerId;
use crate::model::observed::{ContainerState, Health};
use crate::model::service::RestartPolicy;
use crate::model::setback::{Missing, Refusal};

/// Docker's delay before a restart: 100 ms, doubling to a minute, from the start again after 10 s of running.
const FIRST_RESTART: Duration = Duration::from_millis(100);
const LONGEST_RESTART: Duration = Duration::from_secs(60);
const CALM_RUN: Duration = Duration::from_secs(10);

impl World {
    /// Starts a container; one that runs, or is about to be started again, is left as it is.
    pub fn start(&mut self, id: &ContainerId) -> Result<(), EngineError> {
        let container = self.containers.get(id).ok_or_else(|| no_such(id))?;
        match container.seen.state {
            ContainerState::Running { .. } | ContainerState::Restarting => return Ok(()),
            ContainerState::Paused => {
                return Err(refused(Refusal::Other, "cannot start a paused container, try unpause instead"));
            }
            ContainerState::Removing | ContainerState::Dead => {
                return Err(refused(Refusal::BeingRemoved, "container is marked for removal and cannot be started"));
            }
            ContainerState::Created | ContainerState::Exited { .. } => {}
        }
        self.launch(id, true)
    }

    /// Starts it, by hand or by its policy.
    pub(super) fn launch(&mut self, id: &ContainerId, by_hand: bool) -> Result<(), EngineError> {
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
    pub(super) fn counts_anew(&mut self, id: &ContainerId) {
        let Ok(container) = self.get(id) else { return };
        container.seen.restart_count = 0;
        container.restart_delay = Duration::ZERO;
        container.stopped_by_hand = false;
    }

    /// Whether networks, ports and namespaces let it run.
    pub(super) fn may_run(&self, id: &ContainerId) -> Result<(), EngineError> {
        let container = self.containers.get(id).ok_or_else(|| no_such(id))?;
        if self.full {
            return Err(refused(DISK_FULL, "failed to create shim: no space left on device"));
        }
        if let Some(words) = &container.script.refuses {
            return Err(docker::refused(400, words, None));
        }
        if let Some(other) = &container.made_of.lives_in {
            match self.find(other).and_then(|id| self.containers.get(id)) {
                None => {
                    let joining = if self.is_newer() { "joining network namespace of container: " } else { "" };
                    let message = format!("{joining}No such container: {other}");
                    return Err(refused(Refusal::NotFound(Missing::Container), message));
                }
                Some(_) if self.is_newer() && !container.made_of.networks.is_empty() => {
                    return Err(refused(
                        Refusal::InvalidRequest,
                        "conflicting options: cannot attach both user-defined and non-user-defined network-modes",
                    ));
                }
                Some(other) if !other.has_process() => {
                    let message = format!("cannot join network of a non running container: {}", other.seen.id);
                    return Err(refused(Refusal::Other, message));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Begins a run: its process, its check and what its script says are due from now on.
    pub(in crate::engine::sim) fn runs(&mut self, id: &ContainerId) -> Result<(), EngineError> {
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

    /// A process ended, if it still is that run: some time before this is known and told.
    pub(in crate::engine::sim) fn ends(&mut self, id: &ContainerId, run: u64, code: i64, oom: bool) {
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
        container.commands.clear();
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

    /// The Engine starts it again.
    pub(super) fn restarts(&mut self, id: &ContainerId, run: u64) {
        let waits = |c: &&mut Simulated| c.run == run && c.seen.state == ContainerState::Restarting;
        if self.containers.get_mut(id).filter(waits).is_some() {
            // What cannot be started is left down.
            let _ = self.launch(id, false);
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
    pub(in crate::engine::sim) fn rests(&mut self, id: &ContainerId) -> bool {
        let waits = |c: &&mut Simulated| c.seen.state == ContainerState::Restarting;
        let Some(container) = self.containers.get_mut(id).filter(waits) else { return false };
        container.run += 1;
        container.stopped_by_hand = true;
        container.seen.state = container.over();
        true
    }

    /// Its process gets SIGTERM. One that is frozen then goes on.
    pub(super) fn asked_to_end(&mut self, id: &ContainerId) {
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

    pub(super) fn ended_at_once(&mut self, id: &ContainerId) {
        let Ok(container) = self.get(id) else { return };
        container.stopped_by_hand = true;
        let run = container.run;
        self.emit_of(id, ContainerEvent::Killed);
        self.later(pace::DEATH, Due::End { id: id.clone(), run, code: 137, oom: false });
    }

    /// Whether there is a process that can be sent a signal; one that waits for its restart rests from now on.
    pub(super) fn can_be_killed(&mut self, id: &ContainerId) -> Result<bool, EngineError> {
        if !self.containers.contains_key(id) {
            return Err(refused(
                Refusal::NotFound(Missing::Itself),
                format!("Cannot kill container: {id}: No such container: {id}"),
            ));
        }
        if self.rests(id) {
            return Ok(false);
        }
        if self.containers.get(id).is_some_and(Simulated::has_process) {
            return Ok(true);
        }
        Err(refused(Refusal::Other, format!("Cannot kill container: {id}: Container {id} is not running")))
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

    /// Freezes a running container, as `docker pause` does.
    pub fn pause(&mut self, id: &ContainerId) -> Result<(), EngineError> {
        let container = self.get(id)?;
        let why_not = match container.seen.state {
            ContainerState::Running { .. } => None,
            ContainerState::Paused => Some("already paused"),
            ContainerState::Restarting => Some("restarting, wait until the container is running"),
            _ => Some("not running"),
        };
        if let Some(words) = why_not {
            return Err(refused(Refusal::Other, format!("Container {id} is {words}")));
        }
        container.seen.state = ContainerState::Paused;
        if container.made_of.check.is_some() {
            // Nobody is told: the Engine says so of whatever it does not check, though no check failed.
            container.seen.health = if container.failed_checks == 0 { Health::Starting } else { Health::Unhealthy };
        }
        self.emit_of(id, ContainerEvent::Paused);
        Ok(())
    }

    /// Lets it go on.
    pub fn unpause(&mut self, id: &ContainerId) -> Result<(), EngineError> {
        let container = self.get(id)?;
        if container.seen.state != ContainerState::Paused {
            return Err(refused(Refusal::ServerError, format!("Container {id} is not paused")));
        }
        container.seen.state = ContainerState::Running { since: container.started };
        let check = container.made_of.check;
        self.emit_of(id, ContainerEvent::Unpaused);
        if let Some(check) = check {
            self.check_later(id, check.interval);
        }
        Ok(())
    }

    /// Sends it a signal that it takes as news.
    pub fn signal(&mut self, id: &ContainerId) -> Result<(), EngineError> {
        if self.get(id)?.seen.is_running() {
            return Ok(());
        }
        Err(refused(Refusal::Other, format!("Cannot kill container: {id}: Container {id} is not running")))
    }

    /// Its process ends by itself now.
    pub fn crash(&mut self, id: &ContainerId, code: i64, oom: bool) {
        if let Some(container) = self.containers.get(id) {
            let run = container.run;
            self.later(pace::DEATH, Due::End { id: id.clone(), run, code, oom });
        }
    }
}
