//! A seed gives the same sequence, and the same course of it on the simulated Engine, each time.

use std::time::Duration;

use evenkeel::engine::sim::Model;

use super::scene::{Scene, on_the_simulated};
use super::sequences::{FIRST, Step, draw, play};

#[test]
fn a_seed_gives_the_same_course_each_time() {
    for model in [Model::V20, Model::V28] {
        for seed in FIRST..FIRST + 100 {
            let sequence = draw(seed);
            let once = || on_the_simulated(model, seed, async |s: &Scene| traced(s, &sequence.steps).await);
            let (first, second) = (once(), once());
            assert!(first == second, "{sequence}=== first\n{first}\n=== second\n{second}");
        }
    }
}

/// Plays it, and writes the time of each event down as well.
async fn traced(scene: &Scene, steps: &[Step]) {
    play(scene, steps).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let events = scene.events.lock().expect("the events");
    events.iter().for_each(|event| scene.say(format_args!("{event:?}")));
}
