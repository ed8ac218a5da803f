//! Times and spans as people say them.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::time::{Duration, SystemTime};

/// A day: `November 26, 2026`, where this machine is.
pub(crate) fn day(unix: i64) -> String {
    let time = Timestamp::from_second(unix).unwrap_or(Timestamp::UNIX_EPOCH);
    time.to_zoned(TimeZone::system()).strftime("%B %-d, %Y").to_string()
}

/// A moment: `November 26, 2026, 15:40`, where this machine is.
pub(crate) fn moment(unix: i64) -> String {
    let time = Timestamp::from_second(unix).unwrap_or(Timestamp::UNIX_EPOCH);
    time.to_zoned(TimeZone::system()).strftime("%B %-d, %Y, %H:%M").to_string()
}

/// The time of day that this machine's clock shows, in UTC: `15:40`.
pub(crate) fn utc() -> String {
    Timestamp::now().to_zoned(TimeZone::UTC).strftime("%H:%M").to_string()
}

/// How long ago something was: `3 minutes ago`.
pub(crate) fn ago(unix: i64) -> String {
    match now() - unix {
        ..60 => "less than a minute ago".to_owned(),
        60..120 => "a minute ago".to_owned(),
        seconds @ 120..7_200 => format!("{} minutes ago", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} hours ago", seconds / 3_600),
        seconds => format!("{} days ago", seconds / 86_400),
    }
}

/// A span to wait: `30 seconds`.
pub(crate) fn span(wait: Duration) -> String {
    match wait.as_secs().max(1) {
        1 => "a second".to_owned(),
        seconds @ 2..=90 => format!("{seconds} seconds"),
        seconds @ 91..=5_400 => format!("{} minutes", seconds.div_ceil(60)),
        seconds => format!("{} hours", seconds.div_ceil(3_600)),
    }
}

/// Seconds since 1970 UTC.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs().cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_in_words() {
        assert_eq!(ago(now()), "less than a minute ago");
        assert_eq!(ago(now() - 61), "a minute ago");
        assert_eq!(ago(now() - 185), "3 minutes ago");
        assert_eq!(ago(now() - 3 * 3_600), "3 hours ago");
        assert_eq!(ago(now() - 3 * 86_400), "3 days ago");
        assert_eq!(ago(now() + 100), "less than a minute ago", "clocks are set back");
        assert_eq!(span(Duration::from_secs(1)), "a second");
        assert_eq!(span(Duration::from_millis(30_200)), "30 seconds");
        assert_eq!(span(Duration::from_secs(91)), "2 minutes");
        assert_eq!(span(Duration::from_secs(24 * 3_600)), "24 hours");
        assert_eq!(day(1_795_690_000), "November 26, 2026");
    }
}
