//! Sealing under a secret that travels in a link and is kept nowhere.

use crate::aead::{Aead, HashKey, derive_salted};
use crate::error::OpenError;
use crate::sealed::Sealed;
use wardpost_mail::Secret;

/// A key made from a generated secret of at least 128 bits (not from anything a person chose).
pub struct LinkKey {
    records: Aead,
    blind: HashKey,
}

impl LinkKey {
    /// Derives the key (HKDF-SHA256); `purpose` keeps different uses of one secret apart.
    pub fn new(secret: &Secret<Vec<u8>>, purpose: &str) -> Self {
        let key = |use_: &[u8]| {
            derive_salted(secret.expose(), &[], &[b"wardpost link v1 ", use_, purpose.as_bytes()])
        };
        Self {
            records: Aead::new(key(b"seal ").expose()),
            blind: HashKey::new(key(b"hash ").expose()),
        }
    }

    /// Seals a record, bound to `context`.
    pub fn seal<T>(&self, context: &[u8], plain: &[u8]) -> Sealed<T> {
        Sealed::from_encryption(self.records.seal(&[1], context, plain))
    }

    /// Opens what [`LinkKey::seal`] made under the same context.
    pub fn open<T>(&self, context: &[u8], sealed: &Sealed<T>) -> Result<Vec<u8>, OpenError> {
        match sealed.as_bytes().first() {
            Some(1) => self.records.open(sealed.as_bytes(), 1, context),
            _ => Err(OpenError::Format),
        }
    }

    /// A hash under this key.
    pub fn blind(&self, parts: &[&[u8]]) -> [u8; 16] {
        self.blind.hash(parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sealed::Record;

    #[test]
    fn opens_with_the_same_secret_purpose_and_context_only() {
        let secret = Secret::new(vec![5; 16]);
        let sealed: Sealed<Record> = LinkKey::new(&secret, "a").seal(b"parcel 1", b"text");
        let open = |secret: &Secret<Vec<u8>>, purpose, context: &[u8]| {
            LinkKey::new(secret, purpose).open(context, &sealed)
        };
        assert_eq!(open(&secret, "a", b"parcel 1").as_deref(), Ok(&b"text"[..]));
        assert_eq!(open(&secret, "b", b"parcel 1"), Err(OpenError::NotAuthentic));
        assert_eq!(open(&secret, "a", b"parcel 2"), Err(OpenError::NotAuthentic));
        let other = Secret::new(vec![6; 16]);
        assert_eq!(open(&other, "a", b"parcel 1"), Err(OpenError::NotAuthentic));
    }
}
