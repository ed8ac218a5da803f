//! Reading: tables, summaries, bodies.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::task::JoinHandle;
use wardpost_keys::{KeyPacket, Sealed, SessionKey, to_openpgp};
use wardpost_mail::{MailboxId, Uid};
use wardpost_message::Summary;
use wardpost_store::Column;

use crate::account::{OpenAccount, run};
use crate::error::MailboxError;
use crate::fold;
use crate::layout::{BlobId, Kind, body_key, mailbox_key, message_key, modseq_of, uid_of};
use crate::records::{EntryRecord, ExpungedRecord, SummaryRecord, WaitingRecord, decode};
use crate::seal::{SMALL, open_flags, open_summary, session_key, unwrap};
use crate::state::MailboxState;
use crate::table::Table;
use crate::types::{Flags, MessageState, ModSeq, UidRange};

/// How many summaries are read at a time.
const CHUNK: usize = 256;

/// A message's record as found.
pub(crate) enum Found {
    Waiting(WaitingRecord),
    Folded(EntryRecord),
}

impl Found {
    fn size(&self) -> u32 {
        match self {
            Self::Waiting(record) => record.size,
            Self::Folded(record) => record.size,
        }
    }

    fn blob(&self) -> &BlobId {
        match self {
            Self::Waiting(record) => &record.blob,
            Self::Folded(record) => &record.blob,
        }
    }

    fn packet(&self) -> &KeyPacket {
        match self {
            Self::Waiting(record) => &record.packet,
            Self::Folded(record) => &record.packet,
        }
    }
}

impl OpenAccount {
    /// A message's record. One that is being folded is found in either form.
    pub(crate) fn message(&self, id: MailboxId, uid: Uid) -> Result<Found, MailboxError> {
        let get = |kind| {
            self.state.store.get(Column::Mailbox, &message_key(self.state.id, kind, id, uid))
        };
        if let Some(bytes) = get(Kind::Entry)? {
            return Ok(Found::Folded(decode(&bytes, "entry")?));
        }
        if let Some(bytes) = get(Kind::Waiting)? {
            return Ok(Found::Waiting(decode(&bytes, "waiting")?));
        }
        // It may have been folded between the two looks.
        let bytes = get(Kind::Entry)?.ok_or(MailboxError::NoSuchMessage)?;
        Ok(Found::Folded(decode(&bytes, "entry")?))
    }

    pub(crate) fn session_key(&self, found: &Found) -> Result<SessionKey, MailboxError> {
        match found {
            Found::Waiting(record) => unwrap(&self.keys, &record.packet),
            Found::Folded(record) => session_key(&self.keys, record),
        }
    }

    fn summary_of(
        &self,
        id: MailboxId,
        uid: Uid,
        record: &SummaryRecord,
    ) -> Result<Summary, MailboxError> {
        open_summary(&self.keys, record, || self.session_key(&self.message(id, uid)?))
    }

    /// One summary.
    pub(crate) fn summary(&self, id: MailboxId, uid: Uid) -> Result<Summary, MailboxError> {
        let key = message_key(self.state.id, Kind::Summary, id, uid);
        let bytes =
            self.state.store.get(Column::Mailbox, &key)?.ok_or(MailboxError::NoSuchMessage)?;
        self.summary_of(id, uid, &decode(&bytes, "summary")?)
    }

    /// Reads up to [`CHUNK`] summaries from the front of `ranges` and takes off what was read.
    fn summary_chunk(
        &self,
        id: MailboxId,
        ranges: &mut VecDeque<UidRange>,
    ) -> Result<Vec<(Uid, Summary)>, MailboxError> {
        let mut found = Vec::new();
        while found.len() < CHUNK {
            let Some(range) = ranges.front_mut() else { break };
            if range.first == range.last {
                match self.summary(id, range.first) {
                    Ok(summary) => found.push((range.first, summary)),
                    Err(MailboxError::NoSuchMessage) => {}
                    Err(error) => return Err(error),
                }
                ranges.pop_front();
                continue;
            }
            let next = self.summary_run(id, *range, CHUNK - found.len(), &mut found)?;
            match next {
                Some(next) => range.first = next,
                None => {
                    ranges.pop_front();
                }
            }
        }
        Ok(found)
    }

