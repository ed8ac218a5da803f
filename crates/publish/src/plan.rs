//! The plan itself: from what is seen to what to publish and what to do. Pure.

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use wardpost_verdict::Tlsa;

/// How long an old key's record stays at least: whoever cannot reach us for a while, or keeps records
/// longer than they say, still finds it.
const KEEP_OLD: i64 = 3 * 24 * 3600;
/// Old keys that are remembered.
const MAX_OLD: usize = 8;

/// SHA-256 of a SubjectPublicKeyInfo.
pub(crate) type KeyDigest = [u8; 32];

pub(crate) fn key_digest(public_key_info: &[u8]) -> KeyDigest {
    let mut octets = [0; 32];
    octets.copy_from_slice(digest(&SHA256, public_key_info).as_ref());
    octets
}

/// The record that stands for a key: `3 1 1` (RFC 7672 §3.1.1).
fn tlsa(key: &KeyDigest) -> Tlsa {
    Tlsa { usage: 3, selector: 1, matching: 1, data: key.to_vec() }
}

/// What is known about our keys. Times are Unix seconds.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) current: Option<Current>,
    pub(crate) next: Option<Next>,
    pub(crate) old: Vec<Old>,
    /// The longest time to live that our TLSA records were ever seen with, in seconds.
    pub(crate) ttl: u32,
    /// When the DNS was looked at last.
    pub(crate) looked: Option<i64>,
    /// Whether there were any records then.
    pub(crate) published: bool,
}

/// The key that the certificate in use has.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Current {
    pub(crate) key: KeyDigest,
    /// In use since.
    pub(crate) since: i64,
    /// Its record was there at the last look.
    pub(crate) seen: bool,
    /// We told to publish its record before it came into use, or its record was seen since.
    pub(crate) announced: bool,
}

/// The key that comes next.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Next {
    pub(crate) key: KeyDigest,
    pub(crate) made: i64,
    /// The private key.
    pub(crate) pkcs8: Vec<u8>,
    /// Its record was there at every look since.
    pub(crate) seen_since: Option<i64>,
}

/// A key that was in use.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Old {
    pub(crate) key: KeyDigest,
    /// In use until.
    pub(crate) retired: i64,
    /// To be published until.
    pub(crate) until: i64,
}

/// What the key of the certificate in use means for the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Observed {
    /// It is the key there was.
    Same,
    /// It is the first key that was ever seen.
    First,
    /// The next key came into use, as planned.
    RolledOver,
    /// A key that was in use before is in use again, and its record is still to be published.
    Returned,
    /// It is a key that nobody was told to publish a record for.
    Unannounced {
        /// Whether there were TLSA records at the last look: then mail from servers that use DANE
        /// does not get through until the new key's record is published.
        dane_in_use: bool,
    },
}

/// Whether the next key may be used now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// There is no next key.
    NoNextKey,
    /// Its record was not there at the last look, or nobody has looked.
    NotPublished,
    /// It is there, but servers may still use what they read before it was.
    Wait {
        /// Until when, Unix seconds.
        until: i64,
    },
    /// It was there for two TTLs.
    Ready,
}

/// Where a key stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// In use.
    Current {
        /// Its record was published ahead, or was seen since.
        announced: bool,
        /// Its record was there at the last look.
        seen: bool,
    },
    /// Not in use yet.
    Next {
        /// Since when its record was there at every look, Unix seconds.
        seen_since: Option<i64>,
    },
    /// In use until lately.
    Old {
        /// How long its record is to stay, Unix seconds.
        until: i64,
    },
}

/// A key whose record is to be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedKey {
    /// The record.
    pub tlsa: Tlsa,
    /// Where it stands.
    pub stage: Stage,
    /// Since when it stands there, Unix seconds.
    pub since: i64,
}

/// What to publish, and what was seen of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    /// The current key, the next one, then old ones.
    pub keys: Vec<PlannedKey>,
    /// The longest time to live that our records were seen with.
    pub ttl: Duration,
    /// When the DNS was looked at last, Unix seconds.
    pub looked: Option<i64>,
    /// Whether there were any TLSA records then.
    pub published: bool,
}

