//! Logging in.

use tokio::sync::watch;

/// Tells a session that the credential it was opened with is gone (account removed, password changed,
/// app password revoked). Cheap to clone.
#[derive(Debug, Clone)]
pub struct Revocation(watch::Receiver<bool>);

impl Revocation {
    /// Whether the credential is gone.
    pub fn is_revoked(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until the credential is gone; for a credential that stays, for ever.
    pub async fn revoked(&mut self) {
        if self.0.wait_for(|gone| *gone).await.is_err() {
            // The directory itself is gone; nothing can be revoked any more.
            std::future::pending::<()>().await;
        }
    }
}
