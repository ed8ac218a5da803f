//! The queue itself: taking messages, handing out work, looking and meddling. Recording outcomes is in
//! `recording`.

use crate::ids::Ids;
use crate::item::unix_ms;
use crate::records::{self, ItemRecord, RecipientRecord, State};
use crate::schedule::{Caps, Draw, Entry, Leased, Schedule, Standing};
use crate::work::Lease;
use crate::{
    ItemView, NewItem, QueueError, QueueStats, RecipientState, RecipientView, Work, WorkRecipient,
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::sync::Notify;
use wardpost_mail::QueueId;
use wardpost_policy::Route;
use wardpost_store::{Batch, Column, Committed, Store};

/// How long an unrecorded lease, once given back, waits.
const GIVEN_BACK: Duration = Duration::from_secs(60);
/// How long an item that cannot be read waits.
const UNREADABLE: Duration = Duration::from_secs(3600);
/// The longest sleep before the clock is looked at again: it may have been set.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);
/// Items read at a time.
const PAGE: usize = 256;

/// What can be set.
#[derive(Clone)]
pub struct Options {
    /// How long a recipient is tried (RFC 5321 §4.5.4.1: at least 4–5 days).
    pub lifetime: Duration,
    /// After what time the sender is told, once, that a recipient is late.
    pub delay_after: Duration,
    /// Concurrent attempts for one domain.
    pub per_domain: usize,
    /// Concurrent attempts for a domain of which nobody knows yet how fast it answers.
    pub at_first: usize,
    /// Concurrent attempts for all domains together that are known to dawdle; each has one.
    pub slow: usize,
    /// Concurrent local deliveries.
    pub local: usize,
    /// Concurrent makings of parcels; each may cost an Argon2.
    pub pickup: usize,
    /// How long an item's history is kept once it has ended.
    pub history: Duration,
    /// The clock.
    pub clock: Arc<dyn Fn() -> SystemTime + Send + Sync>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            lifetime: Duration::from_secs(5 * 24 * 3600),
            delay_after: Duration::from_secs(4 * 3600),
            per_domain: 20,
            at_first: 1,
            slow: 512,
            local: 16,
            pickup: 2,
            history: Duration::from_secs(30 * 24 * 3600),
            clock: Arc::new(SystemTime::now),
        }
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("lifetime", &self.lifetime)
            .field("delay_after", &self.delay_after)
            .field("per_domain", &self.per_domain)
            .field("at_first", &self.at_first)
            .field("slow", &self.slow)
            .field("local", &self.local)
            .field("pickup", &self.pickup)
            .field("history", &self.history)
            .finish_non_exhaustive()
    }
}

/// The queue. Clones are handles on the same one.
#[derive(Clone)]
pub struct Queue {
    pub(crate) shared: Arc<Shared>,
}

/// What all handles, and all leases, share.
pub(crate) struct Shared {
    pub(crate) store: Store,
    pub(crate) options: Options,
    pub(crate) ids: tokio::sync::Mutex<Ids>,
    schedule: Mutex<Schedule>,
    notify: Notify,
}

impl Shared {
    /// The schedule. Its operations do not panic half-way, so a poisoned lock is still sound.
    pub(crate) fn schedule(&self) -> MutexGuard<'_, Schedule> {
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> SystemTime {
        (self.options.clock)()
    }

    pub(crate) fn now_ms(&self) -> u64 {
        unix_ms::of(self.now())
    }

    /// Something may be due that was not.
    pub(crate) fn wake(&self) {
        // All of them: they do not all take the same work.
        self.notify.notify_waiters();
    }

    /// A lease that ends without a record.
    pub(crate) fn give_back(&self, id: QueueId, group: usize, wait: Duration) {
        let now = self.now();
        let due = unix_ms::of(now + wait);
        self.schedule().give_back(id, group, &[], due, unix_ms::of(now));
        self.wake();
    }

    pub(crate) fn recipient(&self, id: QueueId, index: u32) -> Result<RecipientRecord, QueueError> {
        let bytes = self.store.get(Column::Queue, &records::recipient_key(id, index))?;
        records::decode_recipient(&bytes.ok_or(QueueError::NotFound(id))?)
    }

    pub(crate) fn item(&self, id: QueueId) -> Result<ItemRecord, QueueError> {
        let bytes = self.store.get(Column::Queue, &records::item_key(id))?;
        records::decode(&bytes.ok_or(QueueError::NotFound(id))?)
    }