impl Plan {
    /// Takes note of the key in use.
    pub(crate) fn observe(&mut self, key: KeyDigest, now: i64) -> Observed {
        let Some(current) = self.current.take() else {
            self.current = Some(Current { key, since: now, seen: false, announced: true });
            return Observed::First;
        };
        if current.key == key {
            self.current = Some(current);
            return Observed::Same;
        }
        let observed = if self.next.as_ref().is_some_and(|next| next.key == key) {
            self.next = None;
            Observed::RolledOver
        } else if self.old.iter().any(|old| old.key == key && old.until > now) {
            Observed::Returned
        } else {
            Observed::Unannounced { dane_in_use: self.published }
        };
        self.old.retain(|old| old.key != key && old.key != current.key && old.until > now);
        let until = now.saturating_add(KEEP_OLD.max(2 * i64::from(self.ttl)));
        self.old.insert(0, Old { key: current.key, retired: now, until });
        self.old.truncate(MAX_OLD);
        let announced = !matches!(observed, Observed::Unannounced { .. });
        self.current = Some(Current { key, since: now, seen: false, announced });
        observed
    }

    /// Takes note of the records in the DNS.
    pub(crate) fn look(&mut self, records: &[Tlsa], ttl: Duration, now: i64) {
        let seen = |key: &KeyDigest| records.contains(&tlsa(key));
        self.looked = Some(now);
        self.published = !records.is_empty();
        self.ttl = self.ttl.max(u32::try_from(ttl.as_secs()).unwrap_or(u32::MAX));
        if let Some(current) = &mut self.current {
            current.seen = seen(&current.key);
            current.announced |= current.seen;
        }
        if let Some(next) = &mut self.next {
            // Away once, and others may have read the set without it: the wait begins anew.
            next.seen_since = seen(&next.key).then(|| next.seen_since.unwrap_or(now));
        }
        self.old.retain(|old| old.until > now);
    }

    /// Whether the next key may be used.
    pub(crate) fn readiness(&self, now: i64) -> Readiness {
        let Some(next) = &self.next else { return Readiness::NoNextKey };
        let Some(since) = next.seen_since else { return Readiness::NotPublished };
        let until = since.saturating_add(2 * i64::from(self.ttl));
        if until <= now { Readiness::Ready } else { Readiness::Wait { until } }
    }

