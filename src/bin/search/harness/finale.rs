//! What is left when all is quiet, in a form without ids, times and numbers; and which of it need not be as a run without
//! faults leaves it, judged from the manifests and from what happened, never from what the controller says.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use evenkeel::engine::sim::{SimEngine, World};
use evenkeel::model::observed::{Container, ContainerState};

use super::court::Court;
use super::recipe::{Nature, Version, service};
use super::scenario::Scenario;

/// What is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Normal {
    /// By project, service and number.
    containers: BTreeMap<(String, String, u32), Shape>,
    networks: BTreeSet<String>,
    volumes: BTreeSet<String>,
}

/// How the containers of a replica are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Shape {
    name: String,
    networks: BTreeSet<String>,
    rest: String,
    /// The hash on its label.
    hash: String,
    /// What it is made with, where an inspect tells.
    fields: Option<String>,
}

/// What need not be as without faults.
#[derive(Debug, Clone, Default)]
pub struct Loose {
    /// Project and service.
    pub services: BTreeSet<(String, String)>,
    /// What containers are called: somebody renamed one, and it is told by its labels.
    pub names: bool,
    /// Projects whose revision fails each time it is tried: what is in force is the last one that was healthy, or a part
    /// of each.
    pub failed: BTreeSet<String>,
}

impl Loose {
    /// `last`: the version of each project that stays; `None`: it is removed. `failed`: projects whose revision failed
    /// again and again.
    pub fn of(scenario: &Scenario, last: &[Option<Version>], court: &Court, failed: BTreeSet<String>) -> Self {
        let mut loose = Self { names: court.fired.contains_key("Rename"), failed, ..Self::default() };
        for (project, version) in last.iter().enumerate() {
            let Some(version) = version else { continue };
            let natures = &scenario.projects[project].natures;
            let gone = project > 0 && last[project - 1].is_none();
            let waits = version.depends_on
                && project > 0
                && (gone || loose.services.iter().any(|(p, _)| *p == format!("p{}", project - 1)));
            // Dependencies come before their dependents.
            for recipe in &version.services {
                let key = (format!("p{project}"), service(recipe.name));
                let nature = natures[usize::from(recipe.name)];
                let limited = matches!(recipe.restart, 1 | 3);
                let own = nature.is_wild()
                    || limited && (nature.fails() || court.ended.contains(&key))
                    || court.seem_done.contains(&key)
                    || nature.is_job() && !matches!(nature, Nature::Job { .. } | Nature::FlakyJob { .. });
                let on_loose = version
                    .dependencies(recipe, natures)
                    .iter()
                    .any(|(on, ..)| loose.services.contains(&(key.0.clone(), service(*on))));
                // Who shares with what is made anew each time is made anew with it.
                if waits || own || on_loose {
                    loose.services.insert(key);
                }
            }
            // Only what can fail for good may fail each time.
            let name = format!("p{project}");
            if loose.failed.contains(&name) && loose.services.iter().any(|(p, _)| *p == name) {
                loose.services.extend(version.services.iter().map(|r| (name.clone(), service(r.name))));
            }
        }
        loose
    }
}

/// How everything is.
pub fn normal(scenario: &Scenario, engine: &SimEngine, completed: &BTreeSet<(String, String)>) -> Normal {
    engine.with(|world| {
        let mut normal = Normal::default();
        for container in world.containers().filter(|c| c.project.as_str().starts_with('p') && !c.oneoff) {
            let Some(name) = container.service.as_ref() else { continue };
            // The container of a job that is done may be there or not, and whoever started it again may have ended it.
            let done = completed.contains(&(container.project.to_string(), name.to_string()));
            let exited = matches!(container.state, ContainerState::Exited { .. });
            if exited && done && is_job(scenario, container) {
                continue;
            }
            let key = (container.project.to_string(), name.to_string(), container.number);
            let shape = describe(world, container);
            match normal.containers.entry(key) {
                Entry::Vacant(entry) => {
                    entry.insert(shape);
                }
                Entry::Occupied(mut entry) => entry.get_mut().rest.push_str(&format!(" and {shape}")),
            }
        }
        let ours = world.networks().filter(|n| n.project.as_ref().is_some_and(|p| p.as_str().starts_with('p')));
        for network in ours {
            let mut name = network.name.clone();
            while !normal.networks.insert(name.clone()) {
                name.push_str(" again");
            }
        }
        normal.volumes = world.volumes().map(|v| v.name.clone()).collect();
        normal
    })
}

