//! How records are written: a version byte, then the fields in postcard.
//!
//! The version byte belongs to the crate that owns the record: it raises its version when the fields
//! of one of its records change, and reads the older ones for as long as they may lie on a disk.
//! postcard itself is not self-describing, so nothing but that byte tells one shape from another; a
//! test of the owner holds the bytes of each version. Values are sealed by the store, so bytes that do
//! not decode are another version's or a mistake of ours, hardly ever damage on the disk.

use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

/// A record cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RecordError {
    /// It was written by another version of the program.
    #[error("a record has format version {found}, this program reads version {known}")]
    Version {
        /// The version byte found.
        found: u8,
        /// The version this program reads.
        known: u8,
    },
    /// It is empty, breaks off, has octets left over, or a field makes no sense.
    #[error("a record is damaged")]
    Damaged,
}

/// Writes a record: `version`, then its fields.
pub fn encode<T: Serialize>(version: u8, record: &T) -> Vec<u8> {
    // Infallible: postcard fails for a full writer, which a Vec never is, or for a sequence of
    // unknown length, and records are structs of our own whose sequences know theirs.
    #[expect(clippy::expect_used, reason = "records serialise into memory, see above")]
    postcard::to_extend(record, vec![version]).expect("records serialise into memory")
}

/// Reads a record of `version`, to its last octet.
///
/// # Errors
/// When the version is another, or the fields are not there, or more than they.
pub fn decode<T: DeserializeOwned>(version: u8, bytes: &[u8]) -> Result<T, RecordError> {
    match bytes.split_first() {
        Some((&found, fields)) if found == version => match postcard::take_from_bytes(fields) {
            Ok((record, [])) => Ok(record),
            _ => Err(RecordError::Damaged),
        },
        Some((&found, _)) => Err(RecordError::Version { found, known: version }),
        None => Err(RecordError::Damaged),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_version_comes_first_and_the_fields_follow() {
        let bytes = encode(3, &(300u32, "ab", Some(false)));
        assert_eq!(bytes, b"\x03\xac\x02\x02ab\x01\x00");
        let (number, text, flag): (u32, String, Option<bool>) =
            decode(3, &bytes).expect("what was written");
        assert_eq!((number, text.as_str(), flag), (300, "ab", Some(false)));
    }

    #[test]
    fn another_version_and_damage_are_told_apart() {
        let other = RecordError::Version { found: 2, known: 1 };
        assert_eq!(decode::<u8>(1, &[2, 9]), Err(other));
        for damaged in [&[][..], &[1], &[1, 9, 9]] {
            assert_eq!(decode::<u8>(1, damaged), Err(RecordError::Damaged));
        }
    }

    proptest! {
        #[test]
        fn anything_decodes_or_is_refused(bytes in proptest::collection::vec(0u8.., 0..200)) {
            let _ = decode::<(u64, Vec<String>, Option<[u8; 16]>)>(1, &bytes);
        }

        #[test]
        fn records_round_trip(number: u64, texts: Vec<String>) {
            let record = (number, texts);
            prop_assert_eq!(decode(7, &encode(7, &record)), Ok(record));
        }
    }
}
