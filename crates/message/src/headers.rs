//! Header fields: found, added, removed and rewritten, with every other byte left as it was.

use crate::decode;
pub use crate::results::{AuthResult, authentication_results, remove_forged_results};
use crate::scan::address::{self, Item};
use crate::scan::field::{Field, Fields, header_length};
use data_encoding::BASE32_NOPAD;
use mail_builder::headers::Header;
use mail_builder::headers::date::Date;
use mail_builder::headers::text::Text;
use std::borrow::Cow;
use std::fmt::Write;
use std::net::IpAddr;
use thiserror::Error;
use wardpost_mail::{Address, Domain, ReversePath};

/// Why a header field was not written or not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum HeaderError {
    /// CR, LF or NUL in a value: it would start a field of its own.
    #[error("a header value holds a line break or NUL")]
    LineBreak,
    /// Not a field name (RFC 5322 §2.2).
    #[error("not a header field name")]
    Name,
    /// A field that may stand once stands several times (RFC 5322 §3.6).
    #[error("a header field that may appear once appears more often")]
    Repeated,
    /// A field that must be there is missing.
    #[error("a required header field is missing")]
    Missing,
    /// An address in a header field cannot be read.
    #[error("an address in the header cannot be read")]
    Address,
}

/// What a Received field tells (RFC 5321 §4.4).
#[derive(Debug, Clone)]
pub struct Received<'a> {
    /// The name the peer gave in EHLO or HELO. Characters that could break the field are replaced.
    pub helo: &'a str,
    /// The peer's address.
    pub peer: IpAddr,
    /// The peer's verified reverse name.
    pub peer_name: Option<&'a str>,
    /// Our host name.
    pub by: &'a Domain,
    /// The protocol by its registered name (RFC 3848): `ESMTPS`, `ESMTPSA`, `HTTPS`.
    pub with: &'a str,
    /// TLS version and suite, `TLSv1.3 TLS_AES_256_GCM_SHA384`.
    pub tls: Option<&'a str>,
    /// The id this host gave the message.
    pub id: &'a str,
    /// The recipient, when there is exactly one.
    pub recipient: Option<&'a Address>,
    /// When, in seconds since 1970 UTC.
    pub at: i64,
}

/// A Received field, folded, with its final CRLF.
pub fn received(fact: &Received<'_>) -> String {
    let mut out = format!("Received: from {} (", harmless(fact.helo));
    if let Some(name) = fact.peer_name {
        let _ = write!(out, "{} ", harmless(name));
    }
    // An IPv6 address literal carries its tag (RFC 5321 §4.1.3).
    let tag = if fact.peer.is_ipv6() { "IPv6:" } else { "" };
    let _ = write!(out, "[{tag}{}])\r\n\tby {} with {}", fact.peer, fact.by, harmless(fact.with));
    if let Some(tls) = fact.tls {
        let _ = write!(out, " ({})", tls.split(' ').map(harmless).collect::<Vec<_>>().join(" "));
    }
    let _ = write!(out, "\r\n\tid {}", harmless(fact.id));
    if let Some(recipient) = fact.recipient {
        let _ = write!(out, "\r\n\tfor <{recipient}>");
    }
    let _ = write!(out, ";\r\n\t{}\r\n", date(fact.at));
    out
}

/// A word for a trace field: characters that mean something there, or break lines, become `?`.
pub(crate) fn harmless(word: &str) -> String {
    let word: String = word
        .chars()
        .take(255)
        .map(|c| if c.is_ascii_graphic() && !"()<>;\\\",".contains(c) { c } else { '?' })
        .collect();
    if word.is_empty() { "?".to_owned() } else { word }
}

/// A Return-Path field (RFC 5321 §4.4) with its final CRLF.
pub fn return_path(path: &ReversePath) -> String {
    format!("Return-Path: <{path}>\r\n")
}

