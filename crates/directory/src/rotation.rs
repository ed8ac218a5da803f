//! How DKIM keys change without a gap (RFC 6376 §3.1, §6.1.2).
//!
//! ```text
//! rotate ─▶ Waiting ── its records are seen in the DNS ──▶ Signing ── the next pair signs ──▶ Retired
//!           to be published                                                  stays published for days
//! ```
//! Mail is signed by the pair that signs, and by no other, so a signature never names a record that is
//! not there. A selector names one pair of keys for ever. When a pair retires its private keys are
//! deleted at once; its records stay for as long as mail that it signed may be verified
//! ([`Options::dkim_overlap`](crate::Options)). After that the owner of the zone may take them out, or
//! publish them without a key, which says that it was revoked (RFC 6376 §3.6.1).
//!
//! The first pair of a domain signs from the start: before there was any, mail went unsigned, and a
//! signature that cannot be checked is as good as none (RFC 6376 §6.1).
//!
//! Whoever calls says what time it is.

use std::time::{SystemTime, UNIX_EPOCH};

use wardpost_dns::OwnRecords;
use wardpost_mail::{Domain, Secret};
use wardpost_store::{Batch, Column};

use crate::error::DirectoryError;
use crate::records::{DomainRecord, PairRecord, domain_key, encode_domain};
use crate::types::{DkimKey, DkimLook, DkimPair, DkimStage};
use crate::{Directory, Inner, blocking, dkim};

/// How long records must have been seen before the daemon switches to their keys by itself: all the
/// zone's servers should have them by then.
const SETTLED: i64 = 15 * 60;
/// How long keys whose records may go are still listed.
const REMEMBERED: i64 = 60 * 24 * 3600;

/// All the keys of a domain, oldest first.
#[derive(Debug, Clone, Default)]
pub(crate) struct DomainKeys {
    pub(crate) next_generation: u32,
    pub(crate) pairs: Vec<DkimPair>,
}

impl DomainKeys {
    /// The keys of a new domain. Slow: call it off the async threads.
    pub(crate) fn first(generation: u32, now: i64) -> Result<Self, DirectoryError> {
        let keys = dkim::generate(generation)?;
        let pair = DkimPair { generation, stage: DkimStage::Signing { since: now }, keys };
        Ok(Self { next_generation: generation + 1, pairs: vec![pair] })
    }

    /// The keys that sign.
    pub(crate) fn signing(&self) -> Vec<DkimKey> {
        let signs = |pair: &&DkimPair| matches!(pair.stage, DkimStage::Signing { .. });
        self.pairs.iter().filter(signs).flat_map(|pair| pair.keys.clone()).collect()
    }

    fn waiting(&self) -> Option<&DkimPair> {
        self.pairs.iter().find(|pair| matches!(pair.stage, DkimStage::Waiting { .. }))
    }

    /// Takes note of whether all records of the waiting pair are there; since when they are.
    fn look(&mut self, generation: u32, all_there: bool, now: i64) -> Option<i64> {
        self.pairs.iter_mut().filter(|pair| pair.generation == generation).find_map(|pair| {
            let DkimStage::Waiting { seen_since, .. } = &mut pair.stage else { return None };
            *seen_since = all_there.then(|| seen_since.unwrap_or(now));
            *seen_since
        })
    }

    /// The waiting pair signs from now on, and the one that did retires.
    fn switch(&mut self, now: i64, overlap: i64) -> Result<(), DirectoryError> {
        if self.waiting().is_none() {
            return Err(DirectoryError::NoKeysWait);
        }
        for pair in &mut self.pairs {
            match pair.stage {
                DkimStage::Waiting { .. } => pair.stage = DkimStage::Signing { since: now },
                DkimStage::Signing { .. } => {
                    let until = now.saturating_add(overlap);
                    pair.stage = DkimStage::Retired { since: now, until };
                    for key in &mut pair.keys {
                        key.private_pkcs8 = Secret::new(Vec::new());
                    }
                }
                DkimStage::Retired { .. } => {}
            }
        }
        Ok(())
    }

