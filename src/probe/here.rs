//! Where this program runs, as far as probes are concerned.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

/// Where the ports are that the host publishes on all of its addresses: on this host, or, in a container with a network of its
/// own, at the gateway of that network, which is the host. `root`: where `/proc` and `/sys` are.
pub(super) fn host(root: &Path) -> IpAddr {
    let localhost = IpAddr::V4(Ipv4Addr::LOCALHOST);
    // A container that has the host's network sees the Engine's bridge.
    if !root.join(".dockerenv").exists() || root.join("sys/class/net/docker0").exists() {
        return localhost;
    }
    let routes = std::fs::read_to_string(root.join("proc/net/route")).unwrap_or_default();
    let gateway = routes.lines().find_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let (destination, gateway) = (fields.next()?, fields.next()?);
        let gateway = u32::from_str_radix(gateway, 16).ok()?;
        // As the kernel has it in its memory.
        (destination == "00000000" && gateway != 0).then(|| IpAddr::V4(Ipv4Addr::from(gateway.to_ne_bytes())))
    });
    gateway.unwrap_or(localhost)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_a_container_the_gateway_is_the_host() {
        let root = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let gateway = u32::from_ne_bytes([172, 17, 0, 1]);
        let lines = format!(
            "Iface\tDestination\tGateway\tFlags\neth0\t000011AC\t00000000\t0001\neth0\t00000000\t{gateway:08X}\t0003\n"
        );
        write("proc/net/route", &lines);
        assert_eq!(host(root.path()), IpAddr::V4(Ipv4Addr::LOCALHOST), "on a host it is that of the provider");
        write(".dockerenv", "");
        assert_eq!(host(root.path()), IpAddr::V4(Ipv4Addr::new(172, 17, 0, 1)));
        write("sys/class/net/docker0/mtu", "1500");
        assert_eq!(host(root.path()), IpAddr::V4(Ipv4Addr::LOCALHOST), "it has the host's network");
    }
}
