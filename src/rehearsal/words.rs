//! A rehearsal in words.

use super::report::{Marker, Rehearsal};
use crate::model::event::EventType;

/// A time for people: `840ms`, `8.1s`, `2m 5s`. What is less than its last digit is left out.
pub fn time(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms}ms"),
        1_000..60_000 if ms % 1_000 < 100 => format!("{}s", ms / 1_000),
        1_000..60_000 => format!("{}.{}s", ms / 1_000, ms % 1_000 / 100),
        _ => {
            let (minutes, seconds, tenths) = (ms / 60_000, ms % 60_000 / 1_000, ms % 1_000 / 100);
            match (seconds, tenths) {
                (0, 0) => format!("{minutes}m"),
                (_, 0) => format!("{minutes}m {seconds}s"),
                _ => format!("{minutes}m {seconds}.{tenths}s"),
            }
        }
    }
}

impl Rehearsal {
    /// How it came out, in a line.
    pub fn headline(&self) -> String {
        let faults = self.markers.iter().filter(|m| m.disturbed);
        let slowest = faults.filter_map(|m| Some(m.converged_again_ms? - m.at_ms)).max();
        match (self.converged, self.first_converged_ms, slowest) {
            (true, Some(first), None) => format!("converged after {}", time(first)),
            (true, Some(first), Some(slowest)) => {
                format!("converged after {}, and again within {} of whatever happened", time(first), time(slowest))
            }
            (_, Some(first), _) => format!("converged after {}, but not at the end", time(first)),
            (_, None, _) => "never converged".to_owned(),
        }
    }

    /// What was not looked at, in a line.
    pub fn images_note(&self) -> String {
        format!("Not checked: that the images can be had ({}).", self.images.join(", "))
    }

    /// Writes other texts in the place of these.
    pub(super) fn show_as(&mut self, names: &[(String, String)]) {
        let change = |text: &mut String| {
            for (from, to) in names {
                *text = text.replace(from.as_str(), to);
            }
        };
        self.unfinished.iter_mut().for_each(change);
        for event in &mut self.events {
            // A revision's hash holds the paths of files, which may be others each time.
            if event.event_type == EventType::RevisionLoaded
                && let Some((_, rest)) = event.message.split_once(" of ")
            {
                event.message = format!("a new revision of {rest}");
            }
            change(&mut event.message);
        }
        let spans = self.projects.iter_mut().flat_map(|p| &mut p.services).flat_map(|s| &mut s.spans);
        spans.flat_map(|s| &mut s.because).for_each(|b| change(&mut b.text));
        for step in &mut self.steps {
            change(&mut step.text);
            change(&mut step.because);
            step.error.iter_mut().for_each(change);
        }
    }
}

impl Marker {
    /// Whether everything was well again.
    pub fn is_answered(&self) -> bool {
        self.converged_again_ms.is_some()
    }

    /// What came of it, in words.
    pub fn outcome(&self) -> String {
        match self.converged_again_ms {
            _ if self.missed => "nothing of it ran then".to_owned(),
            _ if !self.disturbed => "nothing else changed".to_owned(),
            Some(again) => format!("everything well again after {}", time(again - self.at_ms)),
            None => "not everything was well again".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short() {
        let shown = [0, 999, 1_000, 1_234, 60_000, 65_040, 65_500, 600_000].map(time);
        assert_eq!(shown, ["0ms", "999ms", "1s", "1.2s", "1m", "1m 5s", "1m 5.5s", "10m"]);
    }
}
