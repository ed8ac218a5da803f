//! What is known of a mail without opening it.
//!
//! A [`Summary`] keeps the header fields that mail programs list, verbatim, and the tree of parts with
//! byte offsets (RFC 9051 §7.5.2 ENVELOPE and BODYSTRUCTURE). Keeping the fields rather than a
//! digested envelope costs a few microseconds when an envelope is asked for, and in return answers
//! `BODY[HEADER.FIELDS (…)]` too, which is what most programs really ask for.

mod envelope;
pub(crate) mod kept;

pub use envelope::{Envelope, EnvelopeAddress};

use crate::decode;
use crate::scan::parts;
use kept::Kept;
use mail_parser::DateTime;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

/// Most octets of header fields that are kept of a mail.
const MAX_FIELDS: usize = 64 * 1024;

/// What IMAP lists of a mail: header fields, structure, size, date.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    size: u32,
    sent: Option<Sent>,
    fields: Kept,
    structure: Part,
}

/// The time in a Date field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// Seconds since 1970-01-01 UTC.
    pub unix: i64,
    /// The writer's time zone, in minutes east of UTC.
    pub offset_minutes: i16,
}

impl fmt::Display for Sent {
    /// The writer's local time as people write it: `Sunday, November 22, 2026, 10:10 AM`, with a
    /// space that does not break before `AM`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let local = self.unix.saturating_add(i64::from(self.offset_minutes) * 60);
        let time = jiff::Timestamp::from_second(local).unwrap_or(jiff::Timestamp::MAX);
        write!(f, "{}", time.strftime("%A, %B %-d, %Y, %-I:%M\u{a0}%p"))
    }
}

/// One part of a mail (RFC 2045 §2.5 "body part", or the mail itself at the root).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    start: u32,
    header: u32,
    body: u32,
    /// Top-level media type as written, `text`.
    pub media: String,
    /// Media subtype as written, `plain`.
    pub subtype: String,
    /// Content-Type parameters as written, RFC 2231 marks included.
    pub parameters: Vec<Parameter>,
    /// Content-ID with its angle brackets.
    pub id: Option<String>,
    /// Content-Description, encoded words left as they are.
    pub description: Option<String>,
    /// Content-Transfer-Encoding; `7bit` when absent.
    pub encoding: String,
    /// Line ends in the body.
    pub lines: u32,
    /// Content-MD5.
    pub md5: Option<String>,
    /// Content-Disposition.
    pub disposition: Option<Disposition>,
    /// Content-Language.
    pub language: Vec<String>,
    /// Content-Location.
    pub location: Option<String>,
    /// What the part holds.
    pub kind: Kind,
}

/// What a part holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// Text or data.
    Leaf,
    /// Further parts (RFC 2046 §5.1). Never empty.
    Multipart(Vec<Part>),
    /// A mail (RFC 2046 §5.2.1): its root part, and its listed header fields.
    Message(Box<Embedded>),
}

/// A mail within a mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Embedded {
    pub(crate) fields: Kept,
    /// The root part of the embedded mail; offsets count from the start of the outermost mail.
    pub structure: Part,
}

/// A parameter of Content-Type or Content-Disposition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameter {
    /// The name as written (`charset`, `filename*0*`).
    pub name: String,
    /// The value, unquoted but not decoded.
    pub value: String,
}

/// Content-Disposition (RFC 2183).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disposition {
    /// `attachment`, `inline`, as written.
    pub kind: String,
    /// Its parameters.
    pub parameters: Vec<Parameter>,
}

/// A header field that SEARCH looks into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SearchField {
    /// From.
    From,
    /// To.
    To,
    /// Cc.
    Cc,
    /// Bcc.
    Bcc,
    /// Subject.
    Subject,
}

/// Describes a mail. Never fails: a malformed mail gets the best reading, and what lies deeper or is
/// more than anyone writes (32 levels, 1,000 parts) is described as opaque data.
pub fn summarise(raw: &[u8]) -> Summary {
    let structure = parts::scan(raw);
    let fields = Kept::collect(&raw[structure.header_range()], MAX_FIELDS);
    let sent = fields.first("Date").and_then(|field| sent(&field.text()));
    Summary { size: octets(raw.len()), sent, fields, structure }
}

/// Reads a Date field's value.
fn sent(value: &str) -> Option<Sent> {
    let date = DateTime::parse_rfc822(value).filter(DateTime::is_valid)?;
    let minutes = i16::from(date.tz_hour) * 60 + i16::from(date.tz_minute);
    let offset_minutes = if date.tz_before_gmt { -minutes } else { minutes };
    Some(Sent { unix: date.to_timestamp(), offset_minutes })
}

