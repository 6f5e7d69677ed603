//! What the controller does, a line a step.

use std::io::{IsTerminal, Write};
use std::sync::Mutex;

use crate::control::publish::{Notice, Observer};
use crate::decide::{Action, Cause};
use crate::model::Timestamp;
use crate::model::event::{EventType, Severity};

/// Prints lines to standard output.
pub(super) struct Console {
    colour: bool,
    last: Mutex<String>,
}

impl Console {
    pub(super) fn new() -> Self {
        let colour = std::io::stdout().is_terminal();
        Self { colour, last: Mutex::new(String::new()) }
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
}

/// A step in a few words: what was done to what.
fn deed(action: &Action) -> String {
    match action {
        Action::CreateContainer { name, .. } => format!("created {name}"),
        Action::StartContainer { service, number, .. } => format!("started {service}/{number}"),
        Action::StopContainer { service, number, .. } => format!("stopped {service}/{number}"),
        Action::RemoveContainer { service, number, .. } => format!("removed {service}/{number}"),
        Action::RenameContainer { service, number, name, .. } => format!("renamed {service}/{number} to {name}"),
        Action::ConnectNetwork { service, number, key, .. } => format!("connected {service}/{number} to {key}"),
        Action::DisconnectNetwork { service, number, name, .. } => {
            format!("disconnected {service}/{number} from {name}")
        }
        Action::UpdateContainer { service, number, .. } => format!("updated {service}/{number} in place"),
        Action::UnpauseContainer { service, number, .. } => format!("unpaused {service}/{number}"),
        Action::RunHooks { service, number, .. } => format!("ran the hooks of {service}/{number}"),
        Action::SignalContainer { service, number, signal, .. } => format!("sent {signal} to {service}/{number}"),
        Action::CreateNetwork { name, .. } => format!("created network {name}"),
        Action::RemoveNetwork { name, .. } => format!("removed network {name}"),
        Action::CreateVolume { name, .. } => format!("created volume {name}"),
        Action::RemoveVolume { name } => format!("removed volume {name}"),
        Action::BuildImage { image, .. } => format!("built {image}"),
        Action::PullImage { image } => format!("pulled {image}"),
    }
}

impl Observer for Console {
    fn notice(&self, notice: &Notice<'_>) {
        match notice {
            Notice::StepStarted { project, step: crate::decide::Step { action: Action::PullImage { image }, .. } } => {
                self.line("·", "36", &format!("{project}: pulling {image}"));
            }
            Notice::StepStarted {
                project,
                step: crate::decide::Step { action: Action::BuildImage { image, .. }, .. },
            } => {
                self.line("·", "36", &format!("{project}: building {image}"));
            }
            Notice::StepEnded { project, step, took, error: None } => {
                let why = match step.cause {
                    Cause::Missing | Cause::Ready => String::new(),
                    ref cause => format!(" because {cause}"),
                };
                self.line("·", "36", &format!("{project}: {}{why} ({} ms)", deed(&step.action), took.as_millis()));
            }
            Notice::Event(event) => {
                let about = event.service_id.as_deref().or(event.project.as_deref());
                let text = match about {
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
                let mut last = self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                if *last != text || event.severity == Severity::Info {
                    self.line(mark, colour, &text);
                }
                *last = text;
            }
            _ => {}
        }
    }
}
