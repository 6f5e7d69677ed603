//! An operation on its way: the projects it changes are written one after the other, and only then is it told as done.

use std::collections::VecDeque;

use tokio::sync::oneshot;

use super::{Answer, OperationError, Request};
use crate::control::ledger::LedgerPatch;
use crate::model::ProjectName;
use crate::model::record::RecordData;

/// What an operation changes in one project.
#[derive(Debug)]
pub(in crate::control) struct Change {
    pub(in crate::control) project: ProjectName,
    pub(in crate::control) patch: LedgerPatch,
    /// What follows once the patch is on the disk.
    pub(in crate::control) after: Vec<After>,
}

/// What follows once a change is on the disk, beside that the project is decided about.
#[derive(Debug)]
pub(in crate::control) enum After {
    /// The manifest's revision is taken again.
    TakeRevision,
    /// This is told of the project.
    Tell(RecordData),
}

/// An operation whose changes are being written.
#[derive(Debug)]
pub(in crate::control) struct Progress {
    pub(in crate::control) request: Box<Request>,
    reply: oneshot::Sender<Result<Answer, OperationError>>,
    changes: VecDeque<Change>,
    /// What follows the change that is being written.
    after: Vec<After>,
    answer: Answer,
}

impl Progress {
    pub(in crate::control) fn new(
        request: Box<Request>,
        reply: oneshot::Sender<Result<Answer, OperationError>>,
        changes: Vec<Change>,
        answer: Answer,
    ) -> Self {
        Self { request, reply, changes: changes.into(), after: Vec::new(), answer }
    }

    /// The project whose change is the next one.
    pub(in crate::control) fn next_project(&self) -> Option<&ProjectName> {
        self.changes.front().map(|change| &change.project)
    }

    /// The next change, which is about to be written.
    pub(in crate::control) fn next(&mut self) -> Option<(ProjectName, LedgerPatch)> {
        let change = self.changes.pop_front()?;
        self.after = change.after;
        Some((change.project, change.patch))
    }

    /// What follows the change that was written.
    pub(in crate::control) fn take_after(&mut self) -> Vec<After> {
        std::mem::take(&mut self.after)
    }

    /// All changes are on the disk: it is told as done.
    pub(in crate::control) fn done(self) -> Answer {
        // Who asked may be gone.
        let _ = self.reply.send(Ok(self.answer.clone()));
        self.answer
    }

    /// A change could not be written: those before it stand.
    pub(in crate::control) fn failed(self, error: OperationError) {
        let _ = self.reply.send(Err(error));
    }
}
