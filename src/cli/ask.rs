//! Verbs that ask the running controller for something, or do it themselves where none runs.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;

use super::Ended;
use super::context::Context;
use crate::control::{Actor, Operation, Request, Via, socket};

/// For the manifests to be read and the engine to answer.
const READY: Duration = Duration::from_secs(30);

#[derive(Debug, clap::Args)]
pub(super) struct Id {
    /// PROJECT, PROJECT.SERVICE, or a service's name where only one project has it
    id: String,
}

#[derive(Debug, clap::Args)]
pub(super) struct IdOrAll {
    /// PROJECT, PROJECT.SERVICE, or a service's name where only one project has it
    #[arg(required_unless_present = "all")]
    id: Option<String>,
    /// Everything that is suspended
    #[arg(long, conflicts_with = "id")]
    all: bool,
}

pub(super) async fn suspend(context: &Context, id: &Id) -> Ended {
    ask(context, "suspend", Operation::Suspend { id: id.id.clone() }).await
}

pub(super) async fn resume(context: &Context, id: &IdOrAll) -> Ended {
    let operation = match &id.id {
        Some(id) => Operation::Resume { id: id.clone() },
        None => Operation::ResumeAll,
    };
    ask(context, "resume", operation).await
}

pub(super) async fn confirm(context: &Context) -> Ended {
    ask(context, "confirm", Operation::Confirm).await
}

async fn ask(context: &Context, verb: &str, operation: Operation) -> Ended {
    let answer = match socket::ask(&context.state, &by_socket(operation.clone())).await? {
        Some(answer) => answer?,
        None => {
            // A loop that looks and remembers, and is not given the time to do anything else.
            let (engine, address) = context.engine().await?;
            let scope = context.scope(None);
            let running = context.start(verb, scope.asked_only(), engine, address, |_| Ok(()))?;
            let mut snapshots = running.handle.snapshots();
            let read = snapshots.wait_for(|s| s.manifests_read);
            if !matches!(tokio::time::timeout(READY, read).await, Ok(Ok(_))) {
                bail!("the manifests could not be read in time");
            }
            let answer = running.handle.submit(Request::new(Actor::process(), operation)).await;
            running.stop().await?;
            answer?
        }
    };
    outln!("{answer}");
    Ok(ExitCode::SUCCESS)
}

/// A request for the controller that runs on this machine.
pub(super) fn by_socket(operation: Operation) -> Request {
    let name = rustix::process::getuid().as_raw().to_string();
    Request::new(Actor { via: Via::ControlSocket, name }, operation)
}
