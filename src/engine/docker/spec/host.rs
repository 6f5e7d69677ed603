//! The part of a container that concerns the host.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bollard::models::{
    DeviceMapping, DeviceRequest, HostConfig, HostConfigLogConfig, PortBinding, ResourcesBlkioWeightDevice,
    ResourcesUlimits, RestartPolicy, RestartPolicyNameEnum, ThrottleDevice,
};

use super::{Api, mounts, refused, some, word};
use crate::engine::{ContainerSpec, EngineError};
use crate::model::ServiceName;
use crate::model::service::{self, Bytes, DeviceRate, NamespaceMode, Resources, Service, VolumesSource};

fn map(map: &BTreeMap<String, String>) -> Option<HashMap<String, String>> {
    (!map.is_empty()).then(|| map.clone().into_iter().collect())
}

fn bytes(size: Option<Bytes>) -> Option<i64> {
    size.map(|b| b.0)
}

/// By their full names, sorted and once each, as Docker's own client sends them.
fn capabilities(written: &[String]) -> Vec<String> {
    let full = |word: &String| match word.to_uppercase() {
        all if all == "ALL" => all,
        full if full.starts_with("CAP_") => full,
        short => format!("CAP_{short}"),
    };
    written.iter().map(full).collect::<BTreeSet<String>>().into_iter().collect()
}

pub(super) fn host(spec: &ContainerSpec<'_>, api: Api) -> Result<HostConfig, EngineError> {
    let service = spec.service;
    let limits = &service.resources;
    let network = match &service.network_mode {
        Some(mode) => Some(namespace(mode, "network", spec)?),
        None => spec.networks.first().map(|(network, _)| network.clone()),
    };
    let shared =
        |mode: &Option<NamespaceMode>, what: &str| mode.as_ref().map(|mode| namespace(mode, what, spec)).transpose();
    let (binds, mounts) = mounts::mounts(spec, api)?;
    let unconfined = || service.unconfined_paths.then(Vec::new);
    let own = HostConfig {
        network_mode: network,
        binds: some(binds),
        mounts: some(mounts),
        tmpfs: map(&service.tmpfs),
        port_bindings: Some(ports(service)),
        restart_policy: Some(restart(service)),
        volume_driver: service.volume_driver.clone(),
        volumes_from: some(volumes_from(spec)?),
        annotations: map(&service.annotations),
        cap_add: some(capabilities(&service.cap_add)),
        cap_drop: some(capabilities(&service.cap_drop)),
        cgroupns_mode: word("cgroup", service.cgroup.as_deref())?,
        privileged: Some(service.privileged),
        readonly_rootfs: Some(service.read_only),
        init: service.init,
        ipc_mode: shared(&service.ipc, "IPC")?,
        pid_mode: shared(&service.pid, "PID")?,
        uts_mode: service.uts.clone(),
        userns_mode: service.userns_mode.clone(),
        isolation: word("isolation", service.isolation.as_deref())?,
        runtime: service.runtime.clone(),
        links: some(spec.links.clone()),
        extra_hosts: Some(service.extra_hosts.iter().map(|h| h.replacen('=', ":", 1)).collect()),
        dns: some(service.dns.clone()),
        dns_search: some(service.dns_search.clone()),
        dns_options: some(service.dns_opt.clone()),
        sysctls: map(&service.sysctls),
        storage_opt: map(&service.storage_opt),
        log_config: service
            .logging
            .as_ref()
            .map(|logging| HostConfigLogConfig { typ: logging.driver.clone(), config: map(&logging.options) }),
        security_opt: some(service.security_opt.clone()),
        masked_paths: unconfined(),
        readonly_paths: unconfined(),
        group_add: some(service.group_add.clone()),
        oom_score_adj: Some(limits.oom_score_adj),
        shm_size: bytes(limits.shm_size),
        ulimits: some(
            service
                .ulimits
                .iter()
                .map(|(name, limit)| ResourcesUlimits {
                    name: Some(name.clone()),
                    soft: Some(limit.soft),
                    hard: Some(limit.hard),
                })
                .collect(),
        ),
        ..HostConfig::default()
    };
    Ok(limited(own, limits))
}

/// With limits, reservations and devices.
fn limited(host: HostConfig, limits: &Resources) -> HostConfig {
    let blkio = limits.blkio.clone().unwrap_or_default();
    let throttles = |rates: &[DeviceRate]| {
        let throttle = |d: &DeviceRate| ThrottleDevice { path: Some(d.path.clone()), rate: Some(d.rate) };
        some(rates.iter().map(throttle).collect())
    };
    let devices = limits.devices.iter().filter(|d| !d.is_cdi()).map(|d| DeviceMapping {
        path_on_host: Some(d.source.clone()),
        path_in_container: Some(d.target.clone()),
        cgroup_permissions: Some(d.permissions.clone()),
    });
    HostConfig {
        nano_cpus: limits.nano_cpus,
        cpu_shares: limits.cpu_shares,
        cpu_period: limits.cpu_period,
        cpu_quota: limits.cpu_quota,
        cpu_realtime_period: limits.cpu_rt_period,
        cpu_realtime_runtime: limits.cpu_rt_runtime,
        cpu_count: limits.cpu_count,
        cpu_percent: limits.cpu_percent,
        cpuset_cpus: limits.cpuset.clone(),
        memory: bytes(limits.memory),
        memory_reservation: bytes(limits.memory_reservation),
        memory_swap: bytes(limits.memory_swap),
        memory_swappiness: limits.memory_swappiness,
        oom_kill_disable: Some(limits.oom_kill_disable),
        pids_limit: limits.pids,
        cgroup_parent: limits.cgroup_parent.clone(),
        blkio_weight: (blkio.weight != 0).then_some(blkio.weight),
        blkio_weight_device: some(
            blkio
                .weight_device
                .iter()
                .map(|d| ResourcesBlkioWeightDevice {
                    path: Some(d.path.clone()),
                    weight: usize::try_from(d.rate).ok(),
                })
                .collect(),
        ),
        blkio_device_read_bps: throttles(&blkio.device_read_bps),
        blkio_device_read_iops: throttles(&blkio.device_read_iops),
        blkio_device_write_bps: throttles(&blkio.device_write_bps),
        blkio_device_write_iops: throttles(&blkio.device_write_iops),
        devices: some(devices.collect()),
        device_cgroup_rules: some(limits.device_cgroup_rules.clone()),
        device_requests: some(device_requests(limits)),
        ..host
    }
}

