//! Reading what a person writes.

use std::time::Duration;

use super::{Asked, Deed, Fault, FaultError, MOST_RANDOM};
use crate::manifest::diagnostic::suggestion;
use crate::manifest::duration;

/// For as long as is not written.
const LENGTH: Duration = Duration::from_secs(30);
/// More runs than this end in a crash nobody waits for.
const MOST_RUNS: u32 = 100;

/// The faults' names, what each takes, and an example.
const KINDS: [(&str, Takes, &str); 11] = [
    ("kill", Takes::Service, "kill:db@30s"),
    ("stop", Takes::Service, "stop:db@30s"),
    ("rm", Takes::Service, "rm:db@30s"),
    ("crash", Takes::ServiceAndRuns, "crash:db@30s or crash:db@30s*5"),
    ("oom", Takes::Service, "oom:db@30s"),
    ("unhealthy", Takes::ServiceAndLength, "unhealthy:db@30s+1m"),
    ("pause", Takes::Service, "pause:db@30s"),
    ("reboot", Takes::Nothing, "reboot@2m"),
    ("engine", Takes::Length, "engine@2m+30s"),
    ("controller", Takes::Nothing, "controller@1m"),
    ("disk-full", Takes::Length, "disk-full@1m+30s"),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes {
    Nothing,
    Length,
    Service,
    ServiceAndRuns,
    ServiceAndLength,
}

impl Takes {
    fn service(self) -> bool {
        matches!(self, Self::Service | Self::ServiceAndRuns | Self::ServiceAndLength)
    }

    fn length(self) -> bool {
        matches!(self, Self::Length | Self::ServiceAndLength)
    }
}

/// Reads what one `--fault` says: `KIND[:SERVICE]@TIME[+LENGTH][*RUNS]`, or `random:N`.
///
/// # Errors
/// When it says no such thing; the error says what to write.
pub fn parse(text: &str) -> Result<Asked, FaultError> {
    let wrong = |problem: String| FaultError { text: text.to_owned(), problem };
    if let Some(count) = text.strip_prefix("random:") {
        let count = count.parse().ok().filter(|n| (1..=MOST_RANDOM).contains(n));
        let count = count.ok_or_else(|| wrong(format!("how many? write a number from 1 to {MOST_RANDOM}")))?;
        return Ok(Asked::Random(count));
    }
    // A service's name may hold neither of these two.
    let (head, tail) = text.split_once('@').map_or((text, None), |(head, tail)| (head, Some(tail)));
    let (kind, service) = head.split_once(':').map_or((head, None), |(kind, service)| (kind, Some(service)));
    let Some((kind, takes, example)) = KINDS.into_iter().find(|(name, ..)| *name == kind) else {
        let names = KINDS.map(|(name, ..)| name);
        let near = suggestion(kind, names).map(|s| format!("; {s}")).unwrap_or_default();
        return Err(wrong(format!("there is no fault `{kind}`{near} (there are {} and random)", names.join(", "))));
    };
    let service = match (service.filter(|s| !s.is_empty()), takes.service()) {
        (Some(service), true) => service.to_owned(),
        (None, true) => return Err(wrong(format!("of which service? write for example {example}"))),
        (Some(_), false) => return Err(wrong(format!("it is of no service; write for example {example}"))),
        (None, false) => String::new(),
    };
    let Some(tail) = tail else { return Err(wrong(format!("when? write for example {example}"))) };
    let (tail, runs) = tail.split_once('*').map_or((tail, None), |(tail, runs)| (tail, Some(runs)));
    let (at, length) = tail.split_once('+').map_or((tail, None), |(at, length)| (at, Some(length)));
    let span = |text: &str| {
        let problem = || wrong(format!("`{text}` is no duration; write for example {example}"));
        duration::parse(text).ok_or_else(problem)
    };
    let at = span(at)?;
    let length = match length {
        Some(_) if !takes.length() => return Err(wrong(format!("it has no length; write for example {example}"))),
        Some(length) => span(length)?,
        None => LENGTH,
    };
    let runs = match runs {
        Some(_) if takes != Takes::ServiceAndRuns => {
            return Err(wrong(format!("it has no number of runs; write for example {example}")));
        }
        Some(runs) => {
            let problem = || wrong(format!("`*{runs}`: write a number of runs from 1 to {MOST_RUNS}, as in {example}"));
            runs.parse().ok().filter(|n| (1..=MOST_RUNS).contains(n)).ok_or_else(problem)?
        }
        None => 1,
    };
    let deed = match kind {
        "kill" => Deed::Kill(service),
        "stop" => Deed::Stop(service),
        "rm" => Deed::Remove(service),
        "crash" => Deed::Crash(service, runs),
        "oom" => Deed::OutOfMemory(service),
        "unhealthy" => Deed::Unhealthy(service, length),
        "pause" => Deed::Pause(service),
        "reboot" => Deed::Reboot,
        "engine" => Deed::Engine(length),
        "controller" => Deed::Controller,
        _ => Deed::DiskFull(length),
    };
    Ok(Asked::One(Fault { deed, at }))
}
