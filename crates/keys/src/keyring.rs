//! The keyring and the keys of the store's columns.
//!
//! The keyring is a short list of random root keys. The newest one seals; all of them open, so a
//! new root can be added without rewriting what is there. It is wrapped under the system key, and
//! rotating the system key re-wraps these few bytes and nothing else.
//!
//! Wrapped form: `WPKR`, version, check value of the system key (8 bytes), nonce, then the roots,
//! authenticated together.

use crate::aead::{Aead, HashKey, derive, random};
use crate::error::{KeyringError, OpenError};
use crate::system::SystemKey;
use std::sync::Arc;
use wardpost_mail::Secret;
use zeroize::Zeroizing;

const MAGIC: &[u8; 4] = b"WPKR";
const VERSION: u8 = 1;
/// Magic, version, check value.
const HEADER: usize = 4 + 1 + 8;
/// Form of a sealed value: this byte, the root's number (2 bytes), nonce, ciphertext, tag.
const VALUE_VERSION: u8 = 1;
const VALUE_HEADER: usize = 3;

/// Versioned random root keys.
#[derive(Clone)]
pub struct Keyring {
    /// Oldest first; never empty. A root's number is its place.
    roots: Vec<Secret<[u8; 32]>>,
}

impl Keyring {
    /// Makes a keyring with one random root.
    pub fn generate() -> Self {
        Self { roots: vec![Secret::new(random())] }
    }

    /// Wraps the keyring under the system key.
    pub fn seal(&self, key: &SystemKey) -> Vec<u8> {
        let mut plain = Zeroizing::new(Vec::with_capacity(self.roots.len() * 32));
        for root in &self.roots {
            plain.extend_from_slice(root.expose());
        }
        let mut header = [0; HEADER];
        header[..4].copy_from_slice(MAGIC);
        header[4] = VERSION;
        header[5..].copy_from_slice(&key.check_value());
        key.wrap_key().seal(&header, b"", &plain)
    }

    /// Opens a wrapped keyring.
    pub fn open(sealed: &[u8], key: &SystemKey) -> Result<Self, KeyringError> {
        let header = sealed.first_chunk::<HEADER>().ok_or(KeyringError::Damaged)?;
        if header[..4] != *MAGIC {
            return Err(KeyringError::Damaged);
        }
        match header[4] {
            VERSION => {}
            newer if newer > VERSION => return Err(KeyringError::Newer(newer)),
            _ => return Err(KeyringError::Damaged),
        }
        if header[5..] != key.check_value() {
            return Err(KeyringError::WrongKey);
        }
        let plain = key.wrap_key().open(sealed, HEADER, b"").map_err(|_| KeyringError::Damaged)?;
        let plain = Zeroizing::new(plain);
        let (roots, rest) = plain.as_chunks::<32>();
        if roots.is_empty() || !rest.is_empty() || roots.len() > usize::from(u16::MAX) {
            return Err(KeyringError::Damaged);
        }
        Ok(Self { roots: roots.iter().map(|root| Secret::new(*root)).collect() })
    }

    /// Adds a new root; from now on it seals.
    pub fn add_root(&mut self) {
        self.roots.push(Secret::new(random()));
    }

    /// The data key of a column.
    pub fn data_key(&self, column: &str) -> DataKey {
        let keys = self.roots.iter().map(|root| {
            Aead::new(derive(root.expose(), &[b"wardpost data v1 ", column.as_bytes()]).expose())
        });
        DataKey { keys: keys.collect() }
    }

    /// The index key of a column. It hangs on the first root for ever, so that names stay findable.
    pub fn index_key(&self, column: &str) -> IndexKey {
        let root = &self.roots[0];
        let key = derive(root.expose(), &[b"wardpost index v1 ", column.as_bytes()]);
        IndexKey(HashKey::new(key.expose()))
    }
}

/// Seals and opens the values of one column. Cheap to clone.
#[derive(Clone)]
pub struct DataKey {
    /// One for each root, in order; never empty.
    keys: Arc<[Aead]>,
}

impl DataKey {
    /// How many bytes sealing adds.
    pub const OVERHEAD: usize = VALUE_HEADER + 24 + 16;

    /// Seals `plain`, bound to `aad` (which is not stored).
    pub fn seal(&self, aad: &[u8], plain: &[u8]) -> Vec<u8> {
        let newest = self.keys.len() - 1;
        // The keyring holds no more roots than fit.
        let [high, low] = (newest as u16).to_be_bytes();
        self.keys[newest].seal(&[VALUE_VERSION, high, low], aad, plain)
    }

