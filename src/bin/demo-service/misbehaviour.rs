//! What goes wrong on request: slow answers, a failing health, a busy processor, held memory.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

pub const MAX_LATENCY_MS: u64 = 600_000;
pub const MAX_CPU_PERCENT: u32 = 6_400;

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Settings {
    pub latency_ms: u64,
    pub fail: bool,
    pub cpu_percent: u32,
    pub memory_mb: u64,
}

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { latency_ms, fail, cpu_percent, memory_mb } = self;
        let health = if *fail { "failing" } else { "fine" };
        write!(f, "health {health}, latency {latency_ms} ms, cpu {cpu_percent} %, memory {memory_mb} MB")
    }
}

#[derive(Default)]
pub struct Misbehaviour(Mutex<State>);

#[derive(Default)]
struct State {
    settings: Settings,
    burners: Vec<Burner>,
    ballast: Vec<u8>,
}

impl Misbehaviour {
    pub fn settings(&self) -> Settings {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).settings
    }

    /// All of it or nothing: what cannot be had changes nothing.
    pub fn apply(&self, settings: Settings) -> Result<(), String> {
        if settings.latency_ms > MAX_LATENCY_MS {
            return Err(format!("latency_ms: at most {MAX_LATENCY_MS}"));
        }
        if settings.cpu_percent > MAX_CPU_PERCENT {
            return Err(format!("cpu_percent: at most {MAX_CPU_PERCENT}"));
        }
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if settings.memory_mb != state.settings.memory_mb {
            hold(&mut state.ballast, settings.memory_mb)?;
        }
        if settings.cpu_percent != state.settings.cpu_percent {
            state.burners = shares(settings.cpu_percent).map(Burner::start).collect();
        }
        state.settings = settings;
        Ok(())
    }
}

/// Written, so that it counts as resident; asked for politely, so that a silly number is an answer and no abort.
/// Grown and shrunk in place: old and new side by side would pass a limit that either one keeps.
fn hold(ballast: &mut Vec<u8>, megabytes: u64) -> Result<(), String> {
    let refused = || format!("memory_mb: {megabytes} MB cannot be had");
    let bytes = usize::try_from(megabytes).ok().and_then(|n| n.checked_mul(1 << 20)).ok_or_else(refused)?;
    ballast.try_reserve_exact(bytes.saturating_sub(ballast.len())).map_err(|_| refused())?;
    ballast.resize(bytes, 1);
    ballast.shrink_to_fit();
    Ok(())
}

/// 250 percent are two whole cores and half of one.
fn shares(percent: u32) -> impl Iterator<Item = u32> {
    (0..percent.div_ceil(100)).map(move |core| (percent - core * 100).min(100))
}

/// A thread that is busy for its share of every 100 ms, until dropped.
struct Burner(Arc<AtomicBool>);

impl Burner {
    fn start(percent: u32) -> Self {
        let on = Arc::new(AtomicBool::new(true));
        let still_on = Arc::clone(&on);
        thread::spawn(move || {
            while still_on.load(Ordering::Relaxed) {
                let begun = Instant::now();
                while begun.elapsed() < Duration::from_millis(percent.into()) {
                    std::hint::spin_loop();
                }
                thread::sleep(Duration::from_millis((100 - percent).into()));
            }
        });
        Self(on)
    }
}

impl Drop for Burner {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}
