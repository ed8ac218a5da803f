//! Reading a server's replies (RFC 5321 §4.2).

use crate::line::{Front, front};
use thiserror::Error;
use wardpost_mail::{EnhancedStatus, Reply};

/// Longest reply line taken; RFC 5321 §4.5.3.1.5 allows 512 octets, real servers write more.
const MAX_LINE: usize = 4096;
/// Most lines taken in one reply.
const MAX_LINES: usize = 200;

/// Lines kept of a reply that is going to be written down and told.
const KEPT_LINES: usize = 10;
/// Characters kept of each of them.
const KEPT_TEXT: usize = 256;

/// Cuts a reply to what a person would read: it is kept with each recipient, and strangers wrote it.
pub(crate) fn shorten(reply: &mut Reply) {
    reply.lines.truncate(KEPT_LINES);
    for line in &mut reply.lines {
        if let Some((end, _)) = line.char_indices().nth(KEPT_TEXT) {
            line.truncate(end);
        }
    }
}

/// Why bytes are not a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ReplyError {
    /// A line does not begin with a reply code and a space or hyphen.
    #[error("a line has no reply code")]
    Syntax,
    /// The lines of one reply carry different codes.
    #[error("the lines of a reply have different codes")]
    MixedCodes,
    /// A CR or LF stands alone.
    #[error("a line does not end with CRLF")]
    BareLineEnd,
    /// The reply is longer than anyone needs.
    #[error("the reply is too long")]
    TooLong,
}

/// Cuts a byte stream into replies.
#[derive(Debug, Default)]
pub struct ReplyReader {
    buffer: Vec<u8>,
    /// The lines of the reply that is not complete yet.
    partial: Option<Reply>,
}

impl ReplyReader {
    /// Takes bytes from the wire.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Whether nothing is waiting to be read.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty() && self.partial.is_none()
    }

    /// The next whole reply, if it is there.
    ///
    /// # Errors
    /// When the bytes are not a reply.
    pub fn next_reply(&mut self) -> Result<Option<Reply>, ReplyError> {
        loop {
            let length = match front(&self.buffer) {
                Front::Line(length) if length <= MAX_LINE => length,
                Front::Line(_) => return Err(ReplyError::TooLong),
                Front::Incomplete if self.buffer.len() > MAX_LINE => {
                    return Err(ReplyError::TooLong);
                }
                Front::Incomplete => return Ok(None),
                Front::BareLineEnd => return Err(ReplyError::BareLineEnd),
            };
            let line = Line::parse(&self.buffer[..length])?;
            self.buffer.drain(..length + 2);
            let last = line.last;
            self.add(line)?;
            if last {
                return Ok(self.partial.take());
            }
        }
    }

    fn add(&mut self, line: Line) -> Result<(), ReplyError> {
        match &mut self.partial {
            None => {
                self.partial = Some(Reply {
                    code: line.code,
                    enhanced: line.enhanced,
                    lines: vec![line.text],
                });
            }
            Some(reply) if reply.code != line.code => return Err(ReplyError::MixedCodes),
            Some(reply) if reply.lines.len() >= MAX_LINES => return Err(ReplyError::TooLong),
            Some(reply) => reply.lines.push(line.text),
        }
        Ok(())
    }
}

/// `Reply-code [ SP / "-" textstring ]`, the text with its enhanced status (RFC 2034 §4) taken off.
struct Line {
    code: u16,
    last: bool,
    enhanced: Option<EnhancedStatus>,
    text: String,
}

impl Line {
    fn parse(line: &[u8]) -> Result<Self, ReplyError> {
        let (code, rest) = line.split_at_checked(3).ok_or(ReplyError::Syntax)?;
        let [first @ b'2'..=b'5', second @ b'0'..=b'9', third @ b'0'..=b'9'] = code else {
            return Err(ReplyError::Syntax);
        };
        let digit = |byte: &u8| u16::from(byte - b'0');
        let code = digit(first) * 100 + digit(second) * 10 + digit(third);
        let (last, text) = match rest.split_first() {
            None | Some((b' ', _)) => (true, rest.get(1..).unwrap_or_default()),
            Some((b'-', text)) => (false, text),
            Some(_) => return Err(ReplyError::Syntax),
        };
        let text = String::from_utf8_lossy(text);
        let (enhanced, text) = split_enhanced(code, &text);
        Ok(Self { code, last, enhanced, text: text.to_owned() })
    }
}

