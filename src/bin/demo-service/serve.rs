//! The service's life: start, listen, drain, exit.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{info, warn};

use crate::args::Serve;
use crate::dependencies::Board;
use crate::misbehaviour::{Misbehaviour, Settings};
use crate::routes::{App, router};
use crate::starts;
use crate::traffic::Traffic;

/// Requests that still run after this are cut off.
const DRAIN_AT_MOST: Duration = Duration::from_secs(5);

pub async fn run(args: Serve) -> anyhow::Result<ExitCode> {
    let mut stop = stop_signal(args.ignore_sigterm)?;
    crash_later(args.crash_after_ms, args.exit_code);
    tokio::select! {
        () = sleep(Duration::from_millis(args.start_delay_ms)) => {}
        _ = stop.changed() => {
            info!("stopped before it listened");
            return Ok(ExitCode::SUCCESS);
        }
    }

    let app = Arc::new(app(&args)?);
    let address = (Ipv4Addr::UNSPECIFIED, args.port);
    let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen on port {}", args.port))?;
    info!("{} {} listens on port {}", app.name, app.version, args.port);

    let mut cut_off = stop.clone();
    let server = axum::serve(listener, router(app)).with_graceful_shutdown(async move {
        let _ = stop.changed().await;
    });
    tokio::select! {
        done = async { server.await } => done?,
        () = async {
            let _ = cut_off.changed().await;
            sleep(DRAIN_AT_MOST).await;
        } => warn!("requests were cut off after {DRAIN_AT_MOST:?}"),
    }
    sleep(Duration::from_millis(args.drain_ms)).await;
    info!("exits with code 0");
    Ok(ExitCode::SUCCESS)
}

fn app(args: &Serve) -> anyhow::Result<App> {
    let first = Settings {
        latency_ms: args.latency_ms,
        fail: args.fail == "health",
        cpu_percent: args.cpu_percent,
        memory_mb: args.memory_mb,
    };
    let misbehaviour = Misbehaviour::default();
    misbehaviour.apply(first).map_err(anyhow::Error::msg)?;
    if first != Settings::default() {
        info!("misbehaves: {first}");
    }
    let starts = match args.state_dir.as_str() {
        "" => None,
        folder => Some(starts::count(Path::new(folder))?),
    };
    let targets = args.dependencies.iter().flatten().cloned().collect();
    Ok(App {
        name: if args.name.is_empty() { host_name() } else { args.name.clone() },
        version: if args.version.is_empty() { env!("CARGO_PKG_VERSION").to_owned() } else { args.version.clone() },
        starts,
        board: Board::watch(targets, Duration::from_secs(args.dependency_interval))?,
        traffic: Traffic::new(),
        first,
        misbehaviour,
    })
}

/// Turns true once at SIGINT or SIGTERM. As process 1 of a container there is no default action to rely on.
fn stop_signal(ignore_sigterm: bool) -> anyhow::Result<watch::Receiver<bool>> {
    let (stop, stopped) = watch::channel(false);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        let name = first(&mut terminate, &mut interrupt, ignore_sigterm).await;
        info!("{name}: drains");
        stop.send_replace(true);
        // Kept alive: a closed channel would read as a second stop.
        std::future::pending::<()>().await;
    });
    Ok(stopped)
}

async fn first(terminate: &mut Signal, interrupt: &mut Signal, ignore_sigterm: bool) -> &'static str {
    loop {
        tokio::select! {
            _ = terminate.recv() => match ignore_sigterm {
                true => warn!("SIGTERM: ignored, as told"),
                false => return "SIGTERM",
            },
            _ = interrupt.recv() => return "SIGINT",
        }
    }
}

fn crash_later(after_ms: u64, code: u8) {
    if after_ms > 0 {
        tokio::spawn(async move {
            sleep(Duration::from_millis(after_ms)).await;
            warn!("crashes with exit code {code}, as told");
            std::process::exit(code.into());
        });
    }
}

fn host_name() -> String {
    let from_kernel = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match from_kernel.trim() {
        "" => "demo-service".to_owned(),
        name => name.to_owned(),
    }
}