    /// All recipients of an item, in order.
    pub(crate) fn recipients(
        &self,
        id: QueueId,
    ) -> Result<Vec<(u32, RecipientRecord)>, QueueError> {
        read_recipients(&self.store, id)
    }

    /// Schedules a new item that was committed.
    pub(crate) fn schedule_new(&self, id: QueueId, item: &NewItem, created: SystemTime) {
        let now_ms = unix_ms::of(created);
        let recipients = (0..).zip(item.envelope.to.iter().zip(&item.routes));
        let entries: Vec<Entry> = recipients
            .map(|(index, (recipient, route))| Entry {
                index,
                domain: recipient.address.domain().clone(),
                route: route.clone(),
                standing: standing(RecipientRecord::new(route.clone(), now_ms).state),
            })
            .collect();
        self.schedule().add(id, now_ms, &entries);
        self.wake();
    }
}

/// How the schedule sees a state.
pub(crate) fn standing(state: State) -> Standing {
    match state {
        State::Waiting(due) => Standing::Due(due),
        State::Held => Standing::Held,
        State::Delivered | State::Parcel | State::Failed => Standing::Ended,
    }
}

fn read_recipients(store: &Store, id: QueueId) -> Result<Vec<(u32, RecipientRecord)>, QueueError> {
    let mut all = Vec::new();
    let mut after: Option<Vec<u8>> = None;
    loop {
        let prefix = records::recipients_prefix(id);
        let page = store.scan(Column::Queue, &prefix, after.as_deref(), PAGE)?;
        for (key, value) in &page {
            all.push((records::recipient_index(key)?, records::decode_recipient(value)?));
        }
        match page.into_iter().last() {
            Some((key, _)) => after = Some(key),
            None => return Ok(all),
        }
    }
}

/// Reads everything that waits into a schedule.
fn load(store: &Store, caps: Caps) -> Result<Schedule, QueueError> {
    let mut schedule = Schedule::new(caps);
    let mut after: Option<Vec<u8>> = None;
    loop {
        let page = store.scan(Column::Queue, records::ITEM_PREFIX, after.as_deref(), PAGE)?;
        for (key, value) in &page {
            let id = records::item_id(key)?;
            let item: ItemRecord = records::decode(value)?;
            let mut entries = Vec::with_capacity(item.envelope.to.len());
            for (index, record) in read_recipients(store, id)? {
                let recipient = item.envelope.to.get(index as usize).ok_or(QueueError::Damaged)?;
                entries.push(Entry {
                    index,
                    domain: recipient.address.domain().clone(),
                    route: record.route,
                    standing: standing(record.state),
                });
            }
            schedule.add(id, unix_ms::of(item.created), &entries);
        }
        match page.into_iter().last() {
            Some((key, _)) => after = Some(key),
            None => return Ok(schedule),
        }
    }
}

