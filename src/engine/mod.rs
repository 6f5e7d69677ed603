//! A container engine behind three traits: reading, writing, events. Read-only verbs are given the reading one only, so
//! that they cannot change anything.

pub mod docker;
pub mod sim;
pub mod unfinished;

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;

use crate::model::fields::Fields;
use crate::model::observed::{Capabilities, Container, Health, Image, Network, PublishedPort, Volume};
use crate::model::service::{Attachment, Build, Hook};
use crate::model::setback::{Refusal, Setback};
use crate::model::usage::Usage;
use crate::model::{ContainerId, NetworkId, ProjectName, Service, ServiceName, Timestamp, project};

/// Why a call to the engine failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum EngineError {
    /// The Engine does not answer.
    #[error("the Docker Engine at {address} cannot be reached: {reason}")]
    Unreachable {
        /// Where it was looked for.
        address: String,
        /// What the connection said.
        reason: String,
        /// It is there, and does not let this user speak to it: waiting does not help.
        denied: bool,
    },
    /// It answered with an error.
    #[error("{message}")]
    Refused {
        /// What that error means: what follows goes by this alone.
        reason: Refusal,
        /// The Engine's words, for people.
        message: String,
    },
    /// It was not asked: what is wanted is not there to be named any more, or no Engine could be told of it.
    #[error("{0}")]
    NotAsked(String),
    /// It ran a command in a container, and that failed.
    #[error("{0}")]
    CommandFailed(String),
    /// No answer came in time, or it broke off: the call may have taken effect or not.
    #[error("no answer from the Engine: {0}")]
    NoAnswer(String),
    /// It answered with something that is not understood.
    #[error("the Engine's answer is not understood: {0}")]
    NotUnderstood(String),
}

/// A hook that takes longer has failed.
pub const HOOK_LIMIT: Duration = Duration::from_secs(300);

impl EngineError {
    /// Whether the call may have taken effect all the same: not where there was a clear no, or no call.
    pub fn outcome_unknown(&self) -> bool {
        match self {
            Self::Refused { reason, .. } => reason.may_have_worked(),
            Self::NotAsked(_) | Self::CommandFailed(_) => false,
            Self::Unreachable { .. } | Self::NoAnswer(_) | Self::NotUnderstood(_) => true,
        }
    }

    /// What stood in the way, as what is decided next goes by.
    pub fn setback(&self) -> Setback {
        match self {
            Self::Refused { reason, .. } => Setback::Refused(*reason),
            Self::NotAsked(_) | Self::CommandFailed(_) => Setback::Other,
            Self::Unreachable { .. } | Self::NoAnswer(_) | Self::NotUnderstood(_) => Setback::Unanswered,
        }
    }

    /// Whether the Engine is away as a whole.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }

    /// Whether there is no such thing.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { reason: Refusal::NotFound(_), .. })
    }
}

/// What kind of engine answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineInfo {
    /// The Engine's version, as `docker version` prints it.
    pub version: String,
    /// What its API can do.
    pub capabilities: Capabilities,
    /// Its clock: events are asked for since then.
    pub time: Timestamp,
    /// Bytes of memory of its host; `None`: not told.
    pub memory: Option<u64>,
}

/// Everything there is, as lists tell it. A list can be behind the truth: states are taken from inspects and events.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// Containers with Compose's project label.
    pub containers: Vec<ListedContainer>,
    /// Every network that the Engine has.
    pub networks: Vec<Network>,
    /// Every volume that the Engine has.
    pub volumes: Vec<Volume>,
    /// Ports of the host that running containers have, with or without a project, in order.
    pub published: Vec<PublishedPort>,
}

/// A container as a list tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedContainer {
    /// The full id.
    pub id: ContainerId,
    /// The project of `com.docker.compose.project`.
    pub project: ProjectName,
    /// The Engine's word for its state.
    pub state: String,
}

