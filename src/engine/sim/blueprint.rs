//! What containers are made of.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::engine::{ContainerSpec, docker};
use crate::model::fields::Fields;
use crate::model::service::{MountSource, NamespaceMode, RestartPolicy, Supervise};
use crate::model::{Service, ServiceName};

/// Docker's default for a check's interval, and for that of the start period from API 1.44 on.
const INTERVAL: Duration = Duration::from_secs(30);
const START_INTERVAL: Duration = Duration::from_secs(5);
const RETRIES: u32 = 3;

/// What a container is made of.
#[derive(Debug, Clone, Default)]
pub struct Blueprint {
    /// The container's name.
    pub name: String,
    /// All labels, as they are read back by inspect.
    pub labels: BTreeMap<String, String>,
    /// Its image's reference.
    pub image: String,
    /// The networks it is attached to, by name or id.
    pub networks: Vec<String>,
    /// Named volumes that it mounts.
    pub volumes: BTreeSet<String>,
    /// Host ports with their protocol and address.
    pub ports: Vec<(String, String, String)>,
    /// The Engine's restart policy.
    pub policy: Option<RestartPolicy>,
    /// The health check, where it has one.
    pub check: Option<Check>,
    /// The container whose network it uses.
    pub lives_in: Option<String>,
    /// It has no network and gets none.
    pub no_network: bool,
    /// It uses the host's network.
    pub host_network: bool,
    /// Bytes; `None`: no limit.
    pub memory: Option<u64>,
    /// Billionths of a CPU; `None`: no limit.
    pub nano_cpus: Option<i64>,
    /// Between asking it to end and ending it.
    pub grace: Option<Duration>,
    /// All of it, as an inspect tells; `None`: nobody can tell.
    pub fields: Option<Arc<Fields>>,
}

/// A health check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Check {
    /// Between two checks.
    pub interval: Duration,
    /// Failures in a row before it is unhealthy.
    pub retries: u32,
    /// Failures in this time do not count.
    pub start_period: Duration,
    /// Between two during that time.
    pub start_interval: Duration,
}

impl Blueprint {
    /// What a real Engine would be told of a service's container.
    pub(super) fn of(spec: &ContainerSpec<'_>, api: (u16, u16)) -> Self {
        let service: &Service = spec.service;
        let volumes = service.mounts.iter().filter_map(|m| match &m.source {
            MountSource::Volume { key } => spec.volumes.get(key.as_str()).map(|v| (*v).to_owned()),
            _ => None,
        });
        let ports = service.ports.iter().filter_map(|p| {
            let published = p.published.clone().filter(|p| !p.is_empty() && p != "0")?;
            Some((published, p.protocol.clone(), p.host_ip.clone().unwrap_or_default()))
        });
        let peer = |name: &ServiceName| spec.peers.get(name).map(ToString::to_string);
        Self {
            name: spec.name.to_owned(),
            labels: spec.labels.clone(),
            image: service.image.clone(),
            networks: spec.networks.iter().map(|(name, _)| name.clone()).collect(),
            volumes: volumes.collect(),
            ports: ports.collect(),
            policy: service.restart.filter(|_| service.extension.supervise == Supervise::Engine),
            check: check(service, api),
            lives_in: match &service.network_mode {
                Some(NamespaceMode::Service(name)) => peer(name),
                Some(NamespaceMode::Container(container)) => Some(container.clone()),
                _ => None,
            },
            no_network: service.network_mode == Some(NamespaceMode::None),
            host_network: service.network_mode == Some(NamespaceMode::Host),
            memory: service.resources.memory.and_then(|m| u64::try_from(m.0).ok()).filter(|m| *m > 0),
            nano_cpus: service.resources.nano_cpus,
            grace: service.stop_grace_period,
            fields: docker::fields::desired(spec, api).ok().map(Arc::new),
        }
    }

    pub(super) fn label(&self, key: &str) -> Option<&str> {
        self.labels.get(key).map(String::as_str)
    }
}

fn check(service: &Service, api: (u16, u16)) -> Option<Check> {
    let check = service.healthcheck.as_ref().filter(|c| !c.disabled() && !c.test.is_empty())?;
    let set = |d: Option<Duration>| d.filter(|d| !d.is_zero());
    let interval = set(check.interval).unwrap_or(INTERVAL);
    let start_period = check.start_period.unwrap_or_default();
    let early = api >= (1, 44) && !start_period.is_zero();
    Some(Check {
        interval,
        retries: check.retries.filter(|n| *n > 0).unwrap_or(RETRIES),
        start_period,
        start_interval: if early { set(check.start_interval).unwrap_or(START_INTERVAL) } else { interval },
    })
}
