//! Trust anchors: the keys that all signatures must lead to.
//!
//! ```text
//! ; the root's key in zone-file form, as `unbound-anchor` and IANA give it: DNSKEY or DS
//! .  3600  IN  DS      20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D
//! .        IN  DNSKEY  257 3 8 AwEAAa… (
//!                      … )
//! ```
//! Name, optional TTL and class (in either order), type and data; parentheses continue a line, `;`
//! begins a comment, `@` and relative names are not known. A DS names a key by its digest: the key
//! itself is fetched and compared before the first look-up.

use data_encoding::BASE64;
use hickory_resolver::proto::dnssec::rdata::{DNSKEY, DNSSECRData, DS};
use hickory_resolver::proto::dnssec::{Algorithm, PublicKeyBuf, TrustAnchors};
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use std::path::Path;
use std::str::FromStr;
use std::{fs, io};
use thiserror::Error;

/// Longest file that is read, in octets.
const MAX_FILE: u64 = 64 * 1024;

/// Keys that are trusted without a signature: for the root, or for a zone below it.
#[derive(Debug, Clone)]
pub struct TrustAnchor {
    keys: Vec<(Name, DNSKEY)>,
    digests: Vec<(Name, DS)>,
}

/// Why a file is no trust anchor.
#[derive(Debug, Error)]
pub enum AnchorError {
    /// It cannot be read.
    #[error("the trust anchor cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It is far too long for what it should be.
    #[error("the trust anchor is longer than {MAX_FILE} octets")]
    TooLong,
    /// A record of it is not understood.
    #[error("line {line} of the trust anchor: {reason}")]
    Line {
        /// Where the record begins, counted from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// It holds no record.
    #[error("the trust anchor holds neither DNSKEY nor DS records")]
    Empty,
}

impl TrustAnchor {
    /// Reads a file of DNSKEY or DS records in zone-file form.
    ///
    /// # Errors
    /// [`AnchorError`], with the line.
    pub fn read_file(path: &Path) -> Result<Self, AnchorError> {
        if fs::metadata(path)?.len() > MAX_FILE {
            return Err(AnchorError::TooLong);
        }
        fs::read_to_string(path)?.parse()
    }

    /// The zones whose keys have to be fetched, for their digests to be turned into keys.
    pub(crate) fn unknown_zones(&self) -> Vec<Name> {
        let mut zones: Vec<Name> = self.digests.iter().map(|(zone, _)| zone.clone()).collect();
        zones.sort();
        zones.dedup();
        zones
    }

    /// The keys, with those of `fetched` that a digest stands for; `None` when there is none.
    pub(crate) fn keys(&self, fetched: &[(Name, DNSKEY)]) -> Option<TrustAnchors> {
        let mut anchors = TrustAnchors::empty();
        let mut any = false;
        let named = fetched.iter().filter(|(zone, key)| {
            let covers = |ds: &DS| ds.covers(zone, key).unwrap_or(false);
            !key.revoke() && self.digests.iter().any(|(name, ds)| name == zone && covers(ds))
        });
        for (zone, key) in self.keys.iter().chain(named) {
            any |= anchors.insert_with_name(key.public_key(), zone.into());
        }
        any.then_some(anchors)
    }

    fn add(&mut self, record: &[&str]) -> Result<(), String> {
        let [name, rest @ ..] = record else { return Ok(()) };
        if !name.ends_with('.') {
            return Err(format!("{name:?} is not a name that ends in a dot"));
        }
        let name = Name::from_ascii(name).map_err(|error| error.to_string())?;
        let is_ttl = |word: &str| word.starts_with(|c: char| c.is_ascii_digit());
        let skip =
            rest.iter().take(2).take_while(|word| word.eq_ignore_ascii_case("IN") || is_ttl(word));
        let [kind, data @ ..] = &rest[skip.count()..] else {
            return Err("a record has a name, a type and data".into());
        };
        let kind = match kind.to_ascii_uppercase().as_str() {
            "DNSKEY" => RecordType::DNSKEY,
            "DS" => RecordType::DS,
            other => return Err(format!("{other:?} is neither DNSKEY nor DS")),
        };
        self.add_data(name, kind, data)
    }