    /// Forgets pairs whose records had time enough to go; whether there were any.
    fn forget(&mut self, now: i64) -> bool {
        let before = self.pairs.len();
        self.pairs.retain(|pair| match pair.stage {
            DkimStage::Retired { until, .. } => until.saturating_add(REMEMBERED) > now,
            _ => true,
        });
        self.pairs.len() < before
    }
}

impl From<DomainRecord> for DomainKeys {
    fn from(record: DomainRecord) -> Self {
        let pairs = record.pairs.into_iter().map(DkimPair::from).collect();
        Self { next_generation: record.next_generation, pairs }
    }
}

impl Directory {
    /// All DKIM keys of a domain and where they stand, oldest first; empty when it is not ours.
    pub fn dkim_pairs(&self, domain: &Domain) -> Vec<DkimPair> {
        self.0.book.read().domains.get(domain).map(|keys| keys.pairs.clone()).unwrap_or_default()
    }

    /// Makes the next pair of DKIM keys for a domain, unless one waits already. Whether one was made.
    ///
    /// # Errors
    /// When the domain is not ours, or the store fails.
    pub async fn rotate_dkim(
        &self,
        domain: &Domain,
        now: SystemTime,
    ) -> Result<bool, DirectoryError> {
        let (domain, now) = (domain.clone(), unix(now));
        self.write(move |directory| async move {
            let mut keys = directory.domain_keys(&domain)?;
            if keys.waiting().is_some() {
                return Ok(false);
            }
            let generation = keys.next_generation;
            let new = blocking(move || dkim::generate(generation)).await?;
            let stage = DkimStage::Waiting { made: now, seen_since: None };
            keys.pairs.push(DkimPair { generation, stage, keys: new });
            keys.next_generation += 1;
            directory.replace_domain(Batch::new(), domain, keys).await?;
            tracing::info!(generation, "new DKIM keys made; they wait for their records");
            Ok(true)
        })
        .await
    }

    /// Looks whether the records of the waiting pair are in the DNS, and takes note of it.
    ///
    /// # Errors
    /// When the domain is not ours, the DNS cannot be asked, or the store fails.
    pub async fn look_for_dkim(
        &self,
        domain: &Domain,
        dns: &dyn OwnRecords,
        now: SystemTime,
    ) -> Result<DkimLook, DirectoryError> {
        let keys = self.0.domain_keys(domain)?;
        let Some(pair) = keys.waiting() else { return Ok(DkimLook::NothingWaits) };
        let mut missing = Vec::new();
        for key in &pair.keys {
            let name = key.record_name(domain);
            let found = match Domain::parse(&name) {
                Ok(name) => dns.txt(&name).await?.records,
                // A domain so long that no selector fits before it.
                Err(_) => Vec::new(),
            };
            // Several records under one selector are undefined (RFC 6376 §3.6.2.2).
            match found.as_slice() {
                [record] if dkim::holds_key(record, &key.public_record) => {}
                _ => missing.push(name),
            }
        }
        let (generation, all_there) = (pair.generation, missing.is_empty());
        let (domain, now) = (domain.clone(), unix(now));
        let since = self.write(move |directory| async move {
            let mut keys = directory.domain_keys(&domain)?;
            let since = keys.look(generation, all_there, now);
            directory.replace_domain(Batch::new(), domain, keys).await?;
            Ok(since)
        });
        Ok(match since.await? {
            Some(since) => DkimLook::Published { since },
            None if all_there => DkimLook::NothingWaits,
            None => DkimLook::Missing(missing),
        })
    }

    /// Signs with the waiting pair from now on, whether or not its records were seen, and lets the one
    /// so far retire.
    ///
    /// # Errors
    /// [`DirectoryError::NoKeysWait`]; when the domain is not ours, or the store fails.
    pub async fn switch_dkim(
        &self,
        domain: &Domain,
        now: SystemTime,
    ) -> Result<(), DirectoryError> {
        let (domain, now) = (domain.clone(), unix(now));
        self.write(move |directory| async move {
            let mut keys = directory.domain_keys(&domain)?;
            let overlap = directory.options.dkim_overlap.as_secs().cast_signed();
            keys.switch(now, overlap)?;
            directory.replace_domain(Batch::new(), domain, keys).await?;
            tracing::info!("mail is signed with new DKIM keys");
            Ok(())
        })
        .await
    }

