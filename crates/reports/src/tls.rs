//! What is told of one TLS session with another domain's server.

use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use wardpost_mail::Domain;
use wardpost_verdict::{Failure, PolicyType, StsMode, StsPolicy, Tlsa, Verdict};

/// Lines of a policy that are kept.
const MAX_LINES: usize = 40;

/// The policy that a session was held to, as a report shows it (RFC 8460 §4.2).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PolicyFound {
    /// Its kind.
    pub kind: PolicyType,
    /// `policy-string`: the lines of an MTA-STS policy, or TLSA records in presentation form.
    pub lines: Vec<String>,
    /// `mx-host`: the patterns an MTA-STS policy names.
    pub mx: Vec<String>,
}

impl PolicyFound {
    /// The domain publishes nothing.
    pub fn none() -> Self {
        Self::unspecified(PolicyType::NoPolicyFound)
    }

    /// An MTA-STS policy; one in mode none is as good as absent (RFC 8461 §5).
    pub fn sts(policy: &StsPolicy) -> Self {
        if policy.mode() == StsMode::None {
            return Self::none();
        }
        let mx = policy.mx().iter().take(MAX_LINES).map(ToString::to_string).collect();
        let lines = policy.lines().into_iter().take(MAX_LINES).collect();
        Self { kind: PolicyType::Sts, lines, mx }
    }

    /// TLSA records.
    pub fn tlsa(records: &[Tlsa]) -> Self {
        // A record may hold a whole certificate; nobody wants to read that in a report.
        let text = |record: &Tlsa| record.to_string().chars().take(160).collect();
        let lines = records.iter().take(MAX_LINES).map(text).collect();
        Self { kind: PolicyType::Tlsa, lines, mx: Vec::new() }
    }

    /// A policy of which nothing but its kind is known, because it could not be fetched or there were
    /// too many of them.
    pub(crate) fn unspecified(kind: PolicyType) -> Self {
        Self { kind, lines: Vec::new(), mx: Vec::new() }
    }
}

/// One TLS session with a server of another domain, or an attempt at one.
#[derive(Debug, Clone)]
pub struct TlsResult<'a> {
    /// The recipients' domain.
    pub domain: &'a Domain,
    /// What it publishes.
    pub policy: PolicyFound,
    /// The mail exchanger's name, if it came as far as one.
    pub host: Option<&'a Domain>,
    /// The mail exchanger's address.
    pub receiving: Option<IpAddr>,
    /// Ours.
    pub sending: Option<IpAddr>,
    /// What went wrong, in testing mode too; empty for a session without fault.
    pub failures: Vec<&'a Failure>,
}

impl<'a> TlsResult<'a> {
    /// A session that was judged.
    pub fn judged(
        domain: &'a Domain,
        policy: PolicyFound,
        verdict: &'a Verdict,
        receiving: IpAddr,
    ) -> Self {
        Self {
            domain,
            policy,
            host: Some(verdict.host()),
            receiving: Some(receiving),
            sending: None,
            failures: verdict.failures().iter().chain(verdict.remarks()).collect(),
        }
    }

    /// Trouble before there could be a session, such as DNSSEC answers that are bogus.
    pub fn no_session(domain: &'a Domain, host: Option<&'a Domain>, failure: &'a Failure) -> Self {
        let policy = PolicyFound::unspecified(failure.policy);
        Self { domain, policy, host, receiving: None, sending: None, failures: vec![failure] }
    }

    /// The same, with the address we sent from.
    #[must_use]
    pub fn from_address(mut self, sending: Option<IpAddr>) -> Self {
        self.sending = sending;
        self
    }
}
