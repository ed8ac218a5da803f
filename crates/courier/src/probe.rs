//! Looking at a path without sending mail over it, for `wardpost route explain`.

use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use wardpost_mail::TlsGrade;

/// What was seen on the way to a domain's mail servers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathReport {
    /// The domain.
    pub domain: String,
    /// The grade that was demanded.
    pub floor: TlsGrade,
    /// Every mail exchanger, in the order they are tried.
    pub hosts: Vec<HostReport>,
    /// Whether at least one host reaches the floor.
    pub direct: bool,
    /// What would happen to a message, in one sentence.
    pub summary: String,
}

/// What was seen of one mail exchanger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostReport {
    /// Its MX preference.
    pub preference: u16,
    /// Its name.
    pub host: String,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// How good the path is; `None` when the host could not be reached.
    pub grade: Option<TlsGrade>,
    /// TLS version and suite.
    pub tls: Option<String>,
    /// Why the grade is not better: RFC 8460 §4.3 words, then plain ones.
    pub reasons: Vec<String>,
    /// Why the host could not be reached.
    pub error: Option<String>,
}
