//! What a domain publishes about its mail servers, from facts to a demand.

use crate::chain::Roots;
use crate::dane::{Dane, NextHop};
use crate::{
    AddressChain, Deferral, Dnssec, Failure, FailureKind, LookupFailure, Observation, PolicyType,
    StsError, StsMode, StsPolicy, TlsGrade, TlsaAnswer, Trust, Verdict, grade, tlsa_bases,
};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use wardpost_mail::Domain;

/// What DNS and MTA-STS say about one exchanger of a domain.
#[derive(Debug, Clone)]
pub struct PathFacts {
    /// The mail domain.
    pub next_hop: Domain,
    /// Where the mail domain's own aliases lead, if the MX set was found there.
    pub next_hop_canonical: Option<Domain>,
    /// The exchanger's name as the MX record has it; the mail domain itself where there is none.
    pub host: Domain,
    /// The truth of the MX set, or of its absence.
    pub mx: Result<Dnssec, LookupFailure>,
    /// The way to the exchanger's addresses.
    pub address: Result<AddressChain, LookupFailure>,
    /// The answers for every name of [`tlsa_bases`].
    pub tlsa: Vec<TlsaAnswer>,
    /// What is known of the domain's MTA-STS policy.
    pub sts: StsFacts,
}

/// What is known of a domain's MTA-STS policy.
#[derive(Debug, Clone, Default)]
pub struct StsFacts {
    /// The policy that was fetched last, and how long ago. It holds until its `max_age` is over,
    /// whatever became of later attempts to fetch it (RFC 8461 §5.1).
    pub policy: Option<(StsPolicy, Duration)>,
    /// What went wrong when it was last looked for.
    pub problem: Option<StsProblem>,
}

/// What went wrong when an MTA-STS policy was looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StsProblem {
    /// The record was there and the policy could not be fetched.
    Fetch(String),
    /// The policy host's own certificate does not verify.
    Certificate(String),
    /// What was fetched is no policy, or the record is none.
    Invalid(StsError),
}

impl StsProblem {
    /// The word for it in reports (RFC 8460 §4.3.2.2).
    pub fn kind(&self) -> FailureKind {
        match self {
            Self::Fetch(_) => FailureKind::StsPolicyFetchError,
            Self::Certificate(_) => FailureKind::StsWebpkiInvalid,
            Self::Invalid(_) => FailureKind::StsPolicyInvalid,
        }
    }

    /// The problem as it is reported.
    pub(crate) fn failure(&self) -> Failure {
        Failure::new(self.kind(), self.to_string()).under(PolicyType::Sts)
    }
}

impl fmt::Display for StsProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fetch(error) => write!(f, "the MTA-STS policy could not be fetched: {error}"),
            Self::Certificate(error) => {
                write!(f, "the MTA-STS policy host's certificate does not verify: {error}")
            }
            Self::Invalid(error) => error.fmt(f),
        }
    }
}

/// What a domain published that its mail servers must be held to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Published {
    /// Usable TLSA records in a signed zone (RFC 7672).
    Dane,
    /// An MTA-STS policy in mode enforce (RFC 8461).
    MtaSts,
}

impl Published {
    /// The name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dane => "DANE",
            Self::MtaSts => "MTA-STS",
        }
    }

    /// The policy type in reports.
    pub fn policy_type(self) -> PolicyType {
        match self {
            Self::Dane => PolicyType::Tlsa,
            Self::MtaSts => PolicyType::Sts,
        }
    }
}

impl fmt::Display for Published {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What an MTA-STS policy asks of one host.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Sts {
    mode: StsMode,
    listed: bool,
}

/// What a domain publishes about one of its exchangers, and what was pinned for it. Made before
/// connecting, used on what was seen after. Equal policies judge alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    host: Domain,
    dane: Dane,
    sts: Option<Sts>,
    sts_problem: Option<StsProblem>,
    trust: Option<Arc<Trust>>,
}

impl Policy {
    /// Draws up what is asked of an exchanger.
    ///
    /// # Errors
    /// [`Deferral`] when a fact that DANE hangs on is bogus or did not come: the exchanger must not
    /// be used now. Trouble with MTA-STS never defers (RFC 8461 §5).
    pub fn of(facts: &PathFacts) -> Result<Self, Deferral> {
        let failed = |what: String| move |failure| Deferral::new(&what, failure);
        let mx = facts.mx.map_err(failed(format!("the MX record of {}", facts.next_hop)))?;
        let address = facts.address.as_ref().map_err(|failure| *failure);
        let address = address.map_err(failed(format!("the address of {}", facts.host)))?;
        let bases = tlsa_bases(&facts.host, mx, address);
        let next_hop =
            NextHop { domain: &facts.next_hop, canonical: facts.next_hop_canonical.as_ref() };
        let dane = Dane::of(&facts.host, &next_hop, &bases, &facts.tlsa)?;
        let policy = facts.sts.policy.as_ref().filter(|(policy, age)| policy.holds(*age));
        let sts = policy
            .map(|(policy, _)| Sts { mode: policy.mode(), listed: policy.covers(&facts.host) });
        let (host, sts_problem) = (facts.host.clone(), facts.sts.problem.clone());
        Ok(Self { host, dane, sts, sts_problem, trust: None })
    }

