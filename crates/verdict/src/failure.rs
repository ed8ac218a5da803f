//! What kept a path from a better grade, in the words of RFC 8460 §4.3 and in plain ones.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What kind of failure kept a path from a better grade: the result types of RFC 8460 §4.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// `starttls-not-supported`: STARTTLS was not offered, or was refused.
    StarttlsNotSupported,
    /// `certificate-host-mismatch`: no name in the certificate is one that was asked for.
    CertificateHostMismatch,
    /// `certificate-expired`.
    CertificateExpired,
    /// `certificate-not-trusted`: no path to a trusted authority.
    CertificateNotTrusted,
    /// `validation-failure`: anything else, a broken handshake included.
    ValidationFailure,
    /// `tlsa-invalid`: there are TLSA records, and none can be used.
    TlsaInvalid,
    /// `dnssec-invalid`: an answer's signature is bogus, or the answer did not come.
    DnssecInvalid,
    /// `sts-policy-fetch-error`: the MTA-STS policy could not be fetched.
    StsPolicyFetchError,
    /// `sts-policy-invalid`: what was fetched is no policy.
    StsPolicyInvalid,
    /// `sts-webpki-invalid`: the policy host's own certificate does not verify.
    StsWebpkiInvalid,
}

impl FailureKind {
    /// All kinds.
    pub const ALL: [Self; 10] = [
        Self::StarttlsNotSupported,
        Self::CertificateHostMismatch,
        Self::CertificateExpired,
        Self::CertificateNotTrusted,
        Self::ValidationFailure,
        Self::TlsaInvalid,
        Self::DnssecInvalid,
        Self::StsPolicyFetchError,
        Self::StsPolicyInvalid,
        Self::StsWebpkiInvalid,
    ];

    /// The result type as RFC 8460 §4.3 writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::StarttlsNotSupported => "starttls-not-supported",
            Self::CertificateHostMismatch => "certificate-host-mismatch",
            Self::CertificateExpired => "certificate-expired",
            Self::CertificateNotTrusted => "certificate-not-trusted",
            Self::ValidationFailure => "validation-failure",
            Self::TlsaInvalid => "tlsa-invalid",
            Self::DnssecInvalid => "dnssec-invalid",
            Self::StsPolicyFetchError => "sts-policy-fetch-error",
            Self::StsPolicyInvalid => "sts-policy-invalid",
            Self::StsWebpkiInvalid => "sts-webpki-invalid",
        }
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The policy that a failure is counted under in reports (RFC 8460 §4.2 `policy-type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PolicyType {
    /// `tlsa`: DANE.
    Tlsa,
    /// `sts`: MTA-STS.
    Sts,
    /// `no-policy-found`: the domain publishes neither.
    NoPolicyFound,
}

impl PolicyType {
    /// The policy type as RFC 8460 §4.2 writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tlsa => "tlsa",
            Self::Sts => "sts",
            Self::NoPolicyFound => "no-policy-found",
        }
    }
}

impl fmt::Display for PolicyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One failure, with its detail in plain words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The kind.
    pub kind: FailureKind,
    /// What it failed against.
    pub policy: PolicyType,
    /// What exactly, for a person. Free of addresses and message content.
    pub detail: String,
}

impl Failure {
    pub(crate) fn new(kind: FailureKind, detail: impl Into<String>) -> Self {
        Self { kind, policy: PolicyType::NoPolicyFound, detail: detail.into() }
    }

    pub(crate) fn under(mut self, policy: PolicyType) -> Self {
        self.policy = policy;
        self
    }
}
