//! A mailbox's numbers and table in memory, and the order in which changes become visible.
//!
//! Whoever changes a mailbox takes numbers, puts the batch in the store's line and notes a pending
//! change, all under one short lock: so the order of numbers, of the store and of pending changes is
//! one and the same. When the store has answered, changes are made visible strictly in that order; one
//! that failed is dropped as if it had never been, only its numbers stay unused.
//!
//! Adding messages needs no more than that lock, so many deliveries share one synced write. Changes to
//! what is there (flags, expunge, move, folding) also hold [`MailboxState::modify`] until they are
//! visible ([`MailboxState::visible`], which may be a moment after they are on the disk), because they
//! build upon what they read.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Mutex as AsyncMutex, Notify, watch};
use wardpost_mail::{AccountId, MailboxId, Uid, UidValidity};

use crate::error::MailboxError;
use crate::records::{CountersRecord, encode};
use crate::table::Table;
use crate::types::{MessageState, ModSeq, UidRange};

/// Seconds since 1970.
pub(crate) fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs() as i64)
}

/// A mailbox in memory. Small: it stays for as long as the program runs; the table in it does not.
pub(crate) struct MailboxState {
    pub(crate) account: AccountId,
    pub(crate) id: MailboxId,
    /// Held by whoever changes messages that exist.
    pub(crate) modify: Arc<AsyncMutex<()>>,
    core: Mutex<Core>,
    /// Wakes when changes were decided.
    decided: Notify,
}

/// What the lock guards.
pub(crate) struct Core {
    pub(crate) uid_validity: UidValidity,
    uid_next: u32,
    modseq: u64,
    pub(crate) floor: u64,
    pub(crate) visible: ModSeq,
    pub(crate) visible_uid_next: Uid,
    /// No message may be added any more: the mailbox is being deleted.
    pub(crate) closed: bool,
    pending: VecDeque<Pending>,
    next_ticket: u64,
    table: Slot,
    watch: Option<watch::Sender<ModSeq>>,
}

/// The table, which needs the account key to be read.
enum Slot {
    Absent,
    /// It is being read; what becomes visible meanwhile is kept for it.
    Loading(Vec<MessageState>),
    Loaded(Table),
}

/// What a change does to the table.
#[derive(Default)]
pub(crate) struct Effect {
    pub(crate) upserts: Vec<MessageState>,
    pub(crate) removed: Vec<UidRange>,
}

struct Pending {
    ticket: Ticket,
    modseq: ModSeq,
    uid_next: Uid,
    effect: Effect,
    outcome: Option<bool>,
}

/// Names a pending change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket(u64);

impl MailboxState {
    /// A mailbox with the numbers kept, or a new one.
    pub(crate) fn new(account: AccountId, id: MailboxId, counters: CountersRecord) -> Self {
        let visible = ModSeq(counters.modseq);
        let core = Core {
            uid_validity: UidValidity(counters.uid_validity),
            uid_next: counters.uid_next,
            modseq: counters.modseq,
            floor: counters.floor,
            visible,
            visible_uid_next: Uid(counters.uid_next),
            closed: false,
            pending: VecDeque::new(),
            next_ticket: 0,
            table: Slot::Absent,
            watch: Some(watch::Sender::new(visible)),
        };
        Self { account, id, modify: Arc::default(), core: Mutex::new(core), decided: Notify::new() }
    }

