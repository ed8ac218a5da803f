//! Counts in memory, bounded, and which of them the disk has not seen.
//!
//! Whoever sends us mail, and whomever we send mail to, decides how many domains, hosts and addresses
//! there are to count. So the number of domains, of rows in each and of rows in all is bounded; what
//! comes after is still counted, in rows that say less.

use crate::dmarc::DmarcResult;
use crate::layout::{DAY, DmarcDay, FailureRow, PolicyCount, TlsDay};
use crate::tls::{PolicyFound, TlsResult};
use std::collections::{HashMap, HashSet};
use wardpost_mail::Domain;
use wardpost_verdict::{Failure, PolicyType};

/// Domains of one day and kind that are counted.
pub(crate) const MAX_DOMAINS: usize = 10_000;
/// Rows of one domain and day.
pub(crate) const MAX_ROWS: usize = 200;
/// Rows of everything that is in memory.
const MAX_ALL_ROWS: usize = 100_000;
/// Policies of one domain and day.
const MAX_POLICIES: usize = 8;
/// Characters of an explanation that are kept.
const MAX_DETAIL: usize = 200;

/// A domain on a day.
pub(crate) type Key = (u32, Domain);

/// All counts that no report was made of yet.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) tls: HashMap<Key, TlsDay>,
    pub(crate) dmarc: HashMap<Key, DmarcDay>,
    pub(crate) dirty_tls: HashSet<Key>,
    pub(crate) dirty_dmarc: HashSet<Key>,
    /// Where a period begins that does not begin with its day, Unix seconds.
    pub(crate) cut: u64,
    rows: usize,
}

/// Whether something was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counted {
    Yes,
    /// There are too many domains already.
    TooMany,
}

/// The day that a time lies in.
pub(crate) fn day(now: u64) -> u32 {
    u32::try_from(now / DAY).unwrap_or(u32::MAX)
}

/// When a day begins, Unix seconds.
pub(crate) fn start_of(day: u32) -> u64 {
    u64::from(day) * DAY
}

impl Tally {
    fn begin(&self, day: u32) -> u64 {
        let start = start_of(day);
        if (start..start + DAY).contains(&self.cut) { self.cut } else { start }
    }

    /// Counts a session.
    pub(crate) fn tls(&mut self, now: u64, result: &TlsResult<'_>) -> Counted {
        let key = (day(now), result.domain.clone());
        if !self.tls.contains_key(&key) && self.tls.len() >= MAX_DOMAINS {
            return Counted::TooMany;
        }
        let begin = self.begin(key.0);
        let spare = MAX_ALL_ROWS.saturating_sub(self.rows);
        let counts = self.tls.entry(key.clone()).or_insert_with(|| TlsDay {
            domain: result.domain.clone(),
            begin,
            policies: Vec::new(),
        });
        let before = counts.rows();
        counts.count(result, before + spare);
        self.rows = self.rows + counts.rows() - before;
        self.dirty_tls.insert(key);
        Counted::Yes
    }

    /// Counts a message.
    pub(crate) fn dmarc(&mut self, now: u64, result: DmarcResult) -> Counted {
        let key = (day(now), result.policy_domain.clone());
        if !self.dmarc.contains_key(&key) && self.dmarc.len() >= MAX_DOMAINS {
            return Counted::TooMany;
        }
        let begin = self.begin(key.0);
        let spare = self.rows < MAX_ALL_ROWS;
        let counts = self.dmarc.entry(key.clone()).or_insert_with(|| DmarcDay {
            domain: result.policy_domain.clone(),
            begin,
            published: result.published.clone(),
            rows: Vec::new(),
            beyond: 0,
        });
        let before = counts.rows.len();
        counts.count(result, spare);
        self.rows = self.rows + counts.rows.len() - before;
        self.dirty_dmarc.insert(key);
        Counted::Yes
    }

    /// Puts back what was read from the disk, or could not be taken from it.
    pub(crate) fn put_tls(&mut self, day: u32, counts: TlsDay) {
        self.rows += counts.rows();
        if let Some(old) = self.tls.insert((day, counts.domain.clone()), counts) {
            self.rows -= old.rows();
        }
    }

    /// The same for messages.
    pub(crate) fn put_dmarc(&mut self, day: u32, counts: DmarcDay) {
        self.rows += counts.rows.len();
        if let Some(old) = self.dmarc.insert((day, counts.domain.clone()), counts) {
            self.rows -= old.rows.len();
        }
    }

