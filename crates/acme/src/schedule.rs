//! When to do what. Pure: times are Unix seconds, chance comes in as a number from 0 to 1.

use crate::trouble::Kind;
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
/// How many certificates somebody may ask for within a day.
pub(crate) const MAX_ASKED: usize = 5;
/// Most certificates within a day for other reasons than that the last one is old.
const MAX_A_DAY: usize = 5;

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
/// less; longer if the authority says so. Proofs that fail are counted by authorities, five an hour, and what
/// they fail by is mended at some moment of the first day: from a quarter of an hour to an hour.
pub(crate) fn pause(kind: Kind, failures: u32, asked: Option<Duration>, chance: f64) -> i64 {
    let (first, last) = match kind {
        Kind::NotReachable | Kind::WrongAnswer => (15 * MINUTE, HOUR),
        _ => (MINUTE, DAY),
    };
    let doublings = failures.saturating_sub(1).min(11);
    let base = (first << doublings).min(last);
    let pause = ((base as f64 * (0.75 + chance / 2.0)) as i64).clamp(first, last);
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

/// Whether a certificate may be ordered at once that nobody asked for: for another name, key or authority.
pub(crate) fn may_order(issued: &[i64], now: i64) -> bool {
    today(issued, now).count() < MAX_A_DAY
}

/// For how long a new certificate is not renewed unasked, whatever the authority or our clock says: a day; two
/// when there were several lately, so that there are no more than five a week. Those that last for days only
/// have a quarter of that.
pub(crate) fn fresh_for(life: i64, issued: &[i64], now: i64) -> i64 {
    let brake = if lately(issued, now).count() < 4 { DAY } else { 2 * DAY };
    brake.min(life / 4)
}

/// From when on somebody may ask for a certificate again, if not now.
pub(crate) fn may_ask_from(asked: &[i64], now: i64) -> Option<i64> {
    let mut today: Vec<i64> = today(asked, now).collect();
    today.sort_unstable();
    let nth = today.len().checked_sub(MAX_ASKED)?;
    today.get(nth).map(|when| when.saturating_add(DAY))
}

/// The moments within the last week.
pub(crate) fn lately(issued: &[i64], now: i64) -> impl Iterator<Item = i64> {
    within(issued, 7 * DAY, now)
}

/// The moments within the last day.
pub(crate) fn today(moments: &[i64], now: i64) -> impl Iterator<Item = i64> {
    within(moments, DAY, now)
}

fn within(moments: &[i64], span: i64, now: i64) -> impl Iterator<Item = i64> {
    let from = now.saturating_sub(span);
    moments.iter().copied().filter(move |when| *when > from && *when <= now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_pause_doubles_from_a_minute_to_a_day() {
        let pause = |failures, asked, chance| pause(Kind::Unreachable, failures, asked, chance);
        assert_eq!(pause(1, None, 0.5), 60);
        assert_eq!(pause(2, None, 0.5), 120);
        assert_eq!(pause(6, None, 0.5), 32 * 60);
        assert_eq!(pause(u32::MAX, None, 1.0), DAY);
        assert!((60..=90).contains(&pause(1, None, 1.0)));
        assert_eq!(pause(1, Some(Duration::from_secs(7200)), 0.5), 7200);
        assert_eq!(pause(1, Some(Duration::MAX), 0.5), MAX_WAIT);
    }

    #[test]
    fn a_port_that_is_opened_late_is_noticed_within_the_hour() {
        for kind in [Kind::NotReachable, Kind::WrongAnswer] {
            assert_eq!(pause(kind, 1, None, 0.0), 15 * MINUTE);
            assert_eq!(pause(kind, 2, None, 0.5), 30 * MINUTE);
            for failures in 3..40 {
                assert!((2700..=HOUR).contains(&pause(kind, failures, None, 0.0)));
                assert_eq!(pause(kind, failures, None, 1.0), HOUR);
            }
            assert_eq!(pause(kind, 9, Some(Duration::from_secs(7200)), 0.5), 2 * HOUR);
        }
    }

    #[test]
    fn fresh_certificates_are_left_alone() {
        let life = 90 * DAY;
        assert_eq!(fresh_for(life, &[], 0), DAY);
        assert_eq!(fresh_for(life, &[0, 1, 2, 3], 3), 2 * DAY);
        assert_eq!(fresh_for(6 * DAY, &[0], 0), DAY);
        // A private authority's may last for a day.
        assert_eq!(fresh_for(DAY, &[0], 0), DAY / 4);
        // Whatever the authority says: five a week at most.
        let (mut issued, mut now) = (vec![0], 0);
        while now < 60 * DAY {
            now += fresh_for(life, &issued, now);
            issued.push(now);
            assert!(lately(&issued, now).count() <= 5, "{issued:?}");
        }
        assert!(may_order(&[0; 4], 1) && !may_order(&[0; 5], 1) && may_order(&[0; 5], DAY));
    }

    #[test]
    fn somebody_may_ask_five_times_a_day() {
        assert_eq!(may_ask_from(&[], 0), None);
        assert_eq!(may_ask_from(&[1, 2, 3, 4], 5), None);
        assert_eq!(may_ask_from(&[5, 1, 2, 3, 4], 5), Some(DAY + 1));
        assert_eq!(may_ask_from(&[1, 2, 3, 4, 5, 6], 6), Some(DAY + 2));
        assert_eq!(may_ask_from(&[1, 2, 3, 4, 5], DAY + 1), None);
        // Moments of a clock that was fast then.
        assert_eq!(may_ask_from(&[2_208_988_800; 9], 5), None);
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
            let pause = pause(Kind::Authority, failures, asked.map(Duration::from_secs), chance);
            prop_assert!((MINUTE..=MAX_WAIT).contains(&pause));
            prop_assert!((DAY..=7 * DAY).contains(&left_out_for(failures)));
            let again = ask_again(asked.map(Duration::from_secs));
            prop_assert!((HOUR..=DAY).contains(&again));
        }
    }
}
