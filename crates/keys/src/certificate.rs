//! Certificates: the public halves that anybody can seal to.

use crate::error::SealError;
use crate::sealed::BytesVisitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use wardpost_mail::Secret;

/// The OpenPGP certificate of an account. Parsed once, cheap to clone, serialised as its bytes.
#[derive(Clone)]
pub struct AccountCertificate {}

impl AccountCertificate {
    /// Reads a serialised (binary) certificate.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SealError> {
        let _ = bytes;
        unimplemented!()
    }

    /// The serialised (binary) certificate.
    pub fn as_bytes(&self) -> &[u8] {
        unimplemented!()
    }

    /// The fingerprint in hexadecimal.
    pub fn fingerprint(&self) -> String {
        unimplemented!()
    }
}

impl PartialEq for AccountCertificate {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for AccountCertificate {}

impl fmt::Debug for AccountCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccountCertificate({})", self.fingerprint())
    }
}

impl Serialize for AccountCertificate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.as_bytes())
    }
}

impl<'de> Deserialize<'de> for AccountCertificate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = deserializer.deserialize_byte_buf(BytesVisitor)?;
        Self::from_bytes(&bytes).map_err(serde::de::Error::custom)
    }
}

/// The practice's recovery certificate: every account has a slot for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryCertificate(AccountCertificate);

/// What is made once, at set-up.
pub struct RecoveryKit {
    /// Stays on the box.
    pub certificate: RecoveryCertificate,
    /// Is shown once, for printing on paper, and never kept.
    pub secret: Secret<String>,
}

impl RecoveryKit {
    /// Makes a new recovery certificate and its secret.
    pub fn generate() -> Result<Self, SealError> {
        unimplemented!()
    }
}
