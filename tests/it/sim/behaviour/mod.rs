//! Every course of things here runs on the simulated Engine and on the real one. What is written down of the two must be
//! equal, and equal to what stands here.
//!
//! Where the real Engine is a newer one (`DOCKER_HOST` says so), it is compared with a simulated newer one, by answers,
//! states and events: the words of its errors are others.

mod ends;
mod health;
mod life;
mod making;
mod networks;
mod resources;
mod restarts;

use evenkeel::engine::sim::Model;
use expect_test::Expect;

use super::scene::{Scene, on_the_real, on_the_simulated};

/// So many simulated courses are tried.
const ORDERS: u64 = 256;

/// Plays a course on both.
#[track_caller]
fn both(expected: Expect, course: impl AsyncFn(&Scene)) {
    let simulated = on_the_simulated(Model::V20, 1, &course);
    if let Some((model, real)) = on_the_real(&course)
        && let Err(simulated) = among_the_simulated(model, 1, &real, &course)
    {
        panic!("the simulated Engine lies.\n=== simulated\n{simulated}\n=== real\n{real}");
    }
    expected.assert_eq(&simulated);
}

/// Whether the simulated Engine does what the real one did. Where that goes by no order, as with several networks or with
/// the news that the memory was full, one of its orders must be the real one's. The error is the first simulated course.
pub fn among_the_simulated(model: Model, seed: u64, real: &str, course: impl AsyncFn(&Scene)) -> Result<(), String> {
    let simulate = |n| on_the_simulated(model, seed + n * 1_000_000, &course);
    let same = |simulated: &str| match model {
        Model::V20 => simulated == real,
        _ => wordless(simulated) == wordless(real),
    };
    if (0..ORDERS).any(|n| same(&simulate(n))) { Ok(()) } else { Err(simulate(0)) }
}

/// Errors without their words.
fn wordless(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        let refused = |at: usize| line.get(at + 2..at + 5).is_some_and(|s| s.bytes().all(|b| b.is_ascii_digit()));
        let status = line.match_indices(": ").find(|(at, _)| refused(*at)).map(|(at, _)| at + 5);
        let end = status.or_else(|| line.find("error: ").map(|at| at + 5)).unwrap_or(line.len());
        out += line.get(..end).unwrap_or(line);
        out.push('\n');
    }
    out
}
