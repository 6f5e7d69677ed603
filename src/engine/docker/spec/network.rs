//! Networks, and how containers are attached to them.

use std::collections::HashMap;

use bollard::models::{EndpointIpamConfig, EndpointSettings, Ipam, IpamConfig, NetworkCreateRequest, NetworkingConfig};

use super::{Api, refused, some};
use crate::engine::{ContainerSpec, EndpointSpec, EngineError, NetworkSpec};

/// The option of the Engine's drivers that names the interface.
const INTERFACE: &str = "com.docker.network.endpoint.ifname";

pub(in crate::engine::docker) fn network(spec: &NetworkSpec<'_>) -> NetworkCreateRequest {
    let network = spec.network;
    let ipam = network.ipam.as_ref().filter(|ipam| ipam.driver.is_some() || !ipam.pools.is_empty());
    NetworkCreateRequest {
        name: network.name.clone(),
        driver: network.driver.clone(),
        internal: Some(network.internal),
        attachable: Some(network.attachable),
        enable_ipv4: network.enable_ipv4,
        enable_ipv6: network.enable_ipv6,
        ipam: ipam.map(|ipam| Ipam {
            driver: ipam.driver.clone(),
            config: some(
                ipam.pools
                    .iter()
                    .map(|pool| IpamConfig {
                        subnet: pool.subnet.clone(),
                        ip_range: pool.ip_range.clone(),
                        gateway: pool.gateway.clone(),
                        auxiliary_addresses: (!pool.aux_addresses.is_empty())
                            .then(|| pool.aux_addresses.clone().into_iter().collect()),
                    })
                    .collect(),
            ),
            options: None,
        }),
        options: (!network.driver_opts.is_empty()).then(|| network.driver_opts.clone().into_iter().collect()),
        labels: Some(spec.labels.clone().into_iter().collect()),
        ..NetworkCreateRequest::default()
    }
}

pub(in crate::engine::docker) fn endpoint(spec: &EndpointSpec<'_>, api: Api) -> Result<EndpointSettings, EngineError> {
    let attachment = spec.attachment;
    let mut driver_opts: HashMap<String, String> = attachment.driver_opts.clone().into_iter().collect();
    if let Some(name) = &attachment.interface_name {
        if api < (1, 49) {
            return Err(refused("interface_name of a network needs Docker Engine 28.1 or later"));
        }
        driver_opts.insert(INTERFACE.into(), name.clone());
    }
    Ok(EndpointSettings {
        aliases: some(spec.aliases.clone()),
        links: some(spec.links.clone()),
        ip_address: attachment.ipv4_address.clone(),
        // Where Compose puts the address, next to the one that counts.
        ipv6_gateway: attachment.ipv6_address.clone(),
        ipam_config: attachment.written.then(|| EndpointIpamConfig {
            ipv4_address: attachment.ipv4_address.clone(),
            ipv6_address: attachment.ipv6_address.clone(),
            link_local_ips: some(attachment.link_local_ips.clone()),
        }),
        mac_address: attachment.mac_address.clone(),
        driver_opts: (!driver_opts.is_empty()).then_some(driver_opts),
        gw_priority: (attachment.gw_priority != 0).then_some(attachment.gw_priority),
        ..EndpointSettings::default()
    })
}

/// Whether a network is told by its id.
fn is_id(network: &str) -> bool {
    network.len() == 64 && network.bytes().all(|b| b.is_ascii_hexdigit())
}

/// The endpoints to make at once, and the hardware address of the container as a whole, where that API still has one.
pub(super) fn networking(
    spec: &ContainerSpec<'_>,
    api: Api,
) -> Result<(Option<NetworkingConfig>, Option<String>), EngineError> {
    let service = spec.service;
    let own = service.mac_address.as_ref();
    let primary = spec.networks.first().and_then(|(_, e)| e.attachment.mac_address.as_ref());
    if let (Some(own), Some(primary)) = (own, primary)
        && own != primary
    {
        return Err(refused("the service's mac_address and that of its first network differ"));
    }
    let each_endpoint = api >= (1, 44);
    if !each_endpoint && service.networks.values().filter(|a| a.mac_address.is_some()).count() > 1 {
        return Err(refused("a mac_address on several networks needs Docker Engine 25 or later"));
    }
    if service.networks.values().any(|a| a.interface_name.is_some()) && api < (1, 49) {
        return Err(refused("interface_name of a network needs Docker Engine 28.1 or later"));
    }
    let mut endpoints = HashMap::new();
    for (n, (network, attached)) in spec.networks.iter().enumerate() {
        let mut settings = endpoint(attached, api)?;
        if n == 0 && each_endpoint && settings.mac_address.is_none() {
            settings.mac_address = own.cloned();
        }
        // Old Engines find the name of an id first and then trip over its double: the id itself keeps them from that.
        settings.network_id = is_id(network).then(|| network.clone());
        endpoints.insert(network.clone(), settings);
    }
    let config = (!endpoints.is_empty()).then_some(NetworkingConfig { endpoints_config: Some(endpoints) });
    let mac = if each_endpoint { None } else { primary.or(own).cloned() };
    Ok((config, mac))
}
