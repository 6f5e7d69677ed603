//! The Docker Engine, through bollard; nobody else uses its types.

mod address;
mod archive;
mod auth;
mod build;
mod convert;
mod events;
mod exec;
pub(in crate::engine) mod fields;
mod refusal;
mod spec;
mod update;
mod usage;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bollard::errors::Error;
use bollard::models::{NetworkConnectRequest, NetworkDisconnectRequest};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, CreateImageOptionsBuilder, KillContainerOptionsBuilder,
    ListContainersOptionsBuilder, ListNetworksOptions, ListVolumesOptions, RemoveContainerOptions, RemoveVolumeOptions,
    RenameContainerOptionsBuilder, StopContainerOptions, UploadToContainerOptionsBuilder,
};
use bollard::{ClientVersion, Docker};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;

pub use address::{Address, AddressError};

use super::{
    BuildSpec, ContainerSpec, EndpointSpec, EngineError, EngineEvent, EngineEvents, EngineInfo, EngineRead,
    EngineWrite, FileSpec, Listing, NetworkSpec, VolumeSpec,
};
use crate::model::fields::Fields;
use crate::model::observed::{Capabilities, Container, Image};
use crate::model::service::Hook;
use crate::model::setback::Refusal;
use crate::model::{ContainerId, ImageId, NetworkId, Timestamp};

/// For a call that only looks.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// For a call that changes something; a start can wait for storage and networks.
const WRITE_TIMEOUT: Duration = Duration::from_secs(120);
/// For the longest call there is, a pull.
const LONGEST: Duration = Duration::from_secs(3600);
/// Docker's default between asking a container to end and ending it.
const DEFAULT_GRACE: Duration = Duration::from_secs(10);
/// A connection to a Docker Engine. Connections are made when they are needed, and again after the Engine was away.
#[derive(Debug, Clone)]
pub struct DockerEngine {
    docker: Docker,
    address: String,
    /// What runs in containers, for all clones.
    execs: Arc<exec::Execs>,
}

impl DockerEngine {
    /// Prepares the client. Does not speak to the Engine yet.
    ///
    /// # Errors
    /// When the address is of no form that is spoken here.
    pub fn new(address: &Address) -> Result<Self, EngineError> {
        let docker = client(address, bollard::API_DEFAULT_VERSION)?;
        Ok(Self { docker, address: address.to_string(), execs: Arc::default() })
    }

    /// Whether the Engine answers: of all calls the cheapest.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), EngineError> {
        self.read(self.docker.ping()).await.map(drop)
    }

    /// Another client of the same Engine and API, with connections of its own.
    fn another_client(&self) -> Result<Docker, EngineError> {
        let unknown = |error| unreachable_error(&self.address, &io::Error::other(error));
        client(&Address::parse(&self.address).map_err(unknown)?, &self.docker.client_version())
    }

    /// The API that both sides agreed on.
    fn api(&self) -> spec::Api {
        let version = self.docker.client_version();
        let part = |n: usize| u16::try_from(n).unwrap_or(u16::MAX);
        (part(version.major_version), part(version.minor_version))
    }

    async fn read<T>(&self, call: impl Future<Output = Result<T, Error>>) -> Result<T, EngineError> {
        within(READ_TIMEOUT, &self.address, call).await
    }

    async fn write<T>(&self, call: impl Future<Output = Result<T, Error>>) -> Result<T, EngineError> {
        within(WRITE_TIMEOUT, &self.address, call).await
    }

    /// A call about a container, of which the error then tells whether it is that one which is not there.
    async fn write_to<T>(
        &self,
        id: &ContainerId,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, EngineError> {
        self.write(call).await.map_err(|error| refusal::about(id, error))
    }
}

/// The error that an Engine means which answers with this status and these words, to a call about this container.
pub fn refused(status: u16, message: &str, id: Option<&ContainerId>) -> EngineError {
    let error = refusal::error(Some(status), message);
    match id {
        Some(id) => refusal::about(id, error),
        None => error,
    }
}

