//! The SMTP envelope: where a message comes from and goes to, and what was asked of its transport.

use crate::{Address, ReversePath};
use serde::{Deserialize, Serialize};

/// What the BODY parameter declared (RFC 6152, RFC 3030).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum BodyType {
    /// Seven-bit lines.
    #[default]
    SevenBit,
    /// Eight-bit lines (8BITMIME).
    EightBitMime,
    /// Arbitrary octets (BINARYMIME).
    BinaryMime,
}

/// How much of a message a delivery status notification returns (RFC 3461 §4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DsnReturn {
    /// The whole message. Wardpost answers with headers only: a report never quotes a body.
    Full,
    /// The headers only.
    Headers,
}

/// When the sender wants to be notified of a recipient (RFC 3461 §4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notify {
    /// Report success.
    pub success: bool,
    /// Report failure.
    pub failure: bool,
    /// Report delay.
    pub delay: bool,
}

impl Notify {
    /// NOTIFY=NEVER.
    pub const NEVER: Notify = Notify { success: false, failure: false, delay: false };
}

impl Default for Notify {
    /// What a missing NOTIFY parameter means here: failures and delays are told.
    fn default() -> Self {
        Self { success: false, failure: true, delay: true }
    }
}

/// One recipient of an envelope, with its DSN wishes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    /// The forward-path's address.
    pub address: Address,
    /// NOTIFY (RFC 3461 §4.1).
    pub notify: Notify,
    /// ORCPT in its wire form, address type included (RFC 3461 §4.2).
    pub original: Option<String>,
}

impl Recipient {
    /// A recipient with no special wishes.
    pub fn new(address: Address) -> Self {
        Self { address, notify: Notify::default(), original: None }
    }
}

/// An SMTP envelope (RFC 5321 §2.3.1) with its ESMTP parameters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// The reverse-path.
    pub from: ReversePath,
    /// The forward-paths.
    pub to: Vec<Recipient>,
    /// BODY.
    pub body: BodyType,
    /// SMTPUTF8 was asked for (RFC 6531).
    pub smtputf8: bool,
    /// REQUIRETLS was asked for (RFC 8689).
    pub require_tls: bool,
    /// RET (RFC 3461 §4.3).
    pub ret: Option<DsnReturn>,
    /// ENVID in xtext-decoded form (RFC 3461 §4.4).
    pub envid: Option<String>,
}

impl Envelope {
    /// An envelope with no special wishes.
    pub fn new(from: ReversePath, to: impl IntoIterator<Item = Address>) -> Self {
        Self {
            from,
            to: to.into_iter().map(Recipient::new).collect(),
            body: BodyType::default(),
            smtputf8: false,
            require_tls: false,
            ret: None,
            envid: None,
        }
    }
}
