//! A scenario: projects, and what happens to them when. All of it comes from one seed, and it can be written down.

use serde::{Deserialize, Serialize};

use super::recipe::{Nature, Recipe, Version};

/// Everything about one run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scenario {
    pub seed: u64,
    /// The newer kind of Engine.
    pub modern: bool,
    pub parallel: u8,
    pub projects: Vec<Sketch>,
    pub faults: Vec<Fault>,
    /// Milliseconds from the start to the calm.
    pub wild: u64,
}

/// A project through time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sketch {
    pub natures: Vec<Nature>,
    pub versions: Vec<Version>,
}

/// One thing that goes wrong, or happens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fault {
    /// To the `nth` call that changes something, or to the `nth` that looks.
    Call { mutating: bool, nth: u32, upset: Upset },
    /// To the `nth` event.
    Event { nth: u32, fate: Fate },
    /// At a time, in milliseconds from the start.
    At { at: u64, act: Act },
}

/// What goes wrong with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Upset {
    FailsAfterEffect,
    FailsWithoutEffect,
    SilentAfterEffect,
    SilentWithoutEffect,
    Behind { ms: u32 },
    Missing,
    DiesAfterEffect,
    DiesWithoutEffect,
    Slow { ms: u32 },
}

/// What becomes of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Fate {
    Lost,
    Twice,
    Late { ms: u32 },
}

/// What happens. `pick` chooses among what is there at that time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Act {
    Write { project: u8, version: u8 },
    Torn { project: u8, version: u8, percent: u8, rest_ms: u32 },
    Broken { project: u8 },
    Delete { project: u8 },
    KillController { down_ms: u32 },
    EngineRestart { away_ms: u32, containers: bool },
    ClockJump { seconds: i32 },
    EngineDiskFull { for_ms: u32 },
    LedgerDiskFull { for_ms: u32 },
    Kill { pick: u8 },
    Stop { pick: u8 },
    Start { pick: u8 },
    Pause { pick: u8 },
    Crash { pick: u8, code: u8 },
    OutOfMemory { pick: u8 },
    Remove { pick: u8 },
    Rename { pick: u8 },
    Update { pick: u8 },
    Disconnect { pick: u8 },
    Sick { pick: u8, for_ms: u32 },
    ComposeUp { project: u8 },
    ComposeDown { project: u8 },
    ForeignName { project: u8, pick: u8, for_ms: u32 },
    ForeignPort { pick: u8, for_ms: u32 },
    RemoveNetwork { pick: u8 },
    DoubleNetwork { project: u8 },
    Untag { pick: u8 },
    Retag { pick: u8 },
    Suspend { project: u8, for_ms: u32 },
    Plan { project: u8 },
}

impl Act {
    /// Whether it is done to the engine, by its API or to its containers.
    pub fn needs_engine(&self) -> bool {
        !matches!(
            self,
            Self::Write { .. }
                | Self::Torn { .. }
                | Self::Broken { .. }
                | Self::Delete { .. }
                | Self::KillController { .. }
                | Self::ClockJump { .. }
                | Self::EngineDiskFull { .. }
                | Self::LedgerDiskFull { .. }
                | Self::Suspend { .. }
                | Self::Plan { .. }
        )
    }

    /// The name it is counted under.
    pub fn kind(&self) -> String {
        word(&format!("{self:?}"))
    }
}

fn word(debug: &str) -> String {
    debug.chars().take_while(|c| c.is_alphanumeric()).collect()
}

impl Fault {
    /// The name it is counted under.
    pub fn kind(&self) -> String {
        match self {
            Self::Call { upset, mutating, .. } => {
                format!("{}{}", word(&format!("{upset:?}")), if *mutating { "" } else { " (read)" })
            }
            Self::Event { fate, .. } => format!("Event{}", word(&format!("{fate:?}"))),
            Self::At { act, .. } => act.kind(),
        }
    }
}

