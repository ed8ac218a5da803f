//! Looking after parcels: lists, recall, new codes, expiry.

use crate::parcels::{Inner, run_to_end};
use crate::record::{self, End, PARCELS, ParcelRecord, RecipientKey, RecipientRecord, Tries};
use crate::{
    CodeNote, ParcelError, ParcelId, ParcelState, ParcelStats, ParcelView, Parcels, Purged,
};
use std::pin::Pin;
use wardpost_mail::{AccountId, Address, Secret};
use wardpost_store::{Batch, Column, Committed};

/// How long a record outlives its message, for the sender to look up what became of it.
const RECORD_KEPT_MS: u64 = 90 * 24 * 3600 * 1000;
/// A commit under way.
pub type Committing = Pin<Box<dyn Future<Output = Result<Committed, ParcelError>> + Send>>;

/// Records read at a time.
const PAGE: usize = 256;

impl Parcels {
    /// Notes that the recipient answered.
    ///
    /// # Errors
    /// [`ParcelError::NotFound`], or when the store cannot write.
    pub async fn mark_answered(&self, id: ParcelId) -> Result<Committed, ParcelError> {
        let inner = self.inner.clone();
        run_to_end(async move {
            let _editing = inner.edit.lock().await;
            let mut record = inner.parcel(id)?;
            record.answered = Some(inner.now());
            let mut batch = Batch::new();
            batch.put(Column::Parcel, id.record(), record::encode(&record));
            Ok(inner.store.commit(batch).await?)
        })
        .await
    }

