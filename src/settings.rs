//! The controller's own settings, and the only place that reads the process environment.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::control::probing::HealthOptions;
use crate::decide::RecoveryPolicy;
use crate::manifest::duration;

/// The process environment, as text.
pub fn environment() -> BTreeMap<String, String> {
    std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))).collect()
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("the settings file {} cannot be read: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file says something that is no setting.
    #[error("{}: {message}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What, with line and column.
        message: String,
    },
    /// A variable says something that is no setting.
    #[error("the environment variable {variable}: {message}")]
    Variable {
        /// Which.
        variable: String,
        /// What is wrong.
        message: String,
    },
}

/// All settings; everything has a default, so that no file is needed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The manifests directory.
    pub manifests: Manifests,
    /// The Docker Engine.
    pub engine: EngineSettings,
    /// What is remembered.
    pub state: State,
    /// The HTTP API.
    pub api: Api,
    /// Making it so.
    pub reconcile: Reconcile,
    /// Probes.
    pub health: Health,
    /// Restarts and retries.
    pub recovery: Recovery,
    /// Prometheus.
    pub metrics: Metrics,
}

/// `manifests`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Manifests {
    /// The directory.
    pub path: PathBuf,
    /// Use the file system's events; without them the rescan alone finds changes.
    pub watch: bool,
    /// Between two rescans.
    pub rescan: Span,
}

impl Default for Manifests {
    fn default() -> Self {
        Self { path: "manifests".into(), watch: true, rescan: Span::seconds(30) }
    }
}

/// `engine`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EngineSettings {
    /// `unix://…` or `tcp://…`; otherwise DOCKER_HOST, the docker context, the usual sockets.
    pub url: Option<String>,
}

/// `state`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct State {
    /// The folder; otherwise `/var/lib/evenkeel` for root, `~/.local/state/evenkeel` for others.
    pub dir: Option<PathBuf>,
}

/// `api`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Api {
    /// Where it listens.
    pub listen: String,
}

impl Default for Api {
    fn default() -> Self {
        Self { listen: "127.0.0.1:9090".into() }
    }
}

/// `reconcile`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Reconcile {
    /// Steps at the same time. Eight is where a Docker Engine on two cores is fastest.
    #[schemars(range(min = 1))]
    pub parallel: usize,
    /// Between the starts of two containers.
    pub start_delay: Span,
    /// Between two full resyncs.
    pub resync: Span,
    /// After so long without its first passing check, its start period apart, a start has failed.
    pub start_timeout: Span,
    /// Touch what another evenkeel made.
    pub take_over: bool,
}

impl Default for Reconcile {
    fn default() -> Self {
        let start_timeout = Span(RecoveryPolicy::default().start_timeout);
        Self { parallel: 8, start_delay: Span::seconds(0), resync: Span::seconds(60), start_timeout, take_over: false }
    }
}

/// `health`: how probes are made where manifests do not say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Health {
    /// Between two probes of a container.
    pub interval: Span,
    /// For one of them.
    pub timeout: Span,
    /// Failures in a row before it is unhealthy.
    #[schemars(range(min = 1))]
    pub retries: u32,
    /// Probes at the same time.
    #[schemars(range(min = 1))]
    pub batch_size: usize,
}

impl Default for Health {
    fn default() -> Self {
        let HealthOptions { interval, timeout, retries, batch_size } = HealthOptions::default();
        Self { interval: Span(interval), timeout: Span(timeout), retries, batch_size }
    }
}

/// `recovery`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Recovery {
    /// What is not well, but has not ended, is started again; where a manifest says otherwise, that counts.
    pub enabled: bool,
    /// So many restarts of a replica within the window; then its breaker opens.
    #[schemars(range(min = 1))]
    pub max_attempts: u32,
    /// The time that restarts are counted in.
    pub window: Span,
    /// How long nothing is tried once a breaker is open.
    pub cool_down: Span,
    /// Recoveries at the same time, of all projects: critical services come first.
    #[schemars(range(min = 1))]
    pub max_parallel: u32,
    /// The pace.
    pub backoff: Backoff,
    /// How often an hour a registry is asked again for images that it did not give, all of them together.
    #[schemars(range(min = 1))]
    pub pull_retries: u32,
}

impl Default for Recovery {
    fn default() -> Self {
        let policy = RecoveryPolicy::default();
        Self {
            enabled: policy.enabled,
            max_attempts: policy.max_attempts,
            window: Span(policy.window),
            cool_down: Span(policy.cool_down),
            max_parallel: policy.max_parallel,
            backoff: Backoff::default(),
            pull_retries: policy.pull_retries,
        }
    }
}

