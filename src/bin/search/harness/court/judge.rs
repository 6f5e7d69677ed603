//! What must hold before a call of the controller takes effect, judged from what the engine really holds.

use std::collections::BTreeSet;
use std::time::Duration;

use evenkeel::engine::sim::{Call, World};
use evenkeel::model::observed::{Container, ContainerState, Health};
use evenkeel::model::{ContainerId, Timestamp};

use super::super::finale::is_job;
use super::super::recipe::{Version, service};
use super::Court;

/// What somebody may not have heard of for so long: two resyncs and a bit.
const OUT_OF_DATE: Duration = Duration::from_secs(150);
/// Starts of one replica in one configuration within a minute: with delays that double from a second there is room for
/// seven; failures of other steps and a restart of the engine count apart.
const STARTS_A_MINUTE: usize = 20;

/// Whether two containers are of one replica.
fn twins(a: &Container, b: &Container) -> bool {
    a.id != b.id && a.project == b.project && a.service == b.service && a.number == b.number
}

/// Notes that it happened once more; how often within the last minute that is.
fn within_a_minute(times: &mut Vec<Timestamp>, now: Timestamp) -> usize {
    times.retain(|at| Duration::try_from(now.duration_since(*at)).unwrap_or_default() < Duration::from_secs(60));
    times.push(now);
    times.len()
}

impl Court {
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
    pub(super) fn check_before(&mut self, call: &Call, world: &World) {
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
                self.check_budget(&container);
                self.check_job(&container);
                self.check_done(&container);
                if !self.fallbacks.contains(id) {
                    self.check_dependencies(&container);
                }
            }
            _ => {}
        }
    }

    /// Notes whether there is something in the place of a container that is to be stopped.
    pub(super) fn asked_to_stop(&mut self, id: &ContainerId, world: &World) {
        let Some(container) = world.container(id) else { return };
        // Whose namespaces it lives in was started again: it has none any more.
        let home = world.simulated(id).and_then(|c| c.made_of.lives_in.clone()).and_then(|home| world.find(&home));
        let begun = home.and_then(|home| world.simulated(home)).map(|home| home.started);
        let homeless = match container.state {
            ContainerState::Running { since } => begun.is_some_and(|begun| begun > since),
            _ => false,
        };
        if homeless || world.containers().any(|c| twins(c, container)) {
            self.replaced.insert(id.clone());
        } else {
            self.replaced.remove(id);
        }
    }

    /// Nothing that is wanted in all versions is stopped before there is something in its place.
    fn check_stop(&mut self, container: &Container, world: &World) {
        self.stopping.insert(container.id.clone());
        let healthy = matches!(container.health, Health::None | Health::Healthy) && !self.sick.contains(&container.id);
        let alone = !world.containers().any(|c| twins(c, container)) && !self.replaced.contains(&container.id);
        // What was done once may be stopped: somebody else started it again.
        let key = container.service.as_ref().map(|s| (container.project.to_string(), s.to_string()));
        let done = key.is_some_and(|k| self.seem_done.contains(&k)) || is_job(&self.scenario, container);
        if container.is_running() && healthy && alone && !done && self.always_wanted(container) {
            self.violation(format!("stop of {}, which is wanted, with nothing in its place", container.name));
        }
    }

    fn check_twins(&mut self, container: &Container, world: &World) {
        let twin = world.containers().find(|c| c.is_running() && !c.oneoff && twins(c, container));
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
        let count = within_a_minute(self.made.entry(name.clone()).or_default(), self.now);
        // Each write of a manifest may make it anew.
        if count > 2 * STARTS_A_MINUTE {
            self.violation(format!("{name} is made {count} times within a minute"));
        }
    }

    /// An operator asks for what failed to be tried at once: that opens the budgets anew.
    pub fn asked_again(&mut self, id: &str) {
        let project = id.split_once('.').map_or(id, |(project, _)| project);
        self.starts.retain(|((of, ..), _), _| of != project);
    }

    fn check_budget(&mut self, container: &Container) {
        let Some(name) = &container.service else { return };
        let replica = (container.project.to_string(), name.to_string(), container.number);
        let starts = self.starts.entry((replica, container.config_hash.clone())).or_default();
        let count = within_a_minute(starts, self.now);
        if count > STARTS_A_MINUTE {
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
}
