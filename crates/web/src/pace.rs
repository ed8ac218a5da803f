//! How often something may be done that anybody can do.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Networks remembered at the same time.
const MAX_NETWORKS: usize = 4096;

/// How often something may be done: by one network, and by everybody together.
pub struct Pace {
    window: Duration,
    per_network: u32,
    in_total: u32,
    counts: Mutex<Counts>,
}

struct Counts {
    begun: Instant,
    total: u32,
    networks: HashMap<IpAddr, u32>,
}

impl Counts {
    fn none(begun: Instant) -> Self {
        Self { begun, total: 0, networks: HashMap::new() }
    }
}

impl Pace {
    /// So often in each `window`.
    pub fn new(window: Duration, per_network: u32, in_total: u32) -> Self {
        let counts = Mutex::new(Counts::none(Instant::now()));
        Self { window, per_network, in_total, counts }
    }

    /// Counts one; false when there were too many.
    pub fn admit(&self, peer: IpAddr, now: Instant) -> bool {
        let mut counts = self.counts.lock();
        if now.duration_since(counts.begun) >= self.window {
            *counts = Counts::none(now);
        }
        let network = network(peer);
        if counts.total >= self.in_total
            || (counts.networks.len() >= MAX_NETWORKS && !counts.networks.contains_key(&network))
        {
            return false;
        }
        let count = counts.networks.entry(network).or_insert(0);
        if *count >= self.per_network {
            return false;
        }
        *count += 1;
        counts.total += 1;
        true
    }
}

/// What one subscriber has: an IPv4 address, or an IPv6 /64.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(v6) => {
            IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::from(u64::MAX) << 64)))
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(3600);

    #[test]
    fn a_network_has_a_few_an_hour() {
        let pace = Pace::new(WINDOW, 6, 120);
        let now = Instant::now();
        let peer = |host: u16| IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, host]);
        let taken = (0..20).filter(|&host| pace.admit(peer(host), now)).count();
        assert_eq!(taken, 6);
        assert!(pace.admit("192.0.2.1".parse().unwrap(), now));
        assert!(pace.admit(peer(1), now + WINDOW));
    }

    #[test]
    fn everybody_together_is_bounded_too() {
        let pace = Pace::new(WINDOW, 6, 120);
        let now = Instant::now();
        let taken = (0..10_000_u32).filter(|&n| pace.admit(IpAddr::from(n.to_be_bytes()), now));
        assert_eq!(taken.count(), 120);
    }
}
