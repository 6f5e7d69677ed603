//! The page that shows a rehearsal: one file without scripts and without anything from elsewhere.

/// Writes into a string, which cannot fail.
macro_rules! put {
    ($to:expr, $($what:tt)*) => {{
        let _ = write!($to, $($what)*);
    }};
}

mod rows;

use std::collections::BTreeSet;
use std::fmt::Write;

use self::rows::{class, timeline};
use super::report::{Look, Marker, Rehearsal};
use super::scale::Scale;
use super::words::time;
use crate::model::event::Severity;

const TEMPLATE: &str = include_str!("page.html");
/// More than this nobody reads on a page; the JSON has all.
const ROWS: usize = 1_000;

/// The report as one HTML page that needs nothing else.
pub fn page(rehearsal: &Rehearsal) -> String {
    let scale = Scale::new(moments(rehearsal), rehearsal.length_ms);
    let parts = [
        ("TITLE", escape(&format!("Rehearsal: {}", rehearsal.headline()))),
        ("CLASS", if rehearsal.converged { "good" } else { "bad" }.to_owned()),
        ("VERDICT", escape(&rehearsal.headline())),
        ("FACTS", facts(rehearsal)),
        ("UNFINISHED", unfinished(rehearsal)),
        ("MARKERS", markers(rehearsal)),
        ("LEGEND", legend(rehearsal)),
        ("TIMELINE", timeline(rehearsal, &scale)),
        ("STEPS", steps(rehearsal)),
        ("EVENTS", events(rehearsal)),
        ("NOTES", notes(rehearsal)),
    ];
    // One pass: what stands for something in a manifest's text is only text.
    let mut page = String::with_capacity(TEMPLATE.len() * 4);
    let mut rest = TEMPLATE;
    while let Some((before, after)) = rest.split_once("{{") {
        page.push_str(before);
        let (name, after) = after.split_once("}}").unwrap_or((after, ""));
        page.push_str(parts.iter().find(|(n, _)| *n == name).map_or("", |(_, text)| text));
        rest = after;
    }
    page.push_str(rest);
    page
}

/// Text as HTML, in elements and in quoted attributes.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

fn moments(rehearsal: &Rehearsal) -> BTreeSet<u64> {
    let spans = rehearsal.projects.iter().flat_map(|p| &p.services).flat_map(|s| &s.spans);
    let mut moments: BTreeSet<u64> = spans.flat_map(|s| [s.from_ms, s.until_ms]).collect();
    for marker in &rehearsal.markers {
        moments.extend([Some(marker.at_ms), marker.until_ms].into_iter().flatten());
    }
    moments
}

fn plural(count: usize, one: &str) -> String {
    format!("{count} {one}{}", if count == 1 { "" } else { "s" })
}

fn facts(rehearsal: &Rehearsal) -> String {
    let services = rehearsal.projects.iter().map(|p| p.services.len()).sum();
    let restarts = &rehearsal.restarts;
    let facts = [
        (plural(services, "service"), format!("in {}", plural(rehearsal.projects.len(), "project"))),
        (
            plural(usize::try_from(rehearsal.calls.changes).unwrap_or(usize::MAX), "change"),
            format!("at the Engine, {} looks", rehearsal.calls.looks),
        ),
        (
            plural(usize::try_from(restarts.controller + restarts.engine).unwrap_or(usize::MAX), "restart"),
            format!("{} by the controller, {} by the Engine", restarts.controller, restarts.engine),
        ),
        (time(rehearsal.length_ms), format!("rehearsed, seed {}", rehearsal.seed)),
    ];
    let mut html = String::new();
    for (what, more) in facts {
        put!(html, "<li><b>{}</b> {}</li>", escape(&what), escape(&more));
    }
    html
}

fn unfinished(rehearsal: &Rehearsal) -> String {
    let mut html = String::new();
    for text in &rehearsal.unfinished {
        put!(html, "<li>{}</li>", escape(text));
    }
    if html.is_empty() { html } else { format!("<ul class=\"unfinished\">{html}</ul>") }
}

fn markers(rehearsal: &Rehearsal) -> String {
    let mut html = String::new();
    for (n, marker) in rehearsal.markers.iter().enumerate() {
        put!(
            html,
            "<li class=\"{}\"><span class=\"no\">{}</span><span><b>{}</b> {}<br><span class=\"{}\">{}</span></span></li>",
            kind(marker),
            n + 1,
            time(marker.at_ms),
            escape(&marker.text),
            if marker.is_answered() { "well" } else { "ill" },
            escape(&marker.outcome()),
        );
    }
    if html.is_empty() { html } else { format!("<ol class=\"markers\" aria-label=\"What happens\">{html}</ol>") }
}

