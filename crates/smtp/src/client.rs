//! The client's side of a session, as `courier` drives it.
//!
//! ```text
//! connect      → Greeting → ehlo() → Ehlo → starttls() → StartTls(220)
//! TLS done     → tls_started() → ehlo() → Ehlo
//! with a login → auth_plain(user, password) → Auth
//! transaction  → mail(envelope, size) → Mail, Recipient(0), Recipient(1), …, SendMessage
//!                → message(chunk)…, end_of_message() → Done
//! afterwards   → mail(…) again, or quit() → Quit
//! ```
//! After each call the driver writes [`ClientSession::take_output`] to the wire. MAIL and RCPT go out in
//! one write when the server pipelines, one by one otherwise; the events are the same. The message
//! goes as one BDAT chunk when CHUNKING was announced and by DATA with dot-stuffing otherwise.

use crate::{Capabilities, DotWriter, ReplyReader, reply, xtext};
use data_encoding::BASE64;
use std::collections::VecDeque;
use std::fmt;
use std::mem;
use thiserror::Error;
use wardpost_mail::{
    BodyType, Domain, DsnReturn, Envelope, Notify, Recipient, Reply, ReversePath, Secret,
};
use zeroize::Zeroizing;

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
    /// The reply to AUTH: 235, or the server does not know us (RFC 4954 §4).
    Auth(Reply),
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

/// What the next reply will answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expect {
    Greeting,
    Ehlo,
    Helo,
    StartTls,
    Auth,
    Mail,
    Recipient(usize),
    Data,
    Message,
    Reset,
    Quit,
    /// A reply that nobody wants to hear.
    Ignored,
}

/// A transaction on its way.
#[derive(Debug)]
struct Transaction {
    size: u64,
    /// RCPT replies still to come.
    open: usize,
    accepted: usize,
}

/// How the message's octets go out.
#[derive(Debug)]
enum Body {
    Dots(DotWriter),
    /// One chunk of this size; `announced` when its BDAT line is written.
    Chunk {
        size: u64,
        announced: bool,
    },
}

/// A client session over one connection.
pub struct ClientSession {
    our_name: Domain,
    capabilities: Capabilities,
    replies: ReplyReader,
    output: Vec<u8>,
    /// Replies to come, in order.
    expected: VecDeque<Expect>,
    /// Commands not written yet.
    waiting: VecDeque<(Expect, String)>,
    events: VecDeque<ClientEvent>,
    transaction: Option<Transaction>,
    body: Option<Body>,
}

/// What waits to be written may be a password.
impl fmt::Debug for ClientSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientSession").field("expected", &self.expected).finish_non_exhaustive()
    }
}

impl ClientSession {
    /// A session that waits for the greeting. `our_name` is what EHLO says.
    pub fn new(our_name: &Domain) -> Self {
        Self {
            our_name: our_name.clone(),
            capabilities: Capabilities::default(),
            replies: ReplyReader::default(),
            output: Vec::new(),
            expected: VecDeque::from([Expect::Greeting]),
            waiting: VecDeque::new(),
            events: VecDeque::new(),
            transaction: None,
            body: None,
        }
    }

