//! The tree of parts (RFC 2046 §5.1), found in one pass over the mail.
//!
//! A stack of open boundaries is compared with each line that begins with `--`; a line may close any
//! level, so that a part whose own end is missing ends where its parent goes on. Time is linear in
//! the size of the mail; depth and number of parts are bounded, and what goes beyond is opaque.

use super::field::{Field, Fields, is_empty_line, line, strip_line_end};
use super::params;
use crate::summary::kept::Kept;
use crate::summary::{Disposition, Embedded, Kind, Parameter, Part};

/// Deepest nesting that is described.
const MAX_DEPTH: usize = 32;
/// Most parts that are described.
const MAX_PARTS: usize = 1_000;
/// Most octets of strings that all parts' descriptions together hold.
const MAX_TEXT: usize = 128 * 1024;
/// Most octets of header fields that are kept of one mail within another.
const MAX_EMBEDDED_FIELDS: usize = 8 * 1024;

/// Finds the parts of a mail: the root, with all others within.
pub(crate) fn scan(raw: &[u8]) -> Part {
    let mut scanner =
        Scanner { raw, at: 0, lines: 0, boundaries: Vec::new(), parts: 0, text: MAX_TEXT };
    scanner.entity(0, DefaultType::Text).0
}

/// What a part without Content-Type is (RFC 2046 §5.1, §5.1.5).
#[derive(Clone, Copy, PartialEq, Eq)]
enum DefaultType {
    Text,
    Message,
}

/// Why reading stopped.
#[derive(Clone, Copy)]
enum Stop {
    /// The mail is over.
    End,
    /// A delimiter line of an open boundary.
    Delimiter {
        level: usize,
        closing: bool,
        /// Where the line begins.
        at: usize,
        /// Line ends before it.
        lines: u32,
    },
}

struct Scanner<'a> {
    raw: &'a [u8],
    at: usize,
    lines: u32,
    boundaries: Vec<Vec<u8>>,
    parts: usize,
    text: usize,
}

impl<'a> Scanner<'a> {
    fn entity(&mut self, depth: usize, default: DefaultType) -> (Part, Stop) {
        self.parts += 1;
        let start = self.at;
        let early = self.skip_header();
        let header_end = match early {
            // As with bodies, the line end before the delimiter belongs to the delimiter.
            Some(Stop::Delimiter { at, .. }) => start + strip_line_end(&self.raw[start..at]).len(),
            _ => self.at,
        };
        let header = &self.raw[start..header_end];
        let (mut part, boundary) = self.describe(header, default);
        let body_lines = self.lines;
        let stop = match early {
            Some(stop) => {
                self.make_opaque_if_container(&mut part);
                stop
            }
            None => self.body(&mut part, boundary, depth),
        };
        let (body_end, lines_at_end) = match early {
            Some(_) => (header_end, body_lines),
            None => self.body_end(&part, stop, header_end, body_lines),
        };
        part.place(start, header.len(), body_end - header_end);
        part.lines = lines_at_end - body_lines;
        (part, stop)
    }

    /// Reads the body of a part whose header has been read.
    fn body(&mut self, part: &mut Part, boundary: Option<Vec<u8>>, depth: usize) -> Stop {
        let room = depth < MAX_DEPTH && self.parts < MAX_PARTS;
        if let (true, Some(boundary)) = (room, boundary) {
            let (children, stop) = self.multipart(boundary, depth, part.child_default());
            if children.is_empty() {
                self.make_opaque_if_container(part);
            } else {
                part.kind = Kind::Multipart(children);
            }
            return stop;
        }
        if room && part.is_plain_message() {
            let start = self.at;
            let (root, stop) = self.entity(depth + 1, DefaultType::Text);
            let header = &self.raw[start..start + root.header_range().len()];
            let fields = Kept::collect(header, self.text.min(MAX_EMBEDDED_FIELDS));
            self.text -= fields.octets();
            part.kind = Kind::Message(Box::new(Embedded { fields, structure: root }));
            return stop;
        }
        self.make_opaque_if_container(part);
        self.skip_to_delimiter()
    }

