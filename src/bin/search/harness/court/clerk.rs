//! The court's eyes and hands: it hears of every call, event and decision, and lets go wrong what is planned.

use std::time::Duration;

use evenkeel::control::publish::Observer;
use evenkeel::decide::{Action, Cause, Decision, Input, Step, lint};
use evenkeel::engine::sim::{self, Call, Director, World};
use evenkeel::engine::{EngineError, EngineEvent, EventKind};
use evenkeel::model::ProjectName;
use evenkeel::model::event::EventType;
use evenkeel::model::record::Record;

use super::super::scenario::{Fate, Fault, Upset};
use super::Clerk;

impl Director for Clerk {
    fn upset(&mut self, call: &Call, world: &World) -> Option<sim::Upset> {
        let mut court = self.court();
        court.now = world.now();
        if let Call::Start { id } = call {
            let now = court.now;
            court.asked.insert(id.clone(), now);
        }
        if let Call::Stop { id } = call {
            court.asked_to_stop(id, world);
        }
        let class = usize::from(!call.mutates());
        let number = court.calls[class];
        court.calls[class] += 1;
        if court.calm {
            return None;
        }
        let planned = court.faults.iter().find_map(|fault| match fault {
            Fault::Call { mutating, nth, upset } if *mutating == call.mutates() && *nth == number => {
                Some((fault.kind(), *upset))
            }
            _ => None,
        });
        let (kind, upset) = planned?;
        // That something is not there any more is the truth when it was to be removed.
        if matches!(
            (call, upset),
            (Call::Remove { .. } | Call::RemoveNetwork { .. } | Call::Stop { .. }, Upset::Missing)
        ) {
            return None;
        }
        court.fire(kind);
        court.say(|| format!("  ! {call}: {upset:?}"));
        if let Call::Inspect { id } | Call::Start { id } = call {
            // Nobody may have seen how it ended, and whoever may run is not done.
            let known = court.known.get(id).cloned();
            court.done.retain(|key, _| Some(key) != known.as_ref());
            court.unanswered.insert(id.clone());
        }
        let ms = |n: u32| Duration::from_millis(n.into());
        Some(match upset {
            Upset::FailsAfterEffect => sim::Upset::Fails { effect: true },
            Upset::FailsWithoutEffect => sim::Upset::Fails { effect: false },
            Upset::SilentAfterEffect => sim::Upset::Silent { effect: true },
            Upset::SilentWithoutEffect => sim::Upset::Silent { effect: false },
            Upset::Behind { ms: by } => sim::Upset::Behind { by: ms(by) },
            Upset::Missing => sim::Upset::Missing,
            Upset::DiesAfterEffect => sim::Upset::Dies { effect: true },
            Upset::DiesWithoutEffect => sim::Upset::Dies { effect: false },
            Upset::Slow { ms: by } => sim::Upset::Slow { by: ms(by) },
        })
    }

    fn fate(&mut self, event: &EngineEvent) -> sim::Fate {
        let mut court = self.court();
        let number = court.events;
        court.events += 1;
        if court.calm {
            return sim::Fate::Told;
        }
        let planned = court.faults.iter().find_map(|fault| match fault {
            Fault::Event { nth, fate } if *nth == number => Some((fault.kind(), *fate)),
            _ => None,
        });
        let Some((kind, fate)) = planned else { return sim::Fate::Told };
        court.fire(kind);
        court.say(|| format!("  ! {fate:?}: {:?}", event.kind));
        court.deaf = true;
        // Nobody may have seen it.
        court.done.clear();
        match fate {
            Fate::Lost => sim::Fate::Lost,
            Fate::Twice => sim::Fate::Twice,
            Fate::Late { ms } => sim::Fate::Late(Duration::from_millis(ms.into())),
        }
    }

    fn taking_effect(&mut self, call: &Call, world: &World) {
        let mut court = self.court();
        court.now = world.now();
        court.note(world);
        court.check_before(call, world);
    }

    fn took_effect(&mut self, call: &Call, world: &World, error: Option<&EngineError>) {
        let mut court = self.court();
        court.now = world.now();
        if let (Call::Start { id }, None) = (call, error) {
            court.ours.insert(id.clone());
        }
        court.say(|| {
            let name = call.container().and_then(|id| world.container(id)).map(|c| format!(" [{}]", c.name));
            let error = error.map(|e| format!(": {e}")).unwrap_or_default();
            format!("{call}{}{error}", name.unwrap_or_default())
        });
    }

    fn happened(&mut self, event: &EngineEvent, world: &World) {
        let mut court = self.court();
        court.now = world.now();
        court.note(world);
        if let EventKind::Container { id, action, .. } = &event.kind {
            court.say(|| {
                let name = world.container(id).map_or_else(|| id.short().to_owned(), |c| c.name.clone());
                format!("    {name} {action:?}")
            });
            court.on_container(id, action, world);
        }
    }
}

impl Observer for Clerk {
    fn begins(&self, project: &ProjectName, step: &Step) {
        let mut court = self.court();
        if let (Action::StartContainer { container, .. }, Cause::FallBack) = (&step.action, &step.cause) {
            court.fallbacks.insert(container.clone());
        }
        court.say(|| format!("> {project}: {}: {}", step.action, cause(&step.cause)));
    }

    fn ended(&self, project: &ProjectName, step: &Step, error: Option<&str>) {
        if let Some(error) = error {
            self.court().say(|| format!("< {project}: {}: {error}", step.action));
        }
    }

    fn record(&self, record: &Record) {
        let Some(event) = record.event() else { return };
        let mut court = self.court();
        if matches!(event.event_type, EventType::EngineUp | EventType::EngineDown) {
            court.absent = event.event_type == EventType::EngineDown;
            court.down();
        }
        court.say(|| {
            let message = if event.message.starts_with("revision ") { "" } else { &event.message };
            format!("* {:?} {} {message}", event.event_type, event.project.as_deref().unwrap_or_default())
        });
    }

    fn decided(&self, input: &Input<'_>, decision: &Decision) {
        let broken = lint(input, decision);
        let mut court = self.court();
        court.decisions += 1;
        for violation in broken {
            court.violation(violation.to_string());
        }
    }
}

/// Why, without hashes: those depend on the folder.
fn cause(cause: &Cause) -> String {
    match cause {
        Cause::ConfigChanged { .. } => "its configuration changed".to_owned(),
        other => other.to_string(),
    }
}
