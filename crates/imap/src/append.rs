//! APPEND (RFC 9051 §6.3.12, RFC 4315 §3, RFC 7889).
//!
//! Whatever can be refused is refused before the message is asked for. A message that is taken waits
//! for room among all that are being appended; until there is, nothing is read and the client waits.

use crate::connection::End;
use crate::flags;
use crate::outcome::{Failure, Outcome, done_with};
use crate::session::{Session, State};
use crate::user::User;
use tokio::time::Instant;
use wardpost_imap_wire::{Announced, AppendHead, Code};
use wardpost_mail::MailboxId;
use wardpost_mailbox::{MailboxError, NewMessage};

impl Session<'_> {
    /// An APPEND whose message is announced.
    pub(crate) async fn append(
        &mut self,
        mut state: State,
        head: &[u8],
        message: Announced,
        utf8: bool,
    ) -> Result<State, End> {
        let begun = Instant::now();
        let head = match AppendHead::parse(head, utf8) {
            Ok(head) => head,
            Err(malformed) => {
                self.connection.refuse_message();
                return self.malformed(malformed).map(|()| state);
            }
        };
        let mut outcome = match &state {
            State::Stranger(_) => Err(Failure::bad("Log in first")),
            State::User(user) => self.append_for(user, &head, message).await,
            State::Selected(selected) => self.append_for(&selected.user, &head, message).await,
        };
        // Where nothing was taken there is nothing to refuse, and this does nothing.
        self.connection.refuse_message();
        if let (State::Selected(selected), Ok(_)) = (&mut state, &outcome)
            && let Err(failure) = selected.sync(self, true).await
        {
            outcome = Err(failure);
        }
        self.answer(&head.tag, "append", begun, outcome).map(|()| state)
    }

    async fn append_for(&mut self, user: &User, head: &AppendHead, message: Announced) -> Outcome {
        if message.size == 0 {
            return Err(Failure::no(Code::Cannot, "An empty message is no message"));
        }
        let to = destination(user, head)?;
        let room = u32::try_from(message.size.div_ceil(1024)).unwrap_or(u32::MAX);
        let room = self.imap.room.acquire_many(room).await;
        let raw = self.connection.message(message).await?;
        if message.binary && raw.contains(&0) {
            // What BODY[] could never give back (RFC 3516 §4.3, RFC 9051 §4.3.1).
            return Err(Failure::no(Code::UnknownCte, "Binary content is to be encoded"));
        }
        let new = NewMessage {
            raw,
            flags: flags::from_wire(&head.flags),
            internal_date: head.date.map(wardpost_imap_wire::DateTime::unix),
        };
        let (validity, uid) = user.mail.append(to, new).await?;
        drop(room);
        done_with(Code::AppendUid(validity, uid), "APPEND completed")
    }
}

/// The mailbox to append to; TRYCREATE when there is none.
fn destination(user: &User, head: &AppendHead) -> Result<MailboxId, Failure> {
    match user.mail.find(head.mailbox.as_str()) {
        Ok(found) => Ok(found.id),
        Err(MailboxError::NoSuchMailbox) => Err(MailboxError::NoSuchDestination.into()),
        Err(error) => Err(error.into()),
    }
}
