//! Facts about who sent a message: SPF (RFC 7208), DKIM (RFC 6376), DMARC (RFC 7489, RFC 9989) and
//! whether the client's address and name confirm each other (RFC 8601 §3, `iprev`).
//!
//! The checks are mail-auth's. What is added here: one answer within a bounded time, whatever DNS
//! does; a bound on how many signatures a message can make us check; and a translation into the facts
//! the inbound policy judges by, next to the `Authentication-Results` text (RFC 8601) that tells the
//! reader's mail program the same thing. Nothing is decided here.
//!
//! Each check has its own share of the time. Much of what is looked up lies in the sender's own DNS, and a
//! forger whose servers are silent must not thereby keep us from hearing what the domain in From asks for.

mod authors;
mod results;

use hickory_resolver::TokioResolver;
use mail_auth::spf::verify::SpfParameters;
use mail_auth::{
    AuthenticatedMessage, AuthenticationResults, DkimOutput, DmarcOutput, DnsError, Error,
    IprevOutput, IprevResult, MessageAuthenticator, SpfOutput, SpfResult,
};
use std::net::IpAddr;
use std::time::Duration;
use tokio::time::timeout;
use wardpost_mail::{Domain, ReversePath};
use wardpost_policy::{DmarcPolicy, DmarcResult, InboundFacts};

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
}

/// Checks senders. One for the whole server.
pub struct SenderAuth {
    authenticator: MessageAuthenticator,
    settings: Settings,
}

/// Everything the checks found, in mail-auth's terms.
struct Outputs<'m> {
    spf_helo: SpfOutput,
    spf_mail_from: Option<SpfOutput>,
    dkim: Vec<DkimOutput<'m>>,
    dmarc: DmarcOutput,
    iprev: IprevOutput,
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
        message.errors.truncate(MAX_SIGNATURES);
        self.facts_of(claim, &message).await
    }

    async fn facts_of(&self, claim: Claim<'_>, message: &AuthenticatedMessage<'_>) -> Facts {
        let outputs = self.check(claim, message).await;
        self.report(claim, message, &outputs)
    }

    /// SPF, DKIM and reverse DNS in the first half of the time, DMARC in the second.
    async fn check<'m>(
        &self,
        claim: Claim<'_>,
        message: &'m AuthenticatedMessage<'m>,
    ) -> Outputs<'m> {
        let half = self.settings.time_limit / 2;
        let (spf, dkim, iprev) = tokio::join!(
            self.spf(claim, half),
            timeout(half, self.authenticator.verify_dkim(message)),
            timeout(half, self.authenticator.verify_iprev(claim.peer)),
        );
        let (spf_helo, spf_mail_from) = spf;
        let iprev = iprev.unwrap_or_else(|_| IprevOutput {
            result: IprevResult::TempError(out_of_time()),
            ptr: None,
        });
        let evidence = authors::Evidence {
            mail_from_domain: match claim.sender {
                ReversePath::Address(address) => address.domain().as_str(),
                ReversePath::Null => claim.helo,
            },
            spf: spf_mail_from.as_ref().unwrap_or(&spf_helo),
            dkim: dkim.as_deref().ok(),
        };
        let dmarc = authors::dmarc(&self.authenticator, message.froms(), &evidence, half).await;
        let dkim = dkim.unwrap_or_else(|_| vec![DkimOutput::temp_err(out_of_time())]);
        Outputs { spf_helo, spf_mail_from, dkim, dmarc, iprev }
    }

    /// The HELO identity and, unless it is `<>`, the MAIL FROM identity (RFC 7208 §2.3, §2.4).
    async fn spf(&self, claim: Claim<'_>, limit: Duration) -> (SpfOutput, Option<SpfOutput>) {
        let host = self.settings.hostname.as_str();
        let check = async |parameters| {
            let checked = timeout(limit, self.authenticator.verify_spf(parameters)).await;
            checked
                .unwrap_or_else(|_| SpfOutput::new(String::new()).with_result(SpfResult::TempError))
        };
        let sender = claim.sender.address().map(ToString::to_string);
        let helo = check(SpfParameters::verify_ehlo(claim.peer, claim.helo, host));
        let Some(sender) = &sender else {
            return (helo.await, None);
        };
        let mail_from =
            check(SpfParameters::verify_mail_from(claim.peer, claim.helo, host, sender));
        let (helo, mail_from) = tokio::join!(helo, mail_from);
        (helo, Some(mail_from))
    }

    fn report(
        &self,
        claim: Claim<'_>,
        message: &AuthenticatedMessage<'_>,
        outputs: &Outputs<'_>,
    ) -> Facts {
        let host = self.settings.hostname.as_str();
        let mut text = AuthenticationResults::new(host)
            .with_dkim_results(&outputs.dkim, message.from())
            .with_spf_ehlo_result(&outputs.spf_helo, claim.peer, claim.helo);
        if let (Some(spf), Some(sender)) = (&outputs.spf_mail_from, claim.sender.address()) {
            let sender = sender.to_string();
            text = text.with_spf_mailfrom_result(spf, claim.peer, &sender, claim.helo);
        }
        let mut text = text
            .with_dmarc_result(&outputs.dmarc)
            .with_iprev_result(&outputs.iprev, claim.peer)
            .to_string();
        if outputs.dkim.is_empty() {
            text.insert_str(host.len(), ";\r\n\tdkim=none");
        }
        let mut inbound = results::inbound(outputs);
        if authors::too_many(message.froms()) && inbound.dmarc_policy != DmarcPolicy::Reject {
            (inbound.dmarc, inbound.dmarc_policy) = (DmarcResult::Fail, DmarcPolicy::Quarantine);
        }
        Facts { inbound, authentication_results: text }
    }
}

/// What is said of a check that ran out of time: nothing is known, and that may change.
fn out_of_time() -> Error {
    Error::Dns(DnsError::Resolver("out of time".to_owned()))
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
