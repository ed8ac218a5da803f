//! The selected mailbox as one session sees it.
//!
//! A message's number is its place in [`View::uids`]. That list changes only in [`View::sync`], at
//! points where the protocol lets the client be told: new messages at any time within a command,
//! removals only where no message number of the client can be in flight (RFC 9051 §7.5.1).

use crate::connection::{Connection, End};
use crate::flags::{self, Keywords};
use crate::outcome::Failure;
use crate::uids::Uids;
use crate::user::Features;
use std::ops::Range;
use tokio::sync::watch;
use wardpost_imap_wire::{Code, SequenceSet, write};
use wardpost_mail::{MailboxId, Uid, UidValidity};
use wardpost_mailbox::{AccountMail, MailboxError, MessageState, ModSeq, Snapshot, UidRange};

/// A selected mailbox.
pub(crate) struct View {
    pub(crate) id: MailboxId,
    pub(crate) read_only: bool,
    pub(crate) uid_validity: UidValidity,
    /// The messages the client knows; a message's number is its place, counted from 1.
    pub(crate) uids: Uids,
    /// What `$` stands for (RFC 5182).
    pub(crate) saved: Uids,
    pub(crate) keywords: Keywords,
    /// Up to where the client has been told.
    known: ModSeq,
    /// Messages that are gone and that the client has not been told of, ascending.
    gone: Vec<u32>,
    /// Changes of this session's own that the client has been told of already.
    own: Vec<ModSeq>,
    changes: watch::Receiver<ModSeq>,
}

impl View {
    pub(crate) fn new(
        id: MailboxId,
        read_only: bool,
        snapshot: &Snapshot,
        changes: watch::Receiver<ModSeq>,
    ) -> Self {
        let mut keywords = Keywords::default();
        for message in &snapshot.messages {
            keywords.learn(&message.flags);
        }
        Self {
            id,
            read_only,
            uid_validity: snapshot.uid_validity,
            uids: snapshot.messages.iter().map(|message| message.uid.0).collect(),
            saved: Uids::default(),
            keywords,
            known: snapshot.highest_modseq,
            gone: Vec::new(),
            own: Vec::new(),
            changes,
        }
    }

    /// The change number up to which the client has been told.
    pub(crate) fn known(&self) -> ModSeq {
        self.known
    }

    /// A change of this session's own: the client learns it from the command's own answer.
    pub(crate) fn own_change(&mut self, modseq: Option<ModSeq>) {
        self.own.extend(modseq);
    }

    /// Waits until the mailbox changes. Safe to cancel.
    pub(crate) async fn changed(&mut self) -> Result<(), End> {
        self.changes.changed().await.map_err(|_| End::MailboxDeleted)
    }

    /// The number of a message.
    pub(crate) fn number(&self, uid: Uid) -> Option<u32> {
        self.uids.place(uid.0).map(|at| at as u32 + 1)
    }

    /// The places in [`View::uids`] that a set means, ascending and apart.
    ///
    /// A UID that no message has means nothing (RFC 9051 §6.4.9). A number above those in use is the
    /// client's error, but a range that reaches beyond is taken as far as it goes, because the end
    /// may have been expunged on its way.
    pub(crate) fn pick(&self, set: &SequenceSet, uid: bool) -> Result<Vec<Range<usize>>, Failure> {
        if *set == SequenceSet::Saved {
            return Ok(self.saved_places());
        }
        if uid {
            return Ok(self.pick_uids(set));
        }
        let count = self.uids.len();
        let mut picked = Vec::new();
        for (low, high) in set.resolve(count as u32) {
            if low as usize > count {
                return Err(Failure::bad("There is no message of that number"));
            }
            let (start, end) = (low.max(1) as usize - 1, (high as usize).min(count));
            if start < end {
                picked.push(start..end);
            }
        }
        Ok(picked)
    }

    /// The places of a set of UIDs.
    pub(crate) fn pick_uids(&self, set: &SequenceSet) -> Vec<Range<usize>> {
        if *set == SequenceSet::Saved {
            return self.saved_places();
        }
        let greatest = self.uids.last().unwrap_or(0);
        let ranges = set.resolve(greatest).into_iter();
        let ranges = ranges.map(|(low, high)| self.uids.places(low, high));
        ranges.filter(|range| !range.is_empty()).collect()
    }

    /// The places of what `$` stands for, as far as it is still known.
    fn saved_places(&self) -> Vec<Range<usize>> {
        let mut places: Vec<Range<usize>> = Vec::new();
        for place in self.saved.iter().filter_map(|uid| self.uids.place(uid)) {
            match places.last_mut() {
                Some(last) if last.end == place => last.end += 1,
                _ => places.push(place..place + 1),
            }
        }
        places
    }

