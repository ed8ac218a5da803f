//! What was found out about a sender, in full: for reports to domain owners (RFC 9990) and for a person who
//! asks why. The judge needs only the summary in [`InboundFacts`](crate::InboundFacts).

use crate::{ArcResult, DkimResult, DmarcPolicy, DmarcResult, SpfResult};

/// One SPF check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpfEvidence {
    /// The domain that was asked: that of MAIL FROM, or the HELO name.
    pub domain: String,
    /// What came of it.
    pub result: SpfResult,
}

/// One DKIM signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DkimEvidence {
    /// `d=`, as far as it could be read.
    pub domain: String,
    /// `s=`, as far as it could be read.
    pub selector: String,
    /// What came of it. A signature that verifies and covers too little is not a pass.
    pub result: DkimResult,
    /// Why it is no pass, in words.
    pub reason: Option<&'static str>,
}

/// DMARC for one author's domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DmarcEvidence {
    /// The domain in From.
    pub from: String,
    /// Where the policy that applies was found; `None` when there is none, or it is not known.
    pub found_at: Option<String>,
    /// Its `p`.
    pub p: DmarcPolicy,
    /// Its `sp`, or what stands for it.
    pub sp: DmarcPolicy,
    /// Its `np`, or what stands for it.
    pub np: DmarcPolicy,
    /// `adkim=s`.
    pub strict_dkim: bool,
    /// `aspf=s`.
    pub strict_spf: bool,
    /// `t=y`.
    pub testing: bool,
    /// What is asked for this message, were it to fail; `t=y` has stepped it down.
    pub asked: DmarcPolicy,
    /// Whether an aligned DKIM signature passed.
    pub dkim_aligned: bool,
    /// Whether an aligned SPF check passed.
    pub spf_aligned: bool,
    /// The outcome.
    pub result: DmarcResult,
}

/// The chain of those who handed a message on (RFC 8617).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArcEvidence {
    /// Whether it holds.
    pub result: ArcResult,
    /// Who sealed, oldest first; empty unless the chain passes.
    pub sealers: Vec<String>,
    /// Why it does not hold, in words.
    pub reason: Option<&'static str>,
}

/// Everything that was found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SenderEvidence {
    /// SPF of the HELO name.
    pub spf_helo: SpfEvidence,
    /// SPF of MAIL FROM; `None` for `<>`.
    pub spf_mail_from: Option<SpfEvidence>,
    /// The signatures that were looked at.
    pub dkim: Vec<DkimEvidence>,
    /// DMARC of the author's domain: of several that one whose outcome asks for most.
    pub dmarc: DmarcEvidence,
    /// ARC.
    pub arc: ArcEvidence,
}
