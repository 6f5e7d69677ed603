//! The search: runs of the controller over the simulated engine, each from a seed, in which everything goes wrong that can.
//!
//! ```text
//! cargo run --release --bin search -- --seeds 200000     # many, on all cores
//! cargo run --release --bin search -- --seed 4711        # one, with its trace
//! cargo run --release --bin search -- --replay FILE      # a scenario that was written down, with its trace
//! ```

mod harness;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use harness::{InjectedFault, Report, Scenario, run, run_all, shrink, workplace};

/// Searches the interleavings of the controller for one that breaks an invariant.
#[derive(Debug, Parser)]
#[command(name = "search")]
struct Arguments {
    /// How many seeds to run
    #[arg(long, default_value_t = 1_000, conflicts_with_all = ["seed", "replay"])]
    seeds: u64,
    /// The first of them
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Run one seed and print its trace
    #[arg(long, conflicts_with = "replay")]
    seed: Option<u64>,
    /// Run a scenario from a file and print its trace
    #[arg(long, value_name = "FILE")]
    replay: Option<PathBuf>,
    /// Write the scenario of --seed to a file
    #[arg(long, value_name = "FILE", requires = "seed")]
    write: Option<PathBuf>,
    /// Make a scenario that breaks something smaller first
    #[arg(long)]
    shrink: bool,
    /// Inject a fault into the controller, to see that the search finds it
    #[arg(long, value_enum, value_name = "FAULT")]
    inject: Option<InjectedFault>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match one(&arguments) {
        Ok(Some(scenario)) => show(&arguments, scenario),
        Ok(None) => many(&arguments),
        Err(error) => {
            eprintln!("search: {error}");
            ExitCode::from(1)
        }
    }
}

/// The one scenario that is asked for, if it is one.
fn one(arguments: &Arguments) -> Result<Option<Scenario>, String> {
    if let Some(path) = &arguments.replay {
        let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        return serde_json::from_str(&text).map(Some).map_err(|e| format!("{}: {e}", path.display()));
    }
    Ok(arguments.seed.map(Scenario::of))
}

fn show(arguments: &Arguments, scenario: Scenario) -> ExitCode {
    let place = workplace();
    let scenario = if arguments.shrink { shrink(&scenario, place.path(), arguments.inject) } else { scenario };
    if let Some(path) = &arguments.write
        && let Err(error) = write(path, &scenario)
    {
        eprintln!("search: {}: {error}", path.display());
        return ExitCode::from(1);
    }
    let report = run(&scenario, place.path(), true, arguments.inject);
    println!("{scenario:#?}");
    for line in &report.trace {
        println!("{line}");
    }
    verdict(&report)
}

fn write(path: &Path, scenario: &Scenario) -> std::io::Result<()> {
    std::fs::write(path, serde_json::to_string(scenario).map_err(std::io::Error::other)? + "\n")
}

fn verdict(report: &Report) -> ExitCode {
    for violation in &report.violations {
        println!("violation: {violation}");
    }
    if report.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) }
}

fn many(arguments: &Arguments) -> ExitCode {
    let (first, seeds) = (arguments.first, arguments.seeds);
    let scenario = |n: usize| {
        let n = n as u64;
        (n < seeds).then(|| Scenario::of(first + n))
    };
    let tally = run_all(&scenario, arguments.inject, &|scenario, report| {
        if let Some(violation) = report.violations.first() {
            println!("seed {}: {violation}", scenario.seed);
            println!("  replay: cargo run --release --bin search -- --shrink --seed {}", scenario.seed);
        }
        true
    });
    print!("{tally}");
    if tally.broken == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) }
}
