//! Local parts that every domain of ours has for machines to write to. What comes to them is read by
//! the program, not delivered to a person; the records that we publish name them, so both sides take
//! the names from here.

/// Takes TLS reports about us (`rua` of the `_smtp._tls` record, RFC 8460 §3).
pub const TLS_REPORTS: &str = "tls-reports";
/// Takes DMARC aggregate reports about us (`rua` of the `_dmarc` record, RFC 9989 §4.7, RFC 9990).
pub const DMARC_REPORTS: &str = "dmarc-reports";
