//! What the store promises, without a disk where it can be.

use super::*;
use crate::engine::Visit;
use std::sync::Condvar;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

fn put(column: Column, key: &[u8], value: &[u8]) -> Batch {
    let mut batch = Batch::new();
    batch.put(column, key, value);
    batch
}

/// An engine that can be held up and can be full.
#[derive(Default)]
struct Moody {
    inner: MemoryEngine,
    full: AtomicBool,
    held: Mutex<bool>,
    free: Condvar,
    writes: Mutex<Vec<usize>>,
}

impl Moody {
    fn hold(&self, held: bool) {
        *self.held.lock().expect("lock") = held;
        self.free.notify_all();
    }
}

impl Engine for Moody {
    fn get(&self, column: Column, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        self.inner.get(column, key)
    }

    fn scan(
        &self,
        column: Column,
        prefix: &[u8],
        start_after: Option<&[u8]>,
        limit: usize,
        visit: &mut Visit<'_>,
    ) -> Result<(), EngineError> {
        self.inner.scan(column, prefix, start_after, limit, visit)
    }

    fn write(&self, changes: &[Change]) -> Result<(), EngineError> {
        let held = self.held.lock().expect("lock");
        drop(self.free.wait_while(held, |held| *held).expect("lock"));
        if self.full.load(SeqCst) {
            return Err(EngineError::Full);
        }
        self.writes.lock().expect("lock").push(changes.len());
        self.inner.write(changes)
    }
}

fn moody() -> (Arc<Moody>, Store) {
    let engine = Arc::new(Moody::default());
    let store = Store::start(Arc::clone(&engine) as _, Keyring::generate(), None);
    (engine, store.expect("started"))
}

/// Submits a batch that the writer takes and is held up with.
fn occupy(engine: &Moody, store: &Store) -> CommitTicket {
    engine.hold(true);
    let ticket = store.submit(put(Column::System, b"first", b""));
    std::thread::sleep(std::time::Duration::from_millis(50));
    ticket
}

#[test]
fn waiting_batches_share_one_write() {
    let (engine, store) = moody();
    let first = occupy(&engine, &store);
    let tickets: Vec<_> =
        (0u32..100).map(|n| store.submit(put(Column::Queue, &n.to_be_bytes(), b"x"))).collect();
    engine.hold(false);
    assert!(first.wait().is_ok());
    for ticket in tickets {
        assert!(ticket.wait().is_ok());
    }
    assert_eq!(*engine.writes.lock().expect("lock"), [1, 100]);
    let metrics = store.metrics();
    assert_eq!((metrics.batches, metrics.sync_latency.count), (101, 2));
}

#[test]
fn preconditions_see_the_batches_before_them_in_the_same_group() {
    let (engine, store) = moody();
    let column = Column::Directory;
    let _first = occupy(&engine, &store);
    let mut create = put(column, b"k", b"one");
    create.require_absent(column, *b"k");
    let mut again = put(column, b"k", b"two");
    again.require_absent(column, *b"k");
    let mut replace = put(column, b"k", b"three");
    replace.require_value(column, *b"k", b"one");
    let mut stale = put(column, b"k", b"four");
    stale.require_value(column, *b"k", b"one");
    let mut delete = Batch::new();
    delete.delete(column, *b"k");
    let mut recreate = put(column, b"k", b"five");
    recreate.require_absent(column, *b"k");
    let batches = [create, again, replace, stale, delete, recreate];
    let tickets = batches.map(|batch| store.submit(batch));
    engine.hold(false);
    let outcomes = tickets.map(|ticket| ticket.wait().is_ok());
    assert_eq!(outcomes, [true, false, true, false, true, true]);
    assert_eq!(store.get(column, b"k").expect("read").as_deref(), Some(&b"five"[..]));
    assert_eq!(store.metrics().conflicts, 2);
    // And what is on the disk.
    let mut late = Batch::new();
    late.require_value(column, *b"k", b"five").delete(column, *b"k");
    assert!(store.commit_blocking(late).is_ok());
    let mut gone = Batch::new();
    gone.require_value(column, *b"k", b"five");
    assert_eq!(store.commit_blocking(gone), Err(CommitError::Conflict));
}

