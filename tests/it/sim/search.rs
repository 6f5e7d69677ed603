//! The search over the interleavings: as long as a test may take; and that it would find something.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;

use clap::ValueEnum as _;

#[path = "../../../src/bin/search/harness/mod.rs"]
mod harness;

use harness::scenario::{Fault, Upset};
use harness::{InjectedFault, Scenario, run, run_all, shrink, workplace};

/// Seeds that are run each time. What more of them find is looked for with `cargo run --release --bin search`.
const SEEDS: usize = 3_000;
/// Within so many an injected fault must be found.
const ENOUGH: usize = 500;

/// Runs scenarios; the first violations, each with the command that replays it.
fn search(scenarios: &(dyn Fn(usize) -> Option<Scenario> + Sync)) -> harness::Tally {
    let found = Mutex::new(Vec::new());
    let tally = run_all(scenarios, None, &|scenario, report| {
        let mut found = found.lock().unwrap();
        if let Some(violation) = report.violations.first() {
            found.push(format!(
                "{violation}\n  replay: cargo run --release --bin search -- --shrink --seed {}",
                scenario.seed
            ));
        }
        found.len() < 5
    });
    let found = found.into_inner().unwrap();
    assert!(found.is_empty(), "{}", found.join("\n"));
    tally
}

#[test]
fn nothing_that_goes_wrong_breaks_an_invariant() {
    let tally = search(&|n| (n < SEEDS).then(|| Scenario::of(n as u64)));
    assert_eq!(tally.runs, SEEDS as u64);
    assert_eq!(tally.rare(), Vec::<&str>::new(), "faults that happen too seldom to find anything\n{tally}");
}

#[test]
fn a_controller_may_die_at_any_call() {
    // Without other faults, and once before and once after each call that the run makes.
    let mut scenarios = Vec::new();
    for seed in 0..6 {
        let mut base = Scenario::of(seed);
        base.faults.retain(|f| matches!(f, Fault::At { act, .. } if !act.needs_engine()));
        let place = workplace();
        let calls = run(&base, place.path(), false, None);
        for (mutating, count) in [(true, calls.calls), (false, calls.looks)] {
            for nth in 0..count.min(60) {
                for upset in [Upset::DiesWithoutEffect, Upset::DiesAfterEffect] {
                    let mut scenario = base.clone();
                    scenario.faults.push(Fault::Call { mutating, nth, upset });
                    scenarios.push(scenario);
                }
            }
        }
    }
    let tally = search(&|n| scenarios.get(n).cloned());
    assert!(tally.runs > 300, "{tally}");
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in [3, 14, 159] {
        let (one, two) = (workplace(), workplace());
        let scenario = Scenario::of(seed);
        let first = run(&scenario, one.path(), true, None);
        assert!(first.trace.len() > 20, "{:?}", first.trace);
        assert_eq!(first.trace, run(&scenario, two.path(), true, None).trace, "seed {seed}");
    }
}

#[test]
fn what_was_found_once_stays_mended() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/sim/regressions");
    let place = workplace();
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let scenario: Scenario = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let report = run(&scenario, place.path(), false, None);
        let name = path.display();
        assert!(
            report.violations.is_empty(),
            "{}\n  replay: cargo run --release --bin search -- --replay {name}",
            report.violations[0]
        );
        count += 1;
    }
    assert!(count > 5, "{count} scenarios");
}

/// The first of the seeds at which an injected fault is found, with what was found.
#[track_caller]
fn find(fault: InjectedFault) -> (Scenario, String) {
    let place = workplace();
    let found = (0..ENOUGH as u64).find_map(|seed| {
        let scenario = Scenario::of(seed);
        let report = run(&scenario, place.path(), false, Some(fault));
        report.violations.into_iter().next().map(|violation| (scenario, violation))
    });
    found.unwrap_or_else(|| panic!("{fault:?} is not found within {ENOUGH} seeds"))
}

#[test]
fn injected_faults_are_found() {
    let mut found = BTreeSet::new();
    for fault in InjectedFault::value_variants().iter().copied() {
        let (scenario, violation) = find(fault);
        println!("{fault:?}: seed {}: {violation:.160}", scenario.seed);
        found.insert(format!("{fault:?}"));
    }
    assert_eq!(found.len(), InjectedFault::value_variants().len());
}

#[test]
fn what_is_found_is_made_smaller() {
    let (scenario, _) = find(InjectedFault::DropsDependencies);
    let place = workplace();
    let fault = Some(InjectedFault::DropsDependencies);
    let small = shrink(&scenario, place.path(), fault);
    let still = run(&small, place.path(), false, fault);
    assert!(!still.violations.is_empty());
    let services = |s: &Scenario| s.projects.iter().flat_map(|p| &p.versions).map(|v| v.services.len()).sum::<usize>();
    assert!(small.faults.len() <= scenario.faults.len() && services(&small) <= services(&scenario));
    // A dependency takes two.
    assert!(small.projects.len() == 1 && small.faults.len() < 3, "{small:#?}");
}
