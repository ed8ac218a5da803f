//! Certificates: the public halves that anybody can seal to.
//!
//! One form only: version 6 (RFC 9580), an Ed25519 primary key and an X25519 encryption subkey,
//! with SEIPDv2 among its features. What opens a message with the exported key, as tried:
//!
//! - yes: OpenPGP.js 6.3 (an implementation that shares nothing with ours) and Sequoia's own
//!   high-level interface, so `sq` built on the same library (2.x);
//! - no: `sq` 0.27 of Debian 12, older than the RFC ("Unsupported primary key"), and GnuPG 2.2,
//!   which knows neither version 6 keys nor SEIPDv2 (it follows another draft).
//!
//! Version 4 keys would not help the last two: the body's format is what they lack. The example
//! `export_sample` writes a message and a key to try others on.

use crate::error::SealError;
use crate::exchange;
use crate::message::KeyPacket;
use crate::paper;
use crate::sealed::BytesVisitor;
use sequoia_openpgp as openpgp;

use openpgp::Profile;
use openpgp::cert::{Cert, CertBuilder, CipherSuite, Preferences};
use openpgp::crypto::mpi;
use openpgp::packet::key::SecretKeyMaterial;
use openpgp::packet::pkesk::PKESK6;
use openpgp::parse::Parse;
use openpgp::policy::StandardPolicy;
use openpgp::serialize::{MarshalInto, SerializeInto};
use openpgp::types::{KeyFlags, PublicKeyAlgorithm};
use openpgp::{Fingerprint, Packet};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;
use wardpost_mail::Secret;
use zeroize::Zeroizing;

/// What the recovery kit's checksum is bound to.
const RECOVERY: &str = "wardpost recovery kit v1";

/// The OpenPGP certificate of an account. Parsed once, cheap to clone, serialised as its bytes.
#[derive(Clone)]
pub struct AccountCertificate(Arc<Parsed>);

struct Parsed {
    bytes: Vec<u8>,
    fingerprint: Fingerprint,
    subkey: Fingerprint,
    public: [u8; 32],
}

impl AccountCertificate {
    /// Reads a serialised (binary or armored) certificate: version 6 with a valid X25519
    /// encryption subkey and SEIPDv2, as this crate makes them.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SealError> {
        let cert = Cert::from_bytes(bytes).map_err(|_| SealError::NotACertificate)?;
        Self::from_cert(&cert)
    }

    fn from_cert(cert: &Cert) -> Result<Self, SealError> {
        // A clock that was set back must not make certificates vanish.
        let created = cert.primary_key().key().creation_time();
        let policy = StandardPolicy::new();
        let valid = cert
            .with_policy(&policy, SystemTime::now().max(created))
            .map_err(|_| SealError::NoEncryptionKey)?;
        if !valid.features().is_some_and(|features| features.supports_seipdv2()) {
            return Err(SealError::NoEncryptionKey);
        }
        let usable = valid.keys().alive().revoked(false).for_storage_encryption();
        let (subkey, public) = usable
            .filter_map(|found| match found.key().mpis() {
                mpi::PublicKey::X25519 { u } => Some((found.key().fingerprint(), *u)),
                _ => None,
            })
            .find(|(fingerprint, _)| matches!(fingerprint, Fingerprint::V6(_)))
            .ok_or(SealError::NoEncryptionKey)?;
        // Without secret parts, whatever was handed in.
        let public_cert = cert.clone().strip_secret_key_material();
        let bytes = SerializeInto::to_vec(&public_cert).map_err(openpgp_failed)?;
        let fingerprint = cert.fingerprint();
        Ok(Self(Arc::new(Parsed { bytes, fingerprint, subkey, public })))
    }

    /// The serialised (binary) certificate.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0.bytes
    }

    /// The fingerprint in hexadecimal.
    pub fn fingerprint(&self) -> String {
        self.0.fingerprint.to_hex()
    }

    /// The fingerprint's bytes: binds records to this certificate.
    pub(crate) fn id(&self) -> &[u8] {
        self.0.fingerprint.as_bytes()
    }

    /// The X25519 public key that session keys are wrapped for.
    pub(crate) fn public(&self) -> &[u8; 32] {
        &self.0.public
    }

    /// Wraps a session key for this certificate as a version 6 PKESK packet (RFC 9580 §5.1.2).
    pub(crate) fn wrap(&self, key: &Secret<[u8; 32]>) -> Result<KeyPacket, SealError> {
        let (ephemeral, wrapped) = exchange::wrap(&self.0.public, key)
            .map_err(|_| SealError::OpenPgp("X25519 agreement failed".to_owned()))?;
        let ciphertext =
            mpi::Ciphertext::X25519 { e: Box::new(ephemeral), key: Box::from(wrapped) };
        let recipient = Some(self.0.subkey.clone());
        let packet = PKESK6::new(recipient, PublicKeyAlgorithm::X25519, ciphertext)
            .map_err(openpgp_failed)?;
        let bytes = MarshalInto::to_vec(&Packet::from(packet)).map_err(openpgp_failed)?;
        Ok(KeyPacket::from_stored(bytes))
    }

    /// The X25519 parts of a packet, when it is addressed to this certificate.
    pub(crate) fn read_packet(&self, packet: &KeyPacket) -> Option<([u8; 32], Box<[u8]>)> {
        packet.read(Some(&self.0.subkey))
    }
}

