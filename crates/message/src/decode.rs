//! What bytes mean: encoded words, transfer encodings and character sets, as `mail-parser` knows them.

use crate::scan::field;
use crate::summary::Part;
use mail_parser::decoders::base64::base64_decode;
use mail_parser::decoders::charsets::map::charset_decoder;
use mail_parser::decoders::quoted_printable::quoted_printable_decode;
use mail_parser::parsers::MessageStream;
use mail_parser::{ContentType, HeaderValue};
use std::borrow::Cow;

/// An unstructured field's value as text: unfolded, encoded words decoded (RFC 2047).
pub(crate) fn text(value: &[u8]) -> String {
    let line = field::unfold(value);
    if memchr::memmem::find(&line, b"=?").is_none() {
        return String::from_utf8_lossy(&line).into_owned();
    }
    match MessageStream::new(&terminated(&line)).parse_unstructured() {
        HeaderValue::Text(text) => without_controls(&text),
        _ => String::from_utf8_lossy(&line).into_owned(),
    }
}

/// A structured field with its parameters decoded (RFC 2231), through `read`.
pub(crate) fn structured<T>(value: &[u8], read: impl FnOnce(&ContentType<'_>) -> T) -> Option<T> {
    let line = terminated(&field::unfold(value));
    match MessageStream::new(&line).parse_content_type() {
        HeaderValue::ContentType(content_type) => Some(read(&content_type)),
        _ => None,
    }
}

/// A body without its transfer encoding (RFC 2045 §6); `None` when that is unknown or broken.
pub(crate) fn encoded<'a>(body: &'a [u8], encoding: &str) -> Option<Cow<'a, [u8]>> {
    match encoding.to_ascii_lowercase().as_str() {
        "7bit" | "8bit" | "binary" => Some(Cow::Borrowed(body)),
        "base64" => base64_decode(body).map(Cow::Owned),
        "quoted-printable" => quoted_printable_decode(body).map(Cow::Owned),
        _ => None,
    }
}

/// A part's body without its transfer encoding; as it stands when that is unknown or broken.
pub(crate) fn body<'a>(raw: &'a [u8], part: &Part) -> Cow<'a, [u8]> {
    part.decoded(raw)
        .unwrap_or_else(|| Cow::Borrowed(raw.get(part.body_range()).unwrap_or_default()))
}

/// A text part's body as text.
pub(crate) fn body_text(raw: &[u8], part: &Part) -> String {
    let bytes = body(raw, part);
    let charset = part.parameter("charset").unwrap_or("utf-8");
    match charset_decoder(charset.as_bytes()) {
        Some(decode) => decode(&bytes),
        None => String::from_utf8_lossy(&bytes).into_owned(),
    }
}

/// A text without control characters: decoded words may hide line breaks.
pub(crate) fn without_controls(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

/// `mail-parser` reads a field up to its line end.
fn terminated(line: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(line.len() + 1);
    bytes.extend_from_slice(line);
    bytes.push(b'\n');
    bytes
}