impl Scenario {
    /// The scenario of a seed.
    pub fn of(seed: u64) -> Self {
        let mut draw = fastrand::Rng::with_seed(seed);
        let draw = &mut draw;
        let wild = [20_000, 40_000, 60_000, 120_000][draw.usize(0..4)];
        let count = [1, 1, 1, 2, 2, 3][draw.usize(0..6)];
        let projects: Vec<Sketch> = (0..count).map(|n| Sketch::random(draw, n)).collect();
        let mut scenario = Self {
            seed,
            modern: draw.bool(),
            parallel: [1, 2, 8, 8][draw.usize(0..4)],
            projects,
            faults: vec![],
            wild,
        };
        // One kind at a time finds what a mixture hides, and the other way round.
        let faults = [0, 1, 1, 2, 3, 4, 6, 9, 14][draw.usize(0..9)];
        let single = draw.u8(0..4) == 0;
        let first = scenario.fault(draw);
        for n in 0..faults {
            let mut fault = if n == 0 { first.clone() } else { scenario.fault(draw) };
            for _ in 0..60 {
                if !single || fault.kind() == first.kind() {
                    break;
                }
                fault = scenario.fault(draw);
            }
            scenario.faults.push(fault);
        }
        scenario.edits(draw);
        scenario
    }

    /// Changes of manifests, some shortly after each other.
    fn edits(&mut self, draw: &mut fastrand::Rng) {
        let wild = self.wild;
        for project in 0..self.projects.len() {
            let versions = self.projects[project].versions.len();
            let project = project as u8;
            let mut at = draw.u64(500..wild);
            for _ in 0..[0, 0, 1, 1, 2, 3][draw.usize(0..6)] {
                let version = draw.usize(0..versions) as u8;
                let act = match draw.u8(0..12) {
                    0 => Act::Torn { project, version, percent: draw.u8(5..95), rest_ms: draw.u32(30..3_000) },
                    1 => Act::Broken { project },
                    2 => Act::Delete { project },
                    _ => Act::Write { project, version },
                };
                self.faults.push(Fault::At { at, act });
                at += if draw.bool() { draw.u64(100..4_000) } else { draw.u64(4_000..wild) };
                if at >= wild {
                    break;
                }
            }
        }
    }

    fn fault(&self, draw: &mut fastrand::Rng) -> Fault {
        match draw.u8(0..10) {
            0..=2 => {
                let mutating = draw.u8(0..3) > 0;
                let upset = match draw.u8(0..9) {
                    0 => Upset::FailsAfterEffect,
                    1 => Upset::FailsWithoutEffect,
                    2 => Upset::SilentAfterEffect,
                    3 => Upset::SilentWithoutEffect,
                    4 if mutating => Upset::Missing,
                    4 | 5 if !mutating => Upset::Behind { ms: draw.u32(50..4_000) },
                    6 => Upset::Missing,
                    7 => Upset::Slow { ms: draw.u32(100..20_000) },
                    _ if draw.bool() => Upset::DiesAfterEffect,
                    _ => Upset::DiesWithoutEffect,
                };
                let nth = if mutating { draw.u32(0..25) } else { draw.u32(0..70) };
                Fault::Call { mutating, nth, upset }
            }
            3 => {
                let fate = match draw.u8(0..3) {
                    0 => Fate::Lost,
                    1 => Fate::Twice,
                    _ => Fate::Late { ms: draw.u32(5..3_000) },
                };
                Fault::Event { nth: draw.u32(0..60), fate }
            }
            _ => Fault::At { at: draw.u64(100..self.wild), act: self.act(draw) },
        }
    }

    fn act(&self, draw: &mut fastrand::Rng) -> Act {
        let project = draw.usize(0..self.projects.len()) as u8;
        let pick = draw.u8(..);
        match draw.u8(0..27) {
            0 => Act::KillController { down_ms: draw.u32(100..15_000) },
            1 => Act::EngineRestart {
                away_ms: [500, 3_000, 20_000, 180_000][draw.usize(0..4)],
                containers: draw.u8(0..4) > 0,
            },
            2 => Act::ClockJump { seconds: [-86_400, -30, 30, 3_600][draw.usize(0..4)] },
            3 => Act::EngineDiskFull { for_ms: draw.u32(1_000..30_000) },
            4 => Act::LedgerDiskFull { for_ms: draw.u32(500..15_000) },
            5 => Act::Kill { pick },
            6 => Act::Stop { pick },
            7 => Act::Start { pick },
            8 => Act::Pause { pick },
            9 => Act::Crash { pick, code: draw.u8(0..4) },
            10 => Act::OutOfMemory { pick },
            11 => Act::Remove { pick },
            12 => Act::Rename { pick },
            13 => Act::Update { pick },
            14 => Act::Disconnect { pick },
            15 => Act::Sick { pick, for_ms: draw.u32(1_000..30_000) },
            16 => Act::ComposeUp { project },
            17 => Act::ComposeDown { project },
            18 => Act::ForeignName { project, pick, for_ms: draw.u32(1_000..30_000) },
            19 => Act::ForeignPort { pick, for_ms: draw.u32(1_000..30_000) },
            20 => Act::RemoveNetwork { pick },
            21 => Act::DoubleNetwork { project },
            22 => Act::Untag { pick },
            23 => Act::Retag { pick },
            24 => Act::Suspend { project, for_ms: draw.u32(500..20_000) },
            25 => Act::Plan { project },
            _ => Act::Kill { pick },
        }
    }
}

