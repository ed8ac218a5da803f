//! Authenticated encryption and key derivation, all from aws-lc.
//!
//! Values are sealed with XAES-256-GCM (C2SP): AES-256-GCM under a subkey derived by CMAC from half
//! of a 192-bit random nonce (NIST SP 800-108 and 800-38D). With plain AES-GCM and random 96-bit
//! nonces a busy column would use up its 2³² safe values; here no count is needed.

use crate::error::OpenError;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::{cmac, digest, hkdf, hmac, rand};
use wardpost_mail::Secret;
use zeroize::{Zeroize, Zeroizing};

/// Length of the random nonce in front of the ciphertext.
const NONCE: usize = 24;
/// Length of the tag behind the ciphertext.
const TAG: usize = 16;

/// A 256-bit key expanded for XAES-256-GCM.
pub(crate) struct Aead(cmac::Key);

impl Aead {
    /// Expands a key.
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        // Infallible: the key has the algorithm's length.
        #[expect(clippy::expect_used, reason = "the key has the algorithm's length")]
        Self(cmac::Key::new(cmac::AES_256, key).expect("a 32-byte key"))
    }

    /// Seals `plain` behind `header`, with `header` and `aad` authenticated.
    /// Result: header, nonce, ciphertext, tag.
    pub(crate) fn seal(&self, header: &[u8], aad: &[u8], plain: &[u8]) -> Vec<u8> {
        self.seal_with(random(), header, aad, plain)
    }

    fn seal_with(&self, nonce: [u8; NONCE], header: &[u8], aad: &[u8], plain: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(header.len() + NONCE + plain.len() + TAG);
        out.extend_from_slice(header);
        out.extend_from_slice(&nonce);
        out.extend_from_slice(plain);
        let start = header.len() + NONCE;
        let (key, nonce) = self.derive(&nonce);
        let body = &mut out[start..];
        // Infallible: only plaintexts above 64 GiB are refused, and memory ends before that.
        #[expect(clippy::expect_used, reason = "fails above 64 GiB only")]
        let tag = key
            .seal_in_place_separate_tag(nonce, Aad::from(join(header, aad)), body)
            .expect("a plaintext below 64 GiB");
        out.extend_from_slice(tag.as_ref());
        out
    }

    /// Opens what [`Aead::seal`] made; `header_len` bytes in front are the header.
    pub(crate) fn open(
        &self,
        sealed: &[u8],
        header_len: usize,
        aad: &[u8],
    ) -> Result<Vec<u8>, OpenError> {
        let (header, rest) = sealed.split_at_checked(header_len).ok_or(OpenError::Format)?;
        let (nonce, body) = rest.split_first_chunk::<NONCE>().ok_or(OpenError::Format)?;
        let plain_len = body.len().checked_sub(TAG).ok_or(OpenError::Format)?;
        let (key, nonce) = self.derive(nonce);
        let mut plain = vec![0; plain_len];
        let (ciphertext, tag) = body.split_at(plain_len);
        let aad = Aad::from(join(header, aad));
        key.open_separate_gather(nonce, aad, ciphertext, tag, &mut plain)
            .map_err(|_| OpenError::NotAuthentic)?;
        Ok(plain)
    }

    /// The subkey and the 96-bit nonce for one value (XAES-256-GCM §Derivation).
    #[expect(
        clippy::expect_used,
        reason = "all lengths are fixed; aws-lc aborts when out of memory"
    )]
    fn derive(&self, nonce: &[u8; NONCE]) -> (LessSafeKey, Nonce) {
        let (first, last) = nonce.split_at(12);
        let mut message = [0u8; 16];
        message[2] = b'X';
        message[4..].copy_from_slice(first);
        let mut subkey = Zeroizing::new([0u8; 32]);
        for (counter, half) in (1u8..).zip(subkey.chunks_exact_mut(16)) {
            message[1] = counter;
            // Infallible: the buffer has the tag's length.
            cmac::sign_to_buffer(&self.0, &message, half).expect("a 16-byte tag");
        }
        // Infallible: the subkey has 32 bytes, the rest of the nonce 12.
        let key = UnboundKey::new(&AES_256_GCM, subkey.as_ref()).expect("a 32-byte key");
        let nonce = Nonce::try_assume_unique_for_key(last).expect("a 12-byte nonce");
        (LessSafeKey::new(key), nonce)
    }
}

