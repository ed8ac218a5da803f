//! One connection: bytes in and out, with time limits and little memory.
//!
//! A session that waits holds no buffers: input is read into the stack of the poll that finds it and
//! fed to the framer at once, and the output buffer is given back when it has been written. What is
//! read is never lost when a wait is cancelled, because the wait itself holds nothing.

use crate::outcome::Failure;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Poll, ready};
use std::time::Duration;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, sleep_until, timeout};
use wardpost_directory::Revocation;
use wardpost_imap_wire::{Announced, Code, Event, FrameError, Framer, Limits, Status, Tag, write};
use wardpost_mail::Secret;
use wardpost_net::{Shutdown, Stream};

/// Octets read at a time: the payload of a full TLS record.
const READ: usize = 16 * 1024;
/// Octets of answers gathered before they are written.
const WRITE: usize = 32 * 1024;
/// How long the client may take to accept one write.
const WRITE_TIMEOUT: Duration = Duration::from_secs(120);
/// How long the client may take for each piece of a message it appends.
const LITERAL_TIMEOUT: Duration = Duration::from_secs(300);
/// How long the last words may take.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a connection ends.
#[derive(Debug, Error)]
pub(crate) enum End {
    /// The client logged out.
    #[error("logged out")]
    Logout,
    /// The client closed the connection, or it broke.
    #[error("closed by the client")]
    Gone,
    /// The client was silent for too long (RFC 9051 §5.4).
    #[error("timed out")]
    TimedOut,
    /// The server stops.
    #[error("the server is shutting down")]
    ShuttingDown,
    /// The credential that opened the session was taken away.
    #[error("the credential was revoked")]
    Revoked,
    /// Input that leaves no way on.
    #[error(transparent)]
    Input(#[from] FrameError),
    /// Too many commands that could not be read, or too many tries to log in.
    #[error("too many errors")]
    TooManyErrors,
    /// Another session deleted the mailbox that is selected (RFC 2180 §3.3).
    #[error("the selected mailbox was deleted")]
    MailboxDeleted,
}

impl End {
    /// The text of the untagged BYE, where one is due.
    fn farewell(&self) -> Option<&'static str> {
        match self {
            Self::Logout | Self::Gone => None,
            Self::TimedOut => Some("Idle for too long"),
            Self::ShuttingDown => Some("The server is shutting down; come back in a moment"),
            Self::Revoked => Some("This credential is no longer valid"),
            Self::Input(FrameError::LineTooLong) => Some("Command line too long"),
            Self::Input(FrameError::LiteralTooBig) => Some("Literal too big"),
            Self::TooManyErrors => Some("Too many errors"),
            Self::MailboxDeleted => Some("The selected mailbox was deleted by another session"),
        }
    }
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

/// What a client sends next.
#[derive(Debug)]
pub(crate) enum Input {
    /// A whole command.
    Command(Secret<Vec<u8>>),
    /// An APPEND up to its message, which waits to be taken or refused.
    Append { head: Vec<u8>, message: Announced },
    /// A command whose literal was too big and was not sent.
    TooBig(Option<Tag>),
}

/// A connection and what may end it from outside.
pub(crate) struct Connection {
    stream: Stream,
    framer: Framer,
    out: Vec<u8>,
    received: u64,
    shutdown: Shutdown,
    revocation: Option<Revocation>,
}

impl Connection {
    pub(crate) fn new(stream: Stream, shutdown: Shutdown) -> Self {
        let framer = Framer::new(Limits::STRANGER);
        Self { stream, framer, out: Vec::new(), received: 0, shutdown, revocation: None }
    }

    /// Somebody has logged in: other limits hold, and the session ends with its credential.
    pub(crate) fn trust(&mut self, limits: Limits, revocation: Revocation) {
        self.framer.set_limits(limits);
        self.revocation = Some(revocation);
    }

