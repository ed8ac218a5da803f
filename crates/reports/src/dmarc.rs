//! What is told of one message whose author domain asks for DMARC aggregate reports.

use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use wardpost_mail::{Domain, ReversePath};
use wardpost_policy::{
    DkimEvidence, DkimResult, DmarcPolicy, DmarcResult as Judged, SenderEvidence, SpfResult,
};

/// Signatures of one message that are told of.
pub const MAX_SIGNATURES: usize = 10;

/// What a domain asks to be done with failures (RFC 7489 §6.3 `p`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Asked {
    /// Nothing.
    #[default]
    None,
    /// Treat as suspicious.
    Quarantine,
    /// Refuse.
    Reject,
}

/// The policy as it was published, for `policy_published`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Published {
    /// For the domain.
    pub p: Asked,
    /// For its subdomains.
    pub sp: Asked,
    /// For subdomains that do not exist (RFC 9989).
    pub np: Asked,
    /// DKIM domains must be the very domain.
    pub strict_dkim: bool,
    /// The same for SPF.
    pub strict_spf: bool,
    /// The domain is only testing (RFC 9989 `t=y`).
    pub testing: bool,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Disposition {
    /// Nothing was done on account of the policy.
    #[default]
    None,
    /// It passed.
    Pass,
    /// It was put into Junk.
    Quarantine,
    /// It was refused.
    Reject,
}

/// An outcome of SPF or DKIM (RFC 8601 §2.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Nothing to check.
    #[default]
    None,
    /// Passed.
    Pass,
    /// Failed.
    Fail,
    /// SPF `~all`.
    SoftFail,
    /// No opinion.
    Neutral,
    /// DNS did not answer.
    TempError,
    /// The record or signature cannot be read.
    PermError,
}

/// One DKIM signature.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DkimSeen {
    /// `d=`.
    pub domain: String,
    /// `s=`.
    pub selector: String,
    /// What came of it.
    pub outcome: Outcome,
}

/// The SPF check.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SpfSeen {
    /// The domain that was checked.
    pub domain: String,
    /// It was the HELO name, for want of a MAIL FROM.
    pub helo: bool,
    /// What came of it.
    pub outcome: Outcome,
}

/// One message, judged under its author domain's policy. Names no person.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DmarcRow {
    /// The domain in From.
    pub header_from: Domain,
    /// The domain in MAIL FROM.
    pub envelope_from: Option<Domain>,
    /// The client.
    pub source: IpAddr,
    /// What was done with the message.
    pub disposition: Disposition,
    /// Less was done than the policy asks for, by our own rules.
    pub overridden: bool,
    /// DKIM passes for an aligned domain.
    pub dkim_aligned: bool,
    /// SPF passes for an aligned domain.
    pub spf_aligned: bool,
    /// All signatures, at most [`MAX_SIGNATURES`].
    pub dkim: Vec<DkimSeen>,
    /// SPF.
    pub spf: SpfSeen,
}

/// A message to be counted, and what was published about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DmarcResult {
    /// Where the policy was found: at the author domain, or above it.
    pub policy_domain: Domain,
    /// The message.
    pub row: DmarcRow,
    /// The policy it was judged by.
    pub published: Published,
}

impl DmarcResult {
    /// What there is to tell of a message that was judged; `None` when there is no policy, or not
    /// everything was found out. `done` is what was done on account of the policy.
    pub fn of(
        evidence: &SenderEvidence,
        source: IpAddr,
        sender: &ReversePath,
        done: Disposition,
    ) -> Option<Self> {
        let dmarc = &evidence.dmarc;
        let disposition = match (dmarc.result, done) {
            (Judged::Pass, _) => Disposition::Pass,
            (Judged::Fail, done) => done,
            (Judged::None | Judged::TempError | Judged::PermError, _) => return None,
        };
        let obeyed = match dmarc.asked {
            DmarcPolicy::None => Disposition::None,
            DmarcPolicy::Quarantine => Disposition::Quarantine,
            DmarcPolicy::Reject => Disposition::Reject,
        };
        let (spf, helo) = match &evidence.spf_mail_from {
            Some(spf) => (spf, false),
            None => (&evidence.spf_helo, true),
        };
        let row = DmarcRow {
            header_from: Domain::parse(&dmarc.from).ok()?,
            envelope_from: sender.address().map(|address| address.domain().clone()),
            source,
            disposition,
            overridden: disposition != Disposition::Pass && disposition != obeyed,
            dkim_aligned: dmarc.dkim_aligned,
            spf_aligned: dmarc.spf_aligned,
            dkim: evidence.dkim.iter().take(MAX_SIGNATURES).map(DkimSeen::of).collect(),
            spf: SpfSeen { domain: cut(&spf.domain), helo, outcome: spf_outcome(spf.result) },
        };
        let published = Published {
            p: dmarc.p.into(),
            sp: dmarc.sp.into(),
            np: dmarc.np.into(),
            strict_dkim: dmarc.strict_dkim,
            strict_spf: dmarc.strict_spf,
            testing: dmarc.testing,
        };
        let policy_domain = Domain::parse(dmarc.found_at.as_ref()?).ok()?;
        Some(Self { policy_domain, row, published })
    }
}

impl DkimSeen {
    fn of(evidence: &DkimEvidence) -> Self {
        Self {
            domain: cut(&evidence.domain),
            selector: cut(&evidence.selector),
            outcome: match evidence.result {
                DkimResult::Pass => Outcome::Pass,
                DkimResult::Fail => Outcome::Fail,
                DkimResult::None => Outcome::None,
                DkimResult::TempError => Outcome::TempError,
                DkimResult::PermError => Outcome::PermError,
            },
        }
    }
}

impl From<DmarcPolicy> for Asked {
    fn from(policy: DmarcPolicy) -> Self {
        match policy {
            DmarcPolicy::None => Self::None,
            DmarcPolicy::Quarantine => Self::Quarantine,
            DmarcPolicy::Reject => Self::Reject,
        }
    }
}

fn spf_outcome(result: SpfResult) -> Outcome {
    match result {
        SpfResult::Pass => Outcome::Pass,
        SpfResult::Fail => Outcome::Fail,
        SpfResult::SoftFail => Outcome::SoftFail,
        SpfResult::Neutral => Outcome::Neutral,
        SpfResult::None => Outcome::None,
        SpfResult::TempError => Outcome::TempError,
        SpfResult::PermError => Outcome::PermError,
    }
}

/// A stranger's name as it may stand in XML: printable, and no longer than domains are.
fn cut(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_graphic()).take(253).collect()
}
