//! Parcels whose time is over: their messages are deleted, and senders learn which were never read.

use crate::courier::Courier;
use crate::local::unix;
use std::sync::Arc;
use std::time::SystemTime;
use wardpost_mailbox::MailboxError;
use wardpost_message::{headers, notice};
use wardpost_parcel::{Committing, ParcelError, ParcelView, Purged};
use wardpost_store::{Batch, Committed};

impl Courier {
    /// Deletes what has expired. Whoever sent something that was never opened finds a short mail in
    /// their INBOX, committed together with the deletion: told once, whatever happens in between.
    ///
    /// # Errors
    /// When the store fails; what was done stays done.
    pub async fn purge_parcels(self: &Arc<Self>) -> Result<Purged, ParcelError> {
        let courier = Arc::clone(self);
        let commit = move |unread: Vec<ParcelView>, batch: Batch| -> Committing {
            let courier = Arc::clone(&courier);
            Box::pin(async move {
                let ended = courier.end_unread(&unread, batch).await;
                ended.map_err(|error| ParcelError::Along(Box::new(error)))
            })
        };
        self.parts.parcels.expire_by(commit).await
    }

    /// Commits the end of some parcels, and what tells their senders.
    async fn end_unread(
        &self,
        unread: &[ParcelView],
        batch: Batch,
    ) -> Result<Committed, MailboxError> {
        let mut told = self.parts.mailboxes.nothing();
        for parcel in unread {
            let Some(sender) = self.parts.directory.account(parcel.sender) else {
                // The sender has left; there is nobody to tell.
                continue;
            };
            let text = notice::unread_mail(&notice::UnreadMail {
                from: &self.settings.postmaster,
                to: &sender.address,
                recipient: &parcel.recipient,
                sent: unix(parcel.created),
                message_id: &headers::new_message_id(self.settings.postmaster.domain()),
                now: unix(SystemTime::now()),
            });
            told = match self.to_inbox(sender.id, text).await {
                Ok(mail) => told.and(mail),
                Err(passing @ (MailboxError::Store(_) | MailboxError::Interrupted)) => {
                    return Err(passing);
                }
                // One mailbox that cannot be written must not keep every expired message.
                Err(error) => {
                    tracing::error!(parcel = %parcel.id, %error, "a sender cannot be told");
                    told
                }
            };
        }
        told.commit(batch).await
    }
}
