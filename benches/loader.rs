//! What loading costs: `evenkeel render` beside `docker-compose config`, and a project of a thousand services in this
//! process. No Engine is asked. `benches/README.md` says how to read it.

#[path = "support/report.rs"]
mod report;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use clap::{Parser, ValueEnum};
use evenkeel::manifest::interpolate::Variables;
use evenkeel::manifest::{load_all, source};
use serde_json::{Map, Value, json};

use report::{Samples, Section};

#[derive(Parser)]
#[command(name = "loader", about = "Measures loading, against docker-compose and by itself")]
struct Args {
    /// What to measure; `render` needs a docker-compose to be measured against.
    #[arg(value_enum, default_values_t = [Part::Render, Part::Load])]
    parts: Vec<Part>,
    /// The docker-compose program (v2 or later) of render.
    #[arg(long, env = "BENCH_COMPOSE")]
    compose: Option<PathBuf>,
    /// Where render looks for Compose files; once or several times.
    #[arg(long, default_values = ["manifests", "examples/fks/manifests"])]
    folder: Vec<PathBuf>,
    /// Rounds of render, each with every file and both sides; and of load.
    #[arg(long, default_value_t = 11)]
    rounds: usize,
    /// Services in load.
    #[arg(long, default_value_t = 1000)]
    services: usize,
    /// The program to measure; the default is the one that cargo built along with this one.
    #[arg(long)]
    evenkeel: Option<PathBuf>,
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
    /// `render --format json` beside `docker-compose config --format json`.
    Render,
    /// A generated project, loaded in this process.
    Load,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("loader bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<bool> {
    let mut sections = Vec::new();
    if args.parts.contains(&Part::Render) {
        match &args.compose {
            Some(compose) => sections.push(render(args, compose)?),
            None => println!("render: left out, as --compose and BENCH_COMPOSE name no docker-compose"),
        }
    }
    if args.parts.contains(&Part::Load) {
        sections.push(load(args)?);
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

/// Whole lives of both programs, file by file; whoever comes first in one round comes second in the next.
fn render(args: &Args, compose: &Path) -> Result<Section> {
    let evenkeel = args.evenkeel.clone().unwrap_or_else(|| env!("CARGO_BIN_EXE_evenkeel").into());
    let mut manifests = Vec::new();
    for folder in &args.folder {
        manifests.extend(source::discover(folder).with_context(|| format!("looking into {}", folder.display()))?);
    }
    let sides = [(evenkeel.as_path(), "render"), (compose, "config")];
    let (mut usable, mut refused) = (Vec::new(), Vec::new());
    for found in &manifests {
        // What one of them refuses is no comparison. This first round also warms the disk's cache.
        let taken = sides.iter().map(|side| time(*side, &found.files)).collect::<Result<Vec<_>>>()?;
        if taken.iter().all(Option::is_some) { usable.push(&found.files) } else { refused.push(&found.path) }
    }
    ensure!(!usable.is_empty(), "there is no Compose file that both programs take");

    let mut section = Section::new(
        "render",
        &format!("{} Compose files, one program start each, {} rounds", usable.len(), args.rounds),
    );
    let mut times = [Samples::default(), Samples::default()];
    let mut ratio = Samples::default();
    for round in 0..args.rounds {
        for files in &usable {
            let mut took = [0.0; 2];
            for turn in 0..2 {
                let side = (round + turn) % 2;
                let Some(millis) = time(sides[side], files)? else {
                    bail!("{files:?} was taken before, and is not now")
                };
                took[side] = millis;
            }
            times[0].push(took[0]);
            times[1].push(took[1]);
            ratio.push(took[0] / took[1]);
        }
    }
    section.row("evenkeel render", "ms", &times[0]);
    section.row("docker-compose config", "ms", &times[1]);
    section.row("ratio, pair by pair", "", &times[0].over(&times[1]));
    section.target("ratio, median", ratio.median(), "<=", 0.333, "");
    section.note("files", json!(usable));
    section.note("refused", json!(refused));
    if !refused.is_empty() {
        println!("  left out, as one of them refuses: {}", refused.len());
    }
    Ok(section)
}

/// Milliseconds; `None`: the program refuses the files.
fn time((program, verb): (&Path, &str), files: &[PathBuf]) -> Result<Option<f64>> {
    let mut command = Command::new(program);
    let arguments = files.iter().flat_map(|file| [Path::new("-f"), file.as_path()]);
    match verb {
        "config" => command.args(arguments).args(["config", "--format", "json"]),
        verb => command.arg(verb).args(arguments).args(["--format", "json"]),
    };
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let began = Instant::now();
    let status = command.status().with_context(|| format!("starting {}", program.display()))?;
    Ok(status.success().then(|| began.elapsed().as_secs_f64() * 1e3))
}

fn load(args: &Args) -> Result<Section> {
    let folder = tempfile::tempdir()?;
    let text = project(args.services);
    std::fs::write(folder.path().join("large.yaml"), &text)?;
    let (mut first, mut again) = (Samples::default(), Samples::default());
    for _ in 0..args.rounds {
        let began = Instant::now();
        let loaded = load_all(folder.path(), &Variables::new(), &[])?;
        first.push(began.elapsed().as_secs_f64() * 1e3);
        for manifest in &loaded {
            let found: Vec<_> = manifest.diagnostics.iter().map(ToString::to_string).collect();
            ensure!(found.is_empty(), "{}", found.join("\n"));
            ensure!(
                manifest.project.as_ref().is_some_and(|p| p.services.len() == args.services),
                "services are missing"
            );
        }
        let began = Instant::now();
        load_all(folder.path(), &Variables::new(), &loaded)?;
        again.push(began.elapsed().as_secs_f64() * 1e3);
    }
    let title = format!("a project of {} services ({} kB), in process", args.services, text.len() / 1000);
    let mut section = Section::new("load", &title);
    section.row("load", "ms", &first);
    section.row("load again, nothing changed", "ms", &again);
    section.target("load, median", first.median(), "<", 100.0, " ms");
    section.note("bytes", json!(text.len()));
    Ok(section)
}

/// A Compose file as people have them, only larger.
fn project(services: usize) -> String {
    let mut text = String::from("name: large\nservices:\n");
    for n in 0..services {
        let _ = write!(
            text,
            "  service-{n}:
    image: registry.example/team/service-{n}:${{VERSION:-1.{n}}}
    restart: unless-stopped
    ports: [\"127.0.0.1:{}:8080\"]
    environment:
      SERVICE_NAME: service-{n}
      LOG_LEVEL: ${{LOG_LEVEL:-info}}
      WORKERS: 4
      DATABASE: postgres://user@service-0:5432/db{n}
    volumes:
      - data-{}:/var/lib/service
      - ./config/service-{n}.toml:/etc/service.toml:ro
    healthcheck:
      test: [\"CMD\", \"curl\", \"-f\", \"http://localhost:8080/health\"]
      interval: 10s
      timeout: 2s
      retries: 3
    networks: [front-{}, back]
    deploy: {{resources: {{limits: {{cpus: \"0.5\", memory: 128M}}}}}}
    labels: {{team: \"t{}\"}}
",
            20000 + n,
            n % 50,
            n % 10,
            n % 7,
        );
        if n > 0 {
            let _ = write!(text, "    depends_on:\n      service-{}: {{condition: service_healthy}}\n", n / 2);
        }
    }
    text.push_str("networks:\n  back: {}\n");
    (0..services.min(10)).for_each(|n| text.push_str(&format!("  front-{n}: {{}}\n")));
    text.push_str("volumes:\n");
    (0..services.min(50)).for_each(|n| text.push_str(&format!("  data-{n}: {{}}\n")));
    text
}
