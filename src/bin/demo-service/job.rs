//! The one-shot: does its work and ends.

use std::process::ExitCode;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;
use tracing::{info, warn};

use crate::args::Job;

/// What a shell reports for a process that SIGTERM ended: an interrupted job is no finished job.
const TERMINATED: u8 = 128 + 15;

pub async fn run(args: Job) -> anyhow::Result<ExitCode> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    info!("works for {} s", args.seconds);
    tokio::select! {
        () = sleep(Duration::from_secs(args.seconds)) => {
            info!("done, exit code {}", args.exit_code);
            Ok(ExitCode::from(args.exit_code))
        }
        _ = async { tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} } } => {
            warn!("interrupted");
            Ok(ExitCode::from(TERMINATED))
        }
    }
}
