//! Message data on the wire: dot-stuffing (RFC 5321 §4.5.2) and the strictness that keeps smuggled
//! messages out.
//!
//! A reader looks at each byte once and copies in runs. It ends on `<CRLF>.<CRLF>` and on nothing
//! else. Data with a fault is read to its end all the same, so that what follows is never taken for
//! commands, and thrown away.
//!
//! Lines longer than the 998 octets of RFC 5322 §2.1.1 are taken up to a limit that the session's
//! profile sets: real senders write them, and nothing here is harmed by them.

use memchr::{memchr2, memchr3};
use thiserror::Error;

/// What makes message data unacceptable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
pub enum DataError {
    /// An LF without a CR before it (RFC 5321 §2.3.8).
    #[error("a line feed stands alone; lines must end with CRLF")]
    BareLf,
    /// A CR without an LF after it.
    #[error("a carriage return stands alone; lines must end with CRLF")]
    BareCr,
    /// A NUL octet (RFC 2045 §2.7, §2.8: neither 7bit nor 8bit data has one).
    #[error("the message has a NUL character")]
    Nul,
    /// A line over the limit.
    #[error("the message has a line that is too long")]
    LineTooLong,
}

/// What [`DotReader::read`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk {
    /// How many octets of the input belong to the data, its end mark included.
    pub consumed: usize,
    /// Whether the end mark was seen.
    pub ended: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    LineStart,
    Text,
    Cr,
    /// After a dot that begins a line.
    Dot,
    /// After a dot that begins a line and a CR.
    DotCr,
}

/// Reads the data after DATA: takes away dot-stuffing and finds the end.
#[derive(Debug)]
pub struct DotReader {
    at: At,
    line: usize,
    max_line: usize,
    fault: Option<DataError>,
}

impl DotReader {
    /// A reader that takes lines of up to `max_line` octets, CRLF not counted.
    pub fn new(max_line: usize) -> Self {
        Self { at: At::LineStart, line: 0, max_line, fault: None }
    }

    /// The first fault that was seen. The data must then be refused once it has ended.
    pub fn fault(&self) -> Option<DataError> {
        self.fault
    }

    /// Reads on; appends to `out` what the message is made of. After a fault nothing is appended.
    pub fn read(&mut self, input: &[u8], out: &mut Vec<u8>) -> Chunk {
        let (mut i, mut run) = (0, 0);
        while let Some(&byte) = input.get(i) {
            match (self.at, byte) {
                (At::LineStart, b'.') => {
                    self.copy(&input[run..i], out);
                    i += 1;
                    self.at = At::Dot;
                }
                (At::LineStart, _) => self.at = At::Text,
                (At::Text, _) => i = self.text(input, i),
                (At::Cr, b'\n') => {
                    i += 1;
                    self.at = At::LineStart;
                    self.line = 0;
                }
                (At::Cr | At::DotCr, b'\r') => {
                    self.fail(DataError::BareCr);
                    i += 1;
                    self.at = At::Cr;
                }
                (At::Cr, _) => {
                    self.fail(DataError::BareCr);
                    self.at = At::Text;
                }
                (At::Dot, b'\r') => {
                    i += 1;
                    self.at = At::DotCr;
                }
                (At::Dot, _) => {
                    run = i;
                    self.at = At::Text;
                }
                (At::DotCr, b'\n') => return Chunk { consumed: i + 1, ended: true },
                (At::DotCr, _) => {
                    self.fail(DataError::BareCr);
                    self.at = At::Text;
                }
            }
        }
        if !matches!(self.at, At::Dot | At::DotCr) {
            self.copy(&input[run..], out);
        }
        Chunk { consumed: input.len(), ended: false }
    }

    /// Goes over text from `i` up to just after the next octet that matters.
    fn text(&mut self, input: &[u8], i: usize) -> usize {
        let rest = &input[i..];
        let found = memchr3(b'\r', b'\n', 0, rest);
        self.line = self.line.saturating_add(found.unwrap_or(rest.len()));
        if self.line > self.max_line {
            self.fail(DataError::LineTooLong);
        }
        match found {
            None => return input.len(),
            Some(n) if rest[n] == b'\r' => self.at = At::Cr,
            Some(n) if rest[n] == b'\n' => self.fail(DataError::BareLf),
            Some(_) => self.fail(DataError::Nul),
        }
        i + found.map_or(0, |n| n + 1)
    }

