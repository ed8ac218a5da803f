//! Open, admitted connections that wait a short while for the next message to the same host. Those to
//! a smarthost wait for mail under the same rule, since we are logged in.
//!
//! A connection is given to the next message only after it was held to what that message's domain
//! publishes and to that message's floor: what was seen of it is judged again by the policy of the
//! day, unless policy and floor are the ones that it was last held to.

use crate::approach::Target;
use crate::conversation::Conversation;
use crate::direct::Demand;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime};
use wardpost_mail::Domain;
use wardpost_net::Stream;
use wardpost_verdict::{Observation, Policy, Roots, SecureChannel};

/// Idle connections kept for one host.
const MAX_PER_HOST: usize = 20;
/// Idle connections kept in all.
const MAX_TOTAL: usize = 200;
/// Oldest a connection may get: certificates end, and servers' certificates change.
const MAX_AGE: Duration = Duration::from_secs(5 * 60);
/// Transactions sent over one connection at most; many servers close after a hundred.
const MAX_USES: u32 = 100;

/// A conversation that mail can be sent over, with its history.
pub(crate) struct Pooled {
    pub(crate) conversation: Conversation<SecureChannel<Stream>>,
    /// Whom it was opened to.
    pub(crate) target: Target,
    /// What it was last judged by.
    policy: Policy,
    /// What was seen when it was opened.
    seen: Observation,
    opened: Instant,
    used: Instant,
    uses: u32,
}

impl Pooled {
    /// A conversation that was opened just now.
    pub(crate) fn new(
        conversation: Conversation<SecureChannel<Stream>>,
        target: Target,
        policy: Policy,
        seen: Observation,
    ) -> Self {
        let now = Instant::now();
        Self { conversation, target, policy, seen, opened: now, used: now, uses: 0 }
    }

    /// The same if it meets the demand; else it is gone.
    pub(crate) fn held_to(mut self, demand: &Demand<'_>, roots: &Roots) -> Option<Self> {
        let policy = &demand.exchanger.policy;
        if self.policy == *policy && self.conversation.floor() == demand.floor {
            return Some(self);
        }
        let offered = self.conversation.capabilities().require_tls;
        let verdict = policy.grade(&self.seen, roots, SystemTime::now()).with_requiretls(offered);
        self.conversation = self.conversation.held_to(verdict, demand.floor).ok()?;
        self.policy = policy.clone();
        Some(self)
    }

    /// Counts a transaction.
    pub(crate) fn count_use(&mut self) {
        self.uses += 1;
        self.used = Instant::now();
    }

    /// Whether another transaction may be sent over it (RFC 9422 §4.1).
    pub(crate) fn has_room(&self) -> bool {
        let announced = self.conversation.capabilities().mail_max.unwrap_or(MAX_USES);
        self.uses < announced.min(MAX_USES) && self.opened.elapsed() < MAX_AGE
    }
}

/// A host, and under whose log-in.
type Key = (Domain, Option<[u8; 32]>);

fn key(target: &Target) -> Key {
    (target.host.clone(), target.login)
}

/// The idle connections.
pub(crate) struct Pool {
    idle: Duration,
    waiting: Mutex<HashMap<Key, Vec<Pooled>>>,
}

impl Pool {
    pub(crate) fn new(idle: Duration) -> Self {
        Self { idle, waiting: Mutex::default() }
    }

    /// Takes the most recently used connection to the target's host. Hold it to the demand of the day.
    pub(crate) fn take(&self, target: &Target) -> Option<Pooled> {
        let mut waiting = self.waiting.lock();
        let key = key(target);
        let found = waiting.get_mut(&key)?.pop();
        if waiting.get(&key).is_some_and(Vec::is_empty) {
            waiting.remove(&key);
        }
        found.filter(|pooled| pooled.used.elapsed() < self.idle && pooled.has_room())
    }

    /// Keeps a connection, or hands it back when there is no place for it.
    pub(crate) fn put(&self, pooled: Pooled) -> Option<Pooled> {
        let mut waiting = self.waiting.lock();
        let total: usize = waiting.values().map(Vec::len).sum();
        let key = key(&pooled.target);
        let of_host = waiting.entry(key.clone()).or_default();
        if pooled.has_room() && total < MAX_TOTAL && of_host.len() < MAX_PER_HOST {
            of_host.push(pooled);
            return None;
        }
        if of_host.is_empty() {
            waiting.remove(&key);
        }
        Some(pooled)
    }

    /// Takes out the connections whose time is over; all of them when `all`.
    pub(crate) fn ripe(&self, all: bool) -> Vec<Pooled> {
        let mut ripe = Vec::new();
        self.waiting.lock().retain(|_, list| {
            let over = |pooled: &mut Pooled| {
                all || pooled.used.elapsed() >= self.idle || !pooled.has_room()
            };
            ripe.extend(list.extract_if(.., over));
            !list.is_empty()
        });
        ripe
    }
}