    /// What to publish.
    pub(crate) fn keys(&self, now: i64) -> Keys {
        let current = self.current.iter().map(|current| PlannedKey {
            tlsa: tlsa(&current.key),
            stage: Stage::Current { announced: current.announced, seen: current.seen },
            since: current.since,
        });
        let next = self.next.iter().map(|next| PlannedKey {
            tlsa: tlsa(&next.key),
            stage: Stage::Next { seen_since: next.seen_since },
            since: next.made,
        });
        let old = self.old.iter().filter(|old| old.until > now).map(|old| PlannedKey {
            tlsa: tlsa(&old.key),
            stage: Stage::Old { until: old.until },
            since: old.retired,
        });
        Keys {
            keys: current.chain(next).chain(old).collect(),
            ttl: Duration::from_secs(self.ttl.into()),
            looked: self.looked,
            published: self.published,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const A: KeyDigest = [1; 32];
    const B: KeyDigest = [2; 32];
    const C: KeyDigest = [3; 32];
    const TTL: Duration = Duration::from_secs(3600);

    fn next(key: KeyDigest, now: i64) -> Option<Next> {
        Some(Next { key, made: now, pkcs8: Vec::new(), seen_since: None })
    }

    fn published(plan: &Plan, now: i64) -> Vec<Tlsa> {
        plan.keys(now).keys.into_iter().map(|key| key.tlsa).collect()
    }

    #[test]
    fn a_roll_over_waits_for_two_ttls_and_leaves_the_old_record_for_days() {
        let mut plan = Plan::default();
        assert_eq!(plan.observe(A, 0), Observed::First);
        assert_eq!(plan.readiness(0), Readiness::NoNextKey);
        plan.look(&[tlsa(&A)], TTL, 5);
        plan.next = next(B, 10);
        plan.look(&[tlsa(&A)], TTL, 20);
        assert_eq!(plan.readiness(20), Readiness::NotPublished);
        assert_eq!(published(&plan, 20), [tlsa(&A), tlsa(&B)]);

        // A resolver's cache shows what is left of the TTL; the longest counts.
        plan.look(&[tlsa(&B), tlsa(&A)], Duration::from_secs(7), 100);
        assert_eq!(plan.readiness(100), Readiness::Wait { until: 100 + 7200 });
        assert_eq!(plan.readiness(7299), Readiness::Wait { until: 7300 });
        assert_eq!(plan.readiness(7300), Readiness::Ready);
        assert_eq!(plan.observe(B, 8000), Observed::RolledOver);
        assert_eq!(published(&plan, 8000), [tlsa(&B), tlsa(&A)]);
        assert_eq!(plan.keys(8000 + KEEP_OLD).keys.len(), 1, "the old record may go");
        assert_eq!(plan.observe(B, 9000), Observed::Same);
    }

    #[test]
    fn a_record_that_goes_away_starts_the_wait_anew() {
        let mut plan = Plan::default();
        plan.observe(A, 0);
        plan.next = next(B, 0);
        plan.look(&[tlsa(&A), tlsa(&B)], TTL, 10);
        plan.look(&[tlsa(&A)], TTL, 5000);
        assert_eq!(plan.readiness(9000), Readiness::NotPublished);
        plan.look(&[tlsa(&A), tlsa(&B)], TTL, 9000);
        assert_eq!(plan.readiness(9001), Readiness::Wait { until: 16_200 });
    }

    #[test]
    fn a_key_that_nobody_announced_is_told_until_its_record_is_seen() {
        let mut plan = Plan::default();
        plan.observe(A, 0);
        assert_eq!(plan.observe(B, 1), Observed::Unannounced { dane_in_use: false });
        plan.look(&[tlsa(&A)], TTL, 2);
        assert_eq!(plan.observe(C, 3), Observed::Unannounced { dane_in_use: true });
        let current = |plan: &Plan| plan.keys(4).keys[0].stage;
        assert_eq!(current(&plan), Stage::Current { announced: false, seen: false });
        plan.look(&[tlsa(&C)], TTL, 4);
        assert_eq!(current(&plan), Stage::Current { announced: true, seen: true });
        // Back to the one before, whose record is still to be published.
        assert_eq!(plan.observe(B, 5), Observed::Returned);
        assert_eq!(published(&plan, 5), [tlsa(&B), tlsa(&C), tlsa(&A)]);
        assert_eq!(
            plan.observe(A, 6 + KEEP_OLD),
            Observed::Unannounced { dane_in_use: true },
            "its time was over"
        );
    }

    /// What can happen to a plan.
    #[derive(Debug, Clone)]
    enum Step {
        Make(u8),
        Use(u8),
        Look(Vec<u8>, u16),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0u8..5).prop_map(Step::Make),
            (0u8..5).prop_map(Step::Use),
            (prop::collection::vec(0u8..5, 0..4), 0u16..)
                .prop_map(|(keys, ttl)| Step::Look(keys, ttl)),
        ]
    }

    proptest! {
        /// Whoever publishes what the plan says and uses the next key when it is ready never shows a
        /// key that somebody's cache does not know: the record of the key in use was told to be
        /// published before, unless the plan says that it was not.
        #[test]
        fn what_is_in_use_was_told_before_or_is_complained_about(
            steps in prop::collection::vec((step(), 1i64..100_000), 1..40)
        ) {
            let (mut plan, mut now) = (Plan::default(), 0);
            for (step, later) in steps {
                now += later;
                let told = published(&plan, now);
                match step {
                    Step::Make(n) => plan.next = next([n; 32], now),
                    Step::Look(keys, ttl) => {
                        let records: Vec<Tlsa> = keys.iter().map(|n| tlsa(&[*n; 32])).collect();
                        plan.look(&records, Duration::from_secs(ttl.into()), now);
                    }
                    Step::Use(n) => {
                        let observed = plan.observe([n; 32], now);
                        let was_told = told.contains(&tlsa(&[n; 32]));
                        let complains = matches!(observed, Observed::Unannounced { .. });
                        prop_assert_eq!(complains, !was_told && observed != Observed::First);
                        for before in told {
                            prop_assert!(published(&plan, now).contains(&before), "{} is gone", before);
                        }
                    }
                }
                if let Readiness::Ready = plan.readiness(now) {
                    let next = plan.next.as_ref().expect("a next key");
                    prop_assert!(next.seen_since.expect("seen") + 2 * i64::from(plan.ttl) <= now);
                }
            }
        }
    }
}
