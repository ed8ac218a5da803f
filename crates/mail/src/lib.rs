//! The words every part of Wardpost speaks: addresses, domains, envelopes, replies, TLS grades and
//! secrets. No I/O and no decisions live here.
//!
//! Untrusted text becomes one of these types once, at the edge; nothing downstream checks it again.

mod address;
mod duties;
mod envelope;
mod grade;
mod ids;
mod reply;
mod secret;

pub use address::{Address, AddressError, Domain, DomainError, ReversePath};
pub use duties::{DMARC_REPORTS, TLS_REPORTS};
pub use envelope::{BodyType, DsnReturn, Envelope, Notify, Recipient};
pub use grade::TlsGrade;
pub use ids::{AccountId, MailboxId, QueueId, Uid, UidValidity};
pub use reply::{EnhancedStatus, Reply};
pub use secret::Secret;
