//! How the queue is written down: keys, and records behind a version byte.
//!
//! ```text
//! n                      → the first identifier not yet reserved
//! i ‖ id                 → ItemRecord: envelope, kind, sender, time; never changes
//! m ‖ id                 → the message's octets
//! r ‖ id ‖ recipient     → RecipientRecord: route and state; small, rewritten at each attempt
//! h ‖ id                 → HistoryRecord: what an item was and what every attempt saw, once it ended
//! ```
//! Identifiers are big-endian, so that a scan goes oldest first. All in `Column::Queue`.

use crate::item::unix_ms;
use crate::{Evidence, Kind, NewItem, QueueError};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::time::SystemTime;
use wardpost_mail::{AccountId, Envelope, QueueId};
use wardpost_policy::Route;
use wardpost_store::record::{self, RecordError};
use wardpost_store::{Batch, Column};

/// Version of every record here but recipients and history.
const VERSION: u8 = 1;
/// Version of recipients and history. Version 1 of recipients had no paths in its evidence.
const RECIPIENT_VERSION: u8 = 2;
/// Attempts whose evidence is kept with a recipient.
const HISTORY: usize = 20;

/// What does not change about an item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ItemRecord {
    pub(crate) kind: Kind,
    pub(crate) sender: Option<AccountId>,
    pub(crate) envelope: Envelope,
    #[serde(with = "unix_ms")]
    pub(crate) created: SystemTime,
    pub(crate) size: u64,
}

/// What changes about one recipient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RecipientRecord {
    pub(crate) route: Route,
    pub(crate) state: State,
    pub(crate) attempts: u32,
    pub(crate) delay_reported: bool,
    pub(crate) history: Vec<Evidence>,
}

/// How a recipient stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum State {
    /// To be tried at this time (milliseconds since 1970).
    Waiting(u64),
    Held,
    Delivered,
    Parcel,
    Failed,
}

impl State {
    pub(crate) fn has_ended(self) -> bool {
        !matches!(self, Self::Waiting(_) | Self::Held)
    }
}

impl RecipientRecord {
    pub(crate) fn new(route: Route, now_ms: u64) -> Self {
        let state = if route == Route::Held { State::Held } else { State::Waiting(now_ms) };
        Self { route, state, attempts: 0, delay_reported: false, history: Vec::new() }
    }

    /// Notes an attempt and how the recipient stands after it.
    pub(crate) fn attempted(&mut self, evidence: Evidence, state: State) {
        self.attempts = self.attempts.saturating_add(1);
        self.history.push(evidence);
        let surplus = self.history.len().saturating_sub(HISTORY);
        self.history.drain(..surplus);
        self.state = state;
    }
}

pub(crate) fn encode<T: Serialize>(record: &T) -> Vec<u8> {
    record::encode(VERSION, record)
}

pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, QueueError> {
    Ok(record::decode(VERSION, bytes)?)
}

/// What is kept of an item that has ended: its evidence, without the message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HistoryRecord {
    pub(crate) item: ItemRecord,
    /// By their place in the envelope.
    pub(crate) recipients: Vec<(u32, RecipientRecord)>,
    #[serde(with = "unix_ms")]
    pub(crate) ended: SystemTime,
}

/// Recipients as version 1 had them.
mod v1 {
    use super::{RecipientRecord, Route, State, unix_ms};
    use crate::Evidence;
    use serde::Deserialize;
    use std::net::IpAddr;
    use std::time::SystemTime;
    use wardpost_mail::{Reply, TlsGrade};

    #[derive(Deserialize)]
    pub(super) struct Recipient {
        route: Route,
        state: State,
        attempts: u32,
        delay_reported: bool,
        history: Vec<Seen>,
    }

    #[derive(Deserialize)]
    struct Seen {
        #[serde(with = "unix_ms")]
        at: SystemTime,
        host: Option<String>,
        peer: Option<IpAddr>,
        grade: Option<TlsGrade>,
        tls: Option<String>,
        certificate: Option<String>,
        reasons: Vec<String>,
        reply: Option<Reply>,
        summary: String,
    }

