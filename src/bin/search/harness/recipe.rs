//! Random projects: what their services are, and the Compose files that say so.

use std::fmt::Write as _;
use std::time::Duration;

use evenkeel::engine::sim::{End, OnStop, Script};
use serde::{Deserialize, Serialize};

/// What a service is by nature, whatever its manifest says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Nature {
    /// It runs, and ends as asked with this code.
    Steady { stop_code: u8 },
    /// Its check passes after so many seconds.
    Slow { seconds: u16 },
    /// Its first runs end by themselves.
    Flaky { runs: u8, after_ms: u32, code: u8 },
    /// So do all of its runs.
    CrashLoop { after_ms: u32, code: u8 },
    /// It ends with 0 when it is done.
    Job { takes_ms: u32 },
    /// It fails at first.
    FlakyJob { runs: u8 },
    /// It always fails.
    FailingJob,
    /// It is out of memory after so many seconds.
    Leaks { seconds: u16 },
    /// It does not end when it is asked to.
    Stubborn,
    /// Its check never passes.
    NeverHealthy,
    /// It cannot be started.
    Refuses,
}

impl Nature {
    pub fn is_job(self) -> bool {
        matches!(self, Self::Job { .. } | Self::FlakyJob { .. } | Self::FailingJob)
    }

    /// Whether it never comes to rest as the manifest wants it.
    pub fn is_wild(self) -> bool {
        matches!(
            self,
            Self::CrashLoop { .. } | Self::FailingJob | Self::Leaks { .. } | Self::NeverHealthy | Self::Refuses
        )
    }

    /// Whether some of its runs end by themselves with a failure.
    pub fn fails(self) -> bool {
        self.is_wild() || matches!(self, Self::Flaky { .. } | Self::FlakyJob { .. })
    }

    pub fn script(self) -> Script {
        let ms = |n: u32| Duration::from_millis(n.into());
        let mut script = Script::default();
        let end = |after, code: u8, runs| Some(End { after, code: code.into(), runs });
        match self {
            Self::Steady { stop_code } => script.on_stop.code = stop_code.into(),
            Self::Slow { seconds } => script.healthy_after = Some(Duration::from_secs(seconds.into())),
            Self::Flaky { runs, after_ms, code } => script.ends = end(ms(after_ms), code, Some(runs.into())),
            Self::CrashLoop { after_ms, code } => script.ends = end(ms(after_ms), code, None),
            Self::Job { takes_ms } => script.ends = end(ms(takes_ms), 0, None),
            Self::FlakyJob { runs } => {
                // A run that does not fail is a job's: the script of the others is set by the world.
                script.ends = end(ms(400), 1, Some(runs.into()));
                script.then_ends = end(ms(700), 0, None);
            }
            Self::FailingJob => script.ends = end(ms(500), 1, None),
            Self::Leaks { seconds } => script.leaks = Some((64 << 20) / u64::from(seconds.max(1))),
            Self::Stubborn => script.on_stop = OnStop { takes: Duration::from_secs(3600), code: 0 },
            Self::NeverHealthy => script.healthy_after = None,
            Self::Refuses => script.refuses = Some("exec: \"/nothing\": no such file or directory".to_owned()),
        }
        script
    }
}

/// What a manifest says of a service. What it depends on are services before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipe {
    /// The service's number: its name.
    pub name: u8,
    pub command: u8,
    pub image: u8,
    pub replicas: u8,
    pub restart: u8,
    pub check: bool,
    pub volume: bool,
    /// 0: the default one, 1: a second one too, 2: an external one too.
    pub networks: u8,
    pub port: Option<u16>,
    pub grace: Option<u8>,
    /// In the network namespace of what it depends on first.
    pub shares: bool,
    pub supply: u8,
    /// Which, whether strictly, whether required.
    pub dependencies: Vec<(u8, bool, bool)>,
}

pub const RESTARTS: [&str; 6] = ["", "'no'", "on-failure", "'on-failure:2'", "always", "unless-stopped"];
const SUPPLIES: [&str; 5] =
    ["", "", "    pull_policy: always\n", "    build: .\n", "    build: .\n    pull_policy: build\n"];

/// A service's name.
pub fn service(name: u8) -> String {
    char::from(b'a' + name % 26).to_string()
}

impl Recipe {
    pub fn random(draw: &mut fastrand::Rng, name: u8, nature: Nature, before: &[u8]) -> Self {
        let one_in = |draw: &mut fastrand::Rng, n: u8| draw.u8(0..n) == 0;
        let count = if before.is_empty() { 0 } else { [0, 0, 1, 1, 1, 2][draw.usize(0..6)] };
        let mut dependencies: Vec<(u8, bool, bool)> = Vec::new();
        for _ in 0..count {
            let on = before[draw.usize(0..before.len())];
            if dependencies.iter().all(|d| d.0 != on) {
                dependencies.push((on, draw.bool(), !one_in(draw, 6)));
            }
        }
        let shares = !dependencies.is_empty() && one_in(draw, 8);
        let port = (!shares && one_in(draw, 5)).then(|| 8_000 + u16::from(draw.u8(0..6)) + u16::from(name) * 10);
        Self {
            name,
            command: draw.u8(0..3),
            image: draw.u8(0..3),
            replicas: if port.is_some() { 1 } else { [0, 1, 1, 1, 1, 2, 3][draw.usize(0..7)] },
            // The limited ones may end for good, which shows less.
            restart: match (nature.is_job(), draw.u8(0..10)) {
                (_, 0) => 1,
                (_, 1) => 3,
                (true, n) => [0, 2][usize::from(n) % 2],
                (false, n) => [0, 2, 4, 5][usize::from(n) % 4],
            },
            check: !nature.is_job() && (draw.bool() || matches!(nature, Nature::Slow { .. } | Nature::NeverHealthy)),
            volume: one_in(draw, 4),
            networks: if shares { 0 } else { [0, 0, 0, 1, 2][draw.usize(0..5)] },
            port,
            grace: one_in(draw, 4).then(|| draw.u8(1..5)),
            shares,
            supply: if one_in(draw, 4) { draw.u8(0..5) } else { 0 },
            dependencies,
        }
    }
}

