//! Removing an account with everything that others keep for it.

use crate::DirectoryError;
use async_trait::async_trait;
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
