//! What each operation changes: pure functions of what is known, whose changes are written before they count.

use std::time::Duration;

use super::names::named;
use super::{After, Answer, Change, Named, OperationError, project};
use crate::control::ledger::{Ledger, LedgerPatch};
use crate::model::ledger::{Down, ProjectLedger, Slot, Subject};
use crate::model::record::RecordData;
use crate::model::{ProjectName, Timestamp, time};

/// The pace of what failed begins anew at most once in this time, however often somebody resumes.
const ANEW: Duration = Duration::from_secs(60);

/// Changes, and the answer once they are on the disk.
pub(in crate::control) type Planned = Result<(Vec<Change>, Answer), OperationError>;

fn alert(about: &str, message: String) -> RecordData {
    RecordData::Alert { about: about.to_owned(), message }
}

/// Suspends or resumes a project or service.
pub(in crate::control) fn set_suspended(ledger: &Ledger, id: &str, suspended: bool, now: Timestamp) -> Planned {
    let named = named(ledger, id)?;
    let project = named.project().clone();
    let answer = match suspended {
        true => Answer::Suspended { id: id.to_owned() },
        false => Answer::Resumed { id: id.to_owned() },
    };
    let is_project = matches!(named, Named::Project(_));
    let patch = LedgerPatch::new(move |ledger| match (&named, suspended) {
        (Named::Project(_), true) => ledger.suspended = true,
        (Named::Project(_), false) => resume(ledger, now),
        (Named::Service(id), true) => {
            ledger.suspended_services.insert(id.service.clone());
        }
        (Named::Service(id), false) => {
            ledger.suspended_services.remove(&id.service);
            let of = |subject: &Subject| matches!(subject, Subject::Replica(service, _) if *service == id.service);
            let again = try_again(ledger, now);
            ledger.slots.iter_mut().filter(|(subject, _)| of(subject)).for_each(|(_, slot)| again(slot));
        }
    });
    let mut after = vec![After::Tell(alert("operation", answer.to_string()))];
    if is_project && !suspended {
        after.insert(0, After::TakeRevision);
    }
    Ok((vec![Change { project, patch, after }], answer))
}

/// A project is taken up again: what failed is tried once more.
fn resume(ledger: &mut ProjectLedger, now: Timestamp) {
    ledger.suspended = false;
    ledger.down = None;
    ledger.failed.clear();
    let anew = is_anew(ledger, now);
    let again = try_again(ledger, now);
    ledger.slots.values_mut().for_each(again);
    if anew {
        ledger.failures.clear();
    } else {
        for failure in ledger.failures.values_mut() {
            (failure.last, failure.not_before) = (Timestamp::UNIX_EPOCH, None);
        }
    }
}

/// Whether what failed may be tried at a pace that begins anew. Who asks again soon has one try, at once: else whatever
/// crashes would be started as often as somebody asks.
fn is_anew(ledger: &ProjectLedger, now: Timestamp) -> bool {
    ledger.retried.is_none_or(|at| at > now || time::between(at, now) >= ANEW)
}

/// What that means for a replica; notes that it was asked for.
fn try_again(ledger: &mut ProjectLedger, now: Timestamp) -> fn(&mut Slot) {
    if is_anew(ledger, now) {
        ledger.retried = Some(now);
        return Slot::forget_restarts;
    }
    Slot::try_at_once
}

/// Takes up everything that is suspended.
pub(in crate::control) fn resume_all(ledger: &Ledger) -> (Vec<Change>, Answer) {
    let suspended = |ledger: &ProjectLedger| ledger.suspended || !ledger.suspended_services.is_empty();
    let projects: Vec<ProjectName> =
        ledger.iter().filter(|(_, ledger, _)| suspended(ledger)).map(|(name, ..)| name.clone()).collect();
    let change = |project: &ProjectName| Change {
        project: project.clone(),
        patch: LedgerPatch::new(|ledger| {
            ledger.suspended = false;
            ledger.suspended_services.clear();
        }),
        after: vec![After::Tell(alert("operation", format!("{project} is resumed")))],
    };
    (projects.iter().map(change).collect(), Answer::ResumedAll { projects })
}

/// Begins the removal of a project.
pub(in crate::control) fn down(ledger: &Ledger, text: &str, volumes: bool) -> Planned {
    let project = project(ledger, text)?;
    let patch = LedgerPatch::new(move |ledger| ledger.down = Some(Down { volumes }));
    let answer = Answer::Removing { project: project.clone() };
    Ok((vec![Change { project, patch, after: Vec::new() }], answer))
}

/// Lets projects go whose manifests vanished, although they are many.
pub(in crate::control) fn confirm(vanished: Vec<ProjectName>, reason: String) -> (Vec<Change>, Answer) {
    let change = |project: &ProjectName| Change {
        project: project.clone(),
        patch: LedgerPatch::new(|ledger| ledger.removal_confirmed = true),
        after: Vec::new(),
    };
    (vanished.iter().map(change).collect(), Answer::Confirmed { reason, removed: vanished })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ServiceName;
    use crate::model::ledger::{Breaker, Failure};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn who_resumes_over_and_over_has_one_try_each_time_and_no_faster_pace() {
        let subject = Subject::Replica(ServiceName::trusted("web"), 1);
        let worn = |ledger: &mut ProjectLedger, now: Timestamp| {
            let slot = ledger.slots.entry(subject.clone()).or_default();
            slot.recent = vec![now; 5];
            slot.restarts = 5;
            slot.breaker = Some(Breaker { opened: now, tried: None });
            let failure = Failure {
                attempts: 4,
                last: now,
                kind: Default::default(),
                error: "no".to_owned(),
                config: String::new(),
                came_down: false,
                in_place: false,
                not_before: Some(now),
            };
            ledger.failures.insert(subject.clone(), failure);
        };
        let mut ledger = ProjectLedger::default();
        worn(&mut ledger, at(1_000));
        resume(&mut ledger, at(1_000));
        assert!(
            ledger.slots[&subject].recent.is_empty() && ledger.failures.is_empty(),
            "the first time all begins anew"
        );
        worn(&mut ledger, at(1_010));
        resume(&mut ledger, at(1_010));
        let slot = &ledger.slots[&subject];
        assert_eq!(slot.recent.len(), 5, "restarts so far count");
        assert!(slot.breaker.is_some_and(|b| b.tried.is_none() && b.opened < at(0).max(at(1))), "one try is due");
        let failure = &ledger.failures[&subject];
        assert!(failure.attempts == 4 && failure.not_before.is_none() && failure.last == Timestamp::UNIX_EPOCH);
        resume(&mut ledger, at(1_000 + 60));
        assert!(ledger.failures.is_empty(), "after a minute all begins anew");
    }
}