/// An enhanced status counts only when its class is the reply's own (RFC 2034 §4).
fn split_enhanced(code: u16, text: &str) -> (Option<EnhancedStatus>, &str) {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    match word.parse::<EnhancedStatus>() {
        Ok(status) if u16::from(status.class) == code / 100 => (Some(status), rest),
        _ => (None, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(bytes: &[u8]) -> Result<Option<Reply>, ReplyError> {
        let mut reader = ReplyReader::default();
        reader.receive(bytes);
        reader.next_reply()
    }

    #[test]
    fn reads_replies_of_one_and_many_lines() {
        let reply = read(b"250-mx.test\r\n250-SIZE 10\r\n250 8BITMIME\r\n").unwrap().unwrap();
        assert_eq!((reply.code, reply.lines.len()), (250, 3));
        let reply = read(b"550 5.1.1 no such user\r\n").unwrap().unwrap();
        assert_eq!(reply.enhanced, Some(EnhancedStatus::new(5, 1, 1)));
        assert_eq!(reply.lines, ["no such user"]);
        assert_eq!(read(b"250\r\n").unwrap().unwrap().lines, [""]);
        assert_eq!(read(b"450 5.1.1 x\r\n").unwrap().unwrap().enhanced, None);
        assert_eq!(read(b"250-a\r\n250").unwrap(), None);
    }

    #[test]
    fn refuses_what_is_no_reply() {
        assert_eq!(read(b"HTTP/1.1 200 OK\r\n"), Err(ReplyError::Syntax));
        assert_eq!(read(b"150 x\r\n"), Err(ReplyError::Syntax));
        assert_eq!(read(b"250x\r\n"), Err(ReplyError::Syntax));
        assert_eq!(read(b"250-a\r\n550 b\r\n"), Err(ReplyError::MixedCodes));
        assert_eq!(read(b"250 a\n"), Err(ReplyError::BareLineEnd));
        assert_eq!(read(&[b'2'; 5000]), Err(ReplyError::TooLong));
        assert_eq!(read(&b"250-a\r\n".repeat(300)), Err(ReplyError::TooLong));
    }

    #[test]
    fn what_is_kept_of_a_reply_is_short() {
        let mut reply = Reply::plain(550, "\u{e9}".repeat(4000));
        reply.lines = vec![reply.lines[0].clone(); 200];
        shorten(&mut reply);
        assert_eq!(reply.lines.len(), KEPT_LINES);
        assert!(reply.lines.iter().all(|line| line.chars().count() == KEPT_TEXT));
    }

    proptest! {
        #[test]
        fn what_we_write_reads_back(code in 200..600u16, detail in 0..10u16, lines in proptest::collection::vec("[ -~]{0,20}", 1..4)) {
            let status = EnhancedStatus::new((code / 100) as u8, 1, detail);
            let reply = Reply { code, enhanced: (code / 100 != 3).then_some(status), lines };
            prop_assume!(reply.enhanced.is_some() || reply.lines.iter().all(|l| !l.starts_with('3')));
            let mut wire = Vec::new();
            reply.write_to(&mut wire);
            prop_assert_eq!(read(&wire).unwrap().unwrap(), reply);
        }

        #[test]
        fn splits_do_not_matter(bytes in "(2[0-9]{2}[- ]a?\r?\n?){0,4}", split in 0..20usize) {
            let whole = read(bytes.as_bytes());
            let (a, b) = bytes.as_bytes().split_at(split.min(bytes.len()));
            let mut reader = ReplyReader::default();
            reader.receive(a);
            let parts = match reader.next_reply() {
                Ok(None) => { reader.receive(b); reader.next_reply() }
                early => early,
            };
            prop_assert_eq!(parts, whole);
        }
    }
}
