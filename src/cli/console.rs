//! What the controller does, a line a step. Printed by a thread of its own: a pipe that nobody reads holds up nothing else.

use std::io::{IsTerminal, Write};
use std::thread::JoinHandle;

use crate::control::publish::{Follower, Heard};
use crate::model::Timestamp;
use crate::model::event::{EventType, Severity};
use crate::model::ledger::Subject;
use crate::model::record::{Record, RecordData};

/// Prints lines to standard output.
pub(super) struct Console {
    colour: bool,
    last: String,
}

impl Console {
    /// Prints what is told from now on, until the controller has ended.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn follow(mut follower: Follower) -> std::io::Result<JoinHandle<()>> {
        std::thread::Builder::new().name("console".to_owned()).spawn(move || {
            let mut console = Self { colour: std::io::stdout().is_terminal(), last: String::new() };
            while let Some(heard) = follower.blocking_next() {
                match heard {
                    Heard::Record(record) => console.show(&record),
                    Heard::Missed(count) => console.line("!", "33", &format!("{count} lines were left out")),
                }
            }
        })
    }

    fn line(&self, mark: &str, colour: &str, text: &str) {
        let time = Timestamp::now().strftime("%H:%M:%S").to_string();
        let line = if self.colour {
            format!("\x1b[2m{time}\x1b[0m \x1b[{colour}m{mark}\x1b[0m {text}")
        } else {
            format!("{time} {mark} {text}")
        };
        // Who reads may be gone; that is no reason to stop.
        let _ = writeln!(std::io::stdout().lock(), "{line}");
    }

    fn show(&mut self, record: &Record) {
        let project = record.project.as_ref().map_or("", |project| project.as_str());
        match &record.data {
            // These take their time.
            RecordData::StepStarted { step } => {
                if let Subject::Image(image) = &step.subject {
                    let what = if step.action == "build_image" { "building" } else { "pulling" };
                    self.line("·", "36", &format!("{project}: {what} {image}"));
                }
            }
            RecordData::StepEnded { step, took_us, error: None } => {
                let why = if step.is_routine { String::new() } else { format!(" because {}", step.cause) };
                self.line("·", "36", &format!("{project}: {}{why} ({} ms)", step.done, took_us / 1000));
            }
            _ => self.show_event(record),
        }
    }

    fn show_event(&mut self, record: &Record) {
        let Some(event) = record.event() else { return };
        let text = match event.service_id.as_deref().or(event.project.as_deref()) {
            Some(about) => format!("{about}: {}", event.message),
            None => event.message.clone(),
        };
        let (mark, colour) = match (event.severity, event.event_type) {
            // The step that did it has its line.
            (_, EventType::ServiceRestarted) => return,
            (Severity::Info, EventType::Converged | EventType::ServiceUp) => ("✓", "32"),
            (Severity::Info, _) => ("·", "36"),
            (Severity::Warning, _) => ("!", "33"),
            (Severity::Error, _) => ("✗", "31"),
        };
        if self.last != text || event.severity == Severity::Info {
            self.line(mark, colour, &text);
        }
        self.last = text;
    }
}
