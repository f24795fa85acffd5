//! Where validation may connect to. Whoever can order names chooses the addresses that this process connects to, so
//! without rules the authority would be a door into the operator's own network (SSRF): only addresses of the public
//! Internet are reached, and what the operator permits beside them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use pki::name::IpRange;

/// The ranges that validation may reach although they are not public.
#[derive(Debug, Clone, Default)]
pub(crate) struct Permits(Vec<IpRange>);

impl Permits {
    /// These, and the public Internet.
    pub(crate) fn new(ranges: Vec<IpRange>) -> Self {
        Permits(ranges)
    }

    /// Why this address may not be reached, if it may not.
    pub(crate) fn forbids(&self, address: IpAddr) -> Option<&'static str> {
        // ::ffff:127.0.0.1 reaches 127.0.0.1.
        let address = address.to_canonical();
        if self.0.iter().any(|range| range.contains(address)) {
            return None;
        }
        match address {
            IpAddr::V4(ip) => special_v4(ip),
            IpAddr::V6(ip) => special_v6(ip),
        }
    }
}

/// What the registry of special-purpose IPv4 addresses (RFC 6890 and its updates) says against an address.
fn special_v4(ip: Ipv4Addr) -> Option<&'static str> {
    let [a, b, c, _] = ip.octets();
    match (a, b, c) {
        (0, ..) => Some("of this network (RFC 791)"),
        (127, ..) => Some("loopback"),
        (10, ..) | (172, 16..=31, _) | (192, 168, _) => Some("private (RFC 1918)"),
        (100, 64..=127, _) => Some("shared by a carrier (RFC 6598)"),
        (169, 254, _) => Some("link-local, where clouds keep their metadata (RFC 3927)"),
        (192, 0, 0) => Some("reserved for protocols (RFC 6890)"),
        (192, 0, 2) | (198, 51, 100) | (203, 0, 113) => Some("for documentation (RFC 5737)"),
        (192, 88, 99) => Some("a 6to4 relay (RFC 7526)"),
        (198, 18..=19, _) => Some("for benchmarks (RFC 2544)"),
        (224..=239, ..) => Some("multicast"),
        (240..=255, ..) => Some("reserved or broadcast (RFC 1112, RFC 919)"),
        _ => None,
    }
}

/// All that is public in IPv6 is within 2000::/3; what is special there is named, and the rest of the space is refused.
fn special_v6(ip: Ipv6Addr) -> Option<&'static str> {
    let [a, b, ..] = ip.segments();
    match (a, b) {
        _ if ip.is_loopback() => Some("loopback"),
        (0xfc00..=0xfdff, _) => Some("unique local (RFC 4193)"),
        (0xfe80..=0xfebf, _) => Some("link-local (RFC 4291)"),
        (0xff00..=0xffff, _) => Some("multicast"),
        (0x2002, _) => Some("6to4, which holds an IPv4 address (RFC 3056)"),
        (0x2001, 0x0000..=0x01ff) => Some("reserved for protocols, Teredo among them (RFC 2928)"),
        (0x2001, 0x0db8) | (0x3fff, 0x0000..=0x0fff) => Some("for documentation (RFC 3849, RFC 9637)"),
        (0x2000..=0x3fff, _) => None,
        _ => Some("outside of the global unicast space (2000::/3)"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn only_public_addresses_are_reached_unless_permitted() {
        let nothing = Permits::default();
        let forbidden = [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "127.255.255.255",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.0.1",
            "192.0.2.1",
            "198.18.0.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "100::1",
            "4000::1",
        ];
        for text in forbidden {
            assert!(nothing.forbids(text.parse().unwrap()).is_some(), "{text}");
        }
        for text in
            ["1.1.1.1", "172.32.0.1", "100.128.0.1", "8.8.8.8", "2606:4700::1111", "2a00::1", "2001:470::1"]
        {
            assert_eq!(nothing.forbids(text.parse().unwrap()), None, "{text}");
        }
    }

    #[test]
    fn permit_opens_its_range_and_no_other() {
        let permits = Permits::new(vec!["127.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()]);
        for text in ["127.0.0.1", "::ffff:127.0.0.1", "fd00::1"] {
            assert_eq!(permits.forbids(text.parse().unwrap()), None, "{text}");
        }
        for text in ["10.0.0.1", "::1", "169.254.169.254", "fe80::1"] {
            assert!(permits.forbids(text.parse().unwrap()).is_some(), "{text}");
        }
    }
}
