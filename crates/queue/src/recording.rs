//! Writing down what came of an attempt.
//!
//! One commit holds the recipients' new states, the follow-ups and whatever the caller adds. If it
//! ends the item's last recipient it removes the item instead. Records of one item are written one
//! after the other, so *last* is always judged on what is on disk.

use crate::item::unix_ms;
use crate::queue::{Shared, run_to_end, standing};
use crate::records::{self, HistoryRecord, RecipientRecord, State};
use crate::schedule::Standing;
use crate::work::Join;
use crate::{NewItem, Outcome, Queue, QueueError, Record, Work, retry};
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};
use wardpost_mail::QueueId;
use wardpost_store::{Batch, Column, CommitError, Committed};

/// The least time between two attempts.
const LEAST_WAIT: Duration = Duration::from_secs(1);
/// Waits between commits that meet a full disk; the last one repeats.
const DISK_FULL_WAITS: [Duration; 4] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(15),
];

impl Queue {
    /// Writes down what came of `work`, with all it brings about, in one commit, and removes the item
    /// if its last recipient has ended.
    ///
    /// While the disk is full this waits and tries again, holding the lease: what was delivered but
    /// not recorded would be delivered twice. Only when [`Record::batch`] was written to, or the commit
    /// is the caller's ([`Record::commit_by`]), it gives the error back at once; what is in there can
    /// be made again.
    ///
    /// # Errors
    /// When the store cannot write, a precondition in [`Record::batch`] fails, a follow-up is not fit
    /// for the queue, or the item was dropped meanwhile. Nothing is written then, follow-ups included;
    /// unless dropped, the recipients are due again after a minute.
    pub async fn record(&self, work: Work, record: Record) -> Result<Committed, QueueError> {
        let shared = self.shared.clone();
        run_to_end(async move { shared.record(work, record).await }).await
    }
}

/// What a record changes.
struct Change {
    recipients: Vec<(u32, RecipientRecord)>,
    /// What is kept of the item, if all its recipients have ended by this.
    ends_item: Option<HistoryRecord>,
    follow_ups: Vec<(QueueId, NewItem)>,
    now: SystemTime,
}

impl Change {
    /// Puts everything into a batch.
    fn put(&self, batch: &mut Batch, id: QueueId) -> Result<(), QueueError> {
        match &self.ends_item {
            Some(history) => records::end_item(batch, id, history),
            None => {
                for (index, record) in &self.recipients {
                    let key = records::recipient_key(id, *index);
                    batch.put(Column::Queue, key, records::encode_recipient(record));
                }
            }
        }
        let mut follow_ups = self.follow_ups.iter();
        follow_ups.try_for_each(|(id, item)| records::put_item(batch, *id, item, self.now))
    }
}

impl Shared {
    async fn record(&self, work: Work, record: Record) -> Result<Committed, QueueError> {
        record.follow_ups.iter().try_for_each(records::check)?;
        let lock = self.schedule().lock_of(work.id).ok_or(QueueError::NotFound(work.id))?;
        let _in_turn = lock.lock().await;
        let (callers, joined, change) = self.change(&work, record).await?;
        let committed = match joined {
            Some(commit) => {
                let mut batch = callers;
                change.put(&mut batch, work.id)?;
                commit(batch).await.map_err(QueueError::Joined)?
            }
            None => self.commit(callers, &change, work.id).await?,
        };
        for (id, item) in &change.follow_ups {
            self.schedule_new(*id, item, change.now);
        }
        let recipients = change.recipients.iter();
        let standings: Vec<(u32, Standing)> =
            recipients.map(|(index, record)| (*index, standing(record.state))).collect();
        let otherwise = unix_ms::of(change.now + work.lease.wait);
        // Given back in any case: the schedule learns from it how fast the lane is.
        let (group, now) = (work.lease.group, self.now_ms());
        self.schedule().give_back(work.id, group, &standings, otherwise, now);
        if change.ends_item.is_some() {
            self.schedule().remove(work.id);
        }
        work.lease.done();
        self.wake();
        Ok(committed)
    }

