//! Adding messages: delivery and APPEND.

use std::sync::Arc;

use wardpost_keys::AccountCertificate;
use wardpost_mail::{AccountId, Uid};
use wardpost_store::{Batch, Column, CommitTicket, Committed, Store};

use crate::account::{AccountState, OpenAccount, detached, run};
use crate::blob::write_count;
use crate::error::MailboxError;
use crate::layout::{Kind, body_key, mailbox_key, message_key};
use crate::records::{EntryRecord, SummaryRecord, WaitingRecord, encode};
use crate::seal::{FEW, SMALL, Sealing};
use crate::state::{Effect, MailboxState, Ticket};
use crate::types::{Flags, MessageState, ModSeq};

/// A message's record, in one of its two forms, its change number still open.
pub(crate) enum Entry {
    Waiting(WaitingRecord),
    Folded(EntryRecord),
}

/// A message on its way into one mailbox.
pub(crate) struct Addition {
    pub(crate) account: Arc<AccountState>,
    pub(crate) mailbox: Arc<MailboxState>,
    pub(crate) entry: Entry,
    pub(crate) summary: SummaryRecord,
    pub(crate) flags: Flags,
}

/// What must be told to a mailbox when the store has answered.
pub(crate) struct Pending {
    pub(crate) account: Arc<AccountState>,
    pub(crate) mailbox: Arc<MailboxState>,
    pub(crate) ticket: Ticket,
}

/// Waits for the store, makes the changes visible or drops them, and returns when that has happened.
pub(crate) async fn settle(
    ticket: CommitTicket,
    pending: Vec<Pending>,
) -> Result<Committed, MailboxError> {
    let outcome = ticket.await;
    for change in &pending {
        change.mailbox.complete(change.ticket, outcome.is_ok());
    }
    let committed = outcome?;
    for change in &pending {
        change.mailbox.visible(change.ticket).await;
        change.account.touch();
    }
    Ok(committed)
}

impl Addition {
    /// Writes the records under the numbers taken, and notes what will become visible.
    pub(crate) fn write(&mut self, batch: &mut Batch, uid: Uid, modseq: ModSeq) -> MessageState {
        let (account, id) = (self.account.id, self.mailbox.id);
        let (kind, bytes, size, internal_date) = match &mut self.entry {
            Entry::Waiting(record) => {
                record.modseq = modseq.0;
                (Kind::Waiting, encode(record), record.size, record.internal_date)
            }
            Entry::Folded(record) => {
                record.modseq = modseq.0;
                (Kind::Entry, encode(record), record.size, record.internal_date)
            }
        };
        batch.put(Column::Mailbox, message_key(account, kind, id, uid), bytes);
        let summary = message_key(account, Kind::Summary, id, uid);
        batch.put(Column::Mailbox, summary, encode(&self.summary));
        MessageState { uid, modseq, flags: self.flags.clone(), size, internal_date }
    }
}

/// What is to be added: one sealed body, and a message for each mailbox. These are sorted by account and
/// mailbox and hold no mailbox twice, so that locks are always taken in one order.
pub(crate) struct Addings {
    pub(crate) sealing: Sealing,
    pub(crate) additions: Vec<Addition>,
}

type Submitted = (CommitTicket, Vec<Pending>, Vec<Uid>);

