//! How far the controller is from what the Engine itself costs. `benches/README.md` says what is measured and how to
//! read it.

#[path = "support/changes.rs"]
mod changes;
#[path = "support/http.rs"]
mod http;
#[path = "support/proxy.rs"]
mod proxy;
#[path = "support/report.rs"]
mod report;
#[path = "support/stage.rs"]
mod stage;
#[path = "support/watching.rs"]
mod watching;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::{Parser, ValueEnum};
use serde_json::{Value, json};

use http::Connection;
use proxy::{Call, Proxy};
use report::{Samples, Section};
use stage::{Container, Project, Running, Stage, free_port, unix_url};

const LIMIT: Duration = Duration::from_secs(180);
/// Linux counts a process's CPU time in hundredths of a second, whatever the kernel's own tick is.
const TICKS: f64 = 100.0;

#[derive(Parser)]
#[command(name = "engine", about = "Measures evenkeel against bare calls of the Engine's API")]
struct Args {
    /// What to measure.
    #[arg(value_enum, default_values_t = [Part::All])]
    parts: Vec<Part>,
    /// Rounds of flat and chain; each runs every side once, one after another.
    #[arg(long, default_value_t = 5)]
    pairs: usize,
    /// Rounds before that, which do not count.
    #[arg(long, default_value_t = 1)]
    warmup: usize,
    /// Services in flat, chain and idle.
    #[arg(long, default_value_t = 30)]
    services: usize,
    /// Containers killed in die, one kill each.
    #[arg(long, default_value_t = 12)]
    kills: usize,
    /// Manifests saved in save.
    #[arg(long, default_value_t = 7)]
    saves: usize,
    /// Seconds for which idle looks on.
    #[arg(long, default_value_t = 75)]
    window: u64,
    /// Seconds between the last change and the beginning of that window.
    #[arg(long, default_value_t = 10)]
    settle: u64,
    /// The program to measure; the default is the one that cargo built along with this one.
    #[arg(long)]
    evenkeel: Option<PathBuf>,
    /// The floor program; the default is the example that cargo built.
    #[arg(long)]
    floor: Option<PathBuf>,
    /// A docker-compose program (v2) to measure beside them in flat and chain.
    #[arg(long)]
    compose: Option<PathBuf>,
    /// The floor (and Compose) only.
    #[arg(long)]
    without_evenkeel: bool,
    /// The image of every service.
    #[arg(long, default_value = "evenkeel-demo:latest")]
    image: String,
    /// The Engine's unix socket; the default is DOCKER_HOST's, then Docker's own.
    #[arg(long)]
    socket: Option<PathBuf>,
    /// Where to write the results as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Exit with 1 where a target is missed.
    #[arg(long)]
    check: bool,
    /// Cargo says this to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Part {
    /// Independent services, from nothing to all running.
    Flat,
    /// The same where each depends on the one before.
    Chain,
    /// From a `die` event to the start call.
    Die,
    /// From a saved manifest to the first call that changes something.
    Save,
    /// What is used while there is nothing to do.
    Idle,
    /// What it costs to know how services are.
    Watch,
    /// A chain of services that wait for each other to be healthy.
    Healthy,
    /// One of many services changes.
    Change,
    All,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Side {
    Evenkeel,
    Floor,
    Compose,
}

impl Side {
    fn name(self) -> &'static str {
        match self {
            Side::Evenkeel => "evenkeel",
            Side::Floor => "floor",
            Side::Compose => "compose",
        }
    }
}

struct Bench {
    args: Args,
    evenkeel: PathBuf,
    floor: PathBuf,
    compose: Option<PathBuf>,
    stage: Arc<Stage>,
}