    /// Works out what a record changes; hands back the caller's own batch, and commit.
    async fn change(
        &self,
        work: &Work,
        mut record: Record,
    ) -> Result<(Batch, Option<Join>, Change), QueueError> {
        let now = self.now();
        let outcomes = std::mem::take(&mut record.outcomes);
        let mut outcomes: BTreeMap<usize, Outcome> = outcomes.into_iter().collect();
        let mut recipients = Vec::new();
        for recipient in &work.recipients {
            let Some(outcome) = outcomes.remove(&recipient.index) else { continue };
            let index = u32::try_from(recipient.index).map_err(|_| QueueError::Damaged)?;
            let mut state = self.recipient(work.id, index)?;
            self.apply(&mut state, outcome, work.created, now);
            recipients.push((index, state));
        }
        let follow_ups = self.number(std::mem::take(&mut record.follow_ups)).await?;
        let ended = recipients.iter().filter(|(_, record)| record.state.has_ended()).count();
        let open = self.schedule().open_recipients(work.id);
        let ends_item = match open.ok_or(QueueError::NotFound(work.id))? {
            open if open == ended => Some(self.history(work.id, &recipients, now)?),
            _ => None,
        };
        let Record { batch, joined, .. } = record;
        Ok((batch, joined, Change { recipients, ends_item, follow_ups, now }))
    }

    /// What is kept of an item whose last recipients end with these records.
    fn history(
        &self,
        id: QueueId,
        last: &[(u32, RecipientRecord)],
        ended: SystemTime,
    ) -> Result<HistoryRecord, QueueError> {
        let item = self.item(id)?;
        let recipients = if last.len() == item.envelope.to.len() {
            last.to_vec()
        } else {
            let mut all: BTreeMap<u32, RecipientRecord> =
                self.recipients(id)?.into_iter().collect();
            all.extend(last.iter().cloned());
            all.into_iter().collect()
        };
        Ok(HistoryRecord { item, recipients, ended })
    }

    /// Gives follow-ups their identifiers.
    async fn number(&self, items: Vec<NewItem>) -> Result<Vec<(QueueId, NewItem)>, QueueError> {
        if items.is_empty() {
            return Ok(Vec::new());
        }
        let first = self.ids.lock().await.take(&self.store, items.len() as u64).await?;
        Ok((first.0..).map(QueueId).zip(items).collect())
    }

    /// Commits, waiting for room when the disk is full and the batch can be made again.
    async fn commit(
        &self,
        callers: Batch,
        change: &Change,
        id: QueueId,
    ) -> Result<Committed, QueueError> {
        let can_wait = callers.is_empty();
        let mut batch = callers;
        let mut waits = DISK_FULL_WAITS.iter();
        let mut wait = Duration::ZERO;
        loop {
            change.put(&mut batch, id)?;
            match self.store.commit(batch).await {
                Err(CommitError::DiskFull) if can_wait => {
                    tracing::warn!("the disk is full: an attempt's outcome waits to be recorded");
                    wait = waits.next().copied().unwrap_or(wait);
                    tokio::time::sleep(wait).await;
                    batch = Batch::new();
                }
                outcome => return Ok(outcome?),
            }
        }
    }

    /// What an outcome makes of a recipient.
    fn apply(
        &self,
        record: &mut RecipientRecord,
        outcome: Outcome,
        created: SystemTime,
        now: SystemTime,
    ) {
        match outcome {
            Outcome::Delivered { evidence } => record.attempted(evidence, State::Delivered),
            Outcome::ToParcel { evidence } => record.attempted(evidence, State::Parcel),
            Outcome::Failed { mut evidence, reply } => {
                evidence.reply = Some(reply);
                record.attempted(evidence, State::Failed);
            }
            Outcome::Deferred { evidence, until, delay_reported } => {
                let wanted = until.unwrap_or_else(|| {
                    now + retry::delay(record.attempts.saturating_add(1), rand::random())
                });
                let expiry = created + self.options.lifetime;
                // The last attempt is made when the lifetime ends, not up to an hour later.
                let capped = if expiry > now { wanted.min(expiry) } else { wanted };
                let due = unix_ms::of(capped.max(now + LEAST_WAIT));
                record.delay_reported |= delay_reported;
                record.attempted(evidence, State::Waiting(due));
            }
        }
    }
}
