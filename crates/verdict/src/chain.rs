//! Certificate chains: from bytes and a time to what is wrong with them.

use crate::{Failure, FailureKind};
use aws_lc_rs::digest::{SHA256, digest};
use rustls_pki_types::{CertificateDer, DnsName, ServerName, TrustAnchor, UnixTime};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use thiserror::Error;
use wardpost_mail::Domain;
use webpki::{EndEntityCert, Error, KeyUsage, anchor_from_trusted_cert};
use x509_parser::prelude::{FromDer, X509Certificate};

/// Longest name kept of a certificate, in characters: they come from strangers.
const MAX_NAME: usize = 120;

/// The certificate authorities that are trusted.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Roots {
    anchors: Vec<TrustAnchor<'static>>,
}

/// A certificate that cannot serve as a root.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the certificate cannot be used as a trusted root: {0}")]
pub struct RootError(String);

impl Roots {
    /// No roots: nothing verifies.
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts one more authority, given as a DER certificate.
    ///
    /// # Errors
    /// When the bytes are not a certificate.
    pub fn add(&mut self, der: &[u8]) -> Result<(), RootError> {
        let der = CertificateDer::from(der);
        let anchor = anchor_from_trusted_cert(&der).map_err(|e| RootError(e.to_string()))?;
        self.anchors.push(anchor.to_owned());
        Ok(())
    }

    /// These authorities and no others: what a domain's own TLSA records name.
    pub(crate) fn of(anchors: Vec<TrustAnchor<'static>>) -> Self {
        Self { anchors }
    }

    /// The authorities, for a handshake that verifies by itself.
    pub fn anchors(&self) -> &[TrustAnchor<'static>] {
        &self.anchors
    }

    /// How many authorities are trusted.
    pub fn len(&self) -> usize {
        self.anchors.len()
    }

    /// Whether nobody is trusted.
    pub fn is_empty(&self) -> bool {
        self.anchors.is_empty()
    }
}

impl fmt::Debug for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Roots({})", self.anchors.len())
    }
}

/// What is kept of the peer's own certificate as evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateSummary {
    /// SHA-256 of the whole certificate, in hexadecimal.
    pub sha256: String,
    /// The subject's distinguished name, shortened.
    pub subject: String,
    /// The issuer's distinguished name, shortened.
    pub issuer: String,
    /// Start of validity, Unix seconds.
    pub not_before: i64,
    /// End of validity, Unix seconds.
    pub not_after: i64,
}

impl CertificateSummary {
    /// Reads the summary; unreadable certificates keep only their fingerprint.
    pub(crate) fn read(der: &[u8]) -> Self {
        let sha256 =
            digest(&SHA256, der).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        match X509Certificate::from_der(der) {
            Ok((_, certificate)) => Self {
                sha256,
                subject: printable(&certificate.subject().to_string()),
                issuer: printable(&certificate.issuer().to_string()),
                not_before: certificate.validity().not_before.timestamp(),
                not_after: certificate.validity().not_after.timestamp(),
            },
            Err(_) => Self {
                sha256,
                subject: String::new(),
                issuer: String::new(),
                not_before: 0,
                not_after: 0,
            },
        }
    }
}

fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MAX_NAME).collect()
}

/// Everything that is wrong with a chain that must carry one of these names, the one to speak of
/// first; empty when it verifies (RFC 5280 §6, RFC 9525 §6).
pub(crate) fn failures(
    chain: &[Vec<u8>],
    names: &[&Domain],
    roots: &Roots,
    now: SystemTime,
) -> Vec<Failure> {
    let Some((own, intermediates)) = chain.split_first() else {
        return vec![Failure::new(FailureKind::ValidationFailure, "no certificate was shown")];
    };
    let own_der = CertificateDer::from(own.as_slice());
    let certificate = match EndEntityCert::try_from(&own_der) {
        Ok(certificate) => certificate,
        Err(error) => return vec![failure_of(&error, own)],
    };
    let intermediates: Vec<CertificateDer<'_>> =
        intermediates.iter().map(|der| CertificateDer::from(der.as_slice())).collect();
    let mut failures = path_failures(&certificate, own, &intermediates, roots, now);
    failures.extend(name_failure(&certificate, names));
    failures
}

fn path_failures(
    certificate: &EndEntityCert<'_>,
    der: &[u8],
    intermediates: &[CertificateDer<'_>],
    roots: &Roots,
    now: SystemTime,
) -> Vec<Failure> {
    let verify = |time: UnixTime| {
        certificate
            .verify_for_usage(
                webpki::ALL_VERIFICATION_ALGS,
                &roots.anchors,
                intermediates,
                time,
                KeyUsage::server_auth(),
                None,
                None,
            )
            .err()
    };
    let since_epoch = now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let Some(error) = verify(UnixTime::since_unix_epoch(since_epoch)) else {
        return Vec::new();
    };
    let mut failures = vec![failure_of(&error, der)];
    // A certificate out of its time may also come from nobody known: look at it in its own time.
    let in_time = match error {
        Error::CertExpired { not_after, .. } => Some(not_after),
        Error::CertNotValidYet { not_before, .. } => Some(not_before),
        _ => None,
    };
    if let Some(error) = in_time.and_then(verify)
        && !matches!(error, Error::CertExpired { .. } | Error::CertNotValidYet { .. })
    {
        failures.push(failure_of(&error, der));
    }
    failures
}

fn name_failure(certificate: &EndEntityCert<'_>, names: &[&Domain]) -> Option<Failure> {
    let carries = |name: &&Domain| {
        DnsName::try_from(name.as_str())
            .map(ServerName::DnsName)
            .is_ok_and(|name| certificate.verify_is_valid_for_subject_name(&name).is_ok())
    };
    if names.iter().any(carries) {
        return None;
    }
    let shown: Vec<String> = certificate.valid_dns_names().take(5).map(printable).collect();
    let host = names.first().map_or("no name at all", |name| name.as_str());
    let detail = if DnsName::try_from(host).is_err() {
        format!("{host} is not a name that a certificate can carry")
    } else if shown.is_empty() {
        format!("the certificate names no host; {host} was wanted")
    } else {
        format!("the certificate is for {}, not for {host}", shown.join(", "))
    };
    Some(Failure::new(FailureKind::CertificateHostMismatch, detail))
}

/// Puts webpki's finding into RFC 8460 §4.3.1 words.
fn failure_of(error: &Error, der: &[u8]) -> Failure {
    match error {
        Error::CertExpired { .. } => {
            Failure::new(FailureKind::CertificateExpired, "a certificate of the chain has expired")
        }
        Error::CertNotValidYet { .. } => {
            Failure::new(FailureKind::ValidationFailure, "a certificate is not valid yet")
        }
        // A self-signed certificate marked as an authority is reported as one used for a server.
        Error::UnknownIssuer | Error::CaUsedAsEndEntity if is_self_signed(der) => {
            Failure::new(FailureKind::CertificateNotTrusted, "the certificate is self-signed")
        }
        Error::UnknownIssuer => Failure::new(
            FailureKind::CertificateNotTrusted,
            "the certificate does not come from a trusted authority, or one between is missing",
        ),
        // An authority of a trusted one's name with another key.
        Error::InvalidSignatureForPublicKey => Failure::new(
            FailureKind::CertificateNotTrusted,
            "the certificate was not signed by the authority that it names",
        ),
        other => Failure::new(FailureKind::ValidationFailure, other.to_string()),
    }
}

fn is_self_signed(der: &[u8]) -> bool {
    X509Certificate::from_der(der).is_ok_and(|(_, c)| c.subject() == c.issuer())
}