fn main() -> ExitCode {
    let result = run(Args::parse());
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("engine bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(mut args: Args) -> Result<bool> {
    let socket = args.socket.clone().unwrap_or_else(default_socket);
    let evenkeel = program(args.evenkeel.take().or_else(built_evenkeel), "evenkeel");
    let floor = program(args.floor.take().or_else(built_floor), "the floor (`cargo build --release --example floor`)")?;
    let evenkeel = if args.without_evenkeel { PathBuf::new() } else { evenkeel? };
    let compose = args.compose.take().map(|path| program(Some(path), "docker-compose")).transpose()?;
    let stage = Stage::new(socket, args.image.clone())?;

    let bench = Bench { args, evenkeel, floor, compose, stage };
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| bench.all()));
    while bench.stage.stopping() {
        // The thread that got the signal cleans up and ends the program.
        thread::sleep(Duration::from_secs(1));
    }
    bench.stage.clean_up();
    result.unwrap_or_else(|_| bail!("panicked, see above"))
}

fn default_socket() -> PathBuf {
    let host = std::env::var("DOCKER_HOST").unwrap_or_default();
    PathBuf::from(host.strip_prefix("unix://").unwrap_or("/var/run/docker.sock"))
}

fn built_evenkeel() -> Option<PathBuf> {
    option_env!("CARGO_BIN_EXE_evenkeel").map(PathBuf::from)
}

/// This program is `target/release/deps/engine-HASH`.
fn built_floor() -> Option<PathBuf> {
    Some(std::env::current_exe().ok()?.parent()?.parent()?.join("examples/floor"))
}

fn program(path: Option<PathBuf>, what: &str) -> Result<PathBuf> {
    let path = path.with_context(|| format!("say where {what} is"))?;
    path.canonicalize().with_context(|| format!("{what} is not at {}", path.display()))
}

/// The times of each side, and how they compare with the floor's, round by round.
fn over_the_floor(section: &mut Section, sides: &[Side], times: &HashMap<Side, Samples>) {
    for side in sides {
        section.row(side.name(), "s", &times[side]);
    }
    for side in sides.iter().filter(|side| **side != Side::Floor) {
        let ratio = times[side].over(&times[&Side::Floor]);
        section.row(&format!("{} / floor", side.name()), "", &ratio);
        if *side == Side::Evenkeel {
            section.target("evenkeel / floor, median of the rounds", ratio.median(), "<=", 1.10, "");
        }
    }
}

impl Bench {
    fn all(&self) -> Result<bool> {
        let wanted = |part| self.args.parts.contains(&part) || self.args.parts.contains(&Part::All);
        let version = self.stage.engine_version()?;
        println!(
            "Engine {} (API {}), {} CPUs, image {}",
            version["Version"].as_str().unwrap_or("?"),
            version["ApiVersion"].as_str().unwrap_or("?"),
            thread::available_parallelism().map_or(0, usize::from),
            self.args.image
        );
        let mut results = json!({
            "when": jiff::Timestamp::now().to_string(),
            "engine": version["Version"],
            "cpus": thread::available_parallelism().map_or(0, usize::from),
            "image": self.args.image,
            "services": self.args.services,
        });
        let mut missed = 0;
        let mut keep = |section: Section| -> Result<()> {
            let (key, value, count) = section.end();
            results[key] = value;
            missed += count;
            // After every part: what was measured is not lost when a later part fails.
            if let Some(path) = &self.args.json {
                std::fs::write(path, format!("{results:#}\n"))
                    .with_context(|| format!("writing {}", path.display()))?;
            }
            Ok(())
        };

        if wanted(Part::Flat) {
            keep(self.bring_ups(false)?)?;
        }
        if wanted(Part::Chain) {
            keep(self.bring_ups(true)?)?;
        }
        if wanted(Part::Die) {
            keep(self.die()?)?;
        }
        if !self.args.without_evenkeel {
            if wanted(Part::Save) {
                keep(self.save()?)?;
            }
            if wanted(Part::Healthy) {
                keep(self.healthy()?)?;
            }
            if wanted(Part::Change) {
                keep(self.change()?)?;
            }
            if wanted(Part::Idle) {
                keep(self.idle()?)?;
            }
            if wanted(Part::Watch) {
                keep(self.watch()?)?;
            }
        }
        Ok(!self.args.check || missed == 0)
    }