    fn add_data(&mut self, name: Name, kind: RecordType, data: &[&str]) -> Result<(), String> {
        if kind == RecordType::DNSKEY {
            self.keys.push((name, key(data)?));
            return Ok(());
        }
        let data = RData::try_from_str(kind, &data.join(" ")).map_err(|error| error.to_string())?;
        let RData::DNSSEC(DNSSECRData::DS(ds)) = data else {
            return Err("the data does not fit the type".into());
        };
        self.digests.push((name, ds));
        Ok(())
    }
}

/// Reads a key: flags, protocol, algorithm, key (RFC 4034 §2.2).
fn key(data: &[&str]) -> Result<DNSKEY, String> {
    let number =
        |word: &str| word.parse::<u16>().map_err(|_| format!("{word:?} is not a number that fits"));
    let [flags, protocol, algorithm, key @ ..] = data else {
        return Err("a DNSKEY has flags, a protocol, an algorithm and a key".into());
    };
    let algorithm = u8::try_from(number(algorithm)?).map_err(|_| "no such algorithm")?;
    if number(protocol)? != 3 {
        return Err("a DNSKEY's protocol is 3 (RFC 4034 §2.1.2)".into());
    }
    let key = BASE64.decode(key.concat().as_bytes()).map_err(|_| "the key is not base64")?;
    let key = PublicKeyBuf::new(key, Algorithm::from_u8(algorithm));
    let key = DNSKEY::with_flags(number(flags)?, key);
    if key.zone_key() && !key.revoke() {
        Ok(key)
    } else {
        Err("the key is not a zone key (flags 256 or 257)".into())
    }
}

impl FromStr for TrustAnchor {
    type Err = AnchorError;

    fn from_str(text: &str) -> Result<Self, AnchorError> {
        let mut anchor = Self { keys: Vec::new(), digests: Vec::new() };
        let (mut words, mut depth, mut start) = (Vec::new(), 0_usize, 1);
        let spaced: Vec<String> = text.lines().map(spaced).collect();
        for (line, text) in (1..).zip(&spaced) {
            for word in text.split_ascii_whitespace() {
                match word {
                    "(" => depth += 1,
                    ")" => depth = depth.saturating_sub(1),
                    word => {
                        if words.is_empty() {
                            start = line;
                        }
                        words.push(word);
                    }
                }
            }
            if depth == 0 {
                let added = anchor.add(&words);
                added.map_err(|reason| AnchorError::Line { line: start, reason })?;
                words.clear();
            }
        }
        if depth > 0 {
            let reason = "a parenthesis is not closed".to_owned();
            return Err(AnchorError::Line { line: start, reason });
        }
        if anchor.keys.is_empty() && anchor.digests.is_empty() {
            return Err(AnchorError::Empty);
        }
        Ok(anchor)
    }
}

/// A line without its comment, parentheses as words of their own.
fn spaced(line: &str) -> String {
    let text = line.split(';').next().unwrap_or_default();
    text.replace('(', " ( ").replace(')', " ) ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;

    const DS_2017: &str =
        ". 3600 IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D";
    const KEY: &str = "example. IN DNSKEY 257 3 13 ( mdsswUyr3DPW132mOi8V9xESWE8jTo0d ; part one\n\
                       xCjjnopKl+GqJxpVXckHAeF+KkxLbxIL ) ; and two\n";

    #[test]
    fn keys_and_digests_are_read() {
        let anchor: TrustAnchor = format!("; anchors\n\n{DS_2017}\n{KEY}").parse().unwrap();
        assert_eq!(anchor.unknown_zones(), [Name::root()]);
        assert_eq!((anchor.keys.len(), anchor.digests.len()), (1, 1));
        let anchors = anchor.keys(&[]).unwrap();
        let (zone, key) = &anchor.keys[0];
        assert!(anchors.contains_with_name(key.public_key(), &zone.into()));
        assert!(anchors.is_empty(), "none for the root without a fetched key");
    }

    #[test]
    fn a_fetched_key_counts_only_if_a_digest_names_it() {
        let anchor: TrustAnchor = DS_2017.parse().unwrap();
        let other: TrustAnchor = KEY.parse().unwrap();
        let stranger = other.keys[0].1.clone();
        assert!(anchor.keys(&[(Name::root(), stranger)]).is_none());
    }

    #[test]
    fn mistakes_name_their_line() {
        for (text, line, word) in [
            (". IN A 127.0.0.1", 1, "neither DNSKEY nor DS"),
            ("\n\n. DS 1 2", 3, ""),
            ("example DS 1 8 2 00", 1, "ends in a dot"),
            (". IN DNSKEY 257 3 13 ( abc", 1, "not closed"),
            (". 3600", 1, "a type and data"),
        ] {
            match text.parse::<TrustAnchor>() {
                Err(AnchorError::Line { line: at, reason }) => {
                    assert_eq!(at, line, "{text}");
                    assert!(reason.contains(word), "{reason}");
                }
                other => panic!("{text}: {other:?}"),
            }
        }
        assert!(matches!("; nothing".parse::<TrustAnchor>(), Err(AnchorError::Empty)));
    }

    proptest::proptest! {
        #[test]
        fn no_text_does_harm(text in "[.a-z0-9 ();\nDSNKEYI+/=]{0,120}", any in "\\PC{0,60}") {
            let _ = text.parse::<TrustAnchor>();
            let _ = any.parse::<TrustAnchor>();
            let _ = format!(". DS {any}").parse::<TrustAnchor>();
        }
    }
}