    /// The same with what was pinned for the domain in place of the public CAs. Empty trust changes
    /// nothing.
    #[must_use]
    pub fn with_trust(mut self, trust: Arc<Trust>) -> Self {
        self.trust = (!trust.is_empty()).then_some(trust);
        self
    }

    /// What the exchanger must be held to; `None` leaves the floor where it is.
    pub fn published(&self) -> Option<Published> {
        match (&self.dane, &self.sts) {
            (Dane::Required(_), _) => Some(Published::Dane),
            (_, Some(Sts { mode: StsMode::Enforce, .. })) => Some(Published::MtaSts),
            _ => None,
        }
    }

    /// Whether mail in clear is out of the question, notices included: the domain says that it has
    /// TLS, even if by records that nothing can be verified with (RFC 7672 §2.2).
    pub fn forbids_cleartext(&self) -> bool {
        self.published().is_some() || matches!(self.dane, Dane::Unusable(_))
    }

    /// Whether a notice, which says nothing but is mail, may go over a path that got this verdict:
    /// over one that satisfies what the domain publishes; over any TLS where the domain says no more
    /// than that it has TLS; and else over whatever there is.
    pub fn permits_notice(&self, verdict: &Verdict) -> bool {
        match self.published() {
            Some(_) => verdict.published() == self.published() && verdict.grade() >= TlsGrade::T4,
            None => verdict.is_encrypted() || !self.forbids_cleartext(),
        }
    }

    /// Judges what was seen of the path to the exchanger at the time `now`.
    pub fn grade(&self, seen: &Observation, roots: &Roots, now: SystemTime) -> Verdict {
        let verdict = self.grade_published(seen, roots, now);
        match (&self.trust, seen) {
            (Some(trust), Observation::Completed(facts)) => {
                verdict.held_to_pin(trust.check(&self.host, &facts.chain, now))
            }
            _ => verdict,
        }
    }

    fn grade_published(&self, seen: &Observation, roots: &Roots, now: SystemTime) -> Verdict {
        let plain = grade(&self.host, seen, roots, now);
        let mut verdict = match (&self.dane, &self.sts, seen) {
            (Dane::Required(requirement), _, Observation::Completed(facts)) => {
                let outcome = requirement.check(&facts.chain, now);
                without_public_ca(plain, &outcome).under(Published::Dane, outcome)
            }
            (Dane::Required(_), ..) => plain.under(Published::Dane, Err(Vec::new())),
            (_, Some(sts), _) => sts.apply(&self.host, plain),
            _ => plain,
        };
        if let Dane::Unusable(failure) = &self.dane {
            verdict.remark([failure.clone()]);
        }
        verdict.remark(self.sts_problem.iter().map(StsProblem::failure));
        verdict
    }
}

/// What public CAs would say is of no interest where DANE decides; the grade that was earned by them
/// stays.
fn without_public_ca(mut plain: Verdict, outcome: &Result<(), Vec<Failure>>) -> Verdict {
    if outcome.is_err() {
        plain.forget_failures();
    }
    plain
}

impl Sts {
    /// RFC 8461 §4.1 and §5: the policy must name the host, and the host must have TLS with a
    /// certificate from a public CA that carries the host's name.
    fn apply(&self, host: &Domain, mut plain: Verdict) -> Verdict {
        let mut missed = Vec::new();
        if !self.listed {
            let detail = format!("the domain's MTA-STS policy does not name {host}");
            let kind = FailureKind::ValidationFailure;
            missed.push(Failure::new(kind, detail).under(PolicyType::Sts));
        }
        let satisfied = plain.is_encrypted() && plain.failures().is_empty() && self.listed;
        match self.mode {
            StsMode::Enforce if satisfied => plain.under(Published::MtaSts, Ok(())),
            StsMode::Enforce => plain.under(Published::MtaSts, Err(missed)),
            StsMode::Testing => {
                let seen: Vec<Failure> = plain.failures().to_vec();
                let seen = seen.into_iter().map(|failure| failure.under(PolicyType::Sts));
                plain.remark(seen.chain(missed));
                plain
            }
            StsMode::None => plain,
        }
    }
}
