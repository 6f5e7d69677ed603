//! The pace of restarts and retries: how long is waited, how often is tried.

use std::time::Duration;

use crate::model::Service;
use crate::model::policy::RecoveryPolicy;

impl RecoveryPolicy {
    /// With what a service says of itself.
    #[must_use]
    pub fn of(self, service: &Service) -> Self {
        let own = &service.extension.recovery;
        Self {
            initial: own.backoff.initial.unwrap_or(self.initial),
            factor: own.backoff.factor.unwrap_or(self.factor),
            max: own.backoff.max.unwrap_or(self.max),
            jitter: own.backoff.jitter.unwrap_or(self.jitter),
            max_attempts: own.max_attempts.unwrap_or(self.max_attempts),
            window: own.window.unwrap_or(self.window),
            cool_down: own.cool_down.unwrap_or(self.cool_down),
            ..self
        }
    }

    /// Seconds to wait after `made` attempts: none after none, then `initial * factor^(made - 1)`, capped at `max`, less
    /// up to `jitter` of itself. `draw` is spread over all of `u64`.
    pub fn delay(&self, made: u32, draw: u64) -> Duration {
        let Some(exponent) = made.checked_sub(1) else { return Duration::ZERO };
        let exponent = i32::try_from(exponent.min(1_000)).unwrap_or(1_000);
        let full = (self.initial.as_secs_f64() * self.factor.powi(exponent)).min(self.max.as_secs_f64());
        #[allow(clippy::cast_precision_loss)]
        let unit = draw as f64 / u64::MAX as f64;
        Duration::from_secs_f64((full * (1.0 - self.jitter.clamp(0.0, 1.0) * unit)).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_attempt_is_made_at_once_and_delays_double_up_to_the_cap() {
        let policy = RecoveryPolicy::default();
        let seconds: Vec<u64> = (0..12).map(|n| policy.delay(n, 0).as_secs()).collect();
        assert_eq!(seconds, [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
    }

    #[test]
    fn jitter_only_ever_shortens_and_by_no_more_than_its_part() {
        let policy = RecoveryPolicy::default();
        for draw in [0, u64::MAX / 3, u64::MAX] {
            let delay = policy.delay(5, draw).as_secs_f64();
            assert!((16.0 * 0.9..=16.0).contains(&delay), "{delay}");
        }
    }

    #[test]
    fn a_thousand_attempts_do_not_overflow() {
        assert_eq!(RecoveryPolicy::default().delay(u32::MAX, 0).as_secs(), 300);
    }
}
