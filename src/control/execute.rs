//! Carrying out one step: at most one mutating call.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::decide::Action;
use crate::engine::{ContainerSpec, EndpointSpec, Engine, EngineError, NetworkSpec, VolumeSpec};
use crate::model::service::Attachment;
use crate::model::{ContainerId, ImageId, InstanceId, Project, Service, labels};

/// What a step needs to know beside itself.
pub(super) struct Order {
    pub(super) action: Action,
    /// The project, for steps that make something.
    pub(super) target: Option<Arc<Project>>,
    /// What the service's image means at present.
    pub(super) image: Option<ImageId>,
    pub(super) instance: InstanceId,
}

/// Carries out a step; the id of the container it made, if it made one.
pub(super) async fn execute(engine: &dyn Engine, order: &Order) -> Result<Option<ContainerId>, EngineError> {
    let vanished = || EngineError::Refused { status: 400, message: "the manifest does not name it any more".into() };
    match &order.action {
        Action::CreateNetwork { key, .. } => {
            let project = order.target.as_deref().ok_or_else(vanished)?;
            let network = project.networks.get(key).ok_or_else(vanished)?;
            let mut all = network.labels.clone();
            all.extend(common_labels(project, &order.instance));
            all.insert(labels::NETWORK.into(), key.clone());
            engine.create_network(&NetworkSpec { network, labels: all }).await?;
        }
        Action::CreateVolume { key, .. } => {
            let project = order.target.as_deref().ok_or_else(vanished)?;
            let volume = project.volumes.get(key).ok_or_else(vanished)?;
            let mut all = volume.labels.clone();
            all.extend(common_labels(project, &order.instance));
            all.insert(labels::VOLUME.into(), key.clone());
            engine.create_volume(&VolumeSpec { volume, labels: all }).await?;
        }
        Action::CreateContainer { service, number, name, replaces, networks } => {
            let project = order.target.as_deref().ok_or_else(vanished)?;
            let service = project.services.get(service).ok_or_else(vanished)?;
            let attached = networks
                .iter()
                .filter_map(|(key, id)| {
                    Some((id.clone(), endpoint(project, service, *number, service.networks.get(key)?)))
                })
                .collect();
            let spec = ContainerSpec {
                name,
                service,
                labels: container_labels(project, service, *number, replaces.as_deref(), order),
                networks: attached,
                volumes: project.volumes.iter().map(|(key, v)| (key.as_str(), v.name.as_str())).collect(),
            };
            return engine.create_container(&spec).await.map(Some);
        }
        Action::ConnectNetwork { service, number, container, key, network } => {
            let project = order.target.as_deref().ok_or_else(vanished)?;
            let service = project.services.get(service).ok_or_else(vanished)?;
            let attachment = service.networks.get(key).ok_or_else(vanished)?;
            engine.connect(network, container, &endpoint(project, service, *number, attachment)).await?;
        }
        Action::RemoveNetwork { id, .. } => engine.remove_network(id).await?,
        Action::RemoveVolume { name } => engine.remove_volume(name).await?,
        Action::PullImage { image } => engine.pull(image).await?,
        Action::StartContainer { container, .. } => engine.start(container).await?,
        Action::StopContainer { container, grace, .. } => engine.stop(container, *grace).await?,
        Action::RemoveContainer { container, .. } => engine.remove(container).await?,
        Action::RenameContainer { container, name, .. } => engine.rename(container, name).await?,
        Action::UnpauseContainer { container, .. } => engine.unpause(container).await?,
    }
    Ok(None)
}

/// On a network a container answers to its service's name and to its own final one, as with Compose.
fn endpoint<'a>(project: &Project, service: &Service, number: u32, attachment: &'a Attachment) -> EndpointSpec<'a> {
    let mut aliases = vec![service.container_name(&project.name, number), service.name.to_string()];
    aliases.extend(attachment.aliases.iter().cloned());
    EndpointSpec { attachment, aliases }
}

fn common_labels(project: &Project, instance: &InstanceId) -> BTreeMap<String, String> {
    [
        (labels::PROJECT, project.name.to_string()),
        (labels::VERSION, labels::COMPOSE_VERSION.to_owned()),
        (labels::INSTANCE, instance.to_string()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

fn container_labels(
    project: &Project,
    service: &Service,
    number: u32,
    replaces: Option<&str>,
    order: &Order,
) -> BTreeMap<String, String> {
    let mut all = service.labels.clone();
    all.extend(common_labels(project, &order.instance));
    let depends_on: Vec<String> =
        service.depends_on.iter().map(|(name, d)| format!("{name}:{}:{}", d.condition.as_str(), d.restart)).collect();
    let files: Vec<String> = project.files.iter().map(|f| f.display().to_string()).collect();
    let mut put = |key: &str, value: String| all.insert(key.to_owned(), value);
    put(labels::SERVICE, service.name.to_string());
    put(labels::CONTAINER_NUMBER, number.to_string());
    put(labels::ONEOFF, "False".to_owned());
    put(labels::CONFIG_HASH, service.config_hash.clone());
    put(labels::DEPENDS_ON, depends_on.join(","));
    put(labels::WORKING_DIR, project.working_dir.display().to_string());
    put(labels::CONFIG_FILES, files.join(","));
    if let Some(image) = &order.image {
        put(labels::IMAGE, image.to_string());
    }
    if let Some(replaced) = replaces {
        put(labels::REPLACE, replaced.to_owned());
    }
    all
}
