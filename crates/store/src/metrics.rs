//! What the store tells about itself.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
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
    /// Batches refused for another error of the database.
    pub failed: u64,
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

/// Upper bounds of the sync latency's buckets, in microseconds.
const BOUNDS: [u64; 12] =
    [250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000, 128_000, 512_000, 2_048_000];

/// The live counters.
#[derive(Default)]
pub(crate) struct Counters {
    buckets: [AtomicU64; BOUNDS.len()],
    syncs: AtomicU64,
    sync_micros: AtomicU64,
    pub(crate) batches: AtomicU64,
    pub(crate) conflicts: AtomicU64,
    pub(crate) disk_full: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) bytes: AtomicU64,
}

impl Counters {
    /// Notes how long a synced write took.
    pub(crate) fn observe(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        if let Some(bucket) = BOUNDS.iter().position(|bound| micros <= *bound) {
            self.buckets[bucket].fetch_add(1, Relaxed);
        }
        self.syncs.fetch_add(1, Relaxed);
        self.sync_micros.fetch_add(micros, Relaxed);
    }

    pub(crate) fn snapshot(&self) -> StoreMetrics {
        let mut below = 0;
        let buckets = BOUNDS.iter().zip(&self.buckets).map(|(bound, bucket)| {
            below += bucket.load(Relaxed);
            (Duration::from_micros(*bound), below)
        });
        let sync_latency = Histogram {
            buckets: buckets.collect(),
            count: self.syncs.load(Relaxed),
            sum: Duration::from_micros(self.sync_micros.load(Relaxed)),
        };
        StoreMetrics {
            sync_latency,
            batches: self.batches.load(Relaxed),
            conflicts: self.conflicts.load(Relaxed),
            disk_full: self.disk_full.load(Relaxed),
            failed: self.failed.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_cumulative() {
        let counters = Counters::default();
        for micros in [10, 250, 251, 3_000, 10_000_000] {
            counters.observe(Duration::from_micros(micros));
        }
        let latency = counters.snapshot().sync_latency;
        assert_eq!(latency.count, 5);
        assert_eq!(latency.sum, Duration::from_micros(10_003_511));
        let counts: Vec<u64> = latency.buckets.iter().map(|(_, count)| *count).collect();
        assert_eq!(counts, [2, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4, 4]);
    }
}
