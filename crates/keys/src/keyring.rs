//! The keyring and the keys of the store's columns.

use crate::error::{KeyringError, OpenError};
use crate::system::SystemKey;

/// Versioned random root keys. The newest seals; all of them open.
#[derive(Clone)]
pub struct Keyring {}

impl Keyring {
    /// Makes a keyring with one random root.
    pub fn generate() -> Self {
        unimplemented!()
    }

    /// Wraps the keyring under the system key.
    pub fn seal(&self, key: &SystemKey) -> Vec<u8> {
        let _ = key;
        unimplemented!()
    }

    /// Opens a wrapped keyring.
    pub fn open(sealed: &[u8], key: &SystemKey) -> Result<Self, KeyringError> {
        let _ = (sealed, key);
        unimplemented!()
    }

    /// Adds a new root; from now on it seals.
    pub fn add_root(&mut self) {
        unimplemented!()
    }

    /// The data key of a column.
    pub fn data_key(&self, column: &str) -> DataKey {
        let _ = column;
        unimplemented!()
    }

    /// The index key of a column. It hangs on the first root for ever, so that names stay findable.
    pub fn index_key(&self, column: &str) -> IndexKey {
        let _ = column;
        unimplemented!()
    }
}

/// Seals and opens the values of one column. Cheap to clone.
#[derive(Clone)]
pub struct DataKey {}

impl DataKey {
    /// Seals `plain`, bound to `aad` (which is not stored).
    pub fn seal(&self, aad: &[u8], plain: &[u8]) -> Vec<u8> {
        let _ = (aad, plain);
        unimplemented!()
    }

    /// Opens what [`DataKey::seal`] made, under the same `aad`.
    pub fn open(&self, aad: &[u8], sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
        let _ = (aad, sealed);
        unimplemented!()
    }
}

/// Makes store keys out of names. Cheap to clone.
#[derive(Clone)]
pub struct IndexKey {}

impl IndexKey {
    /// A keyed hash of the parts; `["ab","c"]` and `["a","bc"]` differ.
    pub fn hash(&self, parts: &[&[u8]]) -> [u8; 16] {
        let _ = parts;
        unimplemented!()
    }
}
