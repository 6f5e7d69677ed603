//! The timeline of the page: a row a service, a bar for each look.

use std::fmt::Write;

use super::super::report::{Look, Rehearsal, ServiceRow, Span, Stretch};
use super::super::scale::Scale;
use super::super::words::time;
use super::{escape, kind};

/// What a tick's text takes of a narrow page's width, in parts of a hundred.
const ROOM: f64 = 13.0;

/// The name of a look in the style sheet.
pub(super) fn class(look: Look) -> String {
    look.as_str().replace(' ', "-")
}

/// Where something is on both scales, for the style sheet to choose from.
fn place(scale: &Scale, from: u64, until: u64) -> String {
    let (l, w) = (scale.squeezed(from), scale.squeezed(until) - scale.squeezed(from));
    let (le, we) = (scale.even(from), scale.even(until) - scale.even(from));
    format!("--l:{l:.3}%;--w:{w:.3}%;--le:{le:.3}%;--we:{we:.3}%")
}

pub(super) fn timeline(rehearsal: &Rehearsal, scale: &Scale) -> String {
    let mut html = String::new();
    put!(html, "<div class=\"back\" aria-hidden=\"true\">");
    for (from, until) in scale.quiet() {
        put!(html, "<i class=\"quiet\" style=\"{}\"></i>", place(scale, from, until));
    }
    for (class, ticks) in [("sq", scale.ticks(Scale::squeezed)), ("ev", scale.ticks(Scale::even))] {
        let mut last = f64::NEG_INFINITY;
        for at in ticks {
            let x = if class == "sq" { scale.squeezed(at) } else { scale.even(at) };
            // On a narrow page there is room for half of them.
            let fine = x - last < ROOM || x > 100.0 - ROOM / 1.5;
            last = if fine { last } else { x };
            let fine = if fine { " fine" } else { "" };
            put!(html, "<i class=\"tick {class}{fine}\" style=\"{}\"><b>{}</b></i>", place(scale, at, at), tick(at));
        }
    }
    for (n, marker) in rehearsal.markers.iter().enumerate() {
        let until = marker.until_ms.unwrap_or(marker.at_ms).min(rehearsal.length_ms);
        put!(
            html,
            "<i class=\"flag {}\" style=\"{}\"><b>{}</b></i>",
            kind(marker),
            place(scale, marker.at_ms, until),
            n + 1
        );
    }
    html.push_str("</div>");
    for (name, away, word) in
        [("Engine", &rehearsal.engine_away, "away"), ("controller", &rehearsal.controller_away, "away")]
    {
        if !away.is_empty() {
            host_row(&mut html, name, away, word, scale);
        }
    }
    for project in &rehearsal.projects {
        put!(html, "<h3>{}</h3>", escape(&project.name));
        for service in &project.services {
            row(&mut html, service, scale);
        }
    }
    html
}

/// A tick's text, as short as can be.
fn tick(at: u64) -> String {
    if at == 0 { "0".to_owned() } else { time(at).replace(' ', "") }
}

fn host_row(html: &mut String, name: &str, away: &[Stretch], word: &str, scale: &Scale) {
    put!(
        html,
        "<div class=\"row host\"><div class=\"name\">{name}</div><div class=\"track\" role=\"list\" aria-label=\"{name}\">"
    );
    for stretch in away {
        let lasted = time(stretch.until_ms - stretch.from_ms);
        put!(
            html,
            "<div class=\"bar down\" role=\"listitem\" tabindex=\"0\" style=\"{}\"><b>{word}</b>{}</div>",
            place(scale, stretch.from_ms, stretch.until_ms),
            tip(
                scale,
                stretch.from_ms,
                stretch.until_ms,
                &format!("{name} {word}"),
                &format!("from {} for {lasted}", time(stretch.from_ms)),
                &[]
            ),
        );
    }
    html.push_str("</div></div>");
}

fn row(html: &mut String, service: &ServiceRow, scale: &Scale) {
    let (name, id) = (escape(&service.name), escape(&service.id));
    put!(html, "<div class=\"row\"><div class=\"name\" title=\"{id}\">{name}");
    if service.replicas > 1 {
        put!(html, " <small>×{}</small>", service.replicas);
    }
    if service.job {
        html.push_str(" <small>job</small>");
    }
    put!(html, "</div><div class=\"track\" role=\"list\" aria-label=\"{id}\">");
    for span in &service.spans {
        bar(html, service, span, scale);
    }
    html.push_str("</div></div>");
}

fn bar(html: &mut String, service: &ServiceRow, span: &Span, scale: &Scale) {
    let word = span.look.as_str();
    let lasted = time(span.until_ms - span.from_ms);
    let when = format!("from {} for {lasted}", time(span.from_ms));
    let label = if span.look == Look::Waiting { awaited(span).unwrap_or(word) } else { word };
    let because: Vec<(String, &str)> = span.because.iter().map(|b| (time(b.at_ms), b.text.as_str())).collect();
    put!(
        html,
        "<div class=\"bar {}\" role=\"listitem\" tabindex=\"0\" style=\"{}\"><b>{}</b>{}</div>",
        class(span.look),
        place(scale, span.from_ms, span.until_ms),
        escape(label),
        tip(scale, span.from_ms, span.until_ms, &format!("{} {word}", service.name), &when, &because),
    );
}

/// What is waited for, in short: that is worth more than that something is.
fn awaited(span: &Span) -> Option<&str> {
    let (_, what) = span.because.first()?.text.split_once("waits ")?;
    Some(what.split([':', ';', '(']).next()?.trim_end())
}

/// What is shown of a bar to whoever points at it, and read out to whoever cannot see it.
fn tip(scale: &Scale, from: u64, until: u64, head: &str, when: &str, because: &[(String, &str)]) -> String {
    let middle = (scale.squeezed(from) + scale.squeezed(until)) / 2.0;
    let side = if middle > 50.0 { " left" } else { "" };
    let mut html = format!("<span class=\"tip{side}\"><strong>{}</strong> {when}", escape(head));
    // Of a crash that repeats itself the last reasons tell enough.
    let left_out = because.len().saturating_sub(8);
    if left_out > 0 {
        put!(html, "<br>… {left_out} earlier reasons");
    }
    for (at, text) in because.iter().skip(left_out) {
        put!(html, "<br><small>{at}</small> {}", escape(text));
    }
    html.push_str("</span>");
    html
}