    fn multipart(
        &mut self,
        boundary: Vec<u8>,
        depth: usize,
        default: DefaultType,
    ) -> (Vec<Part>, Stop) {
        let own = self.boundaries.len();
        self.boundaries.push(boundary);
        let mut children = Vec::new();
        let mut stop = self.skip_to_delimiter();
        while matches!(stop, Stop::Delimiter { level, closing: false, .. } if level == own) {
            if self.parts >= MAX_PARTS {
                stop = self.skip_to_delimiter();
                continue;
            }
            let (child, next) = self.entity(depth + 1, default);
            children.push(child);
            stop = next;
        }
        self.boundaries.truncate(own);
        if matches!(stop, Stop::Delimiter { level, .. } if level == own) {
            // The epilogue belongs to this part's body.
            stop = self.skip_to_delimiter();
        }
        (children, stop)
    }

    /// Passes the header; `Some` when it ended without an empty line.
    fn skip_header(&mut self) -> Option<Stop> {
        while self.at < self.raw.len() {
            let line = line(&self.raw[self.at..]);
            if let Some(stop) = self.delimiter(line) {
                self.advance(line);
                return Some(stop);
            }
            self.advance(line);
            if is_empty_line(line) {
                return None;
            }
        }
        Some(Stop::End)
    }

    fn skip_to_delimiter(&mut self) -> Stop {
        if self.boundaries.is_empty() {
            let rest = &self.raw[self.at..];
            self.lines += memchr::memchr_iter(b'\n', rest).count() as u32;
            self.at = self.raw.len();
            return Stop::End;
        }
        while self.at < self.raw.len() {
            let line = line(&self.raw[self.at..]);
            let stop = self.delimiter(line);
            self.advance(line);
            if let Some(stop) = stop {
                return stop;
            }
        }
        Stop::End
    }

    fn advance(&mut self, line: &[u8]) {
        self.at += line.len();
        self.lines += u32::from(line.ends_with(b"\n"));
    }

    /// Whether a line is a delimiter. An exact match is preferred; failing that it suffices that the
    /// line begins with a boundary (RFC 2046 §5.1.1). The innermost level goes first.
    fn delimiter(&self, line: &[u8]) -> Option<Stop> {
        let rest = line.strip_prefix(b"--")?.trim_ascii_end();
        let found = |level, closing| {
            Some(Stop::Delimiter { level, closing, at: self.at, lines: self.lines })
        };
        for (level, boundary) in self.boundaries.iter().enumerate().rev() {
            match rest.strip_prefix(boundary.as_slice()) {
                Some(b"") => return found(level, false),
                Some(b"--") => return found(level, true),
                _ => {}
            }
        }
        for (level, boundary) in self.boundaries.iter().enumerate().rev() {
            if let Some(tail) = rest.strip_prefix(boundary.as_slice()) {
                return found(level, tail.starts_with(b"--"));
            }
        }
        None
    }

    /// Where a body ends and how many line ends stand before that. The line end before a delimiter
    /// belongs to the delimiter (RFC 2046 §5.1.1), unless it is also the empty line that ends the
    /// header of a part within this one.
    fn body_end(
        &self,
        part: &Part,
        stop: Stop,
        body_start: usize,
        body_lines: u32,
    ) -> (usize, u32) {
        let Stop::Delimiter { at, lines, .. } = stop else {
            return (self.raw.len(), self.lines);
        };
        let body = self.raw.get(body_start..at).unwrap_or_default();
        let end = body_start + strip_line_end(body).len();
        if end == at || part.end_within() > end {
            return (at, lines.max(body_lines));
        }
        (end, (lines - 1).max(body_lines))
    }

    /// A multipart or message that cannot be shown as one is described as what can.
    fn make_opaque_if_container(&mut self, part: &mut Part) {
        let (media, subtype) = if part.media.eq_ignore_ascii_case("multipart") {
            ("text", "plain")
        } else if part.is_message() {
            ("application", "octet-stream")
        } else {
            return;
        };
        part.media = media.to_owned();
        part.subtype = subtype.to_owned();
        part.parameters.clear();
    }

    /// Reads the MIME fields of a header; the second value is the boundary of a multipart.
    fn describe(&mut self, header: &[u8], default: DefaultType) -> (Part, Option<Vec<u8>>) {
        let mut part = Part::empty();
        let mut boundary = None;
        let mut typed = false;
        for field in Fields::of(header).filter(|f| is_mime_field(f.name)) {
            if field.is("Content-Type") && !typed {
                typed = self.content_type(&field, &mut part, &mut boundary);
            } else {
                self.other_field(&field, &mut part);
            }
        }
        if !typed {
            let (media, subtype) = match default {
                DefaultType::Text => ("text", "plain"),
                DefaultType::Message => ("message", "rfc822"),
            };
            part.media = media.to_owned();
            part.subtype = subtype.to_owned();
        }
        if part.media.eq_ignore_ascii_case("text") && part.parameter("charset").is_none() {
            // RFC 2045 §5.2.
            part.parameters
                .push(Parameter { name: "charset".to_owned(), value: "us-ascii".to_owned() });
        }
        (part, boundary)
    }

