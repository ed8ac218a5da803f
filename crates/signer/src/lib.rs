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

use std::collections::HashMap;
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

/// Signs messages with the keys it was given. Cheap to share behind an `Arc`.
pub struct Signer {
    domains: HashMap<Domain, Vec<()>>,
}

impl Signer {
    /// Reads the keys.
    ///
    /// # Errors
    /// When a key is not what it says it is.
    pub fn new(_keys: &[SigningKey]) -> Result<Self, SignError> {
        unimplemented!()
    }

    /// Whether there is a key for `domain`.
    pub fn signs_for(&self, domain: &Domain) -> bool {
        self.domains.contains_key(domain)
    }

    /// Puts a DKIM-Signature field for each key of `from_domain` before the message, which must be
    /// complete, with CRLF line ends. Without a key for the domain the message comes back as it was.
    ///
    /// # Errors
    /// When the message has no header field at all.
    pub fn sign(&self, _from_domain: &Domain, _raw: Vec<u8>) -> Result<Vec<u8>, SignError> {
        unimplemented!()
    }
}
