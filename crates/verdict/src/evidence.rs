//! The facts about a path and the judgement on it, as they are kept: bounded in size, and readable
//! years later without the software that made them.

use crate::{
    Deferral, Dnssec, Floor, FloorSource, LookupFailure, MxPattern, PathFacts, StsMode, Verdict,
};
use serde::{Deserialize, Serialize};
use wardpost_mail::Domain;

/// TLSA records kept of one name.
const MAX_RECORDS: usize = 8;
/// Characters kept of one TLSA record: any digest in full, of a whole certificate the beginning.
const MAX_RECORD: usize = 140;
/// Hosts kept of an MTA-STS policy.
const MAX_HOSTS: usize = 16;

/// What was known of a path, what was demanded of it, and what was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathEvidence {
    /// The mail domain.
    pub next_hop: Domain,
    /// The exchanger.
    pub host: Domain,
    /// The truth of the MX set, or of its absence.
    pub mx: Result<Dnssec, LookupFailure>,
    /// The truth of the exchanger's addresses, aliases included.
    pub address: Result<Dnssec, LookupFailure>,
    /// Where the exchanger's aliases lead, if it has any.
    pub canonical: Option<Domain>,
    /// The TLSA records, one entry for each name that was asked.
    pub tlsa: Vec<TlsaEvidence>,
    /// The MTA-STS policy that was known.
    pub sts: Option<StsEvidence>,
    /// What went wrong when the MTA-STS policy was looked for.
    pub sts_problem: Option<String>,
    /// The grade that was demanded, and who demanded it. `None` when it never came to that.
    pub floor: Option<(Floor, FloorSource)>,
    /// The judgement; `None` when the host was not connected to.
    pub verdict: Option<Verdict>,
    /// Why the host must not be used now.
    pub deferral: Option<Deferral>,
}

/// The TLSA records of one name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsaEvidence {
    /// The name without `_25._tcp.`.
    pub base: Domain,
    /// The records in zone-file form, shortened where they are long, and their truth.
    pub records: Result<(Vec<String>, Dnssec), LookupFailure>,
}

/// An MTA-STS policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StsEvidence {
    /// Its mode.
    pub mode: StsMode,
    /// The hosts it names; the first of them when there are many.
    pub mx: Vec<MxPattern>,
    /// Whether it names this host.
    pub covers: bool,
    /// Seconds since it was fetched.
    pub age: u64,
    /// Seconds that it holds from then on.
    pub max_age: u64,
}

impl PathEvidence {
    /// The facts, before anything was demanded or seen.
    pub fn of(facts: &PathFacts) -> Self {
        let canonical = |host: &Domain| (*host != facts.host).then(|| host.clone());
        let address = facts.address.as_ref();
        Self {
            next_hop: facts.next_hop.clone(),
            host: facts.host.clone(),
            mx: facts.mx,
            address: address.map(|chain| chain.whole).map_err(|failure| *failure),
            canonical: address.ok().and_then(|chain| canonical(&chain.canonical)),
            tlsa: facts.tlsa.iter().map(TlsaEvidence::of).collect(),
            sts: StsEvidence::of(facts),
            sts_problem: facts.sts.problem.as_ref().map(|problem| problem.failure().detail),
            floor: None,
            verdict: None,
            deferral: None,
        }
    }

    /// With what was demanded and seen.
    #[must_use]
    pub fn judged(mut self, verdict: &Verdict, floor: (Floor, FloorSource)) -> Self {
        self.verdict = Some(verdict.clone());
        self.floor = Some(floor);
        self
    }

    /// With the reason why the host was left alone.
    #[must_use]
    pub fn deferred(mut self, deferral: Deferral) -> Self {
        self.deferral = Some(deferral);
        self
    }
}

impl TlsaEvidence {
    fn of(answer: &crate::TlsaAnswer) -> Self {
        let shortened = |record: &crate::Tlsa| {
            let text = record.to_string();
            match text.char_indices().nth(MAX_RECORD) {
                Some((end, _)) => format!("{}…", &text[..end]),
                None => text,
            }
        };
        let records = answer.records.as_ref().map_err(|failure| *failure).map(|(set, dnssec)| {
            (set.iter().take(MAX_RECORDS).map(shortened).collect::<Vec<_>>(), *dnssec)
        });
        Self { base: answer.base.clone(), records }
    }
}

impl StsEvidence {
    fn of(facts: &PathFacts) -> Option<Self> {
        let (policy, age) = facts.sts.policy.as_ref()?;
        Some(Self {
            mode: policy.mode(),
            mx: policy.mx().iter().take(MAX_HOSTS).cloned().collect(),
            covers: policy.covers(&facts.host),
            age: age.as_secs(),
            max_age: policy.max_age().as_secs(),
        })
    }
}
