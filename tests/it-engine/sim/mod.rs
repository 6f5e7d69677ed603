//! The simulated Engine against the real one: what one answers and tells the other does too.
//!
//! Where the real Engine is a newer one (`DOCKER_HOST` says so), it is compared with a simulated newer one, by answers,
//! states and events: the words of its errors are others.

#[path = "../../support/behaviour/mod.rs"]
mod behaviour;
mod hand;
#[path = "../../support/scene/mod.rs"]
mod scene;
#[path = "../../support/sequences.rs"]
mod sequences;
mod side_by_side;

use std::sync::Arc;

use evenkeel::engine::EngineRead as _;
use evenkeel::engine::docker::{Address, DockerEngine};
use evenkeel::engine::sim::Model;
use expect_test::Expect;

use crate::support::World;
use hand::RealHand;
use scene::{Scene, on_the_simulated};

/// So many simulated courses are tried.
const ORDERS: u64 = 256;
/// What the Engine's runtime at times comes to on a busy machine, as in freezing a process, says nothing of the Engine: it is
/// played again, at most so often.
const RUNTIME_FAILED: &str = "OCI runtime";
const AGAIN: usize = 2;

/// Plays a course on the real Engine: the simulated one does the same. That this is what is expected, is seen without one.
#[track_caller]
fn both(_: Expect, course: impl AsyncFn(&Scene)) {
    if let Some((model, real)) = on_the_real(&course)
        && let Err(simulated) = among_the_simulated(model, 1, &real, &course)
    {
        panic!("the simulated Engine lies.\n=== simulated\n{simulated}\n=== real\n{real}");
    }
}

/// Plays it on the real Engine; with what kind that is. `None`: there is none.
fn on_the_real(course: impl AsyncFn(&Scene)) -> Option<(Model, String)> {
    let mut played = play_on_the_real(&course)?;
    for _ in 0..AGAIN {
        if !played.1.contains(RUNTIME_FAILED) {
            break;
        }
        played = play_on_the_real(&course)?;
    }
    Some(played)
}

fn play_on_the_real(course: impl AsyncFn(&Scene)) -> Option<(Model, String)> {
    let world = World::new()?;
    let project = world.project("s");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    Some(runtime.block_on(async {
        let address = Address::parse(&world.engine.url()).expect("an address");
        let engine = DockerEngine::new(&address).expect("a client");
        let api = engine.info().await.expect("the Engine tells about itself").capabilities.api;
        let model = if api >= Model::V28.api { Model::V28 } else { Model::V20 };
        let hand = RealHand::new(world.engine.clone(), &project);
        let scene = Scene::new(Arc::new(engine), Box::new(hand), &project, world.image).await;
        course(&scene).await;
        (model, scene.written_down().await)
    }))
}

/// Whether the simulated Engine does what the real one did. Where that goes by no order, as with several networks or with
/// the news that the memory was full, one of its orders must be the real one's. The error is the first simulated course.
fn among_the_simulated(model: Model, seed: u64, real: &str, course: impl AsyncFn(&Scene)) -> Result<(), String> {
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
