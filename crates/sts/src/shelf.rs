//! The policies on the disk, and a short index of them in memory: to count, to bound, to refresh.

use crate::PoliciesError;
use crate::record::{self, PREFIX, PolicyRecord};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::ops::ControlFlow;
use wardpost_mail::Domain;
use wardpost_store::{Batch, Column, CommitError, Store};
use wardpost_verdict::StsMode;

/// What is remembered of a policy without reading it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Brief {
    pub(crate) mode: StsMode,
    pub(crate) fetched: u64,
    pub(crate) used: u64,
    pub(crate) ends: u64,
}

impl Brief {
    fn of(record: &PolicyRecord) -> Self {
        Self {
            mode: record.policy.mode(),
            fetched: record.fetched,
            used: record.used,
            ends: record.ends(),
        }
    }

    /// Who makes room first; `None` for whom nobody may push out.
    fn dispensable(&self, now: u64) -> Option<(u8, u64)> {
        match self.mode {
            _ if self.ends <= now => Some((0, self.ends)),
            StsMode::None => Some((1, self.ends)),
            StsMode::Testing => Some((2, self.ends)),
            StsMode::Enforce => None,
        }
    }
}

/// What became of a policy that was to be kept.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    Yes,
    /// All places are taken by policies that must not go.
    NoRoom,
}

/// All policies that are kept.
pub(crate) struct Shelf {
    store: Store,
    most: usize,
    index: Mutex<HashMap<Vec<u8>, Brief>>,
    /// Held from a look at the index to the commit that rests on it.
    writer: tokio::sync::Mutex<()>,
}

impl Shelf {
    /// Reads the index from the disk.
    pub(crate) fn open(store: Store, most: usize) -> Result<Self, PoliciesError> {
        let mut index = HashMap::new();
        visit(&store, &mut |key, record| _ = index.insert(key.to_vec(), Brief::of(&record)))?;
        Ok(Self { store, most, index: Mutex::new(index), writer: tokio::sync::Mutex::default() })
    }

    /// What is kept of a domain, even if its time is over.
    pub(crate) fn read(&self, domain: &Domain) -> Result<Option<PolicyRecord>, PoliciesError> {
        self.read_key(&record::key(&self.store, domain))
    }

    pub(crate) fn read_key(&self, key: &[u8]) -> Result<Option<PolicyRecord>, PoliciesError> {
        let bytes = self.store.get(Column::Trust, key)?;
        Ok(bytes.map(|bytes| record::decode(&bytes)).transpose()?)
    }

    /// All records, by domain.
    pub(crate) fn all(&self) -> Result<Vec<PolicyRecord>, PoliciesError> {
        let mut all = Vec::new();
        visit(&self.store, &mut |_, record| all.push(record))?;
        all.sort_by(|a, b| a.domain.cmp(&b.domain));
        Ok(all)
    }

    /// Keeps a record in place of what was kept of its domain.
    pub(crate) async fn keep(&self, record: &PolicyRecord, now: u64) -> Result<Kept, CommitError> {
        let _writer = self.writer.lock().await;
        let key = record::key(&self.store, &record.domain);
        let mut batch = Batch::new();
        let mut gone = None;
        {
            let index = self.index.lock();
            if !index.contains_key(&key) && index.len() >= self.most {
                let ranked = index.iter().filter_map(|(key, b)| Some((b.dispensable(now)?, key)));
                let Some((_, first)) = ranked.min() else { return Ok(Kept::NoRoom) };
                batch.delete(Column::Trust, first.clone());
                gone = Some(first.clone());
            }
        }
        batch.put(Column::Trust, key.clone(), record::encode(record));
        self.store.commit(batch).await?;
        let mut index = self.index.lock();
        gone.map(|key| index.remove(&key));
        index.insert(key, Brief::of(record));
        Ok(Kept::Yes)
    }

    /// Deletes what is over; says how many there were.
    pub(crate) async fn purge(&self, now: u64) -> Result<usize, CommitError> {
        let _writer = self.writer.lock().await;
        let over = self.select(|brief| brief.ends <= now);
        if over.is_empty() {
            return Ok(0);
        }
        let mut batch = Batch::new();
        for key in &over {
            batch.delete(Column::Trust, key.clone());
        }
        self.store.commit(batch).await?;
        self.index.lock().retain(|key, _| !over.contains(key));
        Ok(over.len())
    }

    /// The keys of some policies.
    pub(crate) fn select(&self, wanted: impl Fn(&Brief) -> bool) -> Vec<Vec<u8>> {
        let index = self.index.lock();
        index.iter().filter(|(_, brief)| wanted(brief)).map(|(key, _)| key.clone()).collect()
    }

