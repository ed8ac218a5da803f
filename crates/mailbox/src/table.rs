//! A mailbox in memory: 32 bytes a message, and what was expunged lately.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use wardpost_mail::Uid;

use crate::types::{Flags, MessageState, ModSeq, SystemFlags, UidRange};

/// How many runs of expunged UIDs are remembered for a mailbox. Older ones are forgotten, and a
/// client that was away for longer is told all UIDs that do not exist.
pub(crate) const HISTORY: usize = 10_000;

/// How many more sets of keywords than messages are kept before unused ones are looked for.
const SPARE_SETS: usize = 64;

/// One message.
#[derive(Debug, Clone, Copy)]
struct Row {
    modseq: u64,
    internal_date: i64,
    uid: u32,
    size: u32,
    /// Index into [`Table::sets`].
    keywords: u32,
    system: u16,
}

/// All messages of a mailbox, ascending by UID.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<Row>,
    /// Distinct sets of keywords in use.
    sets: Vec<Arc<[Arc<str>]>>,
    set_numbers: HashMap<Arc<[Arc<str>]>, u32>,
    /// Expunged UIDs by change number, ascending.
    history: VecDeque<(u64, Vec<UidRange>)>,
    history_runs: usize,
    unseen: u32,
    deleted: u32,
    size: u64,
}

/// Sums over a mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) messages: u32,
    pub(crate) unseen: u32,
    pub(crate) deleted: u32,
    pub(crate) size: u64,
}

impl Table {
    /// Sets a message's row, adding it when it is new.
    pub(crate) fn upsert(&mut self, state: &MessageState) {
        let row = Row {
            modseq: state.modseq.0,
            internal_date: state.internal_date,
            uid: state.uid.0,
            size: state.size,
            keywords: self.set_number(&state.flags.keywords),
            system: state.flags.system.0,
        };
        self.count(&row, 1);
        match self.position(state.uid) {
            Ok(at) => {
                let old = std::mem::replace(&mut self.rows[at], row);
                self.count(&old, -1);
            }
            Err(at) => self.rows.insert(at, row),
        }
    }

    /// Removes messages and remembers them under `modseq`. `gone` is ascending.
    pub(crate) fn remove(&mut self, gone: &[UidRange], modseq: ModSeq) {
        let mut removed = Vec::new();
        self.rows.retain(|row| {
            let goes = covers(gone, Uid(row.uid));
            if goes {
                removed.push(*row);
            }
            !goes
        });
        for row in removed {
            self.count(&row, -1);
        }
        self.remember(modseq.0, gone.to_vec());
        for _ in 0..self.overflow(0).len() {
            if let Some((_, runs)) = self.history.pop_front() {
                self.history_runs -= runs.len();
            }
        }
    }

    /// Takes up a record of the history while loading, oldest first.
    pub(crate) fn remember(&mut self, modseq: u64, gone: Vec<UidRange>) {
        self.history_runs += gone.len();
        self.history.push_back((modseq, gone));
    }

    /// The change numbers whose history must be forgotten when `more` runs are to be remembered. The
    /// latest record is always kept.
    pub(crate) fn overflow(&self, more: usize) -> Vec<u64> {
        let mut runs = self.history_runs + more;
        let keep = usize::from(more == 0);
        let may_go = self.history.len().saturating_sub(keep);
        let mut old = Vec::new();
        for (modseq, gone) in self.history.iter().take(may_go) {
            if runs <= HISTORY {
                break;
            }
            runs -= gone.len();
            old.push(*modseq);
        }
        old
    }

    /// One message.
    pub(crate) fn state(&self, uid: Uid) -> Option<MessageState> {
        self.position(uid).ok().map(|at| self.show(&self.rows[at]))
    }

    /// All messages.
    pub(crate) fn states(&self) -> Vec<MessageState> {
        self.rows.iter().map(|row| self.show(row)).collect()
    }

    /// Messages in ascending runs.
    pub(crate) fn within(&self, ranges: &[UidRange]) -> Vec<MessageState> {
        let rows = ranges.iter().flat_map(|range| {
            let start = self.rows.partition_point(|row| row.uid < range.first.0);
            self.rows[start..].iter().take_while(|row| row.uid <= range.last.0)
        });
        rows.map(|row| self.show(row)).collect()
    }

    /// Messages changed after `since`.
    pub(crate) fn changed_since(&self, since: ModSeq) -> Vec<MessageState> {
        self.rows.iter().filter(|row| row.modseq > since.0).map(|row| self.show(row)).collect()
    }

