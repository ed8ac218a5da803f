//! Slowing guesses down without locking the office out.
//!
//! Failed tries are counted for each pair of account and network (/24, /64), so that somebody who
//! guesses from elsewhere slows only himself. After a few, each further try has to wait, longer every
//! time. The same wrong password again and again (a phone that was not told of a change) counts once
//! and is refused without work. Networks from which the account logged in well of late get more tries
//! and shorter waits. When 100 tries in a row failed for an account (NIST SP 800-63B-4 §3.2.2), only
//! such networks, and app passwords, are heard at all for a while. Networks that fail for many accounts
//! wait as a whole.
//!
//! A try is counted when it begins, so that many at once gain nothing; success takes it back. All
//! tables are bounded, and all of this is in memory: a restart forgives.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// A credential, as the keyed hash that stands for it here.
pub(crate) type Fingerprint = [u8; 32];

/// How many pairs, accounts or networks are kept in mind, each.
const MAX_ENTRIES: usize = 20_000;
/// After this time without a failure, failures are forgotten.
const FORGET: Duration = Duration::from_secs(60 * 60);
/// How long a good log-in makes a network known.
const KNOWN: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// How many tries in a row may fail for an account, over all networks that are not known.
const ACCOUNT_LIMIT: u32 = 100;
/// How many wrong credentials are remembered for a pair.
const REMEMBERED: usize = 4;

/// How waits grow.
#[derive(Debug, Clone, Copy)]
struct Schedule {
    /// So many failures cost nothing.
    free: u32,
    /// Waits double from one second up to this.
    longest: Duration,
}

/// For a pair never seen to log in.
const STRANGER: Schedule = Schedule { free: 4, longest: Duration::from_secs(15 * 60) };
/// For a pair that logged in of late.
const FRIEND: Schedule = Schedule { free: 10, longest: Duration::from_secs(30) };
/// For a network over all accounts.
const NETWORK: Schedule = Schedule { free: 30, longest: Duration::from_secs(5 * 60) };

impl Schedule {
    fn wait(self, failures: u32) -> Duration {
        match failures.checked_sub(self.free + 1) {
            None => Duration::ZERO,
            Some(over) => Duration::from_secs(1 << over.min(20)).min(self.longest),
        }
    }
}

/// Consecutive failures.
#[derive(Debug, Default, Clone)]
struct Failures {
    count: u32,
    last: Option<Instant>,
    until: Option<Instant>,
}

impl Failures {
    fn expire(&mut self, now: Instant) {
        if self.last.is_some_and(|last| now.duration_since(last) > FORGET) {
            *self = Self::default();
        }
    }

    fn wait(&self, now: Instant) -> Option<Duration> {
        self.until.and_then(|until| until.checked_duration_since(now)).filter(|d| !d.is_zero())
    }

    fn add(&mut self, schedule: Schedule, now: Instant) {
        self.count = self.count.saturating_add(1);
        self.last = Some(now);
        self.until = Some(now + schedule.wait(self.count));
    }

    fn take_back(&mut self) {
        self.count = self.count.saturating_sub(1);
        self.until = None;
    }
}

#[derive(Debug, Default)]
struct Pair {
    failures: Failures,
    wrong: Vec<Fingerprint>,
    good: Option<Instant>,
}

/// Whom a try is for: the account's number, or a hash of a name that nobody has.
pub(crate) type Target = u128;

/// What is to be done with a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// Look at the credential. Tell [`Throttle::succeeded`] if it was right.
    Check,
    /// This very credential was wrong here just now.
    KnownWrong,
    /// Not before that time.
    Wait(Duration),
}

/// The tables.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    pairs: HashMap<(Target, Network), Pair>,
    accounts: HashMap<Target, Failures>,
    networks: HashMap<Network, Failures>,
}

