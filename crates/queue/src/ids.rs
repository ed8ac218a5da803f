//! Identifiers: ascending, and never given twice, whatever happens.
//!
//! They are reserved in blocks: the end of a block is synced to disk before its first identifier is
//! given, and the next start begins behind it.

use crate::QueueError;
use crate::records::{COUNTER_KEY, decode, encode};
use wardpost_mail::QueueId;
use wardpost_store::{Batch, Column, Store};

/// Identifiers reserved at a time, and at most skipped by a crash.
const BLOCK: u64 = 64;

#[derive(Debug)]
pub(crate) struct Ids {
    next: u64,
    /// The first identifier that is not reserved.
    end: u64,
}

impl Ids {
    /// Starts behind everything that was ever reserved.
    pub(crate) fn open(store: &Store) -> Result<Self, QueueError> {
        let end = match store.get(Column::Queue, COUNTER_KEY)? {
            Some(bytes) => decode::<u64>(&bytes)?,
            None => 1,
        };
        Ok(Self { next: end, end })
    }

    /// Gives `count` identifiers in a row; returns the first.
    pub(crate) async fn take(&mut self, store: &Store, count: u64) -> Result<QueueId, QueueError> {
        let after = self.next.saturating_add(count);
        if after > self.end {
            let end = after.saturating_add(BLOCK);
            let mut batch = Batch::new();
            batch.put(Column::Queue, COUNTER_KEY, encode(&end));
            store.commit(batch).await?;
            self.end = end;
        }
        let first = self.next;
        self.next = after;
        Ok(QueueId(first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn identifiers_ascend_through_restarts() {
        let store = Store::in_memory();
        let mut last = 0;
        for _ in 0..5 {
            let mut ids = Ids::open(&store).unwrap();
            for count in [1, 3, BLOCK, 2 * BLOCK] {
                let first = ids.take(&store, count).await.unwrap();
                assert!(first.0 > last);
                last = first.0 + count - 1;
            }
        }
    }
}
