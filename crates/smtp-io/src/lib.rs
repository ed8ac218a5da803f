//! An SMTP server session on a connection: what `mx` and `submission` have in common.
//!
//! [`Conversation::next`] reads, writes, shakes hands and minds the clock until there is something for
//! the role to decide; the role answers and asks again. Replies to a batch of pipelined commands go out
//! in one write.
//!
//! # Bounds
//! - A client may be silent for [`Timing::idle`], and a session may last [`Timing::session`]
//!   (RFC 5321 §4.5.3.2.7). Sending drop by drop helps nobody past the second.
//! - Messages are held in memory until they are sealed. What all sessions together may hold is a
//!   [`Budget`]; who finds it used up for too long is asked to come again (421), and the memory of one connection
//!   never hangs on what its client announced. While somebody waits, a sender who holds some and hardly
//!   moves on is turned away (421): drops sent in time must not keep everybody else's mail out.
//!
//! # Shutting down
//! A session that waits for a command is told 421 (RFC 5321 §3.8). One in the middle of a message may
//! finish it, so that no client has to wonder whether its message was taken.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};
use wardpost_mail::{EnhancedStatus, Reply};
use wardpost_net::{Accepted, ServerTls, Shutdown, Stream, TlsInfo, UpgradeError};
use wardpost_smtp::{Channel, Event, Profile, ServerSession};

/// Octets read at once: the content of one TLS record.
const READ: usize = 16 * 1024;
/// What the budget is counted in. A message smaller than this is not worth counting.
const UNIT: usize = 64 * 1024;
/// How long, and how much, is listened to after the last word. Closing with unread octets would reset
/// the connection, and the client might never see why.
const LINGER: Duration = Duration::from_secs(2);
/// See [`LINGER`].
const MAX_LINGER: usize = 1024 * 1024;

/// How patient a session is.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// Longest silence, for reading and for writing (RFC 5321 §4.5.3.2.7: at least five minutes).
    pub idle: Duration,
    /// Longest session.
    pub session: Duration,
    /// How long a message waits for others to give memory back; half as long others may hold it without
    /// moving on.
    pub memory: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(5 * 60),
            session: Duration::from_secs(60 * 60),
            memory: Duration::from_secs(30),
        }
    }
}

/// The memory that the messages of all sessions may take together. Clones share it.
#[derive(Debug, Clone)]
pub struct Budget {
    units: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
}

impl Budget {
    /// A budget of about `octets`; at least one unit.
    pub fn new(octets: usize) -> Self {
        let units = (octets / UNIT).clamp(1, Semaphore::MAX_PERMITS);
        Self { units: Arc::new(Semaphore::new(units)), waiting: Arc::default() }
    }

    /// Takes so many units, waiting for others to give them back; `None`: in vain.
    async fn take(&self, units: u32, patience: Duration) -> Option<OwnedSemaphorePermit> {
        if let Ok(permit) = Arc::clone(&self.units).try_acquire_many_owned(units) {
            return Some(permit);
        }
        let _waiting = Waiting::new(&self.waiting);
        timeout(patience, Arc::clone(&self.units).acquire_many_owned(units)).await.ok()?.ok()
    }

    /// Whether somebody waits for more.
    fn is_wanted(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }
}

/// One that waits for memory, until dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What the sessions of one service share.
#[derive(Debug, Clone)]
pub struct Service {
    /// Our side of TLS.
    pub tls: ServerTls,
    /// Patience.
    pub timing: Timing,
    /// Memory.
    pub budget: Budget,
}

/// How TLS begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// In clear; STARTTLS may follow (RFC 3207).
    Plain,
    /// With the handshake (RFC 8314).
    ImplicitTls,
}