    fn sides(&self) -> Vec<Side> {
        let mut sides = vec![Side::Floor];
        if !self.args.without_evenkeel {
            sides.insert(0, Side::Evenkeel);
        }
        if self.compose.is_some() {
            sides.push(Side::Compose);
        }
        sides
    }

    fn bring_ups(&self, chain: bool) -> Result<Section> {
        let count = self.args.services;
        let mut section = if chain {
            Section::new(
                "chain",
                &format!("{count} services, each depends on the one before, from nothing to all running"),
            )
        } else {
            Section::new("flat", &format!("{count} independent services, from nothing to all running"))
        };
        let sides = self.sides();
        let mut times: HashMap<Side, Samples> = HashMap::new();
        for round in 0..self.args.warmup + self.args.pairs {
            // Whoever comes first in one round comes last in the next.
            for turn in 0..sides.len() {
                let side = sides[(turn + round) % sides.len()];
                let took = self.bring_up(side, chain, &self.stage.socket)?;
                if round >= self.args.warmup {
                    times.entry(side).or_default().push(took);
                }
            }
        }
        over_the_floor(&mut section, &sides, &times);

        // Which calls it takes: a run of its own, because the proxy costs time.
        for side in sides {
            let dir = tempfile::Builder::new().prefix("bench-proxy-").tempdir()?;
            let proxy = Proxy::start(self.stage.socket.clone(), dir.path());
            self.bring_up(side, chain, proxy.socket())?;
            let calls = proxy.calls();
            println!("  calls of {}: {}", side.name(), tally_text(&calls));
            section.note(&format!("calls_{}", side.name()), tally_json(&calls));
        }
        Ok(section)
    }

    /// One project from nothing to all running, and removed again. Returns the seconds to all running.
    fn bring_up(&self, side: Side, chain: bool, socket: &Path) -> Result<f64> {
        let project = self.stage.project()?;
        let count = self.args.services;
        let mut command;
        match side {
            Side::Evenkeel => {
                project.save(&project.text(count, chain, &[]))?;
                command = Command::new(&self.evenkeel);
                command.arg("apply").arg(project.manifest()).arg("--state").arg(project.state());
                command.arg("--engine").arg(unix_url(socket));
            }
            Side::Floor => {
                command = self.floor_command(&project, count, socket);
                command.args(["--shape", if chain { "chain" } else { "flat" }]);
            }
            Side::Compose => {
                project.save(&project.text(count, chain, &[]))?;
                command = Command::new(self.compose.as_ref().expect("asked for only where it is given"));
                command.env("DOCKER_HOST", unix_url(socket)).arg("-f").arg(project.manifest()).args(["up", "-d"]);
            }
        }
        let program = self.spawn(&project, command)?;
        let mut took = program.wait(LIMIT)?.as_secs_f64();
        if side == Side::Floor {
            // Its own clock, from the first connection on: the floor pays for no process start.
            let report: Value = serde_json::from_str(program.output()?.trim())?;
            took = report["total_ms"].as_f64().context("the floor printed no total")? / 1e3;
        }
        project.expect_running(count).with_context(|| format!("after {}", side.name()))?;
        drop(program);
        project.finish()?;
        Ok(took)
    }

    fn spawn(&self, project: &Project, command: Command) -> Result<Running> {
        self.stage.spawn(command, project.dir.join("output.log"))
    }

    fn floor_command(&self, project: &Project, count: usize, socket: &Path) -> Command {
        let mut command = Command::new(&self.floor);
        command.arg("--socket").arg(socket).args(["--image", &self.stage.image, "--prefix", &project.name]);
        command.arg("--count").arg(count.to_string());
        command
    }

