//! X25519 key wrapping as OpenPGP has it (RFC 9580 §5.1.6), on aws-lc.
//!
//! The OpenPGP library's OpenSSL backend takes 150–230 µs for this, aws-lc a third of it, and it is
//! most of the cost of sealing a small message. The packets are the library's; the tests hold this
//! module to it in both directions.

use crate::aead::derive_salted;
use crate::error::OpenError;
use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::key_wrap::{AES_128, AesKek, KeyWrap};
use wardpost_mail::Secret;
use zeroize::Zeroizing;

/// A 256-bit key wrapped with AES-128 Key Wrap (RFC 3394).
pub(crate) const WRAPPED: usize = 40;

/// Wraps a key for the holder of `recipient`: the ephemeral public key and the wrapped key.
pub(crate) fn wrap(
    recipient: &[u8; 32],
    key: &Secret<[u8; 32]>,
) -> Result<([u8; 32], [u8; WRAPPED]), Unspecified> {
    let ephemeral = PrivateKey::generate(&X25519)?;
    let public = public_of(&ephemeral)?;
    let kek = wrapping_key(&ephemeral, recipient, &public, recipient)?;
    let mut wrapped = [0; WRAPPED];
    AesKek::new(&AES_128, &kek.expose()[..16])?.wrap(key.expose(), &mut wrapped)?;
    Ok((public, wrapped))
}

/// The secret half of an encryption key.
pub(crate) struct ExchangeKey {
    private: PrivateKey,
    public: [u8; 32],
}

impl ExchangeKey {
    /// Takes the raw secret (RFC 9580 §5.5.5.7).
    pub(crate) fn new(secret: &[u8; 32]) -> Result<Self, OpenError> {
        let private =
            PrivateKey::from_private_key(&X25519, secret).map_err(|_| OpenError::Format)?;
        let public = public_of(&private).map_err(|_| OpenError::Format)?;
        Ok(Self { private, public })
    }

    /// The public half.
    pub(crate) fn public(&self) -> &[u8; 32] {
        &self.public
    }

    /// Unwraps what [`wrap`] made.
    pub(crate) fn unwrap(
        &self,
        ephemeral: &[u8; 32],
        wrapped: &[u8],
    ) -> Result<Secret<[u8; 32]>, OpenError> {
        if wrapped.len() != WRAPPED {
            return Err(OpenError::Format);
        }
        let open = || {
            let kek = wrapping_key(&self.private, ephemeral, ephemeral, &self.public)?;
            let mut key = Secret::new([0; 32]);
            // The unwrapping wants eight bytes more than it fills.
            let mut room = Zeroizing::new([0; WRAPPED]);
            let plain = AesKek::new(&AES_128, &kek.expose()[..16])?.unwrap(wrapped, &mut *room)?;
            key.expose_mut().copy_from_slice(plain.get(..32).ok_or(Unspecified)?);
            Ok(key)
        };
        open().map_err(|_: Unspecified| OpenError::NotAuthentic)
    }
}

/// The key-wrapping key (its first 16 bytes): HKDF over ephemeral key, recipient's key and shared
/// secret.
fn wrapping_key(
    private: &PrivateKey,
    peer: &[u8; 32],
    ephemeral: &[u8; 32],
    recipient: &[u8; 32],
) -> Result<Secret<[u8; 32]>, Unspecified> {
    agree(private, UnparsedPublicKey::new(&X25519, peer), Unspecified, |shared| {
        let mut material = Zeroizing::new([0; 96]);
        material[..32].copy_from_slice(ephemeral);
        material[32..64].copy_from_slice(recipient);
        material[64..].copy_from_slice(shared);
        Ok(derive_salted(material.as_ref(), &[], &[b"OpenPGP X25519"]))
    })
}

fn public_of(private: &PrivateKey) -> Result<[u8; 32], Unspecified> {
    private.compute_public_key()?.as_ref().try_into().map_err(|_| Unspecified)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aead::random;

    #[test]
    fn only_the_right_secret_unwraps() {
        let (mine, other) = (random::<32>(), random::<32>());
        let mine = ExchangeKey::new(&mine).expect("a key");
        let other = ExchangeKey::new(&other).expect("a key");
        let key = Secret::new(random());
        let (ephemeral, wrapped) = wrap(mine.public(), &key).expect("wrapped");
        let opened = mine.unwrap(&ephemeral, &wrapped).expect("unwrapped");
        assert_eq!(opened.expose(), key.expose());
        assert_eq!(other.unwrap(&ephemeral, &wrapped).err(), Some(OpenError::NotAuthentic));
        assert_eq!(mine.unwrap(&ephemeral, &wrapped[1..]).err(), Some(OpenError::Format));
        // A point of small order would make a shared secret that everybody knows.
        assert_eq!(mine.unwrap(&[0; 32], &wrapped).err(), Some(OpenError::NotAuthentic));
        assert!(wrap(&[0; 32], &key).is_err());
    }
}