/// Why a conversation is over.
#[derive(Debug, Error)]
pub enum Ended {
    /// It came to its end: QUIT, or a reply that closes.
    #[error("closed")]
    Closed,
    /// The client went away.
    #[error("the client went away")]
    Gone,
    /// The client was silent, or stayed, for too long.
    #[error("timed out")]
    TimedOut,
    /// The program is shutting down.
    #[error("shutting down")]
    Shutdown,
    /// The TLS handshake failed.
    #[error(transparent)]
    Handshake(#[from] UpgradeError),
}

impl Ended {
    /// The name used in metric labels.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Gone => "gone",
            Self::TimedOut => "timed_out",
            Self::Shutdown => "shutdown",
            Self::Handshake(_) => "handshake_failed",
        }
    }
}

impl From<io::Error> for Ended {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

/// A session on its connection.
pub struct Conversation {
    /// `None` only while TLS begins and after it failed.
    stream: Option<Stream>,
    session: ServerSession,
    peer: IpAddr,
    service: Service,
    shutdown: Shutdown,
    deadline: Instant,
    buffer: Vec<u8>,
    /// Memory taken from the budget; given back when the message has been answered.
    held: Option<OwnedSemaphorePermit>,
    /// When it last took some.
    took: Instant,
    ending: Option<Ended>,
}

impl Conversation {
    /// Begins: shakes hands where TLS is implicit. The greeting goes out with the first [`Self::next`].
    ///
    /// # Errors
    /// When the handshake fails.
    pub async fn begin(
        accepted: Accepted,
        start: Start,
        profile: Arc<Profile>,
        service: Service,
        shutdown: Shutdown,
    ) -> Result<Self, Ended> {
        let (stream, channel) = match start {
            Start::Plain => (accepted.stream, Channel::Plain),
            Start::ImplicitTls => {
                (accepted.stream.upgrade_server(&service.tls, &[]).await?, Channel::Tls)
            }
        };
        Ok(Self {
            stream: Some(stream),
            session: ServerSession::new(profile, channel),
            peer: accepted.peer.ip().to_canonical(),
            deadline: Instant::now() + service.timing.session,
            service,
            shutdown,
            buffer: vec![0; READ],
            held: None,
            took: Instant::now(),
            ending: None,
        })
    }

    /// The next thing for the role to know or decide. STARTTLS and closing are dealt with here.
    ///
    /// # Errors
    /// When the conversation is over.
    pub async fn next(&mut self) -> Result<Event, Ended> {
        loop {
            while let Some(event) = self.session.next_event() {
                match event {
                    Event::StartTls => self.start_tls().await?,
                    Event::Close => return Err(self.close().await),
                    event => return Ok(event),
                }
            }
            self.flush().await?;
            if self.session.message_len() == 0 {
                self.held = None;
            } else if !self.take_memory().await {
                let words = "Too much mail at once; try again later";
                self.end(Ended::Closed, Reply::new(421, EnhancedStatus::new(4, 3, 1), words));
                continue;
            }
            self.read().await?;
        }
    }

    /// Answers the event that waits; see [`ServerSession::answer`].
    pub fn answer(&mut self, reply: Reply) {
        self.session.answer(reply);
    }

    /// The session, for what it knows of its client.
    pub fn session(&self) -> &ServerSession {
        &self.session
    }

    /// The client's address.
    pub fn peer(&self) -> IpAddr {
        self.peer
    }

    /// What TLS was negotiated, if any.
    pub fn tls(&self) -> Option<TlsInfo> {
        self.stream.as_ref().and_then(Stream::tls_info)
    }

    /// The certificates the client has shown, its own first; see [`Stream::client_chain`].
    pub fn client_chain(&self) -> Vec<Vec<u8>> {
        self.stream.as_ref().map(Stream::client_chain).unwrap_or_default()
    }