    impl From<Recipient> for RecipientRecord {
        fn from(old: Recipient) -> Self {
            Self {
                route: old.route,
                state: old.state,
                attempts: old.attempts,
                delay_reported: old.delay_reported,
                history: old.history.into_iter().map(Evidence::from).collect(),
            }
        }
    }

    impl From<Seen> for Evidence {
        fn from(old: Seen) -> Self {
            Self {
                at: old.at,
                host: old.host,
                peer: old.peer,
                grade: old.grade,
                tls: old.tls,
                certificate: old.certificate,
                reasons: old.reasons,
                reply: old.reply,
                summary: old.summary,
                path: None,
            }
        }
    }
}

pub(crate) fn encode_recipient(record: &RecipientRecord) -> Vec<u8> {
    record::encode(RECIPIENT_VERSION, record)
}

pub(crate) fn decode_recipient(bytes: &[u8]) -> Result<RecipientRecord, QueueError> {
    if bytes.first() == Some(&1) {
        return Ok(record::decode::<v1::Recipient>(1, bytes)?.into());
    }
    Ok(record::decode(RECIPIENT_VERSION, bytes)?)
}

pub(crate) fn encode_history(history: &HistoryRecord) -> Vec<u8> {
    record::encode(RECIPIENT_VERSION, history)
}

pub(crate) fn decode_history(bytes: &[u8]) -> Result<HistoryRecord, QueueError> {
    Ok(record::decode(RECIPIENT_VERSION, bytes)?)
}

impl From<RecordError> for QueueError {
    fn from(error: RecordError) -> Self {
        match error {
            RecordError::Version { found, known } => Self::Version { found, known },
            RecordError::Damaged => Self::Damaged,
        }
    }
}

pub(crate) const COUNTER_KEY: &[u8] = b"n";
pub(crate) const ITEM_PREFIX: &[u8] = b"i";
pub(crate) const HISTORY_PREFIX: &[u8] = b"h";

pub(crate) fn history_key(id: QueueId) -> Vec<u8> {
    [HISTORY_PREFIX, &id.0.to_be_bytes()].concat()
}

/// The item a key of the `h` family names.
pub(crate) fn history_id(key: &[u8]) -> Result<QueueId, QueueError> {
    let id = key.strip_prefix(HISTORY_PREFIX).and_then(|id| id.try_into().ok());
    id.map(u64::from_be_bytes).map(QueueId).ok_or(QueueError::Damaged)
}

pub(crate) fn item_key(id: QueueId) -> Vec<u8> {
    [ITEM_PREFIX, &id.0.to_be_bytes()].concat()
}

pub(crate) fn message_key(id: QueueId) -> Vec<u8> {
    [b"m".as_slice(), &id.0.to_be_bytes()].concat()
}

/// What all recipients' keys of an item begin with.
pub(crate) fn recipients_prefix(id: QueueId) -> Vec<u8> {
    [b"r".as_slice(), &id.0.to_be_bytes()].concat()
}

pub(crate) fn recipient_key(id: QueueId, index: u32) -> Vec<u8> {
    [b"r".as_slice(), &id.0.to_be_bytes(), &index.to_be_bytes()].concat()
}

/// The item a key of the `i` family names.
pub(crate) fn item_id(key: &[u8]) -> Result<QueueId, QueueError> {
    let id = key.strip_prefix(ITEM_PREFIX).and_then(|id| id.try_into().ok());
    id.map(u64::from_be_bytes).map(QueueId).ok_or(QueueError::Damaged)
}

/// The recipient a key of the `r` family names.
pub(crate) fn recipient_index(key: &[u8]) -> Result<u32, QueueError> {
    let index = key.get(9..).and_then(|index| index.try_into().ok());
    index.map(u32::from_be_bytes).ok_or(QueueError::Damaged)
}

