//! From what was seen to a grade with reasons.

use crate::chain::{CertificateSummary, Roots, failures};
use crate::{
    ChannelBinding, Failure, FailureKind, HandshakeFacts, Observation, Published, TlsGrade,
    TlsVersion,
};
use serde::{Deserialize, Serialize};
use std::time::SystemTime;
use wardpost_mail::Domain;

/// What was seen of a TLS path, judged. Serialises as evidence; what is read back can be shown but
/// admits no connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    host: Domain,
    grade: TlsGrade,
    published: Option<Published>,
    #[serde(skip)]
    pinned: bool,
    failures: Vec<Failure>,
    remarks: Vec<Failure>,
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

    /// What the domain published and the path was held to. It raises every floor to T4
    /// ([`Verdict::admit`] sees to it).
    pub fn published(&self) -> Option<Published> {
        self.published
    }

    /// Whether the host's identity was judged by what an administrator pinned, not by public CAs. A
    /// verdict read back from storage has forgotten it; its explanation and its failures tell.
    pub fn pinned(&self) -> bool {
        self.pinned
    }

    /// What kept the path from T3, or from T4 where the domain published that it must reach that.
    pub fn failures(&self) -> &[Failure] {
        &self.failures
    }

    /// What was found wrong and did not cost anything: failures against an MTA-STS policy in testing
    /// mode, TLSA records that cannot be used, a policy that could not be refreshed. For reports.
    pub fn remarks(&self) -> &[Failure] {
        &self.remarks
    }

    /// Adds what EHLO said inside TLS: a T4 path whose next hop offers REQUIRETLS is T5 (RFC 8689
    /// §4.2.1). It lifts nothing else.
    #[must_use]
    pub fn with_requiretls(mut self, offered: bool) -> Self {
        if offered && self.grade == TlsGrade::T4 {
            self.grade = TlsGrade::T5;
        }
        self
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
        if self.pinned && self.grade >= TlsGrade::T3 {
            text.push_str(", by the certificate pinned for the domain");
        }
        for (i, failure) in self.failures.iter().enumerate() {
            text.push_str(if i == 0 { "; " } else { ", and " });
            text.push_str(&failure.detail);
        }
        text
    }
}

/// Judges what was seen of the path to `host`, at the time `now`, when nothing is known of what its
/// domain publishes: T3 at best.
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
        published: None,
        pinned: false,
        failures: vec![Failure::new(kind, detail)],
        remarks: Vec::new(),
        version: None,
        suite: None,
        certificate: None,
        binding: None,
    }
}

fn completed(host: &Domain, facts: &HandshakeFacts, roots: &Roots, now: SystemTime) -> Verdict {
    let failures = failures(&facts.chain, &[host], roots, now);
    let grade = if failures.is_empty() { TlsGrade::T3 } else { TlsGrade::T2 };
    Verdict {
        host: host.clone(),
        grade,
        published: None,
        pinned: false,
        failures,
        remarks: Vec::new(),
        version: Some(facts.version),
        suite: Some(facts.suite.clone()),
        certificate: facts.chain.first().map(|der| CertificateSummary::read(der)),
        binding: Some(facts.binding),
    }
}

impl Verdict {
    /// The same under a policy of the domain's: `fits` when the path satisfies it, else what of it
    /// was missed besides what is wrong anyway.
    pub(crate) fn under(mut self, published: Published, outcome: Result<(), Vec<Failure>>) -> Self {
        let policy = published.policy_type();
        self.published = Some(published);
        match outcome {
            Ok(()) => {
                self.grade = TlsGrade::T4;
                self.failures.clear();
            }
            Err(failures) => {
                self.failures.iter_mut().for_each(|failure| failure.policy = policy);
                for failure in failures {
                    if !self.failures.contains(&failure) {
                        self.failures.push(failure);
                    }
                }
            }
        }
        self
    }

    /// The same held to what was pinned for the domain in place of the public CAs, whose word counts
    /// for nothing any more, save where an enforced MTA-STS policy wants it too (RFC 8461 §4.2).
    pub(crate) fn held_to_pin(mut self, outcome: Result<(), Vec<Failure>>) -> Self {
        self.pinned = true;
        if self.published.is_none() {
            self.failures.clear();
        }
        match outcome {
            Ok(()) => self.grade = self.grade.max(TlsGrade::T3),
            Err(failures) => {
                self.grade = self.grade.min(TlsGrade::T2);
                self.failures.extend(failures);
            }
        }
        self
    }

    pub(crate) fn remark(&mut self, failures: impl IntoIterator<Item = Failure>) {
        self.remarks.extend(failures);
    }

    pub(crate) fn forget_failures(&mut self) {
        self.failures.clear();
    }

    /// Whether a handshake went through.
    pub(crate) fn is_encrypted(&self) -> bool {
        self.version.is_some()
    }
}
