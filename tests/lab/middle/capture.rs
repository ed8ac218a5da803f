//! What went past.

use std::sync::{Mutex, PoisonError};

/// Who sent something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The client, on the wire.
    FromClient,
    /// The server, on the wire.
    FromServer,
    /// The client, decrypted.
    OpenedFromClient,
}

/// One connection's bytes.
#[derive(Debug, Clone, Default)]
pub struct Capture {
    /// Every piece in the order of its coming.
    pub pieces: Vec<(Direction, Vec<u8>)>,
}

impl Capture {
    /// All that came from one side, in one piece.
    pub fn all(&self, from: Direction) -> Vec<u8> {
        let wanted = self.pieces.iter().filter(|(direction, _)| *direction == from);
        wanted.flat_map(|(_, piece)| piece.iter().copied()).collect()
    }

    /// What the server said, piece by piece.
    pub fn server_pieces(&self) -> Vec<Vec<u8>> {
        let from_server =
            |(direction, _): &&(Direction, Vec<u8>)| *direction == Direction::FromServer;
        self.pieces.iter().filter(from_server).map(|(_, piece)| piece.clone()).collect()
    }

    /// Whether the client said `text`, on the wire or inside what was decrypted, in any case of letters.
    pub fn client_said(&self, text: &str) -> bool {
        [Direction::FromClient, Direction::OpenedFromClient].into_iter().any(|from| {
            let all = self.all(from);
            all.windows(text.len()).any(|window| window.eq_ignore_ascii_case(text.as_bytes()))
        })
    }

    /// What the client said, as text, with everything unprintable as dots.
    pub fn client_text(&self) -> String {
        let mut all = self.all(Direction::FromClient);
        all.extend(self.all(Direction::OpenedFromClient));
        let shown = |b: u8| if b == b'\n' || (32..127).contains(&b) { b as char } else { '.' };
        all.into_iter().map(shown).collect()
    }
}

/// A capture in the making.
#[derive(Debug, Default)]
pub(super) struct Record(Mutex<Capture>);

impl Record {
    pub(super) fn add(&self, direction: Direction, bytes: &[u8]) {
        let mut capture = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        capture.pieces.push((direction, bytes.to_vec()));
    }

    pub(super) fn capture(&self) -> Capture {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