/// `recovery.backoff`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Backoff {
    /// The delay before the second attempt.
    pub initial: Span,
    /// Each further delay is this much longer.
    pub factor: f64,
    /// The longest delay.
    pub max: Span,
    /// The part of a delay that is drawn, 0 to 1.
    pub jitter: f64,
    /// After so long a run the count begins anew.
    pub reset_after: Span,
}

impl Default for Backoff {
    fn default() -> Self {
        let policy = RecoveryPolicy::default();
        Self {
            initial: Span(policy.initial),
            factor: policy.factor,
            max: Span(policy.max),
            jitter: policy.jitter,
            reset_after: Span(policy.reset_after),
        }
    }
}

/// `metrics`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Metrics {
    /// What every metric's name begins with.
    #[schemars(regex(pattern = "^[a-zA-Z_][a-zA-Z0-9_]*$"))]
    pub namespace: String,
}

impl Default for Metrics {
    fn default() -> Self {
        Self { namespace: "evenkeel".into() }
    }
}

/// A duration, written `10s`, `1m30s`, `500ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

impl Span {
    /// So many seconds.
    pub const fn seconds(n: u64) -> Self {
        Self(Duration::from_secs(n))
    }
}

impl Serialize for Span {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&duration::print(self.0))
    }
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": r"^\s*\+?(0|([0-9]*\.?[0-9]*(ns|us|µs|μs|ms|s|m|h|d|w))+)\s*$",
            "description": "A duration, for example 500ms, 30s or 1m30s.",
        })
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        duration::parse(&text)
            .map(Self)
            .ok_or_else(|| serde::de::Error::custom(format!("`{text}` is no duration; write for example 10s or 1m30s")))
    }
}

impl Settings {
    /// Loads the settings: the file, then the variables `EVENKEEL_SECTION_KEY` over it.
    ///
    /// The file is `explicit`, or `EVENKEEL_CONFIG`, or `./evenkeel.yaml`, or the one in the system's configuration
    /// folder; the latter two may be missing.
    ///
    /// # Errors
    /// A file that cannot be read, an unknown key, a value of the wrong kind: with its place.
    pub fn load(explicit: Option<&Path>, environment: &BTreeMap<String, String>) -> Result<Self, SettingsError> {
        let named = explicit.map(Path::to_owned).or_else(|| environment.get("EVENKEEL_CONFIG").map(PathBuf::from));
        let usual = ["./evenkeel.yaml", "/etc/evenkeel/evenkeel.yaml"].map(PathBuf::from);
        let path = named.or_else(|| usual.into_iter().find(|p| p.is_file()));
        let settings = match path {
            Some(path) => {
                let text = std::fs::read_to_string(&path)
                    .map_err(|source| SettingsError::Io { path: path.clone(), source })?;
                if text.lines().all(|l| l.trim().is_empty() || l.trim_start().starts_with('#')) {
                    Self::default()
                } else {
                    serde_saphyr::from_str(&text).map_err(|e| SettingsError::File { path, message: e.to_string() })?
                }
            }
            None => Self::default(),
        };
        settings.with_variables(environment)?.checked()
    }

    fn with_variables(self, environment: &BTreeMap<String, String>) -> Result<Self, SettingsError> {
        let mut settings = self;
        for (variable, value) in environment {
            let Some(rest) = variable.strip_prefix("EVENKEEL_") else { continue };
            let error = |message: String| SettingsError::Variable { variable: variable.clone(), message };
            let mut tree = serde_json::to_value(&settings).map_err(|e| error(e.to_string()))?;
            let Some(place) = descend(&mut tree, &rest.to_lowercase()) else {
                // Short names of the most used ones, and variables of the build and the tests.
                match rest {
                    "MANIFESTS" => settings.manifests.path = value.into(),
                    "STATE" => settings.state.dir = Some(value.into()),
                    "LISTEN" => settings.api.listen.clone_from(value),
                    "ENGINE" => settings.engine.url = Some(value.clone()),
                    _ => {}
                }
                continue;
            };
            *place = match place {
                serde_json::Value::Bool(_) | serde_json::Value::Number(_) => {
                    serde_json::from_str(value).map_err(|_| error(format!("`{value}` is of the wrong kind")))?
                }
                _ => serde_json::Value::String(value.clone()),
            };
            settings = serde_json::from_value(tree).map_err(|e| error(e.to_string()))?;
        }
        Ok(settings)
    }

