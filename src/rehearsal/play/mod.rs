//! A rehearsal from its beginning to its end: the manifests, the faults at their times, and what comes of them.

mod acts;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::sync::mpsc;
use tokio::time::Instant;

use acts::{Act, CRASH, marker};

use super::faults::{Candidate, Fault};
use super::report::{Marker, Rehearsal, Stretch};
use super::timeline::Recorder;
use super::{Stage, StageOptions, hands, scene};
use crate::control::intake::watch::WatchOptions;
use crate::control::{Options, Scope};
use crate::engine::sim::{Model, SimEngine};
use crate::manifest::interpolate::Variables;
use crate::model::{ContainerId, Project, ServiceId, Timestamp};

/// A rehearsal whose length nobody named is no longer.
pub const LONGEST: Duration = Duration::from_secs(600);
/// So long everything has to be well before something new begins.
const CALM: Duration = Duration::from_secs(2);
/// After the last fault: what it leads to has to show.
const ANSWER: Duration = Duration::from_secs(5);
/// New manifests land by then, whether or not the old ones came up.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks at whether it is over.
const LOOK: Duration = Duration::from_millis(250);
/// When a rehearsal takes place: 2026-01-01.
const EPOCH: i64 = 1_767_225_600;

/// Everything that a rehearsal depends on: the same play gives the same report.
pub struct Play<'a> {
    /// The manifests.
    pub scope: Scope,
    /// The variables that manifests are interpolated from.
    pub environment: Variables,
    /// The controller's options; where the root and the Engine are is said here.
    pub control: Options,
    /// Between two rescans of the manifests directory.
    pub rescan: Duration,
    /// What the manifests want.
    pub projects: Vec<Arc<Project>>,
    /// What comes in their place once they are up.
    pub later: Option<Later<'a>>,
    /// What goes wrong, and when.
    pub faults: Vec<Fault>,
    /// How long; `None`: until everything is well again.
    pub length: Option<Duration>,
    /// What is drawn is drawn from this.
    pub seed: u64,
    /// Texts that are shown as others: folders that are there for this rehearsal only.
    pub shown_as: Vec<(String, String)>,
}

/// Manifests that come later.
pub struct Later<'a> {
    /// The projects that these manifests want.
    pub projects: Vec<Arc<Project>>,
    /// What they change, in words.
    pub text: String,
    /// Puts them into the place of the old ones.
    pub land: &'a dyn Fn() -> io::Result<()>,
}

/// The services that faults may befall.
pub fn candidates<'p>(projects: impl IntoIterator<Item = &'p Arc<Project>>) -> Vec<Candidate> {
    let mut found: BTreeMap<ServiceId, Candidate> = BTreeMap::new();
    for project in projects {
        for service in project.services.values() {
            let id = ServiceId { project: project.name.clone(), service: service.name.clone() };
            let has_check = service.healthcheck.as_ref().is_some_and(|c| !c.disabled() && !c.test.is_empty());
            let candidate = Candidate { id: id.clone(), has_check, is_job: project.is_job(&service.name) };
            found.entry(id).and_modify(|c| c.has_check |= has_check).or_insert(candidate);
        }
    }
    found.into_values().collect()
}

/// Rehearses, in virtual time.
///
/// # Errors
/// When there is no room for the files of it, or the control loop broke off.
pub fn rehearse(play: Play<'_>) -> anyhow::Result<Rehearsal> {
    super::virtually(async { Performance::begin(play)?.run().await })?
}

/// A play that is being performed.
struct Performance<'a> {
    play: Play<'a>,
    stage: Stage,
    recorder: Recorder,
    starts: mpsc::UnboundedReceiver<(ServiceId, ContainerId)>,
    began: Instant,
    acts: BTreeMap<(Duration, usize), Act>,
    acts_made: usize,
    markers: Vec<Marker>,
    /// Faults for which the Engine is away.
    engine_away: BTreeSet<usize>,
    /// Faults for which no controller runs.
    controller_away: BTreeSet<usize>,
    /// Crashes that are still to come, by fault.
    crashes: BTreeMap<usize, u32>,
    /// When the latest of them was.
    crashed: Duration,
    landed: Option<Duration>,
    well_since: Option<Duration>,
    images: BTreeSet<String>,
    made_beforehand: BTreeSet<String>,
    _state: tempfile::TempDir,
}

impl<'a> Performance<'a> {
    fn begin(play: Play<'a>) -> anyhow::Result<Self> {
        let epoch = Timestamp::from_second(EPOCH).unwrap_or(Timestamp::UNIX_EPOCH);
        let engine = SimEngine::new(play.seed, Model::V28, epoch);
        let (recorder, starts) = Recorder::new(epoch);
        let state = scene::folder().context("there is no room for the state of a rehearsal")?;
        // Who the controller is decides what it draws.
        std::fs::write(state.path().join("instance"), format!("rehearsal-{}", play.seed))
            .with_context(|| format!("{} cannot be written", state.path().display()))?;
        let options = StageOptions {
            control: Options { scope: play.scope.clone(), ..play.control.clone() },
            watch: WatchOptions {
                root: play.scope.root().to_owned(),
                environment: play.environment.clone(),
                rescan: play.rescan,
            },
            state: state.path().to_owned(),
        };
        let began = Instant::now();
        let stage = Stage::new(engine, options);
        let mut performance = Self {
            stage,
            recorder,
            starts,
            began,
            acts: BTreeMap::new(),
            acts_made: 0,
            markers: Vec::new(),
            engine_away: BTreeSet::new(),
            controller_away: BTreeSet::new(),
            crashes: BTreeMap::new(),
            crashed: Duration::ZERO,
            landed: play.later.is_none().then_some(Duration::ZERO),
            well_since: None,
            images: BTreeSet::new(),
            made_beforehand: BTreeSet::new(),
            _state: state,
            play,
        };
        performance.set_up();
        for n in 0..performance.play.faults.len() {
            performance.at(performance.play.faults[n].at, Act::Begin(n));
        }
        performance.start_controller()?;
        Ok(performance)
    }

