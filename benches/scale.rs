//! What many services cost: the shipped control loop over the simulated Engine in virtual time, and one decision alone.
//! No Engine is asked. `benches/README.md` says how to read it.

#[path = "support/census.rs"]
mod census;
#[path = "support/fleet.rs"]
mod fleet;
#[path = "support/report.rs"]
mod report;

use std::collections::BTreeMap;
use std::hint::black_box;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::{Parser, ValueEnum};
use evenkeel::control::Options;
use evenkeel::control::intake::watch::WatchOptions;
use evenkeel::decide::{Input, RecoveryPolicy, Target, decide};
use evenkeel::engine::sim::{Model, SimEngine};
use evenkeel::manifest::interpolate::Variables;
use evenkeel::model::ledger::{Healthy, ProjectLedger};
use evenkeel::model::observed::Capabilities;
use evenkeel::model::state::ProjectState;
use evenkeel::model::{InstanceId, ProjectName, Timestamp};
use evenkeel::rehearsal::{Stage, StageOptions, virtually};
use serde_json::{Map, Value, json};

use census::{Census, Counts};
use report::{Samples, Section};

/// 2026-01-01.
const EPOCH: i64 = 1_767_225_600;
const HOUR: Duration = Duration::from_secs(3600);
/// What is decided from and published may take so much, in MB.
const MEMORY: f64 = 300.0;

