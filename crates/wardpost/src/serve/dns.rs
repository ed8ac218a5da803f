//! DNS: a resolver that validates, and what is remembered of it.
//!
//! With a configured trust anchor everything is validated, always. Without one, answers are validated
//! by the root's keys from the first time on that the servers have shown a root zone that does. That
//! they have is remembered, sealed: else whoever sits between us and the servers could switch
//! validation off by waiting for a restart. It is remembered of the servers as they are configured, so
//! that naming others in `[dns] servers` starts afresh, and is the way back for a practice whose new
//! provider passes no signatures on.
//!
//! The record: key `dns-root` in the column `System`; a version byte (1), then the configured servers,
//! `address:port` each, separated by spaces; nothing for the system's.

use crate::failure::Failure;
use std::time::Duration;
use wardpost_config::Config;
use wardpost_dns::{HickoryResolver, TrustAnchor, ValidatedBy};
use wardpost_store::{Batch, Column, Store};

/// Where it is remembered that the root validated.
const KEY: &[u8] = b"dns-root";
/// The version of the record.
const VERSION: u8 = 1;
/// How long until a record that could not be written is written again.
const AGAIN: Duration = Duration::from_secs(60);

/// The resolver that the configuration asks for.
pub(crate) fn resolver(config: &Config, store: &Store) -> Result<HickoryResolver, Failure> {
    let servers = &config.dns.servers;
    if let Some(file) = &config.dns.trust_anchor {
        let anchor = TrustAnchor::read_file(file)
            .map_err(|error| Failure::Failed(format!("{}: {error}", file.display())))?;
        return HickoryResolver::validating(servers, Some(anchor)).map_err(Failure::from_error);
    }
    let resolver = HickoryResolver::validating(servers, None).map_err(Failure::from_error)?;
    let known = store.get(Column::System, KEY).map_err(Failure::from_error)?;
    Ok(if known == Some(record(config)) { resolver.known_to_validate() } else { resolver })
}

/// What is remembered for [`watch`].
pub(crate) fn record(config: &Config) -> Vec<u8> {
    let servers: Vec<String> = config.dns.servers.iter().map(ToString::to_string).collect();
    [&[VERSION], servers.join(" ").as_bytes()].concat()
}

/// Finds out how answers are validated, says so, and remembers that the root validated. Runs until the
/// daemon ends.
pub(crate) async fn watch(resolver: HickoryResolver, store: Store, record: Vec<u8>) {
    let mut changes = resolver.validated_by();
    resolver.settle().await;
    loop {
        let by = *changes.borrow_and_update();
        match by {
            ValidatedBy::Stripped => tracing::warn!(
                "the DNS servers pass no signatures on: DANE is out of reach, and whoever forges DNS \
                 answers is not noticed; a validating resolver on this machine mends that"
            ),
            by => tracing::info!("DNS answers are {by}"),
        }
        if by == ValidatedBy::Root {
            remember(&store, &record).await;
        }
        if changes.changed().await.is_err() {
            return;
        }
    }
}

async fn remember(store: &Store, record: &[u8]) {
    while !matches!(store.get(Column::System, KEY), Ok(Some(known)) if known == record) {
        let mut batch = Batch::new();
        batch.put(Column::System, KEY, record);
        match store.commit(batch).await {
            Ok(_) => return,
            Err(error) => tracing::error!(%error, "it could not be remembered that DNS validates"),
        }
        tokio::time::sleep(AGAIN).await;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;
    use std::path::Path;
    use wardpost_keys::SystemKey;

    fn config(servers: &str) -> Config {
        let text = format!(
            "hostname = \"mail.clinic.test\"\ndomain = \"clinic.test\"\n[dns]\nservers = [{servers}]\n"
        );
        Config::parse(&text, Path::new("wardpost.toml")).unwrap()
    }

    #[test]
    fn the_record_is_frozen() {
        assert_eq!(record(&config("")), b"\x01");
        let two = config("\"127.0.0.1:53\", \"[::1]:5353\"");
        assert_eq!(record(&two), b"\x01127.0.0.1:53 [::1]:5353");
    }

    #[tokio::test]
    async fn a_root_that_validated_is_insisted_on_after_a_restart_with_the_same_servers() {
        let folder = tempfile::TempDir::new().unwrap();
        let store = Store::open(folder.path(), &SystemKey::generate()).unwrap();
        let (here, elsewhere) = (config("\"127.0.0.1:53\""), config("\"127.0.0.2:53\""));
        let by = |config: &Config| *resolver(config, &store).unwrap().validated_by().borrow();
        assert_eq!(by(&here), ValidatedBy::Undecided);
        remember(&store, &record(&here)).await;
        assert_eq!(by(&here), ValidatedBy::Root);
        assert_eq!(by(&elsewhere), ValidatedBy::Undecided, "another provider");
    }
}
