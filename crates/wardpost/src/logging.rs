//! Logs: to standard error, where systemd's journal or a container picks them up.

use tracing_subscriber::EnvFilter;
use wardpost_config::{Log, LogFormat};

/// Starts logging.
///
/// Only our own crates speak: they name accounts, items and parcels by number, never by address.
/// Libraries make no such promise, and a resolver's complaint names the domain that was looked up;
/// they are heard when they are in real trouble, the resolver not at all.
pub(crate) fn start(log: &Log) {
    let level = log.level.name();
    let filter = format!(
        "error,hickory_resolver=off,hickory_net=off,hickory_proto=off,mail_auth=off,wardpost={level}"
    );
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(std::io::stderr);
    match log.format {
        LogFormat::Text => {
            builder.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).init()
        }
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
}
