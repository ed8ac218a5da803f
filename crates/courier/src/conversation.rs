//! One SMTP connection to another server: bytes between [`ClientSession`] and a socket.
//!
//! A [`Conversation`] is typed by what it runs over, and what may be said follows from the type:
//!
//! | over | may |
//! | --- | --- |
//! | [`Stream`] | greet, EHLO, STARTTLS, QUIT; never MAIL |
//! | [`SecureChannel`] | send mail: `verdict` has admitted the connection |
//! | [`Opportunistic`] | send a [`NoticeMail`] and nothing else, over whatever there is |
//!
//! The one function that writes MAIL is private to this module; those two `send` methods are the
//! only ways to it.

use crate::settings::Timeouts;
use std::future::Future;
use std::io;
use std::time::Duration;
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wardpost_mail::{Domain, Envelope, Reply, Secret};
use wardpost_net::{Stream, Wire};
use wardpost_pins::Login;
use wardpost_queue::{Kind, Work};
use wardpost_smtp::{Capabilities, ClientError, ClientEvent, ClientSession, Unsendable};
use wardpost_verdict::{Below, Floor, Policy, SecureChannel, Verdict};

/// How much is read at once.
const READ: usize = 4096;
/// How much of a message is written at once.
const WRITE: usize = 32 * 1024;

/// Why a conversation ended before its time.
#[derive(Debug, Error)]
pub(crate) enum TalkError {
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(#[from] io::Error),
    /// The server closed it.
    #[error("the server closed the connection")]
    Closed,
    /// The server took too long.
    #[error("the server did not answer in time")]
    TimedOut,
    /// The server does not speak SMTP, or said 421.
    #[error(transparent)]
    Protocol(#[from] ClientError),
    /// The server answered something that does not fit.
    #[error("the server answered out of turn")]
    OutOfTurn,
    /// The server does not take our log-in.
    #[error("the smarthost does not take our log-in: {0}")]
    NotLoggedIn(Reply),
    /// There is no way to log in.
    #[error("the smarthost does not offer to log in with a password (AUTH PLAIN)")]
    NoLogin,
    /// The server does not serve us now.
    #[error("the server turned us away: {0}")]
    Refused(Reply),
}

impl TalkError {
    /// The reply behind it, if there is one.
    pub(crate) fn reply(&self) -> Option<&Reply> {
        match self {
            Self::Refused(reply)
            | Self::NotLoggedIn(reply)
            | Self::Protocol(ClientError::Closing(reply)) => Some(reply),
            _ => None,
        }
    }
}

/// A connection of any quality, for notices only. This is the one place where something can leave
/// in clear, and what can is a text that says nothing.
pub(crate) struct Opportunistic(Stream);

impl Wire for Opportunistic {
    fn wire(&mut self) -> &mut Stream {
        &mut self.0
    }
}

/// A notice on its way out. Made only of work that the queue holds as a notice.
#[derive(Clone, Copy)]
pub(crate) struct NoticeMail<'a> {
    envelope: &'a Envelope,
    message: &'a [u8],
}

impl<'a> NoticeMail<'a> {
    /// A notice, if `work` is one.
    pub(crate) fn of(work: &Work, envelope: &'a Envelope, message: &'a [u8]) -> Option<Self> {
        (work.kind == Kind::Notice).then_some(Self { envelope, message })
    }
}

/// What came of one transaction.
#[derive(Debug)]
pub(crate) enum Sent {
    /// The server's last word on each recipient, in the envelope's order.
    Answered(Vec<Reply>),
    /// The server cannot take the message at all; nothing was said.
    Unsendable(Unsendable),
    /// The conversation broke off.
    Lost {
        /// Why.
        error: TalkError,
        /// The whole message had been written: the server may have taken it. Trying again may
        /// make a second copy; not trying again may lose the only one (RFC 1047).
        uncertain: bool,
        /// The server's word on each recipient so far.
        replies: Vec<Option<Reply>>,
    },
}

/// A conversation with another mail server.
pub(crate) struct Conversation<W> {
    wire: W,
    session: ClientSession,
    timeouts: Timeouts,
}

impl<W: Wire> Conversation<W> {
    /// What the server offered last.
    pub(crate) fn capabilities(&self) -> &Capabilities {
        self.session.capabilities()
    }

    /// Says good-bye and closes, without waiting long.
    pub(crate) async fn quit(mut self) {
        self.session.quit();
        let bye = async {
            self.flush(Duration::from_secs(2)).await?;
            self.event(Duration::from_secs(2)).await
        };
        // Nothing hangs on how the other side takes its leave.
        let _ = bye.await;
        let _ = timely(Duration::from_secs(1), self.wire.wire().shutdown()).await;
    }

