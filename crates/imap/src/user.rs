//! After log-in: what can be done with and without a selected mailbox.

use crate::idle;
use crate::outcome::{Failure, Outcome, done};
use crate::select;
use crate::session::{Session, State};
use crate::{list, manage};
use wardpost_directory::Login;
use wardpost_imap_wire::{Capability, Command, Tag};
use wardpost_mailbox::AccountMail;

/// What the client has asked for (RFC 5161, RFC 7162 §3.1).
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Features {
    /// Change numbers are told.
    pub(crate) condstore: bool,
    /// Removals are told as VANISHED.
    pub(crate) qresync: bool,
    /// IMAP4rev2: names and quoted strings are UTF-8, searches are answered by ESEARCH, and nothing
    /// is recent (RFC 9051 appendix E).
    pub(crate) rev2: bool,
}

/// A session somebody has logged in to.
pub(crate) struct User {
    pub(crate) mail: AccountMail,
    pub(crate) features: Features,
    /// Keeps the account unlocked as long as the session lasts.
    _login: Login,
}

impl User {
    pub(crate) fn new(mail: AccountMail, login: Login) -> Self {
        Self { mail, features: Features::default(), _login: login }
    }

    /// Commands while no mailbox is selected.
    pub(crate) async fn command(
        mut self: Box<Self>,
        session: &mut Session<'_>,
        command: Command,
        tag: &Tag,
    ) -> (State, Outcome) {
        let outcome = match command {
            Command::Select(name, options) => {
                return select::select(self, session, &name, options, false).await;
            }
            Command::Examine(name, options) => {
                return select::select(self, session, &name, options, true).await;
            }
            Command::Idle => idle::idle(session, &self, None).await,
            command => self.common(session, command, tag).await,
        };
        (State::User(self), outcome)
    }

    /// Commands that do the same whether or not a mailbox is selected.
    pub(crate) async fn common(
        &mut self,
        session: &mut Session<'_>,
        command: Command,
        _tag: &Tag,
    ) -> Outcome {
        let connection = &mut session.connection;
        match command {
            Command::Noop => done("NOOP completed"),
            Command::Enable(wanted) => {
                let enabled = self.enable(&wanted);
                connection.untagged(&format!("ENABLED{enabled}"));
                done("ENABLE completed")
            }
            Command::Namespace => {
                // One personal namespace without a prefix (RFC 2342 §5).
                connection.untagged("NAMESPACE ((\"\" \"/\")) NIL NIL");
                done("NAMESPACE completed")
            }
            Command::List(request) => list::list(self, session, &request).await,
            Command::Lsub { reference, pattern } => {
                list::lsub(self, session, &reference, &pattern).await
            }
            Command::Status(name, items) => manage::status(self, session, &name, &items).await,
            Command::Create(name, uses) => manage::create(self, &name, &uses).await,
            Command::Delete(name) => manage::delete(self, &name).await,
            Command::Rename { from, to } => manage::rename(self, &from, &to).await,
            Command::Subscribe(name) => manage::subscribe(self, &name, true).await,
            Command::Unsubscribe(name) => manage::subscribe(self, &name, false).await,
            Command::Login { .. } | Command::Authenticate { .. } | Command::StartTls => {
                Err(Failure::bad("You are logged in already"))
            }
            _ => Err(Failure::bad("Select a mailbox first")),
        }
    }

    /// Takes what is known here into use; the answer lists what is new (RFC 5161 §3.1).
    fn enable(&mut self, wanted: &[Capability]) -> String {
        let features = &mut self.features;
        let mut enabled = String::new();
        for capability in wanted {
            let (new, name) = match capability {
                Capability::CondStore => (!features.condstore, " CONDSTORE"),
                Capability::QResync => (!features.qresync, " QRESYNC"),
                Capability::Imap4Rev2 => (!features.rev2, " IMAP4rev2"),
                Capability::Utf8Accept | Capability::Other => continue,
            };
            features.rev2 |= *capability == Capability::Imap4Rev2;
            features.qresync |= *capability == Capability::QResync;
            features.condstore |= *capability != Capability::Imap4Rev2;
            if new {
                enabled.push_str(name);
            }
        }
        enabled
    }
}
