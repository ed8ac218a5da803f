//! Telling everyone to finish, and waiting for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::watch;

/// A request to finish, shared by clones. Sessions look at it between commands, finish what they
/// have acknowledged, and leave.
#[derive(Debug, Clone)]
pub struct Shutdown {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    begun: watch::Sender<bool>,
    sessions: AtomicUsize,
    left: watch::Sender<()>,
}

/// Counts as one session that [`Shutdown::drain`] waits for, until dropped.
#[derive(Debug)]
pub struct Tracked {
    inner: Arc<Inner>,
}

impl Shutdown {
    /// A request that has not been made yet.
    pub fn new() -> Self {
        let inner = Inner {
            begun: watch::Sender::new(false),
            sessions: AtomicUsize::new(0),
            left: watch::Sender::new(()),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Asks everyone to finish. Asking again does nothing.
    pub fn begin(&self) {
        self.inner.begun.send_replace(true);
    }

    /// Whether everyone has been asked to finish.
    pub fn has_begun(&self) -> bool {
        *self.inner.begun.borrow()
    }

    /// Waits until everyone is asked to finish. Safe to cancel.
    pub async fn cancelled(&self) {
        let mut begun = self.inner.begun.subscribe();
        // The sender lives in `self`, so waiting cannot fail.
        let _ = begun.wait_for(|begun| *begun).await;
    }

    /// Registers a session to wait for.
    pub fn track(&self) -> Tracked {
        self.inner.sessions.fetch_add(1, Ordering::AcqRel);
        Tracked { inner: Arc::clone(&self.inner) }
    }

    /// How many sessions are registered.
    pub fn sessions(&self) -> usize {
        self.inner.sessions.load(Ordering::Acquire)
    }

    /// Waits until all sessions have left or `deadline` has passed; tells how many are still there.
    pub async fn drain(&self, deadline: Duration) -> usize {
        let mut left = self.inner.left.subscribe();
        let all_left = async { while self.sessions() > 0 && left.changed().await.is_ok() {} };
        // Running into the deadline is an ordinary outcome, told by the count.
        let _ = tokio::time::timeout(deadline, all_left).await;
        self.sessions()
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        self.inner.sessions.fetch_sub(1, Ordering::AcqRel);
        self.inner.left.send_replace(());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn drains_when_the_last_session_leaves() {
        let shutdown = Shutdown::new();
        let session = shutdown.track();
        let waiting = shutdown.clone();
        let task = tokio::spawn(async move {
            waiting.cancelled().await;
            drop(session);
        });
        assert!(!shutdown.has_begun());
        shutdown.begin();
        assert_eq!(shutdown.drain(Duration::from_secs(5)).await, 0);
        task.await.unwrap();
        shutdown.cancelled().await;
    }

    #[tokio::test]
    async fn a_session_that_stays_is_counted_at_the_deadline() {
        let shutdown = Shutdown::new();
        let _session = shutdown.track();
        shutdown.begin();
        assert_eq!(shutdown.drain(Duration::from_millis(20)).await, 1);
    }
}
