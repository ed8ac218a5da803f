//! What happens to a message from elsewhere.
//!
//! DMARC comes first, because it is the From domain's own word on what to do: pass is taken, a
//! failure is refused (550 5.7.26) or put into Junk as the domain asks. Where the policy is known and the
//! proof could not be looked up, the sender is asked to try again (451): taking the message would let
//! whoever runs slow name servers get round the policy, refusing it for good would lose honest mail. When
//! the policy itself cannot be looked up (RFC 7489 §6.6.3 leaves the choice to the receiver) the message
//! is judged like one without a policy, since a practice whose resolver hiccups must still get its
//! mail. Authentication-Results says what happened.
//!
//! Without a DMARC verdict a message is put into Junk only when something speaks against it (SPF
//! `-all`, a broken signature besides `~all`, no TLS) and nothing for it (a DKIM or SPF pass). A missing
//! reverse name says little by itself: many a small lab's server has none. It is told in
//! Authentication-Results and left to the filter that weighs many facts.
//! Nothing is refused on such evidence: forwarding breaks SPF every day, and a practice that loses a
//! lab's result to a heuristic has lost more than one that finds spam in Junk.

use serde::{Deserialize, Serialize};
use wardpost_mail::{EnhancedStatus, Reply};

/// The outcome of SPF (RFC 7208 §2.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SpfResult {
    /// The client may send for the domain.
    Pass,
    /// The domain says it may not (`-all`).
    Fail,
    /// The domain says it probably may not (`~all`).
    SoftFail,
    /// The domain says nothing about it.
    Neutral,
    /// The domain has no record.
    None,
    /// DNS did not answer.
    TempError,
    /// The record cannot be read.
    PermError,
}

/// The best outcome among a message's DKIM signatures (RFC 8601 §2.7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DkimResult {
    /// A signature verifies.
    Pass,
    /// None verifies.
    Fail,
    /// The message is not signed.
    None,
    /// No key could be fetched.
    TempError,
    /// No signature or key could be read.
    PermError,
}

/// The outcome of DMARC (RFC 7489 §11.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DmarcResult {
    /// SPF or DKIM passes for a domain aligned with the From header.
    Pass,
    /// Neither does.
    Fail,
    /// The From domain publishes no policy.
    None,
    /// DNS did not answer.
    TempError,
    /// The record cannot be read.
    PermError,
}

/// What the From domain asks to be done with failures (RFC 7489 §6.3 `p`, `sp`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DmarcPolicy {
    /// Nothing.
    None,
    /// Treat as suspicious.
    Quarantine,
    /// Refuse.
    Reject,
}

/// Whether the client's address and name confirm each other (RFC 8601 §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum IprevResult {
    /// They do.
    Pass,
    /// They do not, or there is no name.
    Fail,
    /// DNS did not answer.
    TempError,
}

/// What is known of a message that came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct InboundFacts {
    /// SPF of the MAIL FROM domain, or of HELO for `<>`.
    pub spf: SpfResult,
    /// The best of the DKIM signatures.
    pub dkim: DkimResult,
    /// DMARC.
    pub dmarc: DmarcResult,
    /// The policy found; [`DmarcPolicy::None`] when there is none.
    pub dmarc_policy: DmarcPolicy,
    /// Reverse DNS.
    pub iprev: IprevResult,
    /// It came without TLS, by an exception the practice made.
    pub cleartext: bool,
}

/// The mailbox a message is put in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Folder {
    /// INBOX.
    Inbox,
    /// The Junk mailbox (RFC 6154 `\Junk`).
    Junk,
}

/// What is done with a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disposition {
    /// Taken.
    Accept {
        /// Where it is put.
        mailbox: Folder,
    },
    /// Refused with this reply to the end of data.
    Reject(Reply),
}

/// Decides what is done with a message. See the module's text for the rules.
pub fn inbound(facts: &InboundFacts) -> Disposition {
    match (facts.dmarc, facts.dmarc_policy) {
        (DmarcResult::Fail, DmarcPolicy::Reject) => {
            // RFC 7372 §3.3.
            let status = EnhancedStatus::new(5, 7, 26);
            let text =
                "The From domain asks to refuse mail that is not proven to be its own (DMARC)";
            Disposition::Reject(Reply::new(550, status, text))
        }
        (DmarcResult::TempError, DmarcPolicy::Reject | DmarcPolicy::Quarantine) => {
            let status = EnhancedStatus::new(4, 7, 26);
            let text = "The proof that the From domain asks for cannot be looked up now; try again";
            Disposition::Reject(Reply::new(451, status, text))
        }
        (DmarcResult::Fail, DmarcPolicy::Quarantine) => accept(Folder::Junk),
        (DmarcResult::Pass, _) => accept(Folder::Inbox),
        _ if is_suspicious(facts) => accept(Folder::Junk),
        _ => accept(Folder::Inbox),
    }
}

fn accept(mailbox: Folder) -> Disposition {
    Disposition::Accept { mailbox }
}

/// Whether anything proves some domain, aligned with the From header or not.
fn is_authenticated(facts: &InboundFacts) -> bool {
    facts.spf == SpfResult::Pass || facts.dkim == DkimResult::Pass
}

