//! Adding messages: delivery and APPEND.

use std::sync::Arc;

use wardpost_keys::{AccountCertificate, Body, Sealed};
use wardpost_mail::{AccountId, MailboxId, Uid};
use wardpost_store::{Batch, Column, CommitTicket, Committed, Store};

use crate::account::{AccountState, OpenAccount, detached, run};
use crate::blob::write_count;
use crate::error::MailboxError;
use crate::layout::{BlobId, Kind, body_key, mailbox_key, message_key, new_blob};
use crate::records::{EntryRecord, SummaryRecord, WaitingRecord, encode};
use crate::seal::{FEW, SMALL, SealedMail, Sealing, fold};
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
    /// Which mailbox: what locks are ordered by.
    fn place(&self) -> (AccountId, MailboxId) {
        (self.account.id, self.mailbox.id)
    }

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

/// What is to be added: one sealed body, and a message for each mailbox.
pub(crate) struct Addings {
    pub(crate) blob: BlobId,
    pub(crate) body: Sealed<Body>,
    pub(crate) size: u32,
    pub(crate) additions: Vec<Addition>,
}

type Submitted = (CommitTicket, Vec<Pending>, Vec<Uid>);

/// Messages on their way, sealed: what one batch adds, to any number of mailboxes.
pub(crate) struct Load(pub(crate) Vec<Addings>);

impl Load {
    /// Puts everything into the store's line, with whatever `batch` holds already. The UIDs are in
    /// the order of mailboxes.
    fn submit(self, store: &Store, mut batch: Batch) -> Result<Submitted, MailboxError> {
        let mut additions = Vec::new();
        for part in self.0 {
            batch.put(Column::Message, body_key(&part.blob), part.body.as_bytes());
            if part.additions.len() > 1 {
                write_count(&mut batch, &part.blob, part.additions.len() as u32);
            }
            additions.extend(part.additions);
        }
        // Every lock once, and always in one order.
        additions.sort_by_key(Addition::place);
        let mut mailboxes: Vec<_> =
            additions.iter().map(|a| (a.place(), a.mailbox.clone())).collect();
        mailboxes.dedup_by_key(|(place, _)| *place);
        let mut cores: Vec<_> = mailboxes.iter().map(|(_, mailbox)| mailbox.core()).collect();
        if cores.iter().any(|core| core.closed) {
            return Err(MailboxError::NoSuchMailbox);
        }
        let (mut states, mut uids) = (Vec::new(), Vec::new());
        let mut at = 0;
        for addition in &mut additions {
            // Both lists are in the same order, and every addition's mailbox is in the other.
            at += usize::from(mailboxes[at].0 != addition.place());
            let (uid, modseq) = (cores[at].take_uid()?, cores[at].take_modseq());
            states.push((at, addition.write(&mut batch, uid, modseq)));
            uids.push(uid);
        }
        for (((account, id), _), core) in mailboxes.iter().zip(&cores) {
            batch.put(Column::Mailbox, mailbox_key(*account, Kind::Counters, *id), core.counters());
        }
        let ticket = store.submit(batch);
        let pending = additions.into_iter().zip(states).map(|(addition, (at, state))| {
            let modseq = state.modseq;
            let effect = Effect { upserts: vec![state], removed: Vec::new() };
            let Addition { account, mailbox, .. } = addition;
            Pending { account, mailbox, ticket: cores[at].push(modseq, effect) }
        });
        let pending = pending.collect();
        Ok((ticket, pending, uids))
    }

    /// Adds everything and waits for the disk. Also when the caller goes away, what was put in line
    /// becomes visible.
    pub(crate) async fn add(
        self,
        store: &Store,
        batch: Batch,
    ) -> Result<(Committed, Vec<Uid>), MailboxError> {
        let octets: usize = self.0.iter().map(|part| part.size as usize).sum();
        let places: usize = self.0.iter().map(|part| part.additions.len()).sum();
        let small = octets <= SMALL && places <= FEW;
        let store = store.clone();
        let adding = async move {
            let (ticket, pending, uids) = run(small, move || self.submit(&store, batch)).await?;
            Ok((settle(ticket, pending).await?, uids))
        };
        detached(adding).await
    }
}

/// Messages that are sealed and lie ready, to be committed along with other things: after a crash
/// there is all of it or nothing. Dropping it delivers nothing.
#[must_use = "nothing is delivered before it is committed"]
pub struct Delivery {
    pub(crate) store: Store,
    pub(crate) load: Load,
}

impl Delivery {
    /// Both in one.
    pub fn and(mut self, other: Self) -> Self {
        self.load.0.extend(other.load.0);
        self
    }

    /// Delivers, in one commit with `batch`; safe on disk, and visible, when this returns.
    ///
    /// # Errors
    /// When the store cannot write, a precondition in `batch` fails ([`MailboxError::Busy`]) or an
    /// account was removed meanwhile. Nothing of it is written then, the batch included.
    pub async fn commit(self, batch: Batch) -> Result<Committed, MailboxError> {
        Ok(self.load.add(&self.store, batch).await?.0)
    }
}

impl std::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Delivery({} messages)", self.load.0.len())
    }
}

/// One recipient of a delivery, ready to be written.
pub(crate) struct Recipient {
    pub(crate) account: Arc<AccountState>,
    pub(crate) mailbox: Arc<MailboxState>,
    pub(crate) certificate: AccountCertificate,
}

impl Recipient {
    pub(crate) fn key(&self) -> (AccountId, MailboxId) {
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
    let Sealing { blob, body, size, .. } = sealing;
    Ok(Addings { blob, body, size, additions })
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
    let Sealing { blob, body, size, .. } = sealing;
    Ok(Addings { blob, body, size, additions: vec![addition] })
}

/// Takes up what was sealed earlier, for one of those it was sealed to: folded at once where the
/// account is open.
pub(crate) fn take_up(
    mail: &SealedMail,
    account: Arc<AccountState>,
    mailbox: Arc<MailboxState>,
    received: i64,
) -> Result<Addings, MailboxError> {
    let packet = mail.packet(account.id).ok_or(MailboxError::NoSuchDestination)?.clone();
    let (blob, size) = (new_blob(), mail.size);
    let waiting = WaitingRecord { modseq: 0, blob, size, internal_date: received, packet };
    let summary = SummaryRecord::BySession(mail.summary.clone());
    let (entry, summary) = match account.opened() {
        Some(open) => {
            let (entry, summary) = fold(&open.keys, &waiting, &summary)?;
            (Entry::Folded(entry), summary)
        }
        None => (Entry::Waiting(waiting), summary),
    };
    let addition = Addition { account, mailbox, entry, summary, flags: Flags::default() };
    Ok(Addings { blob, body: mail.body.clone(), size, additions: vec![addition] })
}

/// Appends what was sealed.
pub(crate) async fn append(store: &Store, addings: Addings) -> Result<Uid, MailboxError> {
    let (_, uids) =
        Load(vec![addings]).add(store, Batch::new()).await.map_err(|error| match error {
            MailboxError::NoSuchMailbox => MailboxError::NoSuchDestination,
            other => other,
        })?;
    uids.first().copied().ok_or(MailboxError::NoSuchMessage)
}
