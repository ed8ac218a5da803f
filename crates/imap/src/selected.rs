//! With a mailbox selected (RFC 9051 §6.4).

use crate::fetch::{self, Opened};
use crate::outcome::{Failure, Outcome, done, done_with};
use crate::session::{Session, State};
use crate::user::User;
use crate::view::View;
use crate::{idle, search, select, store, transfer};
use wardpost_imap_wire::{Code, Command, SequenceSet, Tag};

/// A session that has a mailbox selected.
pub(crate) struct Selected {
    pub(crate) user: Box<User>,
    pub(crate) view: View,
    /// A large message that the client fetches in pieces.
    pub(crate) opened: Option<Opened>,
}

impl Selected {
    pub(crate) fn new(user: Box<User>, view: View) -> Self {
        Self { user, view, opened: None }
    }

    /// Commands while a mailbox is selected.
    pub(crate) async fn command(
        mut self: Box<Self>,
        session: &mut Session<'_>,
        command: Command,
        tag: &Tag,
    ) -> (State, Outcome) {
        if !matches!(command, Command::Fetch { .. }) {
            self.opened = None;
        }
        match command {
            Command::Select(name, options) => {
                self.leave(session);
                select::select(self.user, session, &name, options, false).await
            }
            Command::Examine(name, options) => {
                self.leave(session);
                select::select(self.user, session, &name, options, true).await
            }
            Command::Close => self.close().await,
            Command::Unselect => (State::User(self.user), done("UNSELECT completed")),
            Command::Delete(name) => self.delete(session, &name, tag).await,
            command => {
                let outcome = self.within(session, command, tag).await;
                (State::Selected(self), outcome)
            }
        }
    }

    /// Leaves the mailbox for another; the client is told where its messages end
    /// (RFC 7162 §3.2.11, RFC 9051 §7.1).
    fn leave(&self, session: &mut Session<'_>) {
        if self.user.features.qresync || self.user.features.rev2 {
            session.connection.untagged_ok(Code::Closed, "The mailbox before is closed");
        }
    }

    /// CLOSE: removes deleted messages without telling (RFC 9051 §6.4.1).
    async fn close(self: Box<Self>) -> (State, Outcome) {
        let mut outcome = done("CLOSE completed");
        if !self.view.read_only
            && let Err(error) = self.user.mail.expunge(self.view.id, None).await
        {
            outcome = Err(error.into());
        }
        (State::User(self.user), outcome)
    }

    /// DELETE, perhaps of the mailbox that is selected.
    async fn delete(
        mut self: Box<Self>,
        session: &mut Session<'_>,
        name: &wardpost_imap_wire::MailboxName,
        tag: &Tag,
    ) -> (State, Outcome) {
        let own = self.user.mail.find(name.as_str()).is_ok_and(|found| found.id == self.view.id);
        let command = Command::Delete(name.clone());
        let outcome = if own {
            self.user.common(session, command, tag).await
        } else {
            self.within(session, command, tag).await
        };
        if own && outcome.is_ok() {
            session.connection.untagged_ok(Code::Closed, "The selected mailbox is gone");
            return (State::User(self.user), outcome);
        }
        (State::Selected(self), outcome)
    }

    /// Commands that leave the mailbox selected. What has changed is told before the answer.
    async fn within(&mut self, session: &mut Session<'_>, command: Command, tag: &Tag) -> Outcome {
        // Numbers of the client's may be in flight in these (RFC 9051 §7.5.1).
        let expunge = !matches!(
            command,
            Command::Fetch { uid: false, .. }
                | Command::Store { uid: false, .. }
                | Command::Search { uid: false, .. }
        );
        let outcome = self.perform(session, command, tag).await;
        if let Err(Failure::End(_)) = outcome {
            return outcome;
        }
        self.sync(session, expunge).await?;
        outcome
    }

    async fn perform(&mut self, session: &mut Session<'_>, command: Command, tag: &Tag) -> Outcome {
        match command {
            Command::Check => done("CHECK completed"),
            Command::Idle => idle::idle(session, &self.user, Some(&mut self.view)).await,
            Command::Expunge(set) => self.expunge(session, set.as_ref()).await,
            Command::Search { uid, request } => {
                search::search(self, session, uid, &request, tag).await
            }
            Command::Fetch { uid, set, request } => {
                fetch::fetch(self, session, uid, &set, request).await
            }
            Command::Store { uid, set, request } => {
                store::store(self, session, uid, &set, &request).await
            }
            Command::Copy { uid, set, to } => transfer::copy(self, uid, &set, &to).await,
            Command::Move { uid, set, to } => {
                transfer::move_messages(self, session, uid, &set, &to).await
            }
            command => self.user.common(session, command, tag).await,
        }
    }

    /// Tells the client what has changed.
    pub(crate) async fn sync(
        &mut self,
        session: &mut Session<'_>,
        expunge: bool,
    ) -> Result<(), Failure> {
        let Self { user, view, .. } = self;
        view.sync(&user.mail, &mut session.connection, &user.features, expunge).await
    }

    /// Refuses changes in a mailbox that was opened by EXAMINE.
    pub(crate) fn writable(&self) -> Result<(), Failure> {
        if self.view.read_only {
            return Err(Failure::No(None, "The mailbox was opened read-only".into()));
        }
        Ok(())
    }

    /// EXPUNGE and UID EXPUNGE. The removals are told here, because the answer bears the change
    /// number after them (RFC 7162 §3.2.7).
    async fn expunge(&mut self, session: &mut Session<'_>, set: Option<&SequenceSet>) -> Outcome {
        self.writable()?;
        let only = set.map(|set| self.view.runs_at(&self.view.pick_uids(set)));
        self.user.mail.expunge(self.view.id, only.as_deref()).await?;
        self.sync(session, true).await?;
        if self.user.features.condstore {
            return done_with(Code::HighestModSeq(self.view.known().0), "EXPUNGE completed");
        }
        done("EXPUNGE completed")
    }
}
