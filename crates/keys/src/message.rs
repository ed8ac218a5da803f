//! Sealing a message once for many, and opening it.

use crate::certificate::AccountCertificate;
use crate::error::{OpenError, SealError};
use crate::sealed::{Body, BytesVisitor, Index, Sealed};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use wardpost_mail::Secret;

/// The AES-256 session key of one message (RFC 9580 §2.1).
#[derive(Clone)]
pub struct SessionKey(Secret<[u8; 32]>);

impl SessionKey {
    /// Opens a body: the very bytes that were sealed.
    pub fn open_body(&self, body: &Sealed<Body>) -> Result<Vec<u8>, OpenError> {
        let _ = body;
        unimplemented!()
    }

    /// Seals the index record of the message.
    pub fn seal_index(&self, index: &[u8]) -> Sealed<Index> {
        let _ = index;
        unimplemented!()
    }

    /// Opens the index record of the message.
    pub fn open_index(&self, index: &Sealed<Index>) -> Result<Vec<u8>, OpenError> {
        let _ = index;
        unimplemented!()
    }

    /// Makes a key packet for one more recipient of the same body.
    pub fn packet_for(&self, to: &AccountCertificate) -> Result<KeyPacket, SealError> {
        let _ = to;
        unimplemented!()
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKey(…)")
    }
}

/// The session key encrypted to one certificate: a serialised OpenPGP PKESK packet (RFC 9580 §5.1).
#[derive(Clone, PartialEq, Eq)]
pub struct KeyPacket(Vec<u8>);

impl KeyPacket {
    /// The serialised packet.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Takes up what was stored earlier. Nothing is checked here: unwrapping does.
    pub fn from_stored(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for KeyPacket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyPacket({} bytes)", self.0.len())
    }
}

impl Serialize for KeyPacket {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for KeyPacket {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_byte_buf(BytesVisitor).map(Self)
    }
}

/// A message sealed once for all its recipients.
pub struct SealedMessage {
    /// The body, encrypted once (SEIPDv2, AES-256, GCM).
    pub body: Sealed<Body>,
    /// A key packet for each recipient, in the order given.
    pub packets: Vec<KeyPacket>,
    /// The session key, for the index record; drop it soon.
    pub session_key: SessionKey,
}

/// Encrypts a message once and wraps its session key for each certificate; `to` may be empty.
pub fn seal_message(plain: &[u8], to: &[&AccountCertificate]) -> Result<SealedMessage, SealError> {
    let _ = (plain, to);
    unimplemented!()
}

/// Joins key packets and body to an ordinary OpenPGP message that standard tools open.
pub fn to_openpgp(packets: &[KeyPacket], body: &Sealed<Body>) -> Vec<u8> {
    let _ = (packets, body);
    unimplemented!()
}
