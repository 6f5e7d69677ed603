//! Records in words: one sentence each, for events and the console.

use super::{Down, Record, RecordData, Restart};

impl Record {
    /// What happened, in one sentence.
    pub fn message(&self) -> String {
        let service = self.service.as_ref().map_or("", |service| service.as_str());
        let who = |container: &Option<String>| container.clone().unwrap_or_else(|| service.to_owned());
        match &self.data {
            RecordData::ServiceUp { container, state, reasons } => {
                format!("{} is {state}{}", who(container), because(reasons))
            }
            RecordData::ServiceDown { container, how } => match how {
                Down::LeftStopped { reason } => format!("{service} is down and is left so: {reason}"),
                Down::Exited { code } => format!("{} exited with {code}", who(container)),
                Down::Unwell { class, reasons } => format!("{} is {class}{}", who(container), because(reasons)),
                Down::Degraded => format!("{service} is not well, so what it can do without is given up"),
            },
            RecordData::ServiceRestarted { how, cause, .. } => match how {
                Restart::Container => format!("{service} is started again: {cause}"),
                Restart::Reset => format!("{service} is emptied and made anew: {cause}"),
                Restart::Project => format!("the project is started again for {service}: {cause}"),
            },
            RecordData::HighLatency { container, latency_ms } => format!("{container} answers in {latency_ms} ms"),
            RecordData::RevisionLoaded { revision, path } => {
                format!("revision {} of {path} is in force", short(revision))
            }
            RecordData::RevisionNotRetried { revision, path } => {
                format!("revision {} of {path} failed before and is not tried again", short(revision))
            }
            RecordData::ManifestInvalid { errors } => {
                format!("{}; the last good revision stays in force", errors.join("; "))
            }
            RecordData::Converged { .. } => "everything is as the manifest says".to_owned(),
            RecordData::StepFailed { action, attempts, error } => format!("{action} failed ({attempts}x): {error}"),
            RecordData::RolloutStarted { from, to } => {
                format!("revision {} takes the place of {}", short(to), short(from))
            }
            RecordData::RolloutCompleted { revision } => format!("revision {} is healthy", short(revision)),
            RecordData::RolloutFailed { revision, reason, rolled_back } => {
                let what = match rolled_back {
                    true => "failed, and the last healthy one is in force again",
                    false => "failed, and its rollout came to a stop",
                };
                format!("revision {} {what}: {service}: {reason}", short(revision))
            }
            RecordData::ForeignAction { container, code } => {
                format!("{container} was stopped or killed from outside, exit {code}")
            }
            RecordData::DriftDetected { number, path, observed, desired } => {
                let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "not set".to_owned());
                let whose = field(path, service, *number);
                format!("{whose} is {} instead of {}", value(observed), value(desired))
            }
            RecordData::DriftRepaired { number, path } => {
                format!("{} is as the manifest says", field(path, service, *number))
            }
            RecordData::BreakerOpened { number: Some(number), reason } => format!("{service}/{number} rests: {reason}"),
            RecordData::BreakerOpened { number: None, reason } => reason.clone(),
            RecordData::BreakerClosed { number } => format!("{service}/{number} is well again"),
            RecordData::Throttled { cause } | RecordData::Released { cause } => format!("{service}: {cause}"),
            RecordData::EngineUp { version } => format!("the Docker Engine {version} answers"),
            RecordData::EngineDown { reason } => reason.clone(),
            RecordData::GuardTripped { reason } => format!("{reason}; nothing is removed until `evenkeel confirm`"),
            RecordData::Alert { message, .. } => message.clone(),
            RecordData::Baseline { projects, .. } => format!("{} projects were looked at", projects.len()),
            RecordData::StepStarted { step } => format!("{}: {}", step.summary, step.cause),
            RecordData::StepEnded { step, error: None, .. } => format!("{} worked", step.summary),
            RecordData::StepEnded { step, error: Some(error), .. } => format!("{} failed: {error}", step.summary),
            RecordData::Decided { changes: true, .. } => "there is something to do".to_owned(),
            RecordData::Decided { changes: false, .. } => "there is nothing to do".to_owned(),
            RecordData::Probed { latency_us: Some(_) } => format!("the probe of {service} passed"),
            RecordData::Probed { latency_us: None } => format!("the probe of {service} failed"),
            RecordData::EngineEvent => "the Engine told an event".to_owned(),
            RecordData::Resync => "everything is listed afresh".to_owned(),
            RecordData::InvariantViolated { violation } => {
                format!("a step was not taken, as it would break an invariant (a mistake in evenkeel): {violation}")
            }
        }
    }
}

fn because(reasons: &[String]) -> String {
    if reasons.is_empty() { String::new() } else { format!(": {}", reasons.join(", ")) }
}

/// `cpus of web/1`.
fn field(path: &str, service: &str, number: Option<u32>) -> String {
    match number {
        Some(number) => format!("{path} of {service}/{number}"),
        None => path.to_owned(),
    }
}

/// As much of a revision as people read.
fn short(revision: &str) -> String {
    revision.chars().take(12).collect()
}
