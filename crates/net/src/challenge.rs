//! Answering an authority's challenge within a TLS handshake (TLS-ALPN-01, RFC 8737).
//!
//! The authority connects to port 443, asks for the name that is to be proven (SNI) and for the
//! application protocol `acme-tls/1` alone. It gets a certificate made for this one question, which no
//! other client is ever shown, and the connection ends with the handshake.

use crate::certificate::PROVIDER;
use crate::server::TlsError;
use parking_lot::Mutex;
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use rustls::ServerConfig;
use rustls::server::{ClientHello, NoServerSessionStorage};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use wardpost_mail::Domain;

/// The application protocol of the challenge (RFC 8737 §6.2).
const PROTOCOL: &[u8] = b"acme-tls/1";
/// Most challenges at a time; one for each name of a certificate.
const MAX_CHALLENGES: usize = 100;

/// Challenges that can be answered now. Clones share them.
#[derive(Clone, Default)]
pub struct Challenges(Arc<Mutex<HashMap<String, Arc<ServerConfig>>>>);

impl Challenges {
    /// No challenges yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Answers the challenge for `host` from now on. `digest` is the SHA-256 of the key authorization.
    ///
    /// # Errors
    /// When the certificate cannot be made, or there are too many challenges.
    pub fn answer(&self, host: &Domain, digest: &[u8]) -> Result<(), TlsError> {
        let config = Arc::new(config(host, digest)?);
        let mut challenges = self.0.lock();
        if challenges.len() >= MAX_CHALLENGES && !challenges.contains_key(host.as_str()) {
            return Err(TlsError::Make { error: "too many challenges at a time".into() });
        }
        challenges.insert(host.to_string(), config);
        Ok(())
    }

    /// Answers no challenge any longer.
    pub fn clear(&self) {
        self.0.lock().clear();
    }

    /// What to shake hands with, if this is an authority that asks a question that we know. All others,
    /// and those who offer the protocol among others, are none of our business.
    pub(crate) fn asked(&self, hello: &ClientHello<'_>) -> Option<Arc<ServerConfig>> {
        let mut protocols = hello.alpn()?;
        if protocols.next() != Some(PROTOCOL) || protocols.next().is_some() {
            return None;
        }
        let name = hello.server_name()?.to_ascii_lowercase();
        self.0.lock().get(&name).cloned()
    }
}

impl fmt::Debug for Challenges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Challenges(..)")
    }
}

/// A self-signed certificate for the one name, with the digest in its critical `acmeIdentifier`
/// extension, on a key that is forgotten with it (RFC 8737 §3).
fn config(host: &Domain, digest: &[u8]) -> Result<ServerConfig, TlsError> {
    let made = |error: rcgen::Error| TlsError::Make { error: error.to_string() };
    if digest.len() != 32 {
        return Err(TlsError::Make { error: "a SHA-256 has 32 octets".into() });
    }
    let mut params = CertificateParams::new(vec![host.to_string()]).map_err(made)?;
    params.distinguished_name = DistinguishedName::new();
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let key = KeyPair::generate().map_err(made)?;
    let certificate = params.self_signed(&key).map_err(made)?;
    let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let private = PROVIDER.key_provider.load_private_key(private)?;
    // Put together without a look at whether it could ever verify: it cannot, by its critical extension.
    let certified = CertifiedKey::new(vec![certificate.der().clone()], private);
    let mut config = ServerConfig::builder_with_provider(Arc::clone(&PROVIDER))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    // Nobody comes back.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}
