//! Delivery status notifications (RFC 3461, 3464, 6522) that return no content.
//!
//! A report travels by mail itself, perhaps read on a phone in a waiting room. It therefore says who
//! was not reached and why, and returns of the original only what identifies it to the sender's mail
//! program: From, Date and Message-ID. Never the Subject, never the body.

use crate::decode::without_controls;
use crate::headers;
use crate::reply::{message_ids, with_crlf};
use mail_builder::MessageBuilder;
use mail_builder::headers::address::Address as Mailbox;
use mail_builder::headers::content_type::ContentType;
use mail_builder::headers::raw::Raw;
use mail_builder::mime::MimePart;
use std::fmt::Write;
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
    let utf8 = report.recipients.iter().any(|r| r.address.needs_smtputf8());
    let status = status_part(report);
    // RFC 6533 §3: addresses beyond ASCII need the "global" forms.
    let (status_type, encoding) = if utf8 {
        ("message/global-delivery-status", "8bit")
    } else {
        ("message/delivery-status", "7bit")
    };
    let body = MimePart::new(
        ContentType::new("multipart/report").attribute("report-type", "delivery-status"),
        vec![
            MimePart::new("text/plain", with_crlf(&human_text(report))),
            MimePart::new(ContentType::new(status_type), status.into_bytes())
                .transfer_encoding(encoding),
            MimePart::new(
                ContentType::new("text/rfc822-headers"),
                returned_headers(report.original).into_bytes(),
            )
            .transfer_encoding("7bit"),
        ],
    );
    let mut mail = MessageBuilder::new()
        .from(Mailbox::new_address(Some("Mail delivery"), report.from.to_string()))
        .to(Mailbox::new_address(None::<&str>, report.to.to_string()))
        .subject(subject(report.action))
        .date(report.now)
        .header("Message-ID", Raw::new(headers::new_message_id(report.reporting_mta)))
        .header("Auto-Submitted", Raw::new("auto-replied"));
    if let Some(id) = original_id(report.original) {
        mail = mail.header("In-Reply-To", Raw::new(id.clone())).header("References", Raw::new(id));
    }
    let mut out = Vec::new();
    mail.body(body).serialize(&mut out);
    out
}

fn subject(action: Action) -> &'static str {
    match action {
        Action::Failed => "Your message was not delivered",
        Action::Delayed => "Your message is delayed",
        Action::Delivered => "Your message was delivered",
        Action::Relayed => "Your message was handed on",
    }
}

fn original_id(original: &[u8]) -> Option<String> {
    message_ids(&headers::get(original, "Message-ID")?).pop()
}

/// The part for people.
fn human_text(report: &Report<'_>) -> String {
    let mut out = match headers::get(report.original, "Date") {
        Some(date) => format!("This is about the message you sent on {}.\n\n", ascii(&date, 60)),
        None => "This is about a message you sent.\n\n".to_owned(),
    };
    out.push_str(match report.action {
        Action::Failed => "It was NOT delivered to:\n",
        Action::Delayed => {
            "It has not yet been delivered to the people below. We keep trying; you need not send \
             it again.\n"
        }
        Action::Delivered => "It was delivered to:\n",
        Action::Relayed => {
            "It was handed to the mail server of the people below. That server does not report \
             whether the message reached the mailbox.\n"
        }
    });
    for recipient in report.recipients {
        let _ = write!(out, "\n  {}\n", recipient.address);
        if matches!(report.action, Action::Failed | Action::Delayed) {
            write_reason(&mut out, recipient);
        }
    }
    if report.action == Action::Failed {
        out.push_str(
            "\nNothing of your message is repeated here. You find it in your Sent mailbox.\n",
        );
    }
    out
}

fn write_reason(out: &mut String, recipient: &RecipientStatus<'_>) {
    let (what, next) = explain(recipient.status);
    let _ = writeln!(out, "    What happened: {what}");
    match recipient.explanation {
        Some(explanation) => {
            let _ = writeln!(out, "    {}", without_controls(explanation));
        }
        None => {
            let _ = writeln!(out, "    What to do: {next}");
        }
    }
    if let Some(reply) = recipient.diagnostic {
        let _ = writeln!(out, "    Their server said: {}", ascii(&reply.to_string(), 400));
    }
    if let Some(until) = recipient.retry_until {
        let _ = writeln!(out, "    We keep trying until {}.", headers::date(until));
    }
}

