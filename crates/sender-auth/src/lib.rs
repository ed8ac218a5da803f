//! Facts about who sent a message: SPF (RFC 7208), DKIM (RFC 6376, 8301, 8463), DMARC (RFC 9989), ARC
//! (RFC 8617), and whether the client's address and name confirm each other (RFC 8601 §3, `iprev`).
//!
//! SPF, the signatures and the reverse look-up are mail-auth's. What is added here: the rules that it leaves
//! to its user ([`spf`], [`dkim`], [`arc`]), DMARC's own ([`dmarc`]); one answer within a bounded time,
//! whatever DNS does; a bound on how many signatures a message can make us check; and a translation into the
//! facts the inbound policy judges by, next to the `Authentication-Results` text (RFC 8601) that tells the
//! reader's mail program the same thing. Nothing is decided here.
//!
//! Everything that can be asked at once is. Each check has its own share of the time: much of what is looked up
//! lies in the sender's own DNS, and a forger whose servers are silent must not thereby keep us from hearing
//! what the domain in From asks for.

mod arc;
mod dkim;
mod dmarc;
mod lookup;
mod record;
mod report;
mod spf;
mod tags;

use dmarc::{Authors, Proof, Proofs};
use hickory_resolver::TokioResolver;
use mail_auth::spf::verify::SpfParameters;
use mail_auth::{AuthenticatedMessage, MessageAuthenticator};
use std::net::IpAddr;
use std::time::Duration;
use tokio::time::timeout;
use wardpost_mail::{Domain, ReversePath};
use wardpost_message::headers;
use wardpost_policy::{
    DkimEvidence, InboundFacts, IprevResult, SenderEvidence, SpfEvidence, SpfResult,
};

/// Signatures of one message that are checked; more are left unmentioned (RFC 6376 §6.1 lets a
/// verifier limit the number).
const MAX_SIGNATURES: usize = 10;
/// From this size on, hashing a message is moved off the asynchronous threads.
const LARGE: usize = 256 << 10;

/// Who we are and how patient.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Our host name: the `authserv-id` of the results.
    pub hostname: Domain,
    /// When everything must be answered; what is not counts as a temporary error.
    pub time_limit: Duration,
    /// Who may vouch for mail they handed on (`[inbound] trusted_arc_sealers`).
    pub trusted_sealers: Vec<Domain>,
}

/// What a peer said about itself and its message.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// The client's address.
    pub peer: IpAddr,
    /// The name it gave with EHLO or HELO, as given.
    pub helo: &'a str,
    /// MAIL FROM.
    pub sender: &'a ReversePath,
    /// The message as received, before we add anything.
    pub message: &'a [u8],
}

/// What the checks found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// For the inbound policy; `cleartext` is left false, the session knows that.
    pub inbound: InboundFacts,
    /// The value of an `Authentication-Results` header field (RFC 8601 §2.2), folded, without the
    /// field's name and final line end.
    pub authentication_results: String,
    /// All of it, for reports.
    pub evidence: SenderEvidence,
}

/// Checks senders. One for the whole server.
pub struct SenderAuth {
    authenticator: MessageAuthenticator,
    settings: Settings,
}

/// Everything the checks found.
struct Found {
    dkim: Vec<dkim::Checked>,
    iprev: IprevResult,
    evidence: SenderEvidence,
    vouched: bool,
}

impl SenderAuth {
    /// Sets up the checks on a resolver whose connections and cache are shared.
    pub fn new(resolver: TokioResolver, settings: Settings) -> Self {
        Self { authenticator: MessageAuthenticator(resolver), settings }
    }

    /// Checks a message's sender. Never fails and never takes longer than the time limit by much: what
    /// could not be found out is said to be so.
    pub async fn facts(&self, claim: Claim<'_>) -> Facts {
        let Some(mut message) = parse(claim.message) else {
            // No header at all: nothing to verify but SPF and reverse DNS; DMARC has no author domain.
            return self.facts_of(claim, &AuthenticatedMessage::default()).await;
        };
        message.dkim_headers.truncate(MAX_SIGNATURES);
        message.errors.truncate(MAX_SIGNATURES.saturating_sub(message.dkim_headers.len()));
        self.facts_of(claim, &message).await
    }

