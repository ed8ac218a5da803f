//! Which addresses the internet sees.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an address can be one that the internet sees: not private, local, shared with a provider, or
/// for documentation.
pub fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(v4: Ipv4Addr) -> bool {
    // RFC 6598: addresses between providers and their customers.
    let shared = v4.octets()[0] == 100 && (v4.octets()[1] & 0xc0) == 64;
    !(v4.is_private()
        || v4.is_loopback()
        || v4.is_link_local()
        || v4.is_unspecified()
        || v4.is_multicast()
        || v4.is_broadcast()
        || v4.is_documentation()
        || shared)
}

fn is_public_v6(v6: Ipv6Addr) -> bool {
    // Global unicast is 2000::/3 (RFC 4291 §2.4); 2001:db8::/32 is for documentation.
    let segments = v6.segments();
    (segments[0] & 0xe000) == 0x2000 && !(segments[0] == 0x2001 && segments[1] == 0xdb8)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;

    #[test]
    fn what_the_internet_sees() {
        for (address, public) in [
            ("8.8.8.8", true),
            ("100.64.0.1", false),
            ("100.128.0.1", true),
            ("10.0.0.1", false),
            ("127.0.0.1", false),
            ("::ffff:192.168.0.1", false),
            ("2a00:1450::1", true),
            ("fe80::1", false),
            ("fd00::1", false),
            ("2001:db8::1", false),
        ] {
            assert_eq!(is_public(address.parse().unwrap()), public, "{address}");
        }
    }
}
