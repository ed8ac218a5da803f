//! Domains, as shown: for people, who mostly copy values into forms of their provider's web page, and
//! as a zone file.

use serde::{Deserialize, Serialize};
use std::fmt::{self, Write};
use wardpost_mail::Domain;

/// Most octets of one string of a TXT record (RFC 1035 §3.3).
const MAX_STRING: usize = 255;

/// A domain, with what to publish for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainView {
    /// The domain.
    pub domain: Domain,
    /// DNS records to publish.
    pub records: Vec<DnsRecordView>,
    /// What else there is to know or to do, in words.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// A DNS record to publish.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsRecordView {
    /// The name it stands under, without a final dot.
    pub name: String,
    /// Its type.
    pub kind: String,
    /// Its value; of TXT records the text without quotes.
    pub value: String,
    /// What it is for.
    pub purpose: String,
}

impl DnsRecordView {
    /// The record as a zone file has it (RFC 1035 §5.1), without a time to live.
    fn zone_line(&self) -> String {
        let value = if self.kind == "TXT" { quoted(&self.value) } else { self.value.clone() };
        format!("{}. {} {value}", self.name, self.kind)
    }
}

impl DomainView {
    /// The records as a zone file (RFC 1035 §5.1), for the zone of this domain: what does not belong
    /// into it is there as a comment.
    pub fn zone(&self) -> String {
        let mut text = format!(
            "; {}: records to publish. The zone's own SOA, NS and address records are not here.\n\
             ; A time to live of an hour (3600) or less makes roll-overs quick.\n",
            self.domain
        );
        for record in &self.records {
            let inside = Domain::parse(&record.name).is_ok_and(|name| name.is_within(&self.domain));
            let outside = if inside { "" } else { "; in another zone: " };
            // Writing to a String cannot fail.
            let _ = writeln!(text, "; {}\n{outside}{}", record.purpose, record.zone_line());
        }
        for note in &self.notes {
            let _ = writeln!(text, "; {note}");
        }
        text
    }
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

/// For people: the value whole, as a provider's form wants it.
impl fmt::Display for DnsRecordView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.purpose)?;
        writeln!(f, "    {}  {}  {}", self.name, self.kind, self.value)
    }
}

impl fmt::Display for DomainView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}: publish these records in the DNS (--zone prints a zone file)",
            self.domain
        )?;
        self.records.iter().try_for_each(|record| record.fmt(f))?;
        self.notes.iter().try_for_each(|note| writeln!(f, "Note: {note}"))
    }
}

pub(super) fn domains(domains: &[DomainView], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (index, domain) in domains.iter().enumerate() {
        if index > 0 {
            writeln!(f)?;
        }
        write!(f, "{domain}")?;
    }
    Ok(())
}
