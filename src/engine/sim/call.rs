//! Calls, what may go wrong with them, and who decides that.

use std::fmt;
use std::time::Duration;

use super::world::World;
use crate::engine::{EngineError, EngineEvent};
use crate::model::{ContainerId, NetworkId};

/// A call to the simulated Engine.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Call {
    Info,
    List,
    Inspect { id: ContainerId },
    Image { reference: String },
    CreateNetwork { name: String },
    RemoveNetwork { id: NetworkId },
    CreateVolume { name: String },
    RemoveVolume { name: String },
    Pull { reference: String },
    Build { reference: String },
    CreateContainer { name: String },
    Connect { network: NetworkId, id: ContainerId },
    Disconnect { network: NetworkId, id: ContainerId },
    Update { id: ContainerId },
    CopyInto { id: ContainerId },
    Start { id: ContainerId },
    Stop { id: ContainerId },
    Remove { id: ContainerId },
    Rename { id: ContainerId, name: String },
    Unpause { id: ContainerId },
    Signal { id: ContainerId, signal: String },
    Hook { id: ContainerId },
}

impl Call {
    /// Whether it changes something.
    pub fn mutates(&self) -> bool {
        !matches!(self, Self::Info | Self::List | Self::Inspect { .. } | Self::Image { .. })
    }

    /// The container it is about.
    pub fn container(&self) -> Option<&ContainerId> {
        match self {
            Self::Inspect { id }
            | Self::Connect { id, .. }
            | Self::Disconnect { id, .. }
            | Self::Update { id }
            | Self::CopyInto { id }
            | Self::Start { id }
            | Self::Stop { id }
            | Self::Remove { id }
            | Self::Rename { id, .. }
            | Self::Unpause { id }
            | Self::Signal { id, .. }
            | Self::Hook { id } => Some(id),
            _ => None,
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Info => f.write_str("info"),
            Self::List => f.write_str("list"),
            Self::Inspect { id } => write!(f, "inspect {}", id.short()),
            Self::Image { reference } => write!(f, "look up image {reference}"),
            Self::CreateNetwork { name } => write!(f, "create network {name}"),
            Self::RemoveNetwork { id } => write!(f, "remove network {id}"),
            Self::CreateVolume { name } => write!(f, "create volume {name}"),
            Self::RemoveVolume { name } => write!(f, "remove volume {name}"),
            Self::Pull { reference } => write!(f, "pull {reference}"),
            Self::Build { reference } => write!(f, "build {reference}"),
            Self::CreateContainer { name } => write!(f, "create {name}"),
            Self::Connect { network, id } => write!(f, "connect {} to {network}", id.short()),
            Self::Disconnect { network, id } => write!(f, "disconnect {} from {network}", id.short()),
            Self::Update { id } => write!(f, "update {}", id.short()),
            Self::CopyInto { id } => write!(f, "copy files into {}", id.short()),
            Self::Start { id } => write!(f, "start {}", id.short()),
            Self::Stop { id } => write!(f, "stop {}", id.short()),
            Self::Remove { id } => write!(f, "remove {}", id.short()),
            Self::Rename { id, name } => write!(f, "rename {} to {name}", id.short()),
            Self::Unpause { id } => write!(f, "unpause {}", id.short()),
            Self::Hook { id } => write!(f, "run a hook in {}", id.short()),
            Self::Signal { id, signal } => write!(f, "send {signal} to {}", id.short()),
        }
    }
}

/// What goes wrong with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upset {
    /// The answer is that the Engine came to grief over it, whether it took effect or not.
    Fails {
        /// It took effect.
        effect: bool,
    },
    /// There is no answer.
    Silent {
        /// It took effect.
        effect: bool,
    },
    /// A read tells what was before.
    Behind {
        /// So long ago.
        by: Duration,
    },
    /// The answer is that there is no such thing, though there is; it took no effect.
    Missing,
    /// The caller ends here.
    Dies {
        /// The call took effect.
        effect: bool,
    },
    /// It takes longer.
    Slow {
        /// By this.
        by: Duration,
    },
}

/// What becomes of an event.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Fate {
    /// It is told.
    #[default]
    Told,
    /// It is not.
    Lost,
    /// It is told twice.
    Twice,
    /// It is told later, after those that came after it.
    Late(Duration),
}

/// Decides what goes wrong, and sees everything. Default: nothing does, and nobody looks.
pub trait Director: Send {
    /// A call begins: what goes wrong with it.
    fn upset(&mut self, call: &Call, world: &World) -> Option<Upset> {
        let _ = (call, world);
        None
    }

    /// What becomes of this event for whoever listens.
    fn fate(&mut self, event: &EngineEvent) -> Fate {
        let _ = event;
        Fate::Told
    }

    /// A call is about to take effect.
    fn taking_effect(&mut self, call: &Call, world: &World) {
        let _ = (call, world);
    }

    /// A call took effect, or was refused.
    fn took_effect(&mut self, call: &Call, world: &World, error: Option<&EngineError>) {
        let _ = (call, world, error);
    }

    /// Something happened by itself or by somebody else's hand.
    fn happened(&mut self, event: &EngineEvent, world: &World) {
        let _ = (event, world);
    }
}

/// Nothing goes wrong.
#[derive(Debug, Clone, Copy, Default)]
pub struct Calm;
impl Director for Calm {}