#[derive(Parser)]
#[command(name = "scale", about = "Measures the controller over many services, simulated")]
struct Args {
    /// What to measure.
    #[arg(value_enum, default_values_t = [Part::Decide, Part::Fleet])]
    parts: Vec<Part>,
    /// How many services, once or several times; in fleet in projects of 20.
    #[arg(long, default_values_t = [100, 1000, 10_000])]
    services: Vec<usize>,
    /// Rounds of decide.
    #[arg(long, default_value_t = 101)]
    rounds: usize,
    /// Services changed in fleet, one after the other.
    #[arg(long, default_value_t = 15)]
    changes: usize,
    /// The folder for manifests and state; the default is in memory where there is such a place.
    #[arg(long)]
    place: Option<PathBuf>,
    /// Where to write the results as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Exit with 1 where a target is missed.
    #[arg(long)]
    check: bool,
    /// Measures one fleet of so many services in this process, and prints JSON.
    #[arg(long, hide = true)]
    child: Option<usize>,
    /// Cargo says this to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Part {
    /// One decision about one converged project.
    Decide,
    /// A fleet: from nothing to converged, an hour of rest, changes of one service.
    Fleet,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match args.child {
        Some(services) => child(&args, services).map(|()| true),
        None => run(&args),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("scale bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<bool> {
    let mut sections = Vec::new();
    if args.parts.contains(&Part::Decide) {
        sections.push(decide_alone(args)?);
    }
    if args.parts.contains(&Part::Fleet) {
        sections.push(fleets(args)?);
    }
    let (mut results, mut missed) = (Map::new(), 0);
    for section in sections {
        let (key, value, misses) = section.end();
        results.insert(key.to_owned(), value);
        missed += misses;
    }
    if let Some(path) = &args.json {
        std::fs::write(path, format!("{:#}\n", Value::Object(results)))?;
    }
    Ok(!args.check || missed == 0)
}

fn epoch() -> Timestamp {
    Timestamp::from_second(EPOCH).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// One decision about one converged project, again and again.
fn decide_alone(args: &Args) -> Result<Section> {
    let mut section = Section::new("decide", &format!("one decision, nothing to do, {} rounds", args.rounds));
    let instance = InstanceId::trusted("bench");
    let mut medians: BTreeMap<usize, f64> = BTreeMap::new();
    for &services in &args.services {
        let (project, observed) = fleet::converged(services, &instance, epoch())?;
        // It has been so for a while: that is what is decided over and over.
        let images = project
            .services
            .iter()
            .filter_map(|(name, service)| Some((name.clone(), observed.images.get(&service.image)?.clone()?)));
        let healthy = Healthy { images: images.collect(), project: Arc::new(project.clone()) };
        let input = Input {
            project: &project.name,
            target: Target::Declared(&project),
            absences_confirmed: true,
            guard_tripped: false,
            observed: &observed,
            in_flight: &BTreeMap::new(),
            ledger: &ProjectLedger::default(),
            healthy: Some(&healthy),
            others: &BTreeMap::new(),
            capabilities: Capabilities { api: (1, 48) },
            recovery: &RecoveryPolicy::default(),
            instance: &instance,
            take_over: false,
            room: Default::default(),
            seed: 1,
            now: epoch(),
        };
        let first = decide(&input);
        ensure!(first.steps.is_empty() && first.state == Some(ProjectState::Converged), "not converged:\n{first}");
        let mut times = Samples::default();
        for _ in 0..args.rounds {
            let began = std::time::Instant::now();
            black_box(decide(black_box(&input)));
            times.push(began.elapsed().as_secs_f64() * 1e6);
        }
        section.row(&format!("{services} services"), "us", &times);
        medians.insert(services, times.median());
    }
    let per_service = |services: usize| medians.get(&services).map(|m| m / services as f64);
    if let Some(median) = medians.get(&1000) {
        section.target("1000 services, median", *median, "<", 1000.0, " us");
    }
    let (least, most) = (medians.keys().next().copied(), medians.keys().next_back().copied());
    if let (Some(least), Some(most)) = (least, most)
        && let (Some(small), Some(large)) = (per_service(least), per_service(most))
        && least < most
    {
        // Trees grow by a logarithm, and what no longer fits into a cache costs more to reach.
        section.target(&format!("a service among {most} over one among {least}"), large / small, "<", 4.0, "");
    }
    Ok(section)
}

/// Each fleet in a process of its own, so that they do not add up.
fn fleets(args: &Args) -> Result<Section> {
    let place = place(args);
    let mut section =
        Section::table("fleet", &format!("projects of {}; files in {}", fleet::PER_PROJECT, place.display()));
    let mut results: BTreeMap<usize, Value> = BTreeMap::new();
    for &services in &args.services {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("--child").arg(services.to_string()).arg("--place").arg(&place);
        command.args(["--changes", &args.changes.to_string()]).stdout(Stdio::piped());
        let mut child = command.spawn().context("starting a process for a fleet")?;
        let mut text = String::new();
        child.stdout.take().context("its output")?.read_to_string(&mut text)?;
        ensure!(child.wait()?.success(), "the fleet of {services} services failed");
        results.insert(services, serde_json::from_str(&text)?);
    }
    let rows: Vec<(String, Vec<f64>)> = rows(&results);
    section.columns(&results.keys().map(|n| format!("{n} services")).collect::<Vec<_>>());
    for (what, values) in rows {
        section.line(&what, &values);
    }
    targets(&mut section, &results);
    section.note("fleets", json!(results.values().collect::<Vec<_>>()));
    Ok(section)
}

/// The rows of the table, in the order of the first fleet's.
fn rows(results: &BTreeMap<usize, Value>) -> Vec<(String, Vec<f64>)> {
    let pairs = |value: &Value| -> Vec<(String, f64)> {
        let rows = value.as_array().into_iter().flatten();
        rows.filter_map(|row| Some((row[0].as_str()?.to_owned(), row[1].as_f64()?))).collect()
    };
    let all: Vec<BTreeMap<String, f64>> = results.values().map(|v| pairs(v).into_iter().collect()).collect();
    let first = results.values().next().map(pairs).unwrap_or_default();
    let value = |what: &str| all.iter().map(|r| r.get(what).copied().unwrap_or_default()).collect();
    first.into_iter().map(|(what, _)| (what.clone(), value(&what))).collect()
}

fn targets(section: &mut Section, results: &BTreeMap<usize, Value>) {
    let figure = |services: usize, what: &str| {
        let rows = results.get(&services)?.as_array()?;
        rows.iter().find(|row| row[0] == what)?[1].as_f64()
    };
    if let Some(memory) = figure(10_000, "memory at most, MB") {
        section.target("10000 services: memory", memory, "<", MEMORY, " MB");
    }
    if let Some(real) = figure(10_000, "cold: real, s") {
        section.target("10000 services: cold converge, real", real, "<", 60.0, " s");
    }
    for what in ["change: decisions", "change: virtual, s", "change: CPU, ms"] {
        if let (Some(small), Some(large)) = (figure(100, what), figure(10_000, what)) {
            let limit = if what.ends_with("ms") { 2.0 } else { 1.1 };
            section.target(&format!("{what}: among 10000 over among 100"), large / small, "<", limit, "");
        }
    }
}

/// A folder in memory where there is one: what a sync costs belongs to the disk, not to the controller.
fn place(args: &Args) -> PathBuf {
    let memory = Path::new("/dev/shm");
    args.place.clone().unwrap_or_else(|| if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() })
}

fn child(args: &Args, services: usize) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("evenkeel-scale-").tempdir_in(place(args))?;
    let rows = virtually(voyage(folder.path(), services.div_ceil(fleet::PER_PROJECT), args.changes))??;
    serde_json::to_writer(std::io::stdout(), &rows)?;
    Ok(std::io::stdout().flush()?)
}

/// One fleet: from nothing to converged, an hour of rest, and changes of one service each.
async fn voyage(folder: &Path, projects: usize, changes: usize) -> Result<Vec<(String, f64)>> {
    let (root, state) = (folder.join("manifests"), folder.join("state"));
    std::fs::create_dir_all(&root)?;
    std::fs::create_dir_all(&state)?;
    std::fs::write(state.join("instance"), "bench")?;
    fleet::write(&root, projects)?;
    let census = Census::default();
    let engine = SimEngine::new(1, Model::V28, epoch());
    engine.with(|world| {
        for image in fleet::images(projects) {
            world.tag(&image);
        }
        world.directed_by(Box::new(census.clone()));
    });
    let control = Options::of(root.clone());
    let watch = WatchOptions { root: root.clone(), environment: Variables::new(), rescan: Duration::from_secs(30) };
    let mut stage = Stage::new(engine, StageOptions { control, watch, state });
    let mut rows = Rows::default();

    let clock = Clock::start();
    stage.start(Arc::new(census.clone()))?;
    let since = census.converged(projects).await;
    clock.stop("cold", &mut rows, since.duration_since(clock.virtually));
    rows.counts("cold", &census.take());
    rows.put("memory, MB", census::memory("VmRSS"));

    // Removals are confirmed by a second reading, and the last events come in.
    tokio::time::sleep(Duration::from_secs(10)).await;
    census.take();
    let clock = Clock::start();
    tokio::time::sleep(HOUR).await;
    ensure!(census.counts().steps == 0, "something was done though all was well");
    clock.stop("hour", &mut rows, HOUR);
    let counts = census.take();
    rows.counts("hour", &counts);
    for (kind, count) in &counts.calls {
        rows.put(&format!("hour: {kind} calls a project"), *count as f64 / projects as f64);
    }

    let (mut times, mut decisions, mut calls, mut virtually) = <(Samples, Samples, Samples, Samples)>::default();
    for change in 0..changes {
        tokio::time::sleep(Duration::from_secs(7)).await;
        let project = change * 7 % projects;
        fleet::rewrite(&root, project, change + 1)?;
        census.take();
        let clock = Clock::start();
        stage.files_changed();
        census.unsettled(projects).await;
        let since = census.converged(projects).await;
        times.push((census::cpu() - clock.cpu).as_secs_f64() * 1e3);
        virtually.push(since.duration_since(clock.virtually).as_secs_f64());
        let counts = census.take();
        decisions.push(counts.decisions.len() as f64);
        calls.push(counts.calls.values().sum::<u64>() as f64);
    }
    rows.put("change: virtual, s", virtually.median());
    rows.put("change: decisions", decisions.median());
    rows.put("change: Engine calls", calls.median());
    rows.put("change: CPU, ms", times.median());
    rows.put("memory at most, MB", census::memory("VmHWM"));
    let name = ProjectName::trusted(fleet::name(0));
    let snapshot = stage.handle().context("the controller ended")?.snapshot();
    ensure!(
        snapshot.projects.get(&name).is_some_and(|p| p.services.len() == fleet::PER_PROJECT),
        "services are missing"
    );
    Ok(rows.0)
}

/// What has passed.
struct Clock {
    really: std::time::Instant,
    virtually: tokio::time::Instant,
    cpu: Duration,
}

impl Clock {
    fn start() -> Self {
        Self { really: std::time::Instant::now(), virtually: tokio::time::Instant::now(), cpu: census::cpu() }
    }

    fn stop(&self, what: &str, rows: &mut Rows, virtually: Duration) {
        rows.put(&format!("{what}: virtual, s"), virtually.as_secs_f64());
        rows.put(&format!("{what}: real, s"), self.really.elapsed().as_secs_f64());
        rows.put(&format!("{what}: CPU, s"), (census::cpu() - self.cpu).as_secs_f64());
    }
}

/// The figures of a fleet, in the order of the table.
#[derive(Default)]
struct Rows(Vec<(String, f64)>);

impl Rows {
    fn put(&mut self, what: &str, value: f64) {
        self.0.push((what.to_owned(), value));
    }

    fn counts(&mut self, what: &str, counts: &Counts) {
        let (mean, median, last) = counts.decision_times();
        self.put(&format!("{what}: decisions"), counts.decisions.len() as f64);
        self.put(&format!("{what}: a decision, mean, us"), mean);
        self.put(&format!("{what}: a decision, median, us"), median);
        self.put(&format!("{what}: a decision, p99, us"), last);
        self.put(&format!("{what}: Engine calls"), counts.calls.values().sum::<u64>() as f64);
        self.put(&format!("{what}: Engine events"), counts.events as f64);
    }
}
