//! What arrives at the loop, and what follows a write of the ledger.

use tokio::sync::oneshot;

use super::intake::watch::Reading;
use super::ledger::Written;
use super::link::Connected;
use super::operations::{Answer, OperationError, Progress, Request};
use super::sensors::files::Seen;
use super::steps::Outcome;
use crate::decide::Step;
use crate::engine::{EngineError, EngineEvent, Listing};
use crate::model::observed::{Container, Image};
use crate::model::usage::{HostLoad, Load};
use crate::model::{ContainerId, ProjectName, ServiceName};
use crate::probe::track::News;

/// Messages that may wait for the loop. Who has one more waits until there is room: nothing is dropped.
pub(super) const INBOX: usize = 4096;

/// What arrives at the loop.
#[derive(Debug)]
pub(super) enum Message {
    /// The manifests directory was read.
    Reading(Box<Reading>),
    /// The Engine was reached, or not.
    Connected(Box<Result<Connected, EngineError>>),
    /// The Engine told an event, or the stream broke off.
    Event(Result<EngineEvent, EngineError>),
    /// The stream of events ended.
    EventsEnded,
    /// An answer to a question asked over the `epoch`-th connection: of no use once that was lost.
    Answer { epoch: u64, answer: EngineAnswer },
    /// A step ended.
    Step(Box<Outcome>),
    /// The host was looked at; `None`: nothing could be read.
    Host(Option<HostLoad>),
    /// Files that containers mount were looked at.
    Files { project: ProjectName, seen: Vec<(ContainerId, Seen)> },
    /// Somebody looks at what a service uses.
    LookedAt(ProjectName, ServiceName),
    /// Somebody asks for an operation.
    Request(Box<Request>, oneshot::Sender<Result<Answer, OperationError>>),
    /// A project's ledger was written, or could not be.
    Written(Box<Written>),
    /// A task that the loop depends on ended, and was started again.
    TaskEnded { task: &'static str, reason: String },
    /// The controller is to end.
    Shutdown,
}

/// What the Engine was asked for beside the loop.
#[derive(Debug)]
pub(super) enum EngineAnswer {
    Listed { point: u64, result: Result<Listing, EngineError> },
    Inspected { id: ContainerId, point: u64, result: Result<Option<Box<Container>>, EngineError> },
    Image { reference: String, result: Result<Option<Image>, EngineError> },
    CheckPassed { id: ContainerId },
    Probed { id: ContainerId, news: News },
    Load { id: ContainerId, load: Load, host_cpus: u32 },
}

/// What follows once a project's ledger is on the disk; where it cannot be written, what is told instead.
#[derive(Debug)]
pub(super) enum Then {
    /// Nothing waits for it.
    Nothing,
    /// These steps are taken.
    Begin(Vec<Step>),
    /// The same, and as what was decided is remembered now, it is decided about further.
    BeginAndDecide(Vec<Step>),
    /// An operation goes on: with its next project, or by telling that it is done.
    Operation(Box<Progress>),
}