    /// All parcels, or one sender's, newest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn list(&self, sender: Option<AccountId>) -> Result<Vec<ParcelView>, ParcelError> {
        let mut views = Vec::new();
        self.inner.each_page(|page| {
            for (id, record) in page {
                if sender.is_none_or(|sender| sender == record.sender) {
                    views.push(self.inner.view(id, &record)?);
                }
            }
            Ok(())
        })?;
        views.sort_by_key(|view| std::cmp::Reverse((view.created, view.id)));
        Ok(views)
    }

    /// One parcel.
    ///
    /// # Errors
    /// [`ParcelError::NotFound`], or when the store cannot be read.
    pub fn show(&self, id: ParcelId) -> Result<ParcelView, ParcelError> {
        self.inner.view(id, &self.inner.parcel(id)?)
    }

    /// Takes a parcel back: its message is deleted, opened or not. Taking it back twice is no error.
    ///
    /// # Errors
    /// [`ParcelError::NotFound`], or when the store cannot write.
    pub async fn recall(&self, id: ParcelId) -> Result<ParcelView, ParcelError> {
        let inner = self.inner.clone();
        run_to_end(async move {
            let _editing = inner.edit.lock().await;
            let mut record = inner.parcel(id)?;
            let mut batch = Batch::new();
            if record.end.is_none() {
                end(&mut batch, id, &mut record, End::Recalled)?;
                inner.store.commit(batch).await?;
            }
            inner.view(id, &record)
        })
        .await
    }

    /// Lets a locked parcel, and its recipient, be tried again with the same code: for somebody who
    /// has the code and mistyped it.
    ///
    /// # Errors
    /// [`ParcelError::NotFound`], or when the store cannot write.
    pub async fn unlock(&self, id: ParcelId) -> Result<Committed, ParcelError> {
        let inner = self.inner.clone();
        run_to_end(async move {
            let _editing = inner.edit.lock().await;
            let recipient = inner.parcel(id)?.recipient_key;
            let mut batch = Batch::new();
            batch.delete(Column::Parcel, id.tries()).delete(Column::Parcel, recipient.tries());
            Ok(inner.store.commit(batch).await?)
        })
        .await
    }

    /// Makes a new code, and with it a new key, for a recipient. Returns the code, and the parcels
    /// that are lost by it: their senders have to send them again.
    ///
    /// # Errors
    /// [`ParcelError::NotFound`] when the recipient never had a parcel.
    pub async fn new_code(
        &self,
        recipient: &Address,
    ) -> Result<(Secret<String>, Vec<ParcelView>), ParcelError> {
        let key = RecipientKey::of(&self.inner.store, recipient);
        let inner = self.inner.clone();
        run_to_end(async move { inner.new_code(key).await }).await
    }

    /// Keeps, with a recipient, what lets other staff learn the code. Goes into `batch`, so that it
    /// can share a commit with the parcel it is about. Dropped when the code is replaced.
    ///
    /// # Errors
    /// When the note cannot be written down.
    pub fn set_code_note(
        &self,
        batch: &mut Batch,
        recipient: &Address,
        note: &CodeNote,
    ) -> Result<(), ParcelError> {
        let key = RecipientKey::of(&self.inner.store, recipient);
        batch.put(Column::Parcel, key.note(), record::encode(note));
        Ok(())
    }

    /// What [`Parcels::set_code_note`] kept.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn code_note(&self, recipient: &Address) -> Result<Option<CodeNote>, ParcelError> {
        let key = RecipientKey::of(&self.inner.store, recipient);
        record::read(&self.inner.store, &key.note())
    }

    /// Deletes the messages of parcels whose time is over, and in time their records. Call it every
    /// few minutes.
    ///
    /// # Errors
    /// When the store fails; what was done stays done.
    pub async fn expire(&self) -> Result<Purged, ParcelError> {
        let store = self.inner.store.clone();
        self.expire_by(move |_, batch| {
            let store = store.clone();
            Box::pin(async move { Ok(store.commit(batch).await?) })
        })
        .await
    }

    /// Like [`Parcels::expire`], with commits made by `commit`: it is given parcels that end by this
    /// commit without ever having been opened, so that what tells their senders can be committed in
    /// one with it.
    ///
    /// # Errors
    /// When the store or `commit` fails; what was done stays done.
    pub async fn expire_by(
        &self,
        commit: impl Fn(Vec<ParcelView>, Batch) -> Committing + Send + Sync + 'static,
    ) -> Result<Purged, ParcelError> {
        let inner = self.inner.clone();
        run_to_end(async move {
            let mut purged = Purged::default();
            let mut after = None;
            loop {
                let _editing = inner.edit.lock().await;
                let page = inner.page(after)?;
                let Some(&(last, _)) = page.last() else { return Ok(purged) };
                after = Some(last);
                let mut batch = Batch::new();
                let mut found = Purged::default();
                for (id, record) in page {
                    inner.expire_one(&mut batch, id, record, &mut found)?;
                }
                if !batch.is_empty() {
                    commit(found.unread.clone(), batch).await?;
                    purged.add(found);
                }
            }
        })
        .await
    }

    /// Numbers for metrics. Reads every parcel's record: call it a few times a minute at most.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn stats(&self) -> Result<ParcelStats, ParcelError> {
        let mut stats = ParcelStats::default();
        self.inner.each_page(|page| {
            for (id, record) in page {
                let view = self.inner.view(id, &record)?;
                match view.state {
                    ParcelState::Waiting => stats.waiting += 1,
                    ParcelState::Opened | ParcelState::Answered => stats.opened += 1,
                    _ => continue,
                }
                stats.locked += usize::from(view.locked);
            }
            Ok(())
        })?;
        Ok(stats)
    }
}

/// Ends a parcel: the record says how, message and counts go.
fn end(
    batch: &mut Batch,
    id: ParcelId,
    record: &mut ParcelRecord,
    how: End,
) -> Result<(), ParcelError> {
    record.end = Some(how);
    batch
        .put(Column::Parcel, id.record(), record::encode(record))
        .delete(Column::Parcel, id.body())
        .delete(Column::Parcel, id.tries());
    Ok(())
}

impl Inner {
    fn parcel(&self, id: ParcelId) -> Result<ParcelRecord, ParcelError> {
        record::read(&self.store, &id.record())?.ok_or(ParcelError::NotFound)
    }

    fn view(&self, id: ParcelId, record: &ParcelRecord) -> Result<ParcelView, ParcelError> {
        let (tries, locked) = if record.end.is_some() {
            (Tries::default(), false)
        } else {
            self.tries(id, record.recipient_key)?
        };
        Ok(record.view(id, tries, locked, self.now()))
    }

