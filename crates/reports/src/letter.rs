//! The mail a report travels in (RFC 8460 §5.3, RFC 7489 §7.2.1.1).

use crate::layout::Outgoing;
use flate2::Compression;
use flate2::write::GzEncoder;
use mail_builder::MessageBuilder;
use mail_builder::headers::address::Address as Mailbox;
use mail_builder::headers::content_type::ContentType;
use mail_builder::headers::raw::Raw;
use mail_builder::mime::{BodyPart, MimePart};
use std::io::Write;
use wardpost_mail::{Address, Domain};
use wardpost_message::headers;
use wardpost_message::report::ReportKind;

/// The mail for an outgoing report, with CRLF line ends, unsigned. `submitter` is our domain, whose key
/// must sign it.
pub(crate) fn write(
    report: &Outgoing,
    submitter: &Domain,
    from: &Address,
    to: &Address,
    now: i64,
) -> Vec<u8> {
    let Outgoing { domain, id, .. } = report;
    let subject = format!("Report Domain: {domain} Submitter: {submitter} Report-ID: <{id}>");
    let message_id = headers::new_message_id(submitter);
    let builder = MessageBuilder::new()
        .from(Mailbox::new_address(None::<&str>, from.to_string()))
        .to(Mailbox::new_address(None::<&str>, to.to_string()))
        .date(now)
        .header("Message-ID", Raw::new(message_id.as_str()))
        .header("Auto-Submitted", Raw::new("auto-generated"))
        // As it is: an encoded word, which the builder makes of a long one, would hide the form from
        // whoever sorts reports by it.
        .header("Subject", Raw::new(subject.as_str()));
    let builder = match report.kind {
        ReportKind::Tls => builder
            .header("TLS-Report-Domain", Raw::new(domain.as_str()))
            .header("TLS-Report-Submitter", Raw::new(submitter.as_str())),
        ReportKind::Dmarc => builder,
    };
    let mut out = Vec::new();
    builder.body(body(report, submitter)).serialize(&mut out);
    out
}

fn body<'a>(report: &'a Outgoing, submitter: &Domain) -> MimePart<'a> {
    let (what, media, extension) = match report.kind {
        ReportKind::Tls => ("TLS report", "application/tlsrpt+gzip", "json"),
        ReportKind::Dmarc => ("DMARC aggregate report", "application/gzip", "xml"),
    };
    let Outgoing { domain, id, begin, end, .. } = report;
    let text = format!(
        "This is a {what} from {submitter} about {domain}.\r\n\r\n\
         Report Domain: {domain}\r\nSubmitter: {submitter}\r\nReport-ID: {id}\r\n"
    );
    let file = format!("{submitter}!{domain}!{begin}!{end}.{extension}.gz");
    let parts = vec![
        MimePart::new(
            ContentType::new("text/plain").attribute("charset", "utf-8"),
            BodyPart::Text(text.into()),
        ),
        MimePart::new(ContentType::new(media), BodyPart::Binary(report.body.as_slice().into()))
            .attachment(file),
    ];
    let kind = match report.kind {
        ReportKind::Tls => ContentType::new("multipart/report").attribute("report-type", "tlsrpt"),
        ReportKind::Dmarc => ContentType::new("multipart/mixed"),
    };
    MimePart::new(kind, BodyPart::Multipart(parts))
}

/// Compresses with gzip (RFC 8460 §5.2).
pub(crate) fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    // Infallible: writing to memory does not fail.
    let _ = encoder.write_all(text);
    encoder.finish().unwrap_or_default()
}