    /// Writes what the session wants written.
    async fn flush(&mut self, limit: Duration) -> Result<(), TalkError> {
        while self.session.has_output() {
            // It may be a password, and mostly is a message: wiped when written.
            let output = Secret::new(self.session.take_output());
            let wire = self.wire.wire();
            timely(limit, async {
                wire.write_all(output.expose()).await?;
                wire.flush().await
            })
            .await?;
        }
        Ok(())
    }

    /// Waits for the next thing the server says, writing what must be written.
    async fn event(&mut self, limit: Duration) -> Result<ClientEvent, TalkError> {
        let deadline = tokio::time::Instant::now() + limit;
        loop {
            let event = self.session.next_event();
            self.flush(self.timeouts.data).await?;
            if let Some(event) = event? {
                return Ok(event);
            }
            let mut buffer = [0; READ];
            let reading = self.wire.wire().read(&mut buffer);
            match tokio::time::timeout_at(deadline, reading).await {
                Err(_) => return Err(TalkError::TimedOut),
                Ok(Ok(0)) => return Err(TalkError::Closed),
                Ok(Ok(n)) => self.session.receive(&buffer[..n]),
                Ok(Err(error)) => return Err(TalkError::Broken(error)),
            }
        }
    }

    /// Says EHLO and reads what is offered.
    async fn ehlo(&mut self) -> Result<(), TalkError> {
        self.session.ehlo();
        match self.event(self.timeouts.command).await? {
            ClientEvent::Ehlo(reply) if reply.is_positive() => Ok(()),
            ClientEvent::Ehlo(reply) => Err(TalkError::Refused(reply)),
            _ => Err(TalkError::OutOfTurn),
        }
    }
}

async fn timely<T>(
    limit: Duration,
    work: impl Future<Output = io::Result<T>>,
) -> Result<T, TalkError> {
    match tokio::time::timeout(limit, work).await {
        Ok(done) => Ok(done?),
        Err(_) => Err(TalkError::TimedOut),
    }
}

/// What the server said to STARTTLS.
pub(crate) enum StartTls {
    /// 220: the handshake comes next.
    Ready(Stream, Resumption),
    /// 220, and more in clear in the same breath: somebody speaks in the server's place (RFC 3207
    /// §6). The connection has been dropped.
    Injected,
    /// Anything else. The connection goes on in clear.
    Refused(Conversation<Stream>, Reply),
}

/// A session that waits for its connection to come back from the handshake.
pub(crate) struct Resumption {
    session: ClientSession,
    timeouts: Timeouts,
}

impl Resumption {
    /// Goes on over TLS: EHLO is said anew.
    pub(crate) async fn go_on(self, stream: Stream) -> Result<Conversation<Stream>, TalkError> {
        let mut conversation =
            Conversation { wire: stream, session: self.session, timeouts: self.timeouts };
        conversation.ehlo().await?;
        Ok(conversation)
    }
}

impl Conversation<Stream> {
    /// Waits for the greeting and says EHLO.
    pub(crate) async fn greet(
        stream: Stream,
        our_name: &Domain,
        timeouts: Timeouts,
    ) -> Result<Self, TalkError> {
        let session = ClientSession::new(our_name);
        let mut conversation = Self { wire: stream, session, timeouts };
        match conversation.event(timeouts.command).await? {
            ClientEvent::Greeting(reply) if reply.is_positive() => {}
            ClientEvent::Greeting(reply) => return Err(TalkError::Refused(reply)),
            _ => return Err(TalkError::OutOfTurn),
        }
        conversation.ehlo().await?;
        Ok(conversation)
    }

    /// Asks for TLS.
    pub(crate) async fn start_tls(mut self) -> Result<StartTls, TalkError> {
        self.session.starttls();
        match self.event(self.timeouts.command).await? {
            ClientEvent::StartTls(reply) if reply.code == 220 => {
                // Everything learnt in clear is forgotten here (RFC 3207 §4.2).
                let Self { wire, mut session, timeouts } = self;
                match session.tls_started() {
                    Ok(()) => Ok(StartTls::Ready(wire, Resumption { session, timeouts })),
                    Err(_) => Ok(StartTls::Injected),
                }
            }
            ClientEvent::StartTls(reply) => Ok(StartTls::Refused(self, reply)),
            _ => Err(TalkError::OutOfTurn),
        }
    }

    /// Becomes a conversation that mail can be sent over, if the verdict on this very connection
    /// reaches the floor.
    pub(crate) fn admit(
        self,
        verdict: Verdict,
        floor: Floor,
    ) -> Result<Conversation<SecureChannel<Stream>>, Below> {
        let wire = verdict.admit(self.wire, floor)?;
        Ok(Conversation { wire, session: self.session, timeouts: self.timeouts })
    }

