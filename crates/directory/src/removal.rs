//! Removing an account with everything that others keep for it.

use crate::{Directory, DirectoryError};
use async_trait::async_trait;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use wardpost_mail::AccountId;

/// Whoever can remove an account with everything that is kept for it.
#[async_trait]
pub trait Removal: Send + Sync {
    /// Removes an account and all its mail, for good. Its sessions end at once.
    ///
    /// # Errors
    /// When there is no such account, it is the only administrator's, or the store fails; nothing was
    /// removed then.
    async fn remove(&self, account: AccountId) -> Result<Removed, DirectoryError>;
}

/// What became of an account that was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removed {
    /// Account and mail are gone.
    Everything,
    /// The account is gone, and its mail opens to nobody; deleting it is tried again later.
    ButItsMail,
}

/// For tests of whoever has accounts removed: removes the account, and says of its mail what it is told to.
/// Clones share that.
#[derive(Clone)]
pub struct FakeRemoval {
    directory: Directory,
    mail_stays: Arc<AtomicBool>,
}

impl FakeRemoval {
    /// Mail goes with its account.
    pub fn new(directory: Directory) -> Self {
        Self { directory, mail_stays: Arc::default() }
    }

    /// From now on mail cannot be deleted.
    pub fn keep_mail(&self) {
        self.mail_stays.store(true, Ordering::Relaxed);
    }
}

impl fmt::Debug for FakeRemoval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FakeRemoval(..)")
    }
}

#[async_trait]
impl Removal for FakeRemoval {
    async fn remove(&self, account: AccountId) -> Result<Removed, DirectoryError> {
        self.directory.remove_account(account).await?;
        Ok(match self.mail_stays.load(Ordering::Relaxed) {
            true => Removed::ButItsMail,
            false => Removed::Everything,
        })
    }
}