    /// Reads once, minding the clock, the memory and the program's end.
    async fn read(&mut self) -> Result<(), Ended> {
        let until = self.deadline.min(Instant::now() + self.service.timing.idle);
        let may_leave = !self.session.in_data();
        let stall = self.service.timing.memory / 2;
        loop {
            if self.is_in_the_way(stall) {
                let words = "Too slow while memory is short; try again later";
                let words = Reply::new(421, EnhancedStatus::new(4, 3, 1), words);
                self.end(Ended::TimedOut, words);
                return Ok(());
            }
            let look = if self.held.is_some() { Instant::now() + stall / 2 } else { until };
            let stream = self.stream.as_mut().ok_or(Ended::Gone)?;
            let read = tokio::select! {
                biased;
                // First, or a client that always has something to say would never be told.
                () = self.shutdown.cancelled(), if may_leave => {
                    let words = "Shutting down; come again";
                    self.end(Ended::Shutdown, Reply::new(421, EnhancedStatus::new(4, 3, 2), words));
                    return Ok(());
                }
                // `read` takes nothing when it is dropped, so no octet is lost here.
                read = timeout_at(until.min(look), stream.read(&mut self.buffer)) => read,
            };
            match read {
                Ok(Ok(0) | Err(_)) => return Err(Ended::Gone),
                Ok(Ok(n)) => {
                    self.session.receive(&self.buffer[..n]);
                    return Ok(());
                }
                Err(_) if Instant::now() < until => {}
                Err(_) => {
                    let words = Reply::new(421, EnhancedStatus::new(4, 4, 2), "Waited too long");
                    self.end(Ended::TimedOut, words);
                    return Ok(());
                }
            }
        }
    }

    /// Whether the session holds memory that others wait for, and makes nothing of it.
    fn is_in_the_way(&self, stall: Duration) -> bool {
        self.held.is_some() && self.took.elapsed() >= stall && self.service.budget.is_wanted()
    }

    /// Writes all replies that wait, at once.
    async fn flush(&mut self) -> Result<(), Ended> {
        let output = self.session.take_output();
        if output.is_empty() {
            return Ok(());
        }
        let stream = self.stream.as_mut().ok_or(Ended::Gone)?;
        let writing = async {
            stream.write_all(&output).await?;
            stream.flush().await
        };
        timeout(self.service.timing.idle, writing).await.map_err(|_| Ended::TimedOut)??;
        Ok(())
    }

    async fn start_tls(&mut self) -> Result<(), Ended> {
        self.flush().await?;
        let stream = self.stream.take().ok_or(Ended::Gone)?;
        self.stream = Some(stream.upgrade_server(&self.service.tls, &[]).await?);
        self.session.tls_started();
        Ok(())
    }

    /// Makes the budget cover the message so far. False: there was no memory to be had in time.
    async fn take_memory(&mut self) -> bool {
        let wanted = self.session.message_len() / UNIT;
        let held = self.held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let Ok(more) = u32::try_from(wanted.saturating_sub(held)) else { return false };
        if more == 0 {
            return true;
        }
        let patience = self.service.timing.memory;
        let Some(permit) = self.service.budget.take(more, patience).await else { return false };
        self.took = Instant::now();
        match &mut self.held {
            Some(held) => held.merge(permit),
            None => self.held = Some(permit),
        }
        true
    }

    /// Has the session say its last words; the next event is its end.
    fn end(&mut self, why: Ended, words: Reply) {
        self.ending = Some(why);
        self.session.close(words);
        self.held = None;
    }

    /// Says what is left to say and closes.
    async fn close(&mut self) -> Ended {
        if let Err(ended) = self.flush().await {
            return ended;
        }
        if let Some(stream) = self.stream.take() {
            // The words are out; whether the client hears the end does not matter.
            let _ = timeout(LINGER, linger(stream, &mut self.buffer)).await;
        }
        self.ending.take().unwrap_or(Ended::Closed)
    }
}

/// Ends our side and passes over what the client still says, until it ends its own.
async fn linger(mut stream: Stream, buffer: &mut [u8]) -> io::Result<()> {
    stream.shutdown().await?;
    let mut passed = 0;
    while passed < MAX_LINGER {
        match stream.read(buffer).await? {
            0 => break,
            n => passed += n,
        }
    }
    Ok(())
}
