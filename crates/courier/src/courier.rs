//! The courier itself: takes work, hands it to its route, records what came of it.

use crate::conclude::Concluded;
use crate::fate::{Fate, Word};
use crate::memory::Memory;
use crate::metrics::Metrics;
use crate::places::{Place, Places};
use crate::pool::Pool;
use crate::settings::{Parts, Settings};
use prometheus::Registry;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use wardpost_mail::{EnhancedStatus, Reply};
use wardpost_mailbox::Delivery;
use wardpost_net::Shutdown;
use wardpost_policy::Route;
use wardpost_queue::{Evidence, Kind, Work};
use wardpost_verdict::Floor;

/// How often idle connections are looked over.
const SWEEP: Duration = Duration::from_secs(10);

/// Carries what the queue holds to where it belongs.
pub struct Courier {
    pub(crate) settings: Settings,
    pub(crate) parts: Parts,
    pub(crate) metrics: Metrics,
    pub(crate) pool: Pool,
    memory: Memory,
}

impl Courier {
    /// Sets the courier up and registers its metrics.
    ///
    /// # Errors
    /// When `registry` has the courier's metrics already.
    pub fn new(
        settings: Settings,
        parts: Parts,
        registry: &Registry,
    ) -> Result<Arc<Self>, prometheus::Error> {
        let metrics = Metrics::register(registry)?;
        let pool = Pool::new(settings.timeouts.idle);
        Ok(Arc::new(Self { settings, parts, metrics, pool, memory: Memory::new() }))
    }

    /// Works until `shutdown`, and returns when the attempts under way have ended.
    pub async fn run(self: Arc<Self>, shutdown: Shutdown) {
        let places = Places::new(self.settings.workers, self.settings.dawdlers);
        let sweeper = tokio::spawn(Arc::clone(&self).sweep());
        tokio::join!(self.draw_any(&places, &shutdown), self.draw_brisk(&places, &shutdown));
        places.all_free().await;
        sweeper.abort();
        self.hang_up(true).await;
    }

    /// Starts attempts of every kind, in most of the places.
    async fn draw_any(self: &Arc<Self>, places: &Places, shutdown: &Shutdown) {
        let next = async || (places.take_open().await, self.parts.queue.next_due().await);
        while let Some((place, work)) = unless(shutdown, next()).await {
            self.start(work, place);
        }
    }

    /// Starts attempts for domains that answered in good time last, in the places kept for them.
    async fn draw_brisk(self: &Arc<Self>, places: &Places, shutdown: &Shutdown) {
        let next = async || (places.take_kept().await, self.parts.queue.next_brisk().await);
        while let Some((place, work)) = unless(shutdown, next()).await {
            self.start(work, place);
        }
    }

    fn start(self: &Arc<Self>, work: Work, place: Place) {
        let courier = Arc::clone(self);
        tokio::spawn(async move { courier.attempt(work, place).await });
    }

    /// Makes one attempt and records it.
    async fn attempt(&self, work: Work, mut place: Place) {
        let id = work.id;
        let message = match self.memory.load(&self.parts.queue, id).await {
            Ok(message) => message,
            Err(error) => {
                // Dropping the work gives its recipients back to the schedule.
                tracing::error!(queue_id = %id, %error, "a queued message cannot be read");
                return;
            }
        };
        let attempt = self.carry_out(&work, &message);
        let (fates, delivery) = place.while_waiting(attempt, message.len()).await;
        let Concluded { record, tally, parcels } =
            self.conclude(&work, &message, fates, delivery).await;
        match self.parts.queue.record(work, record).await {
            Ok(_) => tally.iter().for_each(|entry| self.count(id, entry)),
            // Nothing was written, parcels and local deliveries included; the recipients are due
            // again in a minute.
            Err(error) => {
                tracing::warn!(queue_id = %id, %error, "an attempt could not be recorded");
            }
        }
        drop(parcels);
    }

    /// Does what the route says; one fate for each recipient, and what is to be delivered here.
    async fn carry_out(&self, work: &Work, message: &[u8]) -> (Vec<Fate>, Option<Delivery>) {
        let all = |fate: Fate| vec![fate; work.recipients.len()];
        let fates = match (&work.route, work.kind) {
            (Route::Local, _) => return self.try_local(work, message).await,
            (Route::Direct { .. }, Kind::Notice) => self.try_notice(work, message).await,
            (Route::Direct { floor }, Kind::Mail | Kind::Report) => {
                self.try_direct(work, Floor::new(*floor), message).await
            }
            (Route::Pickup, _) => {
                let evidence = Evidence::new(SystemTime::now(), "pickup was asked for");
                all(Fate { word: Word::Pickup, evidence })
            }
            (Route::Held | Route::Refused { .. }, _) => {
                let status = EnhancedStatus::new(4, 7, 1);
                all(Fate::of_ours(Reply::new(451, status, "waits for a decision")))
            }
        };
        (fates, None)
    }

    /// Closes idle connections in good time, until aborted.
    async fn sweep(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(SWEEP.min(self.settings.timeouts.idle));
        loop {
            ticks.tick().await;
            self.hang_up(false).await;
        }
    }

    async fn hang_up(&self, all: bool) {
        let mut leaving = tokio::task::JoinSet::new();
        for pooled in self.pool.ripe(all) {
            leaving.spawn(pooled.conversation.quit());
        }
        while leaving.join_next().await.is_some() {}
    }
}

/// What comes of `work`, unless it is time to finish first.
async fn unless<T>(shutdown: &Shutdown, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        () = shutdown.cancelled() => None,
        done = work => Some(done),
    }
}
