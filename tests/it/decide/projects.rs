//! Random projects: acyclic, loadable, and such that they can converge.

use std::fmt::Write as _;

use proptest::collection::vec;
use proptest::prelude::*;

/// One service of a random project. What it depends on are services before it.
#[derive(Debug, Clone)]
pub struct Recipe {
    pub job: bool,
    pub check: bool,
    pub volume: bool,
    pub two_networks: bool,
    pub restart: usize,
    pub replicas: u32,
    pub command: u8,
    pub supply: usize,
    pub dependencies: Vec<(usize, bool, bool)>,
}

pub const RESTARTS: [&str; 6] = ["", "'no'", "on-failure", "'on-failure:2'", "always", "unless-stopped"];

/// How a service comes by its image.
const SUPPLIES: [&str; 6] = [
    "",
    "",
    "    pull_policy: always\n",
    "    build: .\n",
    "    build: .\n    pull_policy: always\n",
    "    build: .\n    pull_policy: build\n",
];

fn recipe() -> impl Strategy<Value = Recipe> {
    let dependency = (0..6usize, any::<bool>(), prop::bool::weighted(0.8));
    (any::<[bool; 4]>(), 0..RESTARTS.len(), 0..4u32, 0..3u8, 0..SUPPLIES.len(), vec(dependency, 0..3)).prop_map(
        |([job, check, volume, two_networks], restart, replicas, command, supply, dependencies)| Recipe {
            job: job && check,
            check: check && !job,
            volume,
            two_networks,
            // A job that is always started again is never done.
            restart: if job && check { restart % 4 } else { restart },
            replicas,
            command,
            supply,
            dependencies,
        },
    )
}

pub fn recipes() -> impl Strategy<Value = Vec<Recipe>> {
    vec(recipe(), 1..7)
}

/// A change of a manifest.
#[derive(Debug, Clone)]
pub enum Edit {
    Command(usize, u8),
    Replicas(usize, u32),
    Replace(Vec<Recipe>),
    Truncate(usize),
}

pub fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let edit = prop_oneof![
        3 => (0..6usize, 0..3u8).prop_map(|(at, command)| Edit::Command(at, command)),
        2 => (0..6usize, 0..4u32).prop_map(|(at, replicas)| Edit::Replicas(at, replicas)),
        1 => recipes().prop_map(Edit::Replace),
        1 => (1..6usize).prop_map(Edit::Truncate),
    ];
    vec(edit, 0..4)
}

pub fn edit(recipes: &mut Vec<Recipe>, edit: &Edit) {
    let count = recipes.len();
    match edit {
        Edit::Command(at, command) => recipes[at % count].command = *command,
        Edit::Replicas(at, replicas) => recipes[at % count].replicas = *replicas,
        Edit::Replace(others) => recipes.clone_from(others),
        Edit::Truncate(length) => recipes.truncate((*length).max(1)),
    }
}

/// The recipes as a Compose file.
pub fn manifest(recipes: &[Recipe]) -> String {
    let mut text = String::from("services:\n");
    for (at, recipe) in recipes.iter().enumerate() {
        write!(text, "  s{at}:\n    image: 'i:{}'\n    command: run {}\n", at % 2, recipe.command).unwrap();
        writeln!(text, "    scale: {}", recipe.replicas).unwrap();
        text.push_str(SUPPLIES[recipe.supply]);
        if recipe.job {
            text.push_str("    x-evenkeel: {type: job}\n");
        }
        if recipe.check {
            text.push_str("    healthcheck: {test: [CMD, check]}\n");
        }
        if recipe.volume {
            text.push_str("    volumes: ['data:/data']\n");
        }
        if recipe.two_networks {
            text.push_str("    networks: [default, back]\n");
        }
        if recipe.restart > 0 {
            writeln!(text, "    restart: {}", RESTARTS[recipe.restart]).unwrap();
        }
        let dependencies = dependencies(recipes, at);
        if !dependencies.is_empty() {
            text.push_str("    depends_on:\n");
        }
        for (on, condition, required) in dependencies {
            writeln!(text, "      s{on}: {{condition: {condition}, required: {required}}}").unwrap();
        }
    }
    text.push_str("volumes: {data: }\nnetworks: {back: }\n");
    text
}

/// Conditions that can hold: a job is done, what has a check is healthy, the rest is started.
fn dependencies(recipes: &[Recipe], at: usize) -> Vec<(usize, &'static str, bool)> {
    let mut found: Vec<(usize, &'static str, bool)> = Vec::new();
    for (on, strict, required) in &recipes[at].dependencies {
        if at == 0 || found.iter().any(|(other, ..)| *other == on % at) {
            continue;
        }
        let on = on % at;
        let condition = match &recipes[on] {
            other if *strict && other.job => "service_completed_successfully",
            other if *strict && other.check => "service_healthy",
            _ => "service_started",
        };
        found.push((on, condition, *required));
    }
    found
}

/// Whether nothing but the controller itself could keep this service from running: it is always started again, and so
/// is everything that it depends on.
pub fn must_run(recipes: &[Recipe], at: usize) -> bool {
    let recipe = &recipes[at];
    !recipe.job
        && recipe.replicas > 0
        && RESTARTS[recipe.restart].ends_with(['s', 'd'])
        && dependencies(recipes, at).iter().all(|(on, ..)| recipes[*on].replicas == 0 || must_run(recipes, *on))
}