    fn content_type(
        &mut self,
        field: &Field<'_>,
        part: &mut Part,
        boundary: &mut Option<Vec<u8>>,
    ) -> bool {
        let read = params::parse(field.value);
        let Some(slash) = read.token.iter().position(|&b| b == b'/') else { return false };
        let (media, subtype) = (&read.token[..slash], &read.token[slash + 1..]);
        if media.is_empty() || subtype.is_empty() {
            return false;
        }
        part.media = self.string(media);
        part.subtype = self.string(subtype);
        if part.media.eq_ignore_ascii_case("multipart") {
            *boundary = read
                .parameters
                .iter()
                .find(|(name, value)| {
                    name.eq_ignore_ascii_case(b"boundary")
                        && !value.is_empty()
                        && value.len() <= 256
                })
                // White space at a line's end is not compared, so neither is it here.
                .map(|(_, value)| value.trim_ascii_end().to_vec());
        }
        part.parameters = self.parameters(read.parameters);
        !part.media.is_empty() && !part.subtype.is_empty()
    }

    fn other_field(&mut self, field: &Field<'_>, part: &mut Part) {
        if field.is("Content-Transfer-Encoding") {
            let token = params::parse(field.value).token;
            if !token.is_empty() {
                part.encoding = self.string(&token);
            }
        } else if field.is("Content-ID") {
            part.id = self.optional(field);
        } else if field.is("Content-Description") {
            part.description = self.optional(field);
        } else if field.is("Content-MD5") {
            part.md5 = self.optional(field);
        } else if field.is("Content-Location") {
            part.location = self.optional(field);
        } else if field.is("Content-Language") {
            let value = field.unfolded();
            let tags = value.split(|&b| b == b',').map(<[u8]>::trim_ascii);
            part.language =
                tags.filter(|tag| !tag.is_empty()).take(16).map(|tag| self.string(tag)).collect();
        } else if field.is("Content-Disposition") {
            let read = params::parse(field.value);
            if !read.token.is_empty() {
                part.disposition = Some(Disposition {
                    kind: self.string(&read.token),
                    parameters: self.parameters(read.parameters),
                });
            }
        }
    }

    fn optional(&mut self, field: &Field<'_>) -> Option<String> {
        let value = field.unfolded();
        (!value.is_empty()).then(|| self.string(&value)).filter(|text| !text.is_empty())
    }

    fn parameters(&mut self, read: Vec<(Vec<u8>, Vec<u8>)>) -> Vec<Parameter> {
        read.into_iter()
            .map(|(name, value)| Parameter { name: self.string(&name), value: self.string(&value) })
            .filter(|parameter| !parameter.name.is_empty())
            .collect()
    }

    /// A string within the budget; empty when that is used up.
    fn string(&mut self, bytes: &[u8]) -> String {
        if bytes.len() > self.text {
            self.text = 0;
            return String::new();
        }
        self.text -= bytes.len();
        String::from_utf8_lossy(bytes).into_owned()
    }
}

fn is_mime_field(name: &[u8]) -> bool {
    name.get(..8).is_some_and(|start| start.eq_ignore_ascii_case(b"Content-"))
}

impl Part {
    /// Where the last part within this one ends.
    fn end_within(&self) -> usize {
        let last = match &self.kind {
            Kind::Leaf => None,
            Kind::Multipart(children) => children.last(),
            Kind::Message(embedded) => Some(&embedded.structure),
        };
        last.map_or(0, |part| part.body_range().end)
    }

    fn child_default(&self) -> DefaultType {
        if self.subtype.eq_ignore_ascii_case("digest") {
            DefaultType::Message
        } else {
            DefaultType::Text
        }
    }

    fn is_message(&self) -> bool {
        self.is("message", "rfc822") || self.is("message", "global")
    }

    /// A message part that is not transfer-encoded, as RFC 2046 §5.2.1 demands.
    fn is_plain_message(&self) -> bool {
        let identity = ["7bit", "8bit", "binary"];
        self.is_message() && identity.iter().any(|name| self.encoding.eq_ignore_ascii_case(name))
    }
}
