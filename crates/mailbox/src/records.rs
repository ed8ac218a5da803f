//! Records as they are kept: a version byte, then postcard. The store seals every one once more.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use wardpost_keys::{Index, KeyPacket, Name, Record, Sealed};
use wardpost_store::record;

use crate::error::MailboxError;
use crate::layout::BlobId;
use crate::types::{SpecialUse, UidRange};

/// The version that this program writes.
const VERSION: u8 = 1;

/// Writes a record.
pub(crate) fn encode<T: Serialize>(record: &T) -> Vec<u8> {
    record::encode(VERSION, record)
}

/// Reads a record; `what` names its kind in the error.
pub(crate) fn decode<T: DeserializeOwned>(
    bytes: &[u8],
    what: &'static str,
) -> Result<T, MailboxError> {
    record::decode(VERSION, bytes).map_err(|_| MailboxError::Record(what))
}

/// What holds for the whole account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AccountRecord {
    /// The number the next mailbox gets.
    pub(crate) next_mailbox: u32,
    /// The greatest UIDVALIDITY given out.
    pub(crate) last_validity: u32,
}

/// A mailbox. Only its name is private; what it is for must be known to deliver while locked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MailboxRecord {
    /// The name, sealed under the account key.
    pub(crate) name: Sealed<Name>,
    /// What it is for.
    pub(crate) special: Option<SpecialUse>,
}

/// The subscribed names, before sealing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct SubscriptionsRecord(pub(crate) Vec<String>);

/// A mailbox's numbers. Written with every change, in the order of the changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CountersRecord {
    /// UIDVALIDITY.
    pub(crate) uid_validity: u32,
    /// The next UID.
    pub(crate) uid_next: u32,
    /// The last change number given out.
    pub(crate) modseq: u64,
    /// Expunges at or below this change number are forgotten.
    pub(crate) floor: u64,
}

/// A message delivered while its account was locked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WaitingRecord {
    pub(crate) modseq: u64,
    pub(crate) blob: BlobId,
    pub(crate) size: u32,
    pub(crate) internal_date: i64,
    /// The session key, sealed to the account's certificate.
    pub(crate) packet: KeyPacket,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EntryRecord {
    pub(crate) modseq: u64,
    pub(crate) blob: BlobId,
    pub(crate) size: u32,
    pub(crate) internal_date: i64,
    /// The session key, sealed to the account's certificate; with the body a standard OpenPGP message.
    pub(crate) packet: KeyPacket,
    /// The session key under the account key, bound to the blob: what everyday reading uses.
    #[serde(with = "byte_string")]
    pub(crate) session_key: Vec<u8>,
    /// [`FlagsRecord`] under the account key, bound to the blob.
    pub(crate) flags: Sealed<Record>,
}

/// A message's flags, before sealing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct FlagsRecord {
    pub(crate) system: u16,
    pub(crate) keywords: Vec<String>,
}

/// A message's summary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum SummaryRecord {
    /// Under the message's session key: delivered while locked.
    BySession(Sealed<Index>),
    /// Under the account key, bound to the blob.
    ByAccount {
        /// The message's blob, needed to open it.
        blob: BlobId,
        /// The summary.
        sealed: Sealed<Index>,
    },
}

/// UIDs expunged together, ascending.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ExpungedRecord(pub(crate) Vec<UidRange>);

/// What a sealed thing is bound to: its kind and its blob, so that copies need no sealing anew.
pub(crate) fn context(kind: &[u8], blob: &BlobId) -> Vec<u8> {
    [b"mailbox/".as_slice(), kind, b"/", blob].concat()
}

/// Serialises bytes in one piece.
mod byte_string {
    use serde::{Deserializer, Serializer, de};
    use std::fmt;

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], s: S) -> Result<S::Ok, S::Error> {
        s.serialize_bytes(bytes)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<u8>, D::Error> {
        d.deserialize_bytes(Bytes)
    }

    struct Bytes;

    impl de::Visitor<'_> for Bytes {
        type Value = Vec<u8>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a byte string")
        }

        fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
            Ok(bytes.to_vec())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use wardpost_mail::Uid;

    /// Bytes that version 1 wrote. If this fails, old mail would not open: write a migration, do not
    /// change the bytes.
    #[test]
    fn version_1_records_still_open() {
        let counters =
            CountersRecord { uid_validity: 1_700_000_000, uid_next: 300, modseq: 70_000, floor: 5 };
        let bytes = [1, 128, 226, 207, 170, 6, 172, 2, 240, 162, 4, 5];
        assert_eq!(encode(&counters), bytes);
        assert_eq!(decode::<CountersRecord>(&bytes, "counters").unwrap(), counters);

        let entry = EntryRecord {
            modseq: 7,
            blob: [3; 16],
            size: 200,
            internal_date: -1,
            packet: KeyPacket::from_stored(vec![9, 8]),
            session_key: vec![1, 2, 3],
            flags: Sealed::from_stored(vec![4]),
        };
        let mut bytes = vec![1, 7];
        bytes.extend([3; 16]);
        bytes.extend([200, 1, 1, 2, 9, 8, 3, 1, 2, 3, 1, 4]);
        assert_eq!(encode(&entry), bytes);
        assert_eq!(decode::<EntryRecord>(&bytes, "entry").unwrap(), entry);

        let waiting = WaitingRecord {
            modseq: 7,
            blob: [3; 16],
            size: 200,
            internal_date: 1,
            packet: KeyPacket::from_stored(vec![9]),
        };
        let mut bytes = vec![1, 7];
        bytes.extend([3; 16]);
        bytes.extend([200, 1, 2, 1, 9]);
        assert_eq!(decode::<WaitingRecord>(&bytes, "waiting").unwrap(), waiting);

        let summary =
            SummaryRecord::ByAccount { blob: [5; 16], sealed: Sealed::from_stored(vec![6]) };
        let mut bytes = vec![1, 1];
        bytes.extend([5; 16]);
        bytes.extend([1, 6]);
        assert_eq!(decode::<SummaryRecord>(&bytes, "summary").unwrap(), summary);

        let mailbox = MailboxRecord {
            name: Sealed::from_stored(vec![7, 7]),
            special: Some(SpecialUse::Junk),
        };
        assert_eq!(decode::<MailboxRecord>(&[1, 2, 7, 7, 1, 3], "mailbox").unwrap(), mailbox);
        let gone = ExpungedRecord(vec![UidRange { first: Uid(2), last: Uid(9) }]);
        assert_eq!(decode::<ExpungedRecord>(&[1, 1, 2, 9], "expunged").unwrap(), gone);
    }

    #[test]
    fn another_version_is_refused() {
        let mut bytes = encode(&FlagsRecord::default());
        bytes[0] = 2;
        assert!(matches!(
            decode::<FlagsRecord>(&bytes, "flags"),
            Err(MailboxError::Record("flags"))
        ));
        assert!(decode::<FlagsRecord>(&[], "flags").is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_decode_or_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut bytes = bytes;
            bytes.insert(0, VERSION);
            let _ = decode::<EntryRecord>(&bytes, "entry");
            let _ = decode::<SummaryRecord>(&bytes, "summary");
            let _ = decode::<ExpungedRecord>(&bytes, "expunged");
            let _ = decode::<SubscriptionsRecord>(&bytes, "subscriptions");
        }

        #[test]
        fn flags_round_trip(system in any::<u16>(), keywords in proptest::collection::vec("[a-z$]{1,9}", 0..5)) {
            let record = FlagsRecord { system, keywords };
            prop_assert_eq!(decode::<FlagsRecord>(&encode(&record), "flags").unwrap(), record);
        }
    }
}