    fn copy(&self, run: &[u8], out: &mut Vec<u8>) {
        if self.fault.is_none() {
            out.extend_from_slice(run);
        }
    }

    fn fail(&mut self, fault: DataError) {
        self.fault.get_or_insert(fault);
    }
}

/// Checks the text of BDAT chunks, which have lengths and no stuffing (RFC 3030 §2), by the same rules.
#[derive(Debug)]
pub(crate) struct ChunkGuard {
    after_cr: bool,
    line: usize,
    max_line: usize,
}

impl ChunkGuard {
    pub(crate) fn new(max_line: usize) -> Self {
        Self { after_cr: false, line: 0, max_line }
    }

    /// Looks at the next part of the message.
    pub(crate) fn check(&mut self, mut part: &[u8]) -> Result<(), DataError> {
        while !part.is_empty() {
            if self.after_cr {
                part = part.strip_prefix(b"\n").ok_or(DataError::BareCr)?;
                self.after_cr = false;
                self.line = 0;
                continue;
            }
            let found = memchr3(b'\r', b'\n', 0, part);
            self.line = self.line.saturating_add(found.unwrap_or(part.len()));
            if self.line > self.max_line {
                return Err(DataError::LineTooLong);
            }
            match found {
                None => break,
                Some(n) if part[n] == b'\r' => {
                    self.after_cr = true;
                    part = &part[n + 1..];
                }
                Some(n) if part[n] == b'\n' => return Err(DataError::BareLf),
                Some(_) => return Err(DataError::Nul),
            }
        }
        Ok(())
    }

    /// The message is over.
    pub(crate) fn finish(&self) -> Result<(), DataError> {
        if self.after_cr { Err(DataError::BareCr) } else { Ok(()) }
    }
}

/// Where written data stands, as its end mark depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Written {
    /// Nothing yet, or a whole line.
    Line,
    /// A CR that an LF may follow.
    Cr,
    /// A lone LF.
    Lf,
    Text,
}

/// Writes message data for DATA: adds dot-stuffing and the end mark.
#[derive(Debug)]
pub struct DotWriter {
    written: Written,
}

impl Default for DotWriter {
    fn default() -> Self {
        Self { written: Written::Line }
    }
}

impl DotWriter {
    /// Writes a part of the message; any split is right.
    pub fn write(&mut self, part: &[u8], out: &mut Vec<u8>) {
        let mut rest = part;
        while let Some(&first) = rest.first() {
            // A dot after a lone CR or LF is stuffed too: no reader may see an end mark in the text.
            if first == b'.' && self.written != Written::Text {
                out.push(b'.');
            }
            let run = memchr2(b'\r', b'\n', rest).map_or(rest.len(), |n| n + 1);
            out.extend_from_slice(&rest[..run]);
            self.written = match rest[run - 1] {
                b'\r' => Written::Cr,
                b'\n' if run == 1 && self.written == Written::Cr => Written::Line,
                b'\n' => Written::Lf,
                _ => Written::Text,
            };
            rest = &rest[run..];
        }
    }

