//! A mail transaction as far as the session looks after it: the envelope that was agreed on and the
//! message as it comes in, never more of it than the limit.

use super::Refusal;
use super::profile::{Profile, bad_sequence, reply};
use crate::data::{ChunkGuard, DataError, DotReader};
use wardpost_mail::{Envelope, Reply};

/// Most room set aside at once on the word of a SIZE parameter.
const MAX_RESERVE: usize = 1024 * 1024;

/// Why a message is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    TooLarge,
    Text(DataError),
}

/// From an accepted MAIL to the message's end.
#[derive(Debug)]
pub(super) struct Transaction {
    pub(super) envelope: Envelope,
    declared: usize,
    message: Vec<u8>,
    guard: Option<ChunkGuard>,
    fault: Option<Fault>,
}

impl Transaction {
    pub(super) fn new(envelope: Envelope, declared: Option<u64>) -> Self {
        let declared = declared.and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
        Self { envelope, declared, message: Vec::new(), guard: None, fault: None }
    }

    /// Whether BDAT has begun; DATA may then not follow (RFC 3030 §2).
    pub(super) fn in_chunks(&self) -> bool {
        self.guard.is_some()
    }

    /// How many octets of the message are held.
    pub(super) fn message_len(&self) -> usize {
        self.message.len()
    }

    /// Makes room for the message.
    pub(super) fn begin_data(&mut self) {
        self.message.reserve(self.declared.min(MAX_RESERVE));
    }

    /// Begins, or goes on with, chunks. A chunk that would pass the limit is a fault before it comes.
    pub(super) fn begin_chunk(&mut self, size: u64, profile: &Profile) {
        if self.guard.is_none() {
            self.begin_data();
            self.guard = Some(ChunkGuard::new(profile.max_line));
        }
        let room = (profile.max_size - self.message.len().min(profile.max_size)) as u64;
        if size > room {
            self.fail(Fault::TooLarge);
        }
    }

    /// Takes octets of a chunk.
    pub(super) fn chunk(&mut self, part: &[u8]) {
        if self.fault.is_some() {
            return;
        }
        match self.guard.as_mut().map_or(Ok(()), |guard| guard.check(part)) {
            Ok(()) => self.message.extend_from_slice(part),
            Err(error) => self.fail(Fault::Text(error)),
        }
    }

    /// The last chunk is in.
    pub(super) fn end_chunks(&mut self) {
        if let Some(Err(error)) = self.guard.as_ref().map(ChunkGuard::finish) {
            self.fail(Fault::Text(error));
        }
    }

    /// Reads on after DATA; tells how many octets were taken and whether the end was among them.
    pub(super) fn data(
        &mut self,
        reader: &mut DotReader,
        input: &[u8],
        profile: &Profile,
    ) -> (usize, bool) {
        let chunk = reader.read(input, &mut self.message);
        if let Some(error) = reader.fault() {
            self.fail(Fault::Text(error));
        }
        if self.message.len() > profile.max_size {
            self.fail(Fault::TooLarge);
        }
        if self.fault.is_some() {
            self.message = Vec::new();
        }
        (chunk.consumed, chunk.ended)
    }

    fn fail(&mut self, fault: Fault) {
        self.fault.get_or_insert(fault);
        self.message = Vec::new();
    }

    /// Why the message will not be taken, as far as is known by now.
    pub(super) fn refused(&self, profile: &Profile) -> Option<(Refusal, Reply)> {
        match self.fault? {
            Fault::TooLarge => Some((Refusal::Size, too_large(profile))),
            Fault::Text(error @ (DataError::BareLf | DataError::BareCr)) => {
                Some((Refusal::LineEnds, reply(550, (5, 6, 0), &error.to_string())))
            }
            Fault::Text(error) => {
                Some((Refusal::Syntax, reply(550, (5, 6, 0), &error.to_string())))
            }
        }
    }

    /// The envelope and the message.
    pub(super) fn into_parts(self) -> (Envelope, Vec<u8>) {
        (self.envelope, self.message)
    }
}

/// RFC 1870 §6.1, §6.3.
pub(super) fn too_large(profile: &Profile) -> Reply {
    let text = format!("The message is larger than the {} bytes taken here", profile.max_size);
    reply(552, (5, 3, 4), &text)
}

/// The reply to DATA or BDAT outside its place (RFC 5321 §3.3).
pub(super) fn not_now(transaction: Option<&Transaction>) -> Reply {
    match transaction {
        None => bad_sequence("MAIL comes first"),
        Some(_) => reply(554, (5, 5, 1), "No recipient was accepted"),
    }
}
