//! The server's side of a session, as `mx` and `submission` drive it. Here is what a session is and how it
//! reads lines; `access` and `mail` hold what the commands do.
//!
//! The driver feeds bytes in with [`ServerSession::receive`], takes events out with
//! [`ServerSession::next_event`] until there is none, and writes [`ServerSession::take_output`]: one
//! write for a whole batch of pipelined commands (RFC 2920 §3.2). Events that ask for a decision
//! ([`Event::Mail`], [`Event::Recipient`], [`Event::Message`], [`Event::Auth`]) hold the session until
//! [`ServerSession::answer`] is called; a positive answer makes the step happen. All else the session
//! answers by itself.
//!
//! What comes in is cut up only as far as it has been answered, so a driver that reads no more while
//! an event waits bounds the session's memory by one read and one message.

mod access;
mod mail;
mod profile;
mod transaction;

pub use profile::Profile;

use crate::command::{self, Command, CommandError, MailParameters};
use crate::data::DotReader;
use crate::line::{Front, front};
use crate::sasl::{Credentials, Exchange};
use profile::{ok, reply};
use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;
use transaction::Transaction;
use wardpost_mail::{Domain, Envelope, Recipient, Reply};
use zeroize::Zeroize;

/// Longest command line, CRLF included (RFC 5321 §4.5.3.1.4).
const MAX_LINE: usize = 512;
/// Longest MAIL or RCPT: 512 and what the extensions add, of which ORCPT is the greatest part
/// (RFC 1870 §3, RFC 3461 §4, RFC 4954 §5, RFC 6531 §3.1).
const MAX_ENVELOPE_LINE: usize = 2048;
/// Longest AUTH line or response (RFC 4954 §4, §4.3).
const MAX_AUTH_LINE: usize = 12288;
/// How much of an endless line is passed over before the session ends.
const MAX_DISCARD: usize = 64 * 1024;
/// How often a message's limit may be passed by data that is being thrown away.
const MAX_OVERRUN: usize = 4;

/// Whether a connection is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// Not (yet).
    Plain,
    /// TLS is up.
    Tls,
}

/// What happened, or what the driver must decide.
#[derive(Debug)]
pub enum Event {
    /// The client named itself; see [`ServerSession::client_name`].
    Hello,
    /// The client may begin the TLS handshake: flush, shake hands, then call
    /// [`ServerSession::tls_started`]. Bytes that came after the command are gone.
    StartTls,
    /// Somebody logs in. Answer 235 or a refusal.
    Auth(Credentials),
    /// MAIL. Answer 250 or a refusal.
    Mail(MailParameters),
    /// RCPT. Answer 250 or a refusal.
    Recipient(Recipient),
    /// A whole message for all recipients that were accepted. Answer 250 only for what is on disk.
    Message {
        /// The envelope as accepted.
        envelope: Envelope,
        /// The message with dot-stuffing taken off; lines end with CRLF.
        message: Vec<u8>,
    },
    /// A transaction was given up by RSET, EHLO or HELO.
    Reset,
    /// The session refused something by itself; for counters.
    Refused(Refusal),
    /// Flush and close.
    Close,
}

/// Why the session refused by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// Mail, or a log-in, without TLS.
    Cleartext,
    /// Mail without log-in.
    Unauthenticated,
    /// A message over the size limit.
    Size,
    /// Too many recipients or transactions.
    Limit,
    /// A CR or LF that stands alone: attempted smuggling or a broken client.
    LineEnds,
    /// A command or a message that cannot be read.
    Syntax,
    /// A command out of place.
    Sequence,
    /// HTTP spoken to a mail server.
    Http,
}

impl Refusal {
    /// The name used in metric labels.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cleartext => "cleartext",
            Self::Unauthenticated => "unauthenticated",
            Self::Size => "size",
            Self::Limit => "limit",
            Self::LineEnds => "line_ends",
            Self::Syntax => "syntax",
            Self::Sequence => "sequence",
            Self::Http => "http",
        }
    }
}

