//! How many connections at once, in total and from one peer.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

/// Connection limits of one service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once over all addresses of the service.
    pub total: usize,
    /// Connections at once from one IPv4 address or one IPv6 /64 network.
    pub per_ip: usize,
}

/// Why a connection was turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TooMany {
    /// The service is full.
    Total,
    /// This peer has its share.
    FromPeer,
}

/// Counts the open connections of one service.
#[derive(Debug)]
pub(crate) struct Counter {
    limits: Limits,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    total: usize,
    by_peer: HashMap<IpAddr, usize>,
}

/// A connection's place; given back on drop.
#[derive(Debug)]
pub(crate) struct Place {
    counter: Arc<Counter>,
    peer: IpAddr,
}

impl Counter {
    pub(crate) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self { limits, open: Mutex::default() })
    }

    /// Takes a place for a connection from `peer`, if there is one.
    pub(crate) fn enter(self: &Arc<Self>, peer: IpAddr) -> Result<Place, TooMany> {
        let peer = network(peer);
        let mut open = self.open.lock();
        if open.total >= self.limits.total {
            return Err(TooMany::Total);
        }
        if open.by_peer.get(&peer).is_some_and(|&n| n >= self.limits.per_ip) {
            return Err(TooMany::FromPeer);
        }
        open.total += 1;
        *open.by_peer.entry(peer).or_default() += 1;
        Ok(Place { counter: Arc::clone(self), peer })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.counter.open.lock();
        open.total -= 1;
        if let Some(n) = open.by_peer.get_mut(&self.peer) {
            *n -= 1;
            if *n == 0 {
                open.by_peer.remove(&self.peer);
            }
        }
    }
}

/// What counts as one peer: an IPv4 address, or the /64 that an IPv6 host commonly owns whole.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_given_back() {
        let counter = Counter::new(Limits { total: 3, per_ip: 2 });
        let ip = |s: &str| s.parse::<IpAddr>().unwrap();
        let first = counter.enter(ip("192.0.2.1")).unwrap();
        let _second = counter.enter(ip("192.0.2.1")).unwrap();
        assert_eq!(counter.enter(ip("::ffff:192.0.2.1")).unwrap_err(), TooMany::FromPeer);
        let _third = counter.enter(ip("192.0.2.2")).unwrap();
        assert_eq!(counter.enter(ip("192.0.2.3")).unwrap_err(), TooMany::Total);
        drop(first);
        assert!(counter.enter(ip("192.0.2.1")).is_ok());
        assert_eq!(counter.open.lock().by_peer.len(), 2);
    }

    #[test]
    fn an_ipv6_network_is_one_peer() {
        let counter = Counter::new(Limits { total: 9, per_ip: 1 });
        let _one = counter.enter("2001:db8::1".parse().unwrap()).unwrap();
        assert!(counter.enter("2001:db8::2".parse().unwrap()).is_err());
        assert!(counter.enter("2001:db8:0:1::2".parse().unwrap()).is_ok());
    }
}
