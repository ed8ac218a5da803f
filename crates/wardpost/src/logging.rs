//! Logs: to standard error, where systemd's journal or a container picks them up.

use std::panic::PanicHookInfo;
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
    std::panic::set_hook(Box::new(|info| {
        tracing::error!(at = place(info), "a task broke off: this is a fault in Wardpost");
    }));
}

/// Where a panic was. What it says is left out: an index that misses quotes the text it missed.
fn place(info: &PanicHookInfo<'_>) -> String {
    info.location().map_or_else(|| "unknown".to_owned(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[test]
    fn a_panic_is_told_by_its_place_and_not_by_its_words() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let hook = Arc::clone(&told);
        std::panic::set_hook(Box::new(move |info| hook.lock().unwrap().push(place(info))));
        let broken = std::panic::catch_unwind(|| panic!("CANARY"));
        let _ = std::panic::take_hook();
        assert!(broken.is_err());
        let told = told.lock().unwrap();
        assert!(told.iter().any(|place| place.contains("logging.rs")), "{told:?}");
        assert!(!told.iter().any(|place| place.contains("CANARY")), "{told:?}");
    }
}
