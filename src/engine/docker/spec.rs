//! What is to be made, as the Engine wants to be told.

use std::collections::HashMap;
use std::time::Duration;

use bollard::models::{
    ContainerCreateBody, EndpointIpamConfig, EndpointSettings, HealthConfig, HostConfig, HostConfigLogConfig, Ipam,
    IpamConfig, Mount, MountBindOptions, MountBindOptionsPropagationEnum, MountTmpfsOptions, MountType,
    NetworkCreateRequest, NetworkingConfig, PortBinding, ResourcesUlimits, RestartPolicy, RestartPolicyNameEnum,
};

use crate::engine::{ContainerSpec, EndpointSpec, NetworkSpec};
use crate::model::service::{self, MountSource, Service};

fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

fn nanos(duration: Option<Duration>) -> Option<i64> {
    duration.and_then(|d| i64::try_from(d.as_nanos()).ok())
}

pub(super) fn network(spec: &NetworkSpec<'_>) -> NetworkCreateRequest {
    let network = spec.network;
    NetworkCreateRequest {
        name: network.name.clone(),
        driver: Some(network.driver.clone().unwrap_or_else(|| "bridge".into())),
        internal: Some(network.internal),
        attachable: Some(network.attachable),
        enable_ipv6: network.enable_ipv6,
        ipam: network.ipam.as_ref().map(|ipam| Ipam {
            driver: ipam.driver.clone(),
            config: some(
                ipam.pools
                    .iter()
                    .map(|pool| IpamConfig {
                        subnet: pool.subnet.clone(),
                        ip_range: pool.ip_range.clone(),
                        gateway: pool.gateway.clone(),
                        auxiliary_addresses: None,
                    })
                    .collect(),
            ),
            options: None,
        }),
        options: Some(network.driver_opts.clone().into_iter().collect()),
        labels: Some(spec.labels.clone().into_iter().collect()),
        ..NetworkCreateRequest::default()
    }
}

pub(super) fn endpoint(spec: &EndpointSpec<'_>) -> EndpointSettings {
    let attachment = spec.attachment;
    let fixed = attachment.ipv4_address.is_some() || attachment.ipv6_address.is_some();
    EndpointSettings {
        aliases: some(spec.aliases.clone()),
        ipam_config: fixed.then(|| EndpointIpamConfig {
            ipv4_address: attachment.ipv4_address.clone(),
            ipv6_address: attachment.ipv6_address.clone(),
            link_local_ips: None,
        }),
        ..EndpointSettings::default()
    }
}

pub(super) fn container(spec: &ContainerSpec<'_>) -> ContainerCreateBody {
    let service = spec.service;
    let exposed = service
        .ports
        .iter()
        .map(|p| format!("{}/{}", p.target, p.protocol))
        .chain(service.expose.iter().map(|e| if e.contains('/') { e.clone() } else { format!("{e}/tcp") }));
    let anonymous =
        service.mounts.iter().filter(|m| m.source == MountSource::Anonymous).map(|m| m.target.clone()).collect();
    let endpoints = spec.networks.iter().map(|(id, e)| (id.to_string(), endpoint(e))).collect();
    ContainerCreateBody {
        hostname: service.hostname.clone(),
        domainname: service.domainname.clone(),
        user: service.user.clone(),
        exposed_ports: some(exposed.collect()),
        tty: Some(service.tty),
        open_stdin: Some(service.stdin_open),
        env: some(
            service
                .environment
                .iter()
                .map(|(key, value)| value.as_ref().map_or_else(|| key.clone(), |v| format!("{key}={v}")))
                .collect(),
        ),
        cmd: service.command.clone(),
        entrypoint: service.entrypoint.clone(),
        healthcheck: service.healthcheck.as_ref().map(healthcheck),
        image: Some(service.image.clone()),
        volumes: some(anonymous),
        working_dir: service.working_dir.clone(),
        labels: Some(spec.labels.clone().into_iter().collect()),
        stop_signal: service.stop_signal.clone(),
        stop_timeout: service.stop_grace_period.map(|g| g.as_secs_f64().ceil() as i64),
        host_config: Some(host(spec)),
        networking_config: (!spec.networks.is_empty())
            .then_some(NetworkingConfig { endpoints_config: Some(endpoints) }),
        ..ContainerCreateBody::default()
    }
}

fn healthcheck(check: &service::Healthcheck) -> HealthConfig {
    HealthConfig {
        test: some(check.test.clone()),
        interval: nanos(check.interval),
        timeout: nanos(check.timeout),
        retries: check.retries.map(i64::from),
        start_period: nanos(check.start_period),
        start_interval: nanos(check.start_interval),
    }
}