/// A project as one version of its manifest has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    pub services: Vec<Recipe>,
    /// It depends on the project before it.
    pub depends_on: bool,
    /// What follows a failure: see [`ON_FAILURE`].
    #[serde(default)]
    pub on_failure: u8,
}

/// The words of `rollout.on_failure`.
const ON_FAILURE: [&str; 3] = ["continue", "rollback", "pause"];

impl Version {
    pub fn get(&self, name: u8) -> Option<&Recipe> {
        self.services.iter().find(|r| r.name == name)
    }

    /// Dependencies whose service is there, with conditions that can hold.
    pub fn dependencies(&self, recipe: &Recipe, natures: &[Nature]) -> Vec<(u8, &'static str, bool)> {
        recipe
            .dependencies
            .iter()
            .filter_map(|(on, strict, required)| {
                let other = self.get(*on)?;
                let condition = match natures.get(usize::from(*on)) {
                    Some(nature) if *strict && nature.is_job() => "service_completed_successfully",
                    _ if *strict && other.check => "service_healthy",
                    _ => "service_started",
                };
                Some((*on, condition, *required))
            })
            .collect()
    }

    /// The service whose network namespace it uses.
    pub fn shares_with(&self, recipe: &Recipe, natures: &[Nature]) -> Option<u8> {
        let (on, ..) = *self.dependencies(recipe, natures).first()?;
        let other = self.get(on)?;
        let steady = natures.get(usize::from(on)).is_some_and(|n| !n.is_job());
        (recipe.shares && steady && other.replicas > 0 && !other.shares).then_some(on)
    }

    /// As a Compose file.
    pub fn text(&self, project: usize, natures: &[Nature]) -> String {
        let mut text = format!("name: p{project}\n");
        if self.depends_on && project > 0 {
            let _ = writeln!(text, "x-evenkeel: {{depends_on: [p{}]}}", project - 1);
        }
        // First: half a file is to lack services, not to say something else about networks.
        text.push_str("volumes: {data: }\nnetworks:\n  back: {}\n  shared: {name: shared, external: true}\n");
        text.push_str("services:\n");
        if self.services.is_empty() {
            text.push_str("  {}\n");
        }
        for recipe in &self.services {
            self.service(recipe, project, natures, &mut text);
        }
        text
    }

    fn service(&self, recipe: &Recipe, project: usize, natures: &[Nature], text: &mut String) {
        let name = service(recipe.name);
        let built = SUPPLIES[usize::from(recipe.supply) % 5].contains("build");
        let image = if built { format!("built-{project}-{name}:1") } else { format!("i{}:1", recipe.image % 3) };
        let _ = writeln!(text, "  {name}:\n    image: '{image}'\n    command: run {}", recipe.command);
        text.push_str(SUPPLIES[usize::from(recipe.supply) % 5]);
        if recipe.replicas != 1 {
            let _ = writeln!(text, "    scale: {}", recipe.replicas);
        }
        if recipe.restart > 0 {
            let _ = writeln!(text, "    restart: {}", RESTARTS[usize::from(recipe.restart) % 6]);
        }
        let job = natures.get(usize::from(recipe.name)).is_some_and(|n| n.is_job());
        let kind = if job { "type: job, " } else { "" };
        let on_failure = ON_FAILURE[usize::from(self.on_failure) % 3];
        let _ = writeln!(text, "    x-evenkeel: {{{kind}rollout: {{on_failure: {on_failure}, monitor: 2s}}}}");
        if natures.get(usize::from(recipe.name)).is_some_and(|n| matches!(n, Nature::Leaks { .. })) {
            text.push_str("    mem_limit: 64m\n");
        }
        if recipe.check {
            let slow = natures.get(usize::from(recipe.name)).is_some_and(|n| matches!(n, Nature::Slow { .. }));
            let period = if slow { ", start_period: 60s" } else { "" };
            let _ = writeln!(text, "    healthcheck: {{test: [CMD, check], interval: 2s, retries: 2{period}}}");
        }
        if recipe.volume {
            text.push_str("    volumes: ['data:/data']\n");
        }
        match (self.shares_with(recipe, natures), recipe.networks) {
            (Some(on), _) => {
                let _ = writeln!(text, "    network_mode: 'service:{}'", service(on));
            }
            (None, 1) => text.push_str("    networks: [default, back]\n"),
            (None, 2) => text.push_str("    networks: [default, shared]\n"),
            _ => {}
        }
        if let Some(port) = recipe.port {
            let _ = writeln!(text, "    ports: ['{}:80']", usize::from(port) + project * 100);
        }
        if let Some(grace) = recipe.grace {
            let _ = writeln!(text, "    stop_grace_period: {grace}s");
        }
        let dependencies = self.dependencies(recipe, natures);
        if !dependencies.is_empty() {
            text.push_str("    depends_on:\n");
        }
        for (on, condition, required) in dependencies {
            let _ = writeln!(text, "      {}: {{condition: {condition}, required: {required}}}", service(on));
        }
    }
}
