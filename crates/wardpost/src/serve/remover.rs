//! Removing accounts, each and then its mail.

use super::state::State;
use async_trait::async_trait;
use std::sync::Arc;
use tokio::sync::Mutex;
use wardpost_directory::{Directory, DirectoryError, Removal, Removed};
use wardpost_mail::AccountId;
use wardpost_mailbox::Mailboxes;

/// Removes an account, and then its mail. What a failure or a crash leaves in between is found in the store
/// and deleted by [`Remover::sweep`].
#[derive(Clone)]
pub(crate) struct Remover {
    directory: Directory,
    mailboxes: Mailboxes,
    /// Held by whoever deletes mail.
    turn: Arc<Mutex<()>>,
}

impl Remover {
    pub(crate) fn new(state: &State) -> Self {
        Self {
            directory: state.directory.clone(),
            mailboxes: state.mailboxes.clone(),
            turn: Arc::default(),
        }
    }

    /// Deletes mail that is there without its account; says for how many accounts.
    pub(crate) async fn sweep(&self) -> usize {
        let mailboxes = self.mailboxes.clone();
        // Before the directory is asked: whoever has mail had an account already.
        let kept = match tokio::task::spawn_blocking(move || mailboxes.accounts()).await {
            Ok(Ok(accounts)) => accounts,
            Ok(Err(error)) => {
                tracing::error!(%error, "mail of removed accounts could not be looked for");
                return 0;
            }
            // The daemon ends.
            Err(_) => return 0,
        };
        let mut swept = 0;
        for account in kept.into_iter().filter(|id| self.directory.was_removed(*id)) {
            match self.delete_mail(account).await {
                Removed::Everything => {
                    swept += 1;
                    tracing::info!(%account, "mail that a removed account had left is deleted");
                }
                Removed::ButItsMail => {}
            }
        }
        swept
    }

    /// Deletes the mail of an account that was removed.
    async fn delete_mail(&self, account: AccountId) -> Removed {
        let _turn = self.turn.lock().await;
        match self.mailboxes.remove_account(account).await {
            Ok(()) => Removed::Everything,
            Err(error) => {
                tracing::error!(
                    %account, %error,
                    "a removed account's mail could not be deleted; it is tried again"
                );
                Removed::ButItsMail
            }
        }
    }
}

#[async_trait]
impl Removal for Remover {
    async fn remove(&self, account: AccountId) -> Result<Removed, DirectoryError> {
        self.directory.remove_account(account).await?;
        // From here on nothing opens the mail any more; deleting it frees the room it takes.
        Ok(self.delete_mail(account).await)
    }
}

#[cfg(test)]
#[path = "remover_tests.rs"]
mod tests;