    /// Takes bytes from the wire.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.replies.receive(bytes);
    }

    /// The next event, or `None` until more bytes come. Events may leave bytes to write in
    /// [`Self::take_output`].
    ///
    /// # Errors
    /// When the server breaks the protocol or closes with 421; the connection is then useless.
    pub fn next_event(&mut self) -> Result<Option<ClientEvent>, ClientError> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(Some(event));
            }
            let Some(mut reply) = self.replies.next_reply()? else { return Ok(None) };
            let expected = self.expected.pop_front();
            // Only what EHLO announces is needed to its end.
            if expected != Some(Expect::Ehlo) || !reply.is_positive() {
                reply::shorten(&mut reply);
            }
            let Some(expect) = expected else {
                return Err(match reply.code {
                    421 => ClientError::Closing(reply),
                    _ => ClientError::Unexpected,
                });
            };
            if reply.code == 421 && expect != Expect::Quit {
                return Err(ClientError::Closing(reply));
            }
            self.take_reply(expect, reply);
            self.pump();
        }
    }

    /// Whether bytes wait to be written.
    pub fn has_output(&self) -> bool {
        !self.output.is_empty()
    }

    /// Takes the bytes that must be written to the wire.
    pub fn take_output(&mut self) -> Vec<u8> {
        mem::take(&mut self.output)
    }

    /// Says EHLO.
    pub fn ehlo(&mut self) {
        self.command(Expect::Ehlo, format!("EHLO {}", self.our_name));
    }

    /// What the last EHLO reply announced; empty before it, after HELO and after TLS began.
    pub fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    /// Says STARTTLS.
    pub fn starttls(&mut self) {
        self.command(Expect::StartTls, "STARTTLS".into());
    }

    /// TLS is up: everything learned before is forgotten (RFC 3207 §4.2). EHLO comes next.
    ///
    /// # Errors
    /// When the server had sent more than its 220 in clear.
    pub fn tls_started(&mut self) -> Result<(), ClientError> {
        if !self.replies.is_empty() {
            return Err(ClientError::InjectedPlaintext);
        }
        self.capabilities = Capabilities::default();
        Ok(())
    }

    /// Logs in by SASL PLAIN (RFC 4616) with an initial response (RFC 4954 §4). The password goes over
    /// the wire as it is: only inside TLS, and only to a server whose certificate was verified.
    pub fn auth_plain(&mut self, user: &str, password: &Secret<String>) {
        // message = [authzid] UTF8NUL authcid UTF8NUL passwd (RFC 4616 §2).
        let message = Zeroizing::new(format!("\0{user}\0{}", password.expose()));
        let response = Zeroizing::new(BASE64.encode(message.as_bytes()));
        self.command(Expect::Auth, format!("AUTH PLAIN {}", *response));
    }

    /// Begins a transaction for all of `envelope`'s recipients; `size` is the message's in octets.
    /// DSN, BODY, SIZE, SMTPUTF8 parameters are sent as far as the server announced them.
    ///
    /// # Errors
    /// When the server cannot take the message at all; nothing was written then.
    pub fn mail(&mut self, envelope: &Envelope, size: u64) -> Result<(), Unsendable> {
        self.check(envelope, size)?;
        self.command(Expect::Mail, self.mail_line(envelope, size));
        for (index, recipient) in envelope.to.iter().enumerate() {
            self.command(Expect::Recipient(index), self.rcpt_line(recipient));
        }
        self.transaction = Some(Transaction { size, open: envelope.to.len(), accepted: 0 });
        self.body = None;
        Ok(())
    }

    /// Sends a part of the message (after [`ClientEvent::SendMessage`]); any split is right. Write
    /// [`Self::take_output`] after each part to keep memory small. All parts together must be exactly
    /// the `size` that [`Self::mail`] was told.
    pub fn message(&mut self, part: &[u8]) {
        match &mut self.body {
            Some(Body::Dots(writer)) => writer.write(part, &mut self.output),
            Some(Body::Chunk { size, announced }) => {
                if !mem::replace(announced, true) {
                    self.output.extend_from_slice(format!("BDAT {size} LAST\r\n").as_bytes());
                }
                self.output.extend_from_slice(part);
            }
            None => {}
        }
    }

    /// Ends the message.
    pub fn end_of_message(&mut self) {
        match self.body.take() {
            Some(Body::Dots(writer)) => writer.finish(&mut self.output),
            Some(Body::Chunk { announced: false, .. }) => {
                self.output.extend_from_slice(b"BDAT 0 LAST\r\n");
            }
            Some(Body::Chunk { .. }) | None => {}
        }
    }

    /// Says RSET.
    pub fn reset(&mut self) {
        self.transaction = None;
        self.body = None;
        self.command(Expect::Reset, "RSET".into());
    }

    /// Says QUIT.
    pub fn quit(&mut self) {
        self.command(Expect::Quit, "QUIT".into());
    }

    fn check(&self, envelope: &Envelope, size: u64) -> Result<(), Unsendable> {
        if let Some(limit) = self.capabilities.max_size.filter(|limit| size > *limit) {
            return Err(Unsendable::TooLarge { limit });
        }
        if needs_smtputf8(envelope) && !self.capabilities.smtputf8 {
            return Err(Unsendable::SmtpUtf8);
        }
        if envelope.require_tls && !self.capabilities.require_tls {
            return Err(Unsendable::RequireTls);
        }
        Ok(())
    }

    fn mail_line(&self, envelope: &Envelope, size: u64) -> String {
        let mut line = match &envelope.from {
            ReversePath::Null => "MAIL FROM:<>".to_owned(),
            ReversePath::Address(from) => format!("MAIL FROM:<{from}>"),
        };
        if self.capabilities.size {
            line.push_str(&format!(" SIZE={size}"));
        }
        if self.capabilities.eight_bit_mime && envelope.body != BodyType::SevenBit {
            line.push_str(" BODY=8BITMIME");
        }
        if self.capabilities.smtputf8 && needs_smtputf8(envelope) {
            line.push_str(" SMTPUTF8");
        }
        if envelope.require_tls {
            line.push_str(" REQUIRETLS");
        }
        if self.capabilities.dsn {
            match envelope.ret {
                Some(DsnReturn::Full) => line.push_str(" RET=FULL"),
                Some(DsnReturn::Headers) => line.push_str(" RET=HDRS"),
                None => {}
            }
            if let Some(envid) = &envelope.envid {
                line.push_str(&format!(" ENVID={}", xtext::encode(envid.as_bytes())));
            }
        }
        line
    }

    fn rcpt_line(&self, recipient: &Recipient) -> String {
        let mut line = format!("RCPT TO:<{}>", recipient.address);
        if self.capabilities.dsn {
            if recipient.notify != Notify::default() {
                line.push_str(" NOTIFY=");
                line.push_str(&notify_value(recipient.notify));
            }
            if let Some(original) = &recipient.original {
                line.push_str(&format!(" ORCPT={original}"));
            }
        }
        line
    }

    fn command(&mut self, expect: Expect, line: String) {
        self.waiting.push_back((expect, line));
        self.pump();
    }

    /// Writes what may be written: all that waits when the server pipelines (RFC 2920), else one
    /// command when no reply is due. EHLO, STARTTLS, DATA and QUIT end a batch by being asked for alone.
    fn pump(&mut self) {
        while self.capabilities.pipelining || self.expected.is_empty() {
            let Some((expect, line)) = self.waiting.pop_front() else { return };
            self.expected.push_back(expect);
            // It may be a password.
            let line = Zeroizing::new(line);
            self.output.extend_from_slice(line.as_bytes());
            self.output.extend_from_slice(b"\r\n");
        }
    }

    fn take_reply(&mut self, expect: Expect, reply: Reply) {
        let event = match expect {
            Expect::Ignored => return,
            Expect::Mail => return self.mail_reply(reply),
            Expect::Recipient(index) => return self.recipient_reply(index, reply),
            Expect::Data => return self.data_reply(reply),
            Expect::Ehlo if matches!(reply.code, 500 | 502) => {
                // A server from before RFC 1869 (RFC 5321 §3.2).
                return self.command(Expect::Helo, format!("HELO {}", self.our_name));
            }
            Expect::Ehlo => {
                if reply.is_positive() {
                    self.capabilities = Capabilities::from_ehlo_lines(&reply.lines);
                }
                ClientEvent::Ehlo(reply)
            }
            Expect::Helo => {
                self.capabilities = Capabilities::default();
                ClientEvent::Ehlo(reply)
            }
            Expect::Message => {
                self.transaction = None;
                ClientEvent::Done(Some(reply))
            }
            Expect::Greeting => ClientEvent::Greeting(reply),
            Expect::StartTls => ClientEvent::StartTls(reply),
            Expect::Auth => ClientEvent::Auth(reply),
            Expect::Reset => ClientEvent::Reset(reply),
            Expect::Quit => ClientEvent::Quit(reply),
        };
        self.events.push_back(event);
    }

    fn mail_reply(&mut self, reply: Reply) {
        if !reply.is_positive() {
            // The RCPTs that follow will be refused for want of a transaction; nobody needs to hear it.
            self.transaction = None;
            self.waiting.retain(|(expect, _)| !matches!(expect, Expect::Recipient(_)));
            for expect in &mut self.expected {
                if matches!(expect, Expect::Recipient(_)) {
                    *expect = Expect::Ignored;
                }
            }
        }
        self.events.push_back(ClientEvent::Mail(reply));
    }

    fn recipient_reply(&mut self, index: usize, reply: Reply) {
        let positive = reply.is_positive();
        self.events.push_back(ClientEvent::Recipient { index, reply });
        let Some(transaction) = &mut self.transaction else { return };
        transaction.open = transaction.open.saturating_sub(1);
        transaction.accepted += usize::from(positive);
        if transaction.open > 0 {
            return;
        }
        match (transaction.accepted, transaction.size) {
            (0, _) => self.give_up(None),
            (_, size) if self.capabilities.chunking => {
                self.body = Some(Body::Chunk { size, announced: false });
                self.expected.push_back(Expect::Message);
                self.events.push_back(ClientEvent::SendMessage);
            }
            _ => self.command(Expect::Data, "DATA".into()),
        }
    }

    fn data_reply(&mut self, reply: Reply) {
        if reply.code == 354 {
            self.body = Some(Body::Dots(DotWriter::default()));
            self.expected.push_back(Expect::Message);
            self.events.push_back(ClientEvent::SendMessage);
        } else {
            self.give_up(Some(reply));
        }
    }

    /// Ends a transaction before its message: the server is told, its answer does not matter.
    fn give_up(&mut self, reply: Option<Reply>) {
        self.transaction = None;
        self.command(Expect::Ignored, "RSET".into());
        self.events.push_back(ClientEvent::Done(reply));
    }
}

/// RFC 6531 §3.4: an address beyond ASCII, or a message that says so.
fn needs_smtputf8(envelope: &Envelope) -> bool {
    let from = match &envelope.from {
        ReversePath::Null => false,
        ReversePath::Address(from) => from.needs_smtputf8(),
    };
    envelope.smtputf8 || from || envelope.to.iter().any(|to| to.address.needs_smtputf8())
}

fn notify_value(notify: Notify) -> String {
    let wishes =
        [(notify.success, "SUCCESS"), (notify.failure, "FAILURE"), (notify.delay, "DELAY")];
    let chosen: Vec<&str> = wishes.iter().filter(|(wish, _)| *wish).map(|(_, w)| *w).collect();
    if chosen.is_empty() { "NEVER".into() } else { chosen.join(",") }
}

#[cfg(test)]
mod tests;
