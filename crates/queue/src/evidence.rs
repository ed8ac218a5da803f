//! What was seen of one attempt.

use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::time::SystemTime;
use wardpost_mail::{Reply, TlsGrade};
use wardpost_verdict::PathEvidence;

/// What one attempt for one recipient saw. Kept with the recipient, newest last, bounded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// When the attempt ended.
    #[serde(with = "crate::item::unix_ms")]
    pub at: SystemTime,
    /// The host that was spoken to, or that could not be reached.
    pub host: Option<String>,
    /// Its address.
    pub peer: Option<IpAddr>,
    /// How good the path was; `None` where it never came to a judgement.
    pub grade: Option<TlsGrade>,
    /// The TLS version and suite, e.g. `TLSv1.3 TLS_AES_256_GCM_SHA384`.
    pub tls: Option<String>,
    /// The host's certificate: its SHA-256, issuer and end of validity.
    pub certificate: Option<String>,
    /// Why the grade is not better, in the words of RFC 8460 §4.3 where it has one.
    pub reasons: Vec<String>,
    /// What the host answered.
    pub reply: Option<Reply>,
    /// One line for a person: what happened.
    pub summary: String,
    /// The facts and the judgement in full, where a path was looked at.
    pub path: Option<Box<PathEvidence>>,
}

impl Evidence {
    /// Evidence of something that happened at `at` without a host being spoken to.
    pub fn new(at: SystemTime, summary: impl Into<String>) -> Self {
        Self {
            at,
            host: None,
            peer: None,
            grade: None,
            tls: None,
            certificate: None,
            reasons: Vec::new(),
            reply: None,
            summary: summary.into(),
            path: None,
        }
    }
}
