//! DANE for SMTP (RFC 7672): whose TLSA records count, and whether a chain fits them.
//!
//! Everything hangs on DNSSEC. The MX set must be secure, else whoever forges it names his own host
//! with his own TLSA records (RFC 7672 §2.2.1). The host's addresses must be secure, else there is
//! nothing to be gained and servers that choke on TLSA queries would hold up mail (§2.2.2). And the
//! TLSA records must be. Where any of them is bogus or does not come, the host is not used at all.

use crate::chain::{Roots, failures};
use crate::tlsa::{Tlsa, usable};
use crate::{Deferral, Dnssec, Failure, FailureKind, LookupFailure, PolicyType};
use rustls_pki_types::{CertificateDer, Der, TrustAnchor};
use std::time::SystemTime;
use wardpost_mail::Domain;
use webpki::anchor_from_trusted_cert;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Records of one set that are looked at.
const MAX_RECORDS: usize = 32;
/// Certificates of a chain that are looked at.
const MAX_CHAIN: usize = 16;

/// The way from an exchanger's name to its addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressChain {
    /// The truth of the first record asked for: the alias, or the addresses where there is none.
    pub initial: Dnssec,
    /// The truth of all of it, addresses included.
    pub whole: Dnssec,
    /// Where aliases lead; the name itself where there are none.
    pub canonical: Domain,
}

/// What the look-up of TLSA records below one name gave. No records and a name that does not exist
/// are the same here: an empty list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsaAnswer {
    /// The TLSA base domain: the name without `_25._tcp.`.
    pub base: Domain,
    /// The records and their truth, aliases of `_25._tcp.…` included.
    pub records: Result<(Vec<Tlsa>, Dnssec), LookupFailure>,
}

/// The names below which TLSA records have to be looked up for an exchanger, in this order; empty
/// when there is no use in asking. The first that has secure records counts (RFC 7672 §2.2.2).
pub fn tlsa_bases(host: &Domain, mx: Dnssec, address: &AddressChain) -> Vec<Domain> {
    let aliased = address.canonical != *host;
    match (mx, address.whole, address.initial) {
        (Dnssec::Secure, Dnssec::Secure, _) if aliased => {
            vec![address.canonical.clone(), host.clone()]
        }
        (Dnssec::Secure, Dnssec::Secure, _) => vec![host.clone()],
        // The alias is proven, what it leads to is not: the records can only be below the alias.
        (Dnssec::Secure, _, Dnssec::Secure) if aliased => vec![host.clone()],
        _ => Vec::new(),
    }
}

/// What DANE asks of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Dane {
    /// Nothing.
    Absent,
    /// TLS, by whatever certificate: there are secure records, none of which can be used
    /// (RFC 7672 §2.2).
    Unusable(Failure),
    /// A certificate that fits.
    Required(Requirement),
}

/// Usable TLSA records and the names that certificates below a trust anchor must carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Requirement {
    records: Vec<Tlsa>,
    references: Vec<Domain>,
}

/// The names of the destination, for certificates that carry those instead of the host's.
pub(crate) struct NextHop<'a> {
    pub(crate) domain: &'a Domain,
    pub(crate) canonical: Option<&'a Domain>,
}

impl Dane {
    pub(crate) fn of(
        host: &Domain,
        next_hop: &NextHop<'_>,
        bases: &[Domain],
        answers: &[TlsaAnswer],
    ) -> Result<Self, Deferral> {
        for base in bases {
            // Never "no DANE": whoever wants to switch DANE off would only have to break the answer.
            // One that was not even asked for is no better.
            let answer = answers.iter().find(|answer| answer.base == *base);
            let records = answer.map_or(Err(&LookupFailure::Temporary), |a| a.records.as_ref());
            let (records, truth) = records.map_err(|failure| {
                Deferral::new(&format!("the TLSA record of {base}"), *failure)
            })?;
            if truth.is_secure() && !records.is_empty() {
                return Ok(Self::by(host, next_hop, base, records));
            }
        }
        Ok(Self::Absent)
    }

