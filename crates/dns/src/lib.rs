//! The questions that mail asks of DNS, answered with their DNSSEC truth.
//!
//! [`Resolver`] is what the rest of Wardpost sees: a handful of typed look-ups. Each answer says how
//! far it can be believed ([`Dnssec`]), and each failure whether it is final or may pass by itself
//! ([`DnsError`]), because mail treats the two quite differently: a domain that does not exist is
//! reported at once, a resolver that does not answer is asked again later, and a bogus signature is
//! never taken for an absent record.
//!
//! [`HickoryResolver`] asks real servers: over UDP with EDNS, TCP when an answer is truncated, with
//! time-outs, retries and a bounded cache. [`FakeResolver`] answers tests from a table. [`OwnLook`]
//! looks at our own records, uncached, to know whether they are published.
//!
//! # DNSSEC
//! [`HickoryResolver::new`] validates nothing, [`HickoryResolver::validating`] does. Signatures are
//! then checked here, in this process, down from the [`TrustAnchor`]; what a server claims to have
//! checked (the AD bit) counts for nothing. A server must pass signatures on for that, and some do
//! not. With a trust anchor of the administrator's own, missing signatures are bogus, and nothing
//! gets through such a server. With the built-in root anchors it is different, since nobody asked
//! for validation: as long as the servers have never shown a root zone that validates, answers are
//! [`Dnssec::Indeterminate`], which is to say that mail flows and DANE is out of reach; from the
//! first one that validates on there is no way back. [`HickoryResolver::validated_by`] tells when that
//! was, so that it can be remembered, and [`HickoryResolver::known_to_validate`] takes it up in the
//! next run. Whoever sits between us and the servers from the very first question on can keep it from
//! happening, so a practice that relies on DANE configures an anchor. Reverse look-ups are claims of a
//! stranger's and are not validated.
//!
//! A network failure on the way to a key is temporary, a chain that does not hold is bogus; either
//! way mail waits.

mod anchor;
mod answer;
mod fake;
mod live;
mod own;
mod validate;
mod validation;

pub use anchor::{AnchorError, TrustAnchor};
pub use fake::FakeResolver;
pub use live::HickoryResolver;
pub use own::{FakeOwn, OwnKind, OwnLook, OwnRecords, Seen, reverse_name};
pub use validation::ValidatedBy;
pub use wardpost_verdict::{Dnssec, LookupFailure, Tlsa};

use async_trait::async_trait;
use std::net::IpAddr;
use thiserror::Error;
use wardpost_mail::Domain;
use wardpost_verdict::{AddressChain, TlsaAnswer};

/// An answer and its truth: that of the weakest record it was taken from, aliases included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer<T> {
    /// What was asked for.
    pub value: T,
    /// How far it can be believed.
    pub dnssec: Dnssec,
    /// The alias (CNAME) that was followed to get there, if there was one.
    pub alias: Option<Alias>,
}

impl<T> Answer<T> {
    /// An answer found under the very name that was asked for.
    pub fn new(value: T, dnssec: Dnssec) -> Self {
        Self { value, dnssec, alias: None }
    }

    fn map<U>(self, change: impl FnOnce(T) -> U) -> Answer<U> {
        Answer { value: change(self.value), dnssec: self.dnssec, alias: self.alias }
    }
}

impl Answer<Vec<IpAddr>> {
    /// The way from the host's name to its addresses, as DANE wants to know it.
    pub fn chain(&self, host: &Domain) -> AddressChain {
        match &self.alias {
            Some(alias) => AddressChain {
                initial: alias.initial,
                whole: self.dnssec,
                canonical: alias.canonical.clone(),
            },
            None => {
                AddressChain { initial: self.dnssec, whole: self.dnssec, canonical: host.clone() }
            }
        }
    }
}

/// A chain of aliases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alias {
    /// The truth of its first link, the one at the name that was asked for.
    pub initial: Dnssec,
    /// The name at its end.
    pub canonical: Domain,
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

    /// The failure as `verdict` sees it; `None` when the name does not exist, which is an answer.
    pub fn failure(&self) -> Option<LookupFailure> {
        match self {
            Self::NoSuchDomain => None,
            Self::Bogus => Some(LookupFailure::Bogus),
            Self::Temporary(_) => Some(LookupFailure::Temporary),
        }
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

    /// The TLSA records of a service, at `_port._tcp.host` (RFC 6698 §3); empty when there are none,
    /// which includes that the name does not exist. Ask only for what
    /// [`wardpost_verdict::tlsa_bases`] says: many servers answer such questions with an error.
    ///
    /// # Errors
    /// See [`DnsError`]. An error never means that there are none.
    async fn tlsa(&self, host: &Domain, port: u16) -> Result<Answer<Vec<Tlsa>>, DnsError>;

    /// The same as a fact for a verdict.
    async fn tlsa_answer(&self, base: &Domain, port: u16) -> TlsaAnswer {
        let records = match self.tlsa(base, port).await {
            Ok(answer) => Ok((answer.value, answer.dnssec)),
            Err(error) => match error.failure() {
                Some(failure) => Err(failure),
                None => Ok((Vec::new(), Dnssec::Indeterminate)),
            },
        };
        TlsaAnswer { base: base.clone(), records }
    }

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
