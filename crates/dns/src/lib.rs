//! The questions that mail asks of DNS, answered with their DNSSEC truth.
//!
//! [`Resolver`] is what the rest of Wardpost sees: a handful of typed look-ups. Each answer says how
//! far it can be believed ([`Dnssec`]), and each failure whether it is final or may pass by itself
//! ([`DnsError`]), because mail treats the two quite differently: a domain that does not exist is
//! reported at once, a resolver that does not answer is asked again later, and a bogus signature is
//! never taken for an absent record.
//!
//! [`HickoryResolver`] asks real servers: over UDP with EDNS, TCP when an answer is truncated, with
//! time-outs, retries and a bounded cache. [`FakeResolver`] answers tests from a table.
//!
//! DNSSEC validation is not switched on yet: live answers are [`Dnssec::Indeterminate`].

mod fake;
mod live;

pub use fake::FakeResolver;
pub use live::HickoryResolver;

use async_trait::async_trait;
use std::net::IpAddr;
use thiserror::Error;
use wardpost_mail::Domain;

/// How far an answer can be believed (RFC 4033 §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dnssec {
    /// Signed, and the chain of signatures leads to the trust anchor.
    Secure,
    /// Provably unsigned.
    Insecure,
    /// Nobody checked.
    Indeterminate,
}

/// An answer and its truth: that of the weakest record it was taken from, aliases included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer<T> {
    /// What was asked for.
    pub value: T,
    /// How far it can be believed.
    pub dnssec: Dnssec,
}

/// Why there is no answer. Displays no names: those of patients' mail providers do not go into logs.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DnsError {
    /// The name does not exist (NXDOMAIN). Final.
    #[error("the domain does not exist")]
    NoSuchDomain,
    /// A signature is wrong or missing where one must be. Passes only when its owner mends it, or
    /// when whoever tampers stops: ask again later, never go on without.
    #[error("the answer's DNSSEC signature is not valid")]
    Bogus,
    /// No server answered, or one answered with an error. Ask again later.
    #[error("DNS gave no answer: {0}")]
    Temporary(String),
}

impl DnsError {
    /// Whether asking again later may help.
    pub fn is_temporary(&self) -> bool {
        !matches!(self, Self::NoSuchDomain)
    }
}

/// One mail exchanger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MxHost {
    /// Lower is tried first (RFC 5321 §5.1).
    pub preference: u16,
    /// The host's name.
    pub host: Domain,
}

/// Where a domain wants its mail (RFC 5321 §5.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mx {
    /// A null MX: the domain takes no mail (RFC 7505).
    Null,
    /// Mail exchangers, by preference, equal ones in the order received. Empty when there are MX
    /// records but none names a host: then there is nowhere to deliver to.
    Hosts(Vec<MxHost>),
    /// The domain exists and has no MX records: it is its own exchanger.
    Implicit,
}

/// What mail asks of DNS.
#[async_trait]
pub trait Resolver: Send + Sync {
    /// The mail exchangers of a domain. A domain that exists without MX records is
    /// [`Mx::Implicit`]; a failing server is an error, never that.
    ///
    /// # Errors
    /// See [`DnsError`].
    async fn mx(&self, domain: &Domain) -> Result<Answer<Mx>, DnsError>;

    /// The addresses of a host, IPv4 first; empty when it exists without any. If one family cannot
    /// be looked up but the other has addresses, those are the answer.
    ///
    /// # Errors
    /// See [`DnsError`].
    async fn addresses(&self, host: &Domain) -> Result<Answer<Vec<IpAddr>>, DnsError>;

    /// The TXT records of a name, each with its strings joined; empty when there are none.
    ///
    /// # Errors
    /// See [`DnsError`].
    async fn txt(&self, name: &Domain) -> Result<Answer<Vec<Vec<u8>>>, DnsError>;

    /// The names that an address claims (PTR); empty when there are none. Claims only: check that
    /// the name leads back.
    ///
    /// # Errors
    /// See [`DnsError`].
    async fn reverse(&self, address: IpAddr) -> Result<Answer<Vec<Domain>>, DnsError>;
}
