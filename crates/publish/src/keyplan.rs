//! The plan, kept in the store.

use crate::plan::{Keys, Next, Observed, Plan, Readiness, key_digest};
use parking_lot::RwLock;
use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use thiserror::Error;
use tokio::sync::Mutex;
use wardpost_dns::{DnsError, OwnRecords};
use wardpost_mail::{Domain, Secret};
use wardpost_net::{OwnKey, TlsError};
use wardpost_store::{Batch, Column, CommitError, Store, StoreError, record};

/// The version of the record that this program writes.
const VERSION: u8 = 1;
/// The record's key in `Column::System`.
const KEY: &[u8] = b"tls-keys";
/// The port whose TLSA records we look at: mail servers are reached on no other (RFC 7672 §2.2.3).
const SMTP: u16 = 25;

/// Why something about the plan did not work.
#[derive(Debug, Error)]
pub enum PlanError {
    /// The record is of another version, or damaged.
    #[error("the plan of TLS keys cannot be read: was it written by a newer Wardpost?")]
    Record,
    /// A key could not be made or read.
    #[error(transparent)]
    Key(#[from] TlsError),
    /// The DNS could not be asked.
    #[error("the DNS could not be asked: {0}")]
    Dns(#[from] DnsError),
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store could not be written.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

struct Inner {
    store: Store,
    plan: RwLock<Plan>,
    /// Held by whoever changes the plan.
    writer: Mutex<()>,
}

/// Our keys, as the crate's documentation tells. Clones share everything.
#[derive(Clone)]
pub struct KeyPlan(Arc<Inner>);

impl KeyPlan {
    /// Opens the plan kept in the store, or begins one.
    ///
    /// # Errors
    /// When the record cannot be read.
    pub fn open(store: Store) -> Result<Self, PlanError> {
        let plan = match store.get(Column::System, KEY)? {
            Some(bytes) => decode(&bytes)?,
            None => Plan::default(),
        };
        Ok(Self(Arc::new(Inner { store, plan: RwLock::new(plan), writer: Mutex::new(()) })))
    }

    /// Takes note of the key that the certificate in use has, given as SubjectPublicKeyInfo in DER.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn observe(
        &self,
        public_key_info: &[u8],
        now: SystemTime,
    ) -> Result<Observed, PlanError> {
        let key = key_digest(public_key_info);
        self.change(|plan| Ok(plan.observe(key, unix(now)))).await
    }

    /// Looks at our records in the DNS, and takes note of them.
    ///
    /// # Errors
    /// When the DNS cannot be asked (the plan is as it was), or the store fails.
    pub async fn look(
        &self,
        dns: &dyn OwnRecords,
        host: &Domain,
        now: SystemTime,
    ) -> Result<(), PlanError> {
        let seen = dns.tlsa(host, SMTP).await?;
        self.change(|plan| {
            plan.look(&seen.records, seen.ttl, unix(now));
            Ok(())
        })
        .await
    }

    /// Makes the next key unless there is one; with `replace`, a new one in any case. Whether one was
    /// made.
    ///
    /// # Errors
    /// When no key can be made, or the store fails.
    pub async fn make_next(&self, replace: bool, now: SystemTime) -> Result<bool, PlanError> {
        self.change(|plan| {
            if plan.next.is_some() && !replace {
                return Ok(false);
            }
            let key = OwnKey::generate()?;
            plan.next = Some(Next {
                key: key_digest(&key.public_key_info()),
                made: unix(now),
                pkcs8: key.pkcs8().expose().clone(),
                seen_since: None,
            });
            Ok(true)
        })
        .await
    }

    /// The next key, for a signing request or to be used.
    ///
    /// # Errors
    /// When the record holds something else.
    pub fn next_key(&self) -> Result<Option<OwnKey>, PlanError> {
        let pkcs8 = self.0.plan.read().next.as_ref().map(|next| next.pkcs8.clone());
        let key = pkcs8.map(|pkcs8| OwnKey::from_pkcs8(&Secret::new(pkcs8)));
        Ok(key.transpose()?)
    }

    /// Whether a key, given as SubjectPublicKeyInfo in DER, is the one in use or the one that comes next.
    pub fn is_current_or_next(&self, public_key_info: &[u8]) -> bool {
        let (key, plan) = (key_digest(public_key_info), self.0.plan.read());
        plan.current.as_ref().is_some_and(|current| current.key == key)
            || plan.next.as_ref().is_some_and(|next| next.key == key)
    }

    /// Whether the next key may be used, by what was seen so far.
    pub fn readiness(&self, now: SystemTime) -> Readiness {
        self.0.plan.read().readiness(unix(now))
    }

    /// What to publish, and what was seen of it.
    pub fn keys(&self, now: SystemTime) -> Keys {
        self.0.plan.read().keys(unix(now))
    }

    /// Changes the plan: in the store first, then in memory.
    async fn change<T>(
        &self,
        change: impl FnOnce(&mut Plan) -> Result<T, PlanError>,
    ) -> Result<T, PlanError> {
        let _writer = self.0.writer.lock().await;
        let before = self.0.plan.read().clone();
        let mut plan = before.clone();
        let result = change(&mut plan)?;
        if plan != before {
            let mut batch = Batch::new();
            batch.put(Column::System, KEY, record::encode(VERSION, &plan));
            self.0.store.commit(batch).await?;
            *self.0.plan.write() = plan;
        }
        Ok(result)
    }
}

impl fmt::Debug for KeyPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyPlan(..)")
    }
}