    /// The UIDs at these places.
    pub(crate) fn uids_at(&self, places: &[Range<usize>]) -> Vec<Uid> {
        places.iter().flat_map(|range| self.uids.within(range.clone())).map(Uid).collect()
    }

    /// The runs of UIDs that hold exactly the messages at these places: UIDs only grow, so what lies
    /// between two messages that were neighbours cannot be another message.
    pub(crate) fn runs_at(&self, places: &[Range<usize>]) -> Vec<UidRange> {
        places.iter().filter_map(|range| self.uids.span(range)).collect()
    }

    /// The run of all messages.
    pub(crate) fn everything(&self) -> Vec<UidRange> {
        self.runs_at(std::slice::from_ref(&(0..self.uids.len())))
    }

    /// Tells the client what has changed, removals only where `expunge` allows them.
    ///
    /// # Errors
    /// [`End::MailboxDeleted`] when the mailbox is gone.
    pub(crate) async fn sync(
        &mut self,
        mail: &AccountMail,
        connection: &mut Connection,
        features: &Features,
        expunge: bool,
    ) -> Result<(), Failure> {
        if self.changes.has_changed().is_err() {
            return Err(End::MailboxDeleted.into());
        }
        self.changes.mark_unchanged();
        let changes = match mail.changes_since(self.id, self.known).await {
            Ok(changes) => changes,
            Err(MailboxError::NoSuchMailbox) => return Err(End::MailboxDeleted.into()),
            Err(error) => return Err(error.into()),
        };
        self.known = changes.highest_modseq;
        self.note_gone(&changes.vanished);
        if expunge {
            self.tell_gone(connection, features);
        }
        self.tell_changed(connection, features, &changes.changed);
        self.own.clear();
        connection.relieve().await.map_err(Failure::from)
    }

    fn note_gone(&mut self, vanished: &[UidRange]) {
        for range in vanished {
            let places = self.uids.places(range.first.0, range.last.0);
            self.gone.extend(self.uids.within(places));
        }
        if !vanished.is_empty() {
            self.gone.sort_unstable();
            self.gone.dedup();
        }
    }

    /// `EXPUNGE` (RFC 9051 §7.5.1) or `VANISHED` (RFC 7162 §3.2.10) for all that is gone.
    fn tell_gone(&mut self, connection: &mut Connection, features: &Features) {
        if self.gone.is_empty() {
            return;
        }
        let gone = std::mem::take(&mut self.gone);
        let out = connection.out();
        if features.qresync {
            out.extend_from_slice(b"* VANISHED ");
            write::sequence_set(out, gone.iter().copied());
            out.extend_from_slice(b"\r\n");
        } else {
            // From the last to the first, so that no removal renumbers one still to be told.
            for uid in gone.iter().rev() {
                if let Some(number) = self.number(Uid(*uid)) {
                    out.extend_from_slice(b"* ");
                    write::number(out, number.into());
                    out.extend_from_slice(b" EXPUNGE\r\n");
                }
            }
        }
        self.uids.remove(&gone);
        self.saved.remove(&gone);
    }

    fn tell_changed(
        &mut self,
        connection: &mut Connection,
        features: &Features,
        changed: &[MessageState],
    ) {
        let last = self.uids.last().unwrap_or(0);
        let mut new_keyword = false;
        for message in changed {
            new_keyword |= self.keywords.learn(&message.flags);
        }
        if new_keyword {
            self.tell_keywords(connection);
        }
        let arrived = changed.partition_point(|message| message.uid.0 <= last);
        for message in &changed[..arrived] {
            if !self.own.contains(&message.modseq) {
                self.tell_flags(connection, features, message, true);
            }
        }
        if arrived < changed.len() {
            self.uids.extend(changed[arrived..].iter().map(|message| message.uid.0));
            self.tell_count(connection);
        }
    }

    /// `EXISTS`.
    pub(crate) fn tell_count(&self, connection: &mut Connection) {
        connection.untagged(&format!("{} EXISTS", self.uids.len()));
    }

    /// `FLAGS` and `PERMANENTFLAGS` (RFC 9051 §7.3.5, §7.1).
    pub(crate) fn tell_keywords(&self, connection: &mut Connection) {
        let listed = self.keywords.listed();
        connection.untagged(&format!("FLAGS ({listed})"));
        if self.read_only {
            let none = Code::PermanentFlags(String::new());
            connection.untagged_ok(none, "Nothing can be changed here");
        } else {
            let all = Code::PermanentFlags(format!("{listed} \\*"));
            connection.untagged_ok(all, "Flags that can be changed");
        }
    }

