//! `evenkeel down`: remove a project's containers and networks.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;

use super::Ended;
use super::ask::by_socket;
use super::console::Console;
use super::context::Context;
use crate::control::{Actor, Answer, Operation, Request, socket};
use crate::model::state::ProjectState;

/// For slow containers to end.
const LIMIT: Duration = Duration::from_secs(300);

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The projects
    #[arg(required = true)]
    projects: Vec<String>,
    /// Remove their volumes too, with what is in them
    #[arg(long)]
    volumes: bool,
}

pub(super) async fn down(context: &Context, arguments: &Arguments) -> Ended {
    let operation = |project: &String| Operation::Down { project: project.clone(), volumes: arguments.volumes };
    let mut handed_over = false;
    for project in &arguments.projects {
        match socket::ask(&context.state, &by_socket(operation(project))).await? {
            Some(answer) => {
                outln!("{}", answer?);
                handed_over = true;
            }
            None => break,
        }
    }
    if handed_over {
        return wait_for_the_controller(context, &arguments.projects).await;
    }
    let (engine, address) = context.engine().await?;
    let scope = context.scope(None);
    let running = context.start("down", scope.asked_only(), engine, address, |handle| {
        Console::follow(handle.follow())?;
        Ok(())
    })?;
    let mut snapshots = running.handle.snapshots();
    let ready = snapshots.wait_for(|s| s.manifests_read && s.engine.up);
    if !matches!(tokio::time::timeout(LIMIT, ready).await, Ok(Ok(_))) {
        bail!("the manifests could not be read, or the Engine does not answer");
    }
    for project in &arguments.projects {
        running.handle.submit(Request::new(Actor::process(), operation(project))).await?;
    }
    let removed = snapshots.wait_for(|s| {
        arguments.projects.iter().all(|name| {
            s.projects.get(name.as_str()).is_none_or(|p| p.state == ProjectState::Suspended && p.in_flight.is_empty())
        })
    });
    let removed = matches!(tokio::time::timeout(LIMIT, removed).await, Ok(Ok(_)));
    running.stop().await?;
    if !removed {
        bail!("not everything could be removed in time");
    }
    Ok(ExitCode::SUCCESS)
}

/// The controller does it; this only looks.
async fn wait_for_the_controller(context: &Context, projects: &[String]) -> Ended {
    let began = std::time::Instant::now();
    while began.elapsed() < LIMIT {
        let asked = socket::ask(&context.state, &by_socket(Operation::Status)).await?;
        let Some(Ok(Answer::Status { status })) = asked else {
            bail!("the controller ended before everything was removed");
        };
        let left = status["projects"]
            .as_array()
            .into_iter()
            .flatten()
            .any(|p| projects.iter().any(|name| p["name"] == name.as_str()) && p["state"] != "suspended");
        if !left {
            return Ok(ExitCode::SUCCESS);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    bail!("not everything could be removed in time")
}