/// Refuses what the queue cannot carry.
pub(crate) fn check(item: &NewItem) -> Result<(), QueueError> {
    if item.routes.is_empty() || item.routes.len() != item.envelope.to.len() {
        return Err(QueueError::Routes);
    }
    if item.routes.iter().any(|route| matches!(route, Route::Refused { .. })) {
        return Err(QueueError::Refused);
    }
    Ok(())
}

/// Adds all records of a new item to a batch.
pub(crate) fn put_item(
    batch: &mut Batch,
    id: QueueId,
    item: &NewItem,
    now: SystemTime,
) -> Result<(), QueueError> {
    let record = ItemRecord {
        kind: item.kind,
        sender: item.sender,
        envelope: item.envelope.clone(),
        created: now,
        size: item.message.len() as u64,
    };
    batch.put(Column::Queue, item_key(id), encode(&record));
    batch.put(Column::Queue, message_key(id), &item.message);
    for (index, route) in (0..).zip(&item.routes) {
        let record = RecipientRecord::new(route.clone(), unix_ms::of(now));
        batch.put(Column::Queue, recipient_key(id, index), encode_recipient(&record));
    }
    Ok(())
}

/// Adds the removal of all records of an item to a batch.
pub(crate) fn delete_item(batch: &mut Batch, id: QueueId, recipients: u32) {
    batch.delete(Column::Queue, item_key(id)).delete(Column::Queue, message_key(id));
    for index in 0..recipients {
        batch.delete(Column::Queue, recipient_key(id, index));
    }
}

/// Puts an item's history in the place of all its other records.
pub(crate) fn end_item(batch: &mut Batch, id: QueueId, history: &HistoryRecord) {
    let recipients = u32::try_from(history.item.envelope.to.len()).unwrap_or(u32::MAX);
    delete_item(batch, id, recipients);
    batch.put(Column::Queue, history_key(id), encode_history(history));
}

#[cfg(test)]
mod tests {
    use super::*;
    use wardpost_mail::{Address, EnhancedStatus, Reply, ReversePath, TlsGrade};
    use wardpost_verdict::{
        AddressChain, Dnssec, Floor, FloorSource, LookupFailure, Observation, PathEvidence,
        PathFacts, Published, Roots, StsFacts, StsPolicy, TlsaAnswer, grade,
    };

    fn item() -> ItemRecord {
        let from = ReversePath::Address(Address::parse("dana@clinic.test").unwrap());
        let mut envelope = Envelope::new(from, [Address::parse("p@x.test").unwrap()]);
        envelope.envid = Some("e".into());
        ItemRecord {
            kind: Kind::Notice,
            sender: Some(AccountId(7)),
            envelope,
            created: unix_ms::time(1_700_000_000_123),
            size: 300,
        }
    }

    fn recipient() -> RecipientRecord {
        let mut record =
            RecipientRecord::new(Route::Direct { floor: TlsGrade::T3 }, 1_700_000_000_000);
        let mut evidence = Evidence::new(unix_ms::time(5), "busy");
        evidence.host = Some("mx.x.test".into());
        evidence.peer = Some("192.0.2.1".parse().unwrap());
        evidence.grade = Some(TlsGrade::T4);
        evidence.reply = Some(Reply::new(451, EnhancedStatus::new(4, 3, 0), "later"));
        record.attempted(evidence, State::Waiting(1_700_000_060_000));
        record
    }

    /// What version 1 wrote must be read for ever.
    #[test]
    fn version_1_is_frozen() {
        let frozen_item = include_bytes!("../testdata/item-v1.bin");
        assert_eq!(encode(&item()), frozen_item);
        assert_eq!(decode::<ItemRecord>(frozen_item).unwrap(), item());
        let frozen_recipient = include_bytes!("../testdata/recipient-v1.bin");
        assert_eq!(decode_recipient(frozen_recipient).unwrap(), recipient());
    }

