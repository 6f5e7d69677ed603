//! Progress: one line a service on a terminal, plain lines where the output is piped.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::control::publish::Snapshot;
use crate::model::state::ServiceState;

/// Shows how services get on.
pub(super) struct Progress {
    began: Instant,
    bars: Option<MultiProgress>,
    lines: BTreeMap<String, Line>,
}

struct Line {
    bar: Option<ProgressBar>,
    shown: String,
}

impl Progress {
    pub(super) fn new() -> Self {
        let bars = std::io::stdout().is_terminal().then(MultiProgress::new);
        Self { began: Instant::now(), bars, lines: BTreeMap::new() }
    }

    /// Takes in a snapshot.
    pub(super) fn show(&mut self, snapshot: &Snapshot) {
        let after = self.began.elapsed();
        for (name, project) in &snapshot.projects {
            for service in project.services.values() {
                let mut words = service.summary.clone();
                for (step, doing) in [("pull image", "pulling"), ("build image", "building")] {
                    if let Some(image) = &service.image
                        && project.in_flight.contains(&format!("{step} {image}"))
                    {
                        words = format!("{doing} {image}");
                    }
                }
                self.line(&service.id, &words, &service.state, after);
            }
            let waiting: Vec<String> =
                project.waiting.iter().filter(|w| w.service.is_none()).map(ToString::to_string).collect();
            if !waiting.is_empty() {
                let state = ServiceState::Waiting { on: String::new() };
                self.line(name.as_str(), &waiting.join("; "), &state, after);
            }
        }
    }

    fn line(&mut self, id: &str, words: &str, state: &ServiceState, after: Duration) {
        let bars = self.bars.as_ref();
        let line = self.lines.entry(id.to_owned()).or_insert_with(|| {
            let bar = bars.map(|bars| {
                let bar = bars.add(ProgressBar::new_spinner());
                bar.set_style(style(false));
                bar.set_prefix(id.to_owned());
                bar.enable_steady_tick(Duration::from_millis(100));
                bar
            });
            Line { bar, shown: String::new() }
        });
        if line.shown == words {
            return;
        }
        words.clone_into(&mut line.shown);
        let seconds = after.as_secs_f64();
        match &line.bar {
            None => outln!("{seconds:>7.1}s  {id}  {words}"),
            Some(bar) => {
                let settled = matches!(state, ServiceState::Running { .. } | ServiceState::Completed);
                bar.set_style(style(settled));
                bar.set_message(format!("{words}  {seconds:.1}s"));
                if settled {
                    bar.disable_steady_tick();
                    bar.tick();
                }
            }
        }
    }

    /// Leaves the last state of all lines on the screen.
    pub(super) fn finish(&self) {
        for bar in self.lines.values().filter_map(|l| l.bar.as_ref()) {
            bar.abandon();
        }
    }
}

fn style(settled: bool) -> ProgressStyle {
    let template = if settled { "{prefix:<24!} ✓ {wide_msg}" } else { "{prefix:<24!} {spinner} {wide_msg}" };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}
