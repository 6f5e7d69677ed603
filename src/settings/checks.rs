//! Values that are understood and cannot work all the same: said at the start, before anything behaves oddly because of them.

use std::time::Duration;

use super::{Settings, SettingsError, Span};
use crate::manifest::duration;

/// What is done over and over is not done more often than this.
const LEAST_PAUSE: Duration = Duration::from_millis(100);

/// Finds a value that cannot work.
pub(super) fn check(settings: &Settings) -> Result<(), SettingsError> {
    let Settings { manifests, reconcile, health, recovery, host_guard, metrics, .. } = settings;
    for (key, span) in [
        ("manifests.rescan", manifests.rescan),
        ("reconcile.resync", reconcile.resync),
        ("health.interval", health.interval),
        ("host_guard.interval", host_guard.interval),
    ] {
        demand(span.0 >= LEAST_PAUSE, key, &time(span), "at least 100ms")?;
    }
    for (key, span) in [
        ("reconcile.start_timeout", reconcile.start_timeout),
        ("health.timeout", health.timeout),
        ("recovery.window", recovery.window),
        ("recovery.cool_down", recovery.cool_down),
        ("recovery.backoff.initial", recovery.backoff.initial),
    ] {
        demand(!span.0.is_zero(), key, &time(span), "longer than nothing")?;
    }
    for (key, count) in [
        ("reconcile.parallel", reconcile.parallel),
        ("health.retries", health.retries as usize),
        ("health.batch_size", health.batch_size),
        ("recovery.max_attempts", recovery.max_attempts as usize),
        ("recovery.max_parallel", recovery.max_parallel as usize),
        ("recovery.pull_retries", recovery.pull_retries as usize),
    ] {
        demand(count > 0, key, &count.to_string(), "at least 1")?;
    }
    let backoff = &recovery.backoff;
    let longest = backoff.max >= backoff.initial;
    demand(longest, "recovery.backoff.max", &time(backoff.max), "no shorter than recovery.backoff.initial")?;
    let factor = backoff.factor;
    let grows = factor.is_finite() && factor >= 1.0;
    demand(grows, "recovery.backoff.factor", &factor.to_string(), "a number from 1 on")?;
    let jitter = backoff.jitter;
    demand((0.0..=1.0).contains(&jitter), "recovery.backoff.jitter", &jitter.to_string(), "a number from 0 to 1")?;
    let namespace = metrics.namespace.as_str();
    let head = namespace.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    let is_name = head && namespace.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    demand(is_name, "metrics.namespace", &format!("`{namespace}`"), "letters, digits and `_`, with no digit at first")
}

fn time(span: Span) -> String {
    duration::print(span.0)
}

fn demand(holds: bool, key: &'static str, value: &str, must: &'static str) -> Result<(), SettingsError> {
    if holds {
        return Ok(());
    }
    let variable = format!("EVENKEEL_{}", key.replace('.', "_").to_uppercase());
    Err(SettingsError::Value { key, variable, value: value.to_owned(), must })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> String {
        let settings: Settings = serde_saphyr::from_str(text).unwrap();
        check(&settings).unwrap_err().to_string()
    }

    #[test]
    fn the_defaults_can_work() {
        check(&Settings::default()).unwrap();
    }

    #[test]
    fn what_cannot_work_is_told_with_its_key_its_variable_and_what_it_must_be() {
        assert_eq!(
            told("host_guard: {interval: 0s}"),
            "the setting host_guard.interval (EVENKEEL_HOST_GUARD_INTERVAL) is 0s, and must be at least 100ms"
        );
        for (text, must) in [
            ("manifests: {rescan: 10ms}", "at least 100ms"),
            ("health: {timeout: 0s}", "longer than nothing"),
            ("health: {retries: 0}", "at least 1"),
            ("reconcile: {parallel: 0}", "at least 1"),
            ("recovery: {backoff: {max: 1ms}}", "no shorter than recovery.backoff.initial"),
            ("recovery: {backoff: {factor: 0.5}}", "a number from 1 on"),
            ("recovery: {backoff: {factor: .inf}}", "a number from 1 on"),
            ("recovery: {backoff: {jitter: 1.5}}", "a number from 0 to 1"),
            ("metrics: {namespace: a-b}", "letters, digits"),
            ("metrics: {namespace: 1a}", "letters, digits"),
        ] {
            let told = told(text);
            assert!(told.contains(must), "{text}: {told}");
        }
    }
}
