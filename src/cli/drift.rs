//! `evenkeel drift`: fields of what runs that are not what the manifests say.

use std::process::ExitCode;

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use serde_json::{Value, json};

use super::Ended;
use super::context::Context;
use super::status::{about, list, text};
use super::validate::Format;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Only this project or service
    id: Option<String>,
    /// How to print
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

pub(super) async fn drift(context: &Context, arguments: &Arguments) -> Ended {
    let status = about(context, arguments.id.as_deref()).await?;
    let mut all = Vec::new();
    for project in list(&status, "projects") {
        let name = text(project, "name");
        // What was asked for is what is left of the services.
        let wanted = |drift: &&Value| match drift.get("service") {
            Some(service) => project["services"].get(service.as_str().unwrap_or_default()).is_some(),
            None => true,
        };
        for drift in list(project, "drift").iter().filter(wanted) {
            let mut drift = drift.clone();
            if drift.get("service").is_some() {
                drift["service_id"] = format!("{name}.{}", text(&drift, "service")).into();
            }
            drift["project"] = name.into();
            all.push(drift);
        }
    }
    match arguments.format {
        Format::Json => outln!("{}", serde_json::to_string_pretty(&json!({"drift": all}))?),
        Format::Text => {
            // What runs is compared with the revision that is in force then.
            let failed = list(&status, "projects").iter().filter_map(|p| p["failed"]["summary"].as_str());
            failed.for_each(|summary| outln!("{summary}"));
            print(&all);
        }
    }
    Ok(ExitCode::SUCCESS)
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
            match drift.get("service_id") {
                Some(_) => format!("{}/{}", text(drift, "service_id"), drift["number"]),
                None => text(drift, "project").to_owned(),
            },
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