impl Queue {
    /// Opens the queue that lies in `store`: everything without a recorded end is scheduled again.
    ///
    /// # Errors
    /// When the store cannot be read or a record is of another version.
    pub async fn open(store: Store, options: Options) -> Result<Self, QueueError> {
        let caps = Caps {
            per_domain: options.per_domain,
            at_first: options.at_first,
            slow: options.slow,
            local: options.local,
            pickup: options.pickup,
        };
        let reader = store.clone();
        let read = move || Ok((Ids::open(&reader)?, load(&reader, caps)?));
        let (ids, schedule) = spawn_blocking(read).await?;
        let shared = Shared {
            store,
            options,
            ids: tokio::sync::Mutex::new(ids),
            schedule: Mutex::new(schedule),
            notify: Notify::new(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Takes a message. When this returns it is synced to disk, and 250 may be said.
    ///
    /// # Errors
    /// When routes and recipients do not match, or the store cannot write (then nothing was taken).
    pub async fn enqueue(&self, item: NewItem) -> Result<(QueueId, Committed), QueueError> {
        self.enqueue_with(item, Batch::new()).await
    }

    /// As [`Queue::enqueue`], with `also` in the same commit: both happen, or neither.
    ///
    /// # Errors
    /// As there, or when a precondition in `also` does not hold.
    pub async fn enqueue_with(
        &self,
        item: NewItem,
        also: Batch,
    ) -> Result<(QueueId, Committed), QueueError> {
        records::check(&item)?;
        let shared = self.shared.clone();
        // On its own task: a caller that goes away must not leave a committed item unscheduled.
        run_to_end(async move {
            let id = shared.ids.lock().await.take(&shared.store, 1).await?;
            let created = shared.now();
            let mut batch = also;
            records::put_item(&mut batch, id, &item, created)?;
            let committed = shared.store.commit(batch).await?;
            shared.schedule_new(id, &item, created);
            Ok((id, committed))
        })
        .await
    }

    /// Waits until something is due and leases it.
    pub async fn next_due(&self) -> Work {
        self.next(Draw::Any).await
    }

    /// Waits until something is due for a domain that answered in good time last, or for no domain at
    /// all, and leases it. Who draws so is never held up by domains that dawdle.
    pub async fn next_brisk(&self) -> Work {
        self.next(Draw::Brisk).await
    }

    async fn next(&self, draw: Draw) -> Work {
        loop {
            // From here on no wake is missed, awaited or not yet.
            let notified = self.shared.notify.notified();
            if let Some(work) = self.draw(draw) {
                return work;
            }
            let wake = self.shared.schedule().next_wake(draw);
            let now = self.shared.now_ms();
            let sleep = wake.map_or(LONGEST_SLEEP, |due| {
                Duration::from_millis(due.saturating_sub(now).max(1)).min(LONGEST_SLEEP)
            });
            tokio::select! {
                () = notified => {}
                () = tokio::time::sleep(sleep) => {}
            }
        }
    }

    /// Leases something that is due now, if there is any.
    pub fn try_next(&self) -> Option<Work> {
        self.draw(Draw::Any)
    }

    fn draw(&self, draw: Draw) -> Option<Work> {
        loop {
            let leased = self.shared.schedule().lease(self.shared.now_ms(), draw)?;
            let mut lease = Lease::new(self.shared.clone(), leased.id, leased.group);
            match self.work(&leased) {
                Ok(work) => return Some(work(lease)),
                Err(error) => {
                    tracing::error!(item = leased.id.0, %error, "a queued message cannot be read");
                    lease.wait = UNREADABLE;
                }
            }
        }
    }

    /// Reads what a lease is about.
    fn work(&self, leased: &Leased) -> Result<impl FnOnce(Lease) -> Work, QueueError> {
        let item = self.shared.item(leased.id)?;
        let age = self.shared.now().duration_since(item.created).unwrap_or_default();
        let late = age >= self.shared.options.delay_after;
        let mut recipients = Vec::with_capacity(leased.members.len());
        let mut route = Route::Held;
        for &index in &leased.members {
            let record = self.shared.recipient(leased.id, index)?;
            let index = index as usize;
            recipients.push(WorkRecipient {
                index,
                recipient: item.envelope.to.get(index).ok_or(QueueError::Damaged)?.clone(),
                attempts: record.attempts,
                delay_report_due: late && !record.delay_reported,
            });
            route = record.route;
        }
        let first = recipients.first().ok_or(QueueError::Damaged)?;
        let domain = first.recipient.address.domain().clone();
        let id = leased.id;
        let expired = age >= self.shared.options.lifetime;
        let expires = item.created + self.shared.options.lifetime;
        Ok(move |lease| Work {
            id,
            kind: item.kind,
            sender: item.sender,
            envelope: Arc::new(item.envelope),
            created: item.created,
            expires,
            domain,
            route,
            recipients,
            expired,
            lease,
        })
    }

    /// The message of an item, as it goes out.
    ///
    /// # Errors
    /// [`QueueError::NotFound`], or when the store cannot be read.
    pub fn message(&self, id: QueueId) -> Result<Vec<u8>, QueueError> {
        let message = self.shared.store.get(Column::Queue, &records::message_key(id))?;
        message.ok_or(QueueError::NotFound(id))
    }

    /// Up to `limit` items after `after`, oldest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn list(&self, after: Option<QueueId>, limit: usize) -> Result<Vec<ItemView>, QueueError> {
        let after = after.map(records::item_key);
        let store = &self.shared.store;
        let page = store.scan(Column::Queue, records::ITEM_PREFIX, after.as_deref(), limit)?;
        let read = |(key, value): &(Vec<u8>, Vec<u8>)| {
            self.view(records::item_id(key)?, records::decode(value)?)
        };
        page.iter().map(read).collect()
    }

    /// One item; of one that has ended, what is kept of it.
    ///
    /// # Errors
    /// [`QueueError::NotFound`], or when the store cannot be read.
    pub fn show(&self, id: QueueId) -> Result<ItemView, QueueError> {
        match self.shared.item(id) {
            Ok(item) => self.view(id, item),
            Err(QueueError::NotFound(_)) => self.ended(id),
            Err(error) => Err(error),
        }
    }

    fn view(&self, id: QueueId, item: ItemRecord) -> Result<ItemView, QueueError> {
        let records = self.shared.recipients(id)?;
        self.view_of(id, item, records)
    }

    pub(crate) fn view_of(
        &self,
        id: QueueId,
        item: ItemRecord,
        records: Vec<(u32, RecipientRecord)>,
    ) -> Result<ItemView, QueueError> {
        let schedule = self.shared.schedule();
        let recipients = records.into_iter().map(|(index, record)| {
            let recipient = item.envelope.to.get(index as usize).ok_or(QueueError::Damaged)?;
            let state = match record.state {
                State::Waiting(_) if schedule.is_leased(id, index) => RecipientState::InProgress,
                State::Waiting(due) => RecipientState::Waiting { next_due: unix_ms::time(due) },
                State::Held => RecipientState::Held,
                State::Delivered => RecipientState::Delivered,
                State::Parcel => RecipientState::Parcel,
                State::Failed => RecipientState::Failed,
            };
            Ok(RecipientView {
                address: recipient.address.clone(),
                route: record.route,
                state,
                attempts: record.attempts,
                history: record.history,
            })
        });
        Ok(ItemView {
            id,
            kind: item.kind,
            sender: item.sender,
            created: item.created,
            expires: item.created + self.shared.options.lifetime,
            ended: None,
            size: item.size,
            recipients: recipients.collect::<Result<_, QueueError>>()?,
            from: item.envelope.from,
        })
    }

    /// Makes every waiting recipient of an item due now. What is on the way at this moment stays so.
    ///
    /// # Errors
    /// [`QueueError::NotFound`].
    pub fn retry(&self, id: QueueId) -> Result<(), QueueError> {
        let known = self.shared.schedule().hurry(id, self.shared.now_ms());
        self.shared.wake();
        if known { Ok(()) } else { Err(QueueError::NotFound(id)) }
    }

    /// Removes an item without telling anybody. What is on the way at this moment may still arrive.
    ///
    /// # Errors
    /// [`QueueError::NotFound`], or when the store cannot write.
    pub async fn drop_item(&self, id: QueueId) -> Result<Committed, QueueError> {
        let shared = self.shared.clone();
        run_to_end(async move {
            let lock = shared.schedule().lock_of(id).ok_or(QueueError::NotFound(id))?;
            let _in_turn = lock.lock().await;
            let recipients = shared.schedule().recipients(id).ok_or(QueueError::NotFound(id))?;
            let mut batch = Batch::new();
            records::delete_item(&mut batch, id, recipients);
            let committed = shared.store.commit(batch).await?;
            shared.schedule().remove(id);
            shared.wake();
            Ok(committed)
        })
        .await
    }

    /// Numbers for metrics. Walks the schedule: call it a few times a minute at most.
    pub fn stats(&self) -> QueueStats {
        let now = self.shared.now();
        let counts = self.shared.schedule().counts(unix_ms::of(now));
        QueueStats {
            items: counts.items,
            recipients: counts.recipients,
            due: counts.due,
            leased: counts.leased,
            held: counts.held,
            oldest_age: counts
                .oldest
                .map(|created| now.duration_since(unix_ms::time(created)).unwrap_or_default()),
        }
    }

    /// Messages in the queue.
    pub fn depth(&self) -> usize {
        self.stats().items
    }

    /// Age of the oldest message.
    pub fn oldest_age(&self) -> Option<Duration> {
        self.stats().oldest_age
    }
}

impl Lease {
    pub(crate) fn new(shared: Arc<Shared>, id: QueueId, group: usize) -> Self {
        Self { shared: Some(shared), id, group, wait: GIVEN_BACK }
    }
}

/// Runs `task` to its end even if the caller stops waiting for it.
pub(crate) async fn run_to_end<T: Send + 'static>(
    task: impl Future<Output = Result<T, QueueError>> + Send + 'static,
) -> Result<T, QueueError> {
    tokio::spawn(task).await.unwrap_or(Err(QueueError::ShuttingDown))
}

async fn spawn_blocking<T: Send + 'static>(
    task: impl FnOnce() -> Result<T, QueueError> + Send + 'static,
) -> Result<T, QueueError> {
    tokio::task::spawn_blocking(task).await.unwrap_or(Err(QueueError::ShuttingDown))
}