    /// Opens what [`DataKey::seal`] made, under the same `aad`.
    pub fn open(&self, aad: &[u8], sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
        let [version, high, low] = *sealed.first_chunk().ok_or(OpenError::Format)?;
        if version != VALUE_VERSION {
            return Err(OpenError::Format);
        }
        let root = usize::from(u16::from_be_bytes([high, low]));
        let key = self.keys.get(root).ok_or(OpenError::UnknownKey)?;
        key.open(sealed, VALUE_HEADER, aad)
    }
}

/// Makes store keys out of names. Cheap to clone.
#[derive(Clone)]
pub struct IndexKey(HashKey);

impl IndexKey {
    /// A keyed hash of the parts; `["ab","c"]` and `["a","bc"]` differ.
    pub fn hash(&self, parts: &[&[u8]]) -> [u8; 16] {
        self.0.hash(parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_key_and_damage_are_told_apart() {
        let (right, wrong) = (SystemKey::generate(), SystemKey::generate());
        let sealed = Keyring::generate().seal(&right);
        assert!(Keyring::open(&sealed, &right).is_ok());
        assert_eq!(Keyring::open(&sealed, &wrong).err(), Some(KeyringError::WrongKey));
        for at in HEADER..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[at] ^= 0x80;
            assert_eq!(Keyring::open(&damaged, &right).err(), Some(KeyringError::Damaged));
        }
        for len in 0..sealed.len() {
            assert_eq!(Keyring::open(&sealed[..len], &right).err(), Some(KeyringError::Damaged));
        }
        let mut newer = sealed;
        newer[4] = 2;
        assert_eq!(Keyring::open(&newer, &right).err(), Some(KeyringError::Newer(2)));
    }

    #[test]
    fn a_new_root_seals_and_the_old_ones_still_open() {
        let system = SystemKey::generate();
        let mut ring = Keyring::generate();
        let before = ring.data_key("mailbox");
        let old = before.seal(b"k", b"old");
        let name = ring.index_key("mailbox").hash(&[b"name"]);
        ring.add_root();
        let ring = Keyring::open(&ring.seal(&system), &system).expect("opens");
        let after = ring.data_key("mailbox");
        let new = after.seal(b"k", b"new");
        assert_eq!(after.open(b"k", &old).as_deref(), Ok(&b"old"[..]));
        assert_eq!(after.open(b"k", &new).as_deref(), Ok(&b"new"[..]));
        assert_eq!(before.open(b"k", &new), Err(OpenError::UnknownKey));
        assert_eq!(ring.index_key("mailbox").hash(&[b"name"]), name);
    }

    #[test]
    fn columns_and_places_are_kept_apart() {
        let ring = Keyring::generate();
        let sealed = ring.data_key("mailbox").seal(b"key", b"value");
        assert_eq!(sealed.len(), 5 + DataKey::OVERHEAD);
        let place = ring.data_key("mailbox").open(b"other", &sealed);
        assert_eq!(place, Err(OpenError::NotAuthentic));
        let column = ring.data_key("queue").open(b"key", &sealed);
        assert_eq!(column, Err(OpenError::NotAuthentic));
        assert_ne!(ring.index_key("a").hash(&[b"x"]), ring.index_key("b").hash(&[b"x"]));
    }

    /// Data written by version 1 opens for ever.
    #[test]
    fn frozen_bytes_of_version_one() {
        let roots = vec![Secret::new([0x11; 32]), Secret::new([0x22; 32])];
        let ring = Keyring { roots };
        let hash = ring.index_key("directory").hash(&[b"alice", b"clinic.test"]);
        assert_eq!(data_encoding::HEXLOWER.encode(&hash), FROZEN_HASH);
        let sealed = data_encoding::HEXLOWER.decode(FROZEN_VALUE.as_bytes()).expect("hex");
        let opened = ring.data_key("directory").open(b"place", &sealed);
        assert_eq!(opened.as_deref(), Ok(&b"frozen value"[..]));
    }

    const FROZEN_HASH: &str = "f29b344436aaf73efb6f53f5f357e3f7";
    const FROZEN_VALUE: &str = concat!(
        "01000150211f3653a7b8fb0809ca83af96b624071a20bc935eaaa4bcee07f64e3afb6b06",
        "e450dde10867f7dc011e7e8c90259e05408ac3",
    );
}