/// Whether something speaks against a message that nothing speaks for.
fn is_suspicious(facts: &InboundFacts) -> bool {
    let against = facts.spf == SpfResult::Fail
        || facts.dkim == DkimResult::Fail && facts.spf == SpfResult::SoftFail
        || facts.cleartext;
    against && !is_authenticated(facts)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nothing is published and nothing speaks against it.
    const BARE: InboundFacts = InboundFacts {
        spf: SpfResult::None,
        dkim: DkimResult::None,
        dmarc: DmarcResult::None,
        dmarc_policy: DmarcPolicy::None,
        iprev: IprevResult::Pass,
        cleartext: false,
    };

    #[derive(Debug, PartialEq)]
    enum Want {
        Inbox,
        Junk,
        Code(u16),
    }
    use Want::{Code, Inbox, Junk};

    fn judged(facts: &InboundFacts) -> Want {
        match inbound(facts) {
            Disposition::Accept { mailbox: Folder::Inbox } => Inbox,
            Disposition::Accept { mailbox: Folder::Junk } => Junk,
            Disposition::Reject(reply) => Code(reply.code),
        }
    }

    #[test]
    fn messages_are_judged_by_what_is_proven() {
        let dmarc = |dmarc, dmarc_policy| InboundFacts { dmarc, dmarc_policy, ..BARE };
        let table = [
            ("nothing published, nothing against it", BARE, Inbox),
            (
                "the domain asks to refuse what is not its own",
                dmarc(DmarcResult::Fail, DmarcPolicy::Reject),
                Code(550),
            ),
            (
                "somebody else's SPF pass does not make it the From domain's",
                InboundFacts {
                    spf: SpfResult::Pass,
                    ..dmarc(DmarcResult::Fail, DmarcPolicy::Reject)
                },
                Code(550),
            ),
            (
                "the domain asks to treat it as suspicious",
                dmarc(DmarcResult::Fail, DmarcPolicy::Quarantine),
                Junk,
            ),
            (
                "p=none asks for nothing: mailing lists fail DMARC every day",
                InboundFacts {
                    dkim: DkimResult::Fail,
                    ..dmarc(DmarcResult::Fail, DmarcPolicy::None)
                },
                Inbox,
            ),
            (
                "p=none does not make up for a hard SPF failure",
                InboundFacts {
                    spf: SpfResult::Fail,
                    ..dmarc(DmarcResult::Fail, DmarcPolicy::None)
                },
                Junk,
            ),
            (
                "DMARC pass settles it, whatever reverse DNS says",
                InboundFacts {
                    iprev: IprevResult::Fail,
                    ..dmarc(DmarcResult::Pass, DmarcPolicy::Reject)
                },
                Inbox,
            ),
            (
                "a forwarder breaks SPF, the signature still proves it",
                InboundFacts {
                    spf: SpfResult::Fail,
                    dkim: DkimResult::Pass,
                    ..dmarc(DmarcResult::Pass, DmarcPolicy::Reject)
                },
                Inbox,
            ),
            (
                "our DNS is down: nothing can be proven, and mail still has to come in",
                InboundFacts {
                    spf: SpfResult::TempError,
                    dkim: DkimResult::TempError,
                    iprev: IprevResult::TempError,
                    ..dmarc(DmarcResult::TempError, DmarcPolicy::None)
                },
                Inbox,
            ),
            (
                "policy unknown for now, but SPF speaks against it",
                InboundFacts {
                    spf: SpfResult::Fail,
                    ..dmarc(DmarcResult::TempError, DmarcPolicy::None)
                },
                Junk,
            ),
            (
                "the policy is known and the proof is not: later",
                dmarc(DmarcResult::TempError, DmarcPolicy::Reject),
                Code(451),
            ),
            (
                "the same where the domain asks for Junk",
                dmarc(DmarcResult::TempError, DmarcPolicy::Quarantine),
                Code(451),
            ),
            (
                "an unreadable DMARC record counts as none (RFC 7489 §6.6.3)",
                dmarc(DmarcResult::PermError, DmarcPolicy::None),
                Inbox,
            ),
            (
                "the domain says this client may not send for it",
                InboundFacts { spf: SpfResult::Fail, ..BARE },
                Junk,
            ),
            (
                "SPF fails as forwarding makes it, DKIM proves it",
                InboundFacts { spf: SpfResult::Fail, dkim: DkimResult::Pass, ..BARE },
                Inbox,
            ),
            (
                "~all alone is no accusation",
                InboundFacts { spf: SpfResult::SoftFail, ..BARE },
                Inbox,
            ),
            (
                "~all and a broken signature together are",
                InboundFacts { spf: SpfResult::SoftFail, dkim: DkimResult::Fail, ..BARE },
                Junk,
            ),
            (
                "a client without a name, as many a small lab's server is",
                InboundFacts { iprev: IprevResult::Fail, ..BARE },
                Inbox,
            ),
            (
                "a client without a name, but SPF knows it",
                InboundFacts { iprev: IprevResult::Fail, spf: SpfResult::Pass, ..BARE },
                Inbox,
            ),
            (
                "our resolver's trouble is not the sender's fault",
                InboundFacts {
                    iprev: IprevResult::TempError,
                    spf: SpfResult::TempError,
                    dkim: DkimResult::TempError,
                    ..BARE
                },
                Inbox,
            ),
            (
                "without TLS anybody on the way could have written it",
                InboundFacts { cleartext: true, ..BARE },
                Junk,
            ),
            (
                "without TLS, but signed",
                InboundFacts { cleartext: true, dkim: DkimResult::Pass, ..BARE },
                Inbox,
            ),
        ];
        for (why, facts, want) in table {
            assert_eq!(judged(&facts), want, "{why}");
        }
    }

    #[test]
    fn refusals_name_the_status_of_rfc_7372() {
        let facts =
            InboundFacts { dmarc: DmarcResult::Fail, dmarc_policy: DmarcPolicy::Reject, ..BARE };
        let Disposition::Reject(reply) = inbound(&facts) else { panic!("taken") };
        assert_eq!(reply.enhanced, Some(EnhancedStatus::new(5, 7, 26)));
    }
}
