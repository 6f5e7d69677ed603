//! `evenkeel drift`: fields of what runs that are not what the manifests say.

use std::process::ExitCode;

use anyhow::bail;
use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use serde_json::{Value, json};

use super::Ended;
use super::context::Context;
use super::plan::look;
use super::validate::Format;
use crate::control::{Operation, socket};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Only this project or service
    id: Option<String>,
    /// How to print
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

pub(super) async fn drift(context: &Context, arguments: &Arguments) -> Ended {
    let projects = match socket::ask(&context.state, &Operation::Status).await? {
        Some(answer) => answer?["projects"].take(),
        None => json!(look(context, None).await?.projects),
    };
    let mut all = Vec::new();
    let mut known = arguments.id.is_none();
    for project in projects.as_array().into_iter().flatten() {
        let name = text(project, "name");
        for service in project["services"].as_object().into_iter().flat_map(serde_json::Map::keys) {
            known |= wanted(arguments, name, service);
        }
        for drift in project["drift"].as_array().into_iter().flatten() {
            if wanted(arguments, name, text(drift, "service")) {
                let mut drift = drift.clone();
                drift["service_id"] = format!("{name}.{}", text(&drift, "service")).into();
                drift["project"] = name.into();
                all.push(drift);
            }
        }
    }
    if !known {
        bail!("there is no project or service `{}`", arguments.id.as_deref().unwrap_or_default());
    }
    match arguments.format {
        Format::Json => outln!("{}", serde_json::to_string_pretty(&json!({"drift": all}))?),
        Format::Text => print(&all),
    }
    Ok(ExitCode::SUCCESS)
}

fn wanted(arguments: &Arguments, project: &str, service: &str) -> bool {
    arguments.id.as_deref().is_none_or(|id| id == project || id == service || id == format!("{project}.{service}"))
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn print(all: &[Value]) {
    if all.is_empty() {
        outln!("everything that runs is made as the manifests say");
        return;
    }
    let mut table = Table::new();
    table.load_preset(NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["SERVICE", "FIELD", "DESIRED", "OBSERVED", "REPAIR", "SINCE", "BY"]);
    for drift in all {
        let or_none = |key: &str| drift[key].as_str().unwrap_or("(not set)").to_owned();
        let by = if drift["by_hand"] == json!(true) { "hand" } else { "manifest" };
        table.add_row([
            format!("{}/{}", text(drift, "service_id"), drift["number"]),
            or_none("path"),
            or_none("desired"),
            or_none("observed"),
            or_none("repair"),
            drift["since"].as_str().unwrap_or("").to_owned(),
            by.to_owned(),
        ]);
    }
    outln!("{table}");
}