fn decode(bytes: &[u8]) -> Result<Plan, PlanError> {
    record::decode(VERSION, bytes).map_err(|_| PlanError::Record)
}

fn unix(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs().cast_signed())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;
    use crate::Stage;
    use crate::plan::{Current, Old};
    use proptest::prelude::*;
    use std::time::Duration;
    use wardpost_dns::FakeOwn;

    fn host() -> Domain {
        Domain::parse("mail.clinic.test").unwrap()
    }

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[tokio::test]
    async fn the_whole_way_survives_restarts() {
        let (store, dns) = (Store::in_memory(), FakeOwn::new());
        let first = OwnKey::generate().unwrap();
        let plan = KeyPlan::open(store.clone()).unwrap();
        let info = first.public_key_info();
        assert_eq!(plan.observe(&info, at(1)).await.unwrap(), Observed::First);
        assert!(plan.make_next(false, at(2)).await.unwrap());
        assert!(!plan.make_next(false, at(3)).await.unwrap(), "the one there is stays");

        let plan = KeyPlan::open(store.clone()).unwrap();
        let next = plan.next_key().unwrap().unwrap();
        let records: Vec<_> = plan.keys(at(3)).keys.into_iter().map(|key| key.tlsa).collect();
        dns.set_silent(true);
        assert!(matches!(plan.look(&dns, &host(), at(4)).await, Err(PlanError::Dns(_))));
        assert_eq!(plan.keys(at(4)).looked, None);
        dns.set_silent(false);
        dns.set_tlsa(&host(), SMTP, &records, Duration::from_secs(60));
        plan.look(&dns, &host(), at(5)).await.unwrap();
        assert_eq!(plan.readiness(at(124)), Readiness::Wait { until: 125 });
        assert_eq!(plan.readiness(at(125)), Readiness::Ready);

        let info = next.public_key_info();
        assert_eq!(plan.observe(&info, at(130)).await.unwrap(), Observed::RolledOver);
        let plan = KeyPlan::open(store).unwrap();
        assert!(plan.next_key().unwrap().is_none(), "a used key is kept by its certificate");
        let keys = plan.keys(at(131));
        let announced = Stage::Current { announced: true, seen: false };
        assert_eq!((keys.keys.len(), keys.keys[0].stage), (2, announced));
        assert!(records.iter().all(|record| keys.keys.iter().any(|key| key.tlsa == *record)));
    }

    #[tokio::test]
    async fn another_next_key_is_made_only_when_asked_for() {
        let plan = KeyPlan::open(Store::in_memory()).unwrap();
        plan.make_next(false, at(1)).await.unwrap();
        let first = plan.next_key().unwrap().unwrap().public_key_info();
        assert!(plan.make_next(true, at(2)).await.unwrap());
        assert_ne!(plan.next_key().unwrap().unwrap().public_key_info(), first);
        assert!(!format!("{plan:?}{:?}", plan.next_key()).contains("308"));
    }

    /// Bytes that version 1 wrote. If this fails, old plans would not open: write a migration.
    #[test]
    fn version_1_records_still_open() {
        let plan = Plan {
            current: Some(Current { key: [1; 32], since: 300, seen: true, announced: false }),
            next: Some(Next { key: [2; 32], made: 1, pkcs8: vec![8, 9], seen_since: Some(2) }),
            old: vec![Old { key: [3; 32], retired: 4, until: 5 }],
            ttl: 3600,
            looked: Some(-1),
            published: true,
        };
        let mut bytes = b"\x01\x01".to_vec();
        bytes.extend([1; 32]);
        bytes.extend(b"\xd8\x04\x01\x00\x01");
        bytes.extend([2; 32]);
        bytes.extend(b"\x02\x02\x08\x09\x01\x04\x01");
        bytes.extend([3; 32]);
        bytes.extend(b"\x08\x0a\x90\x1c\x01\x01\x01");
        assert_eq!(record::encode(VERSION, &plan), bytes);
        assert!(decode(&bytes).unwrap() == plan);
    }

    proptest! {
        #[test]
        fn any_bytes_decode_or_are_refused(bytes in proptest::collection::vec(0u8.., 0..200)) {
            let _ = decode(&[&[VERSION], bytes.as_slice()].concat());
        }
    }
}
