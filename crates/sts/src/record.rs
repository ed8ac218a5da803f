//! How a policy is written down.
//!
//! ```text
//! s ‖ domain  → PolicyRecord
//! ```
//! `domain` is a keyed hash of its name ([`Store::name_key`]). In `Column::Trust`, which other crates
//! use with other first octets.

use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use wardpost_mail::Domain;
use wardpost_store::record::{self, RecordError};
use wardpost_store::{Column, Store};
use wardpost_verdict::StsPolicy;

/// Version of the record.
const VERSION: u8 = 1;
/// What all keys here begin with.
pub(crate) const PREFIX: &[u8] = b"s";

/// A policy and its story.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PolicyRecord {
    pub(crate) domain: Domain,
    /// The `id` of the record in DNS when it was fetched.
    pub(crate) id: String,
    pub(crate) policy: StsPolicy,
    /// When it was fetched, in milliseconds since 1970, as all times here.
    pub(crate) fetched: u64,
    /// When a delivery asked for it last, to the day.
    pub(crate) used: u64,
    /// What went wrong at the last attempt to fetch it again.
    pub(crate) trouble: Option<Trouble>,
}

/// A failed attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Trouble {
    pub(crate) at: u64,
    pub(crate) text: String,
}

impl PolicyRecord {
    /// How long ago it was fetched.
    pub(crate) fn age(&self, now: u64) -> Duration {
        Duration::from_millis(now.saturating_sub(self.fetched))
    }

    /// Whether its time is not over (RFC 8461 §3.2).
    pub(crate) fn holds(&self, now: u64) -> bool {
        self.policy.holds(self.age(now))
    }

    /// When its time is over.
    pub(crate) fn ends(&self) -> u64 {
        self.fetched.saturating_add(length(self.policy.max_age()))
    }
}

/// The key of a domain's policy.
pub(crate) fn key(store: &Store, domain: &Domain) -> Vec<u8> {
    let hash = store.name_key(Column::Trust, &[PREFIX, domain.as_str().as_bytes()]);
    [PREFIX, &hash].concat()
}

pub(crate) fn encode(record: &PolicyRecord) -> Vec<u8> {
    record::encode(VERSION, record)
}

pub(crate) fn decode(bytes: &[u8]) -> Result<PolicyRecord, RecordError> {
    record::decode(VERSION, bytes)
}

/// A length of time in milliseconds.
pub(crate) fn length(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A time in milliseconds since 1970.
pub(crate) fn millis(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, length)
}

/// The time so many milliseconds after 1970, or the last one that there is.
pub(crate) fn time(millis: u64) -> SystemTime {
    // Times here lie within a year of what a clock said; the year 9999 is for a clock gone mad.
    const LAST: u64 = 253_402_300_799_000;
    UNIX_EPOCH + Duration::from_millis(millis.min(LAST))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;

    fn example() -> PolicyRecord {
        let text = b"version: STSv1\nmode: testing\nmx: *.far.test\nmax_age: 604800\n";
        PolicyRecord {
            domain: Domain::parse("far.test").unwrap(),
            id: "20261126".into(),
            policy: StsPolicy::parse(text).unwrap(),
            fetched: 300,
            used: 200,
            trouble: Some(Trouble { at: 400, text: "gone".into() }),
        }
    }

    /// What version 1 wrote must be read for ever.
    #[test]
    fn version_1_is_frozen() {
        let frozen = b"\x01\x08far.test\x0820261126\x01\x80\xf5\x24\x00\x01\x0a*.far.test\
                       \xac\x02\xc8\x01\x01\x90\x03\x04gone";
        assert_eq!(encode(&example()), frozen);
        assert_eq!(decode(frozen).unwrap(), example());
        for (octet, mode) in [(0, "enforce"), (2, "none")] {
            let mut other = frozen.to_vec();
            other[19] = octet;
            assert_eq!(decode(&other).unwrap().policy.mode().name(), mode);
        }
    }

    #[test]
    fn other_versions_and_damage_are_told_apart() {
        assert_eq!(decode(&[2, 0]), Err(RecordError::Version { found: 2, known: 1 }));
        for damaged in [&[][..], &[1], &[1, 0xff, 0xff]] {
            assert_eq!(decode(damaged), Err(RecordError::Damaged));
        }
    }

    #[test]
    fn a_clock_behind_the_record_makes_it_new() {
        let record = example();
        assert_eq!(record.age(100), Duration::ZERO);
        assert!(record.holds(100) && record.holds(300 + 604_799_999));
        assert!(!record.holds(300 + 604_800_000));
        assert_eq!(record.ends(), 300 + 604_800_000);
    }

    proptest::proptest! {
        #[test]
        fn decoding_anything_never_panics(mut bytes in proptest::collection::vec(0u8.., 1..200)) {
            let _ = decode(&bytes);
            bytes[0] = VERSION;
            let _ = decode(&bytes).map(|record| (record.ends(), record.age(u64::MAX), time(record.fetched)));
        }
    }
}
