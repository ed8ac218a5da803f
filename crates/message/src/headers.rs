//! Header fields: found, added, removed and rewritten, with every other byte left as it was.

use std::borrow::Cow;
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

/// One method's result in an Authentication-Results field (RFC 8601 §2.2).
#[derive(Debug, Clone)]
pub struct AuthResult<'a> {
    /// `spf`, `dkim`, `dmarc`, `auth`.
    pub method: &'a str,
    /// `pass`, `fail`, `none`, …
    pub result: &'a str,
    /// Free text, shown as `reason="…"`.
    pub reason: Option<&'a str>,
    /// Properties as `("smtp.mailfrom", "a@b.test")`.
    pub properties: &'a [(&'a str, &'a str)],
}

/// A Received field, folded, with its final CRLF.
pub fn received(fact: &Received<'_>) -> String {
    let _ = fact;
    unimplemented!()
}

/// An Authentication-Results field (RFC 8601), folded, with its final CRLF. No results means `none`.
pub fn authentication_results(authserv_id: &str, results: &[AuthResult<'_>]) -> String {
    let _ = (authserv_id, results);
    unimplemented!()
}

/// A Return-Path field (RFC 5321 §4.4) with its final CRLF.
pub fn return_path(path: &ReversePath) -> String {
    let _ = path;
    unimplemented!()
}

/// An ordinary field, folded where it is long, with its final CRLF; text beyond ASCII becomes encoded
/// words (RFC 2047).
///
/// # Errors
/// [`HeaderError::Name`], [`HeaderError::LineBreak`].
pub fn field(name: &str, value: &str) -> Result<String, HeaderError> {
    let _ = (name, value);
    unimplemented!()
}

/// Puts fields, each with its final CRLF, before a mail.
pub fn prepend(fields: &[&str], raw: &[u8]) -> Vec<u8> {
    let _ = (fields, raw);
    unimplemented!()
}

/// The first field of a name: its value unfolded, not decoded.
pub fn get<'a>(raw: &'a [u8], name: &str) -> Option<Cow<'a, str>> {
    let _ = (raw, name);
    unimplemented!()
}

/// All fields of a name, in order, unfolded, not decoded.
pub fn get_all<'a>(raw: &'a [u8], name: &str) -> Vec<Cow<'a, str>> {
    let _ = (raw, name);
    unimplemented!()
}

/// The decoded Subject.
pub fn subject(raw: &[u8]) -> Option<String> {
    let _ = raw;
    unimplemented!()
}

/// The addresses of the one From field (RFC 5322 §3.6.2).
///
/// # Errors
/// When it is missing, stands more than once, or holds anything that is not an address we take: a
/// sender whose right to the address is to be checked must not hide a second one.
pub fn authors(raw: &[u8]) -> Result<Vec<Address>, HeaderError> {
    let _ = raw;
    unimplemented!()
}

/// The addresses in all fields of a name (To, Cc, Reply-To), as far as they can be read.
pub fn addresses(raw: &[u8], name: &str) -> Vec<Address> {
    let _ = (raw, name);
    unimplemented!()
}

/// How many Received fields there are: the loop count (RFC 5321 §6.3).
pub fn count_received(raw: &[u8]) -> usize {
    let _ = raw;
    unimplemented!()
}

/// The mail without the named fields.
pub fn strip<'a>(raw: &'a [u8], names: &[&str]) -> Cow<'a, [u8]> {
    let _ = (raw, names);
    unimplemented!()
}

/// The mail without Authentication-Results fields that claim to be ours (RFC 8601 §5).
pub fn remove_forged_results<'a>(raw: &'a [u8], authserv_id: &str) -> Cow<'a, [u8]> {
    let _ = (raw, authserv_id);
    unimplemented!()
}

/// The mail with Date and Message-ID added where they are missing (RFC 6409 §8.1, §8.2).
pub fn ensure_date_and_message_id<'a>(raw: &'a [u8], domain: &Domain, now: i64) -> Cow<'a, [u8]> {
    let _ = (raw, domain, now);
    unimplemented!()
}

/// The mail with its Subject replaced.
///
/// # Errors
/// [`HeaderError::LineBreak`].
pub fn replace_subject(raw: &[u8], subject: &str) -> Result<Vec<u8>, HeaderError> {
    let _ = (raw, subject);
    unimplemented!()
}

/// A new Message-ID, `<random@domain>`.
pub fn new_message_id(domain: &Domain) -> String {
    let _ = domain;
    unimplemented!()
}

/// A time as RFC 5322 §3.3 writes it, in UTC.
pub fn date(unix: i64) -> String {
    let _ = unix;
    unimplemented!()
}
