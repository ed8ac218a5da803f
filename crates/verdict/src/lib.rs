//! Is this TLS path good enough for a patient's secret? The one judgement that Wardpost lives by.
//!
//! Nothing here does I/O: what was seen of a path goes in (an [`Observation`], the trusted [`Roots`]
//! and the time), a [`Verdict`] comes out: a grade on the scale T0–T5 ([`TlsGrade`]) with its
//! reasons in the failure words of RFC 8460 §4.3, ready to be kept as evidence and to be told to a
//! person ([`Verdict::explain`]).
//!
//! # Why the handshake itself never refuses
//! A TLS client that refuses a certificate during the handshake learns nothing about it and cannot
//! say afterwards what was wrong. So `net` completes the handshake with whatever certificate is
//! shown (the peer still has to prove that it owns the key) and records [`HandshakeFacts`]. They
//! are judged here, before the first MAIL command.
//!
//! # What a verdict is good for
//! [`Verdict::admit`] turns a connection into a [`SecureChannel`], the only thing that the courier
//! can send mail through. It demands two things: that the grade reaches the [`Floor`], and that the
//! verdict was made from *this* connection, shown by the TLS exporter value (RFC 9266) that both
//! carry. A verdict read back from storage has lost that value and admits nothing.
//!
//! # Certificates
//! Paths are built and names compared by webpki: RFC 5280 paths, RFC 9525 names (subject
//! alternative names only, never the common name). The reference identifier is the MX host name,
//! never the mail domain (RFC 7817 §3, RFC 8461 §4.1). Revocation is not consulted.
//!
//! # Left out for now
//! T4 and T5 need DANE, MTA-STS and REQUIRETLS, which are not facts yet: no path is graded above T3.

mod chain;
mod channel;
mod facts;
mod grade;

pub use chain::{CertificateSummary, RootError, Roots};
pub use channel::{Below, Bound, Floor, SecureChannel};
pub use facts::{ChannelBinding, HandshakeFacts, Observation, TlsVersion};
pub use grade::{Failure, FailureKind, Verdict, grade};
pub use wardpost_mail::TlsGrade;
