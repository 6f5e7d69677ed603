//! Networks and volumes that are there, but were made otherwise than the manifest says. Only what is written counts: the
//! rest the Engine chose.

use crate::decide::cause::FieldChange;
use crate::model::project::{IpamPool, Network, Volume};
use crate::model::{network, observed};

/// How a network differs.
pub(in crate::decide) fn of_network(wanted: &Network, seen: &observed::Network) -> Vec<FieldChange> {
    let mut all = Vec::new();
    let Some(made) = seen.made.as_deref().filter(|_| !wanted.external) else { return all };
    let mut differs = |path: String, from: Option<String>, to: Option<String>| {
        if from != to {
            all.push(FieldChange { path, from, to });
        }
    };
    if let Some(driver) = &wanted.driver {
        differs("driver".into(), made.driver.clone(), Some(driver.clone()));
    }
    for (path, is, should) in [
        ("internal", made.internal, Some(wanted.internal)),
        // Compose v1 made all of them so; nothing but a Swarm minds.
        ("attachable", made.attachable, wanted.attachable.then_some(true)),
        ("enable_ipv6", made.ipv6, wanted.enable_ipv6),
    ] {
        if let Some(should) = should {
            differs(path.into(), Some(is.to_string()), Some(should.to_string()));
        }
    }
    for (option, value) in &wanted.driver_opts {
        differs(format!("driver_opts.{option}"), made.options.get(option).cloned(), Some(value.clone()));
    }
    for (place, pool) in wanted.ipam.iter().flat_map(|ipam| &ipam.pools).enumerate() {
        let Some(subnet) = &pool.subnet else { continue };
        let same = |p: &&IpamPool| p.subnet.as_deref().map(network::canonical) == Some(network::canonical(subnet));
        let at = |part: &str| format!("ipam.config.{place}.{part}");
        let Some(found) = made.pools.iter().find(same) else {
            let subnets: Vec<&str> = made.pools.iter().filter_map(|p| p.subnet.as_deref()).collect();
            differs(at("subnet"), Some(subnets.join(", ")), Some(subnet.clone()));
            continue;
        };
        if pool.gateway.is_some() {
            differs(at("gateway"), found.gateway.clone(), pool.gateway.clone());
        }
        if let Some(range) = &pool.ip_range {
            let is = found.ip_range.as_deref().map(network::canonical);
            differs(at("ip_range"), is, Some(network::canonical(range)));
        }
    }
    all
}

/// How a volume differs.
pub(in crate::decide) fn of_volume(wanted: &Volume, seen: &observed::Volume) -> Vec<FieldChange> {
    let Some(made) = seen.made.as_deref().filter(|_| !wanted.external) else { return Vec::new() };
    let driver = wanted.driver.iter().map(|d| ("driver".to_owned(), Some(made.driver.clone()), Some(d.clone())));
    let option = |(key, value): (&String, &String)| {
        (format!("driver_opts.{key}"), made.options.get(key).cloned(), Some(value.clone()))
    };
    let all = driver.chain(wanted.driver_opts.iter().map(option)).filter(|(_, from, to)| from != to);
    all.map(|(path, from, to)| FieldChange { path, from, to }).collect()
}
