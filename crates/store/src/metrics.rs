//! What the store tells about itself.

use std::time::Duration;

/// A snapshot of the store's counters since it was opened.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StoreMetrics {
    /// How long each synced group write took.
    pub sync_latency: Histogram,
    /// Batches committed.
    pub batches: u64,
    /// Batches refused for a precondition.
    pub conflicts: u64,
    /// Batches refused for a full disk.
    pub disk_full: u64,
    /// Sealed bytes written.
    pub bytes: u64,
}

/// A histogram with fixed bounds.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Histogram {
    /// Upper bounds and how many observations were at or below each (cumulative).
    pub buckets: Vec<(Duration, u64)>,
    /// All observations.
    pub count: u64,
    /// Their sum.
    pub sum: Duration,
}