    /// UIDs expunged after `since`, ascending, or, when that is not known any more (`since` below
    /// `floor`), all UIDs below `uid_next` that no message has.
    pub(crate) fn vanished_since(&self, since: ModSeq, floor: u64, uid_next: Uid) -> Vec<UidRange> {
        if since.0 < floor {
            return self.missing(uid_next);
        }
        let mut gone: Vec<UidRange> = self
            .history
            .iter()
            .rev()
            .take_while(|(modseq, _)| *modseq > since.0)
            .flat_map(|(_, runs)| runs.iter().copied())
            .collect();
        gone.sort_unstable();
        join_runs(gone)
    }

    fn missing(&self, uid_next: Uid) -> Vec<UidRange> {
        let mut gaps = Vec::new();
        let mut next = 1;
        let ends = self.rows.iter().map(|row| row.uid).chain([uid_next.0]);
        for uid in ends {
            if uid > next {
                gaps.push(UidRange { first: Uid(next), last: Uid(uid - 1) });
            }
            next = next.max(uid.saturating_add(1));
        }
        gaps
    }

    /// UIDs of messages that have `flag`, within `only` where given, whose runs ascend.
    pub(crate) fn with_flag(&self, flag: SystemFlags, only: Option<&[UidRange]>) -> Vec<Uid> {
        self.rows
            .iter()
            .filter(|row| SystemFlags(row.system).contains(flag))
            .map(|row| Uid(row.uid))
            .filter(|uid| only.is_none_or(|runs| covers(runs, *uid)))
            .collect()
    }

    /// All UIDs.
    pub(crate) fn uids(&self) -> Vec<Uid> {
        self.rows.iter().map(|row| Uid(row.uid)).collect()
    }

    /// The sums.
    pub(crate) fn totals(&self) -> Totals {
        Totals {
            messages: self.rows.len() as u32,
            unseen: self.unseen,
            deleted: self.deleted,
            size: self.size,
        }
    }

    fn position(&self, uid: Uid) -> Result<usize, usize> {
        match self.rows.last() {
            Some(last) if last.uid < uid.0 => Err(self.rows.len()),
            _ => self.rows.binary_search_by_key(&uid.0, |row| row.uid),
        }
    }

    fn show(&self, row: &Row) -> MessageState {
        let keywords = self.sets.get(row.keywords as usize).cloned().unwrap_or_default();
        MessageState {
            uid: Uid(row.uid),
            modseq: ModSeq(row.modseq),
            flags: Flags { system: SystemFlags(row.system), keywords },
            size: row.size,
            internal_date: row.internal_date,
        }
    }

    fn set_number(&mut self, keywords: &Arc<[Arc<str>]>) -> u32 {
        if let Some(number) = self.set_numbers.get(keywords) {
            return *number;
        }
        if self.sets.len() >= 2 * self.rows.len() + SPARE_SETS {
            self.forget_unused_sets();
        }
        let number = self.sets.len() as u32;
        self.sets.push(keywords.clone());
        self.set_numbers.insert(keywords.clone(), number);
        number
    }

    /// Sets that no message has any more go, so that a client that keeps making up keywords makes
    /// nothing grow.
    fn forget_unused_sets(&mut self) {
        let old = std::mem::take(&mut self.sets);
        self.set_numbers.clear();
        for at in 0..self.rows.len() {
            let keywords = old.get(self.rows[at].keywords as usize).cloned().unwrap_or_default();
            let next = self.sets.len() as u32;
            let number = *self.set_numbers.entry(keywords.clone()).or_insert(next);
            if number == next {
                self.sets.push(keywords);
            }
            self.rows[at].keywords = number;
        }
    }

    fn count(&mut self, row: &Row, by: i32) {
        let flags = SystemFlags(row.system);
        if !flags.contains(SystemFlags::SEEN) {
            self.unseen = self.unseen.wrapping_add_signed(by);
        }
        if flags.contains(SystemFlags::DELETED) {
            self.deleted = self.deleted.wrapping_add_signed(by);
        }
        self.size = self.size.wrapping_add_signed(i64::from(by) * i64::from(row.size));
    }
}

/// Whether a UID is in ascending runs.
fn covers(runs: &[UidRange], uid: Uid) -> bool {
    let at = runs.partition_point(|run| run.last < uid);
    runs.get(at).is_some_and(|run| run.contains(uid))
}

/// Joins sorted runs that touch or overlap.
pub(crate) fn join_runs(runs: Vec<UidRange>) -> Vec<UidRange> {
    let mut joined: Vec<UidRange> = Vec::with_capacity(runs.len());
    for run in runs {
        match joined.last_mut() {
            Some(last) if run.first.0 <= last.last.0.saturating_add(1) => {
                last.last = last.last.max(run.last);
            }
            _ => joined.push(run),
        }
    }
    joined
}

