//! Trust anchors: the keys that all signatures must lead to.
//!
//! ```text
//! ; the root's key in zone-file form, as `unbound-anchor` and IANA give it: DNSKEY or DS
//! .  3600  IN  DS      20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D
//! .  3600  IN  DS      38696 8 2 683D2D0ACB8C9B712A1948B27F741219298D0A450D612C483AF444A4C0FB2B16
//! .        IN  DNSKEY  257 3 8 AwEAAa… (
//!                      … )
//! ```
//! Name, optional TTL and class (in either order), type and data; parentheses continue a line, `;`
//! begins a comment, `@` and relative names are not known. A DS names a key by its digest. Whichever it
//! is, a zone's keys are believed when one of them is named here and has signed them all.

use data_encoding::BASE64;
use hickory_resolver::proto::dnssec::rdata::{DNSKEY, DNSSECRData, DS};
use hickory_resolver::proto::dnssec::{Algorithm, PublicKey, PublicKeyBuf, TrustAnchors};
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

/// What validation starts from.
#[derive(Clone)]
pub(crate) enum Anchors {
    /// The administrator's own anchor.
    Own(TrustAnchor),
    /// The root's keys, as they come with hickory.
    Root(Name, TrustAnchors),
}

impl Anchors {
    /// The real root.
    pub(crate) fn root() -> Self {
        Self::Root(Name::root(), TrustAnchors::default())
    }

    /// The deepest zone with an anchor at or above a name.
    pub(crate) fn zone_above(&self, name: &Name) -> Option<&Name> {
        match self {
            Self::Root(root, _) => Some(root),
            Self::Own(own) => {
                let zones = own.keys.iter().map(|(zone, _)| zone);
                let zones = zones.chain(own.digests.iter().map(|(zone, _)| zone));
                zones.filter(|zone| zone.zone_of(name)).max_by_key(|zone| zone.num_labels())
            }
        }
    }

    /// Whether a key of this zone is trusted without a signature.
    pub(crate) fn trusts(&self, zone: &Name, key: &DNSKEY) -> bool {
        match self {
            Self::Root(root, keys) => zone == root && keys.contains(key.public_key()),
            Self::Own(own) => own.names(zone, key),
        }
    }
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

    fn names(&self, zone: &Name, key: &DNSKEY) -> bool {
        let (algorithm, bytes) = (key.public_key().algorithm(), key.public_key().public_bytes());
        let same = |known: &DNSKEY| {
            let known = known.public_key();
            known.algorithm() == algorithm && known.public_bytes() == bytes
        };
        let covers = |ds: &DS| ds.algorithm() == algorithm && ds.covers(zone, key).unwrap_or(false);
        self.keys.iter().any(|(name, known)| name == zone && same(known))
            || self.digests.iter().any(|(name, ds)| name == zone && covers(ds))
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
        assert_eq!((anchor.keys.len(), anchor.digests.len()), (1, 1));
        let (zone, key) = anchor.keys[0].clone();
        let anchors = Anchors::Own(anchor);
        assert!(anchors.trusts(&zone, &key));
        assert!(!anchors.trusts(&Name::root(), &key), "of its own zone only");
        let below = Name::from_ascii("a.example.").unwrap();
        assert_eq!(anchors.zone_above(&below), Some(&zone));
        assert_eq!(anchors.zone_above(&Name::from_ascii("b.").unwrap()), Some(&Name::root()));
    }

    #[test]
    fn a_digest_stands_for_its_key_alone() {
        let root = TrustAnchors::default();
        let real = DNSKEY::with_flags(257, root.get(0).unwrap().clone());
        let stranger = KEY.parse::<TrustAnchor>().unwrap().keys[0].1.clone();
        let anchors = Anchors::Own(DS_2017.parse().unwrap());
        assert!(anchors.trusts(&Name::root(), &real), "the root's key of 2017");
        assert!(!anchors.trusts(&Name::root(), &stranger));
        assert!(Anchors::root().trusts(&Name::root(), &real));
        assert!(!Anchors::root().trusts(&Name::root(), &stranger));
        let below = KEY.parse::<TrustAnchor>().unwrap();
        assert_eq!(Anchors::Own(below).zone_above(&Name::root()), None);
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
