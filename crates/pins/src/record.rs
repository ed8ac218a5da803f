//! Rules as they are kept: a version byte, then postcard. The store seals each.

use crate::error::PinsError;
use crate::pattern::Pattern;
use crate::pin::{Login, Pin, Smarthost, trust};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use wardpost_mail::{Domain, Secret, TlsGrade};
use wardpost_store::{Column, Store, record};
use wardpost_verdict::{Fingerprint, Floor};

/// The version that this program writes.
const VERSION: u8 = 1;

/// Rules: this and a keyed hash of the pattern.
pub(crate) const PINS: &[u8] = b"p";

/// The key of a rule.
pub(crate) fn key(store: &Store, pattern: &Pattern) -> Vec<u8> {
    let hash = store.name_key(Column::Trust, &[PINS, pattern.to_string().as_bytes()]);
    [PINS, &hash].concat()
}

#[derive(Serialize, Deserialize)]
struct PinRecord {
    pattern: String,
    floor: Option<TlsGrade>,
    pickup: bool,
    certificates: Vec<[u8; 32]>,
    /// In DER.
    authorities: Vec<Vec<u8>>,
    smarthost: Option<SmarthostRecord>,
    reason: String,
    set_by: String,
    set_at: i64,
    expires: Option<i64>,
}

#[derive(Serialize, Deserialize)]
struct SmarthostRecord {
    host: Domain,
    port: u16,
    /// User name and password; sealed by the store like every value.
    login: Option<(String, String)>,
    trusted_onward: bool,
}

/// Writes a rule.
pub(crate) fn encode(pin: &Pin) -> Vec<u8> {
    let smarthost = pin.smarthost.as_ref().map(|smarthost| SmarthostRecord {
        host: smarthost.host.clone(),
        port: smarthost.port,
        login: smarthost
            .login
            .as_ref()
            .map(|login| (login.user.clone(), login.password.expose().clone())),
        trusted_onward: smarthost.trusted_onward,
    });
    let fields = PinRecord {
        pattern: pin.pattern.to_string(),
        floor: pin.floor.map(Floor::grade),
        pickup: pin.pickup,
        certificates: pin.certificates.iter().map(|one| *one.octets()).collect(),
        authorities: pin.authorities.clone(),
        smarthost,
        reason: pin.reason.clone(),
        set_by: pin.set_by.clone(),
        set_at: pin.set_at,
        expires: pin.expires,
    };
    record::encode(VERSION, &fields)
}

/// Reads a rule.
pub(crate) fn decode(bytes: &[u8]) -> Result<Pin, PinsError> {
    let fields: PinRecord = record::decode(VERSION, bytes).map_err(|_| PinsError::Record)?;
    let certificates: Vec<Fingerprint> = fields.certificates.into_iter().map(Into::into).collect();
    let trust = trust(&certificates, &fields.authorities).map_err(|_| PinsError::Record)?;
    let smarthost = fields.smarthost.map(|smarthost| Smarthost {
        host: smarthost.host,
        port: smarthost.port,
        login: smarthost
            .login
            .map(|(user, password)| Login { user, password: Secret::new(password) }),
        trusted_onward: smarthost.trusted_onward,
    });
    Ok(Pin {
        pattern: fields.pattern.parse().map_err(|_| PinsError::Record)?,
        floor: fields.floor.map(Floor::new),
        pickup: fields.pickup,
        certificates,
        authorities: fields.authorities,
        trust: Arc::new(trust),
        smarthost,
        reason: fields.reason,
        set_by: fields.set_by,
        set_at: fields.set_at,
        expires: fields.expires,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Bytes that version 1 wrote. If this fails, old rules would not open: write a migration.
    const FROZEN: &[u8] = b"\x01\x0d*.lab.example\x01\x03\x00\
        \x01\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\
        \x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\
        \x00\x01\x0drelay.example\xcb\x04\x01\x01u\x02pw\x01\x03BAA\x04root\
        \xd0\x0f\x01\x80\x10";

    #[test]
    fn version_1_records_still_open() {
        let pin = decode(FROZEN).unwrap();
        assert_eq!(pin.pattern.to_string(), "*.lab.example");
        assert_eq!(pin.floor, Some(Floor::new(TlsGrade::T3)));
        assert!(!pin.pickup);
        assert_eq!(pin.certificates, [Fingerprint::from([7; 32])]);
        let smarthost = pin.smarthost.as_ref().unwrap();
        assert_eq!((smarthost.host.as_str(), smarthost.port), ("relay.example", 587));
        let login = smarthost.login.as_ref().unwrap();
        assert_eq!((login.user.as_str(), login.password.expose().as_str()), ("u", "pw"));
        assert!(smarthost.trusted_onward);
        assert_eq!((pin.reason.as_str(), pin.set_by.as_str()), ("BAA", "root"));
        assert_eq!((pin.set_at, pin.expires), (1000, Some(1024)));
        assert_eq!(encode(&pin), FROZEN);
    }

    #[test]
    fn another_version_and_nonsense_are_refused() {
        for bytes in [&b""[..], b"\x02\x01*", b"\x01\x03a b\x00\x00\x00\x00\x00\x00\x01r\x00\x00"] {
            assert!(matches!(decode(bytes), Err(PinsError::Record)));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_decode_or_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&[&[VERSION], bytes.as_slice()].concat());
        }
    }
}
