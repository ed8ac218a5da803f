//! The JSON of TLS reports (RFC 8460 §4.4), written and read.
//!
//! mail-auth has types for it too. They write `null` for what is absent, which §4.4 does not know, and
//! they do not read the RFC's own example, whose `mx-host` is a text (Appendix B) where the grammar has a
//! list. What a report may cost to read is bounded here besides.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use std::net::IpAddr;
use thiserror::Error;

/// Objects in one report at most: each costs memory, however short it is.
const MAX_OBJECTS: usize = 50_000;

/// A text is no TLS report.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum JsonError {
    /// It is no JSON, or not of that form. No text of the report is in here.
    #[error("not a TLS report (line {line}, column {column})")]
    Form {
        /// Where.
        line: usize,
        /// Where.
        column: usize,
    },
    /// It has more objects than any report needs.
    #[error("the report has too many entries")]
    TooMany,
}

/// A report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct TlsReport {
    /// Who reports.
    #[serde(default)]
    pub organization_name: String,
    /// The period.
    pub date_range: DateRange,
    /// Whom to ask about it.
    #[serde(default)]
    pub contact_info: String,
    /// Its name, unique with its reporter.
    #[serde(default)]
    pub report_id: String,
    /// What was seen, one entry a policy.
    #[serde(default)]
    pub policies: Vec<Policy>,
}

/// A period of UTC time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct DateRange {
    /// Its first second.
    #[serde(with = "time")]
    pub start_datetime: Timestamp,
    /// Its last second.
    #[serde(with = "time")]
    pub end_datetime: Timestamp,
}

/// What was seen under one policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Policy {
    /// The policy.
    pub policy: PolicyDetails,
    /// Sessions.
    pub summary: Summary,
    /// Those that failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failure_details: Vec<FailureDetails>,
}

/// A policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PolicyDetails {
    /// `tlsa`, `sts` or `no-policy-found`.
    pub policy_type: String,
    /// Its lines or records.
    #[serde(default, deserialize_with = "texts", skip_serializing_if = "Vec::is_empty")]
    pub policy_string: Vec<String>,
    /// Whose it is.
    #[serde(default)]
    pub policy_domain: String,
    /// The hosts an MTA-STS policy names.
    #[serde(default, deserialize_with = "texts", skip_serializing_if = "Vec::is_empty")]
    pub mx_host: Vec<String>,
}

/// Sessions under a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Summary {
    /// Without fault.
    #[serde(default)]
    pub total_successful_session_count: u64,
    /// With one.
    #[serde(default)]
    pub total_failure_session_count: u64,
}

/// Sessions that failed alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct FailureDetails {
    /// The kind, in the words of §4.3.
    pub result_type: String,
    /// The reporter's address.
    #[serde(default, deserialize_with = "address", skip_serializing_if = "Option::is_none")]
    pub sending_mta_ip: Option<IpAddr>,
    /// The mail exchanger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receiving_mx_hostname: Option<String>,
    /// What it called itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receiving_mx_helo: Option<String>,
    /// Its address.
    #[serde(default, deserialize_with = "address", skip_serializing_if = "Option::is_none")]
    pub receiving_ip: Option<IpAddr>,
    /// How many.
    #[serde(default)]
    pub failed_session_count: u64,
    /// Where to read more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub additional_information: Option<String>,
    /// What exactly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_reason_code: Option<String>,
}

impl TlsReport {
    /// Reads a report.
    ///
    /// # Errors
    /// [`JsonError`].
    pub fn parse(json: &[u8]) -> Result<Self, JsonError> {
        if memchr::memchr_iter(b'{', json).count() > MAX_OBJECTS {
            return Err(JsonError::TooMany);
        }
        // serde_json bounds nesting itself. Its words may quote the report, so only the place is told.
        serde_json::from_slice(json)
            .map_err(|error| JsonError::Form { line: error.line(), column: error.column() })
    }

    /// Writes it.
    pub fn to_json(&self) -> Vec<u8> {
        // Infallible: maps have text keys only, and writing to memory does not fail.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Texts {
    One(String),
    Many(Vec<String>),
}

/// A text, several, or null.
fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Ok(match Option::<Texts>::deserialize(deserializer)? {
        None => Vec::new(),
        Some(Texts::One(text)) => vec![text],
        Some(Texts::Many(texts)) => texts,
    })
}

/// An address; what is none is taken for absent, since some write host names there.
fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<IpAddr>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.and_then(|text| text.parse().ok()))
}

/// Times as RFC 3339 writes them.
mod time {
    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(time: &Timestamp, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(time)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Timestamp, D::Error> {
        String::deserialize(d)?.parse().map_err(|_| D::Error::custom("no time"))
    }
}
