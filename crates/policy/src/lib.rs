//! The judge of a message's route, in both directions. Pure: facts go in, a decision comes out; no
//! network, no disk, no clock.
//!
//! [`outbound()`] decides for each recipient of a message that staff submit how that recipient is to be
//! reached: in a local mailbox, by TLS of at least a certain grade, or by a pickup page. Whether the
//! path then really reaches that grade is seen by the courier and judged by `wardpost-verdict`; what
//! falls short becomes a parcel, never cleartext.
//!
//! [`inbound()`] decides what happens to a message from elsewhere once SPF, DKIM, DMARC and ARC have spoken.
//!
//! Decisions carry their reason as data, so that `wardpost route explain` and the evidence tell the
//! truth rather than a second guess at it.

mod evidence;
mod inbound;
mod outbound;
mod secure_word;

pub use evidence::{ArcEvidence, DkimEvidence, DmarcEvidence, SenderEvidence, SpfEvidence};
pub use inbound::{
    ArcResult, ClientCertificate, Disposition, DkimResult, DmarcPolicy, DmarcResult, Folder,
    InboundFacts, IprevResult, SpfResult, inbound,
};
pub use outbound::{
    OutboundFacts, OutboundRules, PinFacts, Place, Plan, Planned, ROUTE_HEADER, RecipientFacts,
    Route, Why, outbound,
};
