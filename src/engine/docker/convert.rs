//! The Engine's answers, as what was observed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use bollard::models::{
    BollardDate, ContainerInspectResponse, ContainerStateStatusEnum, ContainerSummary, HealthStatusEnum, PortBinding,
    RestartPolicyNameEnum,
};

use super::fields;
use crate::engine::ListedContainer;
use crate::model::health::Reach;
use crate::model::observed::{
    Container, ContainerState, Health, Network, NetworkMade, PublishedPort, Volume, VolumeMade,
};
use crate::model::project::IpamPool;
use crate::model::{ContainerId, ImageId, InstanceId, NetworkId, ProjectName, ServiceName, Timestamp, labels};

/// A time of the Engine; its zero is year 1.
fn time(text: Option<&str>) -> Timestamp {
    text.and_then(|t| t.parse().ok()).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn date(date: Option<BollardDate>) -> Timestamp {
    date.and_then(|d| Timestamp::from_nanosecond(d.unix_timestamp_nanos()).ok()).unwrap_or(Timestamp::UNIX_EPOCH)
}

pub(super) fn listed(summary: ContainerSummary) -> Option<ListedContainer> {
    Some(ListedContainer {
        id: ContainerId::trusted(summary.id?),
        project: ProjectName::trusted(summary.labels?.remove(labels::PROJECT)?),
        state: summary.state.map(|s| s.to_string()).unwrap_or_default(),
    })
}

pub(super) fn published(containers: &[ContainerSummary]) -> Vec<PublishedPort> {
    let of = |c: &ContainerSummary| {
        let (id, name) = (c.id.clone()?, c.names.iter().flatten().next()?.trim_start_matches('/').to_owned());
        let project = c.labels.as_ref().and_then(|l| l.get(labels::PROJECT)).cloned().map(ProjectName::trusted);
        let ports = c.ports.iter().flatten().filter_map(move |port| {
            Some(PublishedPort {
                port: port.public_port?,
                protocol: port.typ.map(|t| t.to_string()).unwrap_or_default(),
                host_ip: port.ip.clone().unwrap_or_default(),
                container: ContainerId::trusted(id.clone()),
                name: name.clone(),
                project: project.clone(),
            })
        });
        Some(ports.collect::<Vec<_>>())
    };
    let mut all: Vec<_> = containers.iter().filter_map(of).flatten().collect();
    all.sort();
    all
}

pub(super) fn network(network: bollard::models::Network) -> Option<Network> {
    let mut found = network.labels.unwrap_or_default();
    let pools = network.ipam.and_then(|ipam| ipam.config).unwrap_or_default().into_iter().map(|pool| IpamPool {
        subnet: pool.subnet,
        ip_range: pool.ip_range,
        gateway: pool.gateway,
        aux_addresses: pool.auxiliary_addresses.unwrap_or_default().into_iter().collect(),
    });
    let made = NetworkMade {
        driver: network.driver,
        internal: network.internal.unwrap_or(false),
        attachable: network.attachable.unwrap_or(false),
        ipv6: network.enable_ipv6.unwrap_or(false),
        options: network.options.unwrap_or_default().into_iter().collect(),
        pools: pools.collect(),
    };
    Some(Network {
        id: NetworkId::trusted(network.id?),
        name: network.name?,
        created: date(network.created),
        project: found.remove(labels::PROJECT).map(ProjectName::trusted),
        key: found.remove(labels::NETWORK),
        made: Some(Arc::new(made)),
    })
}

pub(super) fn volume(mut volume: bollard::models::Volume) -> Volume {
    let made = VolumeMade { driver: volume.driver, options: volume.options.into_iter().collect() };
    Volume {
        made: Some(Arc::new(made)),
        name: volume.name,
        project: volume.labels.remove(labels::PROJECT).map(ProjectName::trusted),
        key: volume.labels.remove(labels::VOLUME),
    }
}

pub(super) fn container(answer: ContainerInspectResponse) -> Option<Container> {
    let fields = fields::observed(&answer);
    let config = answer.config.unwrap_or_default();
    let mut found: HashMap<String, String> = config.labels.unwrap_or_default();
    let project = ProjectName::trusted(found.remove(labels::PROJECT)?);
    let state = answer.state.unwrap_or_default();
    let host = answer.host_config.unwrap_or_default();
    let policy = host.restart_policy.and_then(|p| p.name);
    let mut networks = BTreeSet::new();
    let settings = answer.network_settings.unwrap_or_default();
    let mut reach = Reach {
        host: host.network_mode.as_deref() == Some("host"),
        published: bound(settings.ports),
        ..Reach::default()
    };
    for (name, endpoint) in settings.networks.unwrap_or_default() {
        networks.insert(name);
        reach.addresses.extend(endpoint.ip_address.as_deref().and_then(|ip| ip.parse::<IpAddr>().ok()));
        networks.extend(endpoint.network_id.filter(|id| !id.is_empty()));
    }
    let mounts = answer.mounts.unwrap_or_default().into_iter();
    let volumes = mounts.filter_map(|mount| Some((mount.destination?, mount.name.filter(|name| !name.is_empty())?)));
    let depends_on = found.remove(labels::DEPENDS_ON).unwrap_or_default();
    let lives = matches!(state.status, Some(ContainerStateStatusEnum::RUNNING | ContainerStateStatusEnum::PAUSED));
    let streak = state.health.as_ref().and_then(|health| health.failing_streak);
    Some(Container {
        id: ContainerId::trusted(answer.id?),
        name: answer.name.unwrap_or_default().trim_start_matches('/').to_owned(),
        project,
        service: found.remove(labels::SERVICE).map(ServiceName::trusted),
        number: found.remove(labels::CONTAINER_NUMBER).and_then(|n| n.parse().ok()).unwrap_or(0),
        oneoff: found.remove(labels::ONEOFF).is_some_and(|o| o.eq_ignore_ascii_case("true")),
        created: date(answer.created),
        config_hash: found.remove(labels::CONFIG_HASH),
        image: ImageId::trusted(answer.image.unwrap_or_default()),
        instance: found.remove(labels::INSTANCE).map(InstanceId::trusted),
        depends_on: labels::depends_on(&depends_on),
        health: match state.health.as_ref().and_then(|h| h.status) {
            Some(HealthStatusEnum::STARTING) => Health::Starting,
            Some(HealthStatusEnum::HEALTHY) => Health::Healthy,
            // A pause makes it unhealthy without a check, and so it stays until the next one.
            Some(HealthStatusEnum::UNHEALTHY) if streak == Some(0) && lives => Health::Starting,
            Some(HealthStatusEnum::UNHEALTHY) => Health::Unhealthy,
            _ => Health::None,
        },
        engine_restarts: policy.is_some_and(|p| p != RestartPolicyNameEnum::NO && p != RestartPolicyNameEnum::EMPTY),
        restart_count: answer.restart_count.and_then(|n| u32::try_from(n).ok()).unwrap_or(0),
        killed: false,
        exit_watched: false,
        networks,
        pid: state.pid.and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0),
        volumes: volumes.collect(),
        reach,
        probed: None,
        load: None,
        host_cpus: None,
        squeeze: None,
        error: state.error.clone().filter(|e| !e.is_empty()),
        fields: Some(Arc::new(fields)),
        differences: None,
        state: container_state(&state),
    })
}

