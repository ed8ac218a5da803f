//! Folding: what was delivered while locked gets its session key and summary under the account key.
//!
//! Everything is visible and readable before; folding only saves the asymmetric work for ever after. It
//! goes by batches, each atomic, so it may be interrupted anywhere. Nothing visible changes: no change
//! number, no flag.

use std::num::NonZero;
use std::sync::Arc;
use std::thread;

use wardpost_mail::Uid;
use wardpost_store::{Batch, Column, CommitTicket};

use crate::account::{OpenAccount, detached, run};
use crate::error::MailboxError;
use crate::layout::{Kind, mailbox_key, message_key, uid_of};
use crate::records::{EntryRecord, SummaryRecord, WaitingRecord, decode, encode};
use crate::seal;
use crate::state::MailboxState;

/// How many messages are folded in one batch.
const BATCH: usize = 256;
/// How many batches are folded in one go, before others may change the mailbox.
const RUN: usize = 4;

type Folded = (Uid, EntryRecord, SummaryRecord);

/// Folds everything that waits in a mailbox.
pub(crate) async fn fold_mailbox(
    open: &Arc<OpenAccount>,
    mailbox: &Arc<MailboxState>,
) -> Result<(), MailboxError> {
    let mut after = Uid(0);
    // A cheap look first: mostly nothing waits.
    while !open.waiting(mailbox, after, 1)?.is_empty() {
        let (open, mailbox) = (open.clone(), mailbox.clone());
        after = detached(async move {
            let _modify = mailbox.modify.clone().lock_owned().await;
            fold_run(&open, &mailbox, after).await
        })
        .await?;
    }
    Ok(())
}

/// Folds some batches beyond `after`, each while the one before is being written; the answer is the
/// last UID it looked at. All are on the disk when this returns.
async fn fold_run(
    open: &Arc<OpenAccount>,
    mailbox: &Arc<MailboxState>,
    mut after: Uid,
) -> Result<Uid, MailboxError> {
    let mut writing: Option<CommitTicket> = None;
    for _ in 0..RUN {
        let folded = fold_batch(open, mailbox, after).await;
        let before = match writing.take() {
            Some(ticket) => ticket.await.map(drop),
            None => Ok(()),
        };
        let Some((last, ticket)) = folded? else {
            before?;
            return Ok(after);
        };
        if let Err(error) = before {
            // Nothing may be under way any more when the mailbox is let go; one error is enough.
            let _ = ticket.await;
            return Err(error.into());
        }
        after = last;
        writing = Some(ticket);
    }
    if let Some(last) = writing {
        last.await?;
    }
    Ok(after)
}

/// Folds one batch beyond `after` and puts it in the store's line; the answer is the last UID it
/// looked at, and nothing when nothing waits.
async fn fold_batch(
    open: &Arc<OpenAccount>,
    mailbox: &Arc<MailboxState>,
    after: Uid,
) -> Result<Option<(Uid, CommitTicket)>, MailboxError> {
    let (open, mailbox) = (open.clone(), mailbox.clone());
    run(false, move || {
        let waiting = open.waiting(&mailbox, after, BATCH)?;
        let Some((last, _)) = waiting.last() else { return Ok(None) };
        let mut batch = Batch::new();
        for (uid, entry, summary) in fold_all(&open, &mailbox, &waiting) {
            let key = |kind| message_key(open.state.id, kind, mailbox.id, uid);
            batch.delete(Column::Mailbox, key(Kind::Waiting));
            batch.put(Column::Mailbox, key(Kind::Entry), encode(&entry));
            batch.put(Column::Mailbox, key(Kind::Summary), encode(&summary));
        }
        Ok(Some((*last, open.state.store.submit(batch))))
    })
    .await
}

/// Folds messages on all processors. One that does not open is left as it is and reported.
fn fold_all(
    open: &OpenAccount,
    mailbox: &MailboxState,
    waiting: &[(Uid, WaitingRecord)],
) -> Vec<Folded> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let share = waiting.len().div_ceil(threads).max(1);
    let fold_share = |part: &[(Uid, WaitingRecord)]| -> Vec<Folded> {
        part.iter().filter_map(|(uid, record)| fold_one(open, mailbox, *uid, record)).collect()
    };
    thread::scope(|scope| {
        let parts: Vec<_> =
            waiting.chunks(share).map(|part| scope.spawn(move || fold_share(part))).collect();
        parts.into_iter().flat_map(|part| part.join().unwrap_or_default()).collect()
    })
}

fn fold_one(
    open: &OpenAccount,
    mailbox: &MailboxState,
    uid: Uid,
    waiting: &WaitingRecord,
) -> Option<Folded> {
    let fold = || {
        let summary = open.summary_record(mailbox, uid)?;
        seal::fold(&open.keys, waiting, &summary)
    };
    match fold() {
        Ok((entry, summary)) => Some((uid, entry, summary)),
        Err(error) => {
            let (account, mailbox) = (open.state.id, mailbox.id);
            tracing::error!(%account, %mailbox, %uid, %error, "a message cannot be folded");
            None
        }
    }
}

impl OpenAccount {
    /// Up to `limit` messages beyond `after` that wait to be folded.
    fn waiting(
        &self,
        mailbox: &MailboxState,
        after: Uid,
        limit: usize,
    ) -> Result<Vec<(Uid, WaitingRecord)>, MailboxError> {
        let prefix = mailbox_key(self.state.id, Kind::Waiting, mailbox.id);
        let after = message_key(self.state.id, Kind::Waiting, mailbox.id, after);
        let found = self.state.store.scan(Column::Mailbox, &prefix, Some(&after), limit)?;
        found
            .into_iter()
            .filter_map(|(key, bytes)| uid_of(&key).map(|uid| (uid, bytes)))
            .map(|(uid, bytes)| Ok((uid, decode(&bytes, "waiting")?)))
            .collect()
    }

    /// A message's summary as kept.
    pub(crate) fn summary_record(
        &self,
        mailbox: &MailboxState,
        uid: Uid,
    ) -> Result<SummaryRecord, MailboxError> {
        let key = message_key(self.state.id, Kind::Summary, mailbox.id, uid);
        let bytes =
            self.state.store.get(Column::Mailbox, &key)?.ok_or(MailboxError::NoSuchMessage)?;
        decode(&bytes, "summary")
    }
}