#[derive(Debug)]
enum State {
    Command,
    /// A SASL exchange waits for the client's next line.
    Sasl(Exchange),
    Data {
        reader: DotReader,
        taken: usize,
    },
    /// Inside a BDAT chunk; `refuse` is the reply when the chunk is only passed over.
    Chunk {
        left: u64,
        last: bool,
        refuse: Option<Reply>,
    },
    /// An event waits for its answer.
    Waiting(Pending),
    Handshake,
    Closed,
}

/// What a positive answer will do.
#[derive(Debug)]
enum Pending {
    Auth,
    Mail(MailParameters),
    Recipient(Recipient),
    Message,
}

/// A server session over one connection.
#[derive(Debug)]
pub struct ServerSession {
    profile: Arc<Profile>,
    channel: Channel,
    state: State,
    input: Vec<u8>,
    /// How much of `input` has been used.
    used: usize,
    /// Octets of an endless line passed over so far.
    discarding: Option<usize>,
    output: Vec<u8>,
    events: VecDeque<Event>,
    client: Option<Client>,
    authenticated: bool,
    transaction: Option<Transaction>,
    transactions: u32,
    errors: u32,
    fruitless: u32,
    auth_failures: u32,
    refused_sender: Option<Domain>,
}

#[derive(Debug)]
struct Client {
    name: String,
    extended: bool,
}

impl ServerSession {
    /// A session whose greeting waits in [`Self::take_output`].
    pub fn new(profile: Arc<Profile>, channel: Channel) -> Self {
        let mut output = Vec::with_capacity(512);
        profile.greeting().write_to(&mut output);
        Self {
            profile,
            channel,
            state: State::Command,
            input: Vec::new(),
            used: 0,
            discarding: None,
            output,
            events: VecDeque::new(),
            client: None,
            authenticated: false,
            transaction: None,
            transactions: 0,
            errors: 0,
            fruitless: 0,
            auth_failures: 0,
            refused_sender: None,
        }
    }

    /// Takes bytes from the wire. What arrives between STARTTLS and the handshake, or after the end, is
    /// dropped (RFC 3207 §4.2).
    pub fn receive(&mut self, bytes: &[u8]) {
        if matches!(self.state, State::Handshake | State::Closed) {
            return;
        }
        if self.used == self.input.len() {
            self.input.clear();
        } else {
            self.input.drain(..self.used);
        }
        self.used = 0;
        self.input.extend_from_slice(bytes);
    }

