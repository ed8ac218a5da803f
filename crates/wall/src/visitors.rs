//! Who came without TLS.

use crate::records::{self, VISITORS, VisitorRecord, decode, encode};
use crate::{DAY, Knock, WallError};
use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv6Addr};
use wardpost_mail::Domain;
use wardpost_store::{Batch, Column, Store};

/// Peers remembered at most.
pub const MAX_VISITORS: usize = 1000;
/// How long they are remembered, in days after the last try.
pub const KEPT_DAYS: u16 = 30;
/// Longest HELO name kept.
const MAX_HELO: usize = 255;

/// A peer that came without TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visitor {
    /// Its address, of an IPv6 /64 the last one seen.
    pub peer: IpAddr,
    /// What it called itself last.
    pub helo: String,
    /// The domain it last wrote for, if it said one.
    pub sender: Option<Domain>,
    /// When it was first seen, Unix seconds.
    pub first: i64,
    /// When it was last seen, Unix seconds.
    pub last: i64,
    /// How many sessions went away without having sent anything.
    pub refused: u32,
    /// How many messages it was let in with.
    pub admitted: u32,
}

/// All of them, by network.
pub(crate) struct Visitors {
    known: HashMap<IpAddr, Visitor>,
    /// Whose record on the disk is not the one here.
    unwritten: HashSet<IpAddr>,
}

impl Visitors {
    pub(crate) fn read(store: &Store) -> Result<Self, WallError> {
        let mut known = HashMap::new();
        for (_, value) in store.scan(Column::Report, VISITORS, None, 2 * MAX_VISITORS)? {
            let VisitorRecord { peer, helo, sender, first, last, refused, admitted } =
                decode(&value)?;
            let visitor = Visitor { peer, helo, sender, first, last, refused, admitted };
            known.insert(network(peer), visitor);
        }
        Ok(Self { known, unwritten: HashSet::new() })
    }

    pub(crate) fn count(&mut self, knock: Knock, now: i64) {
        let network = network(knock.peer);
        if !self.known.contains_key(&network) && self.known.len() >= MAX_VISITORS {
            self.make_room();
        }
        let visitor = self.known.entry(network).or_insert_with(|| Visitor {
            peer: knock.peer,
            helo: String::new(),
            sender: None,
            first: now,
            last: now,
            refused: 0,
            admitted: 0,
        });
        visitor.peer = knock.peer;
        visitor.last = now;
        if !knock.helo.is_empty() {
            visitor.helo =
                knock.helo.chars().filter(char::is_ascii_graphic).take(MAX_HELO).collect();
        }
        visitor.sender = knock.sender.or(visitor.sender.take());
        let count = if knock.admitted { &mut visitor.admitted } else { &mut visitor.refused };
        *count = count.saturating_add(1);
        self.unwritten.insert(network);
    }

    /// Forgets the one that tried least, and of several the one that did so longest ago.
    fn make_room(&mut self) {
        let tries = |visitor: &Visitor| u64::from(visitor.refused) + u64::from(visitor.admitted);
        let least = self.known.iter().min_by_key(|(_, v)| (tries(v), v.last)).map(|(n, _)| *n);
        if let Some(network) = least {
            self.known.remove(&network);
            self.unwritten.insert(network);
        }
    }

    /// Those seen since, the ones kept out most often first.
    pub(crate) fn since(&self, since: i64) -> Vec<Visitor> {
        let mut found: Vec<Visitor> =
            self.known.values().filter(|visitor| visitor.last >= since).cloned().collect();
        found.sort_by_key(|visitor| {
            (std::cmp::Reverse(visitor.refused), std::cmp::Reverse(visitor.last), visitor.peer)
        });
        found
    }

    /// What is to be written, and whose it is.
    pub(crate) fn changes(&mut self, store: &Store, now: i64) -> (Batch, HashSet<IpAddr>) {
        let oldest = now - i64::from(KEPT_DAYS) * DAY;
        let unwritten = &mut self.unwritten;
        self.known.retain(|network, visitor| {
            let kept = visitor.last >= oldest;
            if !kept {
                unwritten.insert(*network);
            }
            kept
        });
        let taken = std::mem::take(unwritten);
        let mut batch = Batch::new();
        for network in &taken {
            let key = records::visitor_key(store, *network);
            match self.known.get(network) {
                Some(visitor) => batch.put(Column::Report, key, encode(&record(visitor))),
                None => batch.delete(Column::Report, key),
            };
        }
        (batch, taken)
    }

    /// The last changes did not reach the disk.
    pub(crate) fn write_again(&mut self, networks: HashSet<IpAddr>) {
        self.unwritten.extend(networks);
    }
}

fn record(visitor: &Visitor) -> VisitorRecord {
    let Visitor { peer, helo, sender, first, last, refused, admitted } = visitor.clone();
    VisitorRecord { peer, helo, sender, first, last, refused, admitted }
}

/// Whom an address stands for: an IPv4 host, or the /64 that one IPv6 host has to itself.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn knock(peer: IpAddr) -> Knock {
        Knock { peer, helo: "fax".to_owned(), sender: None, admitted: false }
    }

    fn empty() -> Visitors {
        Visitors { known: HashMap::new(), unwritten: HashSet::new() }
    }

    #[test]
    fn a_flood_of_strangers_leaves_those_who_keep_coming() {
        let mut visitors = empty();
        let lab: IpAddr = "192.0.2.7".parse().unwrap();
        for now in 0..3 {
            visitors.count(knock(lab), now);
        }
        for stranger in 0..5000_u32 {
            visitors.count(knock(IpAddr::from(stranger.to_be_bytes())), 10 + i64::from(stranger));
        }
        let found = visitors.since(0);
        assert_eq!(found.len(), MAX_VISITORS);
        assert_eq!((found[0].peer, found[0].refused), (lab, 3));
        // The newest strangers are there, the oldest are not.
        assert_eq!(found[1].last, 10 + 4999);
        assert!(visitors.unwritten.len() <= 5001);
    }

    #[test]
    fn what_a_peer_says_is_cut_to_size_and_a_network_counts_once() {
        let mut visitors = empty();
        for peer in ["2001:db8::1", "2001:db8::2", "::ffff:192.0.2.7", "192.0.2.7"] {
            let helo = format!("fax\u{1b}[31m {}", "x".repeat(400));
            visitors.count(Knock { helo, ..knock(peer.parse().unwrap()) }, 5);
        }
        let found = visitors.since(0);
        assert_eq!(found.iter().map(|v| v.refused).collect::<Vec<_>>(), [2, 2]);
        assert!(found.iter().all(|v| v.helo.len() == MAX_HELO && v.helo.starts_with("fax[31m")));
    }
}