    /// What is to be done from time to time: switches every domain whose new keys are published, and
    /// forgets keys whose records had time enough to go.
    ///
    /// # Errors
    /// The last one; the other domains are seen to all the same.
    pub async fn advance_dkim(
        &self,
        dns: &dyn OwnRecords,
        now: SystemTime,
    ) -> Result<(), DirectoryError> {
        let mut outcome = Ok(());
        for domain in self.domains() {
            if let Err(error) = self.advance_one(&domain, dns, now).await {
                outcome = Err(error);
            }
        }
        outcome
    }

    async fn advance_one(
        &self,
        domain: &Domain,
        dns: &dyn OwnRecords,
        now: SystemTime,
    ) -> Result<(), DirectoryError> {
        let mut keys = self.0.domain_keys(domain)?;
        if keys.forget(unix(now)) {
            let (domain, now) = (domain.clone(), unix(now));
            self.write(move |directory| async move {
                let mut keys = directory.domain_keys(&domain)?;
                keys.forget(now);
                directory.replace_domain(Batch::new(), domain, keys).await
            })
            .await?;
        }
        match self.look_for_dkim(domain, dns, now).await? {
            DkimLook::Published { since } if since.saturating_add(SETTLED) <= unix(now) => {
                self.switch_dkim(domain, now).await
            }
            _ => Ok(()),
        }
    }
}

impl Inner {
    fn domain_keys(&self, domain: &Domain) -> Result<DomainKeys, DirectoryError> {
        let keys = self.book.read().domains.get(domain).cloned();
        keys.ok_or(DirectoryError::NoSuchDomain)
    }

    /// Commits a domain's keys together with `batch`, then shows them. The caller holds `writer`.
    pub(crate) async fn replace_domain(
        &self,
        mut batch: Batch,
        domain: Domain,
        keys: DomainKeys,
    ) -> Result<(), DirectoryError> {
        let record = DomainRecord {
            domain: domain.clone(),
            next_generation: keys.next_generation,
            pairs: keys.pairs.iter().map(PairRecord::from).collect(),
        };
        let key = domain_key(&self.store, &domain);
        batch.put(Column::Directory, key, encode_domain(&record));
        self.store.commit(batch).await?;
        self.book.write().domains.insert(domain, keys);
        Ok(())
    }
}

