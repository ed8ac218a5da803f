//! A domain's DKIM keys, as shown.

use super::DnsRecordView;
use serde::{Deserialize, Serialize};
use std::fmt;
use wardpost_mail::Domain;

/// A domain's DKIM keys and where they stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DkimView {
    /// The domain.
    pub domain: Domain,
    /// Pairs of keys, oldest first.
    pub pairs: Vec<DkimPairView>,
    /// Their records.
    pub records: Vec<DnsRecordView>,
    /// What to do, in words.
    pub next_step: String,
}

/// Keys that sign together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DkimPairView {
    /// Their selectors.
    pub selectors: Vec<String>,
    /// `waiting`, `signing`, `retired` or `may-be-removed`.
    pub stage: String,
    /// Since when, RFC 3339; absent where it is not known.
    pub since: Option<String>,
    /// Of a waiting pair: since when its records were there at every look.
    pub seen_since: Option<String>,
    /// Of one that signs no more: how long its records are to stay.
    pub until: Option<String>,
}

impl fmt::Display for DkimView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "DKIM keys of {}", self.domain)?;
        for pair in &self.pairs {
            write!(f, "  {:<14} {}", pair.stage, pair.selectors.join(", "))?;
            if let Some(since) = &pair.since {
                write!(f, ", since {since}")?;
            }
            if let Some(seen) = &pair.seen_since {
                write!(f, ", records seen since {seen}")?;
            }
            if let Some(until) = &pair.until {
                write!(f, ", records stay until {until}")?;
            }
            writeln!(f)?;
        }
        writeln!(f, "{}\n", self.next_step)?;
        self.records.iter().try_for_each(|record| record.fmt(f))
    }
}
