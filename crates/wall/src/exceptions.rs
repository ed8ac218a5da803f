//! Who may come in without TLS, why, and until when.

use crate::records::{self, EXCEPTIONS, ExceptionRecord, decode, encode};
use crate::{DAY, WallError};
use wardpost_config::CleartextException;
use wardpost_store::{Batch, Column, Store};

/// Longest life of an exception, in days.
pub const MAX_DAYS: u16 = 365;
/// Most exceptions at a time.
pub const MAX_EXCEPTIONS: usize = 500;
/// Longest reason, in characters.
const MAX_REASON: usize = 200;

/// An exception.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exception {
    /// For whom.
    pub who: CleartextException,
    /// Why.
    pub reason: String,
    /// When it was made, Unix seconds.
    pub made: i64,
    /// When it ends, Unix seconds.
    pub ends: i64,
}

impl Exception {
    pub(crate) fn new(
        who: CleartextException,
        days: u16,
        reason: &str,
        now: i64,
    ) -> Result<Self, WallError> {
        if !(1..=MAX_DAYS).contains(&days) {
            return Err(WallError::Days);
        }
        let reason = reason.trim();
        let length = reason.chars().count();
        if length == 0 || length > MAX_REASON || reason.chars().any(char::is_control) {
            return Err(WallError::Reason);
        }
        if let CleartextException::Network { address, prefix } = &who {
            let least = if address.is_ipv4() { 16 } else { 32 };
            if *prefix < least {
                return Err(WallError::TooLarge);
            }
        }
        Ok(Self { who, reason: reason.to_owned(), made: now, ends: now + i64::from(days) * DAY })
    }

    fn record(&self) -> ExceptionRecord {
        ExceptionRecord {
            who: self.who.to_string(),
            reason: self.reason.clone(),
            made: self.made,
            ends: self.ends,
        }
    }
}

/// All of them.
pub(crate) struct Exceptions(Vec<Exception>);

impl Exceptions {
    pub(crate) fn read(store: &Store) -> Result<Self, WallError> {
        let mut all = Vec::new();
        for (_, value) in store.scan(Column::Trust, EXCEPTIONS, None, usize::MAX)? {
            let record: ExceptionRecord = decode(&value)?;
            let who = CleartextException::parse(&record.who).map_err(|_| WallError::Record)?;
            let ExceptionRecord { reason, made, ends, .. } = record;
            all.push(Exception { who, reason, made, ends });
        }
        Ok(Self(all))
    }

    /// Those that have not ended.
    pub(crate) fn current(&self, now: i64) -> impl Iterator<Item = &Exception> {
        self.0.iter().filter(move |exception| exception.ends > now)
    }

    /// What is to be written to make one.
    pub(crate) fn add(
        &self,
        store: &Store,
        exception: &Exception,
        now: i64,
    ) -> Result<Batch, WallError> {
        if self.current(now).filter(|known| known.who != exception.who).count() >= MAX_EXCEPTIONS {
            return Err(WallError::TooMany);
        }
        let mut batch = Batch::new();
        let key = records::exception_key(store, &exception.who.to_string());
        batch.put(Column::Trust, key, encode(&exception.record()));
        Ok(batch)
    }

    pub(crate) fn set(&mut self, exception: Exception) {
        self.unset(&exception.who);
        self.0.push(exception);
    }

    /// What is to be written to take one back.
    pub(crate) fn removal(
        &self,
        store: &Store,
        who: &CleartextException,
    ) -> Result<Batch, WallError> {
        if !self.0.iter().any(|exception| exception.who == *who) {
            return Err(WallError::NotFound);
        }
        let mut batch = Batch::new();
        batch.delete(Column::Trust, records::exception_key(store, &who.to_string()));
        Ok(batch)
    }

    pub(crate) fn unset(&mut self, who: &CleartextException) {
        self.0.retain(|exception| exception.who != *who);
    }

    /// Forgets those that have ended.
    pub(crate) fn expire(&mut self, store: &Store, now: i64) -> Batch {
        let mut batch = Batch::new();
        self.0.retain(|exception| {
            let lasts = exception.ends > now;
            if !lasts {
                let key = records::exception_key(store, &exception.who.to_string());
                batch.delete(Column::Trust, key);
            }
            lasts
        });
        batch
    }
}
