//! How each recipient of a message from our own staff is reached.
//!
//! Rules, first match wins, judged for each recipient alone so that one never decides for another:
//!
//! 1. A message over the size limit, or with a route header that says something unknown, is refused
//!    whole: guessing at what the sender wanted could disclose what they meant to protect.
//! 2. An address at one of our domains is local if it exists and refused if it does not.
//! 3. `X-Wardpost-Route: pickup`, or the word *Secure* in the subject, makes it a pickup.
//! 4. Everything else goes by TLS of at least the configured floor; REQUIRETLS (RFC 8689) raises it
//!    to T5. `TLS-Required: No` (RFC 8689 §5) is not honoured unless the rules say so, because what it
//!    asks for is the thing this server exists to prevent.
//!
//! A pickup asks nothing of local recipients: their mailboxes are sealed anyway.

use crate::secure_word;
use serde::{Deserialize, Serialize};
use std::fmt;
use wardpost_mail::{Address, Reply, TlsGrade};

/// The header with which a sender, or a program that sends for one, forces a route for one message.
/// It is removed before the message goes anywhere.
pub const ROUTE_HEADER: &str = "X-Wardpost-Route";

/// How one recipient is to be reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Route {
    /// A mailbox on this server.
    Local,
    /// SMTP over TLS that was seen to be at least this good.
    Direct {
        /// The worst grade at which the message may be handed over.
        floor: TlsGrade,
    },
    /// The recipient gets a notice and reads the message on our page.
    Pickup,
    /// Waits until somebody decides.
    Held,
    /// Not taken.
    Refused {
        /// What the sender's client is told.
        reply: Reply,
    },
}

impl Route {
    /// A word for metric labels and lists.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Direct { .. } => "direct",
            Self::Pickup => "pickup",
            Self::Held => "held",
            Self::Refused { .. } => "refused",
        }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Direct { floor } => write!(f, "direct (at least {floor})"),
            other => f.write_str(other.name()),
        }
    }
}

/// Where a recipient's address lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    /// One of our domains, and somebody answers to it.
    Ours,
    /// One of our domains, and nobody does.
    OursUnknown,
    /// Somebody else's domain.
    Elsewhere,
}

/// What is known of one recipient.
#[derive(Debug, Clone, Copy)]
pub struct RecipientFacts<'a> {
    /// The forward-path.
    pub address: &'a Address,
    /// Where it lies.
    pub place: Place,
}

/// What is known of a message that is about to go out.
#[derive(Debug, Clone, Copy)]
pub struct OutboundFacts<'a> {
    /// The envelope's recipients.
    pub recipients: &'a [RecipientFacts<'a>],
    /// The subject, decoded (RFC 2047), if there is one.
    pub subject: Option<&'a str>,
    /// The value of [`ROUTE_HEADER`], if the message has one.
    pub route_header: Option<&'a str>,
    /// REQUIRETLS was given with MAIL (RFC 8689 §2).
    pub require_tls: bool,
    /// The message says `TLS-Required: No` (RFC 8689 §5).
    pub tls_required_no: bool,
    /// Octets of the message.
    pub size: u64,
}

/// What the practice has set.
#[derive(Debug, Clone)]
pub struct OutboundRules {
    /// The grade a path must reach when nothing else is said.
    pub floor: TlsGrade,
    /// Largest message taken, in octets.
    pub max_size: u64,
    /// Take `TLS-Required: No` at its word: lowers the floor to T2, never below. Off by default.
    pub honour_tls_required_no: bool,
}

impl Default for OutboundRules {
    fn default() -> Self {
        Self { floor: TlsGrade::T3, max_size: 50 * 1024 * 1024, honour_tls_required_no: false }
    }
}

/// Why a recipient got its route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Why {
    /// The address is one of ours.
    OurAddress,
    /// The domain is ours, the address is not.
    NobodyThere,
    /// The default floor applies.
    Default,
    /// REQUIRETLS.
    RequireTls,
    /// `TLS-Required: No`, honoured.
    TlsNotRequired,
    /// The word *Secure* in the subject.
    SubjectWord,
    /// [`ROUTE_HEADER`].
    Header,
    /// [`ROUTE_HEADER`] with a value nobody knows.
    UnknownHeader,
    /// Over the size limit.
    TooLarge,
}

impl Why {
    /// The reason in words for a person.
    pub fn explain(self) -> &'static str {
        match self {
            Self::OurAddress => "the address is one of ours",
            Self::NobodyThere => "the domain is ours and nobody has this address",
            Self::Default => "nothing special applies: verified TLS or pickup",
            Self::RequireTls => "the sender asked for TLS on every hop (REQUIRETLS)",
            Self::TlsNotRequired => "the sender lowered the demand (TLS-Required: No)",
            Self::SubjectWord => "the subject has the word Secure",
            Self::Header => "the header X-Wardpost-Route asks for pickup",
            Self::UnknownHeader => "the header X-Wardpost-Route has a value that is not known",
            Self::TooLarge => "the message is larger than the limit",
        }
    }
}

/// The decision for one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// How it goes.
    pub route: Route,
    /// Why.
    pub why: Why,
}

/// The decision for a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// One for each recipient, in the order of the facts.
    pub recipients: Vec<Planned>,
    /// The subject without the word *Secure*, decoded; `None` when the subject stays as it is.
    pub subject: Option<String>,
}

/// Decides the route of every recipient of a message. See the module's text for the rules.
pub fn outbound(facts: &OutboundFacts<'_>, rules: &OutboundRules) -> Plan {
    let _ = (facts, rules, secure_word::strip);
    unimplemented!()
}
