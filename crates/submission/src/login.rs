//! Logging in.

use crate::Submission;
use std::net::IpAddr;
use std::time::Duration;
use wardpost_directory::{Account, AuthError, Login, Revocation, Way};
use wardpost_mail::{EnhancedStatus, Reply};
use wardpost_smtp::Credentials;

/// How long a failed try waits for its answer.
const FAILED_TRY_DELAY: Duration = Duration::from_secs(1);
/// Longest wait before a client that tries too often hears of it.
const MAX_SLOW_DOWN: Duration = Duration::from_secs(15);

/// Who is logged in. The account's keys are not kept: sending needs none of them.
pub(crate) struct Sender {
    pub(crate) account: Account,
    pub(crate) revocation: Revocation,
}

/// Checks credentials (RFC 4954 §6).
pub(crate) async fn log_in(
    submission: &Submission,
    credentials: Credentials,
    peer: IpAddr,
) -> (Option<Sender>, Reply) {
    let Credentials { login, password } = credentials;
    match submission.directory.authenticate(&login, &password, peer, Way::MailProgram).await {
        Ok(Login { account, revocation, .. }) => {
            submission.metrics.login("ok");
            tracing::info!(account = account.id.0, "logged in for submission");
            let reply = Reply::new(235, EnhancedStatus::new(2, 7, 0), "Welcome");
            (Some(Sender { account, revocation }), reply)
        }
        Err(error) => (None, refusal(submission, error).await),
    }
}

async fn refusal(submission: &Submission, error: AuthError) -> Reply {
    match error {
        AuthError::Rejected => {
            submission.metrics.login("rejected");
            tokio::time::sleep(FAILED_TRY_DELAY).await;
            let text = "Wrong name or password";
            Reply::new(535, EnhancedStatus::new(5, 7, 8), text)
        }
        AuthError::SlowDown(wait) => {
            submission.metrics.login("slowed");
            tokio::time::sleep(wait.min(MAX_SLOW_DOWN)).await;
            Reply::new(454, EnhancedStatus::new(4, 7, 0), error.to_string())
        }
        AuthError::Unavailable => {
            submission.metrics.login("unavailable");
            Reply::new(454, EnhancedStatus::new(4, 7, 0), error.to_string())
        }
    }
}
