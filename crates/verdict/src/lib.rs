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
//! # What a domain publishes
//! A [`Policy`] is made from DNS and MTA-STS facts before anybody is connected to, or it is a
//! [`Deferral`]: facts that cannot be relied on are never taken for absent ones. It grades what is
//! then seen. DANE (RFC 7672) comes before MTA-STS (RFC 8461 §2): an exchanger with usable TLSA
//! records is judged by those alone. A path that satisfies the policy is T4, one that does not is
//! graded by what was seen of it but let through no floor ([`Floor::raised_by`]). [`grade()`] judges
//! without any policy.
//!
//! # What the practice was told
//! [`Policy::with_trust`] puts certificates that an administrator pinned for the domain in place of
//! the public CAs ([`Trust`]): a path that shows one of them is T3, one that does not is below, whoever
//! else vouches for it. What the domain publishes has to be satisfied as well.
//!
//! # Left out for now
//! Stapled OCSP answers.

mod chain;
mod channel;
mod client;
mod dane;
mod evidence;
mod facts;
mod failure;
mod grade;
mod policy;
mod sts;
mod tlsa;
mod trust;
mod truth;

pub use chain::{CertificateSummary, RootError, Roots};
pub use channel::{Below, Bound, Floor, FloorSource, Floors, SecureChannel};
pub use client::ClientIdentity;
pub use dane::{AddressChain, TlsaAnswer, tlsa_bases};
pub use evidence::{PathEvidence, StsEvidence, TlsaEvidence};
pub use facts::{ChannelBinding, HandshakeFacts, Observation, TlsVersion};
pub use failure::{Failure, FailureKind, PolicyType};
pub use grade::{Verdict, grade};
pub use policy::{PathFacts, Policy, Published, StsFacts, StsProblem};
pub use sts::{MAX_POLICY, MxPattern, StsError, StsMode, StsPolicy, sts_record_id};
pub use tlsa::{Tlsa, TlsaError};
pub use trust::{Fingerprint, FingerprintError, Trust};
pub use truth::{Deferral, Dnssec, LookupFailure};
pub use wardpost_mail::TlsGrade;
