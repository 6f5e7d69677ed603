//! BuildKit, which the Engine carries since 18.09: which builder is asked, and what it tells of its progress.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use bollard::models::BuildInfoAux;

use crate::engine::docker::spec::Api;
use crate::model::service::Build;
use crate::settings;

/// The API that the first Engine with BuildKit speaks (18.09).
const FIRST: Api = (1, 39);

/// How Docker's programs write that something is off.
const OFF: [&str; 6] = ["0", "f", "F", "false", "False", "FALSE"];

/// The builder that makes an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Builder {
    Classic,
    /// With the session in which it asks for credentials.
    BuildKit {
        session: String,
    },
}

impl Builder {
    /// BuildKit, as Docker Compose has it, but for what only the classic builder knows, and where `DOCKER_BUILDKIT` is off.
    pub(super) fn choose(build: &Build, api: Api) -> Self {
        let off = settings::environment().get("DOCKER_BUILDKIT").is_some_and(|v| OFF.contains(&v.as_str()));
        let known = matches!(build.network.as_deref(), None | Some("" | "default" | "host" | "none"));
        if off || api < FIRST || !known || build.isolation.is_some() {
            return Self::Classic;
        }
        // It has to be another one for each build of an Engine, and is no secret.
        let draw = || RandomState::new().hash_one(0);
        Self::BuildKit { session: format!("evenkeel{:016x}{:016x}", draw(), draw()) }
    }

    /// As Compose names it in the label of an image.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::BuildKit { .. } => "buildkit",
        }
    }
}

/// What a builder tells.
#[derive(Debug)]
pub(super) enum Told {
    /// A step began.
    Step(String),
    /// What the program of a step prints.
    Output(String),
}

impl Told {
    /// What the classic builder writes is all one text.
    pub(super) fn by_classic(text: String) -> Self {
        if text.starts_with("Step ") { Self::Step(text) } else { Self::Output(text) }
    }
}

/// What was told of already: the same step is reported many times.
#[derive(Debug, Default)]
pub(super) struct Progress(HashSet<String>);

impl Progress {
    /// What is new: steps that began, and what their programs print.
    pub(super) fn news(&mut self, told: BuildInfoAux) -> Vec<Told> {
        let BuildInfoAux::BuildKit(status) = told else { return Vec::new() };
        let steps = status.vertexes.into_iter().filter(|step| step.started.is_some());
        // Its own steps, such as loading the context.
        let steps =
            steps.filter(|step| !step.name.starts_with("[internal]") && !step.name.starts_with("copy /context"));
        let began = steps.filter(|step| self.0.insert(step.digest.clone()));
        let mut news: Vec<Told> = began.map(|step| Told::Step(format!("{}\n", step.name))).collect();
        news.extend(status.logs.iter().map(|log| Told::Output(String::from_utf8_lossy(&log.msg).into_owned())));
        news
    }
}
