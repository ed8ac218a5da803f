//! What can go wrong with parcels.

use std::time::Duration;
use thiserror::Error;
use wardpost_keys::{SealError, UnlockError};
use wardpost_store::{CommitError, StoreError};

/// Why a parcel was not made, opened or changed. No text here names a person or a subject.
#[derive(Debug, Error)]
pub enum ParcelError {
    /// There is no such parcel, or the link is not right.
    #[error("there is no such parcel")]
    NotFound,
    /// Its time is over; the message is gone.
    #[error("the parcel has expired")]
    Expired,
    /// The sender took it back; the message is gone.
    #[error("the sender has taken the parcel back")]
    Recalled,
    /// The practice issued a new code since; the parcel cannot be opened any more.
    #[error("the parcel was sealed to a code that is no longer valid; it has to be sent again")]
    Superseded,
    /// The code, or passphrase, is wrong.
    #[error("the code is wrong; {tries_left} tries are left")]
    WrongCode {
        /// Tries until the parcel is locked.
        tries_left: u32,
    },
    /// Too many wrong codes: locked until the practice steps in.
    #[error("too many wrong codes; the practice has to be asked for help")]
    Locked,
    /// Too many tries in too short a time.
    #[error("too many tries; wait {} seconds", .0.as_secs())]
    SlowDown(Duration),
    /// The passphrase somebody wants to set is too easy.
    #[error("the passphrase needs at least {min} characters and not only digits")]
    Passphrase {
        /// The least number of characters.
        min: usize,
    },
    /// The expiry lies in the past.
    #[error("the expiry lies in the past")]
    AlreadyOver,
    /// A record in the store cannot be read by this version.
    #[error(
        "a parcel record has format version {found}, this program reads version {known}; \
         start the version of Wardpost that wrote it"
    )]
    Version {
        /// The version byte found.
        found: u8,
        /// The version this program reads.
        known: u8,
    },
    /// A record in the store is damaged.
    #[error("a parcel record is damaged")]
    Damaged,
    /// The operating system gave no random numbers.
    #[error("no random numbers are to be had")]
    Randomness,
    /// Sealing failed.
    #[error("sealing a parcel: {0}")]
    Seal(#[from] SealError),
    /// A recipient's key could not be made or changed.
    #[error("a parcel recipient's key: {0}")]
    Key(#[from] UnlockError),
    /// The store could not read.
    #[error("reading parcels: {0}")]
    Store(#[from] StoreError),
    /// The store could not write; nothing was changed.
    #[error("writing parcels: {0}")]
    Commit(#[from] CommitError),
    /// What was to be committed along with it could not be; nothing was changed.
    #[error("writing parcels along with other things: {0}")]
    Along(Box<dyn std::error::Error + Send + Sync>),
    /// The program is shutting down.
    #[error("shutting down")]
    ShuttingDown,
}
