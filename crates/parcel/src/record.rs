//! How parcels are written down: keys, and records behind a version byte.
//!
//! ```text
//! p ‖ parcel              → ParcelRecord: everything but the message
//! b ‖ parcel              → the message, sealed to the recipient and under the link
//! t ‖ parcel              → Tries of this parcel
//! r ‖ recipient           → RecipientRecord: the recipient's keys
//! t ‖ recipient           → Tries over all parcels of the recipient
//! n ‖ recipient           → CodeNote: how other staff learn the code
//! x ‖ recipient ‖ parcel  → nothing: the recipient's parcels
//! ```
//! `parcel` and `recipient` are keyed hashes ([`wardpost_store::Store::name_key`]) of the link's
//! identifier and of the folded address. All in `Column::Parcel`.

use crate::{ParcelError, ParcelId, ParcelState, ParcelView};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use wardpost_keys::{AccountKeys, Body, KeyPacket, Sealed};
use wardpost_mail::{AccountId, Address};
use wardpost_store::record::{self, RecordError};
use wardpost_store::{Column, Store};

/// Version of every record here.
const VERSION: u8 = 1;
/// Openings whose time is kept.
const OPENINGS: usize = 20;

/// A parcel, without its message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ParcelRecord {
    pub(crate) sender: AccountId,
    pub(crate) recipient: Address,
    pub(crate) recipient_key: RecipientKey,
    /// Which of the recipient's keys it is sealed to.
    pub(crate) generation: u32,
    pub(crate) link_check: [u8; 32],
    /// Milliseconds since 1970, as all times here.
    pub(crate) created: u64,
    pub(crate) expires: u64,
    pub(crate) size: u64,
    pub(crate) opened_at: Vec<u64>,
    pub(crate) views: u32,
    pub(crate) answered: Option<u64>,
    pub(crate) end: Option<End>,
}

/// Why a parcel's message is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum End {
    Recalled,
    Expired,
    Superseded,
}

/// A recipient of parcels.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct RecipientRecord {
    pub(crate) keys: AccountKeys,
    /// Counts the keys the recipient has had.
    pub(crate) generation: u32,
    /// The slot is the recipient's own passphrase, not a code.
    pub(crate) has_passphrase: bool,
}

/// Wrong codes since the last right one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tries {
    pub(crate) wrong: u32,
    pub(crate) not_before: u64,
}

/// What the link layer seals.
#[derive(Serialize, Deserialize)]
pub(crate) struct Content {
    pub(crate) packet: KeyPacket,
    pub(crate) body: Sealed<Body>,
}

/// Names a recipient in the store: a keyed hash of the folded address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct RecipientKey(pub(crate) [u8; 16]);

impl RecipientKey {
    pub(crate) fn of(store: &Store, address: &Address) -> Self {
        let folded = address.folded().to_string();
        Self(store.name_key(Column::Parcel, &[b"recipient", folded.as_bytes()]))
    }

    pub(crate) fn record(self) -> Vec<u8> {
        [b"r".as_slice(), &self.0].concat()
    }

    pub(crate) fn tries(self) -> Vec<u8> {
        [b"t".as_slice(), &self.0].concat()
    }

    pub(crate) fn note(self) -> Vec<u8> {
        [b"n".as_slice(), &self.0].concat()
    }

    /// What the keys of all the recipient's parcels begin with.
    pub(crate) fn parcels(self) -> Vec<u8> {
        [b"x".as_slice(), &self.0].concat()
    }

    pub(crate) fn parcel(self, id: ParcelId) -> Vec<u8> {
        [b"x".as_slice(), &self.0, &id.0].concat()
    }
}

/// What the keys of all parcels begin with.
pub(crate) const PARCELS: &[u8] = b"p";

impl ParcelId {
    pub(crate) fn of(store: &Store, link_id: &[u8; 16]) -> Self {
        Self(store.name_key(Column::Parcel, &[b"link", link_id]))
    }

    pub(crate) fn record(self) -> Vec<u8> {
        [PARCELS, &self.0].concat()
    }

    pub(crate) fn body(self) -> Vec<u8> {
        [b"b".as_slice(), &self.0].concat()
    }

    pub(crate) fn tries(self) -> Vec<u8> {
        [b"t".as_slice(), &self.0].concat()
    }

    /// The parcel whose identifier a key ends with.
    pub(crate) fn from_key(key: &[u8]) -> Result<Self, ParcelError> {
        key.last_chunk().map(|id| Self(*id)).ok_or(ParcelError::Damaged)
    }
}

impl ParcelRecord {
    /// How the parcel stands at `now`.
    pub(crate) fn state(&self, now: u64) -> ParcelState {
        match self.end {
            Some(End::Recalled) => ParcelState::Recalled,
            Some(End::Superseded) => ParcelState::Superseded,
            Some(End::Expired) => ParcelState::Expired,
            None if self.expires <= now => ParcelState::Expired,
            None if self.answered.is_some() => ParcelState::Answered,
            None if self.views > 0 => ParcelState::Opened,
            None => ParcelState::Waiting,
        }
    }

