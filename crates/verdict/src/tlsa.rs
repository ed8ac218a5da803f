//! TLSA records: their form, and which of them SMTP can use.
//!
//! ```text
//! _25._tcp.mx.example.  IN TLSA  3      1         1          ab12…
//!                                usage  selector  matching   association data
//! ```
//! RFC 6698 §2 gives the form, RFC 7671 and RFC 7672 §3.1 say what is left of it for mail: usages 2
//! (DANE-TA) and 3 (DANE-EE). 0 and 1 want a public CA that a mail client need not share, so they
//! are unusable (RFC 7672 §3.1.3). A record that is unusable is as good as absent, but a set with
//! nothing else in it still says that there must be TLS (RFC 7672 §2.2).

use aws_lc_rs::digest::{Algorithm, SHA256, SHA512, digest};
use rustls_pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use std::fmt::{self, Write};
use std::str::FromStr;
use thiserror::Error;
use webpki::anchor_from_trusted_cert;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::x509::SubjectPublicKeyInfo;

/// Longest association data taken, in octets.
const MAX_DATA: usize = 16 * 1024;

/// One TLSA record, its numbers as they were published.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Tlsa {
    /// Certificate usage (RFC 6698 §2.1.1): 3 is DANE-EE, 2 is DANE-TA.
    pub usage: u8,
    /// Selector (§2.1.2): 0 is the whole certificate, 1 its public key.
    pub selector: u8,
    /// Matching type (§2.1.3): 0 is the thing itself, 1 its SHA-256, 2 its SHA-512.
    pub matching: u8,
    /// What the certificate or key is compared with.
    pub data: Vec<u8>,
}

/// Text or octets that are no TLSA record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TlsaError {
    /// Fields are missing.
    #[error("a TLSA record has a usage, a selector, a matching type and data")]
    Short,
    /// A field is no number from 0 to 255.
    #[error("usage, selector and matching type are numbers from 0 to 255")]
    Number,
    /// The data is not hexadecimal, or has half an octet.
    #[error("the association data is not hexadecimal")]
    Hex,
    /// More data than any key or certificate has.
    #[error("the association data is too long")]
    Long,
}

impl Tlsa {
    /// Reads a record's RDATA (RFC 6698 §2.1).
    ///
    /// # Errors
    /// When it is cut short or beyond all measure.
    pub fn from_rdata(rdata: &[u8]) -> Result<Self, TlsaError> {
        match rdata {
            [_, _, _, data @ ..] if data.len() > MAX_DATA => Err(TlsaError::Long),
            [usage, selector, matching, data @ ..] => Ok(Self {
                usage: *usage,
                selector: *selector,
                matching: *matching,
                data: data.to_vec(),
            }),
            _ => Err(TlsaError::Short),
        }
    }

    /// Why SMTP cannot use the record; `None` when it can.
    pub fn unusable(&self) -> Option<&'static str> {
        let digest_fits =
            |length| (self.data.len() != length).then_some("its digest has the wrong length");
        match (self.usage, self.selector, self.matching) {
            (0 | 1, ..) => Some("usages 0 and 1 are not for mail (RFC 7672 §3.1.3)"),
            (4.., ..) => Some("its usage is unknown"),
            (_, 2.., _) => Some("its selector is unknown"),
            (_, _, 1) => digest_fits(SHA256.output_len()),
            (_, _, 2) => digest_fits(SHA512.output_len()),
            (_, _, 3..) => Some("its matching type is unknown"),
            (_, 0, 0) if !is_certificate(&self.data) => Some("its data is no certificate"),
            (_, 1, 0) if SubjectPublicKeyInfo::from_der(&self.data).is_err() => {
                Some("its data is no public key")
            }
            _ => None,
        }
    }

    /// Whether the record stands for this certificate.
    pub(crate) fn matches(&self, certificate: &[u8]) -> bool {
        let parsed;
        let selected = match self.selector {
            0 => certificate,
            1 => match X509Certificate::from_der(certificate) {
                Ok((_, read)) => {
                    parsed = read;
                    parsed.tbs_certificate.subject_pki.raw
                }
                Err(_) => return false,
            },
            _ => return false,
        };
        let same = |algorithm: &'static Algorithm| {
            digest(algorithm, selected).as_ref() == self.data.as_slice()
        };
        match self.matching {
            0 => selected == self.data,
            1 => same(&SHA256),
            2 => same(&SHA512),
            _ => false,
        }
    }
}

fn is_certificate(der: &[u8]) -> bool {
    anchor_from_trusted_cert(&CertificateDer::from(der)).is_ok()
}