fn client(address: &Address, version: &ClientVersion) -> Result<Docker, EngineError> {
    let client = match address {
        Address::Unix(path) => Docker::connect_with_unix(&path.display().to_string(), LONGEST.as_secs(), version),
        Address::Tcp(host) => Docker::connect_with_http(host, LONGEST.as_secs(), version),
    };
    client.map_err(|e| error(&address.to_string(), e))
}

async fn within<T>(
    limit: Duration,
    address: &str,
    call: impl Future<Output = Result<T, Error>>,
) -> Result<T, EngineError> {
    match tokio::time::timeout(limit, call).await {
        Ok(answer) => answer.map_err(|e| error(address, e)),
        Err(_) => Err(EngineError::NoAnswer(format!("none within {} s", limit.as_secs()))),
    }
}

/// What several lines say, on one: logs and tables have a line for each thing.
fn one_line(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

fn error(address: &str, error: Error) -> EngineError {
    match error {
        Error::DockerResponseServerError { status_code, message } => {
            refusal::error(Some(status_code), one_line(&message))
        }
        Error::DockerStreamError { error } => refusal::error(None, error),
        Error::RequestTimeoutError => EngineError::NoAnswer("timed out".into()),
        Error::SocketNotFoundError(_) => unreachable_error(address, &io::ErrorKind::NotFound.into()),
        Error::HyperLegacyError { err } if err.is_connect() => {
            let mut inmost: &(dyn std::error::Error + 'static) = &err;
            while let Some(source) = inmost.source() {
                inmost = source;
            }
            match inmost.downcast_ref::<io::Error>() {
                Some(error) => unreachable_error(address, error),
                None => unreachable_error(address, &io::Error::other(inmost.to_string())),
            }
        }
        Error::JsonDataError { .. } | Error::JsonSerdeError { .. } => EngineError::NotUnderstood(error.to_string()),
        other => EngineError::NoAnswer(other.to_string()),
    }
}

fn unreachable_error(address: &str, error: &io::Error) -> EngineError {
    let (kind, words) = (error.kind(), error.to_string());
    let reason = match Address::parse(address) {
        Ok(parsed) => parsed.advice(kind, &words),
        Err(_) => words,
    };
    EngineError::Unreachable { address: address.to_owned(), reason, denied: kind == io::ErrorKind::PermissionDenied }
}

/// What is not there is gone already.
fn unless_gone(result: Result<(), EngineError>) -> Result<(), EngineError> {
    match result {
        Err(error) if error.is_not_found() => Ok(()),
        other => other,
    }
}

#[async_trait]
impl EngineRead for DockerEngine {
    async fn info(&self) -> Result<EngineInfo, EngineError> {
        // The newest API that both sides know; all clones of the client speak it from now on. Asked anew after each
        // time the Engine was away, as another version may have come back.
        self.read(self.docker.clone().negotiate_version()).await?;
        let info = self.read(self.docker.info()).await?;
        let time = info.system_time.and_then(|t| t.parse().ok()).unwrap_or_else(Timestamp::now);
        Ok(EngineInfo {
            version: info.server_version.unwrap_or_default(),
            capabilities: Capabilities { api: self.api() },
            time,
            memory: info.mem_total.and_then(|bytes| u64::try_from(bytes).ok()),
        })
    }

    async fn list(&self) -> Result<Listing, EngineError> {
        let options = ListContainersOptionsBuilder::new().all(true).build();
        let (containers, networks, volumes) = tokio::try_join!(
            self.read(self.docker.list_containers(Some(options))),
            self.read(self.docker.list_networks(None::<ListNetworksOptions>)),
            self.read(self.docker.list_volumes(None::<ListVolumesOptions>)),
        )?;
        Ok(Listing {
            published: convert::published(&containers),
            containers: containers.into_iter().filter_map(convert::listed).collect(),
            networks: networks.into_iter().filter_map(convert::network).collect(),
            volumes: volumes.volumes.unwrap_or_default().into_iter().map(convert::volume).collect(),
        })
    }

    async fn inspect(&self, id: &ContainerId) -> Result<Option<Container>, EngineError> {
        match self.read(self.docker.inspect_container(id.as_str(), None)).await {
            Ok(answer) => Ok(convert::container(answer)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn image(&self, reference: &str) -> Result<Option<Image>, EngineError> {
        match self.read(self.docker.inspect_image(reference)).await {
            Ok(image) => {
                let fields = fields::of_image(&image.config);
                let config = image.config.and_then(|c| c.volumes).unwrap_or_default();
                let volumes = config.into_iter().collect();
                Ok(image.id.map(|id| Image { id: ImageId::trusted(id), fields, volumes }))
            }
            Err(error) if error.is_not_found() => Ok(None),
            // A reference that is none is found nowhere; the pull then says what is wrong with it.
            Err(EngineError::Refused { reason: Refusal::InvalidRequest, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn fields(&self, spec: &ContainerSpec<'_>) -> Result<Fields, EngineError> {
        fields::desired(spec, self.api())
    }
}

#[async_trait]
impl EngineWrite for DockerEngine {
    async fn create_network(&self, network: &NetworkSpec<'_>) -> Result<(), EngineError> {
        self.write(self.docker.create_network(spec::network(network))).await.map(|_| ())
    }

    async fn remove_network(&self, id: &NetworkId) -> Result<(), EngineError> {
        unless_gone(self.write(self.docker.remove_network(id.as_str())).await)
    }

    async fn create_volume(&self, volume: &VolumeSpec<'_>) -> Result<(), EngineError> {
        self.write(self.docker.create_volume(spec::volume(volume))).await.map(|_| ())
    }

    async fn remove_volume(&self, name: &str) -> Result<(), EngineError> {
        unless_gone(self.write(self.docker.remove_volume(name, None::<RemoveVolumeOptions>)).await)
    }

    async fn pull(&self, reference: &str, platform: Option<&str>) -> Result<(), EngineError> {
        // Without a tag the Engine would fetch all of them.
        let name = reference.rsplit('/').next().unwrap_or(reference);
        let full =
            if name.contains(':') || name.contains('@') { reference.to_owned() } else { format!("{reference}:latest") };
        let mut options = CreateImageOptionsBuilder::new().from_image(&full);
        if let Some(platform) = platform {
            options = options.platform(platform);
        }
        let options = options.build();
        let known = auth::for_image(&full).await;
        let mut progress = self.docker.create_image(Some(options), None, known.credentials.clone());
        let all = async {
            while let Some(line) = progress.next().await {
                let line = line.map_err(|e| known.explain(error(&self.address, e)))?;
                if let Some(message) = line.error_detail.and_then(|d| d.message) {
                    return Err(known.explain(refusal::error(None, message)));
                }
            }
            Ok(())
        };
        match tokio::time::timeout(LONGEST, all).await {
            Ok(answer) => answer,
            Err(_) => Err(EngineError::NoAnswer("the pull took over an hour".into())),
        }
    }

    async fn build(&self, build: &BuildSpec<'_>) -> Result<(), EngineError> {
        match tokio::time::timeout(LONGEST, build::run(self, build)).await {
            Ok(answer) => answer,
            Err(_) => Err(EngineError::NoAnswer("the build took over an hour".into())),
        }
    }

    async fn create_container(&self, container: &ContainerSpec<'_>) -> Result<ContainerId, EngineError> {
        let creation = spec::container(container, self.api())?;
        let options = CreateContainerOptionsBuilder::new().name(container.name).platform(&creation.platform).build();
        let docker = match creation.mac_address {
            None => self.docker.clone(),
            Some(mac) => {
                let mut body = serde_json::to_value(&creation.body).unwrap_or_default();
                body["MacAddress"] = mac.into();
                let text = body.to_string();
                self.docker.clone().with_request_modifier(move |mut request| {
                    *request.body_mut() = bollard::body_full(text.clone().into());
                    request
                })
            }
        };
        let made = self.write(docker.create_container(Some(options), creation.body)).await?;
        Ok(ContainerId::trusted(made.id))
    }

    async fn connect(
        &self,
        network: &NetworkId,
        container: &ContainerId,
        endpoint: &EndpointSpec<'_>,
    ) -> Result<(), EngineError> {
        let endpoint_config = Some(spec::endpoint(endpoint, self.api())?);
        let request = NetworkConnectRequest { container: container.to_string(), endpoint_config };
        self.write_to(container, self.docker.connect_network(network.as_str(), request)).await
    }

    async fn disconnect(&self, network: &NetworkId, container: &ContainerId) -> Result<(), EngineError> {
        let request = NetworkDisconnectRequest { container: container.to_string(), force: Some(false) };
        match self.write_to(container, self.docker.disconnect_network(network.as_str(), request)).await {
            Err(EngineError::Refused { reason: Refusal::NotAttached, .. }) => Ok(()),
            other => other,
        }
    }

    async fn update(&self, id: &ContainerId, changes: &BTreeMap<String, Option<String>>) -> Result<(), EngineError> {
        self.write_to(id, self.docker.update_container(id.as_str(), update::body(changes))).await
    }

    async fn copy_into(&self, id: &ContainerId, files: &[FileSpec<'_>]) -> Result<(), EngineError> {
        for file in files {
            let mut options = UploadToContainerOptionsBuilder::new().path("/");
            if file.owner.is_some() {
                options = options.copy_uidgid("true");
            }
            let archive = bollard::body_full(archive::of(file, Timestamp::now()).into());
            self.write_to(id, self.docker.upload_to_container(id.as_str(), Some(options.build()), archive)).await?;
        }
        Ok(())
    }

    async fn check(&self, id: &ContainerId, test: &[String], timeout: Duration) -> Result<Option<String>, EngineError> {
        exec::check(self, id, test, timeout).await
    }

    async fn run_hook(&self, id: &ContainerId, hook: &Hook, timeout: Duration) -> Result<(), EngineError> {
        exec::hook(self, id, hook, timeout).await
    }

    async fn start(&self, id: &ContainerId) -> Result<(), EngineError> {
        self.write_to(id, self.docker.start_container(id.as_str(), None)).await
    }

    async fn stop(&self, id: &ContainerId, grace: Option<Duration>) -> Result<(), EngineError> {
        let seconds = grace.map(|g| i32::try_from(g.as_secs_f64().ceil() as i64).unwrap_or(i32::MAX));
        let options = StopContainerOptions { signal: None, t: seconds };
        let limit = WRITE_TIMEOUT + grace.unwrap_or(DEFAULT_GRACE).min(LONGEST);
        let call = self.docker.stop_container(id.as_str(), Some(options));
        unless_gone(within(limit, &self.address, call).await)
    }

    async fn remove(&self, id: &ContainerId) -> Result<(), EngineError> {
        let call = self.docker.remove_container(id.as_str(), None::<RemoveContainerOptions>);
        match self.write_to(id, call).await {
            Err(EngineError::Refused { reason: Refusal::BeingRemoved, .. }) => Ok(()),
            other => unless_gone(other),
        }
    }

    async fn rename(&self, id: &ContainerId, name: &str) -> Result<(), EngineError> {
        let options = RenameContainerOptionsBuilder::new().name(name).build();
        self.write_to(id, self.docker.rename_container(id.as_str(), options)).await
    }

    async fn unpause(&self, id: &ContainerId) -> Result<(), EngineError> {
        self.write_to(id, self.docker.unpause_container(id.as_str())).await
    }

    async fn signal(&self, id: &ContainerId, signal: &str) -> Result<(), EngineError> {
        let options = KillContainerOptionsBuilder::new().signal(signal).build();
        self.write_to(id, self.docker.kill_container(id.as_str(), Some(options))).await
    }
}

impl EngineEvents for DockerEngine {
    fn events(&self, since: Timestamp) -> BoxStream<'static, Result<EngineEvent, EngineError>> {
        events::stream(self.docker.clone(), self.address.clone(), since)
    }
}
