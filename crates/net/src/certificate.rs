//! Certificates and keys of our own: reading, making, and when they end.

use crate::server::TlsError;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};
use wardpost_mail::Domain;
use wardpost_verdict::Roots;
use x509_parser::prelude::{FromDer, X509Certificate};

/// How long a certificate that we make for ourselves lasts.
const SELF_SIGNED_LIFETIME: Duration = Duration::from_secs(825 * 24 * 3600);
/// A certificate of ours is made anew when less than this is left of it.
const SELF_SIGNED_RENEW: Duration = Duration::from_secs(30 * 24 * 3600);

/// The one cryptography provider: aws-lc-rs, whose suites all have forward secrecy and AEAD.
pub(crate) static PROVIDER: LazyLock<Arc<CryptoProvider>> =
    LazyLock::new(|| Arc::new(aws_lc_rs::default_provider()));

/// A certificate chain with its key, and its end.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) key: Arc<CertifiedKey>,
    /// End of validity of our own certificate, Unix seconds.
    pub(crate) not_after: i64,
}

/// Reads a chain and its key from PEM files.
pub(crate) fn read_identity(certificate: &Path, key: &Path) -> Result<Identity, TlsError> {
    let chain = read_chain(certificate)?;
    let private = PrivateKeyDer::from_pem_file(key)
        .map_err(|e| TlsError::PrivateKey { path: key.to_owned(), error: e.to_string() })?;
    let not_after = not_after(&chain, certificate)?;
    let certified = CertifiedKey::from_der(chain, private, &PROVIDER).map_err(|error| {
        let (certificate, key) = (certificate.to_owned(), key.to_owned());
        match error {
            rustls::Error::InconsistentKeys(_) => TlsError::Mismatch { certificate, key },
            other => TlsError::PrivateKey { path: key, error: other.to_string() },
        }
    })?;
    Ok(Identity { key: Arc::new(certified), not_after })
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bad = |error: String| TlsError::Certificate { path: path.to_owned(), error };
    let chain = CertificateDer::pem_file_iter(path)
        .map_err(|e| bad(e.to_string()))?
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| bad(e.to_string()))?;
    if chain.is_empty() {
        return Err(bad("there is no certificate in it".into()));
    }
    Ok(chain)
}

fn not_after(chain: &[CertificateDer<'_>], path: &Path) -> Result<i64, TlsError> {
    let own = chain.first().map_or(&[][..], |der| der.as_ref());
    X509Certificate::from_der(own)
        .map(|(_, certificate)| certificate.validity().not_after.timestamp())
        .map_err(|e| TlsError::Certificate { path: path.to_owned(), error: e.to_string() })
}

/// Where a self-signed certificate for ourselves is kept under the data directory.
pub(crate) fn self_signed_paths(dir: &Path) -> (PathBuf, PathBuf) {
    (dir.join("self-signed.pem"), dir.join("self-signed.key"))
}

/// Reads our self-signed certificate, making it first when there is none or its end is near.
pub(crate) fn self_signed(dir: &Path, host: &Domain) -> Result<Identity, TlsError> {
    let (certificate, key) = self_signed_paths(dir);
    if let Ok(identity) = read_identity(&certificate, &key) {
        let renew_from = identity.not_after - SELF_SIGNED_RENEW.as_secs().cast_signed();
        if unix_now() < renew_from {
            return Ok(identity);
        }
    }
    make_self_signed(&certificate, &key, host)?;
    read_identity(&certificate, &key)
}

fn make_self_signed(certificate: &Path, key: &Path, host: &Domain) -> Result<(), TlsError> {
    let made = |e: rcgen::Error| TlsError::Make { error: e.to_string() };
    let pair = KeyPair::generate().map_err(made)?;
    let mut params = CertificateParams::new(vec![host.to_string()]).map_err(made)?;
    let now = SystemTime::now();
    params.not_before = (now - Duration::from_secs(3600)).into();
    params.not_after = (now + SELF_SIGNED_LIFETIME).into();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, host.as_str());
    let signed = params.self_signed(&pair).map_err(made)?;
    write_file(key, pair.serialize_pem().as_bytes(), 0o600)?;
    write_file(certificate, signed.pem().as_bytes(), 0o644)
}

/// Writes a file anew with exactly this mode, whole or not at all.
fn write_file(path: &Path, content: &[u8], mode: u32) -> Result<(), TlsError> {
    let new = path.with_extension("new");
    let write = || {
        // A remnant of an interrupted write may be there, with whatever mode.
        let _ = std::fs::remove_file(&new);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&new)?;
        file.write_all(content)?;
        file.sync_all()?;
        std::fs::rename(&new, path)
    };
    write().map_err(|error| TlsError::Write { path: path.to_owned(), error })
}

fn unix_now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |d| d.as_secs().cast_signed())
}

/// The authorities that the system trusts, and those in the PEM file `extra`.
///
/// Certificates of the system that cannot be read are left out with a warning.
///
/// # Errors
/// When `extra` cannot be read or holds something that is not a certificate.
pub fn load_roots(extra: Option<&Path>) -> Result<Roots, TlsError> {
    let mut roots = Roots::new();
    let system = rustls_native_certs::load_native_certs();
    for error in &system.errors {
        tracing::warn!(%error, "a trusted certificate of the system cannot be read");
    }
    for der in &system.certs {
        if let Err(error) = roots.add(der) {
            tracing::debug!(%error, "a certificate of the system's store is left out");
        }
    }
    if let Some(path) = extra {
        for der in read_chain(path)? {
            roots.add(&der).map_err(|e| TlsError::Certificate {
                path: path.to_owned(),
                error: e.to_string(),
            })?;
        }
    }
    Ok(roots)
}
