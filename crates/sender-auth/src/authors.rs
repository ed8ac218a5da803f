//! DMARC for everybody who is named in From.
//!
//! A From field may name several authors (RFC 5322 §3.6.2), and a message that breaks the rules may have
//! several From fields; the reader's mail program shows whom it likes. mail-auth exempts such messages.
//! Here each domain is asked and the strictest answer counts (RFC 7489 §6.6.1), so that a second name
//! never frees the first from its domain's policy.

use crate::out_of_time;
use mail_auth::dmarc::Policy;
use mail_auth::dmarc::verify::DmarcParameters;
use mail_auth::{
    AuthenticatedMessage, DkimOutput, DmarcOutput, DmarcResult, MessageAuthenticator, SpfOutput,
};
use std::time::Duration;
use tokio::time::timeout;

/// Domains of one message that are asked; honest mail has one. More are not, and fail.
const MAX_DOMAINS: usize = 4;

/// What speaks for a message.
pub(crate) struct Evidence<'a> {
    /// The domain SPF was checked for.
    pub(crate) mail_from_domain: &'a str,
    /// Its outcome.
    pub(crate) spf: &'a SpfOutput,
    /// The signatures; `None` when they could not be checked in time.
    pub(crate) dkim: Option<&'a [DkimOutput<'a>]>,
}

/// The strictest outcome among the domains of `froms`, within `limit`.
pub(crate) async fn dmarc(
    authenticator: &MessageAuthenticator,
    froms: &[String],
    evidence: &Evidence<'_>,
    limit: Duration,
) -> DmarcOutput {
    let domains = domains(froms);
    let asked = &domains[..domains.len().min(MAX_DOMAINS)];
    // Two look-ups each.
    let share = limit / (2 * asked.len().max(1) as u32);
    let mut strictest = DmarcOutput::default();
    for (index, domain) in asked.iter().enumerate() {
        let output = one(authenticator, domain, evidence, share).await;
        if index == 0 || severity(&output) > severity(&strictest) {
            strictest = output;
        }
    }
    strictest
}

/// Whether more domains are named in From than are asked.
pub(crate) fn too_many(froms: &[String]) -> bool {
    domains(froms).len() > MAX_DOMAINS
}

fn domains(froms: &[String]) -> Vec<&str> {
    let mut domains: Vec<&str> = Vec::new();
    for (_, domain) in froms.iter().filter_map(|from| from.rsplit_once('@')) {
        if !domain.is_empty() && !domains.contains(&domain) && domains.len() <= MAX_DOMAINS {
            domains.push(domain);
        }
    }
    domains
}

/// One domain: first its policy, which nobody else's DNS has a part in, then whether the evidence meets it.
/// What could not be found out leaves a temporary error beside the policy, never no policy.
async fn one(
    authenticator: &MessageAuthenticator,
    domain: &str,
    evidence: &Evidence<'_>,
    share: Duration,
) -> DmarcOutput {
    let author = AuthenticatedMessage { from: vec![format!("x@{domain}")], ..Default::default() };
    let nothing = SpfOutput::new(String::new());
    let ask = |rfc5321_mail_from_domain, spf_output, dkim_output| {
        let message = &author;
        let parameters = DmarcParameters {
            message,
            dkim_output,
            dkim2_output: None,
            rfc5321_mail_from_domain,
            spf_output,
        };
        timeout(share, authenticator.verify_dmarc(parameters))
    };
    let unknown = |output: DmarcOutput| {
        let error = DmarcResult::TempError(out_of_time());
        output.with_spf_result(error.clone()).with_dkim_result(error)
    };
    let Ok(policy) = ask("", &nothing, &[]).await else {
        return unknown(DmarcOutput::new(domain.to_owned()));
    };
    let dkim = evidence.dkim.unwrap_or_default();
    match ask(evidence.mail_from_domain, evidence.spf, dkim).await {
        // A signature that was not checked might have been the one that proves it.
        Ok(judged) if evidence.dkim.is_none() && is_failure(&judged) => unknown(policy),
        Ok(judged) => judged,
        Err(_) => unknown(policy),
    }
}

fn is_failure(output: &DmarcOutput) -> bool {
    matches!(output.result(), DmarcResult::Fail(_))
}

/// How much an outcome asks for.
fn severity(output: &DmarcOutput) -> u8 {
    match (output.result(), output.policy()) {
        (DmarcResult::Fail(_), Policy::Reject) => 5,
        (DmarcResult::TempError(_), Policy::Reject | Policy::Quarantine) => 4,
        (DmarcResult::Fail(_), Policy::Quarantine) => 3,
        (DmarcResult::Fail(_), _) => 2,
        (DmarcResult::Pass, _) => 0,
        _ => 1,
    }
}
