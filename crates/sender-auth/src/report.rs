//! What was found, told twice: as facts for the judge and as the text of Authentication-Results
//! (RFC 8601), which must say the same.

use crate::{Claim, Found};
use wardpost_message::results::{self, AuthResult};
use wardpost_policy::{
    ArcResult, DkimResult, DmarcPolicy, DmarcResult, InboundFacts, IprevResult, SpfResult,
};

pub(crate) fn facts(found: &Found, vouched: bool) -> InboundFacts {
    let evidence = &found.evidence;
    InboundFacts {
        spf: evidence.spf_mail_from.as_ref().unwrap_or(&evidence.spf_helo).result,
        dkim: crate::dkim::best(found.dkim.iter().map(|checked| checked.finding.result)),
        dmarc: evidence.dmarc.result,
        dmarc_policy: evidence.dmarc.asked,
        arc: evidence.arc.result,
        vouched,
        iprev: found.iprev,
        ..InboundFacts::BARE
    }
}

/// A line of the field.
struct Line {
    method: &'static str,
    result: &'static str,
    reason: Option<String>,
    properties: Vec<(&'static str, String)>,
}

/// The field's value: each signature, both identities of SPF, DMARC, ARC and the reverse name.
pub(crate) fn text(hostname: &str, claim: Claim<'_>, found: &Found) -> String {
    let mut lines = signatures(found);
    lines.extend(spf(claim, found));
    lines.push(dmarc(found));
    lines.push(arc(claim, found));
    lines.push(Line {
        method: "iprev",
        result: match found.iprev {
            IprevResult::Pass => "pass",
            IprevResult::Fail => "fail",
            IprevResult::TempError => "temperror",
        },
        reason: None,
        properties: vec![("policy.iprev", claim.peer.to_string())],
    });
    let properties: Vec<Vec<(&str, &str)>> = lines
        .iter()
        .map(|line| line.properties.iter().map(|(name, value)| (*name, value.as_str())).collect())
        .collect();
    let results: Vec<AuthResult<'_>> = lines
        .iter()
        .zip(&properties)
        .map(|(line, properties)| AuthResult {
            method: line.method,
            result: line.result,
            reason: line.reason.as_deref(),
            properties,
        })
        .collect();
    results::value(hostname, &results)
}

fn signatures(found: &Found) -> Vec<Line> {
    if found.dkim.is_empty() {
        return vec![Line { method: "dkim", result: "none", reason: None, properties: Vec::new() }];
    }
    let line = |checked: &crate::dkim::Checked| {
        let mut properties = Vec::new();
        for (name, value) in [
            ("header.d", &checked.domain),
            ("header.s", &checked.selector),
            ("header.a", &checked.algorithm),
            ("header.b", &checked.b),
        ] {
            if !value.is_empty() {
                properties.push((name, value.clone()));
            }
        }
        if let Some(identity) = &checked.identity {
            properties.insert(properties.len().min(1), ("header.i", identity.clone()));
        }
        Line {
            method: "dkim",
            result: checked.finding.word,
            reason: checked.finding.reason.map(str::to_owned),
            properties,
        }
    };
    found.dkim.iter().map(line).collect()
}

fn spf(claim: Claim<'_>, found: &Found) -> Vec<Line> {
    let line = |result, property, identity: String| Line {
        method: "spf",
        result: spf_word(result),
        reason: None,
        properties: vec![(property, identity)],
    };
    let evidence = &found.evidence;
    let mut lines = vec![line(evidence.spf_helo.result, "smtp.helo", claim.helo.to_owned())];
    if let (Some(spf), Some(sender)) = (&evidence.spf_mail_from, claim.sender.address()) {
        lines.push(line(spf.result, "smtp.mailfrom", sender.to_string()));
    }
    lines
}

/// With the policy that applied and, where it differs, the one that is published (RFC 9989 §9.4 `polrec`).
fn dmarc(found: &Found) -> Line {
    let dmarc = &found.evidence.dmarc;
    let mut properties = Vec::new();
    if !dmarc.from.is_empty() {
        properties.push(("header.from", dmarc.from.clone()));
    }
    if dmarc.found_at.is_some() || dmarc.asked != DmarcPolicy::None {
        properties.push(("policy.dmarc", policy_word(dmarc.asked).to_owned()));
    }
    if let Some(at) = &dmarc.found_at {
        properties.push(("polrec.p", policy_word(dmarc.p).to_owned()));
        if *at != dmarc.from {
            properties.push(("polrec.domain", at.clone()));
        }
    }
    let reason = match dmarc.result {
        DmarcResult::Fail if dmarc.testing => Some("the domain is testing its policy".to_owned()),
        DmarcResult::TempError => Some("DNS did not answer".to_owned()),
        _ => None,
    };
    Line { method: "dmarc", result: dmarc_word(dmarc.result), reason, properties }
}

fn arc(claim: Claim<'_>, found: &Found) -> Line {
    let arc = &found.evidence.arc;
    let (result, reason) = match arc.result {
        ArcResult::None => ("none", None),
        ArcResult::Pass => {
            let newest = arc.sealers.last().cloned().unwrap_or_default();
            ("pass", Some(format!("i={}, sealed by {newest}", arc.sealers.len())))
        }
        ArcResult::Fail => ("fail", arc.reason.map(str::to_owned)),
    };
    let properties = match arc.result {
        ArcResult::None => Vec::new(),
        _ => vec![("smtp.remote-ip", claim.peer.to_string())],
    };
    Line { method: "arc", result, reason, properties }
}

fn spf_word(result: SpfResult) -> &'static str {
    match result {
        SpfResult::Pass => "pass",
        SpfResult::Fail => "fail",
        SpfResult::SoftFail => "softfail",
        SpfResult::Neutral => "neutral",
        SpfResult::None => "none",
        SpfResult::TempError => "temperror",
        SpfResult::PermError => "permerror",
    }
}

fn dmarc_word(result: DmarcResult) -> &'static str {
    match result {
        DmarcResult::Pass => "pass",
        DmarcResult::Fail => "fail",
        DmarcResult::None => "none",
        DmarcResult::TempError => "temperror",
        DmarcResult::PermError => "permerror",
    }
}

fn policy_word(policy: DmarcPolicy) -> &'static str {
    match policy {
        DmarcPolicy::None => "none",
        DmarcPolicy::Quarantine => "quarantine",
        DmarcPolicy::Reject => "reject",
    }
}

pub(crate) fn spf_result(result: mail_auth::SpfResult) -> SpfResult {
    match result {
        mail_auth::SpfResult::Pass => SpfResult::Pass,
        mail_auth::SpfResult::Fail => SpfResult::Fail,
        mail_auth::SpfResult::SoftFail => SpfResult::SoftFail,
        mail_auth::SpfResult::Neutral => SpfResult::Neutral,
        mail_auth::SpfResult::TempError => SpfResult::TempError,
        mail_auth::SpfResult::PermError => SpfResult::PermError,
        mail_auth::SpfResult::None => SpfResult::None,
    }
}

pub(crate) fn iprev_result(result: &mail_auth::IprevResult) -> IprevResult {
    match result {
        mail_auth::IprevResult::Pass => IprevResult::Pass,
        mail_auth::IprevResult::TempError(_) => IprevResult::TempError,
        _ => IprevResult::Fail,
    }
}

/// What a signature proves to DMARC.
pub(crate) fn proof(result: DkimResult) -> crate::dmarc::Proof {
    match result {
        DkimResult::Pass => crate::dmarc::Proof::Given,
        DkimResult::TempError => crate::dmarc::Proof::Unknown,
        _ => crate::dmarc::Proof::Missing,
    }
}
