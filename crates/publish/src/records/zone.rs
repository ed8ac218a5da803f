//! Records as a zone file.

use super::Record;
use std::fmt::Write;
use wardpost_mail::Domain;

/// Most octets of one string of a TXT record (RFC 1035 §3.3).
const MAX_STRING: usize = 255;

/// What [`super::Listing::zone`] says.
pub(super) fn zone_text(domain: &Domain, records: &[Record], notes: &[String]) -> String {
    let mut text = format!(
        "; {domain}: records to publish. The zone's own SOA and NS records are not here.\n\
         ; A time to live of an hour (3600) or less makes roll-overs quick.\n"
    );
    for record in records {
        let inside = Domain::parse(&record.name).is_ok_and(|name| name.is_within(domain));
        let comment = match (record.is_known(), inside) {
            (false, _) => "; fill in: ",
            (true, false) => "; in another zone: ",
            (true, true) => "",
        };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "; {}\n{comment}{}", record.purpose, line(record));
    }
    for note in notes {
        let _ = writeln!(text, "; {note}");
    }
    text
}

/// A record as a zone file has it (RFC 1035 §5.1), without a time to live.
fn line(record: &Record) -> String {
    let value = if record.kind == "TXT" { quoted(&record.value) } else { record.value.clone() };
    format!("{}. {} {value}", record.name, record.kind)
}

/// A text as strings of a TXT record, none longer than they may be; octets other than printable ASCII
/// as their number (RFC 1035 §5.1).
fn quoted(text: &str) -> String {
    let string = |chunk: &[u8]| {
        let mut string = String::from("\"");
        for octet in chunk {
            match octet {
                b'"' | b'\\' => string.extend(['\\', char::from(*octet)]),
                b' '..=b'~' => string.push(char::from(*octet)),
                other => string.push_str(&format!("\\{other:03}")),
            }
        }
        string.push('"');
        string
    };
    if text.is_empty() {
        return string(&[]);
    }
    text.as_bytes().chunks(MAX_STRING).map(string).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::super::{Listing, RecordId};
    use super::*;

    fn record(name: &str, kind: &str, value: &str) -> Record {
        Record {
            id: RecordId::Dkim,
            name: name.to_owned(),
            kind: kind.to_owned(),
            value: value.to_owned(),
            purpose: "what for".to_owned(),
            phase: Default::default(),
        }
    }

    #[test]
    fn records_are_written_as_zone_files_want_them() {
        let long = "x".repeat(300);
        let listing = Listing {
            domain: Domain::parse("clinic.test").unwrap(),
            records: vec![
                record("s._domainkey.clinic.test", "TXT", &long),
                record("clinic.test", "TXT", "a \"b\" \\ \u{e4};"),
                record("clinic.test", "MX", "10 mail.clinic.test."),
                record("_25._tcp.mail.other.test", "TLSA", "3 1 1 00"),
                record("clinic.test", "TXT", ""),
                record("mail.clinic.test", "A", "<the address>"),
            ],
            notes: vec!["Mind the gap.".to_owned()],
        };
        let (first, second) = ("x".repeat(255), "x".repeat(45));
        let zone = listing.zone();
        let lines: Vec<&str> =
            zone.lines().filter(|line| !line.starts_with("; what")).skip(2).collect();
        assert_eq!(
            lines,
            [
                &*format!("s._domainkey.clinic.test. TXT \"{first}\" \"{second}\""),
                r#"clinic.test. TXT "a \"b\" \\ \195\164;""#,
                "clinic.test. MX 10 mail.clinic.test.",
                "; in another zone: _25._tcp.mail.other.test. TLSA 3 1 1 00",
                r#"clinic.test. TXT """#,
                "; fill in: mail.clinic.test. A <the address>",
                "; Mind the gap.",
            ]
        );
        // A provider's form wants the text as it is.
        assert!(listing.to_string().contains(&long));
    }
}