/// The usable records, weaker digests left out where a stronger one of the same usage and selector
/// was published: digest agility (RFC 7671 §9). Records of matching type 0 always stay.
pub(crate) fn usable(records: &[Tlsa]) -> Vec<Tlsa> {
    let usable: Vec<&Tlsa> = records.iter().filter(|r| r.unusable().is_none()).collect();
    let outdone = |record: &Tlsa| {
        record.matching == 1
            && usable.iter().any(|other| {
                (other.usage, other.selector, other.matching) == (record.usage, record.selector, 2)
            })
    };
    usable.iter().filter(|record| !outdone(record)).map(|&record| record.clone()).collect()
}

impl FromStr for Tlsa {
    type Err = TlsaError;

    /// Reads the form of zone files (RFC 6698 §2.2): the data may be broken up by white space.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut words = text.split_ascii_whitespace();
        let mut number = || {
            let word = words.next().ok_or(TlsaError::Short)?;
            word.parse::<u8>().map_err(|_| TlsaError::Number)
        };
        let (usage, selector, matching) = (number()?, number()?, number()?);
        let digits: Vec<u8> = words.flat_map(str::bytes).take(2 * MAX_DATA + 1).collect();
        if digits.is_empty() {
            return Err(TlsaError::Short);
        }
        if digits.len() > 2 * MAX_DATA {
            return Err(TlsaError::Long);
        }
        Ok(Self { usage, selector, matching, data: unhex(&digits)? })
    }
}

fn unhex(digits: &[u8]) -> Result<Vec<u8>, TlsaError> {
    let nibble = |digit: u8| {
        let value = char::from(digit).to_digit(16).ok_or(TlsaError::Hex)?;
        u8::try_from(value).map_err(|_| TlsaError::Hex)
    };
    digits
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => Ok(nibble(*high)? << 4 | nibble(*low)?),
            _ => Err(TlsaError::Hex),
        })
        .collect()
}

impl fmt::Display for Tlsa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} ", self.usage, self.selector, self.matching)?;
        self.data.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        if self.data.is_empty() { f.write_char('-') } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;

    fn tlsa(usage: u8, selector: u8, matching: u8, length: usize) -> Tlsa {
        Tlsa { usage, selector, matching, data: vec![7; length] }
    }

    #[test]
    fn zone_file_form_is_read_and_written() {
        let record: Tlsa = "3 1 1 AB12 cd".parse().unwrap();
        assert_eq!(
            record,
            Tlsa { usage: 3, selector: 1, matching: 1, data: vec![0xab, 0x12, 0xcd] }
        );
        assert_eq!(record.to_string(), "3 1 1 ab12cd");
        assert_eq!(record.to_string().parse(), Ok(record));
        for (text, error) in [
            ("", TlsaError::Short),
            ("3 1 1", TlsaError::Short),
            ("3 1 x ab", TlsaError::Number),
            ("3 1 256 ab", TlsaError::Number),
            ("3 1 1 abc", TlsaError::Hex),
            ("3 1 1 ax", TlsaError::Hex),
        ] {
            assert_eq!(text.parse::<Tlsa>(), Err(error), "{text}");
        }
    }

    #[test]
    fn what_mail_can_use() {
        assert_eq!(tlsa(3, 1, 1, 32).unusable(), None);
        assert_eq!(tlsa(2, 0, 2, 64).unusable(), None);
        for record in [
            tlsa(0, 1, 1, 32),
            tlsa(1, 1, 1, 32),
            tlsa(4, 1, 1, 32),
            tlsa(3, 2, 1, 32),
            tlsa(3, 1, 3, 32),
            tlsa(3, 1, 1, 31),
            tlsa(3, 1, 2, 32),
            tlsa(3, 0, 0, 9),
            tlsa(2, 1, 0, 9),
        ] {
            assert!(record.unusable().is_some(), "{record}");
        }
    }

    #[test]
    fn the_strongest_digest_counts_for_each_usage_and_selector() {
        let (weak, strong) = (tlsa(3, 1, 1, 32), tlsa(3, 1, 2, 64));
        let (other, malformed) = (tlsa(3, 0, 1, 32), tlsa(3, 0, 2, 63));
        let set = [weak.clone(), strong.clone(), other.clone(), malformed];
        assert_eq!(usable(&set), [strong, other]);
        assert_eq!(usable(std::slice::from_ref(&weak)), [weak]);
    }

    proptest::proptest! {
        #[test]
        fn nothing_that_is_read_does_harm(rdata in proptest::collection::vec(0u8.., 0..300), text in "\\PC{0,80}") {
            if let Ok(record) = Tlsa::from_rdata(&rdata) {
                let _ = (record.unusable(), record.matches(&rdata), record.to_string());
                let _ = usable(&[record.clone(), record]);
            }
            let _ = text.parse::<Tlsa>();
        }
    }
}