    /// `evenkeel run` over a project of `count` services behind a proxy, all of them running.
    fn controller(&self, count: usize) -> Result<(Controller, Vec<Container>)> {
        let project = self.stage.project()?;
        project.save(&project.text(count, false, &vec![0; count]))?;
        let proxy = Proxy::start(self.stage.socket.clone(), &project.dir);
        let mut command = Command::new(&self.evenkeel);
        command.arg("run").arg("--manifests").arg(project.manifests()).arg("--state").arg(project.state());
        command.args(["--engine", &proxy.url(), "--listen", &format!("127.0.0.1:{}", free_port()?)]);
        let program = self.spawn(&project, command)?;
        let containers = project.wait_settled(&program, &proxy, count, Duration::from_millis(1500))?;
        Ok((Controller { program, proxy, project }, containers))
    }

    fn die(&self) -> Result<Section> {
        let count = self.args.kills;
        let mut section =
            Section::new("die", "from a container's `die` event to the call that starts it, no restart policy");
        let floor = self.die_floor(count)?;
        if !self.args.without_evenkeel {
            let (controller, containers) = self.controller(count)?;
            let times = self.kill_each(&controller.proxy, &containers, || controller.program.expect_alive())?;
            section.row("evenkeel: die to start call", "ms", &times.call);
            section.row("evenkeel: die to running", "ms", &times.running);
            section.row("evenkeel: kill to die (the Engine's own)", "ms", &times.die);
            section.target("die to start call, median", times.call.median(), "<", 5.0, " ms");
            controller.finish()?;
        }
        section.row("floor: die to start call", "ms", &floor.call);
        section.row("floor: die to running", "ms", &floor.running);
        Ok(section)
    }

    /// The same with the least that can react: a line of the event stream in, a call out.
    fn die_floor(&self, count: usize) -> Result<KillTimes> {
        let project = self.stage.project()?;
        let command = self.floor_command(&project, count, &self.stage.socket);
        self.spawn(&project, command)?.wait(LIMIT)?;
        let proxy = Proxy::start(self.stage.socket.clone(), &project.dir);
        let filter = json!({ "event": ["die"], "label": [format!("com.docker.compose.project={}", project.name)] });
        let path = format!("/events?filters={}", http::quote(&filter.to_string()));
        let listener = Connection::open(proxy.socket())?;
        let mut starter = Connection::open(proxy.socket())?;
        starter.call("GET", "/_ping", None)?;
        let reactor = thread::spawn(move || {
            // It ends when the proxy closes the connection.
            let _ = listener.follow(&path, |line| {
                let event: Value = serde_json::from_slice(line).unwrap_or_default();
                let id = event["Actor"]["ID"].as_str().unwrap_or("-");
                starter.call("POST", &format!("/containers/{id}/start"), None).is_ok()
            });
        });
        let containers = project.running()?;
        ensure!(containers.len() == count, "{} of {count} containers run", containers.len());
        thread::sleep(Duration::from_millis(500));
        let times = self.kill_each(&proxy, &containers, || Ok(()));
        drop(proxy);
        let _ = reactor.join();
        project.finish()?;
        times
    }

