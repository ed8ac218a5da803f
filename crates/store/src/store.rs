//! The store itself.

use crate::batch::Batch;
use crate::column::Column;
use crate::commit::{CommitTicket, Committed};
use crate::error::{CommitError, OpenError, StoreError};
use crate::metrics::StoreMetrics;
use std::ops::ControlFlow;
use std::path::Path;
use wardpost_keys::SystemKey;

/// The sealed store. Cheap to clone; all clones are one store.
#[derive(Clone)]
pub struct Store {}

impl Store {
    /// Opens a data directory, and makes it when it is absent or empty.
    pub fn open(dir: &Path, key: &SystemKey) -> Result<Self, OpenError> {
        let _ = (dir, key);
        unimplemented!()
    }

    /// A store in memory, for tests: everything is sealed as on disk.
    pub fn in_memory() -> Self {
        unimplemented!()
    }

    /// One value. Reads block only for the disk.
    pub fn get(&self, column: Column, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let _ = (column, key);
        unimplemented!()
    }

    /// Up to `limit` keys and values in order, from a prefix, after a key.
    pub fn scan(
        &self,
        column: Column,
        prefix: &[u8],
        start_after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Vec<u8>)>, StoreError> {
        let _ = (column, prefix, start_after, limit);
        unimplemented!()
    }

    /// Streams keys and values of a prefix in order, from a snapshot, until told to stop.
    pub fn for_each(
        &self,
        column: Column,
        prefix: &[u8],
        visit: &mut dyn FnMut(&[u8], Vec<u8>) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let _ = (column, prefix, visit);
        unimplemented!()
    }

    /// Puts a batch in line, now and in call order; the ticket resolves when it is on the disk.
    /// Values are sealed here, on the caller's thread.
    pub fn submit(&self, batch: Batch) -> CommitTicket {
        let _ = batch;
        unimplemented!()
    }

    /// Commits a batch and waits for the disk.
    pub async fn commit(&self, batch: Batch) -> Result<Committed, CommitError> {
        self.submit(batch).await
    }

    /// Commits a batch from a thread that may block.
    pub fn commit_blocking(&self, batch: Batch) -> Result<Committed, CommitError> {
        self.submit(batch).wait()
    }

    /// A store key made from names: a keyed hash, so the disk does not tell the names.
    pub fn name_key(&self, column: Column, parts: &[&[u8]]) -> [u8; 16] {
        let _ = (column, parts);
        unimplemented!()
    }

    /// Wraps the keyring under a new system key. No data is rewritten.
    pub fn rotate_system_key(&self, new: &SystemKey) -> Result<(), OpenError> {
        let _ = new;
        unimplemented!()
    }

    /// Counters since opening.
    pub fn metrics(&self) -> StoreMetrics {
        unimplemented!()
    }

    /// Writes what waits, then closes. Clones left over get errors.
    pub fn close(self) {
        unimplemented!()
    }
}
