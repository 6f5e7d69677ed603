//! Steps: what the controller may do now.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use crate::decide::Cause;
use crate::model::ledger::Subject;
use crate::model::{ContainerId, NetworkId, Project, Service, ServiceName, Timestamp};

/// One thing to do, and why. Carrying it out is at most one mutating call; a start puts secrets and configs that no file
/// of the host holds into the container before it.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Step {
    /// The call, at most one that changes something.
    pub action: Action,
    /// Why the step is taken, for people and for `status`.
    pub cause: Cause,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.action, self.cause)
    }
}

/// What to do. Containers and networks are named by id: names can be taken by others.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// Make a network of the manifest.
    CreateNetwork {
        /// The network's key in the manifest.
        key: String,
        /// The Engine's name for it.
        name: String,
    },
    /// Remove a network that is ours.
    RemoveNetwork {
        /// The network's id in the Engine; names are not unique.
        id: NetworkId,
        /// The network's name in the Engine, for people.
        name: String,
    },
    /// Make a volume of the manifest.
    CreateVolume {
        /// The volume's key in the manifest.
        key: String,
        /// The Engine's name for it.
        name: String,
    },
    /// Remove a volume; only after `down --volumes`, or where the manifest says `prune: {volumes: true}`.
    RemoveVolume {
        /// The volume's name in the Engine.
        name: String,
    },
    /// Build the image of a service. A context that changed is no reason to: as with `up`, what is there is used.
    BuildImage {
        /// The service that says how.
        service: ServiceName,
        /// The image's reference.
        image: String,
    },
    /// Fetch an image from its registry.
    PullImage {
        /// The image's reference, as the manifest writes it.
        image: String,
    },
    /// Make a container, without starting it.
    CreateContainer {
        /// The service that the container is a replica of.
        service: ServiceName,
        /// The replica's number.
        number: u32,
        /// Its name; another than the final one while the container it replaces has that.
        name: String,
        /// The container it replaces, by name.
        replaces: Option<String>,
        /// The networks to attach it to, by key.
        networks: Vec<(String, NetworkId)>,
    },
    /// Attach a container to a further network.
    ConnectNetwork {
        /// The service of the container.
        service: ServiceName,
        /// The replica's number.
        number: u32,
        /// The container that is attached.
        container: ContainerId,
        /// The network's key.
        key: String,
        /// The network's id in the Engine.
        network: NetworkId,
    },
    /// Detach a container from a network: it is not of the manifest, or is to be attached in another way.
    DisconnectNetwork {
        /// The service of the container.
        service: ServiceName,
        /// The replica's number.
        number: u32,
        /// The container that is detached.
        container: ContainerId,
        /// The network's name.
        name: String,
        /// The network; its name where its id is not known.
        network: NetworkId,
    },
    /// Change limits and the restart policy of a container that runs on.
    UpdateContainer {
        /// The service of the container.
        service: ServiceName,
        /// The replica's number.
        number: u32,
        /// The container that is changed in place.
        container: ContainerId,
        /// Attributes with their values; `null`: unset.
        changes: BTreeMap<String, Option<String>>,
    },
    /// Start a container that is made, or that ended.
    StartContainer {
        /// The service of the container.
        service: ServiceName,
        /// The replica's number.
        number: u32,
        /// The container that is started.
        container: ContainerId,
    },
    /// Ask a container to end, and end it after the grace period.
    StopContainer {
        /// The service of the container.
        service: ServiceName,
        /// The replica's number.
        number: u32,
        /// The container that is stopped.
        container: ContainerId,
        /// The grace period; the container's own where it is not written.
        grace: Option<Duration>,
    },
    /// Remove a container that does not run. Its anonymous volumes stay.
    RemoveContainer {
        /// The service of the container.
        service: ServiceName,
        /// The replica's number.
        number: u32,
        /// The container that is removed.
        container: ContainerId,
    },
    /// Give a container its final name.
    RenameContainer {
        /// The service of the container.
        service: ServiceName,
        /// The replica's number.
        number: u32,
        /// The container that is renamed.
        container: ContainerId,
        /// The container's new name.
        name: String,
    },
    /// Let a frozen container go on.
    UnpauseContainer {
        /// The service of the container.
        service: ServiceName,
        /// The replica's number.
        number: u32,
        /// The container that is unpaused.
        container: ContainerId,
    },
    /// Send a signal to a container's process, which runs on.
    SignalContainer {
        /// The service of the container.
        service: ServiceName,
        /// The replica's number.
        number: u32,
        /// The container whose first process gets the signal.
        container: ContainerId,
        /// Such as `SIGHUP`.
        signal: String,
    },
    /// Run the `post_start` hooks of a container that was started, one after the other.
    RunHooks {
        /// The service of the container.
        service: ServiceName,
        /// The replica's number.
        number: u32,
        /// The container that the hooks are run in.
        container: ContainerId,
        /// When the run began that they are for.
        since: Timestamp,
    },
}

