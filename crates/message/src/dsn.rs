//! Delivery status notifications (RFC 3461, 3464, 6522) that return no content.

use wardpost_mail::{Address, Domain, EnhancedStatus, Reply};

/// What happened to a message, for one recipient (RFC 3464 §2.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Given up.
    Failed,
    /// Not delivered yet; still tried.
    Delayed,
    /// In the recipient's mailbox, or waiting for pickup.
    Delivered,
    /// Handed to a server that does not report success itself.
    Relayed,
}

/// A report for the sender of a message.
#[derive(Debug, Clone)]
pub struct Report<'a> {
    /// Our host name (Reporting-MTA).
    pub reporting_mta: &'a Domain,
    /// Who the report is from, such as `postmaster@…`.
    pub from: &'a Address,
    /// The sender who is told.
    pub to: &'a Address,
    /// The message the report is about; only its harmless header fields are returned.
    pub original: &'a [u8],
    /// ENVID (RFC 3461 §4.4).
    pub envelope_id: Option<&'a str>,
    /// When the message was taken, in seconds since 1970 UTC.
    pub arrived: i64,
    /// Now.
    pub now: i64,
    /// One entry a recipient, all with the same action, at least one.
    pub recipients: &'a [RecipientStatus<'a>],
    /// What happened.
    pub action: Action,
}

/// One recipient in a report.
#[derive(Debug, Clone)]
pub struct RecipientStatus<'a> {
    /// Final-Recipient.
    pub address: &'a Address,
    /// Original-Recipient in wire form, `rfc822;a@b.test` (ORCPT).
    pub original: Option<&'a str>,
    /// Status.
    pub status: EnhancedStatus,
    /// The server that answered (Remote-MTA).
    pub remote_mta: Option<&'a str>,
    /// What it answered (Diagnostic-Code).
    pub diagnostic: Option<&'a Reply>,
    /// What happened and what to do next, in plain words, where the status alone does not say it.
    pub explanation: Option<&'a str>,
    /// Until when delivery is tried (Will-Retry-Until), in seconds since 1970 UTC.
    pub retry_until: Option<i64>,
}

/// Writes the report as a mail. It goes out with a null reverse-path.
pub fn build(report: &Report<'_>) -> Vec<u8> {
    let _ = report;
    unimplemented!()
}