    /// What version 2 wrote must be read for ever.
    #[test]
    fn version_2_is_frozen() {
        let mut recipient = recipient();
        recipient.history[0].path = Some(Box::new(path()));
        let frozen = include_bytes!("../testdata/recipient-v2.bin");
        assert_eq!(encode_recipient(&recipient), frozen);
        assert_eq!(decode_recipient(frozen).unwrap(), recipient);
        let history = HistoryRecord {
            item: item(),
            recipients: vec![(0, recipient)],
            ended: unix_ms::time(1_700_000_100_000),
        };
        let frozen = include_bytes!("../testdata/history-v2.bin");
        assert_eq!(encode_history(&history), frozen);
        assert_eq!(decode_history(frozen).unwrap(), history);
    }

    fn path() -> PathEvidence {
        let domain = |text| wardpost_mail::Domain::parse(text).unwrap();
        let (host, base) = (domain("mx.x.test"), domain("mx.y.test"));
        let failure = Err(LookupFailure::Bogus);
        let tlsa = "3 1 1 00ff".parse().unwrap();
        let policy = b"version: STSv1\nmode: enforce\nmx: *.x.test\nmax_age: 86400";
        let facts = PathFacts {
            next_hop: domain("x.test"),
            next_hop_canonical: None,
            host: host.clone(),
            mx: Ok(Dnssec::Secure),
            address: Ok(AddressChain {
                initial: Dnssec::Secure,
                whole: Dnssec::Insecure,
                canonical: base.clone(),
            }),
            tlsa: vec![
                TlsaAnswer { base, records: Ok((vec![tlsa], Dnssec::Secure)) },
                TlsaAnswer { base: host, records: failure },
            ],
            sts: StsFacts {
                policy: Some((
                    StsPolicy::parse(policy).unwrap(),
                    std::time::Duration::from_secs(60),
                )),
                ..StsFacts::default()
            },
        };
        let floor = (Floor::new(TlsGrade::T4), FloorSource::Published(Published::MtaSts));
        let seen = Observation::NotOffered;
        let verdict = grade(&facts.host, &seen, &Roots::new(), SystemTime::UNIX_EPOCH);
        PathEvidence::of(&facts).judged(&verdict, floor)
    }

    #[test]
    fn other_versions_and_damage_are_told_apart() {
        assert!(matches!(
            decode::<ItemRecord>(&[2, 0]),
            Err(QueueError::Version { found: 2, known: 1 })
        ));
        for damaged in [&[][..], &[1], &[1, 0xff, 0xff]] {
            assert!(matches!(decode::<ItemRecord>(damaged), Err(QueueError::Damaged)));
        }
    }

    #[test]
    fn history_is_bounded_and_keeps_the_newest() {
        let mut record = RecipientRecord::new(Route::Local, 0);
        for attempt in 1..=50 {
            record.attempted(Evidence::new(unix_ms::time(attempt), ""), State::Waiting(0));
        }
        assert_eq!(record.attempts, 50);
        assert_eq!(record.history.len(), HISTORY);
        assert_eq!(unix_ms::of(record.history[HISTORY - 1].at), 50);
    }

    #[test]
    fn keys_are_read_back() {
        let id = QueueId(0x0102_0304_0506_0708);
        assert_eq!(item_id(&item_key(id)).unwrap(), id);
        assert_eq!(recipient_index(&recipient_key(id, 77)).unwrap(), 77);
        assert!(recipient_key(id, 3).starts_with(&recipients_prefix(id)));
        assert!(item_id(b"ixyz").is_err());
        assert!(recipient_index(b"r").is_err());
    }

    proptest::proptest! {
        #[test]
        fn decoding_anything_never_panics(bytes in proptest::collection::vec(0u8.., 0..200)) {
            let _ = decode::<ItemRecord>(&bytes);
            let mut versioned = vec![VERSION];
            versioned.extend(&bytes);
            let _ = decode::<ItemRecord>(&versioned);
            for version in [1, RECIPIENT_VERSION] {
                versioned[0] = version;
                let _ = decode_recipient(&versioned);
                let _ = decode_history(&versioned);
            }
        }
    }
}