impl Action {
    /// What the step works on: one step at a time works on each subject.
    pub fn subject(&self) -> Subject {
        match self {
            Self::CreateNetwork { name, .. } | Self::RemoveNetwork { name, .. } => Subject::Network(name.clone()),
            Self::CreateVolume { name, .. } | Self::RemoveVolume { name } => Subject::Volume(name.clone()),
            Self::BuildImage { image, .. } | Self::PullImage { image } => Subject::Image(image.clone()),
            Self::CreateContainer { service, number, .. }
            | Self::ConnectNetwork { service, number, .. }
            | Self::DisconnectNetwork { service, number, .. }
            | Self::UpdateContainer { service, number, .. }
            | Self::StartContainer { service, number, .. }
            | Self::StopContainer { service, number, .. }
            | Self::RemoveContainer { service, number, .. }
            | Self::RenameContainer { service, number, .. }
            | Self::UnpauseContainer { service, number, .. }
            | Self::SignalContainer { service, number, .. }
            | Self::RunHooks { service, number, .. } => Subject::Replica(service.clone(), *number),
        }
    }

    /// The service it is for, if for one.
    pub fn service(&self) -> Option<&ServiceName> {
        match self {
            Self::BuildImage { service, .. }
            | Self::CreateContainer { service, .. }
            | Self::ConnectNetwork { service, .. }
            | Self::DisconnectNetwork { service, .. }
            | Self::UpdateContainer { service, .. }
            | Self::StartContainer { service, .. }
            | Self::StopContainer { service, .. }
            | Self::RemoveContainer { service, .. }
            | Self::RenameContainer { service, .. }
            | Self::UnpauseContainer { service, .. }
            | Self::SignalContainer { service, .. }
            | Self::RunHooks { service, .. } => Some(service),
            _ => None,
        }
    }

    /// The container it touches, if one that is there.
    pub fn container(&self) -> Option<&ContainerId> {
        match self {
            Self::ConnectNetwork { container, .. }
            | Self::DisconnectNetwork { container, .. }
            | Self::UpdateContainer { container, .. }
            | Self::StartContainer { container, .. }
            | Self::StopContainer { container, .. }
            | Self::RemoveContainer { container, .. }
            | Self::RenameContainer { container, .. }
            | Self::UnpauseContainer { container, .. }
            | Self::SignalContainer { container, .. }
            | Self::RunHooks { container, .. } => Some(container),
            _ => None,
        }
    }

    /// What a failure of this step is remembered under: with another configuration it is tried at once.
    pub fn config(&self, target: Option<&Project>) -> String {
        let of_service =
            |service: &ServiceName| target.and_then(|p| p.services.get(service)).map(|s| s.config_hash.clone());
        match self {
            Self::CreateNetwork { .. } | Self::CreateVolume { .. } => {
                target.map(|p| p.revision.clone()).unwrap_or_default()
            }
            Self::RemoveNetwork { id, .. } => id.to_string(),
            Self::RemoveVolume { name } => name.clone(),
            Self::PullImage { image } => image.clone(),
            Self::BuildImage { service, .. } => {
                target.and_then(|p| p.services.get(service)).map(Service::build_config).unwrap_or_default()
            }
            _ => self
                .service()
                .and_then(of_service)
                .or_else(|| self.container().map(ToString::to_string))
                .unwrap_or_default(),
        }
    }

