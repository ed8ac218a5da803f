//! The bytes of each record, so that no version reads another's wrongly.

use super::*;
use crate::layout::{DmarcDay, FailureRow, Meta, Outgoing, PolicyCount, TlsDay, decode, encode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;

fn frozen<T: Serialize + DeserializeOwned + PartialEq + Debug>(record: &T, bytes: &[u8]) {
    assert_eq!(encode(record), bytes, "{}", encode(record).escape_ascii());
    assert_eq!(&decode::<T>(bytes).unwrap(), record);
}

#[test]
fn counts_have_these_bytes() {
    frozen(&Meta { cut: 300 }, b"\x01\xac\x02");
    let tls = TlsDay {
        domain: domain("l.test"),
        begin: 1,
        policies: vec![PolicyCount {
            policy: PolicyFound {
                kind: PolicyType::Sts,
                lines: vec!["a".into()],
                mx: vec!["m".into()],
            },
            success: 2,
            failure: 3,
            rows: vec![FailureRow {
                kind: FailureKind::CertificateExpired,
                host: Some(domain("m.test")),
                receiving: Some([1, 2, 3, 4].into()),
                sending: None,
                detail: "d".into(),
                count: 4,
            }],
        }],
    };
    frozen(
        &tls,
        b"\x01\x06l.test\x01\x01\x01\x01\x01a\x01\x01m\x02\x03\x01\x02\x01\x06m.test\x01\x00\x01\x02\x03\x04\x00\x01d\x04",
    );
    let judged = judged("l.test", "1.2.3.4", true);
    let dmarc = DmarcDay {
        domain: domain("l.test"),
        begin: 1,
        published: judged.published,
        rows: vec![(judged.row, 5)],
        beyond: 6,
    };
    frozen(
        &dmarc,
        b"\x01\x06l.test\x01\x02\x01\x00\x00\x00\x00\x01\x06l.test\x01\x0bbounce.test\x00\x01\x02\x03\x04\x01\x00\x01\x00\x01\x06l.test\x02s1\x01\x0bbounce.test\x00\x03\x05\x06",
    );
}

#[test]
fn reports_have_these_bytes() {
    let outgoing = Outgoing {
        kind: ReportKind::Dmarc,
        domain: domain("l.test"),
        to: "a@l.test".into(),
        id: "i".into(),
        begin: 1,
        end: 2,
        made: 3,
        attempts: 4,
        due: 5,
        body: vec![6, 7],
    };
    frozen(&outgoing, b"\x01\x01\x06l.test\x08a@l.test\x01i\x01\x02\x03\x04\x05\x02\x06\x07");
    let origin = Origin {
        received: 1,
        organization: "O".into(),
        submitter: "s".into(),
        trusted: true,
        id: "i".into(),
        begin: 2,
        end: 3,
    };
    let tls = TlsReceived {
        origin: origin.clone(),
        policies: vec![PolicySeen {
            kind: "sts".into(),
            domain: "d".into(),
            success: 4,
            failure: 5,
            failures: vec![FailureSeen {
                kind: "other".into(),
                count: 6,
                sending: None,
                host: Some("h".into()),
                reason: None,
            }],
        }],
    };
    frozen(&tls, b"\x01\x01\x01O\x01s\x01\x01i\x02\x03\x01\x03sts\x01d\x04\x05\x01\x05other\x06\x00\x01\x01h\x00");
    let dmarc = DmarcReceived {
        origin,
        domain: "d".into(),
        rows: vec![SourceSeen {
            source: Some([1, 2, 3, 4].into()),
            count: 4,
            dkim: true,
            spf: false,
            disposition: "none".into(),
            header_from: "f".into(),
            signers: vec!["g".into()],
        }],
        beyond_pass: 5,
        beyond_fail: 6,
    };
    frozen(
        &dmarc,
        b"\x01\x01\x01O\x01s\x01\x01i\x02\x03\x01d\x01\x01\x00\x01\x02\x03\x04\x04\x01\x00\x04none\x01f\x01\x01g\x05\x06",
    );
}