    /// The short lock. Never held across an await.
    pub(crate) fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock()
    }

    /// Tells how a change ended, and makes visible what can be.
    pub(crate) fn complete(&self, ticket: Ticket, committed: bool) {
        let mut core = self.core();
        if let Some(pending) = core.pending.iter_mut().find(|p| p.ticket == ticket) {
            pending.outcome = Some(committed);
        }
        core.publish();
        drop(core);
        self.decided.notify_waiters();
    }

    /// Waits until a change that was completed is visible. Earlier changes come first; they are on
    /// the disk too, but those who wait for them may not have been told yet.
    pub(crate) async fn visible(&self, ticket: Ticket) {
        self.until(|core| core.pending.front().is_none_or(|first| first.ticket.0 > ticket.0)).await;
    }

    /// Refuses further messages and waits until those on their way have arrived.
    pub(crate) async fn close(&self) {
        self.core().closed = true;
        self.until(|core| core.pending.is_empty()).await;
    }

    async fn until(&self, holds: impl Fn(&Core) -> bool) {
        loop {
            let decided = self.decided.notified();
            tokio::pin!(decided);
            decided.as_mut().enable();
            if holds(&self.core()) {
                return;
            }
            decided.await;
        }
    }
}

impl Core {
    /// Numbers for a mailbox that has none yet.
    pub(crate) fn fresh(uid_validity: u32) -> CountersRecord {
        CountersRecord { uid_validity, uid_next: 1, modseq: 1, floor: 0 }
    }

    /// Takes the next change number.
    pub(crate) fn take_modseq(&mut self) -> ModSeq {
        self.modseq += 1;
        ModSeq(self.modseq)
    }

    /// Takes the next UID.
    pub(crate) fn take_uid(&mut self) -> Result<Uid, MailboxError> {
        let uid = self.uid_next;
        // The greatest number is left unused, so that `uid_next` can always be told.
        self.uid_next = uid.checked_add(1).ok_or(MailboxError::Limit("UIDs of this mailbox"))?;
        Ok(Uid(uid))
    }

    /// The record of the numbers as they are now.
    pub(crate) fn counters(&self) -> Vec<u8> {
        encode(&CountersRecord {
            uid_validity: self.uid_validity.0,
            uid_next: self.uid_next,
            modseq: self.modseq,
            floor: self.floor,
        })
    }

    /// Notes a change whose batch is put in line under the same lock.
    pub(crate) fn push(&mut self, modseq: ModSeq, effect: Effect) -> Ticket {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        let uid_next = Uid(self.uid_next);
        self.pending.push_back(Pending { ticket, modseq, uid_next, effect, outcome: None });
        ticket
    }

    fn publish(&mut self) {
        let before = self.visible;
        while self.pending.front().is_some_and(|p| p.outcome.is_some()) {
            let Some(done) = self.pending.pop_front() else { break };
            if done.outcome == Some(true) {
                self.visible = done.modseq;
                self.visible_uid_next = done.uid_next;
                self.apply(done.effect, done.modseq);
            }
        }
        if let Some(watch) = self.watch.as_ref().filter(|_| self.visible != before) {
            watch.send_replace(self.visible);
        }
    }

    fn apply(&mut self, effect: Effect, modseq: ModSeq) {
        match &mut self.table {
            Slot::Absent => {}
            // Whoever loads holds `modify`, so that only additions come by.
            Slot::Loading(added) => added.extend(effect.upserts),
            Slot::Loaded(table) => {
                for state in &effect.upserts {
                    table.upsert(state);
                }
                if !effect.removed.is_empty() {
                    table.remove(&effect.removed, modseq);
                }
            }
        }
    }

    /// The table, where it is in memory.
    pub(crate) fn table(&self) -> Option<&Table> {
        match &self.table {
            Slot::Loaded(table) => Some(table),
            Slot::Absent | Slot::Loading(_) => None,
        }
    }

    /// Begins to load the table: what becomes visible from now on is kept for it. Messages that are
    /// newer than the answer are not to be read from the store.
    pub(crate) fn begin_loading(&mut self) -> ModSeq {
        self.table = Slot::Loading(Vec::new());
        self.visible
    }

