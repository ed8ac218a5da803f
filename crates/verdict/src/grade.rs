//! From what was seen to a grade with reasons.

use crate::chain::{CertificateSummary, Roots, failures};
use crate::{ChannelBinding, HandshakeFacts, Observation, TlsGrade, TlsVersion};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::SystemTime;
use wardpost_mail::Domain;

/// What kind of failure kept a path from a better grade, in the words of RFC 8460 §4.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// `starttls-not-supported`: STARTTLS was not offered, or was refused.
    StarttlsNotSupported,
    /// `certificate-host-mismatch`: no name in the certificate is the MX host's.
    CertificateHostMismatch,
    /// `certificate-expired`.
    CertificateExpired,
    /// `certificate-not-trusted`: no path to a trusted authority.
    CertificateNotTrusted,
    /// `validation-failure`: anything else, a broken handshake included.
    ValidationFailure,
}

impl FailureKind {
    /// The result type as RFC 8460 §4.3 writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::StarttlsNotSupported => "starttls-not-supported",
            Self::CertificateHostMismatch => "certificate-host-mismatch",
            Self::CertificateExpired => "certificate-expired",
            Self::CertificateNotTrusted => "certificate-not-trusted",
            Self::ValidationFailure => "validation-failure",
        }
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One failure, with its detail in plain words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The kind.
    pub kind: FailureKind,
    /// What exactly, for a person. Free of addresses and message content.
    pub detail: String,
}

impl Failure {
    pub(crate) fn new(kind: FailureKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into() }
    }
}

/// What was seen of a TLS path, judged. Serialises as evidence; what is read back can be shown but
/// admits no connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    host: Domain,
    grade: TlsGrade,
    failures: Vec<Failure>,
    version: Option<TlsVersion>,
    suite: Option<String>,
    certificate: Option<CertificateSummary>,
    #[serde(skip)]
    binding: Option<ChannelBinding>,
}

impl Verdict {
    /// The host that was judged, by the name it was held to.
    pub fn host(&self) -> &Domain {
        &self.host
    }

    /// The grade.
    pub fn grade(&self) -> TlsGrade {
        self.grade
    }

    /// What kept the path from T3; empty from T3 on.
    pub fn failures(&self) -> &[Failure] {
        &self.failures
    }

    /// The TLS version, if a handshake went through.
    pub fn version(&self) -> Option<TlsVersion> {
        self.version
    }

    /// The cipher suite, if a handshake went through.
    pub fn suite(&self) -> Option<&str> {
        self.suite.as_deref()
    }

    /// The host's certificate, if it showed one.
    pub fn certificate(&self) -> Option<&CertificateSummary> {
        self.certificate.as_ref()
    }

    pub(crate) fn binding(&self) -> Option<ChannelBinding> {
        self.binding
    }

    /// One sentence for a person.
    pub fn explain(&self) -> String {
        let mut text = format!("{}: {}", self.host, self.grade.explain());
        if let (Some(version), Some(suite)) = (self.version, &self.suite) {
            text.push_str(&format!(" ({version}, {suite})"));
        }
        for (i, failure) in self.failures.iter().enumerate() {
            text.push_str(if i == 0 { "; " } else { ", and " });
            text.push_str(&failure.detail);
        }
        text
    }
}

/// Judges what was seen of the path to `host`, at the time `now`.
pub fn grade(host: &Domain, seen: &Observation, roots: &Roots, now: SystemTime) -> Verdict {
    match seen {
        Observation::NotOffered => {
            let kind = FailureKind::StarttlsNotSupported;
            broken(host, TlsGrade::T0, kind, "the server offers no encryption".into())
        }
        Observation::Refused(code) => {
            let detail = format!("the server offers encryption but answered {code} to STARTTLS");
            broken(host, TlsGrade::T0, FailureKind::StarttlsNotSupported, detail)
        }
        Observation::OldTls => {
            let detail = "the server has nothing newer than TLS 1.1".into();
            broken(host, TlsGrade::T1, FailureKind::ValidationFailure, detail)
        }
        Observation::HandshakeFailed(error) => {
            let detail = format!("the TLS handshake failed: {error}");
            broken(host, TlsGrade::T0, FailureKind::ValidationFailure, detail)
        }
        Observation::Completed(facts) => completed(host, facts, roots, now),
    }
}

fn broken(host: &Domain, grade: TlsGrade, kind: FailureKind, detail: String) -> Verdict {
    Verdict {
        host: host.clone(),
        grade,
        failures: vec![Failure::new(kind, detail)],
        version: None,
        suite: None,
        certificate: None,
        binding: None,
    }
}

fn completed(host: &Domain, facts: &HandshakeFacts, roots: &Roots, now: SystemTime) -> Verdict {
    let failures = failures(&facts.chain, host, roots, now);
    let grade = if failures.is_empty() { TlsGrade::T3 } else { TlsGrade::T2 };
    Verdict {
        host: host.clone(),
        grade,
        failures,
        version: Some(facts.version),
        suite: Some(facts.suite.clone()),
        certificate: facts.chain.first().map(|der| CertificateSummary::read(der)),
        binding: Some(facts.binding),
    }
}
