//! Header fields (RFC 5322 §2.2), found without being understood.

use std::borrow::Cow;

/// One header field as it stands in a mail.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field<'a> {
    /// The name without the colon; empty for a line that is no field.
    pub(crate) name: &'a [u8],
    /// What follows the colon, folding included, without the last line end.
    pub(crate) value: &'a [u8],
    /// All of it, line ends included.
    pub(crate) raw: &'a [u8],
}

impl<'a> Field<'a> {
    /// Whether the field has this name, in any case.
    pub(crate) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    /// The value on one line, trimmed.
    pub(crate) fn unfolded(&self) -> Cow<'a, [u8]> {
        unfold(self.value)
    }

    /// The value on one line as text.
    pub(crate) fn text(&self) -> Cow<'a, str> {
        match self.unfolded() {
            Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
            Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
        }
    }

    fn new(raw: &'a [u8]) -> Self {
        let colon = memchr::memchr2(b':', b'\n', raw).filter(|&at| raw[at] == b':');
        let (name, value) = match colon {
            Some(at) => (raw[..at].trim_ascii_end(), &raw[at + 1..]),
            None => (&raw[..0], &raw[..0]),
        };
        // White space within a name makes the line no field (mbox's `From ` line, stray text).
        let name = if name.iter().any(|b| b.is_ascii_whitespace()) { &name[..0] } else { name };
        Self { name, value: strip_line_end(value), raw }
    }
}

/// The fields of a header. Give it the header alone; it ends at the first empty line.
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(crate) fn of(header: &'a [u8]) -> Self {
        Self { rest: header }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        if self.rest.is_empty() || is_empty_line(line(self.rest)) {
            return None;
        }
        let mut end = line(self.rest).len();
        while matches!(self.rest.get(end), Some(b' ' | b'\t'))
            && !is_empty_line(line(&self.rest[end..]))
        {
            end += line(&self.rest[end..]).len();
        }
        let (raw, rest) = self.rest.split_at(end);
        self.rest = rest;
        Some(Field::new(raw))
    }
}

/// The first line of some bytes, line end included.
pub(crate) fn line(bytes: &[u8]) -> &[u8] {
    memchr::memchr(b'\n', bytes).map_or(bytes, |at| &bytes[..=at])
}

/// Whether a line holds nothing but its end.
pub(crate) fn is_empty_line(line: &[u8]) -> bool {
    matches!(line, b"\r\n" | b"\n")
}

/// A line without CRLF or LF at its end.
pub(crate) fn strip_line_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Where the body begins: after the first empty line, or at the end.
pub(crate) fn header_length(raw: &[u8]) -> usize {
    let mut at = 0;
    while at < raw.len() {
        let line = line(&raw[at..]);
        at += line.len();
        if is_empty_line(line) {
            break;
        }
    }
    at
}

/// A field value on one line (RFC 5322 §2.2.3), trimmed; NUL, which IMAP strings cannot hold, is
/// dropped.
pub(crate) fn unfold(value: &[u8]) -> Cow<'_, [u8]> {
    let value = value.trim_ascii();
    if memchr::memchr3(b'\r', b'\n', 0, value).is_none() {
        return Cow::Borrowed(value);
    }
    Cow::Owned(value.iter().copied().filter(|b| !matches!(b, b'\r' | b'\n' | 0)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(header: &[u8]) -> Vec<String> {
        Fields::of(header).map(|f| String::from_utf8_lossy(f.name).into_owned()).collect()
    }

    #[test]
    fn finds_fields_whatever_the_line_ends() {
        let header = b"A: 1\r\nB : 2\n\tand 3\r\njunk\nC:\r\n\r\nD: body\r\n";
        assert_eq!(names(header), ["A", "B", "", "C"]);
        let folded = Fields::of(header).nth(1).unwrap();
        assert_eq!(&*folded.unfolded(), b"2\tand 3");
        assert_eq!(header_length(header), header.len() - b"D: body\r\n".len());
    }

    #[test]
    fn an_mbox_line_is_no_field() {
        assert_eq!(names(b"From a@b.test Mon Jan 1 10:00:00\nFrom: a@b.test\n"), ["", "From"]);
    }

    #[test]
    fn fields_cover_the_header_byte_for_byte() {
        let header = b"A: 1\r\n x\r\nB\r\n\tC: d\n";
        let joined: Vec<u8> = Fields::of(header).flat_map(|f| f.raw.to_vec()).collect();
        assert_eq!(joined, header);
    }
}
