//! What an administrator was told, out of band, to trust for one domain.
//!
//! Such trust stands in place of the public CAs and is never added to them. A partner who gave us
//! his certificate's fingerprint has said which key is his; that some CA vouches for another one is
//! then a reason for alarm, not for mail.
//!
//! A fingerprint stands for the certificate that the server shows as its own, as a TLSA record
//! `3 0 1` or `3 1 1` would (RFC 7672 §3.1.1): whoever proves that he owns the key is the one who
//! was meant, so neither the name in the certificate nor its dates count. An authority vouches for
//! others, so below it names, dates and all else must be right as below a public CA.
//!
//! Trust proves who the server is: T3. It does not make up for what the domain publishes. An
//! enforced MTA-STS policy and DANE must be satisfied besides, the former by a public CA
//! (RFC 8461 §4.2).

use crate::chain::{Roots, failures};
use crate::{Failure, FailureKind, Tlsa};
use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;
use thiserror::Error;
use wardpost_mail::Domain;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Longest text of a fingerprint that is read: 32 octets with colons, and what tools put before.
const MAX_TEXT: usize = 200;

/// The SHA-256 of a certificate, or of its public key (SubjectPublicKeyInfo). Which of the two need
/// not be said: no certificate's digest is another's key's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Fingerprint([u8; 32]);

/// A text that is no fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "a fingerprint is the SHA-256 of a certificate or of its public key: 64 hexadecimal digits, colons allowed"
)]
pub struct FingerprintError;

impl Fingerprint {
    /// Of the whole certificate, given in DER.
    pub fn of_certificate(der: &[u8]) -> Self {
        let mut octets = [0; 32];
        octets.copy_from_slice(digest(&SHA256, der).as_ref());
        Self(octets)
    }

    /// Of a certificate's public key; `None` when `der` is no certificate. It stays the same when
    /// the certificate is renewed with the same key.
    pub fn of_key(der: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        Some(Self::of_certificate(certificate.tbs_certificate.subject_pki.raw))
    }

    /// The octets.
    pub fn octets(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether it stands for this certificate.
    fn fits(self, der: &[u8]) -> bool {
        self == Self::of_certificate(der) || Self::of_key(der) == Some(self)
    }
}

impl From<[u8; 32]> for Fingerprint {
    fn from(octets: [u8; 32]) -> Self {
        Self(octets)
    }
}

/// Lower-case hexadecimal.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    /// Reads what people are told: plain digits, digits with colons or spaces, what OpenSSL prints
    /// (`sha256 Fingerprint=AB:CD:…`), and TLSA records `3 0 1 …` and `3 1 1 …`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if text.len() > MAX_TEXT {
            return Err(FingerprintError);
        }
        if let Ok(Tlsa { usage: 3, selector: 0 | 1, matching: 1, data }) = text.parse() {
            return data.try_into().map(Self).map_err(|_| FingerprintError);
        }
        let lower = text.to_ascii_lowercase();
        let digits = ["sha256 fingerprint=", "sha256:", "sha256="]
            .iter()
            .find_map(|lead| lower.strip_prefix(lead))
            .unwrap_or(&lower);
        let digits: Vec<u8> = digits.bytes().filter(|b| !matches!(b, b':' | b' ')).collect();
        if digits.len() != 64 {
            return Err(FingerprintError);
        }
        let mut octets = [0; 32];
        for (octet, pair) in octets.iter_mut().zip(digits.chunks(2)) {
            let value = |digit: &u8| char::from(*digit).to_digit(16).ok_or(FingerprintError);
            let [high, low] = pair else { return Err(FingerprintError) };
            *octet = u8::try_from(value(high)? << 4 | value(low)?).map_err(|_| FingerprintError)?;
        }
        Ok(Self(octets))
    }
}

/// What stands in place of the public CAs for one domain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trust {
    fingerprints: Vec<Fingerprint>,
    authorities: Roots,
}

impl Trust {
    /// Trusts servers that show one of these certificates or keys, and servers with certificates
    /// from these authorities; nobody else.
    pub fn new(fingerprints: Vec<Fingerprint>, authorities: Roots) -> Self {
        Self { fingerprints, authorities }
    }

    /// Whether nothing was pinned: then it says nothing and the public CAs count.
    pub fn is_empty(&self) -> bool {
        self.fingerprints.is_empty() && self.authorities.is_empty()
    }

    /// Whether the chain is what was pinned; if not, what is wrong with it.
    pub(crate) fn check(
        &self,
        host: &Domain,
        chain: &[Vec<u8>],
        now: SystemTime,
    ) -> Result<(), Vec<Failure>> {
        let pinned = |own: &Vec<u8>| self.fingerprints.iter().any(|known| known.fits(own));
        if chain.first().is_some_and(pinned) {
            return Ok(());
        }
        if self.authorities.is_empty() {
            let detail = match chain.first() {
                Some(_) => "the certificate is not the one that was pinned for the domain",
                None => "no certificate was shown, and one was pinned for the domain",
            };
            return Err(vec![Failure::new(FailureKind::CertificateNotTrusted, detail)]);
        }
        let wrong = failures(chain, &[host], &self.authorities, now);
        if wrong.is_empty() { Ok(()) } else { Err(wrong.into_iter().map(reworded).collect()) }
    }
}

/// The same failure told of a pinned authority.
fn reworded(mut failure: Failure) -> Failure {
    if failure.kind == FailureKind::CertificateNotTrusted {
        failure.detail =
            "the certificate does not come from the authority that was pinned for the domain"
                .into();
    }
    failure
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;

    #[test]
    fn every_form_that_people_are_told_is_read() {
        let hex = "0123456789abcdef".repeat(4);
        let expected: Fingerprint = hex.parse().unwrap();
        assert_eq!(expected.to_string(), hex);
        let colons: Vec<String> =
            expected.octets().iter().map(|octet| format!("{octet:02X}")).collect();
        for text in [
            hex.to_uppercase(),
            colons.join(":"),
            colons.join(" "),
            format!("sha256 Fingerprint={}\n", colons.join(":")),
            format!("SHA256:{hex}"),
            format!("3 0 1 {hex}"),
            format!("3 1 1 {}", hex.to_uppercase()),
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_none_is_refused() {
        let hex = "ab".repeat(32);
        for text in [
            String::new(),
            "ab".repeat(31),
            "ab".repeat(33),
            "ab".repeat(20),
            format!("2 0 1 {hex}"),
            format!("3 1 2 {}", "ab".repeat(64)),
            format!("sha1:{}", "ab".repeat(20)),
            "zz".repeat(32),
            "é".repeat(32),
        ] {
            assert_eq!(text.parse::<Fingerprint>(), Err(FingerprintError), "{text}");
        }
    }

    #[test]
    fn bytes_that_are_no_certificate_have_no_key() {
        assert_eq!(Fingerprint::of_key(b"rubbish"), None);
        assert!(Fingerprint::of_certificate(b"rubbish").fits(b"rubbish"));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,220}", hex in "[0-9a-fA-F: ]{60,100}") {
            for text in [text, hex] {
                if let Ok(read) = text.parse::<Fingerprint>() {
                    proptest::prop_assert_eq!(read.to_string().parse(), Ok(read));
                }
            }
        }
    }
}
