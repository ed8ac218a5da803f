//! How far an answer of DNS can be believed, and what to make of one that did not come.

use crate::{Failure, FailureKind, PolicyType};
use serde::{Deserialize, Serialize};
use std::fmt;
use thiserror::Error;

/// How far an answer can be believed (RFC 4033 §5). Bogus answers are no answers: they are a
/// [`LookupFailure`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dnssec {
    /// Signed, and the chain of signatures leads to the trust anchor.
    Secure,
    /// Provably unsigned.
    Insecure,
    /// Nobody checked, or nobody could.
    Indeterminate,
}

impl Dnssec {
    /// The truth of two answers taken together: that of the weaker one.
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Indeterminate, _) | (_, Self::Indeterminate) => Self::Indeterminate,
            (Self::Insecure, _) | (_, Self::Insecure) => Self::Insecure,
            (Self::Secure, Self::Secure) => Self::Secure,
        }
    }

    /// Whether the answer is proven.
    pub fn is_secure(self) -> bool {
        self == Self::Secure
    }

    /// The word for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Secure => "secure",
            Self::Insecure => "insecure",
            Self::Indeterminate => "indeterminate",
        }
    }
}

impl fmt::Display for Dnssec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a look-up gave nothing that can be judged. Neither case ever counts as "no such record".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LookupFailure {
    /// The DNSSEC signature is wrong, or missing where there must be one.
    #[error("its DNSSEC signature is not valid")]
    Bogus,
    /// SERVFAIL, time-out or the like.
    #[error("DNS gave no answer")]
    Temporary,
}

/// There is nothing to judge yet: this host must not be used now. Another exchanger may be tried,
/// else the message waits (RFC 7672 §2.1).
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, Deserialize)]
#[error("{}", .0.detail)]
pub struct Deferral(pub(crate) Failure);

impl Deferral {
    pub(crate) fn new(what: &str, failure: LookupFailure) -> Self {
        let detail = format!("{what} cannot be relied on: {failure}");
        Self(Failure::new(FailureKind::DnssecInvalid, detail).under(PolicyType::Tlsa))
    }

    /// The reason, as it is reported.
    pub fn failure(&self) -> &Failure {
        &self.0
    }
}
