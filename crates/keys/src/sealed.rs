//! The one type in which private data is stored.

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::marker::PhantomData;

/// Marks the body of a message (an OpenPGP SEIPD packet).
#[derive(Debug, Clone, Copy)]
pub enum Body {}
/// Marks an index record: what can be listed without opening the body.
#[derive(Debug, Clone, Copy)]
pub enum Index {}
/// Marks the name of a mailbox.
#[derive(Debug, Clone, Copy)]
pub enum Name {}
/// Marks any other record.
#[derive(Debug, Clone, Copy)]
pub enum Record {}

/// Encrypted bytes holding a `T`. From plaintext only the functions of this crate make one.
///
/// ```compile_fail
/// // There is no constructor from plaintext, not even a private-looking one.
/// let body = wardpost_keys::Sealed::<wardpost_keys::Body> { bytes: b"hello".to_vec() };
/// ```
pub struct Sealed<T> {
    bytes: Vec<u8>,
    of: PhantomData<fn() -> T>,
}

impl<T> Sealed<T> {
    /// Wraps what an encryption of this crate produced.
    pub(crate) fn from_encryption(bytes: Vec<u8>) -> Self {
        Self { bytes, of: PhantomData }
    }

    /// Takes up what was stored earlier. Nothing is checked here: opening authenticates.
    pub fn from_stored(bytes: Vec<u8>) -> Self {
        Self { bytes, of: PhantomData }
    }

    /// The encrypted bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The encrypted bytes, without a copy.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// How many encrypted bytes there are.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there are no bytes at all (then it opens nowhere).
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

impl<T> Clone for Sealed<T> {
    fn clone(&self) -> Self {
        Self { bytes: self.bytes.clone(), of: PhantomData }
    }
}

impl<T> PartialEq for Sealed<T> {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl<T> Eq for Sealed<T> {}

impl<T> fmt::Debug for Sealed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} bytes)", self.bytes.len())
    }
}

impl<T> Serialize for Sealed<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.bytes)
    }
}

impl<'de, T> Deserialize<'de> for Sealed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_byte_buf(BytesVisitor).map(Self::from_stored)
    }
}

/// Reads a byte string in one piece (the derived way goes byte by byte).
pub(crate) struct BytesVisitor;

impl<'de> Visitor<'de> for BytesVisitor {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a byte string")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        Ok(bytes.to_vec())
    }

    fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
        Ok(bytes)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<u8>, A::Error> {
        // The announced length is not trusted for the first allocation.
        let mut bytes = Vec::with_capacity(seq.size_hint().unwrap_or(0).min(4096));
        while let Some(byte) = seq.next_element()? {
            bytes.push(byte);
        }
        Ok(bytes)
    }
}