    /// Kills one container after another and looks in the proxy for what follows.
    fn kill_each(&self, proxy: &Proxy, containers: &[Container], check: impl Fn() -> Result<()>) -> Result<KillTimes> {
        let mut engine = self.stage.engine()?;
        let mut times = KillTimes::default();
        for container in containers {
            let Container { id, service } = container;
            let killed = Instant::now();
            engine.call("POST", &format!("/containers/{id}/kill"), None)?.success("killing a container")?;
            let (died, call) = loop {
                let died =
                    proxy.find_event(|event| event.action() == "die" && event.actor() == id && event.at > killed);
                if let Some(died) = died {
                    let call = proxy.find_call(|call| {
                        let this = call.path.contains(&id[..12]) || call.path.contains(&format!("-{service}-"));
                        call.is("POST", "/containers/*/start") && call.at > killed && this
                    });
                    if let Some(call) = call.filter(|call| call.answered.is_some()) {
                        break (died, call);
                    }
                }
                check()?;
                ensure!(
                    killed.elapsed() < Duration::from_secs(30),
                    "{service} was killed, and no start followed in 30 s"
                );
                thread::sleep(Duration::from_millis(5));
            };
            let millis = |from: Instant, to: Instant| {
                // Negative where the start did not wait for the event.
                if to >= from { (to - from).as_secs_f64() * 1e3 } else { -(from - to).as_secs_f64() * 1e3 }
            };
            times.die.push(millis(killed, died.at));
            times.call.push(millis(died.at, call.at));
            times.running.push(millis(died.at, call.answered.expect("asked for above")));
            thread::sleep(Duration::from_millis(500));
        }
        Ok(times)
    }

    fn save(&self) -> Result<Section> {
        let mut section = Section::new(
            "save",
            "from a saved manifest (one service's environment) to the first call that changes something",
        );
        let count = 10;
        let (controller, _) = self.controller(count)?;
        let Controller { program, proxy, project } = &controller;
        let mut generations = vec![0; count];
        let (mut first, mut settled) = (Samples::default(), Samples::default());
        for round in 0..self.args.saves {
            generations[round % count] += 1;
            let saved = project.save(&project.text(count, false, &generations))?;
            let call = loop {
                if let Some(call) = proxy.find_call(|call| call.at > saved && call.mutates()) {
                    break call;
                }
                program.expect_alive()?;
                ensure!(
                    saved.elapsed() < Duration::from_secs(30),
                    "a manifest was saved, and nothing followed in 30 s"
                );
                thread::sleep(Duration::from_millis(5));
            };
            first.push((call.at - saved).as_secs_f64() * 1e3);
            project.wait_settled(program, proxy, count, Duration::from_millis(1500))?;
            let calls = proxy.calls();
            let last = calls.iter().filter(|call| call.mutates()).filter_map(|call| call.answered).max();
            settled.push(last.map_or(f64::NAN, |last| last.saturating_duration_since(saved).as_secs_f64() * 1e3));
        }
        section.row("save to first changing call", "ms", &first);
        section.row("save to last changing call answered", "ms", &settled);
        section.target("save to first changing call, median", first.median(), "<", 200.0, " ms");
        controller.finish()?;
        Ok(section)
    }

    fn idle(&self) -> Result<Section> {
        let count = self.args.services;
        let window = Duration::from_secs(self.args.window);
        let mut section = Section::new("idle", &format!("nothing to do, {count} services running, {window:?}"));
        let (controller, _) = self.controller(count)?;
        let Controller { program, proxy, project } = &controller;
        thread::sleep(Duration::from_secs(self.args.settle));

        proxy.clear();
        let began = Instant::now();
        let cpu = cpu_seconds(program.pid)?;
        let mut resident = Samples::default();
        while began.elapsed() < window {
            resident.push(resident_megabytes(program.pid, "VmRSS:")?);
            thread::sleep(Duration::from_secs(5).min(window.saturating_sub(began.elapsed())));
            program.expect_alive()?;
        }
        let share = (cpu_seconds(program.pid)? - cpu) / began.elapsed().as_secs_f64() * 100.0;
        resident.push(resident_megabytes(program.pid, "VmRSS:")?);
        let calls = proxy.calls();
        project.expect_running(count)?;

        let resync = resync_calls(&calls);
        let others: Vec<Call> =
            calls.iter().zip(&resync).filter(|(_, resync)| !**resync).map(|(call, _)| call.clone()).collect();
        section.row("resident memory", "MB", &resident);
        section.row("resident memory, highest ever", "MB", &Samples(vec![resident_megabytes(program.pid, "VmHWM:")?]));
        section.row("CPU", "% of a core", &Samples(vec![share]));
        for call in &calls {
            println!("  {:7.2} s  {} {}", (call.at - began).as_secs_f64(), call.method, call.path);
        }
        println!("  calls: {}", tally_text(&calls));
        section.note("calls", tally_json(&calls));
        section.note("window_seconds", json!(began.elapsed().as_secs_f64()));
        section.target("calls beside the resync", others.len() as f64, "<=", 0.0, "");
        section.target("resident memory, highest in the window", resident.max(), "<", 30.0, " MB");
        section.target("CPU", share, "<", 0.5, " %");
        controller.finish()?;
        Ok(section)
    }
}