    /// The next event, or `None` when more bytes, an answer or a handshake must come first.
    pub fn next_event(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            if !self.step() {
                return self.events.pop_front();
            }
        }
    }

    /// Answers the event that waits. A positive reply makes the step happen; 421 ends the session.
    pub fn answer(&mut self, reply: Reply) {
        let pending = match mem::replace(&mut self.state, State::Command) {
            State::Waiting(pending) => pending,
            other => {
                self.state = other;
                return;
            }
        };
        if reply.code == 421 {
            self.close(reply);
            return;
        }
        let positive = reply.is_positive();
        self.say(&reply);
        match pending {
            Pending::Auth if positive => self.authenticated = true,
            Pending::Auth => self.count_auth_failure(),
            Pending::Mail(mail) if positive => self.begin_transaction(mail),
            Pending::Recipient(recipient) if positive => {
                if let Some(transaction) = &mut self.transaction {
                    transaction.envelope.to.push(recipient);
                }
            }
            Pending::Mail(_) | Pending::Recipient(_) | Pending::Message => {}
        }
    }

    /// Says `reply` unasked and ends the session: time-outs, shut-down (RFC 5321 §3.8).
    pub fn close(&mut self, reply: Reply) {
        self.say(&reply);
        self.end();
    }

    /// TLS is up; everything learned in clear is forgotten (RFC 3207 §4.2).
    pub fn tls_started(&mut self) {
        self.channel = Channel::Tls;
        self.state = State::Command;
        self.input.clear();
        self.used = 0;
        self.client = None;
        self.transaction = None;
        self.authenticated = false;
    }

    /// Takes what must be written to the wire; empty when there is nothing.
    pub fn take_output(&mut self) -> Vec<u8> {
        mem::take(&mut self.output)
    }

    /// What the client called itself in EHLO or HELO.
    pub fn client_name(&self) -> Option<&str> {
        self.client.as_ref().map(|client| client.name.as_str())
    }

    /// The domain of the last MAIL that was refused for want of TLS, for those who count whom that keeps
    /// out; `None` for `<>`.
    pub fn refused_sender(&self) -> Option<&Domain> {
        self.refused_sender.as_ref()
    }

    /// Whether the client said EHLO rather than HELO.
    pub fn extended(&self) -> bool {
        self.client.as_ref().is_some_and(|client| client.extended)
    }

    /// Whether the connection is encrypted.
    pub fn channel(&self) -> Channel {
        self.channel
    }

    /// How many octets of a message the session holds.
    pub fn message_len(&self) -> usize {
        self.transaction.as_ref().map_or(0, Transaction::message_len)
    }

    /// Whether a message is coming in just now.
    pub fn in_data(&self) -> bool {
        matches!(self.state, State::Data { .. } | State::Chunk { .. })
    }

    /// Uses some of the input. False: nothing more can be done now.
    fn step(&mut self) -> bool {
        match mem::replace(&mut self.state, State::Command) {
            State::Command => self.line(None),
            State::Sasl(exchange) => self.line(Some(exchange)),
            State::Data { reader, taken } => self.data(reader, taken),
            State::Chunk { left, last, refuse } => self.chunk(left, last, refuse),
            idle @ (State::Waiting(_) | State::Handshake | State::Closed) => {
                self.state = idle;
                false
            }
        }
    }

    /// Reads a line: a command, or a response when a SASL exchange is under way.
    fn line(&mut self, exchange: Option<Exchange>) -> bool {
        let rest = &self.input[self.used..];
        let passed = self.discarding.unwrap_or(0);
        let length = match front(&rest[..rest.len().min(MAX_DISCARD + 2)]) {
            Front::Line(length) if passed + length > MAX_DISCARD => return self.endless_line(),
            Front::Line(length) => length,
            Front::Incomplete => {
                let more_than_a_line = rest.len() > MAX_AUTH_LINE || self.discarding.is_some();
                if let Some(exchange) = exchange {
                    self.state = State::Sasl(exchange);
                }
                if more_than_a_line {
                    self.discard();
                }
                return false;
            }
            Front::BareLineEnd => {
                self.refuse(Refusal::LineEnds);
                self.close(reply(500, (5, 5, 2), "Lines must end with CRLF"));
                return false;
            }
        };
        let mut line = rest[..length].to_vec();
        self.input[self.used..self.used + length].zeroize();
        self.used += length + 2;
        let limit = if exchange.is_some() { MAX_AUTH_LINE } else { line_limit(&line) };
        if self.discarding.take().is_some() || length + 2 > limit {
            self.fault(Refusal::Syntax, reply(500, (5, 5, 2), "Line too long"));
        } else if let Some(exchange) = exchange {
            self.sasl(exchange, &line);
        } else {
            match command::parse(&line) {
                Ok(command) => self.command(command),
                Err(error) => self.bad_command(error),
            }
        }
        line.zeroize();
        true
    }

    /// Passes over an endless line, keeping a CR that may be half of its end.
    fn discard(&mut self) {
        let keep = usize::from(self.input.last() == Some(&b'\r'));
        let passed = self.input.len() - self.used - keep;
        self.used += passed;
        let total = self.discarding.unwrap_or(0) + passed;
        self.discarding = Some(total);
        if total > MAX_DISCARD {
            self.endless_line();
        }
    }

    fn endless_line(&mut self) -> bool {
        self.refuse(Refusal::Syntax);
        self.close(reply(500, (5, 5, 2), "Line too long"));
        false
    }

    fn bad_command(&mut self, error: CommandError) {
        if error == CommandError::Http {
            self.refuse(Refusal::Http);
            self.close(error.reply());
        } else {
            self.fault(Refusal::Syntax, error.reply());
        }
    }

    fn command(&mut self, command: Command) {
        let early = matches!(
            command,
            Command::Ehlo(_)
                | Command::Helo(_)
                | Command::StartTls
                | Command::Noop
                | Command::Rset
                | Command::Quit
        );
        if !early && self.profile.tls_required && self.channel == Channel::Plain {
            let refusal = self.profile.cleartext.clone();
            if let Command::Mail(mail) = &command {
                self.refused_sender = mail.from.address().map(|from| from.domain().clone());
            }
            return self.refuse_command(&command, Refusal::Cleartext, refusal);
        }
        if !matches!(command, Command::Rcpt(_) | Command::Bdat { .. } | Command::Quit) {
            self.fruitless += 1;
            if self.fruitless > self.profile.max_fruitless {
                self.refuse(Refusal::Limit);
                return self.close(reply(421, (4, 7, 0), "Too many commands without mail"));
            }
        }
        match command {
            Command::Ehlo(name) => self.hello(name, true),
            Command::Helo(name) => self.hello(name, false),
            Command::StartTls => self.starttls(),
            Command::Auth { mechanism, initial } => self.auth(mechanism, initial),
            Command::Mail(mail) => self.mail(mail),
            Command::Rcpt(rcpt) => self.rcpt(rcpt),
            Command::Data => self.begin_data(),
            Command::Bdat { size, last } => self.begin_chunk(size, last),
            Command::Rset => {
                self.reset();
                self.say(&ok());
            }
            Command::Noop => self.say(&ok()),
            Command::Quit => self.close(reply(221, (2, 0, 0), "Bye")),
            // RFC 5321 §3.5.3, §7.3: who has a mailbox here is told to nobody.
            Command::Vrfy => self.say(&reply(252, (2, 5, 0), "Send the message and see")),
            Command::Expn => self.fault(Refusal::Syntax, reply(502, (5, 5, 1), "Not here")),
            Command::Help => self.say(&reply(214, (2, 0, 0), "RFC 5321")),
        }
    }

    fn reset(&mut self) {
        if self.transaction.take().is_some() {
            self.events.push_back(Event::Reset);
        }
    }

    /// Refuses a command; a BDAT brings octets along that must be passed over (RFC 3030 §2).
    fn refuse_command(&mut self, command: &Command, refusal: Refusal, answer: Reply) {
        match command {
            Command::Bdat { size, last } if *size > 0 => {
                self.refuse(refusal);
                self.enter_chunk(*size, *last, Some(answer));
            }
            _ => self.fault(refusal, answer),
        }
    }

    fn say(&mut self, reply: &Reply) {
        reply.write_to(&mut self.output);
    }

    fn refuse(&mut self, refusal: Refusal) {
        self.events.push_back(Event::Refused(refusal));
    }

    /// Refuses and counts the client's fault; too many end the session.
    fn fault(&mut self, refusal: Refusal, answer: Reply) {
        self.refuse(refusal);
        self.say_fault(&answer);
    }

    fn say_fault(&mut self, answer: &Reply) {
        self.say(answer);
        self.errors += 1;
        if self.errors > self.profile.max_errors {
            self.close(reply(421, (4, 7, 0), "Too many errors"));
        }
    }

    fn end(&mut self) {
        self.state = State::Closed;
        self.transaction = None;
        self.input.zeroize();
        self.used = 0;
        self.events.push_back(Event::Close);
    }
}

/// How long a command line may be, CRLF included.
fn line_limit(line: &[u8]) -> usize {
    match line.get(..4).map(<[u8]>::to_ascii_uppercase).as_deref() {
        Some(b"MAIL" | b"RCPT") => MAX_ENVELOPE_LINE,
        Some(b"AUTH") => MAX_AUTH_LINE,
        _ => MAX_LINE,
    }
}

#[cfg(test)]
mod tests;