/// A status in plain words: what happened, and what to do next (RFC 3463 §3).
fn explain(status: EnhancedStatus) -> (&'static str, &'static str) {
    match (status.class, status.subject, status.detail) {
        (5, 1, 1 | 0 | 3 | 6) => (
            "This address does not exist at their provider.",
            "Check the address letter by letter, and ask the person if need be.",
        ),
        (5, 1, 2 | 10) | (5, 4, 4) => (
            "What follows the @ is not a place that receives mail.",
            "Check the address for a typing mistake.",
        ),
        (_, 2, 2) => {
            ("Their mailbox is full.", "Tell them by phone, and send the message again later.")
        }
        (_, 2, 1) => ("Their mailbox is switched off.", "Ask the person for another address."),
        (_, 3, 4) | (5, 2, 3) => (
            "The message is too large for their provider.",
            "Send it again with smaller or fewer attachments.",
        ),
        (_, 7, _) => (
            "Their provider refused the message.",
            "Reach the person another way, and show this report to whoever looks after your mail.",
        ),
        (_, 4, 7) => (
            "Their provider could not be reached for too long.",
            "Check the address; if it is right, send the message again or call.",
        ),
        (4, _, _) => (
            "Their provider cannot be reached, or does not take the message at the moment.",
            "Nothing. If it is urgent, call.",
        ),
        _ => (
            "Their provider did not take the message.",
            "Check the address, or reach the person another way.",
        ),
    }
}

/// The part for programs (RFC 3464 §2.1).
fn status_part(report: &Report<'_>) -> String {
    let mut out = format!("Reporting-MTA: dns; {}\r\n", report.reporting_mta);
    if let Some(id) = report.envelope_id {
        let _ = write!(out, "Original-Envelope-Id: {}\r\n", ascii(id, 100));
    }
    let _ = write!(out, "Arrival-Date: {}\r\n", headers::date(report.arrived));
    for recipient in report.recipients {
        out.push_str("\r\n");
        write_recipient(&mut out, recipient, report);
    }
    out
}

fn write_recipient(out: &mut String, recipient: &RecipientStatus<'_>, report: &Report<'_>) {
    if let Some(original) = recipient.original {
        let _ = write!(out, "Original-Recipient: {}\r\n", ascii(original, 500));
    }
    let kind = if recipient.address.needs_smtputf8() { "utf-8" } else { "rfc822" };
    let action = match report.action {
        Action::Failed => "failed",
        Action::Delayed => "delayed",
        Action::Delivered => "delivered",
        Action::Relayed => "relayed",
    };
    let _ = write!(
        out,
        "Final-Recipient: {kind}; {}\r\nAction: {action}\r\nStatus: {}\r\n",
        recipient.address, recipient.status
    );
    if let Some(mta) = recipient.remote_mta {
        let _ = write!(out, "Remote-MTA: dns; {}\r\n", ascii(mta, 255));
    }
    if let Some(reply) = recipient.diagnostic {
        let _ = write!(out, "Diagnostic-Code: smtp; {}\r\n", ascii(&reply.to_string(), 800));
    }
    let _ = write!(out, "Last-Attempt-Date: {}\r\n", headers::date(report.now));
    if let Some(until) = recipient.retry_until {
        let _ = write!(out, "Will-Retry-Until: {}\r\n", headers::date(until));
    }
}

/// What is returned of the original: enough for a mail program to find it, nothing to read.
fn returned_headers(original: &[u8]) -> String {
    ["From", "Date", "Message-ID"]
        .iter()
        .filter_map(|name| {
            let value = headers::get(original, name)?;
            Some(format!("{name}: {}\r\n", ascii(&value, 800)))
        })
        .collect()
}