/// A new certificate and its secrets.
pub(crate) struct Generated {
    pub(crate) certificate: AccountCertificate,
    /// The X25519 secret of the encryption subkey.
    pub(crate) exchange: Secret<[u8; 32]>,
    /// The whole transferable secret key (RFC 9580 §10.2).
    pub(crate) transferable: Zeroizing<Vec<u8>>,
}

/// Makes a new certificate with `label` as its user id. It does not expire: it guards mail at rest.
pub(crate) fn generate(label: &str) -> Result<Generated, SealError> {
    let encryption = KeyFlags::empty().set_storage_encryption().set_transport_encryption();
    let (cert, _revocation) = CertBuilder::new()
        .set_profile(Profile::RFC9580)
        .map_err(openpgp_failed)?
        .set_cipher_suite(CipherSuite::Cv25519)
        .set_primary_key_flags(KeyFlags::empty().set_certification().set_signing())
        .add_userid(label)
        .add_subkey(encryption, None, None)
        .generate()
        .map_err(openpgp_failed)?;
    let certificate = AccountCertificate::from_cert(&cert)?;
    let secret = cert.keys().subkeys().secret().find_map(|subkey| match subkey.key().secret() {
        SecretKeyMaterial::Unencrypted(secret) => secret.map(|parts| match parts {
            mpi::SecretKeyMaterial::X25519 { x } => <[u8; 32]>::try_from(&**x).ok(),
            _ => None,
        }),
        SecretKeyMaterial::Encrypted(_) => None,
    });
    let exchange = secret.map(Secret::new).ok_or(SealError::NoEncryptionKey)?;
    let transferable =
        Zeroizing::new(SerializeInto::to_vec(&cert.as_tsk()).map_err(openpgp_failed)?);
    Ok(Generated { certificate, exchange, transferable })
}

/// The library's errors as text (they hold key material nowhere, and no plaintext).
#[expect(clippy::needless_pass_by_value, reason = "fits map_err")]
pub(crate) fn openpgp_failed(error: openpgp::anyhow::Error) -> SealError {
    SealError::OpenPgp(error.to_string())
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

impl RecoveryCertificate {
    /// The certificate itself.
    pub fn certificate(&self) -> &AccountCertificate {
        &self.0
    }
}

/// What is made once, at set-up.
pub struct RecoveryKit {
    /// Stays on the box.
    pub certificate: RecoveryCertificate,
    /// Is shown once, for printing on paper, and never kept: 14 groups of four letters and digits.
    pub secret: Secret<String>,
}

impl RecoveryKit {
    /// Makes a new recovery certificate and its secret.
    pub fn generate() -> Result<Self, SealError> {
        let generated = generate("Wardpost recovery")?;
        Ok(Self {
            certificate: RecoveryCertificate(generated.certificate),
            secret: paper::write(RECOVERY, generated.exchange.expose()),
        })
    }
}

/// Reads a recovery secret as printed; `None` when it is mistyped or something else.
pub(crate) fn read_recovery(text: &str) -> Option<Secret<[u8; 32]>> {
    paper::read(RECOVERY, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_survives_serialisation_without_secrets() {
        let generated = generate("account 7").expect("generated");
        let bytes = postcard::to_stdvec(&generated.certificate).expect("serialised");
        let back: AccountCertificate = postcard::from_bytes(&bytes).expect("read");
        assert_eq!(back, generated.certificate);
        assert_eq!(back.fingerprint().len(), 64);
        let from_secret = AccountCertificate::from_bytes(&generated.transferable).expect("read");
        assert_eq!(from_secret, generated.certificate);
        assert!(bytes.windows(32).all(|window| window != generated.exchange.expose()));
    }

    #[test]
    fn other_things_are_refused() {
        assert!(AccountCertificate::from_bytes(b"").is_err());
        assert!(AccountCertificate::from_bytes(b"no certificate at all").is_err());
        let (old, _) = CertBuilder::general_purpose(Some("old"))
            .set_profile(Profile::RFC4880)
            .expect("profile")
            .generate()
            .expect("generated");
        let bytes = SerializeInto::to_vec(&old).expect("serialised");
        assert!(matches!(AccountCertificate::from_bytes(&bytes), Err(SealError::NoEncryptionKey)));
    }
}
