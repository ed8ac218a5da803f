//! Wrong codes of second factors, counted for each account since its last right one.
//!
//! Six digits are few, three of them are right at any moment, and whoever guesses them knows the password
//! already. So nothing is forgiven here but by a right code: no time that passes, no right password, no
//! network that is known. Waits grow from seconds to a day, and after a hundred wrong codes none counts
//! any more (NIST SP 800-63B-4 §3.2.2 allows no more in a row) until the account has another password
//! or another second factor: both need more than a guesser has. A hundred guesses find a code once in
//! three thousand times.
//!
//! In memory: a restart forgives. Bounded by the number of accounts.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use wardpost_mail::AccountId;

use crate::throttle::Fingerprint;
use crate::types::WrongCodes;

/// So many wrong codes cost nothing: people mistype.
const FREE: u32 = 3;
/// From so many on, waits are minutes.
const MINUTES: u32 = 10;
/// From so many on, there is one try a day.
const DAYS: u32 = 20;
/// After so many, there are no more tries.
const MOST: u32 = 100;
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long to wait after so many wrong codes.
fn wait_after(wrong: u32) -> Duration {
    if wrong <= FREE {
        Duration::ZERO
    } else if wrong < MINUTES {
        Duration::from_secs(1 << (wrong - FREE - 1))
    } else if wrong < DAYS {
        (MINUTE * (1 << (wrong - MINUTES).min(6))).min(HOUR)
    } else {
        DAY
    }
}

/// One account's codes.
#[derive(Debug, Default)]
struct Codes {
    /// The latest half minute whose code was used: no code counts twice (RFC 6238 §5.2).
    used: Option<u64>,
    /// Wrong ones that make the next one wait.
    held: u32,
    until: Option<Instant>,
    /// The last wrong one: sent twice, it counts once.
    last: Option<Fingerprint>,
    /// What its owner is told.
    told: Option<WrongCodes>,
}

/// What became of a code.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Right; with the wrong ones before it.
    Right(Option<WrongCodes>),
    /// Wrong; so many in a row.
    Wrong(u32),
    /// The last wrong one once more.
    Repeated,
    /// Not looked at: come again after that time.
    Wait(Duration),
}

/// The table.
#[derive(Debug, Default)]
pub(crate) struct CodeBook(HashMap<AccountId, Codes>);

impl CodeBook {
    /// Judges a code; `step` finds out to which half minute it belongs, if it is right. `unix` is the
    /// time to tell.
    pub(crate) fn judge(
        &mut self,
        id: AccountId,
        typed: Fingerprint,
        (now, unix): (Instant, i64),
        step: impl FnOnce() -> Option<u64>,
    ) -> Outcome {
        let codes = self.0.entry(id).or_default();
        if codes.last == Some(typed) {
            return Outcome::Repeated;
        }
        if codes.held >= MOST {
            return Outcome::Wait(DAY);
        }
        let wait = codes.until.and_then(|until| until.checked_duration_since(now));
        if let Some(wait) = wait.filter(|wait| !wait.is_zero()) {
            return Outcome::Wait(wait);
        }
        match step().filter(|step| codes.used.is_none_or(|used| used < *step)) {
            Some(step) => {
                let told = codes.told.take();
                *codes = Codes { used: Some(step), ..Codes::default() };
                Outcome::Right(told)
            }
            None => {
                codes.held += 1;
                codes.until = Some(now + wait_after(codes.held));
                codes.last = Some(typed);
                let told = codes.told.get_or_insert(WrongCodes { count: 0, since: unix });
                told.count = told.count.saturating_add(1);
                Outcome::Wrong(codes.held)
            }
        }
    }

    /// The account has another password: whoever guessed knows it no longer. Its owner is told all the
    /// same.
    pub(crate) fn let_go(&mut self, id: AccountId) {
        if let Some(codes) = self.0.get_mut(&id) {
            (codes.held, codes.until) = (0, None);
        }
    }

    /// Another secret, other codes; or the account is gone.
    pub(crate) fn forget(&mut self, id: AccountId) {
        self.0.remove(&id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DANA: AccountId = AccountId(1);

    fn guess(n: u32) -> Fingerprint {
        let mut fingerprint = [0; 32];
        fingerprint[..4].copy_from_slice(&n.to_be_bytes());
        fingerprint
    }

    /// Guesses as often as it may for so long; how often that was.
    fn guesses_within(book: &mut CodeBook, mut now: Instant, span: Duration) -> u32 {
        let (end, mut looked_at) = (now + span, 0);
        for n in 0.. {
            match book.judge(DANA, guess(n), (now, 0), || None) {
                Outcome::Wrong(_) => looked_at += 1,
                Outcome::Wait(wait) => now += wait,
                other => panic!("{other:?}"),
            }
            if now >= end {
                break;
            }
        }
        looked_at
    }

    #[test]
    fn waits_grow_to_a_day_and_end_at_a_hundred() {
        let waits: Vec<u64> = (0..=21).map(|wrong| wait_after(wrong).as_secs()).collect();
        assert_eq!(waits[..10], [0, 0, 0, 0, 1, 2, 4, 8, 16, 32]);
        assert_eq!(waits[10..16], [60, 120, 240, 480, 960, 1_920]);
        assert_eq!(waits[16..], [3_600, 3_600, 3_600, 3_600, 86_400, 86_400]);
        let (mut book, now) = (CodeBook::default(), Instant::now());
        assert!(guesses_within(&mut book, now, DAY) <= 21);
        let mut book = CodeBook::default();
        assert_eq!(guesses_within(&mut book, now, DAY * 300), MOST, "not one more in months");
        let late = now + DAY * 400;
        assert_eq!(book.judge(DANA, guess(9_999), (late, 0), || Some(1)), Outcome::Wait(DAY));
        book.let_go(DANA);
        let right = book.judge(DANA, guess(9_999), (late, 0), || Some(1));
        assert_eq!(right, Outcome::Right(Some(WrongCodes { count: MOST, since: 0 })));
    }

    #[test]
    fn only_a_right_code_begins_anew_and_its_owner_is_told_once() {
        let (mut book, now) = (CodeBook::default(), Instant::now());
        for n in 0..3 {
            let unix = 100 + i64::from(n);
            assert_eq!(book.judge(DANA, guess(n), (now, unix), || None), Outcome::Wrong(n + 1));
        }
        assert_eq!(book.judge(DANA, guess(2), (now, 103), || None), Outcome::Repeated);
        let told = Some(WrongCodes { count: 3, since: 100 });
        assert_eq!(book.judge(DANA, guess(7), (now, 104), || Some(5)), Outcome::Right(told));
        // The same code again is a wrong one, and so is an older one.
        assert_eq!(book.judge(DANA, guess(7), (now, 105), || Some(5)), Outcome::Wrong(1));
        assert_eq!(book.judge(DANA, guess(8), (now, 106), || Some(4)), Outcome::Wrong(2));
        assert!(matches!(book.judge(DANA, guess(9), (now, 107), || Some(6)), Outcome::Right(_)));
        assert_eq!(book.judge(DANA, guess(10), (now, 108), || Some(7)), Outcome::Right(None));
    }
}
