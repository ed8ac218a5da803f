//! What happens to a message from elsewhere.
//!
//! DMARC (RFC 9989) comes first, because it is the From domain's own word on what to do:
//!
//! | DMARC says | done |
//! | --- | --- |
//! | pass | INBOX, whatever else was found |
//! | fail, `p=reject` | refused, 550 5.7.26 (RFC 7372 §3.3) |
//! | fail, `p=quarantine` | Junk |
//! | fail, `p=none` | as without a policy |
//! | cannot be told now, whether the proof that a policy asks for or the policy itself | try again, 451 |
//! | no policy, or one that cannot be read | judged by what else was found |
//!
//! The policy is the one that applies to this message: `sp`, `np` and the step down of `t=y` (RFC 9989
//! §4.7) are in it already. `pct` is history and not looked at.
//!
//! A temporary error never lets a forged message in: whoever runs slow name servers, or keeps ours busy,
//! would otherwise get round the policy. It never loses an honest one either: the sender's server keeps it and
//! comes again. What a domain's own servers prove by themselves (SPF or DKIM for the very domain in From)
//! is a pass that needs no policy, so mail of a domain with broken DMARC records still comes in.
//!
//! A message that fails DMARC because a mailing list changed it or a forwarder passed it on is taken all the
//! same when a chain of seals (ARC, RFC 8617) shows that it passed when it was first received, and every one
//! of the sealers is on the practice's list ([`InboundFacts::vouched`]). The list is empty unless the practice
//! fills it: a seal proves who says so, not that it is true. Such a message goes to the INBOX, because to
//! put a colleague's list into Junk is what trusting the list was to prevent.
//!
//! Without a DMARC verdict a message is put into Junk only when something speaks against it (SPF
//! `-all`, a broken signature besides `~all`, no TLS) and nothing for it (a DKIM or SPF pass). A missing
//! reverse name says little by itself: many a small lab's server has none. It is told in
//! Authentication-Results and left to the filter that weighs many facts. A client certificate
//! says who handed the message over, not who wrote it, and weighs nothing either.
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

/// The outcome of DMARC (RFC 9989 §5.3; RFC 8601 §2.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DmarcResult {
    /// SPF or DKIM passes for a domain aligned with the From header.
    Pass,
    /// Neither does.
    Fail,
    /// The From domain publishes no policy.
    None,
    /// DNS did not answer, so that neither can be told.
    TempError,
    /// The record cannot be read.
    PermError,
}

/// What the From domain asks to be done with failures (RFC 9989 §4.7 `p`, `sp`, `np`).
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

/// Whether the chain of those who handed a message on holds (RFC 8617 §4.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ArcResult {
    /// There is none.
    None,
    /// All seals and the newest signature verify.
    Pass,
    /// It is broken, or could not be checked.
    Fail,
}

/// The client's certificate, if it showed one. Whoever completes the handshake owns its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ClientCertificate {
    /// It showed none, or there was no TLS.
    None,
    /// One that no authority we trust has signed, or that is out of date.
    Unverified,
    /// One that chains to an authority we trust.
    Verified,
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
    /// The policy that applies; [`DmarcPolicy::None`] when there is none, or when it is not known.
    pub dmarc_policy: DmarcPolicy,
    /// The chain of those who handed it on.
    pub arc: ArcResult,
    /// The chain passes, all its sealers are on the practice's list, and the first of them reported that the
    /// message was proven to be the From domain's when it came.
    pub vouched: bool,
    /// Reverse DNS.
    pub iprev: IprevResult,
    /// It came without TLS, by an exception the practice made.
    pub cleartext: bool,
    /// The client's certificate.
    pub client_certificate: ClientCertificate,
}

impl InboundFacts {
    /// Nothing is published, nothing is proven and nothing speaks against it: what facts start from.
    pub const BARE: Self = Self {
        spf: SpfResult::None,
        dkim: DkimResult::None,
        dmarc: DmarcResult::None,
        dmarc_policy: DmarcPolicy::None,
        arc: ArcResult::None,
        vouched: false,
        iprev: IprevResult::Fail,
        cleartext: false,
        client_certificate: ClientCertificate::None,
    };
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
        (DmarcResult::Pass, _) => accept(Folder::Inbox),
        // Even where this server cannot tell, one we trust could.
        (DmarcResult::Fail | DmarcResult::TempError, _) if is_vouched(facts) => {
            accept(Folder::Inbox)
        }
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
        (DmarcResult::TempError, DmarcPolicy::None) => {
            // RFC 3463 §3.5: X.4.3, directory server failure.
            let status = EnhancedStatus::new(4, 4, 3);
            let text = "What the From domain asks for (DMARC) cannot be looked up now; try again";
            Disposition::Reject(Reply::new(451, status, text))
        }
        (DmarcResult::Fail, DmarcPolicy::Quarantine) => accept(Folder::Junk),
        _ if is_suspicious(facts) => accept(Folder::Junk),
        _ => accept(Folder::Inbox),
    }
}

