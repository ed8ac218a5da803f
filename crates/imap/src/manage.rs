//! Mailboxes made, named and counted: CREATE, DELETE, RENAME, SUBSCRIBE, STATUS (RFC 9051 §6.3).

use crate::outcome::{Failure, Outcome, done};
use crate::session::Session;
use crate::user::User;
use wardpost_imap_wire as wire;
use wardpost_imap_wire::{Code, MailboxName, StatusItem, write};
use wardpost_mailbox::{SpecialUse, Status};

/// CREATE, with CREATE-SPECIAL-USE (RFC 6154 §3).
pub(crate) async fn create(
    user: &User,
    name: &MailboxName,
    uses: &[Option<wire::SpecialUse>],
) -> Outcome {
    let special = match uses {
        [] => None,
        [one] => Some(one.and_then(special_use).ok_or_else(no_such_use)?),
        _ => return Err(no_such_use()),
    };
    user.mail.create(name.as_str(), special).await?;
    done("CREATE completed")
}

fn no_such_use() -> Failure {
    Failure::no(Code::UseAttr, "A mailbox cannot have that use here")
}

/// The use as the mailboxes know it; `\All` and `\Flagged` would be virtual mailboxes.
fn special_use(wire: wire::SpecialUse) -> Option<SpecialUse> {
    Some(match wire {
        wire::SpecialUse::Archive => SpecialUse::Archive,
        wire::SpecialUse::Drafts => SpecialUse::Drafts,
        wire::SpecialUse::Junk => SpecialUse::Junk,
        wire::SpecialUse::Sent => SpecialUse::Sent,
        wire::SpecialUse::Trash => SpecialUse::Trash,
        wire::SpecialUse::All | wire::SpecialUse::Flagged => return None,
    })
}

/// DELETE.
pub(crate) async fn delete(user: &User, name: &MailboxName) -> Outcome {
    user.mail.delete(name.as_str()).await?;
    done("DELETE completed")
}

/// RENAME.
pub(crate) async fn rename(user: &User, from: &MailboxName, to: &MailboxName) -> Outcome {
    user.mail.rename(from.as_str(), to.as_str()).await?;
    done("RENAME completed")
}

/// SUBSCRIBE and UNSUBSCRIBE.
pub(crate) async fn subscribe(user: &User, name: &MailboxName, on: bool) -> Outcome {
    user.mail.set_subscribed(name.as_str(), on).await?;
    done(if on { "SUBSCRIBE completed" } else { "UNSUBSCRIBE completed" })
}

/// STATUS.
pub(crate) async fn status(
    user: &mut User,
    session: &mut Session<'_>,
    name: &MailboxName,
    items: &[StatusItem],
) -> Outcome {
    let mailbox = user.mail.find(name.as_str())?;
    let status = user.mail.status(mailbox.id).await?;
    // Asking for change numbers takes them into use (RFC 7162 §3.1).
    user.features.condstore |= items.contains(&StatusItem::HighestModSeq);
    let limit = session.imap.settings.append_limit;
    write_status(
        session.connection.out(),
        &mailbox.name,
        user.features.rev2,
        &status,
        items,
        limit,
    );
    done("STATUS completed")
}

/// Appends an untagged STATUS (RFC 9051 §7.3.4).
pub(crate) fn write_status(
    out: &mut Vec<u8>,
    name: &str,
    utf8: bool,
    status: &Status,
    items: &[StatusItem],
    append_limit: u64,
) {
    out.extend_from_slice(b"* STATUS ");
    write::mailbox(out, name, utf8);
    out.extend_from_slice(b" (");
    for (i, item) in items.iter().enumerate() {
        let (word, value) = match item {
            StatusItem::Messages => ("MESSAGES ", status.messages.into()),
            // No message is recent here: RFC 9051 has done away with it.
            StatusItem::Recent => ("RECENT ", 0),
            StatusItem::UidNext => ("UIDNEXT ", status.uid_next.0.into()),
            StatusItem::UidValidity => ("UIDVALIDITY ", status.uid_validity.0.into()),
            StatusItem::Unseen => ("UNSEEN ", status.unseen.into()),
            StatusItem::Deleted => ("DELETED ", status.deleted.into()),
            StatusItem::Size => ("SIZE ", status.size),
            StatusItem::HighestModSeq => ("HIGHESTMODSEQ ", status.highest_modseq.0),
            StatusItem::AppendLimit => ("APPENDLIMIT ", append_limit),
        };
        if i > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(word.as_bytes());
        write::number(out, value);
    }
    out.extend_from_slice(b")\r\n");
}