/// Ascending UIDs as runs.
pub(crate) fn runs_of(uids: &[Uid]) -> Vec<UidRange> {
    join_runs(uids.iter().map(|uid| UidRange::one(*uid)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(uid: u32, modseq: u64, system: SystemFlags) -> MessageState {
        MessageState {
            uid: Uid(uid),
            modseq: ModSeq(modseq),
            flags: Flags::system(system),
            size: 10,
            internal_date: 0,
        }
    }

    fn run(first: u32, last: u32) -> UidRange {
        UidRange { first: Uid(first), last: Uid(last) }
    }

    #[test]
    fn a_row_is_small() {
        assert_eq!(size_of::<Row>(), 32);
    }

    #[test]
    fn totals_follow_changes() {
        let mut table = Table::default();
        for uid in [1, 2, 4] {
            table.upsert(&state(uid, u64::from(uid), SystemFlags::NONE));
        }
        table.upsert(&state(2, 5, SystemFlags::SEEN | SystemFlags::DELETED));
        let totals = Totals { messages: 3, unseen: 2, deleted: 1, size: 30 };
        assert_eq!(table.totals(), totals);
        table.remove(&[run(2, 2)], ModSeq(6));
        assert_eq!(table.totals(), Totals { messages: 2, unseen: 2, deleted: 0, size: 20 });
        assert_eq!(table.vanished_since(ModSeq(5), 0, Uid(5)), [run(2, 2)]);
        assert_eq!(table.vanished_since(ModSeq(6), 0, Uid(5)), []);
        assert_eq!(table.vanished_since(ModSeq(1), 2, Uid(7)), [run(2, 3), run(5, 6)]);
    }

    #[test]
    fn keywords_are_shared() {
        let mut table = Table::default();
        for uid in 1..100 {
            let flags = Flags::new(SystemFlags::NONE, ["$Forwarded", "$forwarded", "b"]);
            table.upsert(&MessageState { flags, ..state(uid, 1, SystemFlags::NONE) });
        }
        assert_eq!(table.sets.len(), 1);
        let keywords = table.state(Uid(50)).unwrap().flags.keywords;
        assert_eq!(keywords.iter().map(|k| &**k).collect::<Vec<_>>(), ["$Forwarded", "b"]);
    }

    #[test]
    fn made_up_keywords_make_nothing_grow() {
        let mut table = Table::default();
        for n in 0..10_000_u32 {
            let flags = Flags::new(SystemFlags::NONE, [format!("made-up-{n}").as_str()]);
            table.upsert(&MessageState { flags, ..state(1 + n % 3, 1, SystemFlags::NONE) });
            assert!(table.sets.len() <= SPARE_SETS + 2 * 3);
        }
        let keywords = table.state(Uid(1)).unwrap().flags.keywords;
        assert_eq!(keywords.iter().map(|k| &**k).collect::<Vec<_>>(), ["made-up-9999"]);
        let keywords = table.state(Uid(3)).unwrap().flags.keywords;
        assert_eq!(keywords.iter().map(|k| &**k).collect::<Vec<_>>(), ["made-up-9998"]);
    }

    #[test]
    fn a_flag_is_looked_for_in_runs() {
        let mut table = Table::default();
        for uid in 1..10 {
            table.upsert(&state(uid, 1, SystemFlags::DELETED));
        }
        let found = table.with_flag(SystemFlags::DELETED, Some(&[run(2, 3), run(7, 7)]));
        assert_eq!(found, [Uid(2), Uid(3), Uid(7)]);
    }

    #[test]
    fn history_is_bounded_and_the_same_on_disk() {
        let mut table = Table::default();
        for n in 0..HISTORY as u32 {
            table.remove(&[run(2 * n + 1, 2 * n + 1)], ModSeq(u64::from(n) + 1));
        }
        assert_eq!(table.overflow(1), [1]);
        table.remove(&[run(90_001, 90_001)], ModSeq(50_000));
        assert_eq!(table.history.front().unwrap().0, 2);
        let many: Vec<UidRange> =
            (0..HISTORY as u32 + 9).map(|n| run(2 * n + 1, 2 * n + 1)).collect();
        assert_eq!(table.overflow(many.len()).len(), HISTORY);
        table.remove(&many, ModSeq(60_000));
        assert_eq!(table.history.len(), 1);
    }

    #[test]
    fn runs_join() {
        assert_eq!(runs_of(&[Uid(1), Uid(2), Uid(4)]), [run(1, 2), run(4, 4)]);
        assert!(covers(&[run(1, 2), run(4, 4)], Uid(4)));
        assert!(!covers(&[run(1, 2), run(4, 4)], Uid(3)));
    }
}
