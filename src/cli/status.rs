//! `evenkeel status`: how everything is.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::process::ExitCode;

use anyhow::bail;
use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Ended;
use super::ask::by_socket;
use super::context::Context;
use super::plan::look;
use super::validate::Format;
use crate::control::{Answer, Operation, socket};
use crate::decide::{Waiting, WaitingOn};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Only this project or service
    id: Option<String>,
    /// How to print
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

pub(super) async fn status(context: &Context, arguments: &Arguments) -> Ended {
    let status = about(context, arguments.id.as_deref()).await?;
    match arguments.format {
        Format::Json => outln!("{}", serde_json::to_string_pretty(&status)?),
        Format::Text => print(&status),
    }
    Ok(ExitCode::SUCCESS)
}

/// How everything is, or one project, or one service: by the controller that runs, else by a look.
pub(super) async fn about(context: &Context, id: Option<&str>) -> anyhow::Result<Value> {
    let answer = match socket::ask(&context.state, &by_socket(Operation::Status)).await {
        // It ends just now.
        Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof) => None,
        answer => answer?,
    };
    let mut status = match answer {
        Some(answer) => match answer? {
            Answer::Status { status } => status,
            other => bail!("the controller answers something else: {other}"),
        },
        None => {
            let survey = look(context, None).await?;
            json!({
                "engine": survey.engine,
                "guard": survey.guard,
                "issues": ["no controller is running: `evenkeel run`"],
                "projects": survey.projects,
            })
        }
    };
    if let Some(id) = id {
        keep_only(&mut status, id)?;
    }
    Ok(status)
}

pub(super) fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

pub(super) fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// Leaves one project, or one service of one project.
fn keep_only(status: &mut Value, id: &str) -> anyhow::Result<()> {
    let projects = list(status, "projects").to_vec();
    if let Some(project) = projects.iter().find(|p| text(p, "name") == id) {
        status["projects"] = json!([project]);
        return Ok(());
    }
    let mut found = Vec::new();
    for project in &projects {
        let services = project.get("services").and_then(Value::as_object);
        for (name, service) in services.into_iter().flatten() {
            if name == id || text(service, "id") == id {
                let mut only = project.clone();
                only["services"] = json!({ name: service });
                found.push(only);
            }
        }
    }
    match found.len() {
        0 => bail!("there is no project or service `{id}`"),
        1 => {
            status["projects"] = json!(found);
            Ok(())
        }
        _ => {
            let names: Vec<_> = found.iter().map(|p| format!("{}.{id}", text(p, "name"))).collect();
            bail!("`{id}` names several services; write one of {}", names.join(", "))
        }
    }
}

fn print(status: &Value) {
    let engine = &status["engine"];
    if engine["up"] == json!(true) {
        outln!("engine  {} at {}", text(engine, "version"), text(engine, "address"));
    } else {
        outln!("engine  DOWN: {}", text(engine, "error"));
    }
    if let Some(guard) = status["guard"].as_str() {
        outln!("guard   {guard}; nothing is removed until `evenkeel confirm`");
    }
    for issue in list(status, "issues") {
        outln!("note    {}", issue.as_str().unwrap_or_default());
    }
    for project in list(status, "projects") {
        let revision: String = text(project, "revision").chars().take(12).collect();
        outln!("\n{}  {}  {revision}", text(project, "name"), text(project, "state"));
        if let Some(summary) = project["failed"]["summary"].as_str() {
            outln!("{summary}");
        }
        let mut table = Table::new();
        table.load_preset(NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
        for (name, service) in project["services"].as_object().into_iter().flatten() {
            let restarts = service["restarts"].as_u64().unwrap_or(0);
            let restarts = if restarts > 0 { format!("{restarts} restarts") } else { String::new() };
            let containers: Vec<_> = list(service, "containers").iter().map(|c| text(c, "name")).collect();
            table.add_row([format!("  {name}"), text(service, "summary").to_owned(), restarts, containers.join(" ")]);
        }
        outln!("{table}");
        // Of several images of one registry, or replicas of one service, the same is told.
        let waits: BTreeSet<_> = list(project, "waiting").iter().filter_map(waiting_words).collect();
        for words in &waits {
            outln!("  {words}");
        }
        let services = project["services"].as_object().into_iter().flatten();
        let told: Vec<_> = waits.iter().map(String::as_str).chain(services.map(|(_, s)| text(s, "summary"))).collect();
        for (subject, error) in project["failures"].as_object().into_iter().flatten() {
            let error = error.as_str().unwrap_or_default();
            if !told.iter().any(|told| told.contains(error)) {
                outln!("  failed: {subject}: {error}");
            }
        }
        for diagnostic in list(project, "diagnostics") {
            let place = &diagnostic["place"];
            outln!(
                "  {}: {}:{}:{}: {}",
                text(diagnostic, "severity"),
                text(place, "file"),
                place["line"],
                place["col"],
                text(diagnostic, "message")
            );
        }
    }
}

/// What of the waiting is not in a service's own line.
fn waiting_words(waiting: &Value) -> Option<String> {
    let waiting = Waiting::deserialize(waiting).ok()?;
    match waiting.on {
        // The error is in the service's own line.
        WaitingOn::Backoff { until, attempts, .. } if waiting.service.is_some() => {
            let service = waiting.service.as_ref()?;
            Some(format!("{service} waits for the next attempt at {until:.0} ({attempts} so far)"))
        }
        WaitingOn::Dependency { .. } | WaitingOn::Health | WaitingOn::EngineRestart => None,
        WaitingOn::Suspended if waiting.service.is_some() => None,
        _ => Some(waiting.to_string()),
    }
}
