//! Certificates and keys of our own: reading, making, and when they end.

use crate::own_key::OwnKey;
use crate::server::TlsError;
use rcgen::{CertificateParams, DistinguishedName, DnType};
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
use wardpost_mail::{Domain, Secret};
use wardpost_verdict::{Fingerprint, Roots};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// How long a certificate that we make for ourselves lasts.
const SELF_SIGNED_LIFETIME: Duration = Duration::from_secs(825 * 24 * 3600);
/// A certificate of ours is made anew when less than this is left of it.
const SELF_SIGNED_RENEW: Duration = Duration::from_secs(30 * 24 * 3600);

/// The name on the certificate of a server that has no name yet (see [`crate::ServerTls::self_signed`]).
pub const SET_UP_HOST: &str = "set-up.wardpost.internal";
/// For how long it is used after the set-up.
const SET_UP_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// Whether the certificate with [`SET_UP_HOST`] stays in use now that the server has a name. Whoever answered
/// the questions of the set-up has told their browser to trust it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SetUpCertificate {
    /// It gives way to one with the name.
    #[default]
    Ends,
    /// It stays for a day from this moment, when the server got its name.
    SetUpAt(SystemTime),
    /// It stays: the set-up was in this process, and somebody is in the middle of it.
    Stays,
}

impl SetUpCertificate {
    /// By a clock that was set right since, the moment may be in the future.
    fn stays(self) -> bool {
        let now = SystemTime::now();
        match self {
            Self::Ends => false,
            Self::SetUpAt(when) => {
                let since = now.duration_since(when).or_else(|_| when.duration_since(now));
                since.is_ok_and(|since| since < SET_UP_LIFETIME)
            }
            Self::Stays => true,
        }
    }
}

/// The one cryptography provider: aws-lc-rs, whose suites all have forward secrecy and AEAD.
pub(crate) static PROVIDER: LazyLock<Arc<CryptoProvider>> =
    LazyLock::new(|| Arc::new(aws_lc_rs::default_provider()));

/// What a certificate of ours says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFacts {
    /// The host names it is for, in lower case, wildcards as they are (RFC 9525 §6.3).
    pub names: Vec<String>,
    /// Its public key in DER (SubjectPublicKeyInfo), which a TLSA record `3 1 1` is a digest of.
    pub public_key_info: Vec<u8>,
    /// Begin of validity, Unix seconds.
    pub not_before: i64,
    /// End of validity, Unix seconds.
    pub not_after: i64,
    /// No authority vouches for it: issuer and subject are the same.
    pub self_issued: bool,
    /// SHA-256 of the whole certificate: what browsers show as its fingerprint.
    pub fingerprint: [u8; 32],
}

impl CertificateFacts {
    /// Whether it is for this host: by name, or by a wildcard for its first label (RFC 9525 §6.3).
    pub fn covers(&self, host: &Domain) -> bool {
        let parent = host.as_str().split_once('.').map(|(_, parent)| parent);
        self.names.iter().any(|name| match name.strip_prefix("*.") {
            Some(wildcard) => parent == Some(wildcard),
            None => name == host.as_str(),
        })
    }

    /// The fingerprint as a person compares it: hexadecimal digits in groups of four.
    pub fn fingerprint_text(&self) -> String {
        let pairs: Vec<String> = self
            .fingerprint
            .chunks(2)
            .map(|pair| format!("{:02X}{:02X}", pair[0], pair[1]))
            .collect();
        pairs.join(" ")
    }

    /// Reads the first certificate of a chain in PEM.
    ///
    /// # Errors
    /// When there is none, with words.
    pub fn of_chain(pem: &str) -> Result<Self, String> {
        let own = CertificateDer::pem_slice_iter(pem.as_bytes()).next();
        let own = own.ok_or("there is no certificate in it")?.map_err(|e| e.to_string())?;
        Self::read(&own)
    }

    fn read(der: &[u8]) -> Result<Self, String> {
        let (_, certificate) = X509Certificate::from_der(der).map_err(|e| e.to_string())?;
        let names = match certificate.subject_alternative_name() {
            Ok(Some(names)) => names.value.general_names.iter().filter_map(dns_name).collect(),
            Ok(None) => Vec::new(),
            Err(error) => return Err(error.to_string()),
        };
        Ok(Self {
            names,
            public_key_info: certificate.public_key().raw.to_vec(),
            not_before: certificate.validity().not_before.timestamp(),
            not_after: certificate.validity().not_after.timestamp(),
            self_issued: certificate.issuer().as_raw() == certificate.subject().as_raw(),
            fingerprint: *Fingerprint::of_certificate(der).octets(),
        })
    }
}

fn dns_name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        _ => None,
    }
}

/// A certificate chain with its key, and what its first certificate says.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) key: Arc<CertifiedKey>,
    pub(crate) facts: CertificateFacts,
}

/// Reads a chain and its key from PEM files.
pub(crate) fn read_identity(certificate: &Path, key: &Path) -> Result<Identity, TlsError> {
    let chain = read_chain(certificate)?;
    let private = PrivateKeyDer::from_pem_file(key)
        .map_err(|e| TlsError::PrivateKey { path: key.to_owned(), error: e.to_string() })?;
    let own = chain.first().map_or(&[][..], |der| der.as_ref());
    let facts = CertificateFacts::read(own)
        .map_err(|error| TlsError::Certificate { path: certificate.to_owned(), error })?;
    let certified = CertifiedKey::from_der(chain, private, &PROVIDER).map_err(|error| {
        let (certificate, key) = (certificate.to_owned(), key.to_owned());
        match error {
            rustls::Error::InconsistentKeys(_) => TlsError::Mismatch { certificate, key },
            other => TlsError::PrivateKey { path: key, error: other.to_string() },
        }
    })?;
    Ok(Identity { key: Arc::new(certified), facts })
}

