//! Certificates from an authority (ACME, RFC 8555), without anybody doing anything.
//!
//! [`Acme`] orders a certificate for our host name, and for the names beside it that lead to us, proves
//! that the names are ours on port 80 (HTTP-01) or 443 (TLS-ALPN-01, RFC 8737), and renews it when the
//! authority would have it renewed (RFC 9773) or at two thirds of its life. Connections that are open
//! notice nothing. Until the first success, and should the last certificate end, the self-signed one is
//! shown, with the same key.
//!
//! # The key stays
//! A TLSA record stands for our key (see `publish`). So every certificate is asked for with the key in
//! use; another comes only when the key plan has a next one whose record was in the DNS for long enough,
//! or when somebody insists. Certificate and key are then kept in one write, used, and noted in the plan,
//! in this order: whoever is interrupted in between finds at the next start ([`open_tls`]) the
//! certificate with the key that the plan calls the next one, and goes on.
//!
//! # When something fails
//! Names besides the host's that fail are left out, for a day at first, and said; the host's never is. After
//! a failure there is a pause, from a minute to a day, longer if the authority asks for it; it survives
//! restarts, so that a daemon that is started again and again asks no more often. Successes are limited as
//! well: a certificate of today is not renewed unasked, whatever the authority or a wrong clock says, and
//! somebody may ask for a few a day. One that cannot be kept because the disk is full is used all the same,
//! and kept later. [`Status`] says in plain words what is wrong and what to do.
//!
//! # What is kept
//! Four records in `Column::System`, sealed like every value: the account's key, from before the
//! authority hears of it; the certificate with its key; how things stand; and when somebody asked.

mod answers;
mod attempt;
mod authority;
mod kept;
mod metrics;
mod order;
mod outcome;
mod parts;
mod records;
mod register;
mod roster;
mod schedule;
mod status;
#[cfg(test)]
mod tests;
mod trouble;
mod words;
mod worker;

pub use kept::open_tls;
pub use order::Way;
pub use parts::{Names, Parts, Settings, Wish};
pub use register::ExternalAccount;
pub use status::{Failed, LeftOut, Status};
pub use trouble::Kind;
pub use worker::Acme;

use thiserror::Error;
use wardpost_net::TlsError;
use wardpost_publish::PlanError;
use wardpost_store::record::RecordError;
use wardpost_store::{CommitError, StoreError};

/// Why something does not work here, on this machine.
#[derive(Debug, Error)]
pub enum AcmeError {
    /// A record is of another version, or damaged.
    #[error(
        "what is kept about certificates cannot be read: was it written by a newer Wardpost? ({0})"
    )]
    Record(#[from] RecordError),
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store could not be written.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// A key or a certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The plan of keys.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The library that counts.
    #[error(transparent)]
    Metrics(#[from] prometheus::Error),
}
