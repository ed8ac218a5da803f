//! Raw ordered key-value engines below the sealing.
//!
//! An engine sees ciphertext only. It keeps each column's keys in byte order, writes a set of
//! changes as a whole and returns when they are on the disk, and reads from one moment's snapshot.

mod memory;
mod rocks;
mod segments;

pub(crate) use memory::MemoryEngine;
pub(crate) use rocks::RocksEngine;

use crate::column::Column;
use std::ops::ControlFlow;

/// One change: a new sealed value, or none to remove the key.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) column: Column,
    pub(crate) key: Vec<u8>,
    pub(crate) value: Option<Vec<u8>>,
}

impl Change {
    /// Bytes that it will write, roughly.
    pub(crate) fn size(&self) -> usize {
        self.key.len() + self.value.as_ref().map_or(0, Vec::len)
    }
}

/// What an engine can fail with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum EngineError {
    /// No space is left. Nothing of the changes was written; a later try may succeed.
    Full,
    /// Anything else, in the engine's words.
    Failed(String),
}

/// A visitor of keys and sealed values.
pub(crate) type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// An ordered key-value engine.
pub(crate) trait Engine: Send + Sync {
    /// One value.
    fn get(&self, column: Column, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError>;

    /// Visits up to `limit` entries of a prefix in order, beginning after `start_after`, as they
    /// were at the moment of the call.
    fn scan(
        &self,
        column: Column,
        prefix: &[u8],
        start_after: Option<&[u8]>,
        limit: usize,
        visit: &mut Visit<'_>,
    ) -> Result<(), EngineError>;

    /// Writes all changes, in order, or none; returns when they survive a power cut.
    fn write(&self, changes: &[Change]) -> Result<(), EngineError>;

    /// Does a small piece of housekeeping, when the writer has nothing else to do. False: there is
    /// no more of it until something is written.
    fn tidy(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    #[derive(Debug, Clone)]
    enum Step {
        Write(Vec<(u8, Vec<u8>, Option<Vec<u8>>)>),
        Get(u8, Vec<u8>),
        Scan { column: u8, prefix: Vec<u8>, after: Option<Vec<u8>>, limit: usize },
        Tidy,
        Reopen,
    }

    fn key() -> impl Strategy<Value = Vec<u8>> {
        // Few letters, short keys, and the awkward bytes: many meetings.
        vec(prop_oneof![Just(0u8), Just(1), Just(0xfe), Just(0xff)], 0..4)
    }

    fn step() -> impl Strategy<Value = Step> {
        let value = prop_oneof![
            4 => vec(any::<u8>(), 0..40).boxed(),
            1 => vec(any::<u8>(), 4000..9000).boxed(),
            1 => (any::<u8>(), 20_000usize..200_000).prop_map(|(n, len)| vec![n; len]).boxed(),
        ];
        let change = (0u8..7, key(), proptest::option::weighted(0.7, value));
        prop_oneof![
            6 => vec(change, 0..6).prop_map(Step::Write),
            3 => (0u8..7, key()).prop_map(|(column, key)| Step::Get(column, key)),
            3 => (0u8..7, key(), proptest::option::of(key()), 0usize..8).prop_map(
                |(column, prefix, after, limit)| Step::Scan { column, prefix, after, limit }
            ),
            1 => Just(Step::Tidy),
            1 => Just(Step::Reopen),
        ]
    }

    fn collect(
        engine: &dyn Engine,
        column: Column,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut found = Vec::new();
        engine
            .scan(column, prefix, after, limit, &mut |key, value| {
                found.push((key.to_vec(), value.to_vec()));
                ControlFlow::Continue(())
            })
            .expect("scanned");
        found
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn both_engines_do_the_same(steps in vec(step(), 1..40)) {
            let dir = tempfile::tempdir().expect("temporary directory");
            let memory = MemoryEngine::default();
            let mut rocks = RocksEngine::open(dir.path(), 0).expect("opened");
            for step in steps {
                match step {
                    Step::Write(changes) => {
                        let changes: Vec<Change> = changes
                            .into_iter()
                            .map(|(column, key, value)| Change {
                                column: Column::ALL[usize::from(column)],
                                key,
                                value,
                            })
                            .collect();
                        memory.write(&changes).expect("written");
                        rocks.write(&changes).expect("written");
                    }
                    Step::Get(column, key) => {
                        let column = Column::ALL[usize::from(column)];
                        prop_assert_eq!(memory.get(column, &key), rocks.get(column, &key));
                    }
                    Step::Scan { column, prefix, after, limit } => {
                        let column = Column::ALL[usize::from(column)];
                        let after = after.as_deref();
                        prop_assert_eq!(
                            collect(&memory, column, &prefix, after, limit),
                            collect(&rocks, column, &prefix, after, limit)
                        );
                    }
                    Step::Tidy => while rocks.tidy() {},
                    Step::Reopen => {
                        drop(rocks);
                        rocks = RocksEngine::open(dir.path(), 0).expect("opened again");
                    }
                }
            }
            for column in Column::ALL {
                prop_assert_eq!(
                    collect(&memory, column, b"", None, usize::MAX),
                    collect(&rocks, column, b"", None, usize::MAX)
                );
            }
        }
    }

    #[test]
    fn a_visitor_can_stop_and_can_write() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let rocks = RocksEngine::open(dir.path(), 0).expect("opened");
        for engine in [&MemoryEngine::default() as &dyn Engine, &rocks] {
            let put = |key: u8| Change {
                column: Column::Queue,
                key: vec![key],
                value: Some(vec![key; 5000]),
            };
            engine.write(&[put(1), put(2), put(3)]).expect("written");
            let mut seen = Vec::new();
            engine
                .scan(Column::Queue, b"", None, usize::MAX, &mut |key, _| {
                    // A snapshot: what is written now is not seen.
                    engine.write(&[put(key[0] + 10)]).expect("written");
                    seen.push(key[0]);
                    if key[0] == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                })
                .expect("scanned");
            assert_eq!(seen, [1, 2]);
            let count = collect(engine, Column::Queue, b"", None, usize::MAX).len();
            assert_eq!(count, 5);
        }
    }
}