impl Throttle {
    /// Judges a try with a password and counts it as failed until more is known.
    pub(crate) fn begin(
        &mut self,
        target: Target,
        peer: IpAddr,
        credential: &Fingerprint,
        now: Instant,
    ) -> Judgement {
        let (network, wide) = (Network::of(peer), Network::wide(peer));
        make_room(&mut self.pairs, |pair| pair.good.max(pair.failures.last));
        make_room(&mut self.accounts, |failures| failures.last);
        make_room(&mut self.networks, |failures| failures.last);

        let pair = self.pairs.entry((target, network)).or_default();
        pair.failures.expire(now);
        let known = pair.good.is_some_and(|good| now.duration_since(good) < KNOWN);
        if pair.wrong.contains(credential) {
            return Judgement::KnownWrong;
        }
        if let Some(wait) = pair.failures.wait(now) {
            return Judgement::Wait(wait);
        }
        if !known {
            let account = self.accounts.entry(target).or_default();
            account.expire(now);
            if account.count >= ACCOUNT_LIMIT {
                return Judgement::Wait(STRANGER.longest);
            }
            let network = self.networks.entry(wide).or_default();
            network.expire(now);
            if let Some(wait) = network.wait(now) {
                return Judgement::Wait(wait);
            }
            account.add(STRANGER, now);
            network.add(NETWORK, now);
        }
        pair.failures.add(if known { FRIEND } else { STRANGER }, now);
        Judgement::Check
    }

    /// The try that was begun was right.
    pub(crate) fn succeeded(&mut self, target: Target, peer: IpAddr, now: Instant) {
        let pair = self.pairs.entry((target, Network::of(peer))).or_default();
        *pair = Pair { good: Some(now), ..Pair::default() };
        self.accounts.remove(&target);
        if let Some(network) = self.networks.get_mut(&Network::wide(peer)) {
            network.take_back();
        }
    }

    /// The try that was begun was wrong, for certain.
    pub(crate) fn failed(&mut self, target: Target, peer: IpAddr, credential: Fingerprint) {
        if let Some(pair) = self.pairs.get_mut(&(target, Network::of(peer))) {
            if pair.wrong.len() == REMEMBERED {
                pair.wrong.remove(0);
            }
            pair.wrong.push(credential);
        }
    }

    /// The try that was begun could not be decided: it does not count.
    pub(crate) fn undecided(&mut self, target: Target, peer: IpAddr) {
        if let Some(pair) = self.pairs.get_mut(&(target, Network::of(peer))) {
            pair.failures.take_back();
        }
        if let Some(account) = self.accounts.get_mut(&target) {
            account.take_back();
        }
        if let Some(network) = self.networks.get_mut(&Network::wide(peer)) {
            network.take_back();
        }
    }

    /// The account's password changed: what was wrong may be right now.
    pub(crate) fn forget_wrong(&mut self, target: Target) {
        for ((_, _), pair) in self.pairs.iter_mut().filter(|((t, _), _)| *t == target) {
            pair.wrong.clear();
        }
    }
}

/// Drops the oldest tenth when a table is full.
fn make_room<K: Hash + Eq + Clone, V>(
    table: &mut HashMap<K, V>,
    last_used: impl Fn(&V) -> Option<Instant>,
) {
    if table.len() < MAX_ENTRIES {
        return;
    }
    let mut ages: Vec<_> = table.values().map(&last_used).collect();
    let (_, tenth, _) = ages.select_nth_unstable(MAX_ENTRIES / 10);
    let tenth = *tenth;
    table.retain(|_, value| last_used(value) > tenth);
}

/// A piece of the address space that one attacker is taken to own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Network(u128);

impl Network {
    /// /24 or /64: a household, an office, a machine.
    pub(crate) fn of(peer: IpAddr) -> Self {
        Self::cut(peer, 24, 64)
    }

    /// /24 or /48: a customer.
    fn wide(peer: IpAddr) -> Self {
        Self::cut(peer, 24, 48)
    }

