//! How fast codes may be tried.
//!
//! Against guessing at one recipient: counts in the store, charged before each try. Against somebody
//! who tries many links: a count for each peer, in memory, since an attacker with many addresses
//! gains nothing from a restart that the counts in the store do not take away.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

/// Wrong codes after which a parcel is locked.
pub(crate) const PARCEL_TRIES: u32 = 10;
/// Wrong codes, over all parcels of a recipient, after which all of them are locked.
pub(crate) const RECIPIENT_TRIES: u32 = 30;

/// Seconds to wait after so many wrong codes in a row; the last one repeats.
const WAITS: [u64; 10] = [0, 0, 5, 15, 30, 60, 120, 300, 600, 900];

/// Failed tries a peer has in a window.
const PEER_TRIES: u32 = 20;
/// The window, from its first try on.
const PEER_WINDOW_MS: u64 = 15 * 60 * 1000;
/// Peers remembered at most.
const PEERS: usize = 10_000;

/// The wait after the `wrong`-th wrong code in a row.
pub(crate) fn wait_after(wrong: u32) -> Duration {
    let at = usize::try_from(wrong.saturating_sub(1)).unwrap_or(usize::MAX);
    Duration::from_secs(WAITS[at.min(WAITS.len() - 1)])
}

#[derive(Debug, Default)]
pub(crate) struct Peers {
    windows: HashMap<IpAddr, Window>,
}

#[derive(Debug)]
struct Window {
    began: u64,
    tries: u32,
}

impl Peers {
    /// Charges a peer for a try. `Err` says how long it has to wait instead.
    pub(crate) fn charge(&mut self, peer: IpAddr, now: u64) -> Result<(), Duration> {
        let peer = network(peer);
        if self.windows.len() >= PEERS && !self.windows.contains_key(&peer) {
            self.make_room(now);
        }
        let window = self.windows.entry(peer).or_insert(Window { began: now, tries: 0 });
        // A clock that was set back must not keep a window open for ever.
        if now < window.began || now - window.began >= PEER_WINDOW_MS {
            *window = Window { began: now, tries: 0 };
        }
        if window.tries >= PEER_TRIES {
            return Err(Duration::from_millis(window.began + PEER_WINDOW_MS - now));
        }
        window.tries += 1;
        Ok(())
    }

    /// Takes a charge back: the try was a right one.
    pub(crate) fn refund(&mut self, peer: IpAddr) {
        if let Some(window) = self.windows.get_mut(&network(peer)) {
            window.tries = window.tries.saturating_sub(1);
        }
    }

    /// Forgets windows that are over, or, failing that, the peers that tried least.
    fn make_room(&mut self, now: u64) {
        self.windows.retain(|_, window| {
            now >= window.began && now - window.began < PEER_WINDOW_MS && window.tries > 0
        });
        let mut least = 1;
        while self.windows.len() >= PEERS {
            self.windows.retain(|_, window| window.tries > least);
            least += 1;
        }
    }
}

/// What counts as one peer: an IPv4 address, or the /64 that one IPv6 customer has at least.
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
    fn waits_never_shrink() {
        assert_eq!(wait_after(1), Duration::ZERO);
        assert_eq!(wait_after(3), Duration::from_secs(5));
        assert_eq!(wait_after(100), Duration::from_secs(900));
        assert!((1..20).all(|wrong| wait_after(wrong) <= wait_after(wrong + 1)));
    }

    #[test]
    fn a_peer_has_so_many_tries_a_window() {
        let mut peers = Peers::default();
        let peer = "192.0.2.1".parse().unwrap();
        for _ in 0..PEER_TRIES {
            peers.charge(peer, 1000).unwrap();
        }
        assert_eq!(peers.charge(peer, 61_000), Err(Duration::from_secs(14 * 60)));
        assert!(peers.charge("192.0.2.2".parse().unwrap(), 61_000).is_ok(), "others are free");
        assert!(peers.charge(peer, 1000 + PEER_WINDOW_MS).is_ok(), "the window is over");
    }

    #[test]
    fn right_codes_are_free() {
        let mut peers = Peers::default();
        let peer = "192.0.2.1".parse().unwrap();
        for _ in 0..10 * PEER_TRIES {
            peers.charge(peer, 0).unwrap();
            peers.refund(peer);
        }
    }

    #[test]
    fn a_network_of_ipv6_is_one_peer() {
        let mut peers = Peers::default();
        for host in 0..PEER_TRIES {
            let peer = format!("2001:db8::{host:x}").parse().unwrap();
            peers.charge(peer, 0).unwrap();
        }
        assert!(peers.charge("2001:db8::ffff".parse().unwrap(), 0).is_err());
        assert!(peers.charge("2001:db8:0:1::1".parse().unwrap(), 0).is_ok());
        for _ in 0..PEER_TRIES {
            let _ = peers.charge("::ffff:192.0.2.1".parse().unwrap(), 0);
        }
        assert!(peers.charge("192.0.2.1".parse().unwrap(), 0).is_err(), "mapped IPv4 is IPv4");
    }

    #[test]
    fn memory_is_bounded_and_the_worst_are_kept() {
        let mut peers = Peers::default();
        let worst: IpAddr = "203.0.113.1".parse().unwrap();
        for _ in 0..PEER_TRIES {
            peers.charge(worst, 0).unwrap();
        }
        for n in 0..2 * PEERS as u32 {
            peers.charge(IpAddr::V4((0x0a00_0000 + n).into()), 1).unwrap();
        }
        assert!(peers.windows.len() <= PEERS);
        assert!(peers.charge(worst, 2).is_err());
    }
}
