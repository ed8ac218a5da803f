//! SELECT and EXAMINE (RFC 9051 §6.3.2, §6.3.3, RFC 7162 §3.1.8, §3.2.5).

use crate::outcome::{Failure, Outcome, done_with};
use crate::selected::Selected;
use crate::session::{Session, State};
use crate::user::User;
use crate::view::View;
use wardpost_imap_wire::{Code, MailboxName, ResyncState, SelectOptions, SequenceSet, write};
use wardpost_mail::Uid;
use wardpost_mailbox::{ModSeq, Snapshot, SystemFlags, UidRange};

/// Selects a mailbox; when that fails, none is selected.
pub(crate) async fn select(
    mut user: Box<User>,
    session: &mut Session<'_>,
    name: &MailboxName,
    options: SelectOptions,
    read_only: bool,
) -> (State, Outcome) {
    match open(&mut user, session, name, options, read_only).await {
        Ok(view) => {
            let done = if read_only {
                done_with(Code::ReadOnly, "EXAMINE completed")
            } else {
                done_with(Code::ReadWrite, "SELECT completed")
            };
            (State::Selected(Box::new(Selected::new(user, view))), done)
        }
        Err(failure) => (State::User(user), Err(failure)),
    }
}

async fn open(
    user: &mut User,
    session: &mut Session<'_>,
    name: &MailboxName,
    options: SelectOptions,
    read_only: bool,
) -> Result<View, Failure> {
    if options.resync.is_some() && !user.features.qresync {
        return Err(Failure::bad("ENABLE QRESYNC first"));
    }
    user.features.condstore |= options.condstore;
    let mailbox = user.mail.find(name.as_str())?;
    // Watched before it is looked at, so that nothing happens in between unseen.
    let changes = user.mail.watch(mailbox.id)?;
    let snapshot = user.mail.select(mailbox.id).await?;
    let view = View::new(mailbox.id, read_only, &snapshot, changes);
    tell(session, &view, &snapshot, &mailbox.name, user.features.rev2);
    if let Some(resync) = options.resync {
        tell_missed(user, session, &view, &resync).await?;
    }
    session.connection.relieve().await?;
    Ok(view)
}

fn tell(session: &mut Session<'_>, view: &View, snapshot: &Snapshot, name: &str, rev2: bool) {
    let connection = &mut session.connection;
    view.tell_keywords(connection);
    view.tell_count(connection);
    if !rev2 {
        connection.untagged("0 RECENT");
    }
    let unseen = |message: &&wardpost_mailbox::MessageState| {
        !message.flags.system.contains(SystemFlags::SEEN)
    };
    if let Some(number) = snapshot.messages.iter().find(unseen).and_then(|m| view.number(m.uid)) {
        connection.untagged_ok(Code::Unseen(number), "First unseen message");
    }
    connection.untagged_ok(Code::UidValidity(snapshot.uid_validity), "UIDs are valid");
    connection.untagged_ok(Code::UidNext(snapshot.uid_next), "Predicted next UID");
    let highest = Code::HighestModSeq(snapshot.highest_modseq.0);
    connection.untagged_ok(highest, "Highest change number");
    if rev2 {
        // The mailbox by its true name (RFC 9051 §6.3.2).
        let out = connection.out();
        out.extend_from_slice(b"* LIST () \"/\" ");
        write::mailbox(out, name, true);
        out.extend_from_slice(b"\r\n");
    }
}

/// What happened since the client was last here: VANISHED (EARLIER) and FETCH with UID, FLAGS and
/// MODSEQ (RFC 7162 §3.2.5.1). Nothing when the UIDs have become others.
async fn tell_missed(
    user: &User,
    session: &mut Session<'_>,
    view: &View,
    resync: &ResyncState,
) -> Result<(), Failure> {
    if resync.uid_validity.get() != view.uid_validity.0 {
        return Ok(());
    }
    let changes = user.mail.changes_since(view.id, ModSeq(resync.mod_seq)).await?;
    let known = resolve(resync.known.as_ref());
    write_vanished(session, &changes.vanished, &known);
    for message in &changes.changed {
        if contains(&known, message.uid) {
            view.tell_flags(&mut session.connection, &user.features, message, true);
            session.connection.relieve().await?;
        }
    }
    Ok(())
}

/// The UIDs that a client may know, as ranges.
pub(crate) fn resolve(set: Option<&SequenceSet>) -> Vec<(u32, u32)> {
    set.map_or_else(|| vec![(1, u32::MAX)], |set| set.resolve(u32::MAX))
}

/// Writes `VANISHED (EARLIER)` for those UIDs that the client may know.
pub(crate) fn write_vanished(
    session: &mut Session<'_>,
    vanished: &[UidRange],
    known: &[(u32, u32)],
) {
    let ranges = clip(vanished, known);
    if ranges.is_empty() {
        return;
    }
    let out = session.connection.out();
    out.extend_from_slice(b"* VANISHED (EARLIER) ");
    for (i, (low, high)) in ranges.into_iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write::range(out, low, high);
    }
    out.extend_from_slice(b"\r\n");
}

/// The parts of ascending ranges that lie in others. Both ascend, so one walk finds them.
fn clip(ranges: &[UidRange], wanted: &[(u32, u32)]) -> Vec<(u32, u32)> {
    let (mut clipped, mut from) = (Vec::new(), 0);
    for range in ranges {
        from += wanted[from..].partition_point(|(_, high)| *high < range.first.0);
        for (low, high) in wanted[from..].iter().take_while(|(low, _)| *low <= range.last.0) {
            clipped.push((range.first.0.max(*low), range.last.0.min(*high)));
        }
    }
    clipped
}

fn contains(ranges: &[(u32, u32)], uid: Uid) -> bool {
    let at = ranges.partition_point(|(_, high)| *high < uid.0);
    ranges.get(at).is_some_and(|(low, _)| *low <= uid.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wardpost_imap_wire::{Command, Tagged};

    fn set(text: &str) -> SequenceSet {
        match Tagged::parse(format!("a COPY {text} b").as_bytes(), false).unwrap().command {
            Command::Copy { set, .. } => set,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn only_what_the_client_may_know_has_vanished() {
        let gone =
            [(3, 5), (9, 9), (20, 30)].map(|(a, b)| UidRange { first: Uid(a), last: Uid(b) });
        let known = |text| resolve(Some(&set(text)));
        assert_eq!(clip(&gone, &resolve(None)), [(3, 5), (9, 9), (20, 30)]);
        assert_eq!(clip(&gone, &known("1:4,25:*")), [(3, 4), (25, 30)]);
        assert_eq!(clip(&gone, &known("4,5,22:23,29:*")), [(4, 5), (22, 23), (29, 30)]);
        assert_eq!(clip(&gone, &known("6:8")), []);
        assert!(contains(&known("1:4,25:*"), Uid(26)) && !contains(&known("1:4"), Uid(5)));
    }
}
