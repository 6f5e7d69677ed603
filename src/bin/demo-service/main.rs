//! What the example containers run: a small HTTP service that behaves well, and badly when told to.
//!
//! The whole image is this one static binary. So host names are only ever looked up by `names` (the C
//! library cannot do it there), and the bind address is numeric.

mod args;
mod control;
mod dependencies;
mod job;
mod misbehaviour;
mod names;
mod probe;
mod report;
mod routes;
mod serve;
mod starts;
mod traffic;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, Verb};

fn main() -> ExitCode {
    // Nothing here speaks TLS, but a client of HTTP is not made without somebody who could.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let args = Args::parse();
    // Without a verb it serves, as the environment says.
    let verb = args.verb.or_else(|| Args::parse_from(["demo-service", "serve"]).verb);
    let Some(verb) = verb else { return ExitCode::FAILURE };
    let outcome = match verb {
        // The health check runs every few seconds in every container: no runtime, no client, no log.
        Verb::Health(args) => return probe::run(&args),
        Verb::Serve(args) => with_runtime(serve::run(*args)),
        Verb::Job(args) => with_runtime(job::run(args)),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("demo-service: {error:#}");
        ExitCode::FAILURE
    })
}

/// One thread is plenty, and keeps thirty of these light.
fn with_runtime(work: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    tracing_subscriber::fmt().with_ansi(false).with_target(false).with_max_level(tracing::Level::INFO).init();
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}
