//! What is kept of items that have ended: who, when, and what every attempt saw; never the message.

use crate::item::unix_ms;
use crate::records;
use crate::{ItemView, Queue, QueueError};
use wardpost_mail::QueueId;
use wardpost_store::{Batch, Column};

/// Histories looked at, and deleted in one commit, at once.
const PAGE: usize = 64;

impl Queue {
    /// Up to `limit` items that have ended, after `after`, in the order they were taken.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn list_ended(
        &self,
        after: Option<QueueId>,
        limit: usize,
    ) -> Result<Vec<ItemView>, QueueError> {
        let after = after.map(records::history_key);
        let store = &self.shared.store;
        let page = store.scan(Column::Queue, records::HISTORY_PREFIX, after.as_deref(), limit)?;
        page.iter().map(|(key, value)| self.ended_view(records::history_id(key)?, value)).collect()
    }

    /// What is kept of one.
    pub(crate) fn ended(&self, id: QueueId) -> Result<ItemView, QueueError> {
        let bytes = self.shared.store.get(Column::Queue, &records::history_key(id))?;
        self.ended_view(id, &bytes.ok_or(QueueError::NotFound(id))?)
    }

    fn ended_view(&self, id: QueueId, bytes: &[u8]) -> Result<ItemView, QueueError> {
        let history = records::decode_history(bytes)?;
        let mut view = self.view_of(id, history.item, history.recipients)?;
        view.ended = Some(history.ended);
        Ok(view)
    }

    /// Deletes the histories whose time ([`crate::Options::history`]) is over; says how many.
    ///
    /// Identifiers count up, so the oldest come first, and the first that was taken too lately to be
    /// over ends the search.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn purge_history(&self) -> Result<usize, QueueError> {
        let now = self.shared.now_ms();
        let kept = u64::try_from(self.shared.options.history.as_millis()).unwrap_or(u64::MAX);
        let horizon = now.saturating_sub(kept);
        let (mut deleted, mut after) = (0, None::<Vec<u8>>);
        loop {
            let store = &self.shared.store;
            let page =
                store.scan(Column::Queue, records::HISTORY_PREFIX, after.as_deref(), PAGE)?;
            let mut batch = Batch::new();
            let mut goes_on = page.len() == PAGE;
            for (key, value) in &page {
                let Ok(history) = records::decode_history(value) else {
                    tracing::error!("a history of the queue cannot be read and is passed over");
                    continue;
                };
                if unix_ms::of(history.ended) <= horizon {
                    batch.delete(Column::Queue, key.clone());
                    deleted += 1;
                }
                goes_on &= unix_ms::of(history.item.created) <= horizon;
            }
            if !batch.is_empty() {
                store.commit(batch).await?;
            }
            match page.into_iter().last() {
                Some((key, _)) if goes_on => after = Some(key),
                _ => return Ok(deleted),
            }
        }
    }
}
