//! When a recipient is tried again.

use std::time::Duration;

/// The wait after the `attempts`-th attempt failed for now (1 = the first), with jitter.
///
/// `random` is any number; the same one gives the same wait.
pub fn delay(attempts: u32, random: u32) -> Duration {
    let _ = (attempts, random);
    unimplemented!()
}