/// An ordinary field, folded where it is long, with its final CRLF; text beyond ASCII becomes encoded
/// words (RFC 2047).
///
/// # Errors
/// [`HeaderError::Name`], [`HeaderError::LineBreak`].
pub fn field(name: &str, value: &str) -> Result<String, HeaderError> {
    // RFC 5322 §2.2: printable ASCII but the colon.
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_graphic() && b != b':') {
        return Err(HeaderError::Name);
    }
    if value.contains(['\r', '\n', '\0']) {
        return Err(HeaderError::LineBreak);
    }
    let mut out = format!("{name}: ").into_bytes();
    let column = out.len();
    Text::new(value).write_header(&mut out, column);
    // The writer gives back what it was given or ASCII.
    Ok(String::from_utf8_lossy(&out).into_owned())
}

/// Stands between our fields and a mail that begins with white space: its first line would otherwise
/// be read as the continuation of our last field, and could add results to it.
const SEPARATOR: &str = "X-Wardpost-Note: the mail began with a folded line\r\n";

/// Puts fields, each with its final CRLF, before a mail.
pub fn prepend(fields: &[&str], raw: &[u8]) -> Vec<u8> {
    let length = fields.iter().map(|field| field.len()).sum::<usize>() + raw.len();
    let mut out = Vec::with_capacity(length + SEPARATOR.len());
    for field in fields {
        out.extend_from_slice(field.as_bytes());
    }
    if matches!(raw.first(), Some(b' ' | b'\t')) {
        out.extend_from_slice(SEPARATOR.as_bytes());
    }
    out.extend_from_slice(raw);
    out
}

/// Largest header taken from outside. A mail that is all header costs many times its size to look at,
/// and nobody sends more than some tens of KiB.
pub const MAX_LENGTH: usize = 1024 * 1024;

/// Octets of the header, empty line included.
pub fn length(raw: &[u8]) -> usize {
    header_length(raw)
}

fn fields(raw: &[u8]) -> Fields<'_> {
    Fields::of(&raw[..header_length(raw)])
}

fn named<'a>(raw: &'a [u8], name: &'a str) -> impl Iterator<Item = Field<'a>> {
    fields(raw).filter(move |field| field.is(name))
}

/// The first field of a name: its value unfolded, not decoded.
pub fn get<'a>(raw: &'a [u8], name: &'a str) -> Option<Cow<'a, str>> {
    named(raw, name).next().map(|field| field.text())
}

/// All fields of a name, in order, unfolded, not decoded.
pub fn get_all<'a>(raw: &'a [u8], name: &'a str) -> Vec<Cow<'a, str>> {
    named(raw, name).map(|field| field.text()).collect()
}

/// All values of a field, decoded, in lower case, a line each: for SEARCH HEADER. `None` when the field
/// is not there.
pub fn decoded(raw: &[u8], name: &str) -> Option<String> {
    let values: Vec<String> = named(raw, name).map(|field| decode::text(field.value)).collect();
    (!values.is_empty()).then(|| values.join("\n").to_lowercase())
}

/// The whole header, decoded, in lower case, a field a line: for SEARCH TEXT.
pub fn decoded_all(raw: &[u8]) -> String {
    fields(raw).fold(String::new(), |mut out, field| {
        out.push_str(&String::from_utf8_lossy(field.name).to_lowercase());
        out.push_str(": ");
        out.push_str(&decode::text(field.value).to_lowercase());
        out.push('\n');
        out
    })
}

/// The decoded Subject.
pub fn subject(raw: &[u8]) -> Option<String> {
    named(raw, "Subject").next().map(|field| decode::text(field.value))
}

/// The addresses of the one From field (RFC 5322 §3.6.2).
///
/// # Errors
/// When it is missing, stands more than once, or holds anything that is not an address we take: a
/// sender whose right to the address is to be checked must not hide a second one.
pub fn authors(raw: &[u8]) -> Result<Vec<Address>, HeaderError> {
    let mut found = named(raw, "From");
    let field = found.next().ok_or(HeaderError::Missing)?;
    if found.next().is_some() {
        return Err(HeaderError::Repeated);
    }
    let authors = read_strictly(&field)?;
    if authors.is_empty() { Err(HeaderError::Missing) } else { Ok(authors) }
}