    /// `FETCH` with a message's flags; its UID and change number go with them where wanted.
    pub(crate) fn tell_flags(
        &self,
        connection: &mut Connection,
        features: &Features,
        message: &MessageState,
        uid: bool,
    ) {
        let Some(number) = self.number(message.uid) else { return };
        let out = connection.out();
        fetch_start(out, number);
        if uid {
            out.extend_from_slice(b"UID ");
            write::number(out, message.uid.0.into());
            out.push(b' ');
        }
        out.extend_from_slice(b"FLAGS ");
        flags::write(out, &message.flags);
        if features.condstore {
            out.push(b' ');
            mod_seq(out, message.modseq);
        }
        out.extend_from_slice(b")\r\n");
    }
}

/// `* number FETCH (`
pub(crate) fn fetch_start(out: &mut Vec<u8>, number: u32) {
    out.extend_from_slice(b"* ");
    write::number(out, number.into());
    out.extend_from_slice(b" FETCH (");
}

/// `MODSEQ (n)`
pub(crate) fn mod_seq(out: &mut Vec<u8>, modseq: ModSeq) {
    out.extend_from_slice(b"MODSEQ (");
    write::number(out, modseq.0);
    out.push(b')');
}

#[cfg(test)]
mod tests {
    use super::*;
    use wardpost_imap_wire::{Command, Tagged};
    use wardpost_mailbox::{Flags, SystemFlags};

    fn view(uids: &[u32]) -> View {
        let message = |uid: &u32| MessageState {
            uid: Uid(*uid),
            modseq: ModSeq(1),
            flags: Flags::system(SystemFlags::NONE),
            size: 1,
            internal_date: 0,
        };
        let snapshot = Snapshot {
            uid_validity: UidValidity(1),
            uid_next: Uid(100),
            highest_modseq: ModSeq(1),
            messages: uids.iter().map(message).collect(),
        };
        View::new(MailboxId(1), false, &snapshot, watch::channel(ModSeq(1)).1)
    }

    fn set(text: &str) -> SequenceSet {
        match Tagged::parse(format!("a COPY {text} b").as_bytes(), false).unwrap().command {
            Command::Copy { set, .. } => set,
            other => panic!("{other:?}"),
        }
    }

    fn picked(view: &View, text: &str, uid: bool) -> Option<Vec<u32>> {
        let places = view.pick(&set(text), uid).ok()?;
        Some(view.uids_at(&places).into_iter().map(|uid| uid.0).collect())
    }

    #[test]
    fn numbers_mean_places() {
        let view = view(&[3, 5, 9]);
        assert_eq!(picked(&view, "2", false), Some(vec![5]));
        assert_eq!(picked(&view, "*", false), Some(vec![9]));
        assert_eq!(picked(&view, "3:1", false), Some(vec![3, 5, 9]));
        assert_eq!(picked(&view, "2:9", false), Some(vec![5, 9]));
        assert_eq!(picked(&view, "9:*", false), Some(vec![9]));
        assert_eq!(picked(&view, "4", false), None);
        assert_eq!(picked(&view, "1,4:5", false), None);
    }

    #[test]
    fn uids_that_nobody_has_mean_nothing() {
        let view = view(&[3, 5, 9]);
        assert_eq!(picked(&view, "1:4,7", true), Some(vec![3]));
        assert_eq!(picked(&view, "20:*", true), Some(vec![9]));
        assert_eq!(picked(&view, "6:8", true), Some(vec![]));
    }

    #[test]
    fn an_empty_mailbox_has_a_star_and_nothing_behind_it() {
        let view = view(&[]);
        for uid in [false, true] {
            assert_eq!(picked(&view, "1:*", uid), Some(vec![]));
            assert_eq!(picked(&view, "*", uid), Some(vec![]));
        }
        assert_eq!(picked(&view, "1", false), None);
        assert!(view.everything().is_empty());
    }

    #[test]
    fn the_saved_result_is_a_set_of_its_own() {
        let mut view = view(&[3, 5, 9]);
        view.saved = [3, 7, 9].into_iter().collect();
        assert_eq!(picked(&view, "$", false), Some(vec![3, 9]));
        assert_eq!(picked(&view, "$", true), Some(vec![3, 9]));
    }

    #[test]
    fn runs_hold_just_the_messages_picked() {
        let view = view(&[3, 5, 9, 12]);
        let places = view.pick(&set("1:2,4"), false).unwrap_or_default();
        let run = |first, last| UidRange { first: Uid(first), last: Uid(last) };
        assert_eq!(view.runs_at(&places), [run(3, 5), run(12, 12)]);
    }
}
