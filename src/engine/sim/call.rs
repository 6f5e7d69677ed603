//! Calls, and what may go wrong with them and with what is told.

use std::fmt;
use std::time::Duration;

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
        /// Whether the call took effect all the same.
        effect: bool,
    },
    /// There is no answer.
    Silent {
        /// Whether the call took effect all the same.
        effect: bool,
    },
    /// A read tells what was before.
    Behind {
        /// How old the answer is.
        by: Duration,
    },
    /// The answer is that there is no such thing, though there is; it took no effect.
    Missing,
    /// The caller ends here.
    Dies {
        /// The call took effect.
        effect: bool,
    },
    /// The answer comes later than usual.
    Slow {
        /// How much later.
        by: Duration,
    },
}

/// What becomes of an event.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Fate {
    /// It is told once, in its order.
    #[default]
    Told,
    /// It is never told.
    Lost,
    /// It is told twice.
    Twice,
    /// It is told later, after those that came after it.
    Late(Duration),
}