    /// The world is as the manifests take it for granted.
    fn set_up(&mut self) {
        let later = self.play.later.iter().flat_map(|l| &l.projects);
        let all: Vec<Arc<Project>> = self.play.projects.iter().chain(later).cloned().collect();
        let recorder = self.recorder.clone();
        (self.images, self.made_beforehand) = self.stage.engine.with(|world| {
            let prepared = hands::prepare(world, &all);
            world.directed_by(Box::new(recorder));
            prepared
        });
        self.recorder.declare(&self.play.projects);
    }

    fn at(&mut self, at: Duration, act: Act) {
        self.acts_made += 1;
        self.acts.insert((at, self.acts_made), act);
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    fn start_controller(&mut self) -> anyhow::Result<()> {
        self.stage.start(Arc::new(self.recorder.clone()))?;
        self.recorder.controller(true);
        Ok(())
    }

    async fn run(mut self) -> anyhow::Result<Rehearsal> {
        let limit = self.play.length.unwrap_or(LONGEST);
        loop {
            while let Some(entry) = self.acts.first_entry().filter(|e| e.key().0 <= self.began.elapsed()) {
                let act = entry.remove();
                self.act(act)?;
            }
            self.look()?;
            if self.controller_away.is_empty() && !self.stage.runs() {
                let words = self.stage.panicked().await.unwrap_or_default();
                bail!("the control loop broke off, which is a mistake in evenkeel: {words}");
            }
            if self.now() >= limit || (self.play.length.is_none() && self.is_over()) {
                break;
            }
            let next = self.acts.first_key_value().map_or(limit, |((at, _), _)| *at).min(limit);
            let wait = next.saturating_sub(self.now()).min(LOOK).max(Duration::from_millis(1));
            tokio::select! {
                biased;
                Some((service, container)) = self.starts.recv() => self.crash_later(&service, container),
                () = tokio::time::sleep(wait) => {}
            }
        }
        Ok(self.end())
    }

    /// Notes whether everything is well, and lets new manifests land when it has been for a while.
    fn look(&mut self) -> anyhow::Result<()> {
        let now = self.now();
        self.well_since = self.recorder.settled_since();
        if self.is_calm() && self.well_since > Some(self.crashed) {
            // What stays down crashes no more, and a restart a long time later is another matter.
            self.crashes.clear();
        }
        let ready = self.is_calm() || now >= PATIENCE;
        let Some(later) = self.play.later.as_ref().filter(|_| self.landed.is_none() && ready) else { return Ok(()) };
        (later.land)().context("the new manifests cannot be put into their place")?;
        self.recorder.declare(&later.projects);
        self.markers.push(marker(now, None, "manifest", later.text.clone()));
        self.stage.files_changed();
        self.landed = Some(now);
        self.well_since = None;
        Ok(())
    }

    fn is_calm(&self) -> bool {
        self.well_since.is_some_and(|since| self.now() >= since + CALM)
    }

    /// Whether there is nothing left to see.
    fn is_over(&self) -> bool {
        let last = self.markers.iter().map(|m| m.until_ms.unwrap_or(m.at_ms)).max();
        let shown = last.is_none_or(|last| self.now() >= Duration::from_millis(last) + ANSWER);
        self.acts.is_empty() && self.crashes.is_empty() && self.landed.is_some() && self.is_calm() && shown
    }

    fn end(mut self) -> Rehearsal {
        let now = millis(self.now());
        self.stage.kill();
        let book = self.recorder.book();
        let (unsettled, open) = book.unsettled.until(now);
        for marker in &mut self.markers {
            answer(marker, &unsettled, open.then_some(now));
        }
        self.markers.sort_by_key(|m| m.at_ms);
        let mut rehearsal = Rehearsal {
            seed: self.play.seed,
            length_ms: now,
            converged: !open,
            unfinished: book.unfinished(),
            first_converged_ms: unsettled.first().filter(|s| !open || s.until_ms < now).map(|s| s.until_ms),
            calls: book.calls,
            restarts: book.restarts,
            images: self.images.into_iter().collect(),
            made_beforehand: self.made_beforehand.into_iter().collect(),
            markers: self.markers,
            unsettled,
            engine_away: book.engine_away.until(now).0,
            controller_away: book.controller_away.until(now).0,
            projects: book.projects(now),
            steps: book.steps.clone(),
            events: book.events.clone(),
        };
        rehearsal.show_as(&self.play.shown_as);
        rehearsal
    }
}

/// Finds out what a fault led to, and when that was over.
fn answer(marker: &mut Marker, unsettled: &[Stretch], open_until: Option<u64>) {
    let end = marker.until_ms.unwrap_or(marker.at_ms) + millis(CRASH);
    let touched = unsettled.iter().filter(|s| s.until_ms > marker.at_ms && s.from_ms <= end);
    let last = touched.max_by_key(|s| s.until_ms);
    marker.disturbed = last.is_some() && !marker.missed;
    marker.converged_again_ms = match last {
        Some(last) if open_until == Some(last.until_ms) => None,
        Some(last) => Some(last.until_ms),
        None => Some(marker.at_ms),
    };
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
