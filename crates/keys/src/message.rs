//! Sealing a message once for many, and opening it.
//!
//! The body is a SEIPDv2 packet (RFC 9580 §5.13.2: AES-256, GCM) around one literal data packet,
//! encrypted once under a random session key. Each recipient has a key packet (PKESK version 6,
//! RFC 9580 §5.1.2). Key packets and body joined are an ordinary OpenPGP message.

use crate::aead::{Aead, derive, random};
use crate::certificate::{AccountCertificate, openpgp_failed};
use crate::error::{OpenError, SealError};
use crate::sealed::{Body, BytesVisitor, Index, Sealed};
use sequoia_openpgp as openpgp;

use openpgp::crypto::aead::{Encryptor, SEIPv2Schedule};
use openpgp::crypto::mpi;
use openpgp::packet::{PKESK, SEIP, Tag};
use openpgp::parse::{PacketParser, PacketParserResult, Parse};
use openpgp::types::{AEADAlgorithm, SymmetricAlgorithm};
use openpgp::{Fingerprint, Packet};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::io::{Read, Write};
use wardpost_mail::Secret;

/// First byte of a sealed index record.
const INDEX_VERSION: u8 = 1;
/// Octets of a packet's tag and length.
const PACKET_HEADER: usize = 6;
/// Octets of the salt (RFC 9580 §5.13.2).
const SALT: usize = 32;
/// Version, cipher, mode, chunk size and salt.
const SEIPD_HEADER: usize = 4 + SALT;
/// Octets of an authentication tag.
const GCM_TAG: usize = 16;
/// See [`chunk_size`].
const MIN_CHUNK: usize = 4 << 10;
/// See [`chunk_size`].
const MAX_CHUNK: usize = 64 << 10;

/// The AES-256 session key of one message (RFC 9580 §2.1).
#[derive(Clone)]
pub struct SessionKey(Secret<[u8; 32]>);

impl SessionKey {
    fn generate() -> Self {
        Self(Secret::new(random()))
    }

    pub(crate) fn from_secret(key: Secret<[u8; 32]>) -> Self {
        Self(key)
    }

    pub(crate) fn secret(&self) -> &Secret<[u8; 32]> {
        &self.0
    }

    fn for_openpgp(&self) -> openpgp::crypto::SessionKey {
        openpgp::crypto::SessionKey::from(&self.0.expose()[..])
    }

    /// Opens a body: the very bytes that were sealed.
    pub fn open_body(&self, body: &Sealed<Body>) -> Result<Vec<u8>, OpenError> {
        let parser = PacketParser::from_bytes(body.as_bytes()).map_err(|_| OpenError::Format)?;
        let PacketParserResult::Some(mut packet) = parser else { return Err(OpenError::Format) };
        match &packet.packet {
            Packet::SEIP(SEIP::V2(seip))
                if seip.symmetric_algo() == SymmetricAlgorithm::AES256
                    && seip.aead() == AEADAlgorithm::GCM => {}
            _ => return Err(OpenError::Format),
        }
        packet.decrypt(None, &self.for_openpgp()).map_err(|_| OpenError::NotAuthentic)?;
        let (_, inner) = packet.recurse().map_err(|_| OpenError::NotAuthentic)?;
        let PacketParserResult::Some(mut literal) = inner else {
            return Err(OpenError::NotAuthentic);
        };
        if !matches!(literal.packet, Packet::Literal(_)) {
            return Err(OpenError::Format);
        }
        let mut plain = Vec::with_capacity(body.len());
        literal.read_to_end(&mut plain).map_err(|_| OpenError::NotAuthentic)?;
        // Going on to the end of the container checks its final tag: nothing was cut off.
        match literal.recurse() {
            Ok((_, PacketParserResult::EOF(_))) => Ok(plain),
            _ => Err(OpenError::NotAuthentic),
        }
    }

    fn index_key(&self) -> Aead {
        Aead::new(derive(self.0.expose(), &[b"wardpost index v1"]).expose())
    }