    /// Reads up to `limit` summaries of one run; the answer is where to go on.
    fn summary_run(
        &self,
        id: MailboxId,
        range: UidRange,
        limit: usize,
        found: &mut Vec<(Uid, Summary)>,
    ) -> Result<Option<Uid>, MailboxError> {
        let prefix = mailbox_key(self.state.id, Kind::Summary, id);
        // UIDs begin at 1, so there is always one before.
        let before = Uid(range.first.0.saturating_sub(1));
        let after = message_key(self.state.id, Kind::Summary, id, before);
        let span = (range.last.0 - range.first.0).saturating_add(1) as usize;
        let limit = limit.min(span);
        let records = self.state.store.scan(Column::Mailbox, &prefix, Some(&after), limit)?;
        let full = records.len() == limit;
        let mut next = None;
        for (key, bytes) in records {
            let Some(uid) = uid_of(&key).filter(|uid| *uid <= range.last) else {
                return Ok(None);
            };
            match self.summary_of(id, uid, &decode(&bytes, "summary")?) {
                Ok(summary) => found.push((uid, summary)),
                Err(MailboxError::NoSuchMessage) => {}
                Err(error) => return Err(error),
            }
            next = uid.0.checked_add(1).map(Uid).filter(|uid| *uid <= range.last);
        }
        Ok(next.filter(|_| full))
    }

    /// A message in the clear.
    pub(crate) async fn body(
        self: &Arc<Self>,
        id: MailboxId,
        uid: Uid,
    ) -> Result<Arc<[u8]>, MailboxError> {
        let found = self.message(id, uid)?;
        let open = self.clone();
        run(found.size() as usize <= SMALL, move || {
            let body = open.sealed_body(&found)?;
            let key = open.session_key(&found)?;
            Ok(key.open_body(&body).map_err(|_| MailboxError::Sealed("message"))?.into())
        })
        .await
    }

    /// A message as OpenPGP.
    pub(crate) async fn openpgp(
        self: &Arc<Self>,
        id: MailboxId,
        uid: Uid,
    ) -> Result<Vec<u8>, MailboxError> {
        let found = self.message(id, uid)?;
        let open = self.clone();
        run(found.size() as usize <= SMALL, move || {
            let body = open.sealed_body(&found)?;
            Ok(to_openpgp(std::slice::from_ref(found.packet()), &body))
        })
        .await
    }

    fn sealed_body(&self, found: &Found) -> Result<Sealed<wardpost_keys::Body>, MailboxError> {
        let bytes = self.state.store.get(Column::Message, &body_key(found.blob()))?;
        // Expunged between the two looks.
        bytes.map(Sealed::from_stored).ok_or(MailboxError::NoSuchMessage)
    }

    /// Sees to it that a mailbox's table is in memory. The caller does not hold `modify`.
    pub(crate) async fn loaded(
        self: &Arc<Self>,
        mailbox: &Arc<MailboxState>,
    ) -> Result<(), MailboxError> {
        if mailbox.core().table().is_some() {
            return Ok(());
        }
        let _modify = mailbox.modify.lock().await;
        self.loaded_under_modify(mailbox).await
    }

    /// [`OpenAccount::loaded`] for a caller that holds `modify`.
    pub(crate) async fn loaded_under_modify(
        self: &Arc<Self>,
        mailbox: &Arc<MailboxState>,
    ) -> Result<(), MailboxError> {
        let until = {
            let mut core = mailbox.core();
            if core.table().is_some() {
                return Ok(());
            }
            core.begin_loading()
        };
        let (open, target) = (self.clone(), mailbox.clone());
        let table = run(false, move || open.read_table(&target, until)).await;
        match table {
            Ok(table) => {
                mailbox.core().end_loading(Some(table));
                Ok(())
            }
            Err(error) => {
                mailbox.core().end_loading(None);
                Err(error)
            }
        }
    }

