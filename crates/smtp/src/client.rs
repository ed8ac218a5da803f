//! The client's side of a session, as `courier` drives it.
//!
//! ```text
//! connect      → Greeting → ehlo() → Ehlo → starttls() → StartTls(220)
//! TLS done     → tls_started() → ehlo() → Ehlo
//! transaction  → mail(envelope, size) → Mail, Recipient(0), Recipient(1), …, SendMessage
//!                → message(chunk)…, end_of_message() → Done
//! afterwards   → mail(…) again, or quit() → Quit
//! ```
//! After each call the driver writes [`ClientSession::take_output`] to the wire. MAIL and RCPT go out in
//! one write when the server pipelines, one by one otherwise; the events are the same. The message
//! goes as one BDAT chunk when CHUNKING was announced and by DATA with dot-stuffing otherwise.

use crate::Capabilities;
use thiserror::Error;
use wardpost_mail::{Domain, Envelope, Reply};

/// What the server said, or what it is now time to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientEvent {
    /// The greeting: 220, or the server will not serve (RFC 5321 §3.1).
    Greeting(Reply),
    /// The reply to EHLO; when positive, [`ClientSession::capabilities`] is new. An EHLO refused with
    /// 500/502 has been followed by HELO already and is not told.
    Ehlo(Reply),
    /// The reply to STARTTLS; on 220 the TLS handshake begins now.
    StartTls(Reply),
    /// The reply to MAIL. When negative the transaction is over: no other event of it follows.
    Mail(Reply),
    /// The reply to the RCPT of the envelope's recipient with this index.
    Recipient {
        /// Index in `Envelope::to`.
        index: usize,
        /// Its reply.
        reply: Reply,
    },
    /// At least one recipient was taken and the server waits for the message: send it with
    /// [`ClientSession::message`] and [`ClientSession::end_of_message`].
    SendMessage,
    /// The transaction's end. `Some` is the server's word on the message for all recipients that were
    /// taken (final reply, or a refused DATA); `None`: no recipient was taken, nothing was sent.
    Done(Option<Reply>),
    /// The reply to RSET.
    Reset(Reply),
    /// The reply to QUIT, the session's last.
    Quit(Reply),
}

/// Why the session cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ClientError {
    /// What the server sent is not an SMTP reply.
    #[error("the server's answer is not SMTP: {0}")]
    Reply(#[from] crate::ReplyError),
    /// A reply came that answers nothing.
    #[error("the server sent a reply to nothing")]
    Unexpected,
    /// Bytes followed the 220 to STARTTLS before the handshake (RFC 3207 §6: injected plaintext).
    #[error("the server sent plaintext after STARTTLS")]
    InjectedPlaintext,
    /// 421 (RFC 5321 §3.8): the server closes the channel.
    #[error("the server closes the connection: {0}")]
    Closing(Reply),
}

/// Why a message cannot be offered to this server at all. Each is a lasting failure for all recipients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Unsendable {
    /// The message is greater than the server's SIZE (RFC 1870 §5).
    #[error("the message is larger than the {limit} bytes that the server takes")]
    TooLarge {
        /// The announced limit in octets.
        limit: u64,
    },
    /// SMTPUTF8 is needed and not announced (RFC 6531 §3.2).
    #[error("the server does not take international addresses")]
    SmtpUtf8,
    /// REQUIRETLS is needed and not announced (RFC 8689 §4.2.1).
    #[error("the server does not take REQUIRETLS")]
    RequireTls,
}

/// A client session over one connection.
pub struct ClientSession {
    capabilities: Capabilities,
}

impl ClientSession {
    /// A session that waits for the greeting. `our_name` is what EHLO says.
    pub fn new(_our_name: &Domain) -> Self {
        unimplemented!()
    }

    /// Takes bytes from the wire.
    pub fn receive(&mut self, _bytes: &[u8]) {
        unimplemented!()
    }

    /// The next event, or `None` until more bytes come. Events may leave bytes to write in
    /// [`Self::take_output`].
    ///
    /// # Errors
    /// When the server breaks the protocol or closes with 421; the connection is then useless.
    pub fn next_event(&mut self) -> Result<Option<ClientEvent>, ClientError> {
        unimplemented!()
    }

    /// Whether bytes wait to be written.
    pub fn has_output(&self) -> bool {
        unimplemented!()
    }

    /// Takes the bytes that must be written to the wire.
    pub fn take_output(&mut self) -> Vec<u8> {
        unimplemented!()
    }

    /// Says EHLO.
    pub fn ehlo(&mut self) {
        unimplemented!()
    }

    /// What the last EHLO reply announced; empty before it, after HELO and after TLS began.
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// Says STARTTLS.
    pub fn starttls(&mut self) {
        unimplemented!()
    }

    /// TLS is up: everything learned before is forgotten (RFC 3207 §4.2). EHLO comes next.
    ///
    /// # Errors
    /// When the server had sent more than its 220 in clear.
    pub fn tls_started(&mut self) -> Result<(), ClientError> {
        unimplemented!()
    }

    /// Begins a transaction for all of `envelope`'s recipients; `size` is the message's in octets.
    /// DSN, BODY, SIZE, SMTPUTF8 parameters are sent as far as the server announced them.
    ///
    /// # Errors
    /// When the server cannot take the message at all; nothing was written then.
    pub fn mail(&mut self, _envelope: &Envelope, _size: u64) -> Result<(), Unsendable> {
        unimplemented!()
    }

    /// Sends a part of the message (after [`ClientEvent::SendMessage`]); any split is right. Write
    /// [`Self::take_output`] after each part to keep memory small. All parts together must be exactly
    /// the `size` that [`Self::mail`] was told.
    pub fn message(&mut self, _part: &[u8]) {
        unimplemented!()
    }

    /// Ends the message.
    pub fn end_of_message(&mut self) {
        unimplemented!()
    }

    /// Says RSET.
    pub fn reset(&mut self) {
        unimplemented!()
    }

    /// Says QUIT.
    pub fn quit(&mut self) {
        unimplemented!()
    }
}
