//! DKIM signing (RFC 6376, RFC 8301, RFC 8463) of everything that leaves under one of our domains:
//! what people submit, pickup notices, reports and answers from the portal.
//!
//! A message is signed with every key of its From domain: Ed25519 for those that read it and RSA-2048
//! for the rest. Header fields that a reader trusts are *over-signed*: their name stands once more in
//! `h=` than the field occurs, so that a second From or Subject added on the way breaks the signature
//! (RFC 6376 §8.15). The body length tag `l=` is never used.
//!
//! Signing is last: whoever edits headers does so before calling [`Signer::sign`].
//!
//! Key material comes in as plain types; where it is kept is the directory's affair.

use mail_auth::common::crypto::{DkimKey, Ed25519Key, RsaKey, Sha256};
use mail_auth::common::headers::HeaderWriter;
use mail_auth::dkim::{DkimSigner, Done};
use parking_lot::RwLock;
use rustls_pki_types::PrivatePkcs8KeyDer;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use thiserror::Error;
use wardpost_mail::{Domain, Secret};

/// A DKIM signing algorithm (RFC 8301 §3.1, RFC 8463 §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// `ed25519-sha256`.
    Ed25519,
    /// `rsa-sha256` with a 2048-bit key.
    Rsa2048,
}

/// A private key and the place of its public half in the DNS, `SELECTOR._domainkey.DOMAIN`.
#[derive(Debug, Clone)]
pub struct SigningKey {
    /// The domain signed for (`d=`).
    pub domain: Domain,
    /// The selector (`s=`).
    pub selector: String,
    /// What kind of key it is.
    pub algorithm: Algorithm,
    /// The private key in PKCS #8 DER.
    pub private_pkcs8: Secret<Vec<u8>>,
}

/// Why a message was not signed.
#[derive(Debug, Error)]
pub enum SignError {
    /// The key is not a PKCS #8 key of the algorithm it is said to be.
    #[error("the DKIM key {selector} of {domain} cannot be used: {detail}")]
    BadKey {
        /// The key's domain.
        domain: Domain,
        /// The key's selector.
        selector: String,
        /// What the cryptographic library says.
        detail: String,
    },
    /// The message has no header, or the library failed.
    #[error("the message cannot be signed: {0}")]
    Message(String),
}

/// The fields that are signed, each over-signed. To, Cc and the threading fields are what a reader and
/// a mail client act on (RFC 6376 §5.4.1); the MIME fields decide how the body is read.
const SIGNED: &[&str] = &[
    "From",
    "Sender",
    "Reply-To",
    "Subject",
    "Date",
    "Message-ID",
    "To",
    "Cc",
    "In-Reply-To",
    "References",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
    "Auto-Submitted",
];

/// Room kept for one signature field, so that putting it in front moves the message once.
const SIGNATURE_ROOM: usize = 1024;

type KeySigner = DkimSigner<DkimKey, Done>;

type Source = Box<dyn Fn(&Domain) -> Vec<SigningKey> + Send + Sync>;

/// One domain's keys, ready to sign.
struct DomainSigner {
    selectors: Vec<String>,
    keys: Vec<KeySigner>,
}

/// Signs messages with a domain's keys. Cheap to share behind an `Arc`.
pub struct Signer {
    source: Source,
    /// Keys are read once: reading an RSA key costs more than signing with it.
    ready: RwLock<HashMap<Domain, Arc<DomainSigner>>>,
}

impl Signer {
    /// A signer with fixed keys.
    ///
    /// # Errors
    /// When a key is not what it says it is.
    pub fn new(keys: &[SigningKey]) -> Result<Self, SignError> {
        let fixed = keys.to_vec();
        let signer = Self::from_source(move |domain| {
            fixed.iter().filter(|key| key.domain == *domain).cloned().collect()
        });
        for key in keys {
            signer.domain(&key.domain)?;
        }
        Ok(signer)
    }

    /// A signer that asks `source` for the keys of a domain, so that domains and keys may come and go.
    pub fn from_source(
        source: impl Fn(&Domain) -> Vec<SigningKey> + Send + Sync + 'static,
    ) -> Self {
        Self { source: Box::new(source), ready: RwLock::default() }
    }

    /// Puts a DKIM-Signature field for each key of `from_domain` before the message, which must be
    /// complete, with CRLF line ends. Without a key for the domain the message comes back as it was.
    ///
    /// # Errors
    /// When a key cannot be used, or the message has no header field at all.
    pub fn sign(&self, from_domain: &Domain, raw: Vec<u8>) -> Result<Vec<u8>, SignError> {
        let signer = self.domain(from_domain)?;
        if signer.keys.is_empty() {
            return Ok(raw);
        }
        let mut signed = Vec::with_capacity(raw.len() + signer.keys.len() * SIGNATURE_ROOM);
        for key in &signer.keys {
            let signature =
                key.sign(&raw).map_err(|error| SignError::Message(error.to_string()))?;
            signed.extend_from_slice(signature.to_header().as_bytes());
        }
        signed.extend_from_slice(&raw);
        Ok(signed)
    }

    /// The keys of a domain as they are now.
    fn domain(&self, domain: &Domain) -> Result<Arc<DomainSigner>, SignError> {
        let keys = (self.source)(domain);
        let current = self.ready.read().get(domain).cloned();
        if let Some(current) = current.filter(|ready| ready.is_of(&keys)) {
            return Ok(current);
        }
        let signer = Arc::new(DomainSigner {
            selectors: keys.iter().map(|key| key.selector.clone()).collect(),
            keys: keys.iter().map(key_signer).collect::<Result<_, _>>()?,
        });
        if keys.is_empty() {
            // Nothing is kept for domains that are not ours.
            self.ready.write().remove(domain);
        } else {
            self.ready.write().insert(domain.clone(), Arc::clone(&signer));
        }
        Ok(signer)
    }
}

impl DomainSigner {
    /// A selector names one key for ever: a new key gets a new selector.
    fn is_of(&self, keys: &[SigningKey]) -> bool {
        self.selectors.iter().eq(keys.iter().map(|key| &key.selector))
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("domains", &self.ready.read().len()).finish_non_exhaustive()
    }
}

fn key_signer(key: &SigningKey) -> Result<KeySigner, SignError> {
    let der = key.private_pkcs8.expose().as_slice();
    let read = match key.algorithm {
        Algorithm::Ed25519 => Ed25519Key::from_pkcs8_maybe_unchecked_der(der).map(DkimKey::Ed25519),
        Algorithm::Rsa2048 => {
            RsaKey::<Sha256>::from_key_der(PrivatePkcs8KeyDer::from(der).into()).map(DkimKey::Rsa)
        }
    };
    let read = read.map_err(|error| SignError::BadKey {
        domain: key.domain.clone(),
        selector: key.selector.clone(),
        detail: error.to_string(),
    })?;
    // A name given twice is signed as often as it occurs and once more (RFC 6376 §8.15).
    let names = SIGNED.iter().flat_map(|name| [*name, *name]);
    Ok(DkimSigner::from_key(read)
        .domain(key.domain.as_str())
        .selector(key.selector.as_str())
        .headers(names))
}

#[cfg(test)]
mod tests;