    /// Puts a loaded table in place, or gives up with `None`.
    pub(crate) fn end_loading(&mut self, table: Option<Table>) {
        let added = match std::mem::replace(&mut self.table, Slot::Absent) {
            Slot::Loading(added) => added,
            Slot::Absent | Slot::Loaded(_) => Vec::new(),
        };
        if let Some(mut table) = table {
            for state in &added {
                table.upsert(state);
            }
            self.table = Slot::Loaded(table);
        }
    }

    /// Forgets the table: nobody is logged in any more.
    pub(crate) fn forget(&mut self) {
        self.table = Slot::Absent;
    }

    /// A receiver of change numbers; `None` when the mailbox was deleted.
    pub(crate) fn watch(&self) -> Option<watch::Receiver<ModSeq>> {
        self.watch.as_ref().map(watch::Sender::subscribe)
    }

    /// The mailbox is gone: those who wait for changes learn it.
    pub(crate) fn end_watch(&mut self) {
        self.watch = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Flags;

    fn mailbox() -> MailboxState {
        let mailbox = MailboxState::new(AccountId(1), MailboxId(1), Core::fresh(9));
        mailbox.core().end_loading(Some(Table::default()));
        mailbox
    }

    fn add(mailbox: &MailboxState) -> (Ticket, ModSeq) {
        let mut core = mailbox.core();
        let (uid, modseq) = (core.take_uid().unwrap(), core.take_modseq());
        let state =
            MessageState { uid, modseq, flags: Flags::default(), size: 1, internal_date: 0 };
        (core.push(modseq, Effect { upserts: vec![state], removed: Vec::new() }), modseq)
    }

    #[test]
    fn changes_become_visible_in_order() {
        let mailbox = mailbox();
        let watch = mailbox.core().watch().unwrap();
        let (first, _) = add(&mailbox);
        let (second, modseq) = add(&mailbox);
        mailbox.complete(second, true);
        assert_eq!(mailbox.core().table().unwrap().totals().messages, 0);
        assert!(!watch.has_changed().unwrap());
        mailbox.complete(first, true);
        assert_eq!(mailbox.core().table().unwrap().totals().messages, 2);
        assert_eq!(*watch.borrow(), modseq);
    }

    #[test]
    fn what_failed_never_shows() {
        let mailbox = mailbox();
        let (first, _) = add(&mailbox);
        let (second, _) = add(&mailbox);
        mailbox.complete(first, false);
        mailbox.complete(second, true);
        let core = mailbox.core();
        assert_eq!(core.table().unwrap().uids(), [Uid(2)]);
        assert_eq!(core.visible_uid_next, Uid(3));
    }

    #[test]
    fn additions_while_loading_are_kept() {
        let mailbox = mailbox();
        let (early, _) = add(&mailbox);
        assert_eq!(mailbox.core().begin_loading(), ModSeq(1));
        mailbox.complete(early, true);
        mailbox.core().end_loading(Some(Table::default()));
        assert_eq!(mailbox.core().table().unwrap().uids(), [Uid(1)]);
    }

    #[tokio::test]
    async fn a_change_waits_for_those_before_it() {
        let mailbox = Arc::new(mailbox());
        let (first, _) = add(&mailbox);
        let (second, _) = add(&mailbox);
        mailbox.complete(second, true);
        let waiting = tokio::spawn({
            let mailbox = mailbox.clone();
            async move { mailbox.visible(second).await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        mailbox.complete(first, false);
        waiting.await.unwrap();
        mailbox.visible(first).await;
        assert_eq!(mailbox.core().table().unwrap().uids(), [Uid(2)]);
    }

    #[tokio::test]
    async fn closing_waits_for_what_is_on_its_way() {
        let mailbox = Arc::new(mailbox());
        let (ticket, _) = add(&mailbox);
        let closing = tokio::spawn({
            let mailbox = mailbox.clone();
            async move { mailbox.close().await }
        });
        tokio::task::yield_now().await;
        assert!(!closing.is_finished());
        mailbox.complete(ticket, true);
        closing.await.unwrap();
        assert!(mailbox.core().closed);
    }
}
