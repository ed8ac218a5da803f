//! When a recipient is tried again: soon at first, since most failures are greylisting or a restart, then hourly
//! until the item's lifetime is over (RFC 5321 §4.5.4.1).

use std::time::Duration;

/// Minutes to wait after the first attempts; the last one holds for all further ones.
const MINUTES: [u64; 7] = [1, 2, 4, 8, 15, 30, 60];

/// The wait after the `attempts`-th attempt failed for now (1 = the first), with jitter of ±15 %, so that a
/// thousand messages which failed together do not come back together.
///
/// `random` is any number; the same one gives the same wait.
pub fn delay(attempts: u32, random: u32) -> Duration {
    let step = usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX);
    let base_ms = MINUTES[step.min(MINUTES.len() - 1)] * 60_000;
    let spread_ms = base_ms * 30 / 100;
    let jitter_ms = spread_ms * u64::from(random) / u64::from(u32::MAX);
    Duration::from_millis(base_ms - spread_ms / 2 + jitter_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_an_hour_and_stay_there() {
        let middle = |attempts| delay(attempts, u32::MAX / 2).as_secs_f64().round() as u64;
        let waits: Vec<u64> = (1..=9).map(middle).collect();
        assert_eq!(waits, [60, 120, 240, 480, 900, 1800, 3600, 3600, 3600]);
        assert_eq!(middle(u32::MAX), 3600);
        assert_eq!(delay(0, 7), delay(1, 7), "before the first attempt counts as after it");
    }

    #[test]
    fn jitter_stays_within_fifteen_percent() {
        for attempts in 1..10 {
            let (least, most) = (delay(attempts, 0), delay(attempts, u32::MAX));
            let base = Duration::from_secs(60 * MINUTES[(attempts as usize - 1).min(6)]);
            assert_eq!(least, base.mul_f64(0.85));
            assert_eq!(most, base.mul_f64(1.15));
        }
    }

    #[test]
    fn five_days_hold_about_a_hundred_and_twenty_five_attempts() {
        let mut total = Duration::ZERO;
        let mut attempts = 0;
        while total < Duration::from_secs(5 * 24 * 3600) {
            attempts += 1;
            total += delay(attempts, u32::MAX / 2);
        }
        assert!((120..=130).contains(&attempts), "{attempts}");
    }
}
