//! Telling systemd how we are (`sd_notify(3)`). All of it does nothing when nobody asked
//! (`$NOTIFY_SOCKET` is not set); a failure to tell is logged and harms nothing.

use sd_notify::NotifyState;
use std::time::Duration;

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd could not be told");
    }
}

/// All services are up.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// Settings are being read again; follow with [`ready`].
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::debug!(%error, "no monotonic clock"),
    }
}

/// No new connections are taken; open ones are finishing.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// One line for `systemctl status`. Must be free of addresses.
pub fn status(text: &str) {
    tell(&[NotifyState::Status(text)]);
}

/// Feeds systemd's watchdog for as long as the runtime still runs tasks, if the unit asks for it.
/// Returns at once when it does not; never otherwise.
pub async fn watchdog() {
    let Some(limit) = sd_notify::watchdog_enabled() else { return };
    let mut ticks = tokio::time::interval((limit / 3).max(Duration::from_millis(100)));
    loop {
        ticks.tick().await;
        tell(&[NotifyState::Watchdog]);
    }
}
