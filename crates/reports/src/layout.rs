//! How everything here is written down: keys, and records behind a version byte.
//!
//! ```text
//! m                                            → Meta
//! t ‖ day ‖ domain                             → TlsDay: counts of TLS sessions with one domain
//! d ‖ day ‖ domain                             → DmarcDay: counts of messages from one domain
//! o ‖ outgoing                                 → Outgoing: a report that is yet to be sent
//! i ‖ kind ‖ trust ‖ day ‖ submitter ‖ report  → a report about us
//! ```
//! `day` counts UTC days since 1970, big-endian, so that the oldest come first. `domain`, `submitter`
//! and `report` are keyed hashes ([`Store::name_key`]); `outgoing` is random. All in `Column::Report`.

use crate::dmarc::{DmarcRow, Published};
use crate::tls::PolicyFound;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use wardpost_mail::Domain;
use wardpost_message::report::ReportKind;
use wardpost_store::record::{self, RecordError};
use wardpost_store::{Column, Store};
use wardpost_verdict::FailureKind;

/// Version of every record here.
const VERSION: u8 = 1;
/// Seconds in a day.
pub(crate) const DAY: u64 = 86_400;

/// Key of [`Meta`].
pub(crate) const META: &[u8] = b"m";
/// What keys of [`TlsDay`] begin with.
pub(crate) const TLS: &[u8] = b"t";
/// What keys of [`DmarcDay`] begin with.
pub(crate) const DMARC: &[u8] = b"d";
/// What keys of [`Outgoing`] begin with.
pub(crate) const OUTGOING: &[u8] = b"o";

/// What is known besides the counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Meta {
    /// When reports were last made before their day was over, Unix seconds: what is counted of the
    /// same day afterwards begins then.
    pub(crate) cut: u64,
}

/// Sessions with one domain on one day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TlsDay {
    pub(crate) domain: Domain,
    /// Where the period begins, Unix seconds.
    pub(crate) begin: u64,
    pub(crate) policies: Vec<PolicyCount>,
}

/// Sessions under one policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PolicyCount {
    pub(crate) policy: PolicyFound,
    pub(crate) success: u32,
    pub(crate) failure: u32,
    pub(crate) rows: Vec<FailureRow>,
}

/// Sessions that failed alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FailureRow {
    pub(crate) kind: FailureKind,
    pub(crate) host: Option<Domain>,
    pub(crate) receiving: Option<IpAddr>,
    pub(crate) sending: Option<IpAddr>,
    /// In words, from the first of them.
    pub(crate) detail: String,
    pub(crate) count: u32,
}

/// Messages from one domain on one day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DmarcDay {
    pub(crate) domain: Domain,
    /// Where the period begins, Unix seconds.
    pub(crate) begin: u64,
    pub(crate) published: Published,
    pub(crate) rows: Vec<(DmarcRow, u32)>,
    /// Messages for which there was no row left.
    pub(crate) beyond: u32,
}

/// A report that is yet to be sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Outgoing {
    pub(crate) kind: ReportKind,
    /// Whom it is about.
    pub(crate) domain: Domain,
    /// Where it goes: an address, or a URL that begins with `https:`.
    pub(crate) to: String,
    pub(crate) id: String,
    /// The period, Unix seconds, the end included.
    pub(crate) begin: u64,
    pub(crate) end: u64,
    /// When it was made, Unix seconds.
    pub(crate) made: u64,
    pub(crate) attempts: u32,
    /// When it is due, Unix seconds.
    pub(crate) due: u64,
    /// The report, compressed with gzip.
    pub(crate) body: Vec<u8>,
}

pub(crate) fn encode<T: Serialize>(record: &T) -> Vec<u8> {
    record::encode(VERSION, record)
}

pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, RecordError> {
    record::decode(VERSION, bytes)
}

/// The key of a domain's counts on a day.
pub(crate) fn day_key(store: &Store, prefix: &[u8], day: u32, domain: &Domain) -> Vec<u8> {
    let name = store.name_key(Column::Report, &[b"domain", domain.as_str().as_bytes()]);
    [prefix, &day.to_be_bytes(), &name].concat()
}

/// The day in a key made by [`day_key`].
pub(crate) fn day_of(key: &[u8]) -> Option<u32> {
    key.get(1..5)?.try_into().ok().map(u32::from_be_bytes)
}

pub(crate) fn outgoing_key(id: &[u8; 16]) -> Vec<u8> {
    [OUTGOING, id].concat()
}

/// What keys of received reports of one kind begin with; `trusted` are those whose sender was proven.
pub(crate) fn received_prefix(kind: ReportKind, trusted: bool) -> Vec<u8> {
    let kind = match kind {
        ReportKind::Tls => b't',
        ReportKind::Dmarc => b'd',
    };
    vec![b'i', kind, u8::from(trusted)]
}

/// What keys of one submitter's reports of one day begin with.
pub(crate) fn submitter_prefix(
    store: &Store,
    kind: ReportKind,
    trusted: bool,
    day: u32,
    submitter: &str,
) -> Vec<u8> {
    let mut key = received_prefix(kind, trusted);
    key.extend(day.to_be_bytes());
    key.extend(&store.name_key(Column::Report, &[b"submitter", submitter.as_bytes()])[..8]);
    key
}

/// The day in the key of a received report.
pub(crate) fn received_day(key: &[u8]) -> Option<u32> {
    key.get(3..7)?.try_into().ok().map(u32::from_be_bytes)
}