#[test]
fn a_refused_batch_changes_nothing() {
    let store = Store::in_memory();
    store.commit_blocking(put(Column::Queue, b"a", b"1")).expect("committed");
    let mut batch = put(Column::Queue, b"b", b"2");
    batch.delete(Column::Queue, *b"a").require_absent(Column::Queue, *b"a");
    assert_eq!(store.commit_blocking(batch), Err(CommitError::Conflict));
    let all = store.scan(Column::Queue, b"", None, 10).expect("scanned");
    assert_eq!(all, [(b"a".to_vec(), b"1".to_vec())]);
}

#[test]
fn a_full_disk_is_said_and_gets_over() {
    let (engine, store) = moody();
    engine.full.store(true, SeqCst);
    let refused = store.commit_blocking(put(Column::Queue, b"a", b"1"));
    assert_eq!(refused, Err(CommitError::DiskFull));
    assert_eq!(store.get(Column::Queue, b"a"), Ok(None));
    engine.full.store(false, SeqCst);
    assert!(store.commit_blocking(put(Column::Queue, b"a", b"1")).is_ok());
    assert_eq!(store.metrics().disk_full, 1);
}

#[test]
fn a_value_opens_in_its_own_place_only() {
    let engine = Arc::new(MemoryEngine::default());
    let store = Store::start(Arc::clone(&engine) as _, Keyring::generate(), None).expect("started");
    store.commit_blocking(put(Column::Queue, b"a", b"secret")).expect("committed");
    let sealed = engine.get(Column::Queue, b"a").expect("read").expect("there");
    assert!(!sealed.windows(6).any(|window| window == b"secret"));
    let moved =
        |column, key: &[u8]| Change { column, key: key.to_vec(), value: Some(sealed.clone()) };
    engine.write(&[moved(Column::Queue, b"b"), moved(Column::Parcel, b"a")]).expect("written");
    for (column, key) in [(Column::Queue, b"b"), (Column::Parcel, b"a")] {
        assert!(matches!(store.get(column, key), Err(StoreError::Sealed { .. })));
    }
    let walk = store.for_each(Column::Queue, b"", &mut |_, _| ControlFlow::Continue(()));
    assert!(matches!(walk, Err(StoreError::Sealed { .. })));
}

#[tokio::test]
async fn closing_writes_what_was_submitted_before() {
    let (engine, store) = moody();
    let clone = store.clone();
    let tickets = [occupy(&engine, &store), store.submit(put(Column::Queue, b"last", b"1"))];
    let closer = std::thread::spawn(move || store.close());
    std::thread::sleep(std::time::Duration::from_millis(50));
    engine.hold(false);
    for ticket in tickets {
        assert!(ticket.await.is_ok());
    }
    closer.join().expect("closed");
    let late = clone.commit(put(Column::Queue, b"late", b"1")).await;
    assert_eq!(late, Err(CommitError::Closed));
    assert_eq!(clone.get(Column::Queue, b"last").expect("read").as_deref(), Some(&b"1"[..]));
}

#[test]
fn names_become_keyed_hashes() {
    let (one, two) = (Store::in_memory(), Store::in_memory());
    let name = |store: &Store| store.name_key(Column::Directory, &[b"alice", b"clinic.test"]);
    assert_eq!(name(&one), name(&one));
    assert_ne!(name(&one), name(&two));
    assert_ne!(name(&one), one.name_key(Column::Queue, &[b"alice", b"clinic.test"]));
}

#[test]
fn scanning_goes_on_where_it_stopped() {
    let store = Store::in_memory();
    let mut batch = Batch::new();
    for n in 0u8..10 {
        batch.put(Column::Ledger, [b'p', n], [n]).put(Column::Ledger, [b'q', n], [n]);
    }
    store.commit_blocking(batch).expect("committed");
    let mut seen = Vec::new();
    let mut after: Option<Vec<u8>> = None;
    loop {
        let page = store.scan(Column::Ledger, b"p", after.as_deref(), 3).expect("scanned");
        let Some((last, _)) = page.last() else { break };
        after = Some(last.clone());
        seen.extend(page.into_iter().map(|(_, value)| value[0]));
    }
    assert_eq!(seen, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
}
