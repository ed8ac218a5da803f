//! The addresses of this machine, as the kernel lists them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The flags of an IPv6 address that is not there yet, or not for long (`include/uapi/linux/if_addr.h`):
/// temporary, failed, deprecated, tentative.
const PASSING: u32 = 0x01 | 0x08 | 0x20 | 0x40;
/// An address for the whole Internet or for the site.
const GLOBAL: &str = "00";

/// All addresses under which others reach this machine, IPv4 first; `None` when the kernel does not say.
pub(crate) fn of_this_machine() -> Option<Vec<IpAddr>> {
    let v4 = std::fs::read_to_string("/proc/net/fib_trie");
    let v6 = std::fs::read_to_string("/proc/net/if_inet6");
    if v4.is_err() && v6.is_err() {
        return None;
    }
    let mut addresses: Vec<IpAddr> = Vec::new();
    addresses.extend(of_fib_trie(&v4.unwrap_or_default()).into_iter().map(IpAddr::V4));
    addresses.extend(of_if_inet6(&v6.unwrap_or_default()).into_iter().map(IpAddr::V6));
    Some(addresses)
}

/// The routing table says which addresses are local: a line with the address, and one that says so.
fn of_fib_trie(text: &str) -> Vec<Ipv4Addr> {
    let mut found: Vec<Ipv4Addr> = Vec::new();
    let mut last = None;
    for line in text.lines() {
        if let Some(address) = line.trim_start().strip_prefix("|-- ") {
            last = address.trim().parse::<Ipv4Addr>().ok();
        } else if line.trim() == "/32 host LOCAL"
            && let Some(address) = last
            && !address.is_loopback()
            && !address.is_link_local()
            && !found.contains(&address)
        {
            found.push(address);
        }
    }
    found
}

/// One address a line: the address, the interface's number, the prefix' length, scope, flags, name.
fn of_if_inet6(text: &str) -> Vec<Ipv6Addr> {
    let address = |line: &str| {
        let mut fields = line.split_ascii_whitespace();
        let address = u128::from_str_radix(fields.next()?, 16).ok()?;
        let (scope, flags) = (fields.nth(2)?, u32::from_str_radix(fields.next()?, 16).ok()?);
        let stays = scope == GLOBAL && flags & PASSING == 0;
        let address = Ipv6Addr::from(address);
        (stays && !address.is_loopback()).then_some(address)
    };
    text.lines().filter_map(address).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_s_lists_are_read() {
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n     \
             +-- 127.0.0.0/8 2 0 2\n           |-- 127.0.0.1\n              /32 host LOCAL\n     \
             |-- 192.168.1.0\n        /24 link UNICAST\n     |-- 192.168.1.20\n        /32 host LOCAL\n     \
             |-- 192.168.1.255\n        /32 link BROADCAST\n     |-- 169.254.7.7\n        /32 host LOCAL\n\
             Local:\n     |-- 192.168.1.20\n        /32 host LOCAL\n     |-- 10.0.0.5\n        /32 host LOCAL\n";
        let expected = [Ipv4Addr::new(192, 168, 1, 20), Ipv4Addr::new(10, 0, 0, 5)];
        assert_eq!(of_fib_trie(trie), expected);
        let v6 = "00000000000000000000000000000001 01 80 10 80       lo\n\
                  20010db8000000000000000000000020 02 40 00 00     eth0\n\
                  20010db8000000000000000000000021 02 40 00 01     eth0\n\
                  fe80000000000000020c29fffe000001 02 40 20 80     eth0\n\
                  20010db8000000000000000000000022 02 40 00 40     eth0\n";
        assert_eq!(of_if_inet6(v6), ["2001:db8::20".parse::<Ipv6Addr>().unwrap()]);
        for nonsense in ["", "|-- \n/32 host LOCAL", "xyz", "/32 host LOCAL", "zz 01"] {
            assert!(of_fib_trie(nonsense).is_empty() && of_if_inet6(nonsense).is_empty());
        }
    }

    #[test]
    fn this_machine_has_an_opinion() {
        assert!(of_this_machine().is_some());
    }
}
