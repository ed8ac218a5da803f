//! Certificates from files that partners send.

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use thiserror::Error;
use wardpost_verdict::Fingerprint;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Longest file that is read as certificates.
const MAX_FILE: usize = 48 * 1024;

/// Why a file is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PemError {
    /// Far too long.
    #[error("the file is too long: certificates of a few authorities are meant, not of all")]
    TooLong,
    /// Nothing in it.
    #[error("there is no certificate in it (-----BEGIN CERTIFICATE-----)")]
    Empty,
    /// Not a certificate inside.
    #[error("it holds something that is no certificate: {0}")]
    Broken(String),
    /// More than one where one is meant.
    #[error(
        "there are several certificates in it; give a file with the server's own certificate alone"
    )]
    Several,
    /// A certificate that cannot vouch for others.
    #[error(
        "there is a certificate in it that is no CA's; a server's own certificate is pinned with --certificate"
    )]
    NoAuthority,
}

/// The fingerprint of the one certificate in a PEM file: that of its key, which stays when the
/// certificate is renewed with the same key.
///
/// # Errors
/// When there is not exactly one certificate in it.
pub fn fingerprint_from_pem(pem: &[u8]) -> Result<Fingerprint, PemError> {
    match certificates(pem)?.as_slice() {
        [one] => Fingerprint::of_key(one).ok_or_else(|| PemError::Broken("unreadable".into())),
        _ => Err(PemError::Several),
    }
}

/// The CA certificates in a PEM file, in DER.
///
/// # Errors
/// When there is none, or one that is no authority's (RFC 5280 §4.2.1.9).
pub fn authorities_from_pem(pem: &[u8]) -> Result<Vec<Vec<u8>>, PemError> {
    let found = certificates(pem)?;
    if found.iter().all(|der| is_authority(der)) { Ok(found) } else { Err(PemError::NoAuthority) }
}

fn certificates(pem: &[u8]) -> Result<Vec<Vec<u8>>, PemError> {
    if pem.len() > MAX_FILE {
        return Err(PemError::TooLong);
    }
    let mut found = Vec::new();
    for der in CertificateDer::pem_slice_iter(pem) {
        let der = der.map_err(|error| PemError::Broken(error.to_string()))?;
        X509Certificate::from_der(&der).map_err(|error| PemError::Broken(error.to_string()))?;
        found.push(der.to_vec());
    }
    if found.is_empty() { Err(PemError::Empty) } else { Ok(found) }
}

pub(crate) fn is_authority(der: &[u8]) -> bool {
    X509Certificate::from_der(der).is_ok_and(|(_, certificate)| certificate.is_ca())
}
