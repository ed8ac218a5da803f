//! What can go wrong.

use std::time::Duration;

use thiserror::Error;

/// Why the directory did not do as asked. No text of these holds an address or a name.
#[derive(Debug, Error)]
pub enum DirectoryError {
    /// The first-run set-up ([`crate::Directory::initialise`]) was not done.
    #[error("the directory is not set up yet: it has no recovery certificate")]
    NotInitialised,
    /// The address is an account's or an alias already.
    #[error("that address is in use already")]
    AddressTaken,
    /// The address is in a domain that is not served here.
    #[error("that address is not in a domain served here")]
    NotOurDomain,
    /// No such account.
    #[error("there is no such account")]
    NoSuchAccount,
    /// Somebody must look after the box.
    #[error(
        "that is the only administrator, and somebody must look after this server: make somebody else \
         one first (`wardpost account administrator ACCOUNT`)"
    )]
    LastAdministrator,
    /// No such alias.
    #[error("there is no such alias")]
    NoSuchAlias,
    /// No such domain.
    #[error("there is no such domain")]
    NoSuchDomain,
    /// No app password has that number.
    #[error("there is no such app password")]
    NoSuchAppPassword,
    /// No invitation, or none that still holds.
    #[error("there is no such invitation, or its time is over")]
    NoSuchInvitation,
    /// Hundreds of invitations are open.
    #[error("too many invitations are open: withdraw those that are not needed")]
    TooManyInvitations,
    /// An alias without targets.
    #[error("an alias needs at least one account")]
    NoTargets,
    /// The domain still has accounts or aliases, or is the main domain.
    #[error("the domain is still in use")]
    DomainInUse,
    /// The password is too short, too long or too common.
    #[error("{0}")]
    WeakPassword(&'static str),
    /// A name or label is too long or has control characters.
    #[error("the name or label is longer than 200 characters or has control characters")]
    BadName,
    /// The recovery secret, or the password to prove, does not open this account.
    #[error("that secret does not open the account")]
    WrongSecret,
    /// No DKIM keys wait to be used.
    #[error("no new DKIM keys are waiting: make them with `wardpost domain dkim DOMAIN rotate`")]
    NoKeysWait,
    /// The DNS could not be asked.
    #[error("the DNS could not be asked: {0}")]
    Dns(#[from] wardpost_dns::DnsError),
    /// A record was written by another version or is damaged.
    #[error("a directory record cannot be read ({0}): was it written by a newer Wardpost?")]
    Record(&'static str),
    /// The program is ending, or a task failed unexpectedly.
    #[error("the operation was interrupted")]
    Interrupted,
    /// Making or wrapping a key failed.
    #[error("a key could not be made: {0}")]
    Keys(String),
    /// The store failed.
    #[error("the store failed: {0}")]
    Store(String),
    /// The disk is full.
    #[error("the disk is full")]
    DiskFull,
}

/// Why a log-in did not succeed. Tell the client no more than this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AuthError {
    /// Wrong name or wrong credential; which, is not told.
    #[error("authentication failed")]
    Rejected,
    /// Too many tries failed from this network: try again after that long.
    #[error("too many failed tries; try again in {} s", .0.as_secs().max(1))]
    SlowDown(Duration),
    /// It could not be found out just now.
    #[error("authentication is not available at the moment")]
    Unavailable,
}

impl From<wardpost_store::StoreError> for DirectoryError {
    fn from(error: wardpost_store::StoreError) -> Self {
        Self::Store(error.to_string())
    }
}

impl From<wardpost_store::CommitError> for DirectoryError {
    fn from(error: wardpost_store::CommitError) -> Self {
        match error {
            wardpost_store::CommitError::DiskFull => Self::DiskFull,
            other => Self::Store(other.to_string()),
        }
    }
}

impl From<wardpost_keys::SealError> for DirectoryError {
    fn from(error: wardpost_keys::SealError) -> Self {
        Self::Keys(error.to_string())
    }
}
