//! The wall on port 25: who is kept out for want of TLS, and who may come in all the same.
//!
//! A practice that refuses cleartext must be able to see whom that hurts: the lab whose fax gateway knows no TLS
//! is not a spammer. Every peer that asked to send mail in clear and went away without TLS is counted here,
//! as is every one that was let in. An administrator reads the list, and tells the peer, or makes an
//! **exception**: for an address, a network or a sender's domain, with a reason, and with an end. There is
//! no exception for ever; what still has no TLS after a year deserves to be looked at again. (Those in
//! the configuration file have no end. They are the consultant's, not the office's.)
//!
//! An exception for a domain lets in whoever says to write for it: MAIL FROM is a claim. What comes in that way
//! is marked, judged by SPF, DKIM and DMARC like everything else, and put into Junk where nothing proves it.
//!
//! # On disk
//! Visitors: column `report`, key `w` and a keyed hash of the peer's network. Exceptions: column `trust`,
//! key `c` and a keyed hash of whom they are for. Both sealed, with a version byte. Visitors are kept in
//! memory and written at intervals ([`Wall::flush`]): a crash loses a minute of counting.
//!
//! # Bounds
//! At most [`MAX_VISITORS`] peers of the last [`KEPT_DAYS`] days; the one that tried least and longest ago makes
//! room. IPv6 peers are counted by their /64. At most [`MAX_EXCEPTIONS`] exceptions.

mod exceptions;
mod records;
mod visitors;

pub use exceptions::{Exception, MAX_DAYS, MAX_EXCEPTIONS};
pub use visitors::{KEPT_DAYS, MAX_VISITORS, Visitor};

use exceptions::Exceptions;
use parking_lot::Mutex;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use thiserror::Error;
use visitors::Visitors;
use wardpost_config::CleartextException;
use wardpost_mail::Domain;
use wardpost_store::{CommitError, Store, StoreError};

/// Why the wall could not do as asked.
#[derive(Debug, Error)]
pub enum WallError {
    /// An exception must end.
    #[error("an exception lasts at least one day and at most {MAX_DAYS}")]
    Days,
    /// An exception needs a reason.
    #[error("say why in a line of at most 200 characters, for whoever looks at it in a year")]
    Reason,
    /// Too many of them are no exceptions.
    #[error("there are {MAX_EXCEPTIONS} exceptions already; remove one first")]
    TooMany,
    /// A network so large that it is no exception.
    #[error("that network is too large for an exception: at most a /16, or a /32 of IPv6")]
    TooLarge,
    /// No such exception.
    #[error("there is no such exception")]
    NotFound,
    /// A record cannot be read.
    #[error("a record of the wall cannot be read: was it written by a newer Wardpost?")]
    Record,
    /// The store did not answer.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// The store did not write.
    #[error("it could not be written")]
    Commit(#[from] CommitError),
}

/// A try to send in clear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Knock {
    /// The client's address.
    pub peer: IpAddr,
    /// What it called itself.
    pub helo: String,
    /// The domain of MAIL FROM, if it said one.
    pub sender: Option<Domain>,
    /// Whether it was let in.
    pub admitted: bool,
}

/// The wall. Clones share it.
#[derive(Clone)]
pub struct Wall {
    store: Store,
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    exceptions: Exceptions,
    visitors: Visitors,
}

impl Wall {
    /// Reads what was kept.
    ///
    /// # Errors
    /// When the store cannot be read, or was written by a newer version.
    pub fn open(store: Store) -> Result<Self, WallError> {
        let inner =
            Inner { exceptions: Exceptions::read(&store)?, visitors: Visitors::read(&store)? };
        Ok(Self { store, inner: Arc::new(Mutex::new(inner)) })
    }

    /// Whether an exception lets this peer, writing for this sender's domain, in without TLS.
    pub fn admits(&self, peer: IpAddr, sender: Option<&Domain>) -> bool {
        let now = unix_now();
        let inner = self.inner.lock();
        inner.exceptions.current(now).any(|exception| exception.who.matches(peer, sender))
    }

    /// Whether an exception could let this peer in, depending on the sender it names.
    pub fn may_admit(&self, peer: IpAddr) -> bool {
        let now = unix_now();
        let inner = self.inner.lock();
        inner.exceptions.current(now).any(|exception| {
            matches!(exception.who, CleartextException::Domain(_))
                || exception.who.matches(peer, None)
        })
    }

    /// Counts a try.
    pub fn count(&self, knock: Knock) {
        self.inner.lock().visitors.count(knock, unix_now());
    }

    /// Who tried within so many days, those kept out most often first.
    pub fn visitors(&self, days: u16) -> Vec<Visitor> {
        let since = unix_now() - i64::from(days) * DAY;
        self.inner.lock().visitors.since(since)
    }

    /// Makes an exception, in place of one for the same peers, for so many days.
    ///
    /// # Errors
    /// When it has no end, no reason, is too large or one too many, or cannot be written.
    pub async fn except(
        &self,
        who: CleartextException,
        days: u16,
        reason: &str,
    ) -> Result<Exception, WallError> {
        let exception = Exception::new(who, days, reason, unix_now())?;
        let batch = self.inner.lock().exceptions.add(&self.store, &exception, unix_now())?;
        self.store.commit(batch).await?;
        // Only what is on the disk holds.
        self.inner.lock().exceptions.set(exception.clone());
        Ok(exception)
    }

    /// Takes an exception back.
    ///
    /// # Errors
    /// When there is none for exactly these peers, or the store does not write.
    pub async fn revoke(&self, who: &CleartextException) -> Result<(), WallError> {
        let batch = self.inner.lock().exceptions.removal(&self.store, who)?;
        self.store.commit(batch).await?;
        self.inner.lock().exceptions.unset(who);
        Ok(())
    }

    /// All exceptions that have not ended, those that end first first.
    pub fn exceptions(&self) -> Vec<Exception> {
        let mut all: Vec<_> = self.inner.lock().exceptions.current(unix_now()).cloned().collect();
        all.sort_by_key(|exception| exception.ends);
        all
    }

    /// Writes what was counted since the last time, and forgets what is too old. Call it every minute or so,
    /// and at the end.
    ///
    /// # Errors
    /// When the store does not write; what was counted is kept for the next time.
    pub async fn flush(&self) -> Result<(), WallError> {
        let (batch, unwritten) = {
            let mut inner = self.inner.lock();
            let now = unix_now();
            let mut batch = inner.exceptions.expire(&self.store, now);
            let (counts, unwritten) = inner.visitors.changes(&self.store, now);
            batch.append(counts);
            (batch, unwritten)
        };
        if batch.is_empty() {
            return Ok(());
        }
        if let Err(error) = self.store.commit(batch).await {
            self.inner.lock().visitors.write_again(unwritten);
            return Err(error.into());
        }
        Ok(())
    }
}

/// Seconds of a day.
const DAY: i64 = 24 * 3600;

fn unix_now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