    /// Seals the index record of the message.
    pub fn seal_index(&self, index: &[u8]) -> Sealed<Index> {
        Sealed::from_encryption(self.index_key().seal(&[INDEX_VERSION], b"", index))
    }

    /// Opens the index record of the message.
    pub fn open_index(&self, index: &Sealed<Index>) -> Result<Vec<u8>, OpenError> {
        match index.as_bytes().first() {
            Some(&INDEX_VERSION) => self.index_key().open(index.as_bytes(), 1, b""),
            _ => Err(OpenError::Format),
        }
    }

    /// Makes a key packet for one more recipient of the same body.
    pub fn packet_for(&self, to: &AccountCertificate) -> Result<KeyPacket, SealError> {
        to.wrap(&self.0)
    }

    /// Writes the packet with its length in front: everything about it is known beforehand, so
    /// nothing has to be buffered for partial lengths (RFC 9580 §4.2.1.4).
    fn seal_body(&self, plain: &[u8]) -> Result<Sealed<Body>, SealError> {
        let literal = literal_header(plain.len())?;
        let inner = literal.len() + plain.len();
        let chunk = chunk_size(inner);
        let salt = random::<SALT>();
        let len = SEIPD_HEADER + inner + (inner.div_ceil(chunk) + 1) * GCM_TAG;
        let mut bytes = Vec::with_capacity(PACKET_HEADER + len);
        packet_header(&mut bytes, Tag::SEIP, len)?;
        bytes.extend_from_slice(&[
            2,
            SymmetricAlgorithm::AES256.into(),
            AEADAlgorithm::GCM.into(),
            // RFC 9580 §5.13.2: the chunk size is 2^(this octet + 6).
            chunk.trailing_zeros() as u8 - 6,
        ]);
        bytes.extend_from_slice(&salt);
        let (aes, gcm, key) = (SymmetricAlgorithm::AES256, AEADAlgorithm::GCM, self.for_openpgp());
        let schedule = SEIPv2Schedule::new(&key, aes, gcm, chunk, &salt).map_err(openpgp_failed)?;
        let mut encryptor =
            Encryptor::new(aes, gcm, chunk, schedule, &mut bytes).map_err(openpgp_failed)?;
        let written = encryptor.write_all(&literal).and_then(|()| encryptor.write_all(plain));
        written.map_err(|error| SealError::OpenPgp(error.to_string()))?;
        encryptor.finalize().map_err(openpgp_failed)?;
        Ok(Sealed::from_encryption(bytes))
    }
}

/// Plaintext in one authenticated chunk (RFC 9580 §5.13.2: a power of two from 64 to 4 MiB): the whole
/// of a usual message, because setting up the cipher costs as much as some thousand octets.
fn chunk_size(len: usize) -> usize {
    len.clamp(MIN_CHUNK, MAX_CHUNK).next_power_of_two()
}

/// A packet's tag and length (RFC 9580 §4.2.1), the length always in five octets.
fn packet_header(bytes: &mut Vec<u8>, tag: Tag, len: usize) -> Result<(), SealError> {
    let len = u32::try_from(len)
        .map_err(|_| SealError::OpenPgp("a message of 4 GiB or more".to_owned()))?;
    bytes.extend_from_slice(&[0xc0 | u8::from(tag), 0xff]);
    bytes.extend_from_slice(&len.to_be_bytes());
    Ok(())
}

