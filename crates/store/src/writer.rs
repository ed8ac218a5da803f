//! The writer thread: many waiting batches, one write, one sync.
//!
//! Batches are taken in the order in which they were submitted. Preconditions are checked in that
//! order too, each against what is on the disk and what the batches before it in the same group
//! change. Then one write and one sync for all, and only then the tickets.

use crate::column::Column;
use crate::commit::{Committed, Outcome};
use crate::engine::{Change, Engine, EngineError};
use crate::error::CommitError;
use crate::metrics::Counters;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Instant;
use tokio::sync::oneshot;
use wardpost_keys::DataKey;

/// A group takes no more batches than this.
const MAX_BATCHES: usize = 1024;
/// A group takes no more batches once it has this many bytes.
const MAX_BYTES: usize = 16 << 20;

/// A precondition: the key's value must be this (in the clear), or there must be none.
pub(crate) struct Condition {
    pub(crate) column: Column,
    pub(crate) key: Vec<u8>,
    pub(crate) expected: Option<Vec<u8>>,
}

/// A batch, sealed and in line.
pub(crate) struct Job {
    pub(crate) conditions: Vec<Condition>,
    pub(crate) changes: Vec<Change>,
    pub(crate) answer: oneshot::Sender<Outcome>,
}

/// What comes to the writer.
pub(crate) enum Message {
    Job(Job),
    /// Write what was submitted before, then end.
    Close,
}

/// The writer thread's state.
pub(crate) struct Writer {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) keys: Arc<[DataKey; Column::ALL.len()]>,
    pub(crate) counters: Arc<Counters>,
}

impl Writer {
    /// Runs until told to close or until the store is gone.
    pub(crate) fn run(self, jobs: &Receiver<Message>) {
        let mut open = true;
        while open {
            let Some(Message::Job(first)) = self.next(jobs) else { break };
            let mut size = job_size(&first);
            let mut group = vec![first];
            while group.len() < MAX_BATCHES && size < MAX_BYTES {
                match jobs.try_recv() {
                    Ok(Message::Job(job)) => {
                        size += job_size(&job);
                        group.push(job);
                    }
                    Ok(Message::Close) => {
                        open = false;
                        break;
                    }
                    Err(_) => break,
                }
            }
            self.commit(group);
        }
    }

    /// Waits for the next message, and does some housekeeping while there is none.
    fn next(&self, jobs: &Receiver<Message>) -> Option<Message> {
        loop {
            match jobs.try_recv() {
                Ok(message) => return Some(message),
                Err(TryRecvError::Disconnected) => return None,
                Err(TryRecvError::Empty) if self.engine.tidy() => {}
                Err(TryRecvError::Empty) => return jobs.recv().ok(),
            }
        }
    }

    /// Checks, writes and answers one group.
    fn commit(&self, group: Vec<Job>) {
        let (changes, accepted) = self.check(group);
        if accepted.is_empty() {
            return;
        }
        let outcome = self.write(&changes);
        let counter = match &outcome {
            Ok(_) => &self.counters.batches,
            Err(CommitError::DiskFull) => &self.counters.disk_full,
            Err(_) => &self.counters.failed,
        };
        counter.fetch_add(accepted.len() as u64, Relaxed);
        for answer in accepted {
            // Nobody may be waiting any more; the batch is committed all the same.
            let _ = answer.send(outcome.clone());
        }
    }

    /// Answers the batches whose preconditions fail; returns what remains to be written.
    fn check(&self, group: Vec<Job>) -> (Vec<Change>, Vec<oneshot::Sender<Outcome>>) {
        let conditional = group.iter().any(|job| !job.conditions.is_empty());
        let mut pending = Pending { active: conditional, values: HashMap::new() };
        let mut changes = Vec::with_capacity(group.iter().map(|job| job.changes.len()).sum());
        let mut accepted = Vec::with_capacity(group.len());
        for job in group {
            let mut checks = job.conditions.iter();
            match checks.try_for_each(|condition| self.holds(condition, &pending, &changes)) {
                Ok(()) => {
                    pending.note(&job.changes, changes.len());
                    changes.extend(job.changes);
                    accepted.push(job.answer);
                }
                Err(error) => {
                    let counter = match error {
                        CommitError::Conflict => &self.counters.conflicts,
                        _ => &self.counters.failed,
                    };
                    counter.fetch_add(1, Relaxed);
                    let _ = job.answer.send(Err(error));
                }
            }
        }
        (changes, accepted)
    }

    fn holds(
        &self,
        condition: &Condition,
        pending: &Pending,
        changes: &[Change],
    ) -> Result<(), CommitError> {
        let Condition { column, key, expected } = condition;
        let stored = match pending.find(*column, key) {
            Some(at) => changes[at].value.clone(),
            None => self.engine.get(*column, key)?,
        };
        let holds = match (stored, expected) {
            (None, None) => true,
            (Some(sealed), Some(expected)) => {
                let opened = self.keys[column.index()]
                    .open(key, &sealed)
                    .map_err(|error| CommitError::Failed(error.to_string()))?;
                opened == *expected
            }
            _ => false,
        };
        if holds { Ok(()) } else { Err(CommitError::Conflict) }
    }

    fn write(&self, changes: &[Change]) -> Outcome {
        if !changes.is_empty() {
            let start = Instant::now();
            self.engine.write(changes).inspect_err(|error| match error {
                EngineError::Full => tracing::warn!("the disk is full; nothing is being stored"),
                EngineError::Failed(error) => tracing::error!(%error, "a write failed"),
            })?;
            self.counters.observe(start.elapsed());
            let bytes: usize = changes.iter().map(Change::size).sum();
            self.counters.bytes.fetch_add(bytes as u64, Relaxed);
        }
        Ok(Committed::proven())
    }
}

/// Where in the group's changes a key was changed last. Kept only when there are preconditions.
struct Pending {
    active: bool,
    values: HashMap<(Column, Vec<u8>), usize>,
}

impl Pending {
    fn note(&mut self, changes: &[Change], offset: usize) {
        if self.active {
            for (at, change) in changes.iter().enumerate() {
                self.values.insert((change.column, change.key.clone()), offset + at);
            }
        }
    }

    fn find(&self, column: Column, key: &[u8]) -> Option<usize> {
        if self.values.is_empty() {
            return None;
        }
        self.values.get(&(column, key.to_vec())).copied()
    }
}

impl From<EngineError> for CommitError {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Full => Self::DiskFull,
            EngineError::Failed(text) => Self::Failed(text),
        }
    }
}

fn job_size(job: &Job) -> usize {
    job.changes.iter().map(Change::size).sum()
}