fn kind(marker: &Marker) -> &'static str {
    if marker.kind == "manifest" { "manifest" } else { "fault" }
}

fn legend(rehearsal: &Rehearsal) -> String {
    let spans = || rehearsal.projects.iter().flat_map(|p| &p.services).flat_map(|s| &s.spans);
    let mut html = String::new();
    for look in Look::ALL.into_iter().filter(|look| spans().any(|s| s.look == *look)) {
        put!(html, "<li><i class=\"bar {}\"></i>{}</li>", class(look), look.as_str());
    }
    html
}

fn left_out(html: &mut String, all: usize, columns: usize) {
    if all > ROWS {
        put!(html, "<tr><td colspan=\"{columns}\">… and {} more; the JSON has all of them</td></tr>", all - ROWS);
    }
}

fn steps(rehearsal: &Rehearsal) -> String {
    let mut html = String::new();
    for step in rehearsal.steps.iter().take(ROWS) {
        let who = step.service.as_deref().unwrap_or(&step.project);
        let took = step.took_ms.map_or("—".to_owned(), time);
        put!(
            html,
            "<tr{}><td>{}</td><td>{took}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            if step.error.is_some() { " class=\"error\"" } else { "" },
            time(step.at_ms),
            escape(who),
            escape(&step.text),
            escape(&match &step.error {
                Some(error) => format!("{}. FAILED: {error}", step.because),
                None => step.because.clone(),
            }),
        );
    }
    left_out(&mut html, rehearsal.steps.len(), 5);
    html
}

fn events(rehearsal: &Rehearsal) -> String {
    let mut html = String::new();
    for event in rehearsal.events.iter().take(ROWS) {
        let (class, word) = match event.severity {
            Severity::Info => ("info", "info"),
            Severity::Warning => ("warning", "warning"),
            Severity::Error => ("error", "error"),
        };
        put!(
            html,
            "<tr class=\"{class}\"><td>{}</td><td>{word}</td><td>{}</td><td>{}</td></tr>",
            time(event.at_ms),
            escape(event.about.as_deref().unwrap_or("")),
            escape(&event.message),
        );
    }
    left_out(&mut html, rehearsal.events.len(), 4);
    html
}

fn notes(rehearsal: &Rehearsal) -> String {
    let mut html = format!("<p>{}</p>", escape(&rehearsal.images_note()));
    if !rehearsal.made_beforehand.is_empty() {
        put!(html, "<p>There from the beginning: {}.</p>", escape(&rehearsal.made_beforehand.join(", ")));
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rehearsal::report::{Because, Calls, EventRow, ProjectRow, Restarts, ServiceRow, Span, StepRow};

    const SCRIPT: &str = "<script>alert('\"&{{EVENTS}}\"')</script>";

    #[test]
    fn text_of_manifests_is_only_text() {
        let evil = || SCRIPT.to_owned();
        let because = vec![Because { at_ms: 0, text: evil() }];
        let spans = vec![Span { from_ms: 0, until_ms: 5, look: Look::Failed, because }];
        let service = ServiceRow { id: evil(), name: evil(), replicas: 2, job: true, up_ms: None, restarts: 0, spans };
        let marker = Marker {
            at_ms: 1,
            until_ms: None,
            kind: "kill",
            text: evil(),
            missed: false,
            disturbed: true,
            converged_again_ms: None,
        };
        let step = StepRow {
            at_ms: 1,
            took_ms: None,
            project: evil(),
            service: Some(evil()),
            kind: "start_container",
            text: evil(),
            because: evil(),
            error: Some(evil()),
        };
        let event = EventRow {
            at_ms: 1,
            event_type: crate::model::event::EventType::ServiceUp,
            severity: Severity::Error,
            about: Some(evil()),
            message: evil(),
        };
        let page = page(&Rehearsal {
            seed: 1,
            length_ms: 10,
            converged: false,
            unfinished: vec![evil()],
            first_converged_ms: None,
            calls: Calls::default(),
            restarts: Restarts::default(),
            images: vec![evil()],
            made_beforehand: vec![evil()],
            markers: vec![marker],
            unsettled: Vec::new(),
            engine_away: Vec::new(),
            controller_away: Vec::new(),
            projects: vec![ProjectRow { name: evil(), services: vec![service] }],
            steps: vec![step],
            events: vec![event],
        });
        assert!(!page.contains("<script") && !page.contains("alert('"), "{page}");
        assert!(page.contains("&lt;script&gt;alert(&#39;&quot;&amp;{{EVENTS}}&quot;&#39;)&lt;/script&gt;"));
    }
}