fn host(spec: &ContainerSpec<'_>) -> HostConfig {
    let service = spec.service;
    let limits = &service.resources;
    let first = spec.networks.first().map(|(id, _)| id.to_string());
    HostConfig {
        network_mode: service.network_mode.clone().or(first),
        binds: some(service.mounts.iter().filter_map(|m| bind(m, spec)).collect()),
        mounts: some(service.mounts.iter().filter_map(mount).collect()),
        tmpfs: (!service.tmpfs.is_empty()).then(|| service.tmpfs.clone().into_iter().collect()),
        port_bindings: ports(service),
        restart_policy: Some(restart(service.restart)),
        nano_cpus: limits.nano_cpus,
        cpu_shares: limits.cpu_shares,
        memory: limits.memory,
        memory_reservation: limits.memory_reservation,
        memory_swap: limits.memory_swap,
        pids_limit: limits.pids,
        shm_size: limits.shm_size,
        cap_add: some(service.cap_add.clone()),
        cap_drop: some(service.cap_drop.clone()),
        privileged: Some(service.privileged),
        readonly_rootfs: Some(service.read_only),
        init: service.init,
        extra_hosts: some(service.extra_hosts.iter().map(|h| h.replacen('=', ":", 1)).collect()),
        dns: some(service.dns.clone()),
        dns_search: some(service.dns_search.clone()),
        dns_options: some(service.dns_opt.clone()),
        sysctls: (!service.sysctls.is_empty()).then(|| service.sysctls.clone().into_iter().collect()),
        ulimits: some(
            service
                .ulimits
                .iter()
                .map(|(name, (soft, hard))| ResourcesUlimits {
                    name: Some(name.clone()),
                    soft: Some(*soft),
                    hard: Some(*hard),
                })
                .collect(),
        ),
        log_config: service.logging.as_ref().map(|logging| HostConfigLogConfig {
            typ: logging.driver.clone(),
            config: Some(logging.options.clone().into_iter().collect()),
        }),
        security_opt: some(service.security_opt.clone()),
        group_add: some(service.group_add.clone()),
        ..HostConfig::default()
    }
}

fn restart(policy: Option<service::RestartPolicy>) -> RestartPolicy {
    use service::RestartPolicy as Policy;
    let (name, max) = match policy {
        None | Some(Policy::No) => (RestartPolicyNameEnum::NO, None),
        Some(Policy::Always) => (RestartPolicyNameEnum::ALWAYS, None),
        Some(Policy::UnlessStopped) => (RestartPolicyNameEnum::UNLESS_STOPPED, None),
        Some(Policy::OnFailure { max }) => (RestartPolicyNameEnum::ON_FAILURE, max.map(i64::from)),
    };
    RestartPolicy { name: Some(name), maximum_retry_count: max }
}

fn ports(service: &Service) -> Option<HashMap<String, Option<Vec<PortBinding>>>> {
    let mut bindings: HashMap<String, Option<Vec<PortBinding>>> = HashMap::new();
    for port in &service.ports {
        let binding = PortBinding {
            host_ip: Some(port.host_ip.clone().unwrap_or_default()),
            host_port: Some(port.published.clone().unwrap_or_default()),
        };
        bindings.entry(format!("{}/{}", port.target, port.protocol)).or_default().get_or_insert_default().push(binding);
    }
    (!bindings.is_empty()).then_some(bindings)
}

/// Named volumes, and host paths that are made where they are missing, in the short notation that does so.
fn bind(mount: &service::Mount, spec: &ContainerSpec<'_>) -> Option<String> {
    let mut options = vec![if mount.read_only { "ro" } else { "rw" }.to_owned()];
    let source = match &mount.source {
        MountSource::Bind { path, create: true, propagation, selinux } => {
            options.extend(selinux.clone());
            options.extend(propagation.clone());
            path.display().to_string()
        }
        MountSource::Volume { key, nocopy } => {
            if *nocopy {
                options.push("nocopy".into());
            }
            (*spec.volumes.get(key.as_str())?).to_owned()
        }
        _ => return None,
    };
    Some(format!("{source}:{}:{}", mount.target, options.join(",")))
}

/// Host paths that must be there, and tmpfs.
fn mount(mount: &service::Mount) -> Option<Mount> {
    let base = Mount { target: Some(mount.target.clone()), read_only: Some(mount.read_only), ..Mount::default() };
    match &mount.source {
        MountSource::Bind { path, create: false, propagation, .. } => Some(Mount {
            typ: Some(MountType::BIND),
            source: Some(path.display().to_string()),
            bind_options: propagation
                .as_deref()
                .and_then(propagated)
                .map(|p| MountBindOptions { propagation: Some(p), ..MountBindOptions::default() }),
            ..base
        }),
        MountSource::Tmpfs { size, mode } => Some(Mount {
            typ: Some(MountType::TMPFS),
            tmpfs_options: Some(MountTmpfsOptions {
                size_bytes: size.and_then(|s| i64::try_from(s).ok()),
                mode: mode.map(i64::from),
                options: None,
            }),
            ..base
        }),
        _ => None,
    }
}

fn propagated(word: &str) -> Option<MountBindOptionsPropagationEnum> {
    use MountBindOptionsPropagationEnum as P;
    Some(match word {
        "private" => P::PRIVATE,
        "rprivate" => P::RPRIVATE,
        "shared" => P::SHARED,
        "rshared" => P::RSHARED,
        "slave" => P::SLAVE,
        "rslave" => P::RSLAVE,
        _ => return None,
    })
}