    /// Whether it can still be opened at `now`, given link and code.
    pub(crate) fn check_alive(&self, now: u64) -> Result<(), ParcelError> {
        match self.state(now) {
            ParcelState::Recalled => Err(ParcelError::Recalled),
            ParcelState::Superseded => Err(ParcelError::Superseded),
            ParcelState::Expired => Err(ParcelError::Expired),
            ParcelState::Waiting | ParcelState::Opened | ParcelState::Answered => Ok(()),
        }
    }

    /// Notes an opening.
    pub(crate) fn opened(&mut self, now: u64) {
        self.views = self.views.saturating_add(1);
        self.opened_at.push(now);
        let surplus = self.opened_at.len().saturating_sub(OPENINGS);
        self.opened_at.drain(..surplus);
    }

    pub(crate) fn view(&self, id: ParcelId, tries: Tries, locked: bool, now: u64) -> ParcelView {
        ParcelView {
            id,
            sender: self.sender,
            recipient: self.recipient.clone(),
            created: time(self.created),
            expires: time(self.expires),
            state: self.state(now),
            opened_at: self.opened_at.iter().copied().map(time).collect(),
            views: self.views,
            wrong_codes: tries.wrong,
            locked,
            size: self.size,
        }
    }
}

pub(crate) fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

pub(crate) fn time(millis: u64) -> SystemTime {
    UNIX_EPOCH.checked_add(Duration::from_millis(millis)).unwrap_or(UNIX_EPOCH)
}

pub(crate) fn encode<T: Serialize>(record: &T) -> Vec<u8> {
    record::encode(VERSION, record)
}

pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ParcelError> {
    Ok(record::decode(VERSION, bytes)?)
}

impl From<RecordError> for ParcelError {
    fn from(error: RecordError) -> Self {
        match error {
            RecordError::Version { found, known } => Self::Version { found, known },
            RecordError::Damaged => Self::Damaged,
        }
    }
}

/// Reads a record.
pub(crate) fn read<T: DeserializeOwned>(
    store: &Store,
    key: &[u8],
) -> Result<Option<T>, ParcelError> {
    store.get(Column::Parcel, key)?.map(|bytes| decode(&bytes)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parcel() -> ParcelRecord {
        ParcelRecord {
            sender: AccountId(3),
            recipient: Address::parse("pat@x.test").unwrap(),
            recipient_key: RecipientKey([5; 16]),
            generation: 1,
            link_check: [6; 32],
            created: 1_700_000_000_000,
            expires: 1_702_592_000_000,
            size: 4096,
            opened_at: vec![1_700_000_100_000],
            views: 1,
            answered: None,
            end: Some(End::Recalled),
        }
    }

    /// What version 1 wrote must be read for ever. The recipient's keys have a test of their own in
    /// `wardpost-keys`.
    #[test]
    fn version_1_is_frozen() {
        let frozen = include_bytes!("../testdata/parcel-v1.bin");
        assert_eq!(encode(&parcel()), frozen);
        assert_eq!(decode::<ParcelRecord>(frozen).unwrap(), parcel());
        let tries = Tries { wrong: 4, not_before: 1_700_000_000_000 };
        let frozen = [1, 4, 0x80, 0xd0, 0x95, 0xff, 0xbc, 0x31];
        assert_eq!(encode(&tries), frozen);
        assert_eq!(decode::<Tries>(&frozen).unwrap(), tries);
    }

    #[test]
    fn states_follow_from_the_record() {
        let mut record = parcel();
        assert_eq!(record.state(0), ParcelState::Recalled);
        record.end = None;
        assert_eq!(record.state(record.expires - 1), ParcelState::Opened);
        assert_eq!(record.state(record.expires), ParcelState::Expired);
        record.views = 0;
        assert_eq!(record.state(0), ParcelState::Waiting);
        for n in 0..50 {
            record.opened(n);
        }
        assert_eq!((record.views, record.opened_at.len()), (50, OPENINGS));
        assert_eq!(record.opened_at.last(), Some(&49));
        record.answered = Some(1);
        assert_eq!(record.state(0), ParcelState::Answered);
    }

    #[test]
    fn other_versions_and_damage_are_told_apart() {
        assert!(matches!(
            decode::<Tries>(&[7, 0, 0]),
            Err(ParcelError::Version { found: 7, known: 1 })
        ));
        assert!(matches!(decode::<Tries>(&[]), Err(ParcelError::Damaged)));
        assert!(matches!(decode::<Tries>(&[1]), Err(ParcelError::Damaged)));
    }

    proptest::proptest! {
        #[test]
        fn decoding_anything_never_panics(bytes in proptest::collection::vec(0u8.., 0..200)) {
            let mut versioned = vec![VERSION];
            versioned.extend(&bytes);
            let _ = decode::<ParcelRecord>(&versioned);
            let _ = decode::<Content>(&versioned);
            let _ = decode::<RecipientRecord>(&versioned);
        }
    }
}
