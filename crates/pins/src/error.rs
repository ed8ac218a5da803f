//! What can go wrong, and what to do about it.

use crate::pattern::Pattern;
use thiserror::Error;
use wardpost_mail::TlsGrade;
use wardpost_store::{CommitError, StoreError};

/// Why a rule cannot be made like this. Each says what to do.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PinError {
    /// The pattern is none.
    #[error(
        "a rule is for one domain (lab.example), for all below one (*.lab.example) or for everybody (*)"
    )]
    Pattern,
    /// The rule says nothing.
    #[error(
        "say what the rule is: --floor, --pickup, --certificate, --ca, --smarthost or --allow-unverified"
    )]
    Nothing,
    /// Pickup together with something about TLS.
    #[error("--pickup stands alone: mail that is always picked up needs no rule for TLS")]
    PickupAndMore,
    /// A floor below T3.
    #[error(
        "a floor is T3, T4 or T5; for a partner whose certificate cannot be verified, pin it with --certificate, or use --allow-unverified with --reason and --expires"
    )]
    FloorTooLow(TlsGrade),
    /// A floor beside an exception.
    #[error("--floor and --allow-unverified exclude each other: an exception is the floor T2")]
    FloorAndException,
    /// Trusted certificates beside an exception.
    #[error(
        "--allow-unverified and pinned certificates exclude each other: what is pinned is verified; leave --allow-unverified out"
    )]
    TrustAndException,
    /// An exception for everybody.
    #[error("an exception is for one partner: name the domain, or *.domain with a dot in it")]
    SweepingException,
    /// Certificates pinned for everybody.
    #[error("certificates can be pinned for one partner or for a smarthost, not for everybody")]
    SweepingTrust,
    /// A smarthost whose certificate need not be verified.
    #[error(
        "a smarthost sees all mail that goes through it, so it must be verified; if its certificate does not come from a public CA, pin it with --certificate or --ca"
    )]
    UnverifiedSmarthost,
    /// A floor that a smarthost cannot reach.
    #[error(
        "a smarthost is named by you, so T3 is the best there is; leave --floor out (REQUIRETLS is demanded of it anyway)"
    )]
    SmarthostFloor,
    /// A smarthost given by its address.
    #[error("name the smarthost by its host name: that is what its certificate must carry")]
    SmarthostAddress,
    /// No reason where one is needed.
    #[error(
        "this lowers what protects patients' mail: say why with --reason \"…\", in words that somebody can check later"
    )]
    NoReason,
    /// No end where one is needed.
    #[error(
        "an exception ends: say when with --expires DATE or --expires 90d, a year away at most"
    )]
    NoEnd,
    /// An end too far away.
    #[error(
        "an exception lasts a year at most: say an earlier --expires, and look at it again then"
    )]
    EndTooFar,
    /// An end in the past.
    #[error("--expires is in the past")]
    Ended,
    /// Too many certificates.
    #[error("a rule holds at most {0} certificates and authorities")]
    TooManyCertificates(usize),
    /// An authority that cannot be used as one.
    #[error("--ca: {0}")]
    Authority(String),
    /// A name and a password that no smarthost takes.
    #[error("{0} is too long, empty or has control characters")]
    Login(#[from] LoginError),
    /// Text that is too long or has control characters.
    #[error("{0} is too long, empty or has control characters")]
    Text(&'static str),
}

/// Which half of a [`Login`](crate::Login) cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum LoginError {
    /// The user name.
    #[error("the user name")]
    User,
    /// The password.
    #[error("the password")]
    Password,
}

/// Why rules cannot be read or kept.
#[derive(Debug, Error)]
pub enum PinsError {
    /// No rule has this pattern.
    #[error("there is no rule for {0}; `wardpost pin list` shows all")]
    NotFound(Pattern),
    /// Too many rules.
    #[error("there are {0} rules already; remove some")]
    TooMany(usize),
    /// A rule was written by another version or is damaged.
    #[error("a rule for a domain cannot be read: was it written by a newer Wardpost?")]
    Record,
    /// The disk is full.
    #[error("the disk is full")]
    DiskFull,
    /// The store failed.
    #[error("the store failed: {0}")]
    Store(String),
}

impl From<StoreError> for PinsError {
    fn from(error: StoreError) -> Self {
        Self::Store(error.to_string())
    }
}

impl From<CommitError> for PinsError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::DiskFull => Self::DiskFull,
            other => Self::Store(other.to_string()),
        }
    }
}