    fn by(host: &Domain, next_hop: &NextHop<'_>, base: &Domain, records: &[Tlsa]) -> Self {
        let records = &records[..records.len().min(MAX_RECORDS)];
        let usable = usable(records);
        if usable.is_empty() {
            let why = records.iter().find_map(Tlsa::unusable).unwrap_or_default();
            let detail = format!("no TLSA record of {base} can be used: {why}");
            let failure = Failure::new(FailureKind::TlsaInvalid, detail).under(PolicyType::Tlsa);
            return Self::Unusable(failure);
        }
        let names = [Some(base), Some(host), Some(next_hop.domain), next_hop.canonical];
        let mut references: Vec<Domain> = Vec::new();
        for name in names.into_iter().flatten() {
            if !references.contains(name) {
                references.push(name.clone());
            }
        }
        Self::Required(Requirement { records: usable, references })
    }
}

impl Requirement {
    /// Whether one of the records fits the chain; if not, what is wrong (RFC 7671 §5, RFC 7672 §3).
    pub(crate) fn check(&self, chain: &[Vec<u8>], now: SystemTime) -> Result<(), Vec<Failure>> {
        let chain = &chain[..chain.len().min(MAX_CHAIN)];
        let Some((own, above)) = chain.split_first() else {
            return Err(vec![failed("no certificate was shown")]);
        };
        // DANE-EE: neither names nor times count, only the match (RFC 7672 §3.1.1).
        if self.records.iter().any(|record| record.usage == 3 && record.matches(own)) {
            return Ok(());
        }
        let mut found = None;
        for record in self.records.iter().filter(|record| record.usage == 2) {
            let anchors = anchors(record, chain, above);
            if anchors.is_empty() {
                continue;
            }
            let names: Vec<&Domain> = self.references.iter().collect();
            let wrong = failures(chain, &names, &Roots::of(anchors), now);
            if wrong.is_empty() {
                return Ok(());
            }
            found.get_or_insert(wrong);
        }
        Err(found.map_or_else(
            || vec![failed("no certificate that was shown fits a TLSA record")],
            |wrong| wrong.into_iter().map(|failure| failure.under(PolicyType::Tlsa)).collect(),
        ))
    }
}

fn failed(detail: &str) -> Failure {
    Failure::new(FailureKind::ValidationFailure, detail).under(PolicyType::Tlsa)
}

/// The trust anchors that a DANE-TA record stands for (RFC 7671 §5.2). One given in full need not
/// be in the chain; one given as a digest must be (RFC 7672 §3.1.2).
fn anchors(record: &Tlsa, chain: &[Vec<u8>], above: &[Vec<u8>]) -> Vec<TrustAnchor<'static>> {
    match (record.selector, record.matching) {
        (0, 0) => anchor(&record.data).into_iter().collect(),
        // A bare key has no name: it may be the issuer of any certificate that was shown.
        (1, 0) => chain.iter().filter_map(|der| issuer_with_key(der, &record.data)).collect(),
        _ => above.iter().filter(|der| record.matches(der)).filter_map(|der| anchor(der)).collect(),
    }
}

fn anchor(der: &[u8]) -> Option<TrustAnchor<'static>> {
    anchor_from_trusted_cert(&CertificateDer::from(der)).ok().map(|anchor| anchor.to_owned())
}

fn issuer_with_key(der: &[u8], key: &[u8]) -> Option<TrustAnchor<'static>> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    Some(TrustAnchor {
        subject: Der::from(content(certificate.issuer().as_raw())?.to_vec()),
        subject_public_key_info: Der::from(content(key)?.to_vec()),
        name_constraints: None,
    })
}

/// What is inside of a DER value (X.690 §8.1): the octets after its tag and length.
fn content(der: &[u8]) -> Option<&[u8]> {
    let (_, rest) = der.split_first()?;
    let (length, rest) = rest.split_first()?;
    match length {
        0..=0x7f => Some(rest),
        _ => rest.get(usize::from(length & 0x7f)..),
    }
}
