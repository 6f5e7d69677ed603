//! What the answers to probes mean together: classes with patience, so that one slow or lost answer changes nothing.

use std::time::Duration;

use super::Outcome;
use crate::model::health::{HealthClass, Probed};

/// Latencies whose median counts: one slow answer is none.
const LATENCIES: usize = 3;

/// How patient a probe is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Failures in a row before it is unhealthy.
    pub retries: u32,
    /// Successes in a row before it is healthy again.
    pub successes: u32,
    /// Slower answers make it degraded.
    pub expected_latency: Option<Duration>,
    /// Slower answers make an event.
    pub alert_latency: Option<Duration>,
}

/// What is to be told of an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct News {
    /// The class is another one.
    pub class: bool,
    /// Answers became slower than they may, just now.
    pub slow: bool,
}

/// Whether a failure counts. Until something is known of a container it is asked more often than is said, so that its first
/// success is found soon; failures count no sooner for that. `passed`: since one counted last, or since the first question.
pub fn counts(class: HealthClass, passed: Duration, interval: Duration) -> bool {
    class != HealthClass::Unknown || passed >= interval
}

/// Takes in an answer. `young`: failures do not count yet.
pub fn note(probed: &mut Probed, outcome: &Outcome, patience: &Patience, young: bool) -> News {
    let before = probed.class;
    let was_slow = is_slow(probed, patience);
    probed.checked = Some(outcome.at);
    probed.way = outcome.way;
    match &outcome.result {
        Ok(document) => {
            probed.latency_ms = Some(u64::try_from(outcome.latency.as_millis()).unwrap_or(u64::MAX));
            probed.latencies.push(outcome.latency);
            if probed.latencies.len() > LATENCIES {
                probed.latencies.remove(0);
            }
            probed.failures = 0;
            probed.successes = probed.successes.saturating_add(1);
            probed.dependencies.clone_from(&document.dependencies);
            let recovering = before == HealthClass::Unhealthy && probed.successes < patience.successes;
            if !recovering {
                probed.error = None;
                probed.reasons = document.complaints();
                let median = median(probed);
                if let Some(expected) = patience.expected_latency.filter(|expected| median > *expected) {
                    probed.reasons.push(format!("it answers in {} ms, expected are {expected:?}", median.as_millis()));
                }
                probed.class = if probed.reasons.is_empty() { HealthClass::Healthy } else { HealthClass::Degraded };
            }
        }
        Err(error) => {
            probed.successes = 0;
            probed.error = Some(error.clone());
            if !young {
                probed.failures = probed.failures.saturating_add(1);
            }
            if probed.failures >= patience.retries {
                probed.class = HealthClass::Unhealthy;
                probed.reasons = vec![error.clone()];
                probed.latency_ms = None;
                probed.latencies.clear();
            }
        }
    }
    News { class: probed.class != before, slow: is_slow(probed, patience) && !was_slow }
}

fn median(probed: &Probed) -> Duration {
    let mut sorted = probed.latencies.clone();
    sorted.sort_unstable();
    // Of two the faster one.
    sorted.get(sorted.len().saturating_sub(1) / 2).copied().unwrap_or_default()
}

fn is_slow(probed: &Probed, patience: &Patience) -> bool {
    patience.alert_latency.is_some_and(|alert| !probed.latencies.is_empty() && median(probed) > alert)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;
    use crate::probe::Document;

    #[test]
    fn who_starts_slowly_has_as_long_as_its_interval_says() {
        let interval = Duration::from_secs(30);
        assert!(!counts(HealthClass::Unknown, Duration::from_secs(29), interval));
        assert!(counts(HealthClass::Unknown, interval, interval));
        assert!(counts(HealthClass::Healthy, Duration::ZERO, interval));
    }

    fn patience() -> Patience {
        let ms = |n| Some(Duration::from_millis(n));
        Patience { retries: 2, successes: 2, expected_latency: ms(100), alert_latency: ms(500) }
    }

    fn answer(ms: u64) -> Outcome {
        Outcome {
            reached: true,
            result: Ok(Document::default()),
            latency: Duration::from_millis(ms),
            way: None,
            at: Timestamp::UNIX_EPOCH,
        }
    }

    fn failure() -> Outcome {
        Outcome { result: Err("refused".to_owned()), ..answer(1) }
    }

    fn classes(outcomes: &[Outcome]) -> Vec<&'static str> {
        let mut probed = Probed::default();
        outcomes
            .iter()
            .map(|outcome| {
                note(&mut probed, outcome, &patience(), false);
                probed.class.as_str()
            })
            .collect()
    }

    #[test]
    fn one_failure_is_none_and_one_success_after_several_is_none_either() {
        let outcomes =
            [answer(1), failure(), answer(1), failure(), failure(), answer(1), failure(), answer(1), answer(1)];
        let expected =
            ["healthy", "healthy", "healthy", "healthy", "unhealthy", "unhealthy", "unhealthy", "unhealthy", "healthy"];
        assert_eq!(classes(&outcomes), expected);
    }

    #[test]
    fn one_slow_answer_is_none_and_several_degrade() {
        let outcomes = [answer(1), answer(200), answer(1), answer(200), answer(300), answer(1), answer(1)];
        let expected = ["healthy", "healthy", "healthy", "degraded", "degraded", "degraded", "healthy"];
        assert_eq!(classes(&outcomes), expected);
    }

    #[test]
    fn it_is_told_once_that_answers_are_too_slow() {
        let mut probed = Probed::default();
        let told: Vec<bool> = [1, 600, 600, 600, 1, 1, 600, 600]
            .into_iter()
            .map(|ms| note(&mut probed, &answer(ms), &patience(), false).slow)
            .collect();
        assert_eq!(told, [false, false, true, false, false, false, false, true]);
    }

    #[test]
    fn while_it_is_young_failures_do_not_count() {
        let mut probed = Probed::default();
        for _ in 0..10 {
            note(&mut probed, &failure(), &patience(), true);
        }
        assert_eq!(probed.class, HealthClass::Unknown);
    }
}
