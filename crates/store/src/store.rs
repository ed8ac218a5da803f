//! The store itself.

use crate::batch::Batch;
use crate::column::Column;
use crate::commit::{CommitTicket, Committed};
use crate::engine::{Change, Engine, EngineError, MemoryEngine, RocksEngine};
use crate::error::{CommitError, OpenError, StoreError};
use crate::layout::Layout;
use crate::metrics::{Counters, StoreMetrics};
use crate::writer::{Condition, Job, Message, Writer};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use wardpost_keys::{DataKey, IndexKey, Keyring, SystemKey};

/// A key and its value.
pub type Entry = (Vec<u8>, Vec<u8>);
/// What [`Store::for_each`] calls for each key and value.
pub type Visitor<'a> = dyn FnMut(&[u8], Vec<u8>) -> ControlFlow<()> + 'a;

/// What can be set when a store is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Bytes of the disk to keep free. Below it only batches that free space are let through, so
    /// that the database never meets a full disk in the middle of its own work.
    pub reserve: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { reserve: 64 << 20 }
    }
}

/// The sealed store. Cheap to clone; all clones are one store.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    engine: Arc<dyn Engine>,
    data_keys: Arc<[DataKey; Column::ALL.len()]>,
    index_keys: [IndexKey; Column::ALL.len()],
    keyring: Keyring,
    /// `None` for a store in memory. Locked while the keyring's file is replaced.
    layout: Option<Mutex<Layout>>,
    counters: Arc<Counters>,
    jobs: Sender<Message>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl Store {
    /// Opens a data directory, and makes it when it is absent or empty. Refuses a wrong key, a
    /// missing keyring, a newer format, a foreign directory and one in use, and leaves each as it
    /// was.
    pub fn open(dir: &Path, key: &SystemKey) -> Result<Self, OpenError> {
        Self::open_with(dir, key, &Options::default())
    }

    /// As [`Store::open`], with settings.
    pub fn open_with(dir: &Path, key: &SystemKey, options: &Options) -> Result<Self, OpenError> {
        let (layout, keyring) = Layout::open(dir, key)?;
        layout.make_database_dir()?;
        let engine =
            RocksEngine::open(&layout.database(), options.reserve).map_err(OpenError::Database)?;
        layout.complete()?;
        Self::start(Arc::new(engine), keyring, Some(layout))
    }

    /// A store in memory, for tests: everything is sealed as on disk.
    pub fn in_memory() -> Self {
        let started = Self::start(Arc::new(MemoryEngine::default()), Keyring::generate(), None);
        // Infallible but for a system that gives no threads; then a test cannot go on.
        #[expect(clippy::expect_used, reason = "for tests; fails only when there are no threads")]
        started.expect("a thread")
    }

    pub(crate) fn start(
        engine: Arc<dyn Engine>,
        keyring: Keyring,
        layout: Option<Layout>,
    ) -> Result<Self, OpenError> {
        let data_keys = Arc::new(Column::ALL.map(|column| keyring.data_key(column.name())));
        let counters = Arc::new(Counters::default());
        let (jobs, receiver) = channel();
        let writer = Writer {
            engine: Arc::clone(&engine),
            keys: Arc::clone(&data_keys),
            counters: Arc::clone(&counters),
        };
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || writer.run(&receiver))
            .map_err(|error| OpenError::Database(format!("no writer thread: {error}")))?;
        Ok(Self(Arc::new(Inner {
            engine,
            data_keys,
            index_keys: Column::ALL.map(|column| keyring.index_key(column.name())),
            keyring,
            layout: layout.map(Mutex::new),
            counters,
            jobs,
            writer: Mutex::new(Some(thread)),
        })))
    }

    /// One value. Fast; blocks only when the disk has to be read.
    pub fn get(&self, column: Column, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let sealed = self.0.engine.get(column, key)?;
        sealed.map(|sealed| self.0.unseal(column, key, &sealed)).transpose()
    }

    /// Up to `limit` keys and values in order, from a prefix, after a key.
    pub fn scan(
        &self,
        column: Column,
        prefix: &[u8],
        start_after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        let mut found = Vec::new();
        self.0.walk(column, prefix, start_after, limit, &mut |key, value| {
            found.push((key.to_vec(), value));
            ControlFlow::Continue(())
        })?;
        Ok(found)
    }

    /// Streams keys and values of a prefix in order, from a snapshot, until told to stop.
    pub fn for_each(
        &self,
        column: Column,
        prefix: &[u8],
        visit: &mut Visitor<'_>,
    ) -> Result<(), StoreError> {
        self.0.walk(column, prefix, None, usize::MAX, visit)
    }

    /// Puts a batch in line, now and in call order; the ticket resolves when it is on the disk.
    /// Values are sealed here, on the caller's thread.
    ///
    /// A caller that holds a lock across `submit` fixes the order of its batches and may await
    /// the ticket outside. Reads see a batch only once its ticket has resolved.
    pub fn submit(&self, batch: Batch) -> CommitTicket {
        let changes = batch.changes.into_iter().map(|(column, key, value)| {
            let key_of = &self.0.data_keys[column.index()];
            let value = value.map(|plain| key_of.seal(&key, &plain));
            Change { column, key, value }
        });
        let conditions = batch.conditions.into_iter().map(|(column, key, expected)| Condition {
            column,
            key,
            expected,
        });
        let (answer, ticket) = CommitTicket::new();
        let job = Job { conditions: conditions.collect(), changes: changes.collect(), answer };
        // When the writer is gone the answer is dropped, and the ticket says that it is closed.
        let _ = self.0.jobs.send(Message::Job(job));
        ticket
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
        self.0.index_keys[column.index()].hash(parts)
    }

    /// Wraps the keyring under a new system key, at one stroke. No data is rewritten; from now on
    /// only the new key opens the directory.
    pub fn rotate_system_key(&self, new: &SystemKey) -> Result<(), OpenError> {
        let Some(layout) = &self.0.layout else { return Ok(()) };
        let layout = layout.lock().unwrap_or_else(PoisonError::into_inner);
        layout.write_keyring(&self.0.keyring, new)
    }

    /// Counters since opening.
    pub fn metrics(&self) -> StoreMetrics {
        self.0.counters.snapshot()
    }

    /// Writes what was submitted before, then ends the writer. Later batches of other clones are
    /// refused as closed; the files are let go when the last clone is dropped.
    pub fn close(self) {
        self.0.stop();
    }
}

impl Inner {
    fn unseal(&self, column: Column, key: &[u8], sealed: &[u8]) -> Result<Vec<u8>, StoreError> {
        self.data_keys[column.index()]
            .open(key, sealed)
            .map_err(|error| StoreError::Sealed { column: column.name(), error })
    }

    fn walk(
        &self,
        column: Column,
        prefix: &[u8],
        start_after: Option<&[u8]>,
        limit: usize,
        visit: &mut Visitor<'_>,
    ) -> Result<(), StoreError> {
        let mut outcome = Ok(());
        self.engine.scan(column, prefix, start_after, limit, &mut |key, sealed| match self
            .unseal(column, key, sealed)
        {
            Ok(value) => visit(key, value),
            Err(error) => {
                outcome = Err(error);
                ControlFlow::Break(())
            }
        })?;
        outcome
    }

    fn stop(&self) {
        // A writer that is gone already needs no message.
        let _ = self.jobs.send(Message::Close);
        let thread = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the store's writer thread ended in a panic");
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop();
    }
}

impl From<EngineError> for StoreError {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Full => Self::Database("the disk is full".to_owned()),
            EngineError::Failed(text) => Self::Database(text),
        }
    }
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
