//! The queue itself.

use crate::{ItemView, NewItem, QueueError, QueueStats, Record, Work};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use wardpost_mail::QueueId;
use wardpost_store::{Committed, Store};

/// What can be set.
#[derive(Clone)]
pub struct Options {
    /// How long a recipient is tried (RFC 5321 §4.5.4.1: at least 4–5 days).
    pub lifetime: Duration,
    /// After what time the sender is told, once, that a recipient is late.
    pub delay_after: Duration,
    /// Concurrent attempts for one domain.
    pub per_domain: usize,
    /// Concurrent local deliveries.
    pub local: usize,
    /// Concurrent makings of parcels; each may cost an Argon2.
    pub pickup: usize,
    /// The clock.
    pub clock: Arc<dyn Fn() -> SystemTime + Send + Sync>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            lifetime: Duration::from_secs(5 * 24 * 3600),
            delay_after: Duration::from_secs(4 * 3600),
            per_domain: 20,
            local: 16,
            pickup: 2,
            clock: Arc::new(SystemTime::now),
        }
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("lifetime", &self.lifetime)
            .field("delay_after", &self.delay_after)
            .field("per_domain", &self.per_domain)
            .field("local", &self.local)
            .field("pickup", &self.pickup)
            .finish_non_exhaustive()
    }
}

/// The queue. Clones are handles on the same one.
#[derive(Clone)]
pub struct Queue {
    _store: Store,
}

impl Queue {
    /// Opens the queue that lies in `store`: everything without a recorded end is scheduled again.
    ///
    /// # Errors
    /// When the store cannot be read or a record is of another version.
    pub async fn open(store: Store, options: Options) -> Result<Self, QueueError> {
        let _ = (store, options);
        unimplemented!()
    }

    /// Takes a message. When this returns it is synced to disk, and 250 may be said.
    ///
    /// # Errors
    /// When routes and recipients do not match, or the store cannot write (then nothing was taken).
    pub async fn enqueue(&self, item: NewItem) -> Result<(QueueId, Committed), QueueError> {
        let _ = item;
        unimplemented!()
    }

    /// Waits until something is due and leases it.
    pub async fn next_due(&self) -> Work {
        unimplemented!()
    }

    /// Leases something that is due now, if there is any.
    pub fn try_next(&self) -> Option<Work> {
        unimplemented!()
    }

    /// Writes down what came of `work`, with all it brings about, in one commit, and removes the item
    /// if its last recipient has ended.
    ///
    /// # Errors
    /// When the store cannot write, a precondition of a batch given with [`Record::also`] fails, or the
    /// item was dropped meanwhile. Nothing is written then, follow-ups included; unless dropped, the
    /// recipients are due again after a minute.
    pub async fn record(&self, work: Work, record: Record) -> Result<Committed, QueueError> {
        let _ = (work, record);
        unimplemented!()
    }

    /// The message of an item, as it goes out.
    ///
    /// # Errors
    /// [`QueueError::NotFound`], or when the store cannot be read.
    pub fn message(&self, id: QueueId) -> Result<Vec<u8>, QueueError> {
        let _ = id;
        unimplemented!()
    }

    /// Up to `limit` items after `after`, oldest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn list(&self, after: Option<QueueId>, limit: usize) -> Result<Vec<ItemView>, QueueError> {
        let _ = (after, limit);
        unimplemented!()
    }

    /// One item.
    ///
    /// # Errors
    /// [`QueueError::NotFound`], or when the store cannot be read.
    pub fn show(&self, id: QueueId) -> Result<ItemView, QueueError> {
        let _ = id;
        unimplemented!()
    }

    /// Makes every waiting recipient of an item due now.
    ///
    /// # Errors
    /// [`QueueError::NotFound`].
    pub async fn retry(&self, id: QueueId) -> Result<(), QueueError> {
        let _ = id;
        unimplemented!()
    }

    /// Removes an item without telling anybody.
    ///
    /// # Errors
    /// [`QueueError::NotFound`], or when the store cannot write.
    pub async fn drop_item(&self, id: QueueId) -> Result<Committed, QueueError> {
        let _ = id;
        unimplemented!()
    }

    /// Numbers for metrics.
    pub fn stats(&self) -> QueueStats {
        unimplemented!()
    }

    /// Messages in the queue.
    pub fn depth(&self) -> usize {
        self.stats().items
    }

    /// Age of the oldest message.
    pub fn oldest_age(&self) -> Option<Duration> {
        self.stats().oldest_age
    }
}
