//! How many attempts run at once, and who of them holds up whom.
//!
//! An attempt begins in a *place*. There are few: they bound what this machine does at once. A quarter is kept
//! for domains that answered in good time last. An attempt that is still not done after [`PATIENCE`] mostly
//! waits for somebody else's server, costs next to nothing, and moves to the *bench*, where there is room for
//! many; its place goes to the next. Large messages stay where they are: those waiting must not fill the memory
//! that the others need. When the bench is full, attempts keep their places; the queue sees to it that
//! slow domains alone cannot fill it.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How long an attempt may take before it counts as waiting.
const PATIENCE: Duration = Duration::from_secs(2);
/// The largest message, in octets, that waits on the bench.
const SMALL: usize = 256 * 1024;

/// All places, and the bench.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    open: Arc<Semaphore>,
    kept: Arc<Semaphore>,
    bench: Arc<Semaphore>,
    counts: [usize; 3],
    patience: Duration,
}

/// Where an attempt is; given back on drop.
#[derive(Debug)]
pub(crate) struct Place {
    /// `None` never outlives a statement; the semaphores are never closed.
    held: Option<OwnedSemaphorePermit>,
    bench: Arc<Semaphore>,
    patience: Duration,
}

impl Places {
    /// So many places, and room for so many on the bench.
    pub(crate) fn new(workers: usize, dawdlers: usize) -> Self {
        let workers = workers.max(1);
        let counts = [workers - workers / 4, workers / 4, dawdlers];
        let [open, kept, bench] = counts.map(|count| Arc::new(Semaphore::new(count)));
        Self { open, kept, bench, counts, patience: PATIENCE }
    }

    /// A place for any attempt, once there is one.
    pub(crate) async fn take_open(&self) -> Place {
        self.take(&self.open).await
    }

    /// A place for a domain that answered in good time, once there is one.
    pub(crate) async fn take_kept(&self) -> Place {
        self.take(&self.kept).await
    }

    async fn take(&self, places: &Arc<Semaphore>) -> Place {
        let held = Arc::clone(places).acquire_owned().await.ok();
        Place { held, bench: Arc::clone(&self.bench), patience: self.patience }
    }

    /// Waits until every attempt has ended.
    pub(crate) async fn all_free(&self) {
        for (places, count) in [&self.open, &self.kept, &self.bench].into_iter().zip(self.counts) {
            let all = u32::try_from(count).unwrap_or(u32::MAX);
            let _ = places.acquire_many(all).await;
        }
    }
}

impl Place {
    /// Runs `attempt`, which carries a message of `octets`, to its end; moves to the bench if it dawdles.
    pub(crate) async fn while_waiting<T>(
        &mut self,
        attempt: impl Future<Output = T>,
        octets: usize,
    ) -> T {
        let mut attempt = pin!(attempt);
        if let Ok(done) = tokio::time::timeout(self.patience, attempt.as_mut()).await {
            return done;
        }
        if octets <= SMALL
            && let Ok(seat) = Arc::clone(&self.bench).try_acquire_owned()
        {
            self.held = Some(seat);
        }
        attempt.await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;

    #[tokio::test]
    async fn those_who_wait_make_room_until_the_bench_is_full() {
        let places = Places { patience: Duration::ZERO, ..Places::new(4, 2) };
        let mut waiting = tokio::task::JoinSet::new();
        for octets in [SMALL + 1, 1, 1, 1, 1] {
            let places = places.clone();
            waiting.spawn(async move {
                let mut place = places.take_open().await;
                place.while_waiting(pending::<()>(), octets).await;
            });
        }
        // Two of them find room on the bench, and two stay beside the large one.
        while places.open.available_permits() + places.bench.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(places.kept.available_permits(), 1, "nobody took what is kept");
        waiting.abort_all();
        places.all_free().await;
    }

    #[tokio::test]
    async fn who_is_done_in_time_stays_in_its_place() {
        let places = Places::new(1, 1);
        let mut place = places.take_open().await;
        place.while_waiting(tokio::task::yield_now(), 1).await;
        assert_eq!((places.open.available_permits(), places.bench.available_permits()), (0, 1));
    }
}
