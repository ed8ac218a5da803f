//! What happens to a message from elsewhere.

use serde::{Deserialize, Serialize};
use wardpost_mail::Reply;

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
    /// Refused, for now (4yz) or for good (5yz), with this reply to the end of data.
    Reject(Reply),
}

/// Decides what is done with a message.
pub fn inbound(facts: &InboundFacts) -> Disposition {
    let _ = facts;
    unimplemented!()
}