fn unix(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs().cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Options;
    use std::time::Duration;
    use wardpost_dns::FakeOwn;
    use wardpost_store::Store;

    const DAY: u64 = 24 * 3600;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn domain() -> Domain {
        Domain::parse("clinic.test").unwrap()
    }

    async fn open(store: &Store) -> Directory {
        Directory::open_with(store.clone(), &domain(), Options::for_tests()).await.unwrap()
    }

    fn selectors(directory: &Directory) -> Vec<String> {
        directory.dkim_keys(&domain()).into_iter().map(|key| key.selector).collect()
    }

    fn publish(dns: &FakeOwn, keys: &[DkimKey]) {
        for key in keys {
            let name = Domain::parse(&key.record_name(&domain())).unwrap();
            dns.set_txt(&name, &key.public_record);
        }
    }

    #[tokio::test]
    async fn new_keys_sign_only_when_their_records_are_there() {
        let (store, dns) = (Store::in_memory(), FakeOwn::new());
        let directory = open(&store).await;
        assert!(directory.rotate_dkim(&domain(), at(100)).await.unwrap());
        assert!(!directory.rotate_dkim(&domain(), at(101)).await.unwrap(), "one pair waits");
        let waiting = directory.dkim_pairs(&domain()).pop().unwrap();
        assert_eq!(waiting.keys[0].selector, "wp2-ed25519");

        directory.advance_dkim(&dns, at(200)).await.unwrap();
        publish(&dns, &waiting.keys[..1]);
        let look = directory.look_for_dkim(&domain(), &dns, at(300)).await.unwrap();
        assert_eq!(look, DkimLook::Missing(vec!["wp2-rsa._domainkey.clinic.test".to_owned()]));
        directory.advance_dkim(&dns, at(300)).await.unwrap();
        publish(&dns, &waiting.keys);
        directory.advance_dkim(&dns, at(4000)).await.unwrap();
        assert_eq!(selectors(&directory), ["wp1-ed25519", "wp1-rsa"], "seen just now");
        dns.set_silent(true);
        assert!(directory.advance_dkim(&dns, at(7600)).await.is_err());
        dns.set_silent(false);

        let directory = open(&store).await;
        directory.advance_dkim(&dns, at(7600)).await.unwrap();
        assert_eq!(selectors(&directory), ["wp2-ed25519", "wp2-rsa"]);
        let old = &directory.dkim_pairs(&domain())[0];
        let until = 7600 + 12 * i64::try_from(DAY).unwrap();
        assert_eq!(old.stage, DkimStage::Retired { since: 7600, until });
        assert!(old.keys.iter().all(|key| key.private_pkcs8.expose().is_empty()));
        assert!(old.keys[0].public_record.len() > 40, "its record is still to be published");

        directory.advance_dkim(&dns, at(7600 + 71 * DAY)).await.unwrap();
        assert_eq!(directory.dkim_pairs(&domain()).len(), 2);
        directory.advance_dkim(&dns, at(7600 + 73 * DAY)).await.unwrap();
        assert_eq!(directory.dkim_pairs(&domain()).len(), 1);
    }

    #[tokio::test]
    async fn records_that_go_away_are_waited_for_again() {
        let (directory, dns) = (open(&Store::in_memory()).await, FakeOwn::new());
        directory.rotate_dkim(&domain(), at(0)).await.unwrap();
        let keys = directory.dkim_pairs(&domain()).pop().unwrap().keys;
        publish(&dns, &keys);
        directory.advance_dkim(&dns, at(10)).await.unwrap();
        let name = Domain::parse(&keys[1].record_name(&domain())).unwrap();
        dns.remove_txt(&name);
        directory.advance_dkim(&dns, at(3610)).await.unwrap();
        publish(&dns, &keys);
        let look = directory.look_for_dkim(&domain(), &dns, at(7210)).await.unwrap();
        assert_eq!(look, DkimLook::Published { since: 7210 });
        directory.advance_dkim(&dns, at(7211)).await.unwrap();
        assert_eq!(selectors(&directory)[0], "wp1-ed25519");
    }

    #[tokio::test]
    async fn a_switch_can_be_forced_but_not_without_keys() {
        let directory = open(&Store::in_memory()).await;
        let none = directory.switch_dkim(&domain(), at(1)).await;
        assert!(matches!(none, Err(DirectoryError::NoKeysWait)));
        directory.rotate_dkim(&domain(), at(1)).await.unwrap();
        directory.switch_dkim(&domain(), at(2)).await.unwrap();
        assert_eq!(selectors(&directory), ["wp2-ed25519", "wp2-rsa"]);
        let other = Domain::parse("other.test").unwrap();
        let missing = directory.rotate_dkim(&other, at(3)).await;
        assert!(matches!(missing, Err(DirectoryError::NoSuchDomain)));
    }

    #[tokio::test]
    async fn selectors_are_not_used_again_when_a_domain_comes_back() {
        let directory = open(&Store::in_memory()).await;
        let second = Domain::parse("second.test").unwrap();
        directory.add_domain(&second).await.unwrap();
        directory.rotate_dkim(&second, at(1)).await.unwrap();
        for generation in [3, 4] {
            directory.remove_domain(&second).await.unwrap();
            assert!(directory.dkim_pairs(&second).is_empty());
            directory.add_domain(&second).await.unwrap();
            let pairs = directory.dkim_pairs(&second);
            assert_eq!((pairs.len(), pairs[0].generation), (1, generation));
        }
    }
}