/// Header and associated data as one string; the header's length is fixed by its first byte.
fn join(header: &[u8], aad: &[u8]) -> Vec<u8> {
    [header, aad].concat()
}

/// Random bytes from the operating system's generator by way of aws-lc's.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // Infallible: aws-lc ends the process rather than giving out weak randomness.
    #[expect(clippy::expect_used, reason = "aws-lc ends the process when there is no randomness")]
    rand::fill(&mut bytes).expect("randomness");
    bytes
}

/// HKDF-SHA256 (RFC 5869) without a salt: `key` is uniformly random already.
pub(crate) fn derive(key: &[u8; 32], info: &[&[u8]]) -> Secret<[u8; 32]> {
    derive_salted(key, &[], info)
}

/// HKDF-SHA256 (RFC 5869).
pub(crate) fn derive_salted(key: &[u8], salt: &[u8], info: &[&[u8]]) -> Secret<[u8; 32]> {
    let mut out = Secret::new([0; 32]);
    let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(key);
    // Infallible: one hash length is asked for.
    #[expect(clippy::expect_used, reason = "one hash length is asked for")]
    prk.expand(info, hkdf::HKDF_SHA256)
        .and_then(|okm| okm.fill(out.expose_mut()))
        .expect("32 bytes of HKDF-SHA256");
    out
}

/// A key for short keyed hashes (HMAC-SHA256 cut to 128 bits).
#[derive(Clone)]
pub(crate) struct HashKey(hmac::Key);

impl HashKey {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// Hashes the parts, each with its length before it.
    pub(crate) fn hash(&self, parts: &[&[u8]]) -> [u8; 16] {
        let mut context = hmac::Context::with_key(&self.0);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let tag = context.sign();
        let mut out = [0; 16];
        out.copy_from_slice(&tag.as_ref()[..16]);
        out
    }
}

/// The first `N` bytes of the SHA-256 of the parts: a checksum against mistyping.
pub(crate) fn checksum<const N: usize>(parts: &[&[u8]]) -> [u8; N] {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(part);
    }
    let mut out = [0; N];
    out.copy_from_slice(&context.finish().as_ref()[..N]);
    out
}

/// Turns opened bytes into a key and wipes them.
pub(crate) fn take_key(mut plain: Vec<u8>) -> Result<Secret<[u8; 32]>, OpenError> {
    let key = <[u8; 32]>::try_from(plain.as_slice()).map(Secret::new);
    plain.zeroize();
    key.map_err(|_| OpenError::Format)
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::HEXLOWER;

    /// The vectors of the XAES-256-GCM specification.
    #[test]
    fn agrees_with_the_specification() {
        let nonce = *b"ABCDEFGHIJKLMNOPQRSTUVWX";
        let sealed = Aead::new(&[1; 32]).seal_with(nonce, b"", b"", b"XAES-256-GCM");
        assert_eq!(
            HEXLOWER.encode(&sealed[NONCE..]),
            "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"
        );
        let aad = b"c2sp.org/XAES-256-GCM";
        let sealed = Aead::new(&[3; 32]).seal_with(nonce, b"", aad, b"XAES-256-GCM");
        assert_eq!(
            HEXLOWER.encode(&sealed[NONCE..]),
            "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"
        );
    }

    #[test]
    fn every_byte_is_authenticated() {
        let key = Aead::new(&[7; 32]);
        let sealed = key.seal(&[1, 2], b"place", b"value");
        assert_eq!(key.open(&sealed, 2, b"place").as_deref(), Ok(&b"value"[..]));
        assert_eq!(key.open(&sealed, 2, b"other"), Err(OpenError::NotAuthentic));
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(key.open(&changed, 2, b"place"), Err(OpenError::NotAuthentic), "byte {at}");
        }
        for len in 0..sealed.len() {
            assert!(key.open(&sealed[..len], 2, b"place").is_err(), "cut to {len}");
        }
    }

    #[test]
    fn hashes_tell_parts_apart() {
        let key = HashKey::new(&[9; 32]);
        assert_ne!(key.hash(&[b"ab", b"c"]), key.hash(&[b"a", b"bc"]));
        assert_ne!(key.hash(&[b"a"]), key.hash(&[b"a", b""]));
        assert_eq!(key.hash(&[b"a", b"b"]), key.hash(&[b"a", b"b"]));
    }
}
