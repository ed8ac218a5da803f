//! STORE (RFC 9051 §6.4.6, RFC 7162 §3.1.3).

use crate::flags;
use crate::outcome::{Failure, Outcome, done, done_with};
use crate::selected::Selected;
use crate::session::Session;
use crate::view::{fetch_start, mod_seq};
use wardpost_imap_wire::{Code, SequenceSet, StoreMode, StoreRequest, write};
use wardpost_mail::Uid;
use wardpost_mailbox::{FlagOp, MessageState, ModSeq};

/// Changes flags and tells the outcome.
pub(crate) async fn store(
    selected: &mut Selected,
    session: &mut Session<'_>,
    uid: bool,
    set: &SequenceSet,
    request: &StoreRequest,
) -> Outcome {
    selected.writable()?;
    // Asking by change number takes them into use (RFC 7162 §3.1).
    selected.user.features.condstore |= request.unchanged_since.is_some();
    let places = selected.view.pick(set, uid)?;
    let uids = selected.view.uids_at(&places);
    if uids.is_empty() {
        return done("STORE completed");
    }
    let op = match request.mode {
        StoreMode::Replace => FlagOp::Set,
        StoreMode::Add => FlagOp::Add,
        StoreMode::Remove => FlagOp::Remove,
    };
    let flags = flags::from_wire(&request.flags);
    // What others changed is told first: afterwards their change and this one are one state, and
    // `.SILENT` must not hide theirs (RFC 9051 §6.4.6).
    selected.sync(session, false).await?;
    let known = selected.view.known();
    let unchanged_since = request.unchanged_since.map(ModSeq);
    let outcome = selected
        .user
        .mail
        .store_flags(selected.view.id, &uids, op, &flags, unchanged_since)
        .await?;
    // With another change in between the flags are told as if they were somebody else's.
    let alone = outcome.modseq.is_none_or(|modseq| modseq.0 == known.0 + 1);
    if alone || !request.silent {
        selected.view.own_change(outcome.modseq);
    }
    tell_keywords(selected, session, &outcome.stored);
    tell(selected, session, uid, request.silent, &outcome.stored).await?;
    answer(selected, uid, uids.len() - outcome.stored.len(), &outcome.modified)
}

/// New keywords are announced before they are seen in a message (RFC 9051 §7.3.5).
fn tell_keywords(selected: &mut Selected, session: &mut Session<'_>, stored: &[MessageState]) {
    let keywords = &mut selected.view.keywords;
    // Every message is to be learnt from, so nothing is cut short here.
    let new = stored.iter().filter(|message| keywords.learn(&message.flags)).count();
    if new > 0 {
        selected.view.tell_keywords(&mut session.connection);
    }
}

async fn tell(
    selected: &Selected,
    session: &mut Session<'_>,
    uid: bool,
    silent: bool,
    stored: &[MessageState],
) -> Result<(), Failure> {
    let features = &selected.user.features;
    for message in stored {
        if !silent {
            let told_uid = uid || features.qresync;
            selected.view.tell_flags(&mut session.connection, features, message, told_uid);
        } else if features.condstore {
            tell_mod_seq(selected, session, message);
        }
        session.connection.relieve().await?;
    }
    Ok(())
}

/// The new change number is told even of a silent STORE (RFC 7162 §3.1.3).
fn tell_mod_seq(selected: &Selected, session: &mut Session<'_>, message: &MessageState) {
    let Some(number) = selected.view.number(message.uid) else { return };
    let out = session.connection.out();
    fetch_start(out, number);
    out.extend_from_slice(b"UID ");
    write::number(out, message.uid.0.into());
    out.push(b' ');
    mod_seq(out, message.modseq);
    out.extend_from_slice(b")\r\n");
}

fn answer(selected: &Selected, uid: bool, missing: usize, modified: &[Uid]) -> Outcome {
    if !modified.is_empty() {
        let numbers = modified.iter().filter_map(|m| match uid {
            true => Some(m.0),
            false => selected.view.number(*m),
        });
        return done_with(Code::Modified(numbers.collect()), "Some have changed in the meantime");
    }
    if missing > 0 && !uid {
        return Err(Failure::no(Code::ExpungeIssued, "Some of the messages are gone"));
    }
    done("STORE completed")
}