    fn checked(self) -> Result<Self, SettingsError> {
        let wrong = |variable: &str, message: &str| {
            Err(SettingsError::Variable { variable: variable.to_owned(), message: message.to_owned() })
        };
        if self.reconcile.parallel == 0 {
            return wrong("EVENKEEL_RECONCILE_PARALLEL (or reconcile.parallel)", "must be at least 1");
        }
        let namespace = &self.metrics.namespace;
        let head = namespace.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
        if !head || !namespace.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return wrong("EVENKEEL_METRICS_NAMESPACE (or metrics.namespace)", "must be letters, digits and `_`");
        }
        Ok(self)
    }

    /// The state folder.
    pub fn state_dir(&self, environment: &BTreeMap<String, String>) -> PathBuf {
        if let Some(dir) = &self.state.dir {
            return dir.clone();
        }
        if rustix::process::geteuid().is_root() {
            return "/var/lib/evenkeel".into();
        }
        match (environment.get("XDG_STATE_HOME"), environment.get("HOME")) {
            (Some(dir), _) if !dir.is_empty() => Path::new(dir).join("evenkeel"),
            (_, Some(home)) => Path::new(home).join(".local/state/evenkeel"),
            _ => "/tmp/evenkeel".into(),
        }
    }

    /// How probes are made.
    pub fn health_options(&self) -> HealthOptions {
        let Health { interval, timeout, retries, batch_size } = &self.health;
        let (retries, batch_size) = ((*retries).max(1), (*batch_size).max(1));
        HealthOptions { interval: interval.0, timeout: timeout.0, retries, batch_size }
    }

    /// The pace of restarts and retries.
    pub fn recovery_policy(&self) -> RecoveryPolicy {
        let backoff = &self.recovery.backoff;
        RecoveryPolicy {
            initial: backoff.initial.0,
            factor: backoff.factor.max(1.0),
            max: backoff.max.0,
            jitter: backoff.jitter,
            reset_after: backoff.reset_after.0,
            enabled: self.recovery.enabled,
            max_attempts: self.recovery.max_attempts.max(1),
            window: self.recovery.window.0,
            cool_down: self.recovery.cool_down.0,
            start_timeout: self.reconcile.start_timeout.0,
            max_parallel: self.recovery.max_parallel.max(1),
            pull_retries: self.recovery.pull_retries.max(1),
        }
    }
}

/// The value that `section_key` names: keys may hold `_` themselves.
fn descend<'v>(tree: &'v mut serde_json::Value, path: &str) -> Option<&'v mut serde_json::Value> {
    let serde_json::Value::Object(map) = tree else { return None };
    let key =
        map.keys().find(|k| *k == path || path.strip_prefix(k.as_str()).is_some_and(|r| r.starts_with('_')))?.clone();
    let value = map.get_mut(&key)?;
    match path.strip_prefix(&key)?.strip_prefix('_') {
        None => (!value.is_object()).then_some(value),
        Some(rest) => descend(value, rest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str, variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("evenkeel.yaml");
        std::fs::write(&path, text).unwrap();
        Settings::load(Some(&path), &variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
    }

    #[test]
    fn variables_beat_the_file_and_the_file_beats_the_defaults() {
        let text = "reconcile: {parallel: 3, resync: 5m}\nmetrics: {namespace: fks}\n";
        let settings =
            load(text, &[("EVENKEEL_RECONCILE_PARALLEL", "4"), ("EVENKEEL_RECOVERY_BACKOFF_RESET_AFTER", "1h")])
                .unwrap();
        assert_eq!(settings.reconcile.parallel, 4);
        assert_eq!(settings.reconcile.resync, Span::seconds(300));
        assert_eq!(settings.recovery.backoff.reset_after, Span::seconds(3600));
        assert_eq!(settings.metrics.namespace, "fks");
        assert_eq!(settings.api.listen, "127.0.0.1:9090");
    }

    #[test]
    fn an_unknown_key_and_a_wrong_kind_are_errors_with_a_place() {
        let error = load("reconcile:\n  paralel: 3\n", &[]).unwrap_err().to_string();
        assert!(error.contains("paralel") && error.contains('2'), "{error}");
        assert!(load("reconcile: {resync: soon}", &[]).unwrap_err().to_string().contains("soon"));
        let error = load("", &[("EVENKEEL_RECONCILE_PARALLEL", "many")]).unwrap_err().to_string();
        assert!(error.contains("EVENKEEL_RECONCILE_PARALLEL"), "{error}");
        assert!(load("metrics: {namespace: a-b}", &[]).is_err());
        assert!(load("reconcile: {parallel: 0}", &[]).is_err());
    }
}