/// Printable ASCII on one line, at most `limit` characters; a remote server's words are not trusted.
fn ascii(text: &str, limit: usize) -> String {
    text.chars()
        .filter(|c| !matches!(c, '\r' | '\n' | '\0'))
        .map(|c| match c {
            '\t' => ' ',
            c if c == ' ' || c.is_ascii_graphic() => c,
            _ => '?',
        })
        .take(limit)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Kind, summarise};

    const ORIGINAL: &[u8] = b"From: Dana <dana@clinic.test>\r\nTo: lee@example.test\r\n\
        Subject: CANARY diagnosis\r\nDate: Sun, 22 Nov 2026 10:10:00 +0000\r\n\
        Message-ID: <17@clinic.test>\r\n\r\nCANARY body";

    fn report(action: Action, status: &str, diagnostic: Option<&Reply>) -> Vec<u8> {
        let address = |text| Address::parse(text).unwrap();
        build(&Report {
            reporting_mta: &Domain::parse("mail.clinic.test").unwrap(),
            from: &address("postmaster@clinic.test"),
            to: &address("dana@clinic.test"),
            original: ORIGINAL,
            envelope_id: Some("QQ1"),
            arrived: 1_795_342_200,
            now: 1_795_342_300,
            recipients: &[RecipientStatus {
                address: &address("lee@example.test"),
                original: Some("rfc822;lee@example.test"),
                status: status.parse().unwrap(),
                remote_mta: Some("mx.example.test"),
                diagnostic,
                explanation: None,
                retry_until: None,
            }],
            action,
        })
    }

    #[test]
    fn a_failure_is_a_report_without_content() {
        let reply = Reply::new(550, EnhancedStatus::new(5, 1, 1), "no\r\nAction: delivered \u{e9}");
        let raw = report(Action::Failed, "5.1.1", Some(&reply));
        let text = String::from_utf8(raw.clone()).unwrap();
        assert!(!text.contains("CANARY"), "{text}");
        let summary = summarise(&raw);
        let root = summary.structure();
        assert!(root.is("multipart", "report"));
        assert_eq!(root.parameter("report-type"), Some("delivery-status"));
        let Kind::Multipart(parts) = &root.kind else { panic!("not multipart") };
        assert!(parts[0].is("text", "plain"));
        assert!(parts[1].is("message", "delivery-status"));
        assert!(parts[2].is("text", "rfc822-headers"));
        assert_eq!(
            &text[parts[1].body_range()],
            "Reporting-MTA: dns; mail.clinic.test\r\nOriginal-Envelope-Id: QQ1\r\n\
             Arrival-Date: Sun, 22 Nov 2026 10:10:00 +0000\r\n\r\n\
             Original-Recipient: rfc822;lee@example.test\r\nFinal-Recipient: rfc822; lee@example.test\r\n\
             Action: failed\r\nStatus: 5.1.1\r\nRemote-MTA: dns; mx.example.test\r\n\
             Diagnostic-Code: smtp; 550 5.1.1 noAction: delivered ?\r\n\
             Last-Attempt-Date: Sun, 22 Nov 2026 10:11:40 +0000\r\n"
        );
        assert_eq!(
            &text[parts[2].body_range()],
            "From: Dana <dana@clinic.test>\r\nDate: Sun, 22 Nov 2026 10:10:00 +0000\r\n\
             Message-ID: <17@clinic.test>\r\n"
        );
        assert_eq!(headers::get(&raw, "In-Reply-To").unwrap(), "<17@clinic.test>");
        assert_eq!(headers::get(&raw, "Auto-Submitted").unwrap(), "auto-replied");
    }

    #[test]
    fn each_action_says_what_it_means() {
        for (action, status, words) in [
            (Action::Delayed, "4.4.1", "We keep trying"),
            (Action::Delivered, "2.0.0", "was delivered to"),
            (Action::Relayed, "2.0.0", "does not report"),
            (Action::Failed, "5.1.10", "typing mistake"),
        ] {
            let raw = report(action, status, None);
            let read = crate::render::readable(&raw);
            assert!(read.text.replace('\n', " ").contains(words), "{action:?}: {}", read.text);
        }
    }
}