    /// Up to a page of parcels, in the order of their identifiers.
    fn page(&self, after: Option<ParcelId>) -> Result<Vec<(ParcelId, ParcelRecord)>, ParcelError> {
        let after = after.map(ParcelId::record);
        let page = self.store.scan(Column::Parcel, PARCELS, after.as_deref(), PAGE)?;
        page.iter()
            .map(|(key, value)| Ok((ParcelId::from_key(key)?, record::decode(value)?)))
            .collect()
    }

    fn each_page(
        &self,
        mut visit: impl FnMut(Vec<(ParcelId, ParcelRecord)>) -> Result<(), ParcelError>,
    ) -> Result<(), ParcelError> {
        let mut after = None;
        loop {
            let page = self.page(after)?;
            let Some(&(last, _)) = page.last() else { return Ok(()) };
            after = Some(last);
            visit(page)?;
        }
    }

    /// All parcels of a recipient whose records are still there.
    pub(crate) fn parcels_of(
        &self,
        recipient: RecipientKey,
    ) -> Result<Vec<(ParcelId, ParcelRecord)>, ParcelError> {
        let mut parcels = Vec::new();
        let mut after: Option<Vec<u8>> = None;
        loop {
            let prefix = recipient.parcels();
            let page = self.store.scan(Column::Parcel, &prefix, after.as_deref(), PAGE)?;
            let Some((last, _)) = page.last() else { return Ok(parcels) };
            for (key, _) in &page {
                let id = ParcelId::from_key(key)?;
                if let Some(record) = record::read(&self.store, &id.record())? {
                    parcels.push((id, record));
                }
            }
            after = Some(last.clone());
        }
    }

    async fn new_code(
        &self,
        key: RecipientKey,
    ) -> Result<(Secret<String>, Vec<ParcelView>), ParcelError> {
        let _editing = self.edit.lock().await;
        let (before, old) = self.recipient(key)?.ok_or(ParcelError::NotFound)?;
        let (keys, code) = self.make_keys().await?;
        let generation = old.generation.saturating_add(1);
        let new = RecipientRecord { keys, generation, has_passphrase: false };
        let mut batch = Batch::new();
        batch
            .require_value(Column::Parcel, key.record(), before)
            .put(Column::Parcel, key.record(), record::encode(&new))
            .delete(Column::Parcel, key.note())
            .delete(Column::Parcel, key.tries());
        let mut lost = self.supersede(&mut batch, key, generation)?;
        self.store.commit(batch).await?;
        // A parcel that was committed after the list was read and before the new key: none can follow,
        // since each requires the recipient's record to be as it was when it was sealed.
        let mut late = Batch::new();
        lost.extend(self.supersede(&mut late, key, generation)?);
        if !late.is_empty() {
            self.store.commit(late).await?;
        }
        Ok((code, lost))
    }

    /// Ends the recipient's parcels that were sealed to an older key.
    fn supersede(
        &self,
        batch: &mut Batch,
        key: RecipientKey,
        generation: u32,
    ) -> Result<Vec<ParcelView>, ParcelError> {
        let now = self.now();
        let mut lost = Vec::new();
        for (id, mut record) in self.parcels_of(key)? {
            if record.generation < generation && record.check_alive(now).is_ok() {
                end(batch, id, &mut record, End::Superseded)?;
                lost.push(self.view(id, &record)?);
            }
        }
        Ok(lost)
    }

    fn expire_one(
        &self,
        batch: &mut Batch,
        id: ParcelId,
        mut record: ParcelRecord,
        purged: &mut Purged,
    ) -> Result<(), ParcelError> {
        let now = self.now();
        if record.expires > now {
            return Ok(());
        }
        if record.expires.saturating_add(RECORD_KEPT_MS) <= now && record.end.is_some() {
            batch
                .delete(Column::Parcel, id.record())
                .delete(Column::Parcel, id.tries())
                .delete(Column::Parcel, record.recipient_key.parcel(id));
            purged.records += 1;
        } else if record.end.is_none() {
            end(batch, id, &mut record, End::Expired)?;
            purged.messages += 1;
            if record.views == 0 {
                purged.unread.push(self.view(id, &record)?);
            }
        }
        Ok(())
    }
}
