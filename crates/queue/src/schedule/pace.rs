//! How fast a lane has been, and for how long that is remembered.

use super::Lane;
use std::collections::HashMap;

/// An attempt that takes this long was slow.
pub(super) const SLOW_MS: u64 = 10_000;
/// Lanes that are remembered after they emptied. When there are more, all are forgotten: not to know a
/// lane is always safe.
const MAX_REMEMBERED: usize = 10_000;

/// How fast a lane answered last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Pace {
    /// The last attempt ended in good time, whatever came of it.
    Brisk,
    /// Nobody knows yet.
    #[default]
    Unknown,
    /// The last attempt dawdled, or one that is under way does.
    Slow,
}

impl Pace {
    /// The pace that an attempt shows.
    pub(super) fn of(elapsed_ms: u64) -> Self {
        if elapsed_ms >= SLOW_MS { Self::Slow } else { Self::Brisk }
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