/// Whether somebody the practice trusts says that it was proven when it came to them.
fn is_vouched(facts: &InboundFacts) -> bool {
    facts.vouched && facts.arc == ArcResult::Pass
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

    const BARE: InboundFacts = InboundFacts { iprev: IprevResult::Pass, ..InboundFacts::BARE };

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

    /// A message from whom DMARC has found this, under a policy.
    fn dmarc(dmarc: DmarcResult, dmarc_policy: DmarcPolicy) -> InboundFacts {
        InboundFacts { dmarc, dmarc_policy, ..BARE }
    }

    fn judge_all(table: &[(&str, InboundFacts, Want)]) {
        for (why, facts, want) in table {
            assert_eq!(judged(facts), *want, "{why}");
        }
    }

    #[test]
    fn what_proves_or_accuses_counts_where_no_policy_is_published() {
        judge_all(&[
            ("nothing published, nothing against it", BARE, Inbox),
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
        ]);
    }

    #[test]
    fn what_a_domain_asks_for_is_done_with_what_is_not_its_own() {
        judge_all(&[
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
                "p=quarantine and t=y: stepped down to none before it comes here, and a list's mail",
                dmarc(DmarcResult::Fail, DmarcPolicy::None),
                Inbox,
            ),
        ]);
    }

    #[test]
    fn what_cannot_be_known_now_waits() {
        judge_all(&[
            (
                "our DNS is down: nothing can be proven, and the sender's server can wait",
                InboundFacts {
                    spf: SpfResult::TempError,
                    dkim: DkimResult::TempError,
                    iprev: IprevResult::TempError,
                    ..dmarc(DmarcResult::TempError, DmarcPolicy::None)
                },
                Code(451),
            ),
            (
                "policy unknown for now, and somebody else's SPF pass proves nothing",
                InboundFacts {
                    spf: SpfResult::Pass,
                    ..dmarc(DmarcResult::TempError, DmarcPolicy::None)
                },
                Code(451),
            ),
            (
                "the policy is known and the proof is not: later",
                dmarc(DmarcResult::TempError, DmarcPolicy::Reject),
                Code(451),
            ),
            (
                "an unreadable DMARC record counts as none (RFC 9989 §4.10.1)",
                dmarc(DmarcResult::PermError, DmarcPolicy::None),
                Inbox,
            ),
        ]);
    }

    #[test]
    fn seals_count_by_whom_the_practice_trusts() {
        judge_all(&[
            (
                "the same where the domain asks for Junk",
                dmarc(DmarcResult::TempError, DmarcPolicy::Quarantine),
                Code(451),
            ),
            (
                "a chain of seals by itself changes nothing: anybody can seal",
                InboundFacts {
                    arc: ArcResult::Pass,
                    ..dmarc(DmarcResult::Fail, DmarcPolicy::Reject)
                },
                Code(550),
            ),
            (
                "a chain of sealers that the practice trusts",
                InboundFacts {
                    arc: ArcResult::Pass,
                    vouched: true,
                    spf: SpfResult::Fail,
                    ..dmarc(DmarcResult::Fail, DmarcPolicy::Reject)
                },
                Inbox,
            ),
            (
                "the same where the domain asks for Junk",
                InboundFacts {
                    arc: ArcResult::Pass,
                    vouched: true,
                    ..dmarc(DmarcResult::Fail, DmarcPolicy::Quarantine)
                },
                Inbox,
            ),
            (
                "trust needs a chain that holds",
                InboundFacts {
                    arc: ArcResult::Fail,
                    vouched: true,
                    ..dmarc(DmarcResult::Fail, DmarcPolicy::Reject)
                },
                Code(550),
            ),
            (
                "a broken chain is no accusation: lists break seals",
                InboundFacts { arc: ArcResult::Fail, ..BARE },
                Inbox,
            ),
        ]);
    }

    #[test]
    fn the_connection_proves_no_author() {
        judge_all(&[
            (
                "who hands it over by certificate did not thereby write it",
                InboundFacts {
                    client_certificate: ClientCertificate::Verified,
                    ..dmarc(DmarcResult::Fail, DmarcPolicy::Reject)
                },
                Code(550),
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
        ]);
    }

    #[test]
    fn a_temporary_error_never_lets_a_message_in_that_a_final_one_would_keep_out() {
        use DkimResult as D;
        use SpfResult as S;
        for policy in [DmarcPolicy::None, DmarcPolicy::Quarantine, DmarcPolicy::Reject] {
            for spf in [S::Pass, S::Fail, S::SoftFail, S::None, S::TempError, S::PermError] {
                for dkim in [D::Pass, D::Fail, D::None, D::TempError, D::PermError] {
                    let facts = InboundFacts {
                        spf,
                        dkim,
                        dmarc: DmarcResult::TempError,
                        dmarc_policy: policy,
                        ..BARE
                    };
                    assert_eq!(judged(&facts), Code(451), "{facts:?}");
                }
            }
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