#[derive(Default)]
struct KillTimes {
    die: Samples,
    call: Samples,
    running: Samples,
}

/// In this order: the program ends before its proxy, and both before the project is removed.
struct Controller {
    program: Running,
    proxy: Proxy,
    project: Project,
}

impl Controller {
    fn finish(self) -> Result<()> {
        drop(self.program);
        drop(self.proxy);
        self.project.finish()
    }
}

/// Which calls belong to a resync: the lists, each at most every 50 s, and within 5 s after one the inspects it needs.
/// Whoever lists more often than that is polling, and does not get away with it.
fn resync_calls(calls: &[Call]) -> Vec<bool> {
    let mut lists: HashMap<String, Instant> = HashMap::new();
    let mut last_list: Option<Instant> = None;
    calls
        .iter()
        .map(|call| {
            let lists_something =
                call.method == "GET" && matches!(call.route(), "/containers/json" | "/networks" | "/volumes");
            if lists_something {
                let earlier = lists.insert(call.path.clone(), call.at);
                let due = earlier.is_none_or(|earlier| call.at - earlier >= Duration::from_secs(50));
                if due {
                    last_list = Some(call.at);
                }
                return due;
            }
            let inspects =
                call.is("GET", "/containers/*/json") || call.is("GET", "/networks/*") || call.is("GET", "/volumes/*");
            inspects && last_list.is_some_and(|at| call.at - at < Duration::from_secs(5))
        })
        .collect()
}

/// How often each kind of call was made, names and ids left out.
fn tally(calls: &[Call]) -> BTreeMap<String, usize> {
    let mut tally = BTreeMap::new();
    for call in calls {
        let segments: Vec<&str> = call.route().trim_start_matches('/').split('/').collect();
        let fixed = ["json", "create", "prune", "search", "load", "get"];
        let route = match segments.as_slice() {
            ["images", .., last] if segments.len() > 2 => format!("/images/ID/{last}"),
            [kind, name]
                if !fixed.contains(name) && ["containers", "networks", "volumes", "exec", "images"].contains(kind) =>
            {
                format!("/{kind}/ID")
            }
            [kind, _, rest @ ..] if !rest.is_empty() => format!("/{kind}/ID/{}", rest.join("/")),
            _ => call.route().to_owned(),
        };
        *tally.entry(format!("{} {route}", call.method)).or_insert(0) += 1;
    }
    tally
}

fn tally_text(calls: &[Call]) -> String {
    let parts: Vec<String> = tally(calls).into_iter().map(|(call, count)| format!("{count} {call}")).collect();
    if parts.is_empty() { "none".to_owned() } else { format!("{}: {}", calls.len(), parts.join(", ")) }
}

fn tally_json(calls: &[Call]) -> Value {
    json!({ "total": calls.len(), "by_kind": tally(calls) })
}

/// User and system time of a process so far.
fn cpu_seconds(pid: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The second field is the name, in brackets, and may hold anything; utime and stime are the 14th and 15th.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok()).context("no CPU time");
    Ok((ticks(11)? + ticks(12)?) / TICKS)
}

fn resident_megabytes(pid: u32, field: &str) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)).context("no resident memory")?;
    let kilobytes: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kilobytes * 1024.0 / 1e6)
}
