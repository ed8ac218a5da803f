//! From mail-auth's outputs to the facts the policy judges by.

use crate::Outputs;
use mail_auth::dmarc::Policy;
use wardpost_policy::{DkimResult, DmarcPolicy, DmarcResult, InboundFacts, IprevResult, SpfResult};

pub(crate) fn inbound(outputs: &Outputs<'_>) -> InboundFacts {
    let spf = outputs.spf_mail_from.as_ref().unwrap_or(&outputs.spf_helo);
    InboundFacts {
        spf: spf_result(spf.result()),
        dkim: best_dkim(outputs.dkim.iter().map(|output| output.result())),
        dmarc: dmarc_result(&outputs.dmarc.result()),
        dmarc_policy: match outputs.dmarc.policy() {
            Policy::None | Policy::Unspecified => DmarcPolicy::None,
            Policy::Quarantine => DmarcPolicy::Quarantine,
            Policy::Reject => DmarcPolicy::Reject,
        },
        iprev: match outputs.iprev.result {
            mail_auth::IprevResult::Pass => IprevResult::Pass,
            mail_auth::IprevResult::TempError(_) => IprevResult::TempError,
            _ => IprevResult::Fail,
        },
        cleartext: false,
    }
}

fn spf_result(result: mail_auth::SpfResult) -> SpfResult {
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

/// One good signature is enough; after that, what might still turn out good counts most.
fn best_dkim<'r>(results: impl Iterator<Item = &'r mail_auth::DkimResult>) -> DkimResult {
    let rank = |result: &DkimResult| match result {
        DkimResult::Pass => 0,
        DkimResult::TempError => 1,
        DkimResult::Fail => 2,
        DkimResult::PermError => 3,
        DkimResult::None => 4,
    };
    results.map(dkim_result).min_by_key(rank).unwrap_or(DkimResult::None)
}

fn dkim_result(result: &mail_auth::DkimResult) -> DkimResult {
    match result {
        mail_auth::DkimResult::Pass => DkimResult::Pass,
        mail_auth::DkimResult::TempError(_) => DkimResult::TempError,
        mail_auth::DkimResult::PermError(_) => DkimResult::PermError,
        // `neutral` is mail-auth's word for a body hash that differs: it does not verify.
        mail_auth::DkimResult::Fail(_) | mail_auth::DkimResult::Neutral(_) => DkimResult::Fail,
        mail_auth::DkimResult::None => DkimResult::None,
    }
}

fn dmarc_result(result: &mail_auth::DmarcResult) -> DmarcResult {
    match result {
        mail_auth::DmarcResult::Pass => DmarcResult::Pass,
        mail_auth::DmarcResult::Fail(_) => DmarcResult::Fail,
        mail_auth::DmarcResult::TempError(_) => DmarcResult::TempError,
        mail_auth::DmarcResult::PermError(_) => DmarcResult::PermError,
        mail_auth::DmarcResult::None => DmarcResult::None,
    }
}
