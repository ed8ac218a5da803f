//! When to do what. Pure: times are Unix seconds, chance comes in as a number from 0 to 1.

use serde::{Deserialize, Serialize};
use std::time::Duration;

const MINUTE: i64 = 60;
const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;
/// The longest that we wait for an authority's sake; a time farther off was set by a wrong clock.
const MAX_WAIT: i64 = 8 * DAY;
/// Additional names are asked for while fewer certificates than this were issued within a week: well
/// below what public authorities allow.
const MAX_A_WEEK: usize = 8;

/// The time in which an authority would have a certificate renewed (RFC 9773 §4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Window {
    pub(crate) start: i64,
    pub(crate) end: i64,
    /// The moment in it that we chose.
    pub(crate) chosen: i64,
}

impl Window {
    /// Chooses a moment, unless this very window was seen before.
    pub(crate) fn choose(start: i64, end: i64, before: Option<Self>, chance: f64) -> Self {
        match before {
            Some(before) if before.start == start && before.end == end => before,
            _ => {
                let width = end.saturating_sub(start).max(0);
                Self { start, end, chosen: start.saturating_add((width as f64 * chance) as i64) }
            }
        }
    }
}

/// How long to wait after so many failures in a row: from a minute to a day, doubling, a quarter more or
/// less; longer if the authority says so.
pub(crate) fn pause(failures: u32, asked: Option<Duration>, chance: f64) -> i64 {
    let doublings = failures.saturating_sub(1).min(11);
    let base = (MINUTE << doublings).min(DAY);
    let pause = ((base as f64 * (0.75 + chance / 2.0)) as i64).clamp(MINUTE, DAY);
    let asked = asked.map_or(0, |asked| i64::try_from(asked.as_secs()).unwrap_or(MAX_WAIT));
    pause.max(asked).min(MAX_WAIT)
}

/// How long a name is left out after it failed so many times: a day, doubling, up to a week.
pub(crate) fn left_out_for(times: u32) -> i64 {
    (DAY << times.saturating_sub(1).min(3)).min(7 * DAY)
}

/// When a certificate is to be renewed: when the authority says, or at two thirds of its life; in any
/// case before its last tenth.
pub(crate) fn renewal(not_before: i64, not_after: i64, window: Option<Window>) -> i64 {
    let life = not_after.saturating_sub(not_before).max(0);
    match window {
        Some(window) => window.chosen.min(not_after - life / 10),
        None => not_after - life / 3,
    }
}

/// When to ask for the window again: as the authority says, between an hour and a day (RFC 9773 §4.3).
pub(crate) fn ask_again(asked: Option<Duration>) -> i64 {
    let asked = asked.map_or(6 * HOUR, |asked| i64::try_from(asked.as_secs()).unwrap_or(DAY));
    asked.clamp(HOUR, DAY)
}

/// Whether the time to wait is over. One that a wrong clock has set does not count.
pub(crate) fn may_try(next_try: Option<i64>, now: i64) -> bool {
    next_try.is_none_or(|next| next <= now || next > now.saturating_add(MAX_WAIT))
}

/// Whether a certificate may be asked for only to add names to it.
pub(crate) fn may_add(issued: &[i64], now: i64) -> bool {
    lately(issued, now).count() < MAX_A_WEEK
}

/// The moments within the last week.
pub(crate) fn lately(issued: &[i64], now: i64) -> impl Iterator<Item = i64> {
    issued.iter().copied().filter(move |when| (now.saturating_sub(7 * DAY)..=now).contains(when))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_pause_doubles_from_a_minute_to_a_day() {
        assert_eq!(pause(1, None, 0.5), 60);
        assert_eq!(pause(2, None, 0.5), 120);
        assert_eq!(pause(6, None, 0.5), 32 * 60);
        assert_eq!(pause(u32::MAX, None, 1.0), DAY);
        assert!((60..=90).contains(&pause(1, None, 1.0)));
        assert_eq!(pause(1, Some(Duration::from_secs(7200)), 0.5), 7200);
        assert_eq!(pause(1, Some(Duration::MAX), 0.5), MAX_WAIT);
    }

    #[test]
    fn renewal_is_at_the_window_or_at_two_thirds_and_never_too_late() {
        assert_eq!(renewal(0, 90, None), 60);
        let window = Window::choose(10, 20, None, 0.5);
        assert_eq!((window.chosen, renewal(0, 90, Some(window))), (15, 15));
        let late = Window::choose(85, 500, None, 1.0);
        assert_eq!(renewal(0, 90, Some(late)), 81);
        // What was chosen stays, for as long as the window does.
        assert_eq!(Window::choose(10, 20, Some(window), 0.9), window);
        assert_eq!(Window::choose(10, 21, Some(window), 0.0).chosen, 10);
        assert_eq!(Window::choose(20, 10, None, 1.0).chosen, 20, "no window at all");
    }

    #[test]
    fn a_wrong_clock_locks_nothing_up() {
        assert!(may_try(None, 0));
        assert!(!may_try(Some(100), 99));
        assert!(may_try(Some(100), 100));
        // The clock said 2040 when the pause began.
        assert!(may_try(Some(2_208_988_800), 1_795_000_000));
        assert!(may_add(&[2_208_988_800; 20], 1_795_000_000));
        assert!(!may_add(&[1_795_000_000; 8], 1_795_000_000 + DAY));
    }

    proptest! {
        #[test]
        fn pauses_stay_within_bounds(failures: u32, asked: Option<u64>, chance in 0.0f64..=1.0) {
            let pause = pause(failures, asked.map(Duration::from_secs), chance);
            prop_assert!((MINUTE..=MAX_WAIT).contains(&pause));
            prop_assert!((DAY..=7 * DAY).contains(&left_out_for(failures)));
            let again = ask_again(asked.map(Duration::from_secs));
            prop_assert!((HOUR..=DAY).contains(&again));
        }
    }
}
