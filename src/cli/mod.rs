//! The command line: one file a verb.

/// A line on standard output. One that nobody reads any more is no reason to end, as `println!` would.
macro_rules! outln {
    ($($what:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout().lock(), $($what)*);
    }};
}

/// The same without the end of the line.
macro_rules! out {
    ($($what:tt)*) => {{
        use std::io::Write as _;
        let _ = write!(std::io::stdout().lock(), $($what)*);
    }};
}

/// A line on standard error.
macro_rules! errln {
    ($($what:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr().lock(), $($what)*);
    }};
}

mod apply;
mod ask;
mod console;
mod context;
mod down;
mod drift;
mod export;
mod plan;
mod progress;
mod rehearse;
mod render;
mod run;
mod schema;
mod status;
mod validate;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use context::Context;

/// What a verb ends with.
type Ended = anyhow::Result<ExitCode>;

/// Keeps Docker hosts on an even keel: a directory of Compose files says what should run.
#[derive(Debug, Parser)]
#[command(name = "evenkeel", version, propagate_version = true, max_term_width = 100)]
struct Arguments {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    verb: Verb,
}

/// What all verbs understand. Settings file and variables stand behind these.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Common {
    /// The settings file [default: ./evenkeel.yaml, /etc/evenkeel/evenkeel.yaml]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The manifests directory [default: manifests]
    #[arg(long, global = true, value_name = "DIR")]
    manifests: Option<PathBuf>,
    /// The state folder [default: /var/lib/evenkeel for root, ~/.local/state/evenkeel]
    #[arg(long, global = true, value_name = "DIR")]
    state: Option<PathBuf>,
    /// The Docker Engine, unix://… or tcp://… [default: DOCKER_HOST, the docker context, the usual sockets]
    #[arg(long, global = true, value_name = "URL")]
    engine: Option<String>,
    /// Touch what another evenkeel made
    #[arg(long, global = true)]
    take_over: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run the controller in the foreground
    Run(run::Arguments),
    /// Check manifests: every mistake with its place
    Validate(validate::Arguments),
    /// Print a project as Compose understands it, with everything resolved
    Render(render::Arguments),
    /// Show what would be done, in order, and why (exit 0: nothing, 2: changes, 1: error)
    Plan(plan::Arguments),
    /// Show what would happen in a simulated Engine, also when things go wrong; needs no Docker
    Rehearse(rehearse::Arguments),
    /// Make it so once, then exit
    Apply(apply::Arguments),
    /// Remove a project's containers and networks; volumes are kept unless --volumes
    Down(down::Arguments),
    /// Show how everything is
    Status(status::Arguments),
    /// Show what of what runs is not as the manifests say, field by field
    Drift(drift::Arguments),
    /// Print what runs of a Compose project as a Compose file, whoever started it
    Export(export::Arguments),
    /// Print the JSON Schema of a document, for editors and programs
    Schema(schema::Arguments),
    /// Leave a project or service alone until it is resumed
    Suspend(ask::Id),
    /// Take a suspended project or service up again
    Resume(ask::IdOrAll),
    /// Let the projects go that the guard holds
    Confirm,
}

/// Runs the program.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match start(arguments) {
        Ok(code) => code,
        Err(error) => {
            errln!("evenkeel: {error:#}");
            ExitCode::from(1)
        }
    }
}

fn start(arguments: Arguments) -> Ended {
    // Needs no settings: it must not fail over a file that an editor is to help with.
    if let Verb::Schema(arguments) = &arguments.verb {
        return schema::schema(arguments);
    }
    let environment = crate::settings::environment();
    crate::telemetry::init_logs(environment.get("RUST_LOG").map(String::as_str));
    let context = Context::new(&arguments.common, environment)?;
    // Brings a runtime of its own, in which time is virtual.
    if let Verb::Rehearse(arguments) = &arguments.verb {
        return rehearse::rehearse(&context, arguments);
    }
    // Two threads: one for the loop, one for what is read beside it.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        match arguments.verb {
            Verb::Run(arguments) => run::run(&context, &arguments).await,
            Verb::Validate(arguments) => validate::validate(&context, &arguments),
            Verb::Render(arguments) => render::render(&context, &arguments),
            Verb::Plan(arguments) => plan::plan(&context, &arguments).await,
            Verb::Rehearse(arguments) => rehearse::rehearse(&context, &arguments),
            Verb::Apply(arguments) => apply::apply(&context, &arguments).await,
            Verb::Down(arguments) => down::down(&context, &arguments).await,
            Verb::Status(arguments) => status::status(&context, &arguments).await,
            Verb::Drift(arguments) => drift::drift(&context, &arguments).await,
            Verb::Export(arguments) => export::export(&context, &arguments).await,
            Verb::Schema(arguments) => schema::schema(&arguments),
            Verb::Suspend(id) => ask::suspend(&context, &id).await,
            Verb::Resume(id) => ask::resume(&context, &id).await,
            Verb::Confirm => ask::confirm(&context).await,
        }
    })
}
