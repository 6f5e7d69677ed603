//! Jobs that are done and were to be started in another configuration: what runs is not done, and goes back to an earlier
//! configuration by running in it again; what never ran leaves the job as done as it was. Where the answer to a start is
//! lost, the container itself tells.

use crate::decide::{Decision, Input};
use crate::model::ledger::{Completion, Doubt, ProjectLedger, Subject};
use crate::model::observed::ContainerState;
use crate::model::{ContainerId, ServiceName};

/// What a look at the container of a doubtful start tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// It has not run so far.
    Idle,
    /// It is gone, and had not run.
    Done,
    /// It ran, or nobody can tell.
    Undone,
}

/// Looks at the containers whose start may have run a job again.
pub(in crate::decide) fn decide(input: &Input<'_>, decision: &mut Decision) {
    for (job, done) in &input.ledger.completions {
        let Some(doubt) = &done.doubt else { continue };
        if input.in_flight.keys().any(|subject| matches!(subject, Subject::Replica(service, _) if service == job)) {
            continue;
        }
        let settled = match input.observed.containers.get(&doubt.container).map(|container| container.state) {
            Some(ContainerState::Created) if !doubt.seen_idle => Settled::Idle,
            // It is on its way out, and tells nothing new.
            Some(ContainerState::Created | ContainerState::Removing | ContainerState::Dead) => continue,
            None if doubt.seen_idle => Settled::Done,
            Some(_) | None => Settled::Undone,
        };
        decision.doubts.insert(job.clone(), settled);
    }
}

/// A container of a job is to be started.
pub(in crate::decide) fn begins(ledger: &mut ProjectLedger, job: &ServiceName, container: &ContainerId) {
    let Some(done) = ledger.completions.get_mut(job) else { return };
    if done.doubt.as_ref().is_some_and(|doubt| doubt.container != *container) {
        // Two doubts are one too many.
        ledger.completions.remove(job);
        return;
    }
    done.doubt = Some(Doubt { container: container.clone(), seen_idle: false });
}

/// It was not started.
pub(in crate::decide) fn refused(ledger: &mut ProjectLedger, job: &ServiceName, container: &ContainerId) {
    if let Some(done) = ledger.completions.get_mut(job)
        && is_about(done, container)
    {
        done.doubt = None;
    }
}

/// It was started. What was noted of its end since is news.
pub(in crate::decide) fn ran(ledger: &mut ProjectLedger, job: &ServiceName, container: &ContainerId) {
    if ledger.completions.get(job).is_some_and(|done| is_about(done, container)) {
        ledger.completions.remove(job);
    }
}

fn is_about(done: &Completion, container: &ContainerId) -> bool {
    done.doubt.as_ref().is_some_and(|doubt| doubt.container == *container)
}

/// Notes what a decision saw.
pub(in crate::decide) fn settle<'a>(
    ledger: &mut ProjectLedger,
    seen: impl IntoIterator<Item = (&'a ServiceName, &'a Settled)>,
) {
    for (job, settled) in seen {
        let Some(done) = ledger.completions.get_mut(job) else { continue };
        match (settled, &mut done.doubt) {
            (Settled::Idle, Some(doubt)) => doubt.seen_idle = true,
            // It was noted anew meanwhile.
            (Settled::Idle | Settled::Undone, None) => {}
            (Settled::Done, doubt) => *doubt = None,
            (Settled::Undone, Some(_)) => {
                ledger.completions.remove(job);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ImageId, Timestamp};

    fn done() -> Completion {
        let (image, at) = (ImageId::trusted("sha256:1"), Timestamp::UNIX_EPOCH);
        Completion { config_hash: "a".to_owned(), image, at, doubt: None }
    }

    #[test]
    fn what_is_noted_of_an_end_meanwhile_is_not_thrown_away() {
        let (job, container) = (ServiceName::trusted("job"), ContainerId::trusted("c"));
        let mut ledger = ProjectLedger { completions: [(job.clone(), done())].into(), ..ProjectLedger::default() };
        begins(&mut ledger, &job, &container);
        assert!(ledger.completion(&job).is_none(), "should the controller end now, it may have run");
        // It ran, ended, and that was seen before the answer came.
        ledger.completions.insert(job.clone(), done());
        settle(&mut ledger, [(&job, &Settled::Undone)]);
        ran(&mut ledger, &job, &container);
        assert!(ledger.completion(&job).is_some());
        begins(&mut ledger, &job, &container);
        ran(&mut ledger, &job, &container);
        assert!(!ledger.completions.contains_key(&job));
    }

    #[test]
    fn a_start_that_is_refused_undoes_nothing_and_two_in_doubt_do() {
        let (job, [one, two]) = (ServiceName::trusted("job"), ["c", "d"].map(ContainerId::trusted));
        let mut ledger = ProjectLedger { completions: [(job.clone(), done())].into(), ..ProjectLedger::default() };
        begins(&mut ledger, &job, &one);
        refused(&mut ledger, &job, &one);
        assert!(ledger.completion(&job).is_some());
        begins(&mut ledger, &job, &one);
        begins(&mut ledger, &job, &two);
        assert!(!ledger.completions.contains_key(&job));
    }
}
