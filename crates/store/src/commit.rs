//! Tickets and the proof of a synced write.

use crate::error::CommitError;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::oneshot;

/// Proof that a write reached the disk. Only the store makes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed(());

impl Committed {
    /// Called by the writer after a successful sync.
    pub(crate) fn proven() -> Self {
        Self(())
    }
}

/// What the writer answers a batch.
pub(crate) type Outcome = Result<Committed, CommitError>;

/// Resolves when the batch is on the disk or refused. Dropping it does not call the batch back.
#[must_use = "a batch is durable only when its ticket says so"]
pub struct CommitTicket(oneshot::Receiver<Outcome>);

impl CommitTicket {
    /// A ticket and the writer's end of it.
    pub(crate) fn new() -> (oneshot::Sender<Outcome>, Self) {
        let (sender, receiver) = oneshot::channel();
        (sender, Self(receiver))
    }

    /// Waits on a thread that may block; panics inside an async task.
    pub fn wait(self) -> Result<Committed, CommitError> {
        self.0.blocking_recv().unwrap_or(Err(CommitError::Closed))
    }
}

impl Future for CommitTicket {
    type Output = Result<Committed, CommitError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = Pin::new(&mut self.0).poll(context);
        answer.map(|answer| answer.unwrap_or(Err(CommitError::Closed)))
    }
}