    /// Ends the message: a last line that has no line end gets one (RFC 5321 §4.1.1.4), then the mark.
    pub fn finish(self, out: &mut Vec<u8>) {
        out.extend_from_slice(match self.written {
            Written::Line => b".\r\n",
            Written::Cr => b"\n.\r\n",
            Written::Lf | Written::Text => b"\r\n.\r\n",
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read_all(input: &[u8]) -> (Vec<u8>, Chunk, Option<DataError>) {
        let (mut reader, mut out) = (DotReader::new(998), Vec::new());
        let chunk = reader.read(input, &mut out);
        (out, chunk, reader.fault())
    }

    #[test]
    fn stuffed_dots_come_off_and_the_mark_ends() {
        let (out, chunk, fault) = read_all(b"a\r\n..b\r\n.c\r\n.\r\nQUIT\r\n");
        assert_eq!(out, b"a\r\n.b\r\nc\r\n");
        assert_eq!(chunk, Chunk { consumed: 15, ended: true });
        assert_eq!(fault, None);
        assert_eq!(read_all(b".\r\n").0, b"");
    }

    #[test]
    fn no_kin_of_the_end_mark_ends_data() {
        for (input, fault) in [
            (&b"a\n.\r\nMAIL FROM:<x@y.test>\r\n"[..], DataError::BareLf),
            (b"a\r\n.\nMAIL\r\n", DataError::BareLf),
            (b"a\n.\nMAIL\r\n", DataError::BareLf),
            (b"a\r.\r\nMAIL\r\n", DataError::BareCr),
            (b"a\r\n.\rMAIL\r\n", DataError::BareCr),
            (b"a\r.\rMAIL\r\n", DataError::BareCr),
            (b"a\r\n\0.\r\nMAIL\r\n", DataError::Nul),
            (b"a\r\n.\0\r\nMAIL\r\n", DataError::Nul),
            (b"a\n\r.\n\rMAIL\r\n", DataError::BareLf),
            (b"a\r\n.\r\r\nMAIL\r\n", DataError::BareCr),
        ] {
            let (_, chunk, found) = read_all(input);
            assert!(!chunk.ended, "{input:?}");
            assert_eq!(found, Some(fault), "{input:?}");
        }
    }

    #[test]
    fn faulty_data_still_ends_at_its_true_end() {
        let (_, chunk, fault) = read_all(b"a\n.\r\nb\r\n.\r\nQUIT\r\n");
        assert_eq!((chunk.consumed, chunk.ended), (11, true));
        assert_eq!(fault, Some(DataError::BareLf));
    }

    #[test]
    fn long_lines_are_bounded() {
        let mut line = vec![b'x'; 998];
        line.extend_from_slice(b"\r\n.\r\n");
        assert_eq!(read_all(&line).2, None);
        line.insert(0, b'x');
        assert_eq!(read_all(&line).2, Some(DataError::LineTooLong));
    }

    #[test]
    fn chunk_guard_keeps_the_same_rules_across_parts() {
        let mut guard = ChunkGuard::new(998);
        assert_eq!(guard.check(b"a\r"), Ok(()));
        assert_eq!(guard.finish(), Err(DataError::BareCr));
        assert_eq!(guard.check(b"\nb\r\n"), Ok(()));
        assert_eq!(guard.check(b"\n"), Err(DataError::BareLf));
        assert_eq!(ChunkGuard::new(9).check(b"\ra"), Err(DataError::BareCr));
        assert_eq!(ChunkGuard::new(9).check(b"a\0"), Err(DataError::Nul));
        assert_eq!(ChunkGuard::new(9).check(b"0123456789"), Err(DataError::LineTooLong));
    }

    /// Text whose lines end with CRLF, with many dots where they hurt.
    fn message() -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec("[.a ]{0,4}", 0..12).prop_map(|lines| {
            lines.iter().flat_map(|line| format!("{line}\r\n").into_bytes()).collect()
        })
    }

    proptest! {
        #[test]
        fn what_the_client_stuffs_the_server_reads_back(message in message(), split in 0..64usize) {
            let (mut writer, mut wire) = (DotWriter::default(), Vec::new());
            let (a, b) = message.split_at(split.min(message.len()));
            writer.write(a, &mut wire);
            writer.write(b, &mut wire);
            writer.finish(&mut wire);
            let (out, chunk, fault) = read_all(&wire);
            prop_assert_eq!((out, chunk.consumed, chunk.ended, fault), (message, wire.len(), true, None));
        }

        #[test]
        fn no_message_can_end_itself(
            message in proptest::collection::vec(prop_oneof![Just(b'.'), Just(b'\r'), Just(b'\n'), any::<u8>()], 0..40),
        ) {
            let (mut writer, mut wire) = (DotWriter::default(), Vec::new());
            writer.write(&message, &mut wire);
            writer.finish(&mut wire);
            prop_assert_eq!(read_all(&wire).1, Chunk { consumed: wire.len(), ended: true });
        }

        #[test]
        fn splits_do_not_matter(
            input in proptest::collection::vec(prop_oneof![Just(b'.'), Just(b'\r'), Just(b'\n'), Just(b'x'), Just(0)], 0..40),
            split in 0..40usize,
        ) {
            let whole = read_all(&input);
            let (mut reader, mut out) = (DotReader::new(998), Vec::new());
            let (a, b) = input.split_at(split.min(input.len()));
            let mut chunk = reader.read(a, &mut out);
            if !chunk.ended {
                let next = reader.read(b, &mut out);
                chunk = Chunk { consumed: chunk.consumed + next.consumed, ended: next.ended };
            }
            prop_assert_eq!((chunk, reader.fault()), (whole.1, whole.2));
            if whole.2.is_none() {
                prop_assert_eq!(out, whole.0);
            }
        }
    }
}
