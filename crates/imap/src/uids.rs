//! The UIDs of a selected mailbox, kept as runs.
//!
//! Every session has such a list of its own, because every client has been told something else. UIDs
//! are given out one after the other, so most neighbours differ by one, and the list is short: eight
//! octets for each gap, where a plain list would take four for each message of each session.

use std::ops::Range;
use wardpost_mail::Uid;
use wardpost_mailbox::UidRange;

/// UIDs without a gap. A run ends where the next one begins.
#[derive(Debug, Clone, Copy)]
struct Run {
    first: u32,
    /// How many UIDs come before.
    place: u32,
}

/// Ascending UIDs. Each has a place, counted from 0.
#[derive(Debug, Default)]
pub(crate) struct Uids {
    runs: Vec<Run>,
    count: u32,
}

impl Uids {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.count as usize
    }

    /// The greatest.
    pub(crate) fn last(&self) -> Option<u32> {
        self.at(self.len().checked_sub(1)?)
    }

    /// The one at a place.
    pub(crate) fn at(&self, place: usize) -> Option<u32> {
        if place >= self.len() {
            return None;
        }
        let after = self.runs.partition_point(|run| run.place as usize <= place);
        let run = self.runs.get(after.checked_sub(1)?)?;
        Some(run.first + (place - run.place as usize) as u32)
    }

    /// The place of a UID.
    pub(crate) fn place(&self, uid: u32) -> Option<usize> {
        let place = self.places(uid, uid);
        (!place.is_empty()).then_some(place.start)
    }

    /// The places of the UIDs from `low` to `high`, both included.
    pub(crate) fn places(&self, low: u32, high: u32) -> Range<usize> {
        let before = low.checked_sub(1).map_or(0, |below| self.count_to(below));
        before..self.count_to(high).max(before)
    }

    /// How many are `uid` or less.
    fn count_to(&self, uid: u32) -> usize {
        let after = self.runs.partition_point(|run| run.first <= uid);
        let Some(run) = after.checked_sub(1).and_then(|at| self.runs.get(at)) else { return 0 };
        let end = self.runs.get(after).map_or(self.count, |next| next.place) as usize;
        end.min(run.place as usize + (uid - run.first) as usize + 1)
    }

    /// The first and the last at these places.
    pub(crate) fn span(&self, places: &Range<usize>) -> Option<UidRange> {
        let last = places.end.checked_sub(1).filter(|last| places.start <= *last)?;
        Some(UidRange { first: Uid(self.at(places.start)?), last: Uid(self.at(last)?) })
    }

    /// Those at these places, ascending.
    pub(crate) fn within(&self, places: Range<usize>) -> impl Iterator<Item = u32> {
        let begin = self.runs.partition_point(|run| (run.place as usize) < places.start);
        let runs = self.runs.iter().enumerate().skip(begin.saturating_sub(1));
        runs.take_while({
            let end = places.end;
            move |(_, run)| (run.place as usize) < end
        })
        .flat_map(move |(at, run)| {
            let next = self.runs.get(at + 1).map_or(self.count, |next| next.place) as usize;
            let place = run.place as usize;
            let (start, end) = (places.start.max(place), places.end.min(next));
            (start..end).map(move |at| run.first + (at - place) as u32)
        })
    }

    /// All, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> {
        self.within(0..self.len())
    }

    /// Adds one that is greater than all others.
    fn push(&mut self, uid: u32) {
        debug_assert!(self.last().is_none_or(|last| last < uid), "UIDs ascend");
        let follows = self.runs.last().is_some_and(|run| uid - run.first == self.count - run.place);
        if !follows {
            self.runs.push(Run { first: uid, place: self.count });
        }
        self.count += 1;
    }

    /// Takes out those that are in `gone`, which ascends.
    pub(crate) fn remove(&mut self, gone: &[u32]) {
        *self = self.iter().filter(|uid| gone.binary_search(uid).is_err()).collect();
    }
}

impl Extend<u32> for Uids {
    /// Adds UIDs that ascend and are greater than all others.
    fn extend<T: IntoIterator<Item = u32>>(&mut self, uids: T) {
        uids.into_iter().for_each(|uid| self.push(uid));
    }
}

impl FromIterator<u32> for Uids {
    fn from_iter<T: IntoIterator<Item = u32>>(ascending: T) -> Self {
        let mut uids = Self::default();
        uids.extend(ascending);
        uids.runs.shrink_to_fit();
        uids
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::btree_set;
    use proptest::prelude::*;

    fn uids(list: &[u32]) -> Uids {
        list.iter().copied().collect()
    }

    #[test]
    fn neighbours_share_a_run() {
        let many: Uids = (1..=10_000).collect();
        assert_eq!((many.len(), many.runs.len()), (10_000, 1));
        assert_eq!(size_of::<Run>(), 8);
        let mut gaps = uids(&[3, 4, 9]);
        gaps.extend([10, 12]);
        assert_eq!(gaps.runs.len(), 3);
        gaps.remove(&[9, 10]);
        assert_eq!(gaps.iter().collect::<Vec<_>>(), [3, 4, 12]);
    }

    #[test]
    fn the_ends_of_the_numbers_are_uids_too() {
        let ends = uids(&[1, u32::MAX]);
        assert_eq!(ends.places(0, u32::MAX), 0..2);
        assert_eq!(ends.places(2, u32::MAX - 1), 1..1);
        assert_eq!(ends.place(u32::MAX), Some(1));
        let none = uids(&[]);
        assert_eq!((none.last(), none.places(1, 9), none.span(&(0..0))), (None, 0..0, None));
    }

    proptest! {
        #[test]
        fn it_is_a_sorted_list(
            set in btree_set(1..60_u32, 0..50),
            gone in btree_set(1..60_u32, 0..20),
            (a, b) in (0..70_u32, 0..70_u32),
        ) {
            let list: Vec<u32> = set.iter().copied().collect();
            let mut uids: Uids = list.iter().copied().collect();
            prop_assert_eq!(uids.len(), list.len());
            prop_assert_eq!(uids.last(), list.last().copied());
            for uid in 0..70 {
                prop_assert_eq!(uids.place(uid), list.binary_search(&uid).ok());
                prop_assert_eq!(uids.at(uid as usize), list.get(uid as usize).copied());
            }
            let (low, high) = (a.min(b), a.max(b));
            let places = list.partition_point(|uid| *uid < low)..list.partition_point(|uid| *uid <= high);
            prop_assert_eq!(uids.places(low, high), places.clone());
            let part = &list[places.clone()];
            prop_assert_eq!(uids.within(places.clone()).collect::<Vec<_>>(), part);
            let span = uids.span(&places).map(|span| (span.first.0, span.last.0));
            prop_assert_eq!(span, part.first().copied().zip(part.last().copied()));
            let gone: Vec<u32> = gone.into_iter().collect();
            uids.remove(&gone);
            let left: Vec<u32> = set.iter().copied().filter(|uid| !gone.contains(uid)).collect();
            prop_assert_eq!(uids.iter().collect::<Vec<_>>(), left);
        }
    }
}
