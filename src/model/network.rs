//! Ranges of addresses in CIDR notation.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A range in CIDR as the Engine writes it, with the host's part at zero; what is no range stays as it is.
pub fn canonical(range: &str) -> String {
    let parsed = range.split_once('/').and_then(|(address, length)| {
        let (address, length): (IpAddr, u32) = (address.parse().ok()?, length.parse().ok()?);
        let address: IpAddr = match address {
            IpAddr::V4(v4) => {
                let mask = u32::MAX.checked_shl(32_u32.checked_sub(length)?).unwrap_or(0);
                Ipv4Addr::from_bits(v4.to_bits() & mask).into()
            }
            IpAddr::V6(v6) => {
                let mask = u128::MAX.checked_shl(128_u32.checked_sub(length)?).unwrap_or(0);
                Ipv6Addr::from_bits(v6.to_bits() & mask).into()
            }
        };
        Some(format!("{address}/{length}"))
    });
    parsed.unwrap_or_else(|| range.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_part_of_a_range_is_zero() {
        for (range, expected) in [
            ("172.28.5.1/16", "172.28.0.0/16"),
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("1.2.3.4/0", "0.0.0.0/0"),
            ("fd00::1/64", "fd00::/64"),
            ("nonsense", "nonsense"),
            ("1.2.3.4/99", "1.2.3.4/99"),
        ] {
            assert_eq!(canonical(range), expected);
        }
    }
}