/// The addresses in Sender, Resent-From and Resent-Sender: who else says to have sent a mail
/// (RFC 5322 §3.6.2, §3.6.6).
///
/// # Errors
/// When one of these fields holds anything that is not an address we take.
pub fn senders(raw: &[u8]) -> Result<Vec<Address>, HeaderError> {
    let names = ["Sender", "Resent-From", "Resent-Sender"];
    let found = fields(raw).filter(|field| names.iter().any(|name| field.is(name)));
    let mut senders = Vec::new();
    for field in found {
        senders.extend(read_strictly(&field)?);
    }
    Ok(senders)
}

/// All addresses of a field, which holds nothing else. A source route is an address of its own to some
/// readers (RFC 5322 §4.4), and is not taken.
fn read_strictly(field: &Field<'_>) -> Result<Vec<Address>, HeaderError> {
    let items = address::parse(field.value);
    let routed = |item: &Item<'_>| matches!(item, Item::Mailbox { route: Some(_), .. });
    if items.iter().any(routed) {
        return Err(HeaderError::Address);
    }
    items.iter().map(|item| as_address(item).ok_or(HeaderError::Address)).collect()
}

/// The addresses in all fields of a name (To, Cc, Reply-To), as far as they can be read.
pub fn addresses(raw: &[u8], name: &str) -> Vec<Address> {
    named(raw, name)
        .flat_map(|field| {
            address::parse(field.value).iter().filter_map(as_address).collect::<Vec<_>>()
        })
        .collect()
}

fn as_address(item: &Item<'_>) -> Option<Address> {
    let Item::Mailbox { local, host, .. } = item else { return None };
    let local = std::str::from_utf8(local).ok()?.replace('\\', "\\\\").replace('"', "\\\"");
    let host = std::str::from_utf8(host).ok()?;
    if host.contains('@') {
        return None;
    }
    // A quoted local part is taken whatever it holds, and unquoted where it need not be.
    Address::parse(&format!("\"{local}\"@{host}")).ok()
}

/// How many Received fields there are: the loop count (RFC 5321 §6.3).
pub fn count_received(raw: &[u8]) -> usize {
    named(raw, "Received").count()
}

/// The mail without the fields that `drop` names.
pub(crate) fn without<'a>(raw: &'a [u8], drop: impl Fn(&Field<'_>) -> bool) -> Cow<'a, [u8]> {
    if !fields(raw).any(|field| drop(&field)) {
        return Cow::Borrowed(raw);
    }
    let mut out = Vec::with_capacity(raw.len());
    let mut seen = 0;
    for field in fields(raw) {
        seen += field.raw.len();
        if !drop(&field) {
            out.extend_from_slice(field.raw);
        }
    }
    out.extend_from_slice(&raw[seen..]);
    Cow::Owned(out)
}

/// The mail without the named fields.
pub fn strip<'a>(raw: &'a [u8], names: &[&str]) -> Cow<'a, [u8]> {
    without(raw, |field| names.iter().any(|name| field.is(name)))
}

/// The mail with Date and Message-ID added where they are missing (RFC 6409 §8.1, §8.2).
pub fn ensure_date_and_message_id<'a>(raw: &'a [u8], domain: &Domain, now: i64) -> Cow<'a, [u8]> {
    let mut missing = Vec::new();
    if named(raw, "Date").next().is_none() {
        missing.push(format!("Date: {}\r\n", date(now)));
    }
    if named(raw, "Message-ID").next().is_none() {
        missing.push(format!("Message-ID: {}\r\n", new_message_id(domain)));
    }
    if missing.is_empty() {
        return Cow::Borrowed(raw);
    }
    let missing: Vec<&str> = missing.iter().map(String::as_str).collect();
    Cow::Owned(prepend(&missing, raw))
}