/// Sizes and offsets are 32 bits wide (RFC 9051 `number`); no mail that large is ever taken in.
fn octets(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

impl Summary {
    /// Octets of the whole mail (RFC822.SIZE).
    pub fn size(&self) -> u32 {
        self.size
    }

    /// The Date field, if it can be read.
    pub fn sent(&self) -> Option<Sent> {
        self.sent
    }

    /// The ENVELOPE, read from the kept header fields.
    pub fn envelope(&self) -> Envelope<'_> {
        envelope::read(&self.fields)
    }

    /// The root part.
    pub fn structure(&self) -> &Part {
        &self.structure
    }

    /// Where the mail's header lies, blank line included (`BODY[HEADER]`).
    pub fn header_range(&self) -> Range<usize> {
        self.structure.header_range()
    }

    /// Where the mail's body lies (`BODY[TEXT]`).
    pub fn body_range(&self) -> Range<usize> {
        self.structure.body_range()
    }

    /// The part an IMAP section number names (RFC 9051 §6.4.5.1): `&[]` is the root, `&[1]` of a mail
    /// without parts is the mail's own body.
    pub fn part(&self, number: &[u32]) -> Option<&Part> {
        self.structure.find(number)
    }

    /// The named header fields, verbatim and in order, without the closing blank line
    /// (`BODY[HEADER.FIELDS (…)]`); `None` when the summary cannot tell and the mail must be opened.
    pub fn header_fields(&self, names: &[&str]) -> Option<Vec<u8>> {
        self.fields.select(names)
    }

    /// A field's text, decoded and in lower case, for SEARCH.
    pub fn search_text(&self, field: SearchField) -> String {
        let name = match field {
            SearchField::From => "From",
            SearchField::To => "To",
            SearchField::Cc => "Cc",
            SearchField::Bcc => "Bcc",
            SearchField::Subject => "Subject",
        };
        let texts = self.fields.all(name).map(|field| decode::text(field.value));
        texts.collect::<Vec<_>>().join(" ").to_lowercase()
    }
}

impl Summary {
    /// The text a person sees of the mail `raw`, for SEARCH BODY: all text parts with transfer
    /// encoding and character set undone, and header fields of mails within it; in lower case. HTML
    /// keeps its tags.
    pub fn body_text(&self, raw: &[u8]) -> String {
        let mut out = String::new();
        self.structure.collect_text(raw, &mut out);
        out.to_lowercase()
    }
}

impl Part {
    /// The body in `raw`, the mail this part was found in, with its transfer encoding undone; `None`
    /// when that is unknown or the body is not so encoded (RFC 3516 §4.3 UNKNOWN-CTE).
    pub fn decoded<'a>(&self, raw: &'a [u8]) -> Option<Cow<'a, [u8]>> {
        decode::encoded(raw.get(self.body_range()).unwrap_or_default(), &self.encoding)
    }

    // Recursion is as deep as the summary is: bounded.
    fn collect_text(&self, raw: &[u8], out: &mut String) {
        match &self.kind {
            Kind::Leaf if self.media.eq_ignore_ascii_case("text") => {
                out.push_str(&decode::body_text(raw, self));
                out.push('\n');
            }
            Kind::Leaf => {}
            Kind::Multipart(children) => {
                for child in children {
                    child.collect_text(raw, out);
                }
            }
            Kind::Message(embedded) => {
                let root = &embedded.structure;
                let header = raw.get(root.header_range()).unwrap_or_default();
                out.push_str(&crate::headers::decoded_all(header));
                root.collect_text(raw, out);
            }
        }
    }

    pub(crate) fn empty() -> Self {
        Self {
            start: 0,
            header: 0,
            body: 0,
            media: String::new(),
            subtype: String::new(),
            parameters: Vec::new(),
            id: None,
            description: None,
            encoding: "7bit".to_owned(),
            lines: 0,
            md5: None,
            disposition: None,
            language: Vec::new(),
            location: None,
            kind: Kind::Leaf,
        }
    }

    pub(crate) fn place(&mut self, start: usize, header: usize, body: usize) {
        self.start = octets(start);
        self.header = octets(header);
        self.body = octets(body);
    }

    /// The part that a section number names, counted from this root of a mail.
    fn find(&self, number: &[u32]) -> Option<&Part> {
        let Some((&first, rest)) = number.split_first() else { return Some(self) };
        let index = usize::try_from(first).ok()?.checked_sub(1)?;
        let part = match &self.kind {
            Kind::Multipart(children) => children.get(index)?,
            // A mail that is not multipart has one part, its body (RFC 9051 §6.4.5.1).
            _ if index == 0 => self,
            _ => return None,
        };
        match (&part.kind, rest) {
            (_, []) => Some(part),
            (Kind::Multipart(_), _) => part.find(rest),
            (Kind::Message(embedded), _) => embedded.structure.find(rest),
            (Kind::Leaf, _) => None,
        }
    }

    /// Where the part's header lies in the mail, blank line included (`BODY[n.MIME]`; `BODY[HEADER]`
    /// for the root of a mail).
    pub fn header_range(&self) -> Range<usize> {
        self.start as usize..self.start as usize + self.header as usize
    }

    /// Where the part's body lies in the mail, still transfer-encoded (`BODY[n]`).
    pub fn body_range(&self) -> Range<usize> {
        let start = self.header_range().end;
        start..start + self.body as usize
    }

    /// Octets of the body, still transfer-encoded.
    pub fn octets(&self) -> u32 {
        self.body
    }

    /// Whether media type and subtype are these, in any case.
    pub fn is(&self, media: &str, subtype: &str) -> bool {
        self.media.eq_ignore_ascii_case(media) && self.subtype.eq_ignore_ascii_case(subtype)
    }

    /// A Content-Type parameter.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|p| p.name.eq_ignore_ascii_case(name)).map(|p| p.value.as_str())
    }

    /// The embedded mail of a message/rfc822 part.
    pub fn embedded(&self) -> Option<&Embedded> {
        match &self.kind {
            Kind::Message(embedded) => Some(embedded),
            _ => None,
        }
    }
}

impl Embedded {
    /// The embedded mail's ENVELOPE.
    pub fn envelope(&self) -> Envelope<'_> {
        envelope::read(&self.fields)
    }
}
