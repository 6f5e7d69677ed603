//! Carrying out one step: at most one mutating call, but for a start before which files are put into the container. They
//! are put there again at each start, so that a crash between the two calls leaves nothing undone.

use std::collections::BTreeMap;
use std::time::Duration;

use super::order::Order;
use crate::decide::Action;
use crate::engine::{
    BuildSpec, ContainerSpec, EndpointSpec, Engine, EngineError, EngineRead, FileSpec, NetworkSpec, VolumeSpec,
};
use crate::model::fields::Fields;
use crate::model::project::FileObject;
use crate::model::service::{Attachment, FileReference};
use crate::model::{ContainerId, InstanceId, Project, Service, hash, labels};

/// Carries out a step; the id of the container it made, if it made one. A hook that takes longer than `hook_limit` has failed.
pub(super) async fn execute(
    engine: &dyn Engine,
    order: &Order,
    hook_limit: Duration,
) -> Result<Option<ContainerId>, EngineError> {
    let vanished = || EngineError::NotAsked("the manifest does not name it any more".into());
    match &order.action {
        Action::CreateNetwork { key, .. } => {
            let project = order.target.as_deref().ok_or_else(vanished)?;
            let network = project.networks.get(key).ok_or_else(vanished)?;
            let mut all = network.labels.clone();
            all.extend(common_labels(project, &order.instance));
            all.insert(labels::NETWORK.into(), key.clone());
            all.extend(network.config_hash.clone().map(|hash| (labels::CONFIG_HASH.to_owned(), hash)));
            engine.create_network(&NetworkSpec { network, labels: all }).await?;
        }
        Action::CreateVolume { key, .. } => {
            let project = order.target.as_deref().ok_or_else(vanished)?;
            let volume = project.volumes.get(key).ok_or_else(vanished)?;
            let mut all = volume.labels.clone();
            all.extend(common_labels(project, &order.instance));
            all.insert(labels::VOLUME.into(), key.clone());
            all.extend(volume.config_hash.clone().map(|hash| (labels::CONFIG_HASH.to_owned(), hash)));
            engine.create_volume(&VolumeSpec { volume, labels: all }).await?;
        }
        Action::CreateContainer { service, number, name, replaces, networks } => {
            let project = order.target.as_deref().ok_or_else(vanished)?;
            let service = project.services.get(service).ok_or_else(vanished)?;
            let links = links(project, service, *number, order)?;
            let attached = networks
                .iter()
                .filter_map(|(key, id)| {
                    let known = project.networks.get(key).filter(|_| !order.ambiguous.contains(id));
                    let network = known.map_or_else(|| id.to_string(), |n| n.name.clone());
                    let attachment = service.networks.get(key)?;
                    Some((network, endpoint(project, service, *number, attachment, links.clone())))
                })
                .collect();
            let labels = container_labels(project, service, *number, replaces.as_deref(), order)?;
            let mut spec = container_spec(project, service, name, labels, attached, links);
            spec.inherited.clone_from(&order.inherited);
            return engine.create_container(&spec).await.map(Some);
        }
        Action::ConnectNetwork { service, number, container, key, network } => {
            let project = order.target.as_deref().ok_or_else(vanished)?;
            let service = project.services.get(service).ok_or_else(vanished)?;
            let attachment = service.networks.get(key).ok_or_else(vanished)?;
            let links = links(project, service, *number, order)?;
            engine.connect(network, container, &endpoint(project, service, *number, attachment, links)).await?;
        }
        Action::DisconnectNetwork { container, network, .. } => engine.disconnect(network, container).await?,
        Action::UpdateContainer { container, changes, .. } => engine.update(container, changes).await?,
        Action::RemoveNetwork { id, .. } => engine.remove_network(id).await?,
        Action::RemoveVolume { name } => engine.remove_volume(name).await?,
        Action::BuildImage { service, .. } => {
            let project = order.target.as_deref().ok_or_else(vanished)?;
            let service = project.services.get(service).ok_or_else(vanished)?;
            engine.build(&build_spec(service).ok_or_else(vanished)?).await?;
        }
        Action::PullImage { image } => {
            let services = order.target.iter().flat_map(|p| p.services.values());
            let platform = services.filter(|s| s.image == *image).find_map(|s| s.platform.as_deref());
            engine.pull(image, platform).await?;
        }
        Action::StartContainer { container, service, .. } => {
            // Anew at each start, as nobody knows whether an earlier attempt got that far.
            if let Some(project) = order.target.as_deref()
                && let Some(service) = project.services.get(service)
            {
                let files = copied_files(project, service)?;
                if !files.is_empty() {
                    engine.copy_into(container, &files).await?;
                }
            }
            engine.start(container).await?;
        }
        Action::StopContainer { container, grace, service, .. } => {
            let declared = order.target.as_deref().and_then(|project| project.services.get(service));
            for hook in declared.iter().flat_map(|service| &service.pre_stop) {
                if let Err(error) = engine.run_hook(container, hook, hook_limit).await {
                    // What is to end ends all the same.
                    tracing::warn!(%service, %error, "a pre_stop hook failed");
                }
            }
            engine.stop(container, *grace).await?;
        }
        Action::RunHooks { container, service, .. } => {
            let project = order.target.as_deref().ok_or_else(vanished)?;
            for hook in &project.services.get(service).ok_or_else(vanished)?.post_start {
                engine.run_hook(container, hook, hook_limit).await?;
            }
        }
        Action::RemoveContainer { container, .. } => engine.remove(container).await?,
        Action::RenameContainer { container, name, .. } => engine.rename(container, name).await?,
        Action::UnpauseContainer { container, .. } => engine.unpause(container).await?,
        Action::SignalContainer { container, signal, .. } => engine.signal(container, signal).await?,
    }
    Ok(None)
}