/// TCP ports that the host has for a container.
fn bound(ports: Option<HashMap<String, Option<Vec<PortBinding>>>>) -> BTreeMap<u16, (IpAddr, u16)> {
    let ports = ports.unwrap_or_default().into_iter().filter_map(|(port, bindings)| {
        let own = port.strip_suffix("/tcp").unwrap_or(&port).parse().ok()?;
        let binding = bindings?.into_iter().next()?;
        let address = binding.host_ip.as_deref().and_then(|ip| ip.parse().ok());
        let address = address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        Some((own, (address, binding.host_port?.parse().ok()?)))
    });
    ports.collect()
}

fn container_state(state: &bollard::models::ContainerState) -> ContainerState {
    let started = time(state.started_at.as_deref());
    match state.status {
        Some(ContainerStateStatusEnum::RUNNING) => ContainerState::Running { since: started },
        Some(ContainerStateStatusEnum::PAUSED) => ContainerState::Paused,
        Some(ContainerStateStatusEnum::RESTARTING) => ContainerState::Restarting,
        Some(ContainerStateStatusEnum::REMOVING) => ContainerState::Removing,
        Some(ContainerStateStatusEnum::DEAD) => ContainerState::Dead,
        Some(ContainerStateStatusEnum::EXITED) => ContainerState::Exited {
            code: state.exit_code.unwrap_or(0),
            oom: state.oom_killed.unwrap_or(false),
            started,
            finished: time(state.finished_at.as_deref()),
        },
        // A container whose first start failed is `created` again.
        _ => ContainerState::Created,
    }
}