/// Calls that change nothing.
#[async_trait]
pub trait EngineRead: Send + Sync {
    /// What kind of engine it is.
    async fn info(&self) -> Result<EngineInfo, EngineError>;
    /// Lists everything that belongs to a project, and all networks and volumes.
    async fn list(&self) -> Result<Listing, EngineError>;
    /// One container; `None`: there is none, or it belongs to no project.
    async fn inspect(&self, id: &ContainerId) -> Result<Option<Container>, EngineError>;
    /// The image under a reference.
    async fn image(&self, reference: &str) -> Result<Option<Image>, EngineError>;
    /// What a container of this specification would be made with, in the form in which an inspect tells it. All its
    /// networks are named, by their names. Asks nobody.
    ///
    /// # Errors
    /// When this engine could not be asked for such a container.
    fn fields(&self, spec: &ContainerSpec<'_>) -> Result<Fields, EngineError>;
}

/// Changing. Each call is made once; a thing that is already as asked for is a success.
#[async_trait]
pub trait EngineWrite: Send + Sync {
    /// Makes a network. Not idempotent on old Engines: names are not unique.
    async fn create_network(&self, network: &NetworkSpec<'_>) -> Result<(), EngineError>;
    /// Removes a network by id.
    async fn remove_network(&self, id: &NetworkId) -> Result<(), EngineError>;
    /// Makes a volume; one of that name that is there already is left as it is.
    async fn create_volume(&self, volume: &VolumeSpec<'_>) -> Result<(), EngineError>;
    /// Removes a volume, and the data in it.
    async fn remove_volume(&self, name: &str) -> Result<(), EngineError>;
    /// Fetches an image, for another platform than the Engine's where one is named.
    async fn pull(&self, reference: &str, platform: Option<&str>) -> Result<(), EngineError>;
    /// Builds an image with the Engine's own builder. The error of a build that failed carries the last lines of the
    /// builder's output.
    async fn build(&self, build: &BuildSpec<'_>) -> Result<(), EngineError>;
    /// Makes a container, without starting it, and gives its id.
    async fn create_container(&self, container: &ContainerSpec<'_>) -> Result<ContainerId, EngineError>;
    /// Attaches a container to a network.
    async fn connect(
        &self,
        network: &NetworkId,
        container: &ContainerId,
        endpoint: &EndpointSpec<'_>,
    ) -> Result<(), EngineError>;
    /// Detaches a container from a network; one that is not attached is a success.
    async fn disconnect(&self, network: &NetworkId, container: &ContainerId) -> Result<(), EngineError>;
    /// Changes limits and the restart policy in place, all in one call. Paths are those of [`Fields`]; `None` unsets.
    async fn update(&self, id: &ContainerId, changes: &BTreeMap<String, Option<String>>) -> Result<(), EngineError>;
    /// Puts files into a container that need not run, over what is there. What of them arrived when it fails is not
    /// known: it is to be repeated as a whole before the container is started.
    async fn copy_into(&self, id: &ContainerId, files: &[FileSpec<'_>]) -> Result<(), EngineError>;
    /// Makes a health check in a running container, by its `test`, once; says why it failed, `None` if it passed. One that
    /// takes longer than this is given up and runs on, and has failed; while it does no other of its kind is begun, which
    /// is a failure too ([`unfinished`]).
    async fn check(&self, id: &ContainerId, test: &[String], timeout: Duration) -> Result<Option<String>, EngineError>;
    /// Runs a hook in a running container; an error is also one that it ends with, that it takes longer than this, or that
    /// an earlier run of it still does: it is never run beside itself.
    async fn run_hook(&self, id: &ContainerId, hook: &Hook, timeout: Duration) -> Result<(), EngineError>;

    /// Starts a container; one that runs already is no error.
    async fn start(&self, id: &ContainerId) -> Result<(), EngineError>;
    /// Stops a container; returns when it has ended.
    async fn stop(&self, id: &ContainerId, grace: Option<Duration>) -> Result<(), EngineError>;
    /// Removes a container that does not run, never its volumes.
    async fn remove(&self, id: &ContainerId) -> Result<(), EngineError>;
    /// Gives a container another name.
    async fn rename(&self, id: &ContainerId, name: &str) -> Result<(), EngineError>;
    /// Lets a frozen container go on.
    async fn unpause(&self, id: &ContainerId) -> Result<(), EngineError>;
    /// Sends a signal, such as `SIGHUP`, to a container's first process.
    async fn signal(&self, id: &ContainerId, signal: &str) -> Result<(), EngineError>;
}

/// The stream of the Engine's events.
pub trait EngineEvents: Send + Sync {
    /// What happens from a time on. The stream ends or fails when the connection does; the Engine keeps 256 events.
    fn events(&self, since: Timestamp) -> BoxStream<'static, Result<EngineEvent, EngineError>>;
}

/// Watching what containers use.
pub trait EngineUsage: Send + Sync {
    /// What a container uses, every few seconds, until it ends or the connection does.
    fn usage(&self, id: &ContainerId) -> BoxStream<'static, Result<Usage, EngineError>>;
}

/// Everything that the controller asks an Engine for.
pub trait Engine: EngineRead + EngineWrite + EngineEvents + EngineUsage + 'static {}
impl<T: EngineRead + EngineWrite + EngineEvents + EngineUsage + 'static> Engine for T {}

/// An event of the Engine, in our words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineEvent {
    /// When, by the Engine's clock.
    pub time: Timestamp,
    /// The object that it befell, and how.
    pub kind: EventKind,
}

/// The kinds of events that are listened to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventKind {
    /// To a container of a Compose project.
    Container {
        /// The container that it befell.
        id: ContainerId,
        /// The project of that container.
        project: ProjectName,
        /// What the container did.
        action: ContainerEvent,
    },
    /// A network was made, removed, or had a container attached or detached.
    Network {
        /// The network's id.
        id: NetworkId,
        /// The network's name.
        name: String,
        /// The network was removed.
        destroyed: bool,
        /// The container that was attached or detached.
        container: Option<ContainerId>,
    },
    /// A volume was made or removed.
    Volume {
        /// The volume's name.
        name: String,
        /// The volume was removed.
        destroyed: bool,
    },
    /// To some image: references may mean something else now.
    Image,
}

/// What happened to a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContainerEvent {
    /// It was made, and not started.
    Created,
    /// Its first process began.
    Started,
    /// Its first process ended.
    Died {
        /// The exit code of that process.
        code: i64,
    },
    /// It was sent a signal that usually ends a process.
    Killed,
    /// It ran out of memory.
    OutOfMemory,
    /// Its processes were frozen, as by `docker pause`.
    Paused,
    /// Its processes go on.
    Unpaused,
    /// It was removed.
    Destroyed,
    /// Its check says so.
    Health(Health),
    /// Anything after which it has to be looked at: renamed, updated.
    Changed,
}

/// A network to make.
#[derive(Debug)]
pub struct NetworkSpec<'a> {
    /// What the manifest says.
    pub network: &'a project::Network,
    /// All labels, Compose's and evenkeel's own with those of the manifest.
    pub labels: BTreeMap<String, String>,
}

/// A volume to make.
#[derive(Debug)]
pub struct VolumeSpec<'a> {
    /// What the manifest says.
    pub volume: &'a project::Volume,
    /// All labels, Compose's and evenkeel's own with those of the manifest.
    pub labels: BTreeMap<String, String>,
}

/// An image to build.
#[derive(Debug)]
pub struct BuildSpec<'a> {
    /// The reference that the image is to have.
    pub image: &'a str,
    /// What the manifest says.
    pub build: &'a Build,
    /// The platform; `None`: the Engine's own.
    pub platform: Option<&'a str>,
}

/// A container to make.
#[derive(Debug)]
pub struct ContainerSpec<'a> {
    /// The name that the container is to have.
    pub name: &'a str,
    /// What the manifest says.
    pub service: &'a Service,
    /// All labels, Compose's and evenkeel's own with those of the manifest.
    pub labels: BTreeMap<String, String>,
    /// The networks to attach it to, the first one first: each by its name, or by its id where another one has that name.
    pub networks: Vec<(String, EndpointSpec<'a>)>,
    /// The Engine's names of the volumes, by key.
    pub volumes: BTreeMap<&'a str, &'a str>,
    /// Anonymous volumes of the container it replaces, by the path in the container.
    pub inherited: BTreeMap<String, String>,
    /// The project's configs, by key.
    pub configs: &'a BTreeMap<String, project::FileObject>,
    /// The project's secrets, by key.
    pub secrets: &'a BTreeMap<String, project::FileObject>,
    /// The first container of each service that this one shares something with, as far as there is one.
    pub peers: &'a BTreeMap<ServiceName, ContainerId>,
    /// `CONTAINER:ALIAS`.
    pub links: Vec<String>,
}

/// How a container is attached to a network.
#[derive(Debug)]
pub struct EndpointSpec<'a> {
    /// What the manifest says.
    pub attachment: &'a Attachment,
    /// All names it answers to on that network, the one that its container has in the end first.
    pub aliases: Vec<String>,
    /// `CONTAINER:ALIAS`.
    pub links: Vec<String>,
}

/// A file to put into a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSpec<'a> {
    /// Its path in the container; missing folders are made.
    pub path: String,
    /// The text that is written into it.
    pub content: &'a str,
    /// The mode of the file, as in `0o444`.
    pub mode: u32,
    /// User and group; `None`: root, whoever the container's process is.
    pub owner: Option<(u32, u32)>,
}
