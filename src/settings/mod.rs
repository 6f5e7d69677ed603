//! The controller's own settings, and the only place that reads the process environment.

mod checks;
mod sections;
mod units;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::control::host::HostOptions;
use crate::control::probing::HealthOptions;
use crate::decide::RecoveryPolicy;
use crate::decide::pressure::GuardPolicy;
pub use sections::{
    Api, Backoff, EngineSettings, Health, HostGuard, Manifests, Metrics, Reconcile, Recovery, State, Thresholds,
};
pub use units::{Percent, Span};

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
        /// The settings file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file says something that is no setting.
    #[error("{}: {message}", path.display())]
    File {
        /// The settings file.
        path: PathBuf,
        /// What, with line and column.
        message: String,
    },
    /// A setting has a value that cannot work.
    #[error("the setting {key} ({variable}) is {value}, and must be {must}")]
    Value {
        /// Which, with its section.
        key: &'static str,
        /// The variable that sets it.
        variable: String,
        /// The value as it was written.
        value: String,
        /// What it must be.
        must: &'static str,
    },
    /// A variable says something that is no setting.
    #[error("the environment variable {variable}: {message}")]
    Variable {
        /// The environment variable.
        variable: String,
        /// What is wrong with its value.
        message: String,
    },
}

/// All settings; everything has a default, so that no file is needed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where manifests are read, and how often.
    pub manifests: Manifests,
    /// The Docker Engine.
    pub engine: EngineSettings,
    /// What outlives a restart, and where that is kept.
    pub state: State,
    /// The HTTP API.
    pub api: Api,
    /// How fast, and how much at once, what runs is brought to what is desired.
    pub reconcile: Reconcile,
    /// Probes of services beside the Engine's own health checks.
    pub health: Health,
    /// Restarts and retries: how often, and at which pace.
    pub recovery: Recovery,
    /// What is done while the host is hard pressed.
    pub host_guard: HostGuard,
    /// The metrics that Prometheus reads.
    pub metrics: Metrics,
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
        let settings = settings.with_variables(environment)?;
        checks::check(&settings).map(|()| settings)
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

    /// The state folder: the one that is set, else root's or the user's own.
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
        let sections::Health { interval, timeout, retries, batch_size, .. } = &self.health;
        HealthOptions { interval: interval.0, timeout: timeout.0, retries: *retries, batch_size: *batch_size }
    }

    /// How the host is watched. `stays`: by one that stays, and can give back what it takes.
    pub fn host_options(&self, stays: bool) -> HostOptions {
        let HostGuard { enabled, interval, r#for, threshold, proc } = &self.host_guard;
        let policy = GuardPolicy {
            enabled: *enabled && stays,
            cpu: threshold.cpu.0,
            memory: threshold.memory.0,
            io: threshold.io.0,
            free_memory: threshold.free_memory.0,
            lasting: r#for.0,
        };
        HostOptions { proc: proc.clone(), interval: interval.0, policy }
    }

    /// The pace of restarts and retries.
    pub fn recovery_policy(&self) -> RecoveryPolicy {
        let backoff = &self.recovery.backoff;
        RecoveryPolicy {
            initial: backoff.initial.0,
            factor: backoff.factor,
            max: backoff.max.0,
            jitter: backoff.jitter,
            reset_after: backoff.reset_after.0,
            enabled: self.recovery.enabled,
            max_attempts: self.recovery.max_attempts,
            window: self.recovery.window.0,
            cool_down: self.recovery.cool_down.0,
            start_timeout: self.reconcile.start_timeout.0,
            max_parallel: self.recovery.max_parallel,
            pull_retries: self.recovery.pull_retries,
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
    use std::time::Duration;

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
    fn the_host_guard_is_off_and_its_thresholds_are_parts() {
        assert!(!load("", &[]).unwrap().host_options(true).policy.enabled);
        let text = "host_guard: {enabled: true, for: 5s, threshold: {cpu: 70%}}";
        let variables = [("EVENKEEL_HOST_GUARD_THRESHOLD_FREE_MEMORY", "2.5%"), ("EVENKEEL_HOST_GUARD_FOR", "7s")];
        let policy = load(text, &variables).unwrap().host_options(true).policy;
        let expected = GuardPolicy {
            enabled: true,
            cpu: 0.7,
            free_memory: 0.025,
            lasting: Duration::from_secs(7),
            ..GuardPolicy::default()
        };
        assert_eq!(policy, expected);
    }

    #[test]
    fn an_unknown_key_and_a_wrong_kind_are_errors_with_a_place() {
        let error = load("reconcile:\n  paralel: 3\n", &[]).unwrap_err().to_string();
        assert!(error.contains("paralel") && error.contains('2'), "{error}");
        assert!(load("reconcile: {resync: soon}", &[]).unwrap_err().to_string().contains("soon"));
        let error = load("", &[("EVENKEEL_RECONCILE_PARALLEL", "many")]).unwrap_err().to_string();
        assert!(error.contains("EVENKEEL_RECONCILE_PARALLEL"), "{error}");
        let error = load("host_guard: {threshold: {cpu: 140%}}", &[]).unwrap_err().to_string();
        assert!(error.contains("140%") && error.contains("60%"), "{error}");
    }
}