/// What comes before the octets of a literal data packet (RFC 9580 §5.9): binary, no name, no date.
fn literal_header(len: usize) -> Result<Vec<u8>, SealError> {
    let fields = [b'b', 0, 0, 0, 0, 0];
    let mut bytes = Vec::with_capacity(PACKET_HEADER + fields.len());
    packet_header(&mut bytes, Tag::Literal, fields.len() + len)?;
    bytes.extend_from_slice(&fields);
    Ok(bytes)
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

    /// The ephemeral key and the wrapped session key, whoever it is for.
    pub(crate) fn parts(&self) -> Option<([u8; 32], Box<[u8]>)> {
        self.read(None)
    }

    /// The ephemeral key and the wrapped session key, when the packet is for this key.
    pub(crate) fn read(&self, subkey: Option<&Fingerprint>) -> Option<([u8; 32], Box<[u8]>)> {
        let Ok(Packet::PKESK(PKESK::V6(packet))) = Packet::from_bytes(&self.0) else {
            return None;
        };
        if subkey.is_some() && packet.recipient() != subkey {
            return None;
        }
        match packet.esk() {
            mpi::Ciphertext::X25519 { e, key } => Some((**e, key.clone())),
            _ => None,
        }
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
    let session_key = SessionKey::generate();
    let body = session_key.seal_body(plain)?;
    let packets = to.iter().map(|to| session_key.packet_for(to)).collect::<Result<_, _>>()?;
    Ok(SealedMessage { body, packets, session_key })
}

/// Joins key packets and body to an ordinary OpenPGP message that standard tools open.
pub fn to_openpgp(packets: &[KeyPacket], body: &Sealed<Body>) -> Vec<u8> {
    let packets_len: usize = packets.iter().map(|packet| packet.0.len()).sum();
    let mut message = Vec::with_capacity(packets_len + body.len());
    for packet in packets {
        message.extend_from_slice(&packet.0);
    }
    message.extend_from_slice(body.as_bytes());
    message
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_byte_of_a_body_is_authenticated() {
        let plain: Vec<u8> = (0..10_000u32).map(|n| n as u8).collect();
        let sealed = seal_message(&plain, &[]).expect("sealed");
        let open =
            |bytes: &[u8]| sealed.session_key.open_body(&Sealed::from_stored(bytes.to_vec()));
        let bytes = sealed.body.as_bytes();
        assert_eq!(open(bytes).as_ref(), Ok(&plain));
        for at in (0..80).chain((80..bytes.len()).step_by(97)).chain(bytes.len() - 40..bytes.len())
        {
            let mut changed = bytes.to_vec();
            changed[at] ^= 1;
            assert!(open(&changed).is_err(), "byte {at} of {}", bytes.len());
        }
        for len in (0..bytes.len()).step_by(101).chain(bytes.len() - 40..bytes.len()) {
            assert!(open(&bytes[..len]).is_err(), "cut to {len}");
        }
        assert!(SessionKey::generate().open_body(&sealed.body).is_err());
    }

    #[test]
    fn the_index_hangs_on_the_same_session_key() {
        let sealed = seal_message(b"body", &[]).expect("sealed");
        let index = sealed.session_key.seal_index(b"summary");
        assert_eq!(sealed.session_key.open_index(&index).as_deref(), Ok(&b"summary"[..]));
        assert_eq!(SessionKey::generate().open_index(&index), Err(OpenError::NotAuthentic));
        let empty = Sealed::from_stored(Vec::new());
        assert_eq!(sealed.session_key.open_index(&empty), Err(OpenError::Format));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn bodies_of_any_size_come_back(plain in proptest::collection::vec(any::<u8>(), 0..20_000)) {
            let sealed = seal_message(&plain, &[]).expect("sealed");
            prop_assert_eq!(sealed.session_key.open_body(&sealed.body), Ok(plain));
        }

        #[test]
        fn around_the_ends_of_chunks_too(chunks in 0usize..4, more in 0usize..40) {
            let plain = vec![7; (chunks * MAX_CHUNK + 20).saturating_sub(more)];
            let sealed = seal_message(&plain, &[]).expect("sealed");
            prop_assert_eq!(sealed.session_key.open_body(&sealed.body), Ok(plain));
        }

        #[test]
        fn opening_rubbish_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let key = SessionKey::generate();
            prop_assert!(key.open_body(&Sealed::from_stored(bytes)).is_err());
        }
    }
}