impl Sketch {
    fn random(draw: &mut fastrand::Rng, number: usize) -> Self {
        let services = [1, 2, 2, 3, 3, 4, 5, 7][draw.usize(0..8)];
        // Where nothing is wild everything has to be as without faults.
        let tame = draw.u8(0..3) > 0;
        let natures: Vec<Nature> = (0..services).map(|_| nature(draw, tame)).collect();
        let depends_on = number > 0 && draw.u8(0..4) == 0;
        let mut first = Version { services: Vec::new(), depends_on, on_failure: [0, 0, 1, 1, 1, 2][draw.usize(0..6)] };
        for name in 0..services as u8 {
            let before: Vec<u8> = (0..name).collect();
            first.services.push(Recipe::random(draw, name, natures[usize::from(name)], &before));
        }
        let mut versions = vec![first];
        for _ in 0..draw.usize(0..4) {
            let base = versions[draw.usize(0..versions.len())].clone();
            versions.push(changed(draw, base, &natures));
        }
        Self { natures, versions }
    }
}

fn changed(draw: &mut fastrand::Rng, mut version: Version, natures: &[Nature]) -> Version {
    for _ in 0..draw.u8(1..3) {
        let count = version.services.len();
        match draw.u8(0..8) {
            0 if count > 1 => {
                version.services.remove(draw.usize(0..count));
            }
            1 => {
                let missing = (0..natures.len() as u8).find(|n| version.get(*n).is_none());
                if let Some(name) = missing {
                    let before: Vec<u8> = version.services.iter().map(|r| r.name).filter(|n| *n < name).collect();
                    version.services.push(Recipe::random(draw, name, natures[usize::from(name)], &before));
                    version.services.sort_by_key(|r| r.name);
                }
            }
            2 | 3 if count > 0 => {
                let recipe = &mut version.services[draw.usize(0..count)];
                if recipe.port.is_none() {
                    recipe.replicas = draw.u8(0..4);
                }
            }
            4 if count > 0 => {
                let at = draw.usize(0..count);
                let name = version.services[at].name;
                let before: Vec<u8> = version.services.iter().map(|r| r.name).filter(|n| *n < name).collect();
                version.services[at] = Recipe::random(draw, name, natures[usize::from(name)], &before);
            }
            _ if count > 0 => {
                let recipe = &mut version.services[draw.usize(0..count)];
                recipe.command = (recipe.command + 1) % 4;
            }
            _ => {}
        }
    }
    version
}

fn nature(draw: &mut fastrand::Rng, tame: bool) -> Nature {
    let nature = any_nature(draw);
    if tame && nature.is_wild() { Nature::Steady { stop_code: 143 } } else { nature }
}

fn any_nature(draw: &mut fastrand::Rng) -> Nature {
    let ms = [60, 200, 900, 3_000, 12_000][draw.usize(0..5)];
    match draw.u8(0..24) {
        0 => Nature::Slow { seconds: draw.u16(1..25) },
        1 | 2 => Nature::Flaky { runs: draw.u8(1..5), after_ms: ms, code: draw.u8(1..4) },
        3 => Nature::CrashLoop { after_ms: ms, code: draw.u8(1..4) },
        4..=6 => Nature::Job { takes_ms: ms },
        7 => Nature::FlakyJob { runs: draw.u8(1..4) },
        8 if draw.bool() => Nature::FailingJob,
        9 if draw.bool() => Nature::Leaks { seconds: draw.u16(5..40) },
        10 => Nature::Stubborn,
        11 if draw.bool() => Nature::NeverHealthy,
        12 if draw.bool() => Nature::Refuses,
        n => Nature::Steady { stop_code: if n % 3 == 0 { 143 } else { 0 } },
    }
}