/// Puts a chain from an authority together with the key it was asked for.
pub(crate) fn parse_identity(chain: &str, key: &OwnKey) -> Result<Identity, TlsError> {
    let bad = |error: String| TlsError::Issued { error };
    let chain = CertificateDer::pem_slice_iter(chain.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| bad(e.to_string()))?;
    let own = chain.first().ok_or_else(|| bad("there is none".into()))?;
    let facts = CertificateFacts::read(own).map_err(bad)?;
    let private = PrivateKeyDer::Pkcs8(key.pkcs8().expose().clone().into());
    let certified = CertifiedKey::from_der(chain, private, &PROVIDER)
        .map_err(|error| bad(error.to_string()))?;
    Ok(Identity { key: Arc::new(certified), facts })
}

/// The key of our self-signed certificate.
pub(crate) fn self_signed_key(dir: &Path) -> Result<OwnKey, TlsError> {
    let (_, path) = self_signed_paths(dir);
    let missing = || TlsError::PrivateKey { path: path.clone(), error: "it is gone".into() };
    OwnKey::read(&path)?.ok_or_else(missing)
}

/// The private key in a PEM file, in whichever DER form it has.
pub(crate) fn read_key(path: &Path) -> Result<Secret<Vec<u8>>, TlsError> {
    let key = PrivateKeyDer::from_pem_file(path)
        .map_err(|e| TlsError::PrivateKey { path: path.to_owned(), error: e.to_string() })?;
    Ok(Secret::new(key.secret_der().to_vec()))
}

pub(crate) fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
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

/// Where a self-signed certificate for ourselves is kept under the data directory.
pub(crate) fn self_signed_paths(dir: &Path) -> (PathBuf, PathBuf) {
    (dir.join("self-signed.pem"), dir.join("self-signed.key"))
}

/// Reads our self-signed certificate, making it first when there is none, its end is near, or it is
/// for another name. The key stays the same through all of this, since a TLSA record may stand for it
/// (RFC 7671 §5.1: such a record asks neither for a name nor for a date).
pub(crate) fn self_signed(
    dir: &Path,
    host: &Domain,
    set_up: SetUpCertificate,
) -> Result<Identity, TlsError> {
    let (certificate, key_file) = self_signed_paths(dir);
    if let Ok(identity) = read_identity(&certificate, &key_file) {
        let renew_from = identity.facts.not_after - SELF_SIGNED_RENEW.as_secs().cast_signed();
        let facts = &identity.facts;
        if unix_now() < renew_from && (facts.covers(host) || is_of_set_up(facts) && set_up.stays())
        {
            return Ok(identity);
        }
    }
    let key = match OwnKey::read(&key_file)? {
        Some(key) => key,
        None => {
            let key = OwnKey::generate()?;
            key.write(&key_file)?;
            key
        }
    };
    make_self_signed(&certificate, &key, host)?;
    read_identity(&certificate, &key_file)
}

fn is_of_set_up(facts: &CertificateFacts) -> bool {
    facts.names == [SET_UP_HOST]
}

/// Puts another key in place of that of our self-signed certificate. The key's file is written first:
/// if this is interrupted, the next start makes the certificate that goes with it.
pub(crate) fn replace_self_signed(
    dir: &Path,
    host: &Domain,
    key: &OwnKey,
) -> Result<Identity, TlsError> {
    let (certificate, key_file) = self_signed_paths(dir);
    key.write(&key_file)?;
    make_self_signed(&certificate, key, host)?;
    read_identity(&certificate, &key_file)
}

fn make_self_signed(certificate: &Path, key: &OwnKey, host: &Domain) -> Result<(), TlsError> {
    let made = |e: rcgen::Error| TlsError::Make { error: e.to_string() };
    let mut params = CertificateParams::new(vec![host.to_string()]).map_err(made)?;
    let now = SystemTime::now();
    params.not_before = (now - Duration::from_secs(3600)).into();
    params.not_after = (now + SELF_SIGNED_LIFETIME).into();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, host.as_str());
    let signed = params.self_signed(key.pair()).map_err(made)?;
    write_file(certificate, signed.pem().as_bytes(), 0o644)
}

/// Writes a file anew with exactly this mode, whole or not at all.
pub(crate) fn write_file(path: &Path, content: &[u8], mode: u32) -> Result<(), TlsError> {
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
/// # Errors
/// When `extra` cannot be read or holds something that is not a certificate.
pub fn load_roots(extra: Option<&Path>) -> Result<Roots, TlsError> {
    extend_roots(system_roots(), extra)
}

/// The authorities that the system trusts. Certificates that cannot be read are left out with a warning.
pub fn system_roots() -> Roots {
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
    roots
}

/// Those authorities, and the ones in the PEM file `extra`.
///
/// # Errors
/// When `extra` cannot be read or holds something that is not a certificate.
pub fn extend_roots(mut roots: Roots, extra: Option<&Path>) -> Result<Roots, TlsError> {
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
