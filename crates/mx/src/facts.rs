//! What can be known about a sender, and whom to ask for it.

use async_trait::async_trait;
use std::net::IpAddr;
use wardpost_mail::ReversePath;
use wardpost_policy::{InboundFacts, SenderEvidence};

/// What a peer said about itself and its message.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// The client's address.
    pub peer: IpAddr,
    /// The name it gave with EHLO or HELO.
    pub helo: &'a str,
    /// MAIL FROM.
    pub sender: &'a ReversePath,
    /// The message as received.
    pub message: &'a [u8],
}

/// What was found out.
#[derive(Debug, Clone)]
pub struct Facts {
    /// For the inbound policy; what the session knows (cleartext, the client's certificate) is filled in here.
    pub inbound: InboundFacts,
    /// The value of the Authentication-Results field (RFC 8601 §2.2), folded, without name and end.
    pub authentication_results: String,
    /// All of it, for reports to the senders' domains.
    pub evidence: SenderEvidence,
}

/// Finds out about a sender: SPF, DKIM, DMARC, ARC, reverse DNS. A role of its own answers this; the
/// program puts the two together.
#[async_trait]
pub trait SenderFacts: Send + Sync {
    /// What is known. Never fails: what could not be found out is said to be so.
    async fn facts(&self, claim: Claim<'_>) -> Facts;
}
