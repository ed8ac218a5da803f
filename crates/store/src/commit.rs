//! Tickets and the proof of a synced write.

use crate::error::CommitError;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Proof that a write reached the disk. Only the store makes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed(());

/// Resolves when the batch is on the disk or refused.
#[must_use = "a batch is durable only when its ticket says so"]
pub struct CommitTicket(());

impl CommitTicket {
    /// Waits on a thread that may block.
    pub fn wait(self) -> Result<Committed, CommitError> {
        unimplemented!()
    }
}

impl Future for CommitTicket {
    type Output = Result<Committed, CommitError>;

    fn poll(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<Self::Output> {
        unimplemented!()
    }
}
