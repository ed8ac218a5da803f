//! Links: what the recipient has.
//!
//! A link's token is 32 random bytes in base64url: 16 that find the parcel and 16 that open its outer
//! layer. The first go into a store key as a keyed hash; the second are stored in no form but a check value
//! (HKDF, one way), by which a wrong link is told without touching the code.

use crate::{ParcelError, ParcelId};
use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use data_encoding::BASE64URL_NOPAD;
use wardpost_mail::Secret;

/// Domain separation of everything derived from a link's secret.
const SALT: &[u8] = b"wardpost parcel link v1";
/// First byte of what the outer layer seals.
const VERSION: u8 = 1;
/// Octets of each half of a token.
const HALF: usize = 16;

/// A link's token.
pub(crate) struct Token {
    pub(crate) id: [u8; HALF],
    secret: Secret<[u8; HALF]>,
}

impl Token {
    pub(crate) fn generate() -> Result<Self, ParcelError> {
        let mut id = [0; HALF];
        let mut secret = Secret::new([0; HALF]);
        aws_lc_rs::rand::fill(&mut id).map_err(|_| ParcelError::Randomness)?;
        aws_lc_rs::rand::fill(secret.expose_mut()).map_err(|_| ParcelError::Randomness)?;
        Ok(Self { id, secret })
    }

    /// Reads the 43 characters of a link. `None` for anything else.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.len() != BASE64URL_NOPAD.encode_len(2 * HALF) {
            return None;
        }
        let bytes = Secret::new(BASE64URL_NOPAD.decode(text.as_bytes()).ok()?);
        let (id, secret) = bytes.expose().split_first_chunk()?;
        Some(Self { id: *id, secret: Secret::new(secret.try_into().ok()?) })
    }

    pub(crate) fn show(&self) -> Secret<String> {
        let bytes = Secret::new([self.id, *self.secret.expose()].concat());
        Secret::new(BASE64URL_NOPAD.encode(bytes.expose()))
    }

    /// What is stored to know the link by.
    pub(crate) fn check_value(&self) -> [u8; 32] {
        *self.derive(b"check").expose()
    }

    /// Whether this is the link that `check_value` was made of. In constant time.
    pub(crate) fn matches(&self, check_value: &[u8; 32]) -> bool {
        verify_slices_are_equal(&self.check_value(), check_value).is_ok()
    }

    /// Seals the outer layer, bound to the parcel.
    pub(crate) fn seal(&self, id: ParcelId, plain: Vec<u8>) -> Result<Vec<u8>, ParcelError> {
        let mut sealed = plain;
        let nonce = self
            .key()?
            .seal_in_place_append_tag(Aad::from(id.0), &mut sealed)
            .map_err(|_| ParcelError::Randomness)?;
        let mut out = Vec::with_capacity(1 + NONCE_LEN + sealed.len());
        out.push(VERSION);
        out.extend_from_slice(nonce.as_ref());
        out.append(&mut sealed);
        Ok(out)
    }

    /// Opens the outer layer.
    pub(crate) fn open(&self, id: ParcelId, sealed: &[u8]) -> Result<Vec<u8>, ParcelError> {
        let (&version, rest) = sealed.split_first().ok_or(ParcelError::Damaged)?;
        if version != VERSION {
            return Err(ParcelError::Version { found: version, known: VERSION });
        }
        let (nonce, rest) = rest.split_first_chunk::<NONCE_LEN>().ok_or(ParcelError::Damaged)?;
        let mut opened = rest.to_vec();
        let nonce = Nonce::from(nonce);
        let plain = self
            .key()?
            .open_in_place(nonce, Aad::from(id.0), &mut opened)
            .map_err(|_| ParcelError::Damaged)?
            .len();
        opened.truncate(plain);
        Ok(opened)
    }

    fn key(&self) -> Result<RandomizedNonceKey, ParcelError> {
        let key = self.derive(b"seal");
        RandomizedNonceKey::new(&AES_256_GCM, key.expose()).map_err(|_| ParcelError::Damaged)
    }

    fn derive(&self, purpose: &[u8]) -> Secret<[u8; 32]> {
        let mut key = Secret::new([0; 32]);
        let root = Salt::new(HKDF_SHA256, SALT).extract(self.secret.expose());
        // HKDF gives 32 octets for SHA-256 as a matter of definition (RFC 5869 §2.3): expanding and
        // filling that many cannot fail.
        root.expand(&[purpose], HKDF_SHA256)
            .and_then(|okm| okm.fill(key.expose_mut()))
            .expect("32 octets from HKDF-SHA256");
        key
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ID: ParcelId = ParcelId([9; 16]);

    #[test]
    fn a_link_reads_back_and_opens_what_it_sealed() {
        let token = Token::generate().unwrap();
        let text = token.show();
        assert_eq!(text.expose().len(), 43);
        let again = Token::parse(text.expose()).unwrap();
        assert!(again.matches(&token.check_value()));
        let sealed = token.seal(ID, b"message".to_vec()).unwrap();
        assert_eq!(again.open(ID, &sealed).unwrap(), b"message");
    }

    #[test]
    fn every_single_thing_must_be_right() {
        let token = Token::generate().unwrap();
        let sealed = token.seal(ID, b"message".to_vec()).unwrap();
        assert!(token.open(ParcelId([8; 16]), &sealed).is_err(), "another parcel");
        let other = Token { id: token.id, secret: Secret::new([1; 16]) };
        assert!(other.open(ID, &sealed).is_err(), "another secret");
        assert!(!other.matches(&token.check_value()));
        for at in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[at] ^= 1;
            assert!(token.open(ID, &damaged).is_err(), "octet {at}");
            assert!(token.open(ID, &sealed[..at]).is_err(), "cut at {at}");
        }
    }

    /// What version 1 sealed must open for ever.
    #[test]
    fn version_1_is_frozen() {
        let token = Token { id: [1; 16], secret: Secret::new([2; 16]) };
        assert_eq!(token.show().expose(), "AQEBAQEBAQEBAQEBAQEBAQICAgICAgICAgICAgICAgI");
        let frozen = include_bytes!("../testdata/link-v1.bin");
        assert_eq!(token.open(ID, frozen).unwrap(), b"a sealed parcel");
        let check = include_bytes!("../testdata/link-check-v1.bin");
        assert!(token.matches(check));
    }

    proptest! {
        #[test]
        fn reading_anything_never_panics(text in "\\PC{0,60}") {
            if let Some(token) = Token::parse(&text) {
                let shown = token.show();
                prop_assert_eq!(shown.expose(), &text);
            }
        }

        #[test]
        fn only_one_text_is_a_link(bytes in any::<[u8; 32]>(), tail in "[A-Za-z0-9_=-]{1,2}") {
            let text = BASE64URL_NOPAD.encode(&bytes);
            prop_assert!(Token::parse(&text).is_some());
            prop_assert!(Token::parse(&(text.clone() + &tail)).is_none());
            prop_assert!(Token::parse(&text[1..]).is_none());
        }
    }
}
