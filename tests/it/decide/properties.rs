//! What holds for every project, whatever happens to it.

use evenkeel::model::state::{ProjectState, ServiceState};
use evenkeel::model::{Project, ServiceName};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

use super::life::Life;
use super::projects::{Edit, Recipe, edit, edits, manifest, must_run, recipes};
use crate::manifest::loading;

const CASES: u32 = 250;
/// Rounds in which things go wrong.
const WILD: u64 = 25;
/// Rounds within which all is well once they do not.
const CALM: usize = 200;

fn load(recipes: &[Recipe]) -> Project {
    loading::shop(&manifest(recipes))
}

/// The same cases each time.
fn for_all<S: Strategy>(cases: u32, strategy: &S, test: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 2_000, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    if let Err(error) = runner.run(strategy, test) {
        panic!("{error}");
    }
}

fn fail(life: &Life, reason: &str) -> TestCaseError {
    let skip = life.trace.len().saturating_sub(24);
    TestCaseError::fail(format!("{reason}\n{}", life.trace[skip..].concat()))
}

/// Nothing goes wrong any more: rounds until nothing is left to do.
fn settle(life: &mut Life) -> Result<(), TestCaseError> {
    life.faults = false;
    for _ in 0..CALM {
        life.round().map_err(|reason| fail(life, &reason))?;
        let before = life.world.observed.clone();
        life.time(1);
        let changed = before != life.world.observed;
        if life.decision.gone {
            return Ok(());
        }
        if life.decision.steps.is_empty() && !changed {
            let Some(at) = life.decision.wake_at else { return Ok(()) };
            life.world.now = life.world.now.max(at);
        }
    }
    Err(fail(life, "no end of it"))
}

fn converged(life: &Life, recipes: &[Recipe]) -> Result<(), TestCaseError> {
    let decision = &life.decision;
    for at in (0..recipes.len()).filter(|at| must_run(recipes, *at)) {
        let state = decision.services.get(&ServiceName::trusted(format!("s{at}")));
        if !matches!(state, Some(ServiceState::Running { .. })) {
            return Err(fail(life, &format!("s{at} must run and is {state:?}")));
        }
    }
    let down = decision.services.values().any(|s| matches!(s, ServiceState::Stopped { .. }));
    if decision.waiting.is_empty() && !down {
        let clean = decision.drift.is_empty() && decision.replacing.is_empty();
        if !clean || decision.state != Some(ProjectState::Converged) {
            return Err(fail(life, &format!("nothing to do, and yet: {decision:?}")));
        }
    }
    Ok(())
}

fn live(recipes: &[Recipe], edits: &[Edit], seed: u64) -> Result<(), TestCaseError> {
    let mut recipes = recipes.to_vec();
    let mut life = Life::new(load(&recipes), seed);
    let (foreign, with_oneoff) = (life.foreign(false), life.foreign(true));
    let mut edits = edits.iter();
    for _ in 0..WILD {
        if life.dice.one_in(6)
            && let Some(change) = edits.next()
        {
            edit(&mut recipes, change);
            life.project = load(&recipes);
            life.trace.push(format!("edit {change:?}\n"));
        }
        if life.dice.one_in(2) {
            life.interfere();
        }
        life.round().map_err(|reason| fail(&life, &reason))?;
        match life.dice.roll(3) {
            0 => {}
            1 => life.world.pass(1),
            _ => life.time(20),
        }
    }
    settle(&mut life)?;
    converged(&life, &recipes)?;
    life.round().map_err(|reason| fail(&life, &reason))?;
    prop_assert!(life.decision.steps.is_empty(), "a second decision: {}", life.decision);
    prop_assert_eq!(life.foreign(true), with_oneoff);
    let volumes = life.world.observed.volumes.clone();
    life.removed = true;
    settle(&mut life)?;
    if !life.decision.gone {
        return Err(fail(&life, "something is left"));
    }
    prop_assert_eq!(life.foreign(false), foreign);
    prop_assert_eq!(life.world.observed.volumes, volumes);
    Ok(())
}

#[test]
fn whatever_happens_it_converges_and_touches_nothing_of_others() {
    for_all(CASES, &(recipes(), edits(), any::<u64>()), |(recipes, edits, seed)| live(&recipes, &edits, seed));
}

#[test]
fn where_nothing_goes_wrong_every_service_comes_up() {
    for_all(CASES, &(recipes(), any::<u64>()), |(recipes, seed)| {
        let mut life = Life::new(load(&recipes), seed);
        settle(&mut life)?;
        let state = life.decision.state;
        if state != Some(ProjectState::Converged) || !life.decision.waiting.is_empty() {
            return Err(fail(&life, &format!("{state:?}")));
        }
        Ok(())
    });
}