/// What a container of this service and number is to be made with, in the form in which an inspect tells it.
///
/// # Errors
/// When the engine could not be asked for such a container.
pub(in crate::control) fn desired(
    engine: &dyn EngineRead,
    project: &Project,
    service: &Service,
    number: u32,
) -> Result<Fields, EngineError> {
    let attached = service.networks.iter().filter_map(|(key, attachment)| {
        let name = project.networks.get(key)?.name.clone();
        Some((name, endpoint(project, service, number, attachment, Vec::new())))
    });
    let spec = container_spec(project, service, "", service.labels.clone(), attached.collect(), Vec::new());
    let mut fields = engine.fields(&spec)?;
    for file in copied_files(project, service)? {
        fields.set(format!("content.{}", file.path), digest(&file));
    }
    Ok(fields)
}

fn container_spec<'a>(
    project: &'a Project,
    service: &'a Service,
    name: &'a str,
    labels: BTreeMap<String, String>,
    networks: Vec<(String, EndpointSpec<'a>)>,
    links: Vec<String>,
) -> ContainerSpec<'a> {
    ContainerSpec {
        name,
        service,
        labels,
        networks,
        volumes: project.volumes.iter().map(|(key, v)| (key.as_str(), v.name.as_str())).collect(),
        inherited: BTreeMap::new(),
        configs: &project.configs,
        secrets: &project.secrets,
        peers: &service.peers,
        links,
    }
}

/// A file that is put into a container, as a short hash of all there is to it.
fn digest(file: &FileSpec<'_>) -> String {
    let all = format!("{:o} {:?}\n{}", file.mode, file.owner, file.content);
    format!("sha256 {:.16}", hash::sha256_hex(all))
}

fn build_spec(service: &Service) -> Option<BuildSpec<'_>> {
    let build = service.build.as_ref()?;
    let platform = service.platform.as_deref().or_else(|| build.platforms.first().map(String::as_str));
    Some(BuildSpec { image: &service.image, build, platform })
}

/// On a network a container answers to its service's name and to its own final one, as with Compose.
fn endpoint<'a>(
    project: &Project,
    service: &Service,
    number: u32,
    attachment: &'a Attachment,
    links: Vec<String>,
) -> EndpointSpec<'a> {
    let mut aliases = vec![service.container_name(&project.name, number), service.name.to_string()];
    aliases.extend(attachment.aliases.iter().cloned());
    EndpointSpec { attachment, aliases, links }
}