    fn read_table(&self, mailbox: &MailboxState, until: ModSeq) -> Result<Table, MailboxError> {
        let mut table = Table::default();
        let prefix = |kind| mailbox_key(self.state.id, kind, mailbox.id);
        self.state.visit(&prefix(Kind::Entry), |key, value| {
            let record: EntryRecord = decode(&value, "entry")?;
            if let Some(uid) = uid_of(key).filter(|_| record.modseq <= until.0) {
                table.upsert(&entry_state(uid, &record, open_flags(&self.keys, &record)?));
            }
            Ok(())
        })?;
        self.state.visit(&prefix(Kind::Waiting), |key, value| {
            let record: WaitingRecord = decode(&value, "waiting")?;
            if let Some(uid) = uid_of(key).filter(|_| record.modseq <= until.0) {
                table.upsert(&waiting_state(uid, &record));
            }
            Ok(())
        })?;
        self.state.visit(&prefix(Kind::Expunged), |key, value| {
            if let Some(modseq) = modseq_of(key) {
                table.remember(modseq, decode::<ExpungedRecord>(&value, "expunged")?.0);
            }
            Ok(())
        })?;
        Ok(table)
    }
}

/// A folded message as listed.
fn entry_state(uid: Uid, record: &EntryRecord, flags: Flags) -> MessageState {
    MessageState {
        uid,
        modseq: ModSeq(record.modseq),
        flags,
        size: record.size,
        internal_date: record.internal_date,
    }
}

/// A message that waits to be folded as listed: it has no flags yet.
fn waiting_state(uid: Uid, record: &WaitingRecord) -> MessageState {
    MessageState {
        uid,
        modseq: ModSeq(record.modseq),
        flags: Flags::default(),
        size: record.size,
        internal_date: record.internal_date,
    }
}

/// Summaries in order of UID; see [`crate::AccountMail::summaries`].
pub struct Summaries {
    open: Arc<OpenAccount>,
    id: MailboxId,
    /// What is still to be read; taken by the task that reads ahead.
    ranges: VecDeque<UidRange>,
    folded: bool,
    ahead: Option<JoinHandle<Chunk>>,
}

type Chunk = (VecDeque<UidRange>, Result<Vec<(Uid, Summary)>, MailboxError>);

impl Summaries {
    pub(crate) fn new(open: Arc<OpenAccount>, id: MailboxId, ranges: Vec<UidRange>) -> Self {
        Self { open, id, ranges: ranges.into(), folded: false, ahead: None }
    }

    /// The next few, ascending by UID; `None` at the end. Messages that other sessions expunged, or
    /// that arrived, in the meantime may be missing or present.
    ///
    /// # Errors
    /// When the store fails or something does not open; the stream ends there.
    pub async fn next(&mut self) -> Option<Result<Vec<(Uid, Summary)>, MailboxError>> {
        if !self.folded {
            self.folded = true;
            self.fold_first().await;
        }
        loop {
            let ahead = self.ahead.take().or_else(|| self.read_ahead())?;
            let Ok((ranges, chunk)) = ahead.await else {
                return Some(Err(MailboxError::Interrupted));
            };
            match chunk {
                Ok(found) => {
                    self.ranges = ranges;
                    self.ahead = self.read_ahead();
                    if !found.is_empty() {
                        return Some(Ok(found));
                    }
                }
                Err(error) => {
                    self.ranges.clear();
                    return Some(Err(error));
                }
            }
        }
    }

    /// Folding first costs no more than opening one by one would, and serves everybody after.
    async fn fold_first(&self) {
        let Ok(mailbox) = self.open.state.mailbox(self.id) else { return };
        if let Err(error) = fold::fold_mailbox(&self.open, &mailbox).await {
            // Everything can be read without; it is only slower.
            tracing::warn!(account = %self.open.state.id, %error, "folding stopped");
        }
    }

    fn read_ahead(&mut self) -> Option<JoinHandle<Chunk>> {
        if self.ranges.is_empty() {
            return None;
        }
        let (open, id) = (self.open.clone(), self.id);
        let mut ranges = std::mem::take(&mut self.ranges);
        Some(tokio::task::spawn_blocking(move || {
            let chunk = open.summary_chunk(id, &mut ranges);
            (ranges, chunk)
        }))
    }
}
