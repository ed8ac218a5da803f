//! How fast a lane has been, and for how long that is remembered.

use super::Lane;
use std::collections::HashMap;

/// An attempt that takes this long was slow.
pub(super) const SLOW_MS: u64 = 10_000;
/// Lanes that are remembered after they emptied. When there are more, all are forgotten: not to know a
/// lane is always safe.
const MAX_REMEMBERED: usize = 10_000;

/// How well a lane did last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Pace {
    /// The last attempt came to an end for somebody, and in good time.
    Brisk,
    /// Nobody knows yet.
    #[default]
    Unknown,
    /// The last attempt dawdled, or one that is under way does; or it came to nothing, as where no server
    /// takes the connection: another message would fare no better.
    Slow,
}

impl Pace {
    /// The pace that an attempt shows which `ended` somebody's wait, or did not.
    pub(super) fn of(elapsed_ms: u64, ended: bool) -> Self {
        if elapsed_ms >= SLOW_MS || !ended { Self::Slow } else { Self::Brisk }
    }

    /// One set of ready lanes a pace.
    pub(super) fn index(self) -> usize {
        match self {
            Self::Brisk => 0,
            Self::Unknown => 1,
            Self::Slow => 2,
        }
    }
}

/// The paces of lanes that nothing waits in at the moment.
#[derive(Debug, Default)]
pub(super) struct Paces(HashMap<Lane, Pace>);

impl Paces {
    pub(super) fn remember(&mut self, lane: Lane, pace: Pace) {
        if self.0.len() >= MAX_REMEMBERED {
            self.0.clear();
        }
        if pace != Pace::Unknown {
            self.0.insert(lane, pace);
        }
    }

    pub(super) fn recall(&mut self, lane: &Lane) -> Pace {
        self.0.remove(lane).unwrap_or_default()
    }
}