impl Addings {
    /// Puts everything into the store's line.
    fn submit(mut self, store: &Store) -> Result<Submitted, MailboxError> {
        let mut batch = Batch::new();
        batch.put(Column::Message, body_key(&self.sealing.blob), self.sealing.body.as_bytes());
        if self.additions.len() > 1 {
            write_count(&mut batch, &self.sealing.blob, self.additions.len() as u32);
        }
        let mailboxes: Vec<_> = self.additions.iter().map(|a| a.mailbox.clone()).collect();
        let mut cores: Vec<_> = mailboxes.iter().map(|m| m.core()).collect();
        if cores.iter().any(|core| core.closed) {
            return Err(MailboxError::NoSuchMailbox);
        }
        let (mut states, mut uids) = (Vec::new(), Vec::new());
        for (addition, core) in self.additions.iter_mut().zip(&mut cores) {
            let (uid, modseq) = (core.take_uid()?, core.take_modseq());
            states.push(addition.write(&mut batch, uid, modseq));
            uids.push(uid);
            let key = mailbox_key(addition.account.id, Kind::Counters, addition.mailbox.id);
            batch.put(Column::Mailbox, key, core.counters());
        }
        let ticket = store.submit(batch);
        let pending = self.additions.into_iter().zip(&mut cores).zip(states);
        let pending = pending.map(|((addition, core), state)| {
            let modseq = state.modseq;
            let effect = Effect { upserts: vec![state], removed: Vec::new() };
            let Addition { account, mailbox, .. } = addition;
            Pending { account, mailbox, ticket: core.push(modseq, effect) }
        });
        Ok((ticket, pending.collect(), uids))
    }

    /// Adds everything and waits for the disk. Also when the caller goes away, what was put in line
    /// becomes visible.
    pub(crate) async fn add(self, store: &Store) -> Result<(Committed, Vec<Uid>), MailboxError> {
        let small = self.sealing.size as usize <= SMALL && self.additions.len() <= FEW;
        let store = store.clone();
        let adding = async move {
            let (ticket, pending, uids) = run(small, move || self.submit(&store)).await?;
            Ok((settle(ticket, pending).await?, uids))
        };
        detached(adding).await
    }
}

/// One recipient of a delivery, ready to be written.
pub(crate) struct Recipient {
    pub(crate) account: Arc<AccountState>,
    pub(crate) mailbox: Arc<MailboxState>,
    pub(crate) certificate: AccountCertificate,
}

impl Recipient {
    pub(crate) fn key(&self) -> (AccountId, wardpost_mail::MailboxId) {
        (self.account.id, self.mailbox.id)
    }
}

/// Seals a delivery's records for every recipient: folded at once where the account is open.
pub(crate) fn seal_delivery(
    raw: &[u8],
    recipients: Vec<Recipient>,
    received: i64,
) -> Result<Addings, MailboxError> {
    let certificates: Vec<_> = recipients.iter().map(|r| &r.certificate).collect();
    let mut sealing = Sealing::new(raw, &certificates)?;
    let packets = std::mem::take(&mut sealing.packets);
    let additions = recipients
        .into_iter()
        .zip(packets)
        .map(|(recipient, packet)| {
            let Recipient { account, mailbox, .. } = recipient;
            let flags = Flags::default();
            let (entry, summary) = match account.opened() {
                Some(open) => {
                    let (entry, summary) = sealing.folded(&open.keys, packet, received, &flags);
                    (Entry::Folded(entry), summary)
                }
                None => {
                    let (entry, summary) = sealing.waiting(packet, received);
                    (Entry::Waiting(entry), summary)
                }
            };
            Addition { account, mailbox, entry, summary, flags }
        })
        .collect();
    Ok(Addings { sealing, additions })
}

/// Seals a message that its owner appends.
pub(crate) fn seal_append(
    open: &OpenAccount,
    mailbox: Arc<MailboxState>,
    raw: &[u8],
    flags: Flags,
    date: i64,
) -> Result<Addings, MailboxError> {
    let mut sealing = Sealing::new(raw, &[open.keys.certificate()])?;
    let packet = sealing.packets.pop().ok_or(MailboxError::Sealed("message"))?;
    let (entry, summary) = sealing.folded(&open.keys, packet, date, &flags);
    let account = open.state.clone();
    let entry = Entry::Folded(entry);
    let addition = Addition { account, mailbox, entry, summary, flags };
    Ok(Addings { sealing, additions: vec![addition] })
}

/// Appends what was sealed.
pub(crate) async fn append(store: &Store, addings: Addings) -> Result<Uid, MailboxError> {
    let (_, uids) = addings.add(store).await.map_err(|error| match error {
        MailboxError::NoSuchMailbox => MailboxError::NoSuchDestination,
        other => other,
    })?;
    uids.first().copied().ok_or(MailboxError::NoSuchMessage)
}
