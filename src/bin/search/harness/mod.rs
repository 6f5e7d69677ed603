//! Scenarios, what goes wrong in them, and what must hold all the same.

mod acts;
mod court;
mod finale;
pub mod injected;
mod recipe;
mod run;
pub mod scenario;
mod shrink;
mod tally;

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

pub use injected::InjectedFault;
pub use run::{Report, run};
pub use scenario::Scenario;
pub use shrink::shrink;
pub use tally::Tally;

/// A folder for runs: in memory where there is such a place, as each step writes its mark to the disk.
pub fn workplace() -> tempfile::TempDir {
    let memory = PathBuf::from("/dev/shm");
    let base = if memory.is_dir() { memory } else { std::env::temp_dir() };
    tempfile::Builder::new().prefix("evenkeel-search-").tempdir_in(base).expect("a folder for the runs")
}

/// Runs scenarios on all cores, in their order as far as that goes. `each` sees every report and says whether to go on.
pub fn run_all(
    scenarios: &(dyn Fn(usize) -> Option<Scenario> + Sync),
    fault: Option<InjectedFault>,
    each: &(dyn Fn(&Scenario, &Report) -> bool + Sync),
) -> Tally {
    let place = workplace();
    let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let tally = Mutex::new(Tally::default());
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for worker in 0..workers {
            let folder = place.path().join(worker.to_string());
            let (next, stop, tally) = (&next, &stop, &tally);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed)
                    && let Some(scenario) = scenarios(next.fetch_add(1, Ordering::Relaxed))
                {
                    let report = run(&scenario, &folder, false, fault);
                    if !each(&scenario, &report) {
                        stop.store(true, Ordering::Relaxed);
                    }
                    tally.lock().expect("no panic while counting").add(&scenario, &report);
                }
            });
        }
    });
    tally.into_inner().expect("no panic while counting")
}
