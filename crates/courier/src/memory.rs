//! Messages in memory, within a budget: many workers and large messages must not add up.

use std::ops::Deref;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wardpost_mail::QueueId;
use wardpost_queue::{Queue, QueueError};

/// What the messages under way may take together, in KiB.
const BUDGET: u32 = 256 * 1024;
/// Messages being read at once; each may be in memory before there is room for it.
const READERS: usize = 4;

/// The budget.
#[derive(Debug)]
pub(crate) struct Memory {
    room: Arc<Semaphore>,
    readers: Semaphore,
}

/// A message in memory; its room is given back on drop.
#[derive(Debug)]
pub(crate) struct Loaded {
    message: Vec<u8>,
    _room: Option<OwnedSemaphorePermit>,
}

impl Deref for Loaded {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.message
    }
}

impl Memory {
    pub(crate) fn new() -> Self {
        Self { room: Arc::new(Semaphore::new(BUDGET as usize)), readers: Semaphore::new(READERS) }
    }

    /// Reads a message off the disk, away from the threads that serve connections, once there is
    /// room for it.
    pub(crate) async fn load(&self, queue: &Queue, id: QueueId) -> Result<Loaded, QueueError> {
        // Neither semaphore is ever closed.
        let _reader = self.readers.acquire().await;
        let queue = queue.clone();
        let message = match tokio::task::spawn_blocking(move || queue.message(id)).await {
            Ok(message) => message?,
            Err(_) => return Err(QueueError::Damaged),
        };
        let kib = u32::try_from(message.len() / 1024 + 1).unwrap_or(BUDGET).min(BUDGET);
        let room = Arc::clone(&self.room).acquire_many_owned(kib).await.ok();
        Ok(Loaded { message, _room: room })
    }
}
