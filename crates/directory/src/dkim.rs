//! DKIM keys: made when a domain is added or its keys are rotated, kept sealed, signed with elsewhere.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair, RsaKeyPair};
use data_encoding::BASE64;
use wardpost_mail::Secret;

use crate::error::DirectoryError;
use crate::types::{DkimAlgorithm, DkimKey};

/// Makes a pair of keys for a domain: Ed25519 for verifiers that know it, RSA-2048 for the rest
/// (RFC 8463 §3, RFC 8301 §3.2). The generation is part of the selectors, which are never used again
/// (RFC 6376 §3.1). Slow: call it off the async threads.
pub(crate) fn generate(generation: u32) -> Result<Vec<DkimKey>, DirectoryError> {
    let failed = |_: Unspecified| DirectoryError::Keys("DKIM key generation failed".to_owned());
    Ok(vec![ed25519(generation).map_err(failed)?, rsa(generation).map_err(failed)?])
}

fn ed25519(generation: u32) -> Result<DkimKey, Unspecified> {
    let pair = Ed25519KeyPair::generate()?;
    let private = pair.to_pkcs8()?;
    // RFC 8463 §4.2: the bare 32 octets of the public key.
    let public = BASE64.encode(pair.public_key().as_ref());
    Ok(DkimKey {
        selector: format!("wp{generation}-ed25519"),
        algorithm: DkimAlgorithm::Ed25519,
        private_pkcs8: Secret::new(private.as_ref().to_vec()),
        public_record: format!("v=DKIM1; k=ed25519; p={public}"),
    })
}

fn rsa(generation: u32) -> Result<DkimKey, Unspecified> {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048)?;
    let private: Pkcs8V1Der<'_> = pair.as_der()?;
    // RFC 6376 §3.6.1: a SubjectPublicKeyInfo, as every verifier reads it.
    let public: PublicKeyX509Der<'_> = pair.public_key().as_der()?;
    let public = BASE64.encode(public.as_ref());
    Ok(DkimKey {
        selector: format!("wp{generation}-rsa"),
        algorithm: DkimAlgorithm::Rsa2048,
        private_pkcs8: Secret::new(private.as_ref().to_vec()),
        public_record: format!("v=DKIM1; k=rsa; p={public}"),
    })
}

/// Whether a TXT record found in the DNS holds the key of one that we told to publish: the same key,
/// whatever else it says and however it is spaced (RFC 6376 §3.2, §3.6.1).
pub(crate) fn holds_key(found: &[u8], ours: &str) -> bool {
    let Ok(found) = std::str::from_utf8(found) else { return false };
    let key = |record| tag(record, "p").filter(|key| !key.is_empty());
    let kind = |record| tag(record, "k").unwrap_or_else(|| "rsa".to_owned());
    key(found).is_some() && key(found) == key(ours) && kind(found) == kind(ours)
}

/// The value of a tag, without white space.
fn tag(record: &str, name: &str) -> Option<String> {
    record.split(';').find_map(|field| {
        let (key, value) = field.split_once('=')?;
        (key.trim() == name).then(|| value.split_ascii_whitespace().collect())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_read_back_and_fit_their_records() {
        let keys = generate(1).unwrap();
        assert_eq!(
            (keys[0].selector.as_str(), keys[1].selector.as_str()),
            ("wp1-ed25519", "wp1-rsa")
        );
        let ed25519 = Ed25519KeyPair::from_pkcs8(keys[0].private_pkcs8.expose()).unwrap();
        let public = BASE64.encode(ed25519.public_key().as_ref());
        assert_eq!(keys[0].public_record, format!("v=DKIM1; k=ed25519; p={public}"));
        let rsa = RsaKeyPair::from_pkcs8(keys[1].private_pkcs8.expose()).unwrap();
        assert_eq!(rsa.public_modulus_len(), 256);
        // SubjectPublicKeyInfo of a 2048-bit key begins so.
        assert!(keys[1].public_record.starts_with("v=DKIM1; k=rsa; p=MIIBIjANBgkqhkiG9w0BAQEF"));
        assert!(!format!("{keys:?}").contains("MIIEv"));
    }

    #[test]
    fn a_published_key_is_recognised_however_it_is_written() {
        let ours = "v=DKIM1; k=ed25519; p=abc+/=";
        for same in [ours, "v=DKIM1;k=ed25519;p=abc+/=", "p = ab c+/= ; k=ed25519; t=s"] {
            assert!(holds_key(same.as_bytes(), ours), "{same}");
        }
        for other in ["", "p=abc+/=", "v=DKIM1; k=ed25519; p=", "v=DKIM1; k=ed25519; p=abd", "p"] {
            assert!(!holds_key(other.as_bytes(), ours), "{other}");
        }
        assert!(holds_key(b"v=DKIM1; p=MII", "v=DKIM1; k=rsa; p=MII"));
        assert!(!holds_key(b"\xff", ours));
    }

    proptest::proptest! {
        #[test]
        fn what_others_publish_does_no_harm(found in proptest::collection::vec(0u8.., 0..200)) {
            proptest::prop_assert!(!holds_key(&found, "v=DKIM1; k=rsa; p=MIIBIjANBgkqhkiG9w0"));
        }
    }
}
