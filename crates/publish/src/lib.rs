//! What we publish about ourselves, so that others can find out whom they are talking to.
//!
//! [`OwnPolicy`] is our MTA-STS policy (RFC 8461) with the record that announces it. [`KeyPlan`] is
//! about TLSA records (RFC 6698): it knows the key that our certificate has, the one that it will have
//! next, and those that it had until lately.
//!
//! # How a key rolls over without a gap
//! A mail server that uses DANE delivers only to a key that it finds in the DNS, and it may use what it
//! has read for as long as the record's time to live says. So a key must have been in the DNS for some
//! time before it is used, and must stay there for some time after (RFC 7671 §8.1, RFC 7672 §8.2):
//!
//! ```text
//! make the next key ─▶ publish both records ─▶ seen for two TTLs ─▶ use it ─▶ two TTLs, and three days:
//!                                                                             take the old record out
//! ```
//! The plan walks along this line by what it is shown, never by what was intended: which key the
//! certificate in use has ([`KeyPlan::observe`]), and which records are in the DNS ([`KeyPlan::look`]).
//! A certificate whose key was never announced is noticed and told, not refused: it may be the only one
//! there is.
//!
//! The records are `3 1 1`: our own certificate (DANE-EE), its public key, SHA-256. They ask for no
//! name, no date and no authority (RFC 7671 §5.1), so that renewing a certificate with the same key
//! changes nothing.
//!
//! # How it is kept
//! One record in `Column::System`, sealed like every value; the next key's private half is in it until
//! it is used. Whoever issues certificates takes the next key for the signing request
//! ([`KeyPlan::next_key`]).
//!
//! DKIM keys are not here but with their domain, in the directory.
//!
//! # All of it
//! [`records`] lists every record that a domain of ours needs.

mod keyplan;
mod plan;
mod policy;
pub mod records;

pub use keyplan::{KeyPlan, PlanError};
pub use plan::{Keys, Observed, PlannedKey, Readiness, Stage};
pub use policy::OwnPolicy;
