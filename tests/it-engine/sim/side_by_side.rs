//! Sequences drawn from seeds, played on the simulated Engine and on the real one. Each line that is written down of the two
//! must be equal: answers with their words, states, and the order of events.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::scene::Scene;
use super::sequences::{FIRST, draw, play};
use super::{among_the_simulated, on_the_real};
use crate::support::Engine;

/// So many are played, as long as `EVENKEEL_SEQUENCES` does not say otherwise: 300 of them take two minutes and a half.
const SAMPLE: u64 = 40;
/// At the same time: more does not make Docker faster on two cores.
const SIDE_BY_SIDE: usize = 8;

/// Plays one sequence on both; `None`: there is no real Engine.
fn compare(seed: u64) -> Option<Result<(), String>> {
    let sequence = draw(seed);
    let (model, real) = on_the_real(async |s: &Scene| play(s, &sequence.steps).await)?;
    let course = async |s: &Scene| play(s, &sequence.steps).await;
    let lie = among_the_simulated(model, seed, &real, course).err();
    Some(lie.map_or(Ok(()), |s| Err(format!("{sequence}=== simulated\n{s}\n=== real\n{real}\n"))))
}

#[test]
fn both_engines_go_through_the_same() {
    if Engine::find().is_none() {
        return;
    }
    let asked = std::env::var("EVENKEEL_SEQUENCES").ok().and_then(|n| n.parse().ok());
    let last = FIRST + asked.unwrap_or(SAMPLE);
    let (next, compared, lies) = (AtomicU64::new(FIRST), AtomicU64::new(0), Mutex::new(Vec::new()));
    let began = Instant::now();
    std::thread::scope(|threads| {
        for _ in 0..SIDE_BY_SIDE {
            threads.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let Some(answer) = (seed < last).then(|| compare(seed)).flatten() else { return };
                    compared.fetch_add(1, Ordering::Relaxed);
                    lies.lock().expect("the lies").extend(answer.err());
                }
            });
        }
    });
    let lies = lies.into_inner().expect("the lies");
    println!("{} sequences compared in {:?}", compared.into_inner(), began.elapsed());
    assert!(lies.is_empty(), "the simulated Engine lies in {} sequences.\n{}", lies.len(), lies.join("\n"));
}
