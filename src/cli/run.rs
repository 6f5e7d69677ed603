//! `evenkeel run`: the controller.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use super::Ended;
use super::console::Console;
use super::context::{Context, refuse_for_good};
use crate::api::{ApiState, Limits, router, serve};
use crate::engine::EngineRead;
use crate::engine::docker::DockerEngine;
use crate::telemetry::Metrics;

/// Between two looks for an engine that is not there yet.
const RETRY: Duration = Duration::from_secs(2);

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Where the API listens [default: 127.0.0.1:9090]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
}

pub(super) async fn run(context: &Context, arguments: &Arguments) -> Ended {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let scope = context.scope(None);
    let address = context.address()?;
    let engine = DockerEngine::new(&address)?;
    if let Err(error) = engine.info().await {
        refuse_for_good(&error)?;
        errln!("evenkeel: {error}; waiting for it");
        loop {
            tokio::select! {
                _ = terminate.recv() => return Ok(ExitCode::SUCCESS),
                _ = interrupt.recv() => return Ok(ExitCode::SUCCESS),
                () = tokio::time::sleep(RETRY) => {}
            }
            match engine.info().await {
                Ok(_) => break,
                Err(error) => refuse_for_good(&error)?,
            }
        }
    }
    let listen = arguments.listen.as_ref().unwrap_or(&context.settings.api.listen);
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("the API cannot listen on {listen}; name another address with --listen"))?;
    let metrics = Arc::new(Metrics::new(&context.settings.metrics.namespace)?);
    outln!("evenkeel {} keeps {} true on {address}", env!("CARGO_PKG_VERSION"), scope.root().display());
    let counts = Arc::clone(&metrics);
    let running = context.start("run", scope, engine, address.to_string(), move |handle| {
        Console::follow(handle.follow())?;
        let follower = handle.follow();
        tokio::spawn(async move { counts.follow(follower).await });
        Ok(())
    })?;
    outln!("API: http://{}", listener.local_addr()?);
    let limits = Limits::default();
    let app = router(ApiState::new(running.handle.clone(), metrics, limits.clone()));
    let (end, ended) = oneshot::channel::<()>();
    let server = tokio::spawn(async move {
        serve(listener, app, &limits, async { drop(ended.await) }).await;
    });
    let mut check = tokio::time::interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = check.tick() => {
                if running.has_ended() {
                    break;
                }
            }
        }
    }
    outln!("ending; containers keep running");
    drop(end);
    running.stop().await?;
    server.await.context("the API broke off")?;
    Ok(ExitCode::SUCCESS)
}