/// The mail with its Subject replaced.
///
/// # Errors
/// [`HeaderError::LineBreak`].
pub fn replace_subject(raw: &[u8], subject: &str) -> Result<Vec<u8>, HeaderError> {
    let new = field("Subject", subject)?;
    if named(raw, "Subject").next().is_none() {
        return Ok(prepend(&[&new], raw));
    }
    let mut out = Vec::with_capacity(raw.len() + new.len());
    let mut seen = 0;
    let mut written = false;
    for field in fields(raw) {
        seen += field.raw.len();
        if !field.is("Subject") {
            out.extend_from_slice(field.raw);
        } else if !std::mem::replace(&mut written, true) {
            out.extend_from_slice(new.as_bytes());
        }
    }
    out.extend_from_slice(&raw[seen..]);
    Ok(out)
}

/// A new Message-ID, `<random@domain>`.
pub fn new_message_id(domain: &Domain) -> String {
    let id: [u8; 15] = rand::random();
    format!("<{}@{domain}>", BASE32_NOPAD.encode(&id).to_lowercase())
}

/// A time as RFC 5322 §3.3 writes it, in UTC.
pub fn date(unix: i64) -> String {
    Date::new(unix).to_rfc822()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAIL: &[u8] =
        b"Received: x\r\nBcc: secret@x.test,\r\n\tmore@x.test\r\nFrom: a@b.test\r\n\
        Subject: =?utf-8?q?caf=C3=A9?=\r\nbcc : third@x.test\r\n\r\nBcc: in the body\r\n";

    fn domain() -> Domain {
        Domain::parse("clinic.test").unwrap()
    }

    #[test]
    fn strips_every_bcc_and_nothing_else() {
        let stripped = strip(MAIL, &["Bcc"]);
        assert_eq!(
            &*stripped,
            b"Received: x\r\nFrom: a@b.test\r\nSubject: =?utf-8?q?caf=C3=A9?=\r\n\r\nBcc: in the body\r\n"
        );
        assert!(matches!(strip(&stripped, &["Bcc"]), Cow::Borrowed(_)));
    }

    #[test]
    fn received_cannot_be_broken_out_of() {
        let line = received(&Received {
            helo: "evil)\r\nX-Forged: yes",
            peer: "2001:db8::1".parse().unwrap(),
            peer_name: None,
            by: &domain(),
            with: "ESMTPS",
            tls: Some("TLSv1.3 TLS_AES_256_GCM_SHA384"),
            id: "17",
            recipient: Some(&Address::parse("lee@clinic.test").unwrap()),
            at: 1_795_342_200,
        });
        assert_eq!(
            line,
            "Received: from evil???X-Forged:?yes ([IPv6:2001:db8::1])\r\n\tby clinic.test with ESMTPS \
             (TLSv1.3 TLS_AES_256_GCM_SHA384)\r\n\tid 17\r\n\tfor <lee@clinic.test>;\r\n\t\
             Sun, 22 Nov 2026 10:10:00 +0000\r\n"
        );
        assert_eq!(fields(line.as_bytes()).count(), 1);
    }

    #[test]
    fn a_mail_cannot_continue_our_field() {
        let ours = authentication_results("h.test", &[]);
        let mail = prepend(&[&ours], b"\tdkim=pass header.d=bank.test\r\nFrom: a@b.test\r\n\r\n");
        assert_eq!(get(&mail, "Authentication-Results").unwrap(), "h.test; none");
        assert_eq!(authors(&mail).unwrap().len(), 1);
    }

    #[test]
    fn subject_is_read_and_replaced() {
        assert_eq!(subject(MAIL).unwrap(), "café");
        let changed = replace_subject(MAIL, "Grüße").unwrap();
        assert_eq!(subject(&changed).unwrap(), "Grüße");
        assert_eq!(get_all(&changed, "subject").len(), 1);
        assert!(changed.ends_with(b"\r\n\r\nBcc: in the body\r\n"));
        assert_eq!(replace_subject(MAIL, "a\nBcc: x"), Err(HeaderError::LineBreak));
        assert!(
            replace_subject(b"\r\nbody", "new").unwrap().starts_with(b"Subject: new\r\n\r\nbody")
        );
    }

    #[test]
    fn missing_date_and_id_are_added() {
        let full = ensure_date_and_message_id(MAIL, &domain(), 0);
        assert_eq!(get(&full, "date").unwrap(), "Thu, 1 Jan 1970 00:00:00 +0000");
        assert!(get(&full, "Message-Id").unwrap().ends_with("@clinic.test>"));
        assert!(full.ends_with(MAIL));
        assert!(matches!(ensure_date_and_message_id(&full, &domain(), 0), Cow::Borrowed(_)));
    }

    #[test]
    fn authors_are_read_strictly() {
        let from = |value: &str| authors(format!("From: {value}\r\n\r\n").as_bytes());
        let address = |text| Address::parse(text).unwrap();
        assert_eq!(from("Dana <dana@clinic.test>").unwrap(), [address("dana@clinic.test")]);
        assert_eq!(
            from("\"d x\"@c.test, e@f.test").unwrap(),
            [address("\"d x\"@c.test"), address("e@f.test"),]
        );
        for bad in [
            "dana",
            "<dana@clinic.test>, x",
            "g: a@b.test;",
            "dana@clinic.test@b.test",
            "<>",
            "\"boss@clinic.test\" evil.test",
            "dana@clinic.test evil",
            "<@boss@clinic.test:dana@clinic.test>",
        ] {
            assert_eq!(from(bad), Err(HeaderError::Address), "{bad}");
        }
        assert_eq!(from(""), Err(HeaderError::Missing));
        assert_eq!(authors(b"Subject: x\r\n\r\n"), Err(HeaderError::Missing));
        assert_eq!(authors(b"From: a@b.test\r\nFROM: c@d.test\r\n"), Err(HeaderError::Repeated));
    }

    #[test]
    fn everybody_who_says_to_have_sent_a_mail_is_found() {
        let mail = b"From: a@b.test\r\nSender: S <s@b.test>\r\nresent-from: r@b.test, q@b.test\r\n\
            Resent-Sender: t@b.test\r\nSender:\r\n\r\nSender: body@b.test\r\n";
        let found: Vec<_> = senders(mail).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(found, ["s@b.test", "r@b.test", "q@b.test", "t@b.test"]);
        assert_eq!(senders(b"From: a@b.test\r\n\r\n"), Ok(Vec::new()));
        for bad in ["Sender: boss", "Resent-From: g: a@b.test;", "Resent-Sender: <@x:a@b.test>"] {
            let mail = format!("{bad}\r\n\r\n");
            assert_eq!(senders(mail.as_bytes()), Err(HeaderError::Address), "{bad}");
        }
    }

    #[test]
    fn counts_received_and_collects_addresses() {
        assert_eq!(count_received(b"Received: a\r\nreceived: b\r\n\r\nReceived: body"), 2);
        let mail = b"To: a@b.test, broken\r\nTo: G: c@d.test;\r\n\r\n";
        let found: Vec<_> = addresses(mail, "to").iter().map(ToString::to_string).collect();
        assert_eq!(found, ["a@b.test", "c@d.test"]);
    }

    proptest! {
        #[test]
        fn a_field_is_one_field(value in "[^\r\n\0]{0,300}") {
            let line = field("X-Test", &value).unwrap();
            prop_assert_eq!(fields(line.as_bytes()).count(), 1);
            prop_assert!(line.ends_with("\r\n"));
        }

        #[test]
        fn arbitrary_bytes_come_through_untouched(raw in proptest::collection::vec(any::<u8>(), 0..400)) {
            prop_assert_eq!(&*strip(&raw, &["No-Such-Field"]), &raw[..]);
            prop_assert_eq!(&*remove_forged_results(&raw, "x"), &raw[..]);
            let changed = replace_subject(&raw, "s").unwrap();
            prop_assert_eq!(subject(&changed).unwrap(), "s");
            let _ = (authors(&raw), addresses(&raw, "From"), count_received(&raw));
        }
    }
}