    async fn facts_of(&self, claim: Claim<'_>, message: &AuthenticatedMessage<'_>) -> Facts {
        let found = self.check(claim, message).await;
        Facts {
            inbound: report::facts(&found, found.vouched),
            authentication_results: report::text(self.settings.hostname.as_str(), claim, &found),
            evidence: found.evidence,
        }
    }

    /// Everything but DMARC's alignment in the first half of the time, that in the second.
    async fn check(&self, claim: Claim<'_>, message: &AuthenticatedMessage<'_>) -> Found {
        let half = self.settings.time_limit / 2;
        let dns = &self.authenticator.0;
        // Whoever the reader sees counts, and that is who our own parser finds in From.
        let shown = headers::addresses(claim.message, "From");
        let mut froms = message.froms().to_vec();
        froms.extend(shown.iter().map(|author| format!("x@{}", author.domain())));
        let (spf, dkim, arc, iprev, authors) = tokio::join!(
            self.spf(claim, half),
            dkim::check(&self.authenticator, message, half),
            arc::check(&self.authenticator, message, half),
            timeout(half, self.authenticator.verify_iprev(claim.peer)),
            Authors::look_up(dns, &froms, half),
        );
        let (spf_helo, spf_mail_from) = spf;
        let spf = spf_mail_from.as_ref().unwrap_or(&spf_helo);
        let proofs = Proofs {
            spf_domain: &spf.domain,
            spf: match spf.result {
                SpfResult::Pass => Proof::Given,
                SpfResult::TempError => Proof::Unknown,
                _ => Proof::Missing,
            },
            dkim: dkim
                .iter()
                .map(|c| (c.domain.as_str(), report::proof(c.finding.result)))
                .collect(),
        };
        let dmarc = authors.judge(dns, &proofs, half).await;
        let vouched = authors.only().is_some_and(|(author, organization)| {
            arc.vouches(&self.settings.trusted_sealers, author, &organization)
        });
        let signatures = dkim.iter().map(|checked| DkimEvidence {
            domain: checked.domain.clone(),
            selector: checked.selector.clone(),
            result: checked.finding.result,
            reason: checked.finding.reason,
        });
        let dkim_evidence = signatures.collect();
        Found {
            iprev: iprev
                .map_or(IprevResult::TempError, |iprev| report::iprev_result(&iprev.result)),
            evidence: SenderEvidence {
                spf_helo,
                spf_mail_from,
                dkim: dkim_evidence,
                dmarc,
                arc: arc.evidence,
            },
            dkim,
            vouched,
        }
    }

    /// The HELO identity and, unless it is `<>`, the MAIL FROM identity (RFC 7208 §2.3, §2.4).
    async fn spf(&self, claim: Claim<'_>, limit: Duration) -> (SpfEvidence, Option<SpfEvidence>) {
        let (host, auth) = (self.settings.hostname.as_str(), &self.authenticator);
        let evidence = |domain: &str, result| SpfEvidence {
            domain: domain.to_owned(),
            result: report::spf_result(result),
        };
        let helo = SpfParameters::verify_ehlo(claim.peer, claim.helo, host);
        let helo = spf::check(auth, claim.peer, helo, limit);
        let ReversePath::Address(sender) = claim.sender else {
            return (evidence(claim.helo, helo.await), None);
        };
        let text = sender.to_string();
        let mail_from = SpfParameters::verify_mail_from(claim.peer, claim.helo, host, &text);
        let mail_from = spf::check(auth, claim.peer, mail_from, limit);
        let (helo, mail_from) = tokio::join!(helo, mail_from);
        (evidence(claim.helo, helo), Some(evidence(sender.domain().as_str(), mail_from)))
    }
}

/// Parses and hashes; for a large message in a way that lets other tasks of this thread move on.
fn parse(raw: &[u8]) -> Option<AuthenticatedMessage<'_>> {
    use tokio::runtime::{Handle, RuntimeFlavor};
    let movable = Handle::try_current()
        .is_ok_and(|handle| handle.runtime_flavor() == RuntimeFlavor::MultiThread);
    if raw.len() >= LARGE && movable {
        tokio::task::block_in_place(|| AuthenticatedMessage::parse(raw))
    } else {
        AuthenticatedMessage::parse(raw)
    }
}

#[cfg(test)]
mod tests;
