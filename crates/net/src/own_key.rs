//! A private key of our own, whether or not there is a certificate for it yet.

use crate::certificate::write_file;
use crate::server::TlsError;
use rcgen::{
    CertificateParams, CertificateSigningRequest, DistinguishedName, KeyPair, PublicKeyData,
};
use rustls_pki_types::PrivatePkcs8KeyDer;
use std::fmt;
use std::io::ErrorKind;
use std::path::Path;
use wardpost_mail::{Domain, Secret};

/// A private key of our own: ECDSA on P-256 when made here, which every mail server can verify
/// (RFC 9325 §4.2) and which costs little in a handshake.
pub struct OwnKey(KeyPair);

impl OwnKey {
    /// Makes a new key.
    ///
    /// # Errors
    /// When the cryptographic library has no random numbers.
    pub fn generate() -> Result<Self, TlsError> {
        KeyPair::generate().map(Self).map_err(made)
    }

    /// Reads a key kept by [`OwnKey::pkcs8`].
    ///
    /// # Errors
    /// When it is no PKCS #8 key.
    pub fn from_pkcs8(der: &Secret<Vec<u8>>) -> Result<Self, TlsError> {
        let der = PrivatePkcs8KeyDer::from(der.expose().as_slice());
        KeyPair::try_from(&der).map(Self).map_err(made)
    }

    /// Reads a key from a PEM file; `None` when there is no such file. A file that is there and holds
    /// no key is an error: whatever it was meant to be, it is not to be written over.
    pub(crate) fn read(path: &Path) -> Result<Option<Self>, TlsError> {
        let bad = |error: String| TlsError::PrivateKey { path: path.to_owned(), error };
        match std::fs::read_to_string(path).map(Secret::new) {
            Ok(pem) => {
                let pair = KeyPair::from_pem(pem.expose()).map_err(|error| bad(error.to_string()));
                pair.map(|pair| Some(Self(pair)))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(bad(error.to_string())),
        }
    }

    /// Writes it to a PEM file that only we can read, whole or not at all.
    pub(crate) fn write(&self, path: &Path) -> Result<(), TlsError> {
        write_file(path, self.pem().expose().as_bytes(), 0o600)
    }

    /// The key in PKCS #8 DER.
    pub fn pkcs8(&self) -> Secret<Vec<u8>> {
        Secret::new(self.0.serialize_der())
    }

    /// The key in PEM, as a key file holds it.
    pub fn pem(&self) -> Secret<String> {
        Secret::new(self.0.serialize_pem())
    }

    /// The public half in DER (SubjectPublicKeyInfo, RFC 5280 §4.1.2.7): what a TLSA record with
    /// selector 1 is made of.
    pub fn public_key_info(&self) -> Vec<u8> {
        self.0.subject_public_key_info()
    }

    /// A certificate signing request for these names, in PEM (RFC 2986).
    ///
    /// # Errors
    /// When the library refuses a name.
    pub fn signing_request(&self, names: &[Domain]) -> Result<String, TlsError> {
        self.request(names)?.pem().map_err(made)
    }

    /// The same in DER, as an ACME authority takes it (RFC 8555 §7.4).
    ///
    /// # Errors
    /// When the library refuses a name.
    pub fn signing_request_der(&self, names: &[Domain]) -> Result<Vec<u8>, TlsError> {
        Ok(self.request(names)?.der().to_vec())
    }

    fn request(&self, names: &[Domain]) -> Result<CertificateSigningRequest, TlsError> {
        let names: Vec<String> = names.iter().map(Domain::to_string).collect();
        let mut params = CertificateParams::new(names).map_err(made)?;
        // Authorities take the names from the alternative names; a subject says nothing more.
        params.distinguished_name = DistinguishedName::new();
        params.serialize_request(&self.0).map_err(made)
    }

    pub(crate) fn pair(&self) -> &KeyPair {
        &self.0
    }
}

impl fmt::Debug for OwnKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OwnKey(..)")
    }
}

fn made(error: rcgen::Error) -> TlsError {
    TlsError::Make { error: error.to_string() }
}
