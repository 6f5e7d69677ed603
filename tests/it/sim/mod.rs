//! The simulated Engine: what it does; and as the place where everything goes wrong for the controller.

#[path = "../../support/behaviour/mod.rs"]
mod behaviour;
mod commands;
mod ledger;
mod looks;
#[path = "../../support/scene/mod.rs"]
mod scene;
mod search;
mod seeds;
#[path = "../../support/sequences.rs"]
mod sequences;
mod storm;

use evenkeel::engine::sim::Model;
use expect_test::Expect;

use scene::{Scene, on_the_simulated};

/// Plays a course on the simulated Engine: it does what is expected. The tests that need an Engine play it on a real one.
#[track_caller]
fn both(expected: Expect, course: impl AsyncFn(&Scene)) {
    expected.assert_eq(&on_the_simulated(Model::V20, 1, &course));
}