/// Whether a container is a job's, by its nature.
pub fn is_job(scenario: &Scenario, container: &Container) -> bool {
    let number = container.project.as_str().strip_prefix('p').and_then(|n| n.parse::<usize>().ok());
    let Some(sketch) = number.and_then(|n| scenario.projects.get(n)) else { return false };
    let named = |n: usize| container.service.as_ref().is_some_and(|s| s.as_str() == service(n as u8));
    sketch.natures.iter().enumerate().any(|(n, nature)| nature.is_job() && named(n))
}

fn describe(world: &World, container: &Container) -> Shape {
    let made_of = world.simulated(&container.id).map(|c| c.made_of.clone()).unwrap_or_default();
    // What runs is not given up for an image that is not there.
    let current = world.images().get(&made_of.image).is_none_or(|id| *id == container.image);
    let image = if current { "current" } else { "old" };
    let home = made_of.lives_in.map(|other| match world.find(&other).and_then(|id| world.container(id)) {
        Some(other) => format!("in {}.{}", other.project, other.service.as_ref().map_or("-", |s| s.as_str())),
        None => "in what is gone".to_owned(),
    });
    // Of one that lives in another one both hold that one's id.
    let alone = home.is_none();
    let hash = container.config_hash.as_deref().filter(|_| alone).unwrap_or_default().to_owned();
    let fields = container.fields.as_ref().filter(|_| alone).map(|fields| {
        let all = fields.iter().map(|(path, value)| format!("{path}={value}"));
        all.collect::<Vec<_>>().join(" ")
    });
    let names = world.networks().filter(|n| container.networks.contains(n.id.as_str())).map(|n| n.name.clone());
    let (state, health) = (container.state.as_str(), container.health.as_str());
    let rest = format!("{} ({image}) {state} {health} {}", made_of.image, home.unwrap_or_default());
    Shape { name: container.name.clone(), networks: names.collect(), rest, hash, fields }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} {} {:.12} {:?}]", self.name, self.rest.trim_end(), self.hash, self.networks)
    }
}

impl Shape {
    fn fits(&self, other: &Self, loose: &Loose) -> bool {
        // What was changed in place has the label of before.
        let made_alike = match (&self.fields, &other.fields) {
            (Some(a), Some(b)) => a == b,
            _ => self.hash == other.hash,
        };
        made_alike
            && self.rest == other.rest
            && (loose.names || self.name == other.name)
            && self.networks == other.networks
    }
}

impl Normal {
    /// What differs from a run without faults. Volumes that an earlier version made stay.
    pub fn differences(&self, without_faults: &Self, loose: &Loose) -> Vec<String> {
        let mut found = Vec::new();
        let keys: BTreeSet<_> = self.containers.keys().chain(without_faults.containers.keys()).collect();
        let held = |p: &String, s: &String| {
            let free = loose.services.contains(&(p.clone(), s.clone()));
            // Services of an earlier revision may be there in place of those of the last one.
            !(free || loose.failed.contains(p) && loose.services.iter().any(|(of, _)| of == p))
        };
        for key in keys.into_iter().filter(|(p, s, _)| held(p, s)) {
            let (a, b) = (self.containers.get(key), without_faults.containers.get(key));
            let same = match (a, b) {
                (Some(a), Some(b)) => a.fits(b, loose),
                (None, None) => true,
                _ => false,
            };
            if !same {
                let text = |t: Option<&Shape>| t.map_or("nothing".to_owned(), ToString::to_string);
                let (project, service, number) = key;
                found.push(format!("{project}.{service}.{number} is {}, without faults {}", text(a), text(b)));
            }
        }
        // What a service waits with keeps its network.
        let kept = |n: &str| loose.services.iter().any(|(project, _)| n.starts_with(&format!("{project}_")));
        for network in self.networks.symmetric_difference(&without_faults.networks).filter(|n| !kept(n)) {
            let here = if self.networks.contains(network) { "here only" } else { "missing" };
            found.push(format!("network {network}: {here}"));
        }
        for volume in without_faults.volumes.difference(&self.volumes) {
            found.push(format!("volume {volume}: missing"));
        }
        found
    }
}
