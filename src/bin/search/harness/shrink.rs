//! Making a scenario smaller as long as it still breaks something.

use std::path::Path;

use super::injected::InjectedFault;
use super::run::run;
use super::scenario::Scenario;

/// Runs that are spent on it.
const TRIES: usize = 400;

/// The smallest scenario found that still breaks the same: fewer faults, fewer projects, fewer services, fewer replicas.
pub fn shrink(scenario: &Scenario, folder: &Path, fault: Option<InjectedFault>) -> Scenario {
    let Some(kind) = breaks(scenario, folder, fault) else { return scenario.clone() };
    let mut best = scenario.clone();
    let mut tries = 0;
    loop {
        let before = best.clone();
        for smaller in candidates(&best) {
            tries += 1;
            if tries > TRIES {
                return best;
            }
            if smaller != best && breaks(&smaller, folder, fault).as_ref() == Some(&kind) {
                best = smaller;
                break;
            }
        }
        if best == before {
            return best;
        }
    }
}

/// What is broken, without names and numbers.
fn breaks(scenario: &Scenario, folder: &Path, fault: Option<InjectedFault>) -> Option<String> {
    let report = run(scenario, folder, false, fault);
    let first = report.violations.first()?;
    Some(first.split_whitespace().filter(|word| word.chars().all(char::is_alphabetic)).take(4).collect())
}

fn candidates(scenario: &Scenario) -> Vec<Scenario> {
    let mut found = Vec::new();
    let mut with = |change: &dyn Fn(&mut Scenario)| {
        let mut smaller = scenario.clone();
        change(&mut smaller);
        found.push(smaller);
    };
    let faults = scenario.faults.len();
    // Halves first, then one by one.
    if faults > 3 {
        with(&|s| s.faults.truncate(faults / 2));
        with(&|s| drop(s.faults.drain(..faults / 2)));
    }
    for n in (0..faults).rev() {
        with(&|s| {
            s.faults.remove(n);
        });
    }
    if scenario.projects.len() > 1 {
        with(&|s| drop(s.projects.pop()));
    }
    for (p, project) in scenario.projects.iter().enumerate() {
        for name in 0..project.natures.len() as u8 {
            with(&|s| {
                for version in &mut s.projects[p].versions {
                    version.services.retain(|r| r.name != name);
                }
            });
        }
        for (v, version) in project.versions.iter().enumerate() {
            for (r, recipe) in version.services.iter().enumerate() {
                if recipe.replicas > 1 {
                    with(&|s| s.projects[p].versions[v].services[r].replicas = 1);
                }
            }
        }
    }
    found
}