    fn cut(peer: IpAddr, v4: u32, v6: u32) -> Self {
        match peer.to_canonical() {
            // On loopback no router stands for many: each address is its own.
            IpAddr::V4(v4) if v4.is_loopback() => Self(u128::from(v4.to_bits())),
            IpAddr::V4(ip) => Self(u128::from(ip.to_bits() >> (32 - v4))),
            // The upper bits keep the families apart.
            IpAddr::V6(ip) => Self((ip.to_bits() >> (128 - v6)) | (1 << 127)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DANA: Target = 1;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn guess(n: u32) -> Fingerprint {
        let mut fingerprint = [0; 32];
        fingerprint[..4].copy_from_slice(&n.to_be_bytes());
        fingerprint
    }

    /// Tries until told to wait; the number of tries that were looked at.
    fn burst(throttle: &mut Throttle, peer: IpAddr, from: u32, now: Instant) -> u32 {
        for n in 0..1_000 {
            match throttle.begin(DANA, peer, &guess(from + n), now) {
                Judgement::Check => throttle.failed(DANA, peer, guess(from + n)),
                _ => return n,
            }
        }
        1_000
    }

    #[test]
    fn guessing_slows_the_guesser_and_not_the_office() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        let (office, attacker) = (ip("192.0.2.7"), ip("198.51.100.9"));
        assert_eq!(burst(&mut throttle, attacker, 0, now), 5);
        let wait = throttle.begin(DANA, ip("198.51.100.200"), &guess(999), now);
        assert_eq!(wait, Judgement::Wait(Duration::from_secs(1)));
        assert_eq!(throttle.begin(DANA, office, &guess(1_000), now), Judgement::Check);
    }

    #[test]
    fn waits_double_up_to_a_bound() {
        let (mut throttle, mut now) = (Throttle::default(), Instant::now());
        let peer = ip("2001:db8::1");
        burst(&mut throttle, peer, 0, now);
        let mut waits = Vec::new();
        for n in 0..14 {
            match throttle.begin(DANA, peer, &guess(500 + n), now) {
                Judgement::Wait(wait) => {
                    waits.push(wait.as_secs());
                    now += wait;
                    assert_eq!(throttle.begin(DANA, peer, &guess(600 + n), now), Judgement::Check);
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(waits[..4], [1, 2, 4, 8]);
        assert_eq!(waits[13], 900);
        assert_eq!(throttle.begin(DANA, peer, &guess(7), now + FORGET * 2), Judgement::Check);
    }

    #[test]
    fn the_same_wrong_password_counts_once() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        let phone = ip("192.0.2.7");
        assert_eq!(throttle.begin(DANA, phone, &guess(1), now), Judgement::Check);
        throttle.failed(DANA, phone, guess(1));
        for _ in 0..1_000 {
            assert_eq!(throttle.begin(DANA, phone, &guess(1), now), Judgement::KnownWrong);
        }
        assert_eq!(throttle.begin(DANA, phone, &guess(2), now), Judgement::Check);
        throttle.forget_wrong(DANA);
        assert_eq!(throttle.begin(DANA, phone, &guess(1), now), Judgement::Check);
    }

    #[test]
    fn many_networks_end_at_the_limit_but_known_ones_go_on() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        let office = ip("192.0.2.7");
        assert_eq!(throttle.begin(DANA, office, &guess(0), now), Judgement::Check);
        throttle.succeeded(DANA, office, now);
        let mut looked_at = 0;
        for n in 0..200_u32 {
            let bot = IpAddr::from([10, 0, n as u8, 1]);
            looked_at += burst(&mut throttle, bot, 1_000 * (n + 1), now);
        }
        assert_eq!(looked_at, ACCOUNT_LIMIT);
        assert_eq!(throttle.begin(DANA, office, &guess(1), now), Judgement::Check);
        // Other accounts are not concerned.
        assert_eq!(throttle.begin(2, ip("203.0.113.1"), &guess(1), now), Judgement::Check);
    }

    #[test]
    fn spraying_over_accounts_slows_the_network() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        let looked_at = (0..1_000)
            .take_while(|n| {
                let machine = IpAddr::from([0x2001, 0xdb8, 1, *n as u16, 0, 0, 0, 1]);
                throttle.begin(u128::from(*n), machine, &guess(*n), now) == Judgement::Check
            })
            .count();
        assert_eq!(looked_at, 31);
    }

    #[test]
    fn tables_are_bounded() {
        let (mut throttle, start) = (Throttle::default(), Instant::now());
        for n in 0..MAX_ENTRIES as u32 + 5_000 {
            let peer = IpAddr::from((0x0a00_0000 + (n << 8)).to_be_bytes());
            let now = start + Duration::from_millis(u64::from(n));
            throttle.begin(u128::from(n), peer, &guess(n), now);
        }
        assert!(throttle.pairs.len() <= MAX_ENTRIES);
        assert!(throttle.accounts.len() <= MAX_ENTRIES);
        assert!(throttle.networks.len() <= MAX_ENTRIES);
    }
}
