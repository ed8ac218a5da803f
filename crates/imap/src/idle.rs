//! IDLE (RFC 2177, RFC 9051 §6.3.13).

use crate::connection::End;
use crate::outcome::{Failure, Outcome, done};
use crate::session::{AUTO_LOGOUT, Session};
use crate::user::User;
use crate::view::View;
use tokio::time::Instant;

/// Waits for DONE and tells what happens in the meantime. Nothing is held while waiting but the
/// connection itself.
pub(crate) async fn idle(
    session: &mut Session<'_>,
    user: &User,
    mut view: Option<&mut View>,
) -> Outcome {
    let connection = &mut session.connection;
    connection.go_on("idling");
    let deadline = Instant::now() + AUTO_LOGOUT;
    loop {
        if let Some(line) = connection.line_now()? {
            return if line.expose().eq_ignore_ascii_case(b"DONE") {
                done("IDLE terminated")
            } else {
                Err(Failure::bad("expected DONE"))
            };
        }
        if let Some(view) = view.as_deref_mut() {
            view.sync(&user.mail, connection, &user.features, true).await?;
        }
        connection.flush().await?;
        tokio::select! {
            filled = connection.fill(deadline) => filled?,
            changed = changed(view.as_deref_mut()) => changed?,
        }
    }
}

async fn changed(view: Option<&mut View>) -> Result<(), End> {
    match view {
        Some(view) => view.changed().await,
        None => std::future::pending().await,
    }
}
