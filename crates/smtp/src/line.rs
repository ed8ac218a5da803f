//! Cutting command lines out of the stream. A line ends with CRLF; anything else that looks like a
//! line end is an attack or a broken client, and ends the session (RFC 5321 §2.3.8).

use memchr::memchr2;

/// What the front of a buffer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Front {
    /// A line of this many octets, CRLF not counted.
    Line(usize),
    /// No line end yet.
    Incomplete,
    /// A CR or an LF that stands alone.
    BareLineEnd,
}

/// Looks for the end of the first line. The result depends on the bytes alone, not on how they came.
pub(crate) fn front(buffer: &[u8]) -> Front {
    match memchr2(b'\r', b'\n', buffer) {
        None => Front::Incomplete,
        Some(at) if buffer[at] == b'\n' => Front::BareLineEnd,
        Some(at) => match buffer.get(at + 1) {
            None => Front::Incomplete,
            Some(b'\n') => Front::Line(at),
            Some(_) => Front::BareLineEnd,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_crlf_ends_a_line() {
        assert_eq!(front(b"NOOP\r\nQUIT\r\n"), Front::Line(4));
        assert_eq!(front(b"\r\n"), Front::Line(0));
        assert_eq!(front(b"NOOP"), Front::Incomplete);
        assert_eq!(front(b"NOOP\r"), Front::Incomplete);
        assert_eq!(front(b"NOOP\n"), Front::BareLineEnd);
        assert_eq!(front(b"NO\rOP\r\n"), Front::BareLineEnd);
        assert_eq!(front(b"NOOP\r\r\n"), Front::BareLineEnd);
    }
}
