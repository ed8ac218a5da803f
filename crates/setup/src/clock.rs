//! Codes that are right at another time: the clock is wrong then, and not the code.

use std::time::{Duration, SystemTime, UNIX_EPOCH};
use wardpost_directory::second_factor;
use wardpost_mail::Secret;

/// How far a phone's clock and ours may be apart for us to see that it is the clock: time zones, mostly.
const CLOCK_SEARCH: u64 = 14 * 3600;

/// How far our clock is from the one that made a code, in words; `None` when the code is from nowhere
/// near.
pub(crate) fn clock_difference(
    secret: &Secret<Vec<u8>>,
    code: &str,
    now: SystemTime,
) -> Option<String> {
    let hit = |seconds: u64, ahead: bool| {
        let shift = Duration::from_secs(seconds);
        let then = if ahead { now.checked_sub(shift)? } else { now.checked_add(shift)? };
        second_factor::proves(secret, code, then).map(|_| (seconds, ahead))
    };
    let shifts = (30..CLOCK_SEARCH).step_by(30);
    let (seconds, ahead) =
        shifts.flat_map(|s| [(s, true), (s, false)]).find_map(|(s, a)| hit(s, a))?;
    let (hours, minutes) = (seconds / 3600, (seconds % 3600).div_ceil(60));
    let far = match (hours, minutes) {
        (0, 1) => "about a minute".to_owned(),
        (0, m) => format!("about {m} minutes"),
        (1, 0) => "about an hour".to_owned(),
        (h, 0 | 60) => format!("about {} hours", h + minutes / 60),
        (h, m) => format!("about {h} h {m} min"),
    };
    Some(format!("{far} {}", if ahead { "fast" } else { "slow" }))
}

/// Hours and minutes of a moment, in UTC.
pub(crate) fn utc(now: SystemTime) -> String {
    let seconds = now.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs()) % (24 * 3600);
    format!("{:02}:{:02}", seconds / 3600, seconds % 3600 / 60)
}
