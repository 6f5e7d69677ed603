//! The Engine's event stream. Exec events are not subscribed to: each health check makes three.

use std::collections::HashMap;

use bollard::Docker;
use bollard::models::{EventMessage, EventMessageTypeEnum};
use bollard::query_parameters::EventsOptionsBuilder;
use futures_util::stream::{BoxStream, StreamExt};
use tokio_util::task::AbortOnDropHandle;

use crate::engine::{ContainerEvent, EngineError, EngineEvent, EventKind};
use crate::model::observed::Health;
use crate::model::{ContainerId, NetworkId, ProjectName, Timestamp, labels};

const ACTIONS: [&str; 20] = [
    "create",
    "start",
    "die",
    "kill",
    "oom",
    "pause",
    "unpause",
    "destroy",
    "rename",
    "update",
    "health_status",
    "connect",
    "disconnect",
    "remove",
    "tag",
    "untag",
    "delete",
    "import",
    "load",
    "pull",
];
/// Signals that programs commonly take as news rather than as the end: HUP, USR1, USR2, CONT, WINCH.
const NEWS: [&str; 5] = ["1", "10", "12", "18", "28"];

pub(super) fn stream(
    docker: Docker,
    address: String,
    since: Timestamp,
) -> BoxStream<'static, Result<EngineEvent, EngineError>> {
    let list = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
    let filters = HashMap::from([
        ("type".to_owned(), list(&["container", "network", "volume", "image"])),
        ("event".to_owned(), list(&ACTIONS)),
    ]);
    let since = format!("{}.{:09}", since.as_second(), since.subsec_nanosecond().max(0));
    let options = EventsOptionsBuilder::new().since(&since).filters(&filters).build();
    let (sender, receiver) = tokio::sync::mpsc::channel(64);
    // bollard's stream borrows the client: the two are kept together.
    let task = tokio::spawn(async move {
        let mut stream = docker.events(Some(options));
        while let Some(message) = stream.next().await {
            let event = match message {
                Ok(message) => convert(message).map(Ok),
                Err(error) => Some(Err(super::error(&address, error))),
            };
            let Some(event) = event else { continue };
            if sender.send(event).await.is_err() {
                return;
            }
        }
    });
    futures_util::stream::unfold((receiver, AbortOnDropHandle::new(task)), |(mut receiver, task)| async move {
        receiver.recv().await.map(|event| (event, (receiver, task)))
    })
    .boxed()
}

fn convert(message: EventMessage) -> Option<EngineEvent> {
    let nanos = message.time_nano.map(i128::from).or_else(|| message.time.map(|s| i128::from(s) * 1_000_000_000))?;
    let time = Timestamp::from_nanosecond(nanos).ok()?;
    let action = message.action?;
    let actor = message.actor?;
    let (id, attributes) = (actor.id?, actor.attributes.unwrap_or_default());
    let attribute = |name: &str| attributes.get(name).map(String::as_str);
    let kind = match message.typ? {
        EventMessageTypeEnum::CONTAINER => EventKind::Container {
            project: ProjectName::trusted(attribute(labels::PROJECT)?),
            id: ContainerId::trusted(id),
            action: match action.as_str() {
                "create" => ContainerEvent::Created,
                "start" => ContainerEvent::Started,
                "die" => ContainerEvent::Died { code: attribute("exitCode").and_then(|c| c.parse().ok()).unwrap_or(0) },
                "kill" if attribute("signal").is_some_and(|s| NEWS.contains(&s)) => return None,
                "kill" => ContainerEvent::Killed,
                "oom" => ContainerEvent::OutOfMemory,
                "pause" => ContainerEvent::Paused,
                "unpause" => ContainerEvent::Unpaused,
                "destroy" => ContainerEvent::Destroyed,
                "health_status: healthy" => ContainerEvent::Health(Health::Healthy),
                "health_status: unhealthy" => ContainerEvent::Health(Health::Unhealthy),
                _ => ContainerEvent::Changed,
            },
        },
        EventMessageTypeEnum::NETWORK => EventKind::Network {
            container: attribute("container").map(ContainerId::trusted),
            name: attribute("name").unwrap_or_default().to_owned(),
            id: NetworkId::trusted(id),
            destroyed: matches!(action.as_str(), "destroy" | "remove"),
        },
        EventMessageTypeEnum::VOLUME => EventKind::Volume { name: id, destroyed: action == "destroy" },
        EventMessageTypeEnum::IMAGE => EventKind::Image,
        _ => return None,
    };
    Some(EngineEvent { time, kind })
}