    /// What was done to what, in a few words, once it is done.
    pub fn done(&self) -> String {
        match self {
            Self::CreateContainer { name, .. } => format!("created {name}"),
            Self::StartContainer { service, number, .. } => format!("started {service}/{number}"),
            Self::StopContainer { service, number, .. } => format!("stopped {service}/{number}"),
            Self::RemoveContainer { service, number, .. } => format!("removed {service}/{number}"),
            Self::RenameContainer { service, number, name, .. } => format!("renamed {service}/{number} to {name}"),
            Self::ConnectNetwork { service, number, key, .. } => format!("connected {service}/{number} to {key}"),
            Self::DisconnectNetwork { service, number, name, .. } => {
                format!("disconnected {service}/{number} from {name}")
            }
            Self::UpdateContainer { service, number, .. } => format!("updated {service}/{number} in place"),
            Self::UnpauseContainer { service, number, .. } => format!("unpaused {service}/{number}"),
            Self::RunHooks { service, number, .. } => format!("ran the hooks of {service}/{number}"),
            Self::SignalContainer { service, number, signal, .. } => format!("sent {signal} to {service}/{number}"),
            Self::CreateNetwork { name, .. } => format!("created network {name}"),
            Self::RemoveNetwork { name, .. } => format!("removed network {name}"),
            Self::CreateVolume { name, .. } => format!("created volume {name}"),
            Self::RemoveVolume { name } => format!("removed volume {name}"),
            Self::BuildImage { image, .. } => format!("built {image}"),
            Self::PullImage { image } => format!("pulled {image}"),
        }
    }

    /// A bounded word for metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::CreateNetwork { .. } => "create_network",
            Self::RemoveNetwork { .. } => "remove_network",
            Self::CreateVolume { .. } => "create_volume",
            Self::RemoveVolume { .. } => "remove_volume",
            Self::BuildImage { .. } => "build_image",
            Self::PullImage { .. } => "pull_image",
            Self::CreateContainer { .. } => "create_container",
            Self::ConnectNetwork { .. } => "connect_network",
            Self::DisconnectNetwork { .. } => "disconnect_network",
            Self::UpdateContainer { .. } => "update_container",
            Self::StartContainer { .. } => "start_container",
            Self::StopContainer { .. } => "stop_container",
            Self::RemoveContainer { .. } => "remove_container",
            Self::RenameContainer { .. } => "rename_container",
            Self::UnpauseContainer { .. } => "unpause_container",
            Self::SignalContainer { .. } => "signal_container",
            Self::RunHooks { .. } => "run_hooks",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateNetwork { name, .. } => write!(f, "create network {name}"),
            Self::RemoveNetwork { name, .. } => write!(f, "remove network {name}"),
            Self::CreateVolume { name, .. } => write!(f, "create volume {name}"),
            Self::RemoveVolume { name } => write!(f, "remove volume {name}"),
            Self::BuildImage { image, .. } => write!(f, "build image {image}"),
            Self::PullImage { image } => write!(f, "pull image {image}"),
            Self::CreateContainer { service, number, name, .. } => write!(f, "create {service}/{number} as {name}"),
            Self::ConnectNetwork { service, number, key, .. } => write!(f, "connect {service}/{number} to {key}"),
            Self::DisconnectNetwork { service, number, name, .. } => {
                write!(f, "disconnect {service}/{number} from {name}")
            }
            Self::UpdateContainer { service, number, container, changes } => {
                let attributes: Vec<&str> = changes.keys().map(String::as_str).collect();
                write!(f, "update {service}/{number} ({}): {}", container.short(), attributes.join(", "))
            }
            Self::StartContainer { service, number, container } => {
                write!(f, "start {service}/{number} ({})", container.short())
            }
            Self::StopContainer { service, number, container, .. } => {
                write!(f, "stop {service}/{number} ({})", container.short())
            }
            Self::RemoveContainer { service, number, container } => {
                write!(f, "remove {service}/{number} ({})", container.short())
            }
            Self::RenameContainer { service, number, name, .. } => write!(f, "rename {service}/{number} to {name}"),
            Self::UnpauseContainer { service, number, .. } => write!(f, "unpause {service}/{number}"),
            Self::RunHooks { service, number, container, .. } => {
                write!(f, "run the hooks of {service}/{number} ({})", container.short())
            }
            Self::SignalContainer { service, number, container, signal } => {
                write!(f, "send {signal} to {service}/{number} ({})", container.short())
            }
        }
    }
}
