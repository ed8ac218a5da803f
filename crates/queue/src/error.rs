//! What can go wrong with the queue.

use crate::JoinError;
use thiserror::Error;
use wardpost_mail::QueueId;
use wardpost_store::{CommitError, StoreError};

/// Why the queue did not do what it was asked. No text here names a person or a subject.
#[derive(Debug, Error)]
pub enum QueueError {
    /// An item needs at least one recipient, and a route for each.
    #[error("a message for the queue needs one route for each of its recipients, and at least one")]
    Routes,
    /// A refused recipient has no business in the queue.
    #[error("a refused recipient cannot be queued")]
    Refused,
    /// There is no such item: delivered, dropped or never there.
    #[error("there is no item {0} in the queue")]
    NotFound(QueueId),
    /// A record in the store cannot be read by this version.
    #[error(
        "a queue record has format version {found}, this program reads version {known}; \
         start the version of Wardpost that wrote it, or drain the queue with it before the upgrade"
    )]
    Version {
        /// The version byte found.
        found: u8,
        /// The version this program reads.
        known: u8,
    },
    /// A record in the store is damaged.
    #[error("a queue record is damaged")]
    Damaged,
    /// The store could not read.
    #[error("reading the queue: {0}")]
    Store(#[from] StoreError),
    /// The store could not write; nothing was changed.
    #[error("writing the queue: {0}")]
    Commit(#[from] CommitError),
    /// A commit that the caller makes ([`crate::Record::commit_by`]) failed; nothing was changed.
    #[error("writing the queue along with other things: {0}")]
    Joined(JoinError),
    /// The program is shutting down.
    #[error("shutting down")]
    ShuttingDown,
}
