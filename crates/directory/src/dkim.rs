//! DKIM keys: made when a domain is added, kept sealed, signed with elsewhere.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair, RsaKeyPair};
use data_encoding::BASE64;
use wardpost_mail::Secret;

use crate::error::DirectoryError;
use crate::types::{DkimAlgorithm, DkimKey};

/// Makes a pair of keys for a domain: Ed25519 for verifiers that know it, RSA-2048 for the rest
/// (RFC 8463 §3, RFC 8301 §3.2). Slow: call it off the async threads.
pub(crate) fn generate() -> Result<Vec<DkimKey>, DirectoryError> {
    let failed = |_: Unspecified| DirectoryError::Keys("DKIM key generation failed".to_owned());
    Ok(vec![ed25519().map_err(failed)?, rsa().map_err(failed)?])
}

fn ed25519() -> Result<DkimKey, Unspecified> {
    let pair = Ed25519KeyPair::generate()?;
    let private = pair.to_pkcs8()?;
    // RFC 8463 §4.2: the bare 32 octets of the public key.
    let public = BASE64.encode(pair.public_key().as_ref());
    Ok(DkimKey {
        selector: "wp1-ed25519".to_owned(),
        algorithm: DkimAlgorithm::Ed25519,
        private_pkcs8: Secret::new(private.as_ref().to_vec()),
        public_record: format!("v=DKIM1; k=ed25519; p={public}"),
    })
}

fn rsa() -> Result<DkimKey, Unspecified> {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048)?;
    let private: Pkcs8V1Der<'_> = pair.as_der()?;
    // RFC 6376 §3.6.1: a SubjectPublicKeyInfo, as every verifier reads it.
    let public: PublicKeyX509Der<'_> = pair.public_key().as_der()?;
    let public = BASE64.encode(public.as_ref());
    Ok(DkimKey {
        selector: "wp1-rsa".to_owned(),
        algorithm: DkimAlgorithm::Rsa2048,
        private_pkcs8: Secret::new(private.as_ref().to_vec()),
        public_record: format!("v=DKIM1; k=rsa; p={public}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_read_back_and_fit_their_records() {
        let keys = generate().unwrap();
        let ed25519 = Ed25519KeyPair::from_pkcs8(keys[0].private_pkcs8.expose()).unwrap();
        let public = BASE64.encode(ed25519.public_key().as_ref());
        assert_eq!(keys[0].public_record, format!("v=DKIM1; k=ed25519; p={public}"));
        let rsa = RsaKeyPair::from_pkcs8(keys[1].private_pkcs8.expose()).unwrap();
        assert_eq!(rsa.public_modulus_len(), 256);
        // SubjectPublicKeyInfo of a 2048-bit key begins so.
        assert!(keys[1].public_record.starts_with("v=DKIM1; k=rsa; p=MIIBIjANBgkqhkiG9w0BAQEF"));
        assert!(!format!("{keys:?}").contains("MIIEv"));
    }
}
