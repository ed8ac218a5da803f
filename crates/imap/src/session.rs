//! A conversation from greeting to farewell.

use crate::Imap;
use crate::connection::{Connection, End, Input};
use crate::login::Stranger;
use crate::outcome::{Done, Failure, Outcome, done};
use crate::selected::Selected;
use crate::user::User;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use wardpost_imap_wire::{Code, Command, Malformed, Status, Tag, Tagged, write};

/// Silence after which a session ends (RFC 9051 §5.4: at least 30 minutes).
pub(crate) const AUTO_LOGOUT: Duration = Duration::from_secs(30 * 60);
/// How long a message stays open for a client that fetches it in pieces.
const KEEP_OPEN: Duration = Duration::from_secs(10);
/// Commands in a row that cannot be read before the connection is closed.
const MAX_BAD: u32 = 20;

/// What a session is. Each step consumes the state it starts from.
pub(crate) enum State {
    /// Nobody has logged in.
    Stranger(Stranger),
    /// Somebody has.
    User(Box<User>),
    /// And has selected a mailbox.
    Selected(Box<Selected>),
}

/// What all states share.
pub(crate) struct Session<'a> {
    pub(crate) imap: &'a Arc<Imap>,
    pub(crate) connection: Connection,
    bad: u32,
}

impl<'a> Session<'a> {
    /// Talks until the connection ends.
    pub(crate) async fn run(imap: &'a Arc<Imap>, connection: Connection, peer: IpAddr) -> End {
        let mut session = Self { imap, connection, bad: 0 };
        session.greet();
        let mut state = State::Stranger(Stranger::new(peer));
        let end = loop {
            match session.step(state).await {
                Ok(next) => state = next,
                Err(end) => break end,
            }
        };
        session.connection.farewell(&end).await;
        end
    }

    fn greet(&mut self) {
        let code = Code::Capability(self.imap.capabilities.before_login.clone());
        self.connection.untagged_ok(code, "Wardpost is ready");
    }

    /// Takes one command.
    async fn step(&mut self, mut state: State) -> Result<State, End> {
        if let State::Selected(selected) = &mut state
            && selected.opened.is_some()
            && !self.connection.stirs(KEEP_OPEN).await?
        {
            selected.opened = None;
        }
        let deadline = match &state {
            State::Stranger(stranger) => stranger.deadline(&self.connection)?,
            _ => Instant::now() + AUTO_LOGOUT,
        };
        let utf8 = match &state {
            State::Stranger(_) => false,
            State::User(user) => user.features.rev2,
            State::Selected(selected) => selected.user.features.rev2,
        };
        match self.connection.input(deadline).await? {
            Input::Command(bytes) => match Tagged::parse(bytes.expose(), utf8) {
                Ok(tagged) => {
                    drop(bytes);
                    self.bad = 0;
                    Box::pin(self.command(state, tagged)).await
                }
                Err(malformed) => self.malformed(malformed).map(|()| state),
            },
            Input::Append { head, message } => {
                Box::pin(self.append(state, &head, message, utf8)).await
            }
            Input::TooBig(Some(tag)) => {
                let failure = Failure::no(Code::TooBig, "The literal is too big");
                self.answer(&tag, "unknown", Instant::now(), Err(failure)).map(|()| state)
            }
            Input::TooBig(None) => Err(End::TooManyErrors),
        }
    }

    async fn command(&mut self, state: State, tagged: Tagged) -> Result<State, End> {
        let Tagged { tag, command } = tagged;
        let (name, begun) = (command.name(), Instant::now());
        let (state, outcome) = match (command, state) {
            (Command::Logout, _) => return Err(self.log_out(&tag)),
            (Command::Capability, state) => {
                let words = match &state {
                    State::Stranger(_) => &self.imap.capabilities.before_login,
                    _ => &self.imap.capabilities.after_login,
                };
                self.connection.untagged(&format!("CAPABILITY {words}"));
                (state, done("CAPABILITY completed"))
            }
            (Command::Id, state) => {
                self.connection.untagged("ID (\"name\" \"Wardpost\")");
                (state, done("ID completed"))
            }
            (command, State::Stranger(stranger)) => stranger.command(self, command).await,
            (command, State::User(user)) => user.command(self, command, &tag).await,
            (command, State::Selected(selected)) => selected.command(self, command, &tag).await,
        };
        self.answer(&tag, name, begun, outcome).map(|()| state)
    }

    fn log_out(&mut self, tag: &Tag) -> End {
        let out = self.connection.out();
        write::status(out, None, Status::Bye, None, "Good bye");
        write::status(out, Some(tag), Status::Ok, None, "LOGOUT completed");
        End::Logout
    }

    /// Writes the tagged answer and counts it.
    pub(crate) fn answer(
        &mut self,
        tag: &Tag,
        name: &'static str,
        begun: Instant,
        outcome: Outcome,
    ) -> Result<(), End> {
        let out = self.connection.out();
        let status = match outcome {
            Ok(Done { code, text }) => {
                write::status(out, Some(tag), Status::Ok, code.as_ref(), text);
                Status::Ok
            }
            Err(Failure::No(code, text)) => {
                write::status(out, Some(tag), Status::No, code.as_ref(), &text);
                Status::No
            }
            Err(Failure::Bad(code, text)) => {
                write::status(out, Some(tag), Status::Bad, code.as_ref(), &text);
                Status::Bad
            }
            Err(Failure::End(end)) => return Err(end),
        };
        let metrics = &self.imap.metrics;
        metrics.commands.with_label_values(&[name, status.name()]).inc();
        // How long a client idles says nothing of the server.
        if name != "idle" {
            metrics.seconds.with_label_values(&[name]).observe(begun.elapsed().as_secs_f64());
        }
        Ok(())
    }

    /// Answers what cannot be read, a limited number of times.
    pub(crate) fn malformed(&mut self, malformed: Malformed) -> Result<(), End> {
        self.imap.metrics.rejected.inc();
        self.bad += 1;
        if self.bad > MAX_BAD {
            return Err(End::TooManyErrors);
        }
        let tag = malformed.tag.clone();
        let (status, code, text) = match Failure::from(malformed) {
            Failure::No(code, text) => (Status::No, code, text),
            Failure::Bad(code, text) => (Status::Bad, code, text),
            Failure::End(end) => return Err(end),
        };
        write::status(self.connection.out(), tag.as_ref(), status, code.as_ref(), &text);
        Ok(())
    }
}