    /// Becomes a conversation that notices can be sent over, if the domain's policy permits that on
    /// a path like this.
    pub(crate) fn for_notices(
        self,
        policy: &Policy,
        verdict: &Verdict,
    ) -> Option<Conversation<Opportunistic>> {
        policy.permits_notice(verdict).then(|| Conversation {
            wire: Opportunistic(self.wire),
            session: self.session,
            timeouts: self.timeouts,
        })
    }
}

impl Conversation<SecureChannel<Stream>> {
    /// What was seen of the path.
    pub(crate) fn verdict(&self) -> &Verdict {
        self.wire.verdict()
    }

    /// The floor that the path was held to.
    pub(crate) fn floor(&self) -> Floor {
        self.wire.floor()
    }

    /// The same held to another verdict on this very connection, and another floor.
    pub(crate) fn held_to(self, verdict: Verdict, floor: Floor) -> Result<Self, Below> {
        let wire = self.wire.held_to(verdict, floor)?;
        Ok(Self { wire, session: self.session, timeouts: self.timeouts })
    }

    /// Logs in (RFC 4954). Possible only here: the password is for a server whose certificate has
    /// been verified.
    pub(crate) async fn log_in(&mut self, login: &Login) -> Result<(), TalkError> {
        if !self.session.capabilities().auth_plain {
            return Err(TalkError::NoLogin);
        }
        self.session.auth_plain(&login.user, &login.password);
        match self.event(self.timeouts.command).await? {
            // RFC 4954 §6.
            ClientEvent::Auth(reply) if reply.code == 235 => Ok(()),
            ClientEvent::Auth(reply) => Err(TalkError::NotLoggedIn(reply)),
            _ => Err(TalkError::OutOfTurn),
        }
    }

    /// Sends a message to all recipients of `envelope`.
    pub(crate) async fn send(&mut self, envelope: &Envelope, message: &[u8]) -> Sent {
        transact(self, envelope, message).await
    }
}

impl Conversation<Opportunistic> {
    /// Sends a notice.
    pub(crate) async fn send(&mut self, notice: NoticeMail<'_>) -> Sent {
        transact(self, notice.envelope, notice.message).await
    }
}

/// One mail transaction (RFC 5321 §3.3).
async fn transact<W: Wire>(
    conversation: &mut Conversation<W>,
    envelope: &Envelope,
    message: &[u8],
) -> Sent {
    if let Err(reason) = conversation.session.mail(envelope, message.len() as u64) {
        return Sent::Unsendable(reason);
    }
    let mut progress = Progress { replies: vec![None; envelope.to.len()], written: false };
    match dialogue(conversation, message, &mut progress).await {
        Ok(last) => Sent::Answered(progress.settle(last)),
        Err(error) => Sent::Lost { error, uncertain: progress.written, replies: progress.replies },
    }
}

/// How far a transaction has come.
struct Progress {
    /// The server's word on each recipient so far.
    replies: Vec<Option<Reply>>,
    /// The whole message is on the wire.
    written: bool,
}

impl Progress {
    /// Gives every recipient that was taken the server's last word.
    fn settle(self, last: Option<Reply>) -> Vec<Reply> {
        let unanswered = || Reply::plain(451, "the server said nothing about this recipient");
        let last_word = |reply: Option<Reply>| match reply {
            Some(reply) if !reply.is_positive() => reply,
            _ => last.clone().unwrap_or_else(unanswered),
        };
        self.replies.into_iter().map(last_word).collect()
    }
}

/// Speaks one transaction to its end; returns the server's word on the message, or on MAIL.
async fn dialogue<W: Wire>(
    conversation: &mut Conversation<W>,
    message: &[u8],
    progress: &mut Progress,
) -> Result<Option<Reply>, TalkError> {
    let timeouts = conversation.timeouts;
    conversation.flush(timeouts.command).await?;
    loop {
        let limit = if progress.written { timeouts.data_end } else { timeouts.command };
        match conversation.event(limit).await? {
            ClientEvent::Mail(reply) if reply.is_positive() => {}
            ClientEvent::Mail(reply) => return Ok(Some(reply)),
            ClientEvent::Recipient { index, reply } => {
                if let Some(slot) = progress.replies.get_mut(index) {
                    *slot = Some(reply);
                }
            }
            ClientEvent::SendMessage => {
                for part in message.chunks(WRITE) {
                    conversation.session.message(part);
                    conversation.flush(timeouts.data).await?;
                }
                conversation.session.end_of_message();
                // From here on the server may have the message, whatever we get to hear.
                progress.written = true;
                conversation.flush(timeouts.data).await?;
            }
            ClientEvent::Done(last) => return Ok(last),
            _ => return Err(TalkError::OutOfTurn),
        }
    }
}
