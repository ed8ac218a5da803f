//! COPY and MOVE (RFC 9051 §6.4.7, §6.4.8, RFC 4315 §3, RFC 6851).

use crate::outcome::{Failure, Outcome, done, done_with};
use crate::selected::Selected;
use crate::session::Session;
use wardpost_imap_wire::{Code, MailboxName, SequenceSet};
use wardpost_mail::MailboxId;
use wardpost_mailbox::MailboxError;

/// Copies messages, all or none.
pub(crate) async fn copy(
    selected: &mut Selected,
    uid: bool,
    set: &SequenceSet,
    to: &MailboxName,
) -> Outcome {
    let uids = selected.view.uids_at(&selected.view.pick(set, uid)?);
    let to = destination(selected, to)?;
    if uids.is_empty() {
        return done("There was nothing to copy");
    }
    let (validity, pairs) = selected.user.mail.copy(selected.view.id, &uids, to).await?;
    if pairs.is_empty() {
        return done("There was nothing to copy");
    }
    done_with(Code::CopyUid(validity, pairs), "COPY completed")
}

/// Moves messages in one step. COPYUID comes before the removals it explains (RFC 6851 §4.3).
pub(crate) async fn move_messages(
    selected: &mut Selected,
    session: &mut Session<'_>,
    uid: bool,
    set: &SequenceSet,
    to: &MailboxName,
) -> Outcome {
    selected.writable()?;
    let uids = selected.view.uids_at(&selected.view.pick(set, uid)?);
    let to = destination(selected, to)?;
    if uids.is_empty() {
        return done("There was nothing to move");
    }
    let moved = selected.user.mail.move_messages(selected.view.id, &uids, to).await?;
    if !moved.1.is_empty() {
        session.connection.untagged_ok(Code::CopyUid(moved.0, moved.1), "Moved");
    }
    selected.sync(session, true).await?;
    if selected.user.features.condstore {
        return done_with(Code::HighestModSeq(selected.view.known().0), "MOVE completed");
    }
    done("MOVE completed")
}

/// The mailbox to put messages in; TRYCREATE when there is none (RFC 9051 §6.4.7).
fn destination(selected: &Selected, name: &MailboxName) -> Result<MailboxId, Failure> {
    match selected.user.mail.find(name.as_str()) {
        Ok(found) => Ok(found.id),
        Err(MailboxError::NoSuchMailbox) => Err(MailboxError::NoSuchDestination.into()),
        Err(error) => Err(error.into()),
    }
}
