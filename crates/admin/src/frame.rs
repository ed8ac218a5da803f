//! Lines of JSON, bounded, in buffers that are wiped.

use serde::Serialize;
use std::io;
use wardpost_mail::Secret;

/// Longest request, in octets.
pub(crate) const MAX_REQUEST: usize = 64 << 10;
/// Longest answer, in octets: a list of ten thousands of items.
pub(crate) const MAX_ANSWER: usize = 64 << 20;
/// Octets read at once.
pub(crate) const CHUNK: usize = 8 << 10;

/// What was read and not yet taken. Wiped when dropped, and where it shrinks.
pub(crate) struct Lines {
    buffer: Secret<Vec<u8>>,
    limit: usize,
}

impl Lines {
    pub(crate) fn new(limit: usize) -> Self {
        Self { buffer: Secret::new(Vec::with_capacity(CHUNK)), limit }
    }

    /// Adds octets that were read.
    ///
    /// # Errors
    /// When a line grows over the limit.
    pub(crate) fn push(&mut self, octets: &[u8]) -> io::Result<()> {
        let held = self.buffer.expose().len();
        if held + octets.len() > self.limit + CHUNK {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the line is too long"));
        }
        if held + octets.len() > self.buffer.expose().capacity() {
            // Growing in place would leave an unwiped copy behind.
            let mut larger = Vec::with_capacity(2 * (held + octets.len()));
            larger.extend_from_slice(self.buffer.expose());
            self.buffer = Secret::new(larger);
        }
        self.buffer.expose_mut().extend_from_slice(octets);
        Ok(())
    }

    /// Takes the first whole line, without its end.
    pub(crate) fn take(&mut self) -> Option<Secret<Vec<u8>>> {
        let end = self.buffer.expose().iter().position(|octet| *octet == b'\n')?;
        let line = Secret::new(self.buffer.expose()[..end].to_vec());
        let rest = Secret::new(self.buffer.expose()[end + 1..].to_vec());
        self.buffer = rest;
        Some(line)
    }
}

/// A value as one line.
///
/// # Errors
/// When it cannot be written as JSON.
pub(crate) fn line(value: &impl Serialize) -> io::Result<Secret<Vec<u8>>> {
    // serde_json writes no line ends of its own and escapes those in texts.
    let mut line = Secret::new(Vec::with_capacity(CHUNK));
    serde_json::to_writer(&mut *line.expose_mut(), value)?;
    line.expose_mut().push(b'\n');
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn lines_come_out_as_they_went_in_however_they_are_cut(
            texts in proptest::collection::vec("[^\n]{0,50}", 0..6), cut in 1usize..20,
        ) {
            let sent: String = texts.iter().map(|text| format!("{text}\n")).collect();
            let mut lines = Lines::new(1000);
            let mut got = Vec::new();
            for chunk in sent.as_bytes().chunks(cut) {
                lines.push(chunk).unwrap();
                while let Some(line) = lines.take() {
                    got.push(String::from_utf8(line.expose().clone()).unwrap());
                }
            }
            prop_assert_eq!(got, texts);
        }
    }

    #[test]
    fn an_endless_line_is_refused() {
        let mut lines = Lines::new(100);
        let chunk = [b'x'; CHUNK];
        assert!(lines.push(&chunk).is_ok());
        assert!(lines.push(&chunk).is_err());
    }
}