/// `CONTAINER:ALIAS` for each container of the linked services, by three names as with Compose, and for others' containers.
///
/// # Errors
/// When a linked service has no container yet: the names would be missing for good.
fn links(project: &Project, service: &Service, number: u32, order: &Order) -> Result<Vec<String>, EngineError> {
    let mut links = Vec::new();
    for link in &service.links {
        let awaited = project.services.get(&link.service).is_some_and(|s| s.replicas > 0);
        if awaited && !order.peers.contains_key(&link.service) {
            let message = format!("it links to {}, which has no container yet", link.service);
            return Err(EngineError::NotAsked(message));
        }
        let alias = link.alias.as_deref().unwrap_or(link.service.as_str());
        for (container, _) in order.peers.get(&link.service).into_iter().flatten() {
            links.push(format!("{container}:{alias}"));
            links.push(format!("{container}:{}-{number}", link.service));
            links.push(format!("{container}:{}-{}-{number}", project.name, link.service));
        }
    }
    let external = service.external_links.iter();
    links.extend(external.map(|l| format!("{}:{}", l.container, l.alias.as_deref().unwrap_or(&l.container))));
    Ok(links)
}

/// Secrets and configs that no file of the host holds.
fn copied_files<'a>(project: &'a Project, service: &'a Service) -> Result<Vec<FileSpec<'a>>, EngineError> {
    let kinds = [("/run/secrets/", &service.secrets, &project.secrets), ("/", &service.configs, &project.configs)];
    let mut files = Vec::new();
    for (base, references, objects) in kinds {
        for reference in references {
            let content = objects.get(&reference.source).and_then(|o: &FileObject| o.content.as_deref());
            let Some(content) = content.filter(|c| !c.is_empty()) else { continue };
            files.push(FileSpec {
                path: reference.mounted_at(base),
                content,
                mode: reference.mode.unwrap_or(0o444),
                owner: owner(reference)?,
            });
        }
    }
    Ok(files)
}

fn owner(file: &FileReference) -> Result<Option<(u32, u32)>, EngineError> {
    let number = |text: &Option<String>| {
        let Some(text) = text else { return Ok(0) };
        let message = format!("the owner `{text}` of {} must be a number", file.source);
        text.parse().map_err(|_| EngineError::NotAsked(message))
    };
    let written = file.uid.is_some() || file.gid.is_some();
    Ok(if written { Some((number(&file.uid)?, number(&file.gid)?)) } else { None })
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
) -> Result<BTreeMap<String, String>, EngineError> {
    let mut all = service.labels.clone();
    let files: BTreeMap<String, String> =
        copied_files(project, service)?.iter().map(|file| (file.path.clone(), digest(file))).collect();
    if !files.is_empty() {
        // The Engine does not tell what was put into a container.
        all.insert(labels::CONTENT.to_owned(), serde_json::to_string(&files).unwrap_or_default());
    }
    all.extend(common_labels(project, &order.instance));
    let depends_on: Vec<String> =
        service.depends_on.iter().map(|(name, d)| format!("{name}:{}:{}", d.condition.as_str(), d.restart)).collect();
    let files: Vec<String> = project.files.iter().map(|f| f.display().to_string()).collect();
    let mut put = |key: &str, value: String| all.insert(key.to_owned(), value);
    put(labels::SERVICE, service.name.to_string());
    put(labels::CONTAINER_NUMBER, number.to_string());
    put(labels::ONEOFF, "False".to_owned());
    put(labels::CONFIG_HASH, service.label_hash().unwrap_or_default());
    put(labels::DEPENDS_ON, depends_on.join(","));
    put(labels::WORKING_DIR, project.working_dir.display().to_string());
    put(labels::CONFIG_FILES, files.join(","));
    if let Some(image) = &order.image {
        put(labels::IMAGE, image.to_string());
    }
    if let Some(replaced) = replaces {
        put(labels::REPLACE, replaced.to_owned());
    }
    Ok(all)
}