    /// How many policies of a mode hold.
    pub(crate) fn count(&self, mode: StsMode, now: u64) -> u64 {
        let index = self.index.lock();
        index.values().filter(|brief| brief.mode == mode && brief.ends > now).count() as u64
    }
}

fn visit(store: &Store, found: &mut dyn FnMut(&[u8], PolicyRecord)) -> Result<(), PoliciesError> {
    let mut outcome = Ok(());
    store.for_each(Column::Trust, PREFIX, &mut |key, bytes| match record::decode(&bytes) {
        Ok(record) => {
            found(key, record);
            ControlFlow::Continue(())
        }
        Err(error) => {
            outcome = Err(error.into());
            ControlFlow::Break(())
        }
    })?;
    outcome
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;
    use wardpost_verdict::StsPolicy;

    fn record(name: &str, mode: &str, max_age: u64) -> PolicyRecord {
        let text = format!("version: STSv1\nmode: {mode}\nmx: mx.{name}\nmax_age: {max_age}");
        PolicyRecord {
            domain: Domain::parse(name).unwrap(),
            id: "1".into(),
            policy: StsPolicy::parse(text.as_bytes()).unwrap(),
            fetched: 0,
            used: 0,
            trouble: None,
        }
    }

    async fn keep(shelf: &Shelf, name: &str, mode: &str, max_age: u64, now: u64) -> Kept {
        shelf.keep(&record(name, mode, max_age), now).await.unwrap()
    }

    fn names(shelf: &Shelf) -> Vec<String> {
        shelf.all().unwrap().iter().map(|record| record.domain.to_string()).collect()
    }

    #[tokio::test]
    async fn room_is_made_by_those_who_ask_least() {
        let shelf = Shelf::open(Store::in_memory(), 4).unwrap();
        for (name, mode, max_age) in [
            ("over.test", "enforce", 1),
            ("none.test", "none", 900),
            ("testing.test", "testing", 500),
            ("enforced.test", "enforce", 100),
        ] {
            assert_eq!(keep(&shelf, name, mode, max_age, 0).await, Kept::Yes);
        }
        let now = 10_000;
        assert_eq!(shelf.count(StsMode::Enforce, now), 1);
        for (n, gone) in ["over.test", "none.test", "testing.test"].into_iter().enumerate() {
            assert!(names(&shelf).contains(&gone.to_owned()));
            assert_eq!(keep(&shelf, &format!("{n}.test"), "enforce", 800, now).await, Kept::Yes);
            assert!(!names(&shelf).contains(&gone.to_owned()), "{gone}");
        }
        assert_eq!(keep(&shelf, "late.test", "enforce", 800, now).await, Kept::NoRoom);
        assert_eq!(names(&shelf), ["0.test", "1.test", "2.test", "enforced.test"]);
        // Who has a place may change.
        assert_eq!(keep(&shelf, "enforced.test", "none", 800, now).await, Kept::Yes);
        assert_eq!(keep(&shelf, "late.test", "enforce", 800, now).await, Kept::Yes);
        assert_eq!(names(&shelf), ["0.test", "1.test", "2.test", "late.test"]);
    }

    #[tokio::test]
    async fn what_is_over_is_deleted() {
        let shelf = Shelf::open(Store::in_memory(), 10).unwrap();
        keep(&shelf, "short.test", "enforce", 10, 0).await;
        keep(&shelf, "long.test", "enforce", 20, 0).await;
        assert_eq!(shelf.purge(9_999).await, Ok(0));
        assert_eq!(shelf.purge(10_000).await, Ok(1));
        assert_eq!(names(&shelf), ["long.test"]);
        let again = Shelf::open(shelf.store.clone(), 10).unwrap();
        assert_eq!(again.count(StsMode::Enforce, 10_000), 1);
    }

    #[tokio::test]
    async fn names_are_not_in_keys_and_damage_is_found() {
        let store = Store::in_memory();
        let shelf = Shelf::open(store.clone(), 10).unwrap();
        keep(&shelf, "far.test", "enforce", 10, 0).await;
        let [(key, _)] = store.scan(Column::Trust, b"", None, 9).unwrap().try_into().unwrap();
        assert_eq!((key.len(), key[0]), (17, b's'));
        let mut batch = Batch::new();
        batch.put(Column::Trust, key, [9u8]);
        store.commit(batch).await.unwrap();
        assert!(matches!(Shelf::open(store, 10), Err(PoliciesError::Record(_))));
        assert!(shelf.read(&Domain::parse("far.test").unwrap()).is_err());
    }
}
