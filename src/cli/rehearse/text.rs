//! A rehearsal for people: when each service was up, what happened to it, and what came of the faults.

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};

use crate::rehearsal::report::{Look, Rehearsal, ServiceRow};
use crate::rehearsal::time;

/// So many incidents of a service are told one by one.
const TOLD: usize = 2;

pub(super) fn print(rehearsal: &Rehearsal) {
    outln!("{}", rehearsal.headline());
    for unfinished in &rehearsal.unfinished {
        outln!("  not done: {unfinished}");
    }
    for project in &rehearsal.projects {
        outln!("\n{}", project.name);
        let mut table = table();
        table.add_row(["  service", "up after", "restarts", "at the end", "what happened"]);
        for service in &project.services {
            let up = service.up_ms.map_or("never".to_owned(), time);
            let end = service.spans.last().filter(|s| s.until_ms == rehearsal.length_ms);
            let end = end.map_or("gone", |s| s.look.as_str());
            let restarts = if service.restarts > 0 { service.restarts.to_string() } else { String::new() };
            table.add_row([format!("  {}", service.name), up, restarts, end.to_owned(), incidents(service)]);
        }
        outln!("{}", trimmed(&table));
    }
    if !rehearsal.markers.is_empty() {
        outln!("\nwhat happened");
        let mut table = table();
        for marker in &rehearsal.markers {
            table.add_row([format!("  {}", time(marker.at_ms)), marker.text.clone(), marker.outcome()]);
        }
        outln!("{}", trimmed(&table));
    }
    let (calls, restarts) = (&rehearsal.calls, &rehearsal.restarts);
    outln!(
        "\n{} rehearsed with seed {}: {} changes at the Engine, {} looks; {} restarts by the controller, {} by the Engine",
        time(rehearsal.length_ms),
        rehearsal.seed,
        calls.changes,
        calls.looks,
        restarts.controller,
        restarts.engine
    );
    outln!("{}", rehearsal.images_note());
    if !rehearsal.made_beforehand.is_empty() {
        outln!("There from the beginning: {}.", rehearsal.made_beforehand.join(", "));
    }
}

fn table() -> Table {
    let mut table = Table::new();
    table.load_preset(NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table
}

fn trimmed(table: &Table) -> String {
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

/// When it was not as it should be, after it had been once.
fn incidents(service: &ServiceRow) -> String {
    let bad = |look| matches!(look, Look::Down | Look::Failed | Look::Unhealthy | Look::Paused);
    let mut told = Vec::new();
    let mut more = 0;
    let mut spans = service.spans.iter().peekable();
    while let Some(span) = spans.next() {
        if !bad(span.look) || service.up_ms.is_none_or(|up| span.from_ms < up) {
            continue;
        }
        // Down, starting, down again: until it is up it is one.
        let mut until = span.until_ms;
        while let Some(next) = spans.next_if(|s| !s.look.is_up()) {
            until = next.until_ms;
        }
        if told.len() < TOLD {
            let lasted = time(until - span.from_ms);
            told.push(format!("{} at {} for {lasted}", span.look.as_str(), time(span.from_ms)));
        } else {
            more += 1;
        }
    }
    if more > 0 {
        told.push(format!("{more} more"));
    }
    told.join(", ")
}
