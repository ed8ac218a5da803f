//! How things stand, for people.

use crate::trouble::Kind;
use serde::{Deserialize, Serialize};
use wardpost_mail::Domain;

/// The last thing that failed, until something succeeds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// When, Unix seconds.
    pub when: i64,
    /// What kind of thing.
    pub kind: Kind,
    /// What happened, in words.
    pub says: String,
    /// What to do about it.
    pub to_do: String,
}

/// A name that is not in the certificate because it failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Which.
    pub name: Domain,
    /// When it is tried again, Unix seconds.
    pub until: i64,
    /// How often it failed.
    pub(crate) times: u32,
    /// What happened, in words.
    pub says: String,
    /// What to do about it.
    pub to_do: String,
}

/// How things stand with certificates from the authority. Times are Unix seconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The authority's directory.
    pub directory: String,
    /// Since when its certificate is used; `None` as long as the self-signed one is.
    pub since: Option<i64>,
    /// When it ends.
    pub ends: Option<i64>,
    /// When it is renewed, if nothing else happens.
    pub renewal: Option<i64>,
    /// An order is under way.
    pub working: bool,
    /// Failures since the last success.
    pub failures: u32,
    /// What failed last, if nothing has succeeded since.
    pub last_failure: Option<Failed>,
    /// When it is tried again after a failure.
    pub next_try: Option<i64>,
    /// Names that failed.
    pub left_out: Vec<LeftOut>,
    /// Why [`Acme::renew`](crate::Acme::renew) did not ask the authority, in words.
    pub refused: Option<String>,
}
