//! Reading a server's replies (RFC 5321 §4.2).

use thiserror::Error;
use wardpost_mail::Reply;

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
pub struct ReplyReader {}

impl ReplyReader {
    /// Takes bytes from the wire.
    pub fn receive(&mut self, _bytes: &[u8]) {
        unimplemented!()
    }

    /// The next whole reply, if it is there.
    ///
    /// # Errors
    /// When the bytes are not a reply.
    pub fn next_reply(&mut self) -> Result<Option<Reply>, ReplyError> {
        unimplemented!()
    }
}