/// Reserved devices, those by CDI names, GPUs: in this order.
fn device_requests(limits: &Resources) -> Vec<DeviceRequest> {
    let request = |d: &service::DeviceRequest, further: Option<&str>| DeviceRequest {
        driver: d.driver.clone(),
        count: Some(d.count),
        device_ids: some(d.device_ids.clone()),
        capabilities: Some(vec![d.capabilities.iter().cloned().chain(further.map(str::to_owned)).collect()]),
        options: map(&d.options),
    };
    let cdi: Vec<String> = limits.devices.iter().filter(|d| d.is_cdi()).map(|d| d.source.clone()).collect();
    let cdi = some(cdi).map(|names| DeviceRequest {
        driver: Some("cdi".to_owned()),
        device_ids: Some(names),
        ..DeviceRequest::default()
    });
    let reserved = limits.reserved_devices.iter().map(|d| request(d, None));
    reserved.chain(cdi).chain(limits.gpus.iter().map(|d| request(d, Some("gpu")))).collect()
}

fn peer<'s>(spec: &'s ContainerSpec<'_>, what: &str, name: &ServiceName) -> Result<&'s str, EngineError> {
    let found = spec.peers.get(name).map(crate::model::ContainerId::as_str);
    found.ok_or_else(|| refused(format!("it shares {what} with {name}, which has no container")))
}

fn namespace(mode: &NamespaceMode, what: &str, spec: &ContainerSpec<'_>) -> Result<String, EngineError> {
    Ok(match mode {
        NamespaceMode::Service(name) => {
            format!("container:{}", peer(spec, &format!("the {what} namespace"), name)?)
        }
        other => other.to_string(),
    })
}

fn volumes_from(spec: &ContainerSpec<'_>) -> Result<Vec<String>, EngineError> {
    let source = |v: &service::VolumesFrom| match &v.source {
        VolumesSource::Container(name) => Ok(name.clone()),
        VolumesSource::Service(name) => peer(spec, "volumes", name).map(str::to_owned),
    };
    spec.service.volumes_from.iter().map(source).collect()
}

/// `deploy.restart_policy` by its own words, else `restart`; what is not written is not said.
fn restart(service: &Service) -> RestartPolicy {
    use service::RestartPolicy as Policy;
    if service.extension.supervise == service::Supervise::Controller {
        return RestartPolicy { name: Some(RestartPolicyNameEnum::NO), maximum_retry_count: None };
    }
    if let Some(policy) = service.deploy.as_ref().and_then(|d| d.restart_policy.as_ref()) {
        let name = match policy.condition.as_deref() {
            None => RestartPolicyNameEnum::EMPTY,
            Some("none") => RestartPolicyNameEnum::NO,
            Some("on-failure") => RestartPolicyNameEnum::ON_FAILURE,
            Some(_) => RestartPolicyNameEnum::ALWAYS,
        };
        let attempts = policy.max_attempts.and_then(|n| i64::try_from(n).ok());
        return RestartPolicy { name: Some(name), maximum_retry_count: attempts };
    }
    let (name, max) = match service.restart {
        None => (RestartPolicyNameEnum::EMPTY, None),
        Some(Policy::No) => (RestartPolicyNameEnum::NO, None),
        Some(Policy::Always) => (RestartPolicyNameEnum::ALWAYS, None),
        Some(Policy::UnlessStopped) => (RestartPolicyNameEnum::UNLESS_STOPPED, None),
        Some(Policy::OnFailure { max }) => (RestartPolicyNameEnum::ON_FAILURE, max.map(i64::from)),
    };
    RestartPolicy { name: Some(name), maximum_retry_count: max }
}

fn ports(service: &Service) -> HashMap<String, Option<Vec<PortBinding>>> {
    let mut bindings: HashMap<String, Option<Vec<PortBinding>>> = HashMap::new();
    for port in &service.ports {
        let binding = PortBinding {
            host_ip: Some(port.host_ip.clone().unwrap_or_default()),
            host_port: Some(port.published.clone().unwrap_or_default()),
        };
        bindings.entry(format!("{}/{}", port.target, port.protocol)).or_default().get_or_insert_default().push(binding);
    }
    bindings
}
