//! Domains, as shown.

use serde::{Deserialize, Serialize};
use std::fmt;
use wardpost_mail::Domain;

/// A domain, with what to publish for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainView {
    /// The domain.
    pub domain: Domain,
    /// DNS records to publish.
    pub records: Vec<DnsRecordView>,
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

/// As in a zone file.
impl fmt::Display for DnsRecordView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "; {}", self.purpose)?;
        write!(f, "{}. {} ", self.name, self.kind)?;
        if self.kind != "TXT" {
            return writeln!(f, "{}", self.value);
        }
        // One string of a TXT record holds at most 255 octets (RFC 1035 §3.3); values are ASCII.
        let strings: Vec<String> = self
            .value
            .as_bytes()
            .chunks(255)
            .map(|chunk| format!("\"{}\"", String::from_utf8_lossy(chunk)))
            .collect();
        writeln!(f, "{}", strings.join(" "))
    }
}

impl fmt::Display for DomainView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "; {}: publish these records in the DNS", self.domain)?;
        self.records.iter().try_for_each(|record| record.fmt(f))
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