    /// Takes a domain's counts out.
    pub(crate) fn take_tls(&mut self, key: &Key) -> Option<TlsDay> {
        self.dirty_tls.remove(key);
        let taken = self.tls.remove(key)?;
        self.rows -= taken.rows();
        Some(taken)
    }

    /// The same for messages.
    pub(crate) fn take_dmarc(&mut self, key: &Key) -> Option<DmarcDay> {
        self.dirty_dmarc.remove(key);
        let taken = self.dmarc.remove(key)?;
        self.rows -= taken.rows.len();
        Some(taken)
    }
}

impl TlsDay {
    fn rows(&self) -> usize {
        self.policies.iter().map(|policy| policy.rows.len()).sum()
    }

    /// One session may count under several policies: under the one it was held to, where it succeeds or
    /// fails, and under each other that something was wrong with (RFC 8460 §4.2). What is wrong against
    /// no policy is of no interest where there is one.
    fn count(&mut self, result: &TlsResult<'_>, room: usize) {
        let primary = result.policy.kind;
        let of = |kind: PolicyType| -> Vec<&Failure> {
            result.failures.iter().copied().filter(|failure| failure.policy == kind).collect()
        };
        self.session(&result.policy, result, &of(primary), room);
        for kind in [PolicyType::Tlsa, PolicyType::Sts] {
            let failures = of(kind);
            if kind != primary && !failures.is_empty() {
                self.session(&PolicyFound::unspecified(kind), result, &failures, room);
            }
        }
    }

    fn session(
        &mut self,
        policy: &PolicyFound,
        result: &TlsResult<'_>,
        failures: &[&Failure],
        room: usize,
    ) {
        let rows = self.rows();
        let counts = self.policy(policy);
        if failures.is_empty() {
            counts.success = counts.success.saturating_add(1);
            return;
        }
        counts.failure = counts.failure.saturating_add(1);
        let mut seen = HashSet::new();
        for failure in failures.iter().filter(|failure| seen.insert(failure.kind)) {
            counts.row(result, failure, rows < MAX_ROWS.min(room));
        }
    }

    /// The counts of a policy; beyond the bound, those of an unspecified one of its kind.
    fn policy(&mut self, policy: &PolicyFound) -> &mut PolicyCount {
        let found = self.policies.iter().position(|counts| counts.policy == *policy);
        let index = found.unwrap_or_else(|| {
            let room = self.policies.len() < MAX_POLICIES;
            let policy = if room { policy.clone() } else { PolicyFound::unspecified(policy.kind) };
            let known = self.policies.iter().position(|counts| counts.policy == policy);
            known.unwrap_or_else(|| {
                let rows = Vec::new();
                self.policies.push(PolicyCount { policy, success: 0, failure: 0, rows });
                self.policies.len() - 1
            })
        });
        &mut self.policies[index]
    }
}

impl PolicyCount {
    fn row(&mut self, result: &TlsResult<'_>, failure: &Failure, room: bool) {
        let full = FailureRow {
            kind: failure.kind,
            host: result.host.cloned(),
            receiving: result.receiving,
            sending: result.sending,
            detail: failure.detail.chars().take(MAX_DETAIL).collect(),
            count: 1,
        };
        // There is one summary row for each kind of failure: a handful, whatever comes.
        let summary = || FailureRow {
            host: None,
            receiving: None,
            sending: None,
            detail: String::new(),
            ..full.clone()
        };
        let row = match self.rows.iter().any(|row| row.is_like(&full)) || room {
            true => full,
            false => summary(),
        };
        match self.rows.iter_mut().find(|known| known.is_like(&row)) {
            Some(known) => known.count = known.count.saturating_add(1),
            None => self.rows.push(row),
        }
    }
}

impl FailureRow {
    fn is_like(&self, other: &Self) -> bool {
        self.kind == other.kind
            && self.host == other.host
            && self.receiving == other.receiving
            && self.sending == other.sending
    }
}

impl DmarcDay {
    fn count(&mut self, result: DmarcResult, room: bool) {
        // The record may have changed in the course of the day: the last one seen is told.
        self.published = result.published;
        let room = room && self.rows.len() < MAX_ROWS;
        match self.rows.iter_mut().find(|(row, _)| *row == result.row) {
            Some((_, count)) => *count = count.saturating_add(1),
            None if room => self.rows.push((result.row, 1)),
            None => self.beyond = self.beyond.saturating_add(1),
        }
    }
}
