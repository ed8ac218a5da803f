//! Records as they are kept: a version byte, then postcard. The store seals each.

use crate::WallError;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use wardpost_mail::Domain;
use wardpost_store::{Column, Store, record};

/// The version that this program writes.
const VERSION: u8 = 1;

/// Visitors: column `report`, this and a keyed hash of the network.
pub(crate) const VISITORS: &[u8] = b"w";
/// Exceptions: column `trust`, this and a keyed hash of whom they are for.
pub(crate) const EXCEPTIONS: &[u8] = b"c";

/// A peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct VisitorRecord {
    pub(crate) peer: IpAddr,
    pub(crate) helo: String,
    pub(crate) sender: Option<Domain>,
    pub(crate) first: i64,
    pub(crate) last: i64,
    pub(crate) refused: u32,
    pub(crate) admitted: u32,
}

/// An exception; `who` as the command line writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ExceptionRecord {
    pub(crate) who: String,
    pub(crate) reason: String,
    pub(crate) made: i64,
    pub(crate) ends: i64,
}

pub(crate) fn encode<T: Serialize>(record: &T) -> Vec<u8> {
    record::encode(VERSION, record)
}

pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, WallError> {
    record::decode(VERSION, bytes).map_err(|_| WallError::Record)
}

pub(crate) fn visitor_key(store: &Store, network: IpAddr) -> Vec<u8> {
    let hash = store.name_key(Column::Report, &[VISITORS, network.to_string().as_bytes()]);
    [VISITORS, &hash].concat()
}

pub(crate) fn exception_key(store: &Store, who: &str) -> Vec<u8> {
    let hash = store.name_key(Column::Trust, &[EXCEPTIONS, who.as_bytes()]);
    [EXCEPTIONS, &hash].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What version 1 wrote must stay readable: these octets never change.
    #[test]
    fn frozen_records() {
        let visitor = VisitorRecord {
            peer: "192.0.2.7".parse().unwrap(),
            helo: "fax".to_owned(),
            sender: Some(Domain::parse("lab.test").unwrap()),
            first: 1,
            last: 2,
            refused: 3,
            admitted: 4,
        };
        let octets = b"\x01\x00\xc0\x00\x02\x07\x03fax\x01\x08lab.test\x02\x04\x03\x04";
        assert_eq!(encode(&visitor), octets);
        assert_eq!(decode::<VisitorRecord>(octets).unwrap(), visitor);
        let exception = ExceptionRecord {
            who: "192.0.2.7".to_owned(),
            reason: "fax".to_owned(),
            made: 1,
            ends: 2,
        };
        let octets = b"\x01\x09192.0.2.7\x03fax\x02\x04";
        assert_eq!(encode(&exception), octets);
        assert_eq!(decode::<ExceptionRecord>(octets).unwrap(), exception);
        assert!(matches!(decode::<ExceptionRecord>(b"\x02"), Err(WallError::Record)));
    }
}