    /// Octets received so far.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// Where answers are written. Call [`Connection::relieve`] now and then while writing many.
    pub(crate) fn out(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Writes an untagged OK.
    pub(crate) fn untagged_ok(&mut self, code: Code, text: &str) {
        write::status(&mut self.out, None, Status::Ok, Some(&code), text);
    }

    /// Writes `* words`.
    pub(crate) fn untagged(&mut self, words: &str) {
        self.out.extend_from_slice(b"* ");
        self.out.extend_from_slice(words.as_bytes());
        self.out.extend_from_slice(b"\r\n");
    }

    /// Writes a command continuation request (RFC 9051 §7.6).
    pub(crate) fn go_on(&mut self, text: &str) {
        self.out.extend_from_slice(b"+ ");
        self.out.extend_from_slice(text.as_bytes());
        self.out.extend_from_slice(b"\r\n");
    }

    /// Sends what has gathered, if it is much: answers of any length need little memory, and a slow
    /// client slows down who writes to it.
    pub(crate) async fn relieve(&mut self) -> Result<(), End> {
        if self.out.len() < WRITE {
            return Ok(());
        }
        let out = std::mem::take(&mut self.out);
        self.send(&out).await?;
        // The buffer is used again at once.
        self.out = out;
        self.out.clear();
        Ok(())
    }

    /// Sends all that was written and gives the buffer back.
    pub(crate) async fn flush(&mut self) -> Result<(), End> {
        let out = std::mem::take(&mut self.out);
        self.send(&out).await?;
        match timeout(WRITE_TIMEOUT, self.stream.flush()).await {
            Ok(flushed) => Ok(flushed?),
            Err(_) => Err(End::TimedOut),
        }
    }

    /// Writes octets that may be many, without gathering them.
    pub(crate) async fn write_large(&mut self, octets: &[u8]) -> Result<(), End> {
        if octets.len() < WRITE {
            self.out.extend_from_slice(octets);
            return self.relieve().await;
        }
        let out = std::mem::take(&mut self.out);
        self.send(&out).await?;
        self.send(octets).await
    }

    async fn send(&mut self, octets: &[u8]) -> Result<(), End> {
        for slice in octets.chunks(WRITE) {
            match timeout(WRITE_TIMEOUT, self.stream.write_all(slice)).await {
                Ok(written) => written?,
                Err(_) => return Err(End::TimedOut),
            }
        }
        Ok(())
    }

    /// The client's next command. Literals that it may send are asked for on the way.
    pub(crate) async fn input(&mut self, deadline: Instant) -> Result<Input, End> {
        loop {
            match self.framer.next()? {
                Some(Event::Command(command)) => return Ok(Input::Command(command)),
                Some(Event::Append { head, message }) => {
                    return Ok(Input::Append { head, message });
                }
                Some(Event::TooBig(tag)) => return Ok(Input::TooBig(tag)),
                Some(Event::Ready) => self.go_on("Ready for the literal"),
                // The framer streams a message only after it was taken.
                Some(Event::Chunk(_) | Event::AppendEnd { .. }) => {}
                None => {
                    self.flush().await?;
                    self.fill(deadline).await?;
                }
            }
        }
    }

    /// Waits so long for the client to send something; tells whether it has.
    pub(crate) async fn stirs(&mut self, within: Duration) -> Result<bool, End> {
        if self.framer.pending() > 0 {
            return Ok(true);
        }
        self.flush().await?;
        match timeout(within, self.fill(Instant::now() + within * 2)).await {
            Ok(filled) => filled.map(|()| true),
            Err(_) => Ok(false),
        }
    }

    /// The client's next line, outside of commands.
    pub(crate) async fn line(&mut self, deadline: Instant) -> Result<Secret<Vec<u8>>, End> {
        loop {
            if let Some(line) = self.framer.next_line()? {
                return Ok(line);
            }
            self.flush().await?;
            self.fill(deadline).await?;
        }
    }

    /// A line, if a whole one has arrived already.
    pub(crate) fn line_now(&mut self) -> Result<Option<Secret<Vec<u8>>>, End> {
        Ok(self.framer.next_line()?)
    }

    /// Does without the message of an APPEND.
    pub(crate) fn refuse_message(&mut self) {
        self.framer.refuse_literal();
    }

    /// Takes the message of an APPEND. Memory grows with what has really arrived.
    pub(crate) async fn message(&mut self, announced: Announced) -> Result<Vec<u8>, Failure> {
        self.framer.take_literal();
        if announced.waits {
            self.go_on("Ready for the message");
        }
        let mut message = Vec::new();
        loop {
            match self.framer.next().map_err(End::from)? {
                Some(Event::Chunk(chunk)) if message.is_empty() => message = chunk,
                Some(Event::Chunk(chunk)) => message.extend_from_slice(&chunk),
                Some(Event::AppendEnd { clean: true }) => return Ok(message),
                Some(_) => return Err(Failure::bad("expected the end of the line")),
                None => {
                    self.flush().await?;
                    self.fill(Instant::now() + LITERAL_TIMEOUT).await?;
                }
            }
        }
    }

    /// Waits for input and takes what there is. Nothing is lost when this is cancelled.
    pub(crate) async fn fill(&mut self, deadline: Instant) -> Result<(), End> {
        let revoked = async {
            match &mut self.revocation {
                Some(revocation) => revocation.revoked().await,
                None => std::future::pending().await,
            }
        };
        let read = tokio::select! {
            biased;
            () = self.shutdown.cancelled() => return Err(End::ShuttingDown),
            () = revoked => return Err(End::Revoked),
            read = read_into(&mut self.stream, &mut self.framer) => read?,
            () = sleep_until(deadline) => return Err(End::TimedOut),
        };
        self.received += read as u64;
        if read == 0 { Err(End::Gone) } else { Ok(()) }
    }

    /// The last words, as far as anybody still listens.
    pub(crate) async fn farewell(mut self, end: &End) {
        if let Some(text) = end.farewell() {
            write::status(&mut self.out, None, Status::Bye, None, text);
        }
        let leave = async {
            self.flush().await?;
            Ok::<(), End>(self.stream.shutdown().await?)
        };
        // Nothing depends on whether the words arrive.
        let _ = timeout(FAREWELL_TIMEOUT, leave).await;
    }
}

async fn read_into(stream: &mut Stream, framer: &mut Framer) -> io::Result<usize> {
    poll_fn(|cx| {
        let mut space = [0_u8; READ];
        let mut buffer = ReadBuf::new(&mut space);
        ready!(Pin::new(&mut *stream).poll_read(cx, &mut buffer))?;
        framer.feed(buffer.filled());
        Poll::Ready(Ok(buffer.filled().len()))
    })
    .await
}
