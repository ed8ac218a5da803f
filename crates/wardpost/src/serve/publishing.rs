//! What we publish about ourselves, kept true: which key our certificate has, and whether our records
//! are in the DNS.

use super::state::State;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use wardpost_config::{Config, MtaSts};
use wardpost_directory::Directory;
use wardpost_dns::{DnsError, OwnLook, OwnRecords};
use wardpost_mail::Domain;
use wardpost_net::ServerTls;
use wardpost_publish::{KeyPlan, Observed, OwnPolicy};
use wardpost_verdict::StsMode;

/// How long after the start the DNS is looked at first, and how often from then on.
const FIRST_LOOK: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_secs(3600);

/// Looks after what we publish.
pub(crate) struct Publishing {
    hostname: Domain,
    tls: ServerTls,
    keys: KeyPlan,
    directory: Directory,
    /// How our own records look from outside.
    pub(crate) own: Arc<dyn OwnRecords>,
}

impl Publishing {
    pub(crate) fn new(config: &Config, state: &State, tls: &ServerTls) -> Result<Self, DnsError> {
        Ok(Self {
            hostname: config.hostname.clone(),
            tls: tls.clone(),
            keys: state.keys.clone(),
            directory: state.directory.clone(),
            own: Arc::new(OwnLook::new(&config.dns.servers)?),
        })
    }

    /// Takes note of the key that the certificate in use has, and complains about one that nobody
    /// could know. Call it whenever the certificate was read.
    pub(crate) async fn observe(&self) {
        let public_key = self.tls.certificate().public_key_info;
        match self.keys.observe(&public_key, SystemTime::now()).await {
            Ok(Observed::Same) => {}
            Ok(Observed::First) => tracing::info!("the certificate's key is noted"),
            Ok(Observed::RolledOver | Observed::Returned) => {
                tracing::info!("the certificate has another key, as announced");
            }
            Ok(Observed::Unannounced { dane_in_use: true }) => tracing::warn!(
                "the certificate has a key whose TLSA record was never to be published: servers that \
                 use DANE cannot deliver to us until it is (see `wardpost tls show`)"
            ),
            Ok(Observed::Unannounced { dane_in_use: false }) => tracing::warn!(
                "the certificate has a key whose TLSA record was never to be published; if there are \
                 TLSA records for this server, publish the new one now (see `wardpost tls show`)"
            ),
            Err(error) => tracing::error!(%error, "the certificate's key could not be noted"),
        }
    }

    /// Looks at the DNS from time to time; DKIM keys come into use when they are published.
    pub(crate) async fn watch(self: Arc<Self>) {
        tokio::time::sleep(FIRST_LOOK).await;
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        loop {
            ticks.tick().await;
            let now = SystemTime::now();
            if let Err(error) = self.keys.look(&*self.own, &self.hostname, now).await {
                tracing::debug!(%error, "our TLSA records could not be looked at");
            }
            if let Err(error) = self.directory.advance_dkim(&*self.own, now).await {
                tracing::warn!(%error, "our DKIM records could not be looked at");
            }
        }
    }
}

/// The MTA-STS policy that is configured; there is none without the web server that it is fetched from.
pub(crate) fn mta_sts(config: &Config) -> Option<OwnPolicy> {
    if config.listen.https.is_empty() {
        return None;
    }
    let mode = match config.publish.mta_sts {
        MtaSts::Enforce => StsMode::Enforce,
        MtaSts::Testing => StsMode::Testing,
        MtaSts::None => StsMode::None,
        MtaSts::Off => return None,
    };
    let (max_age, host) = (config.publish.mta_sts_max_age, config.hostname.clone());
    Some(OwnPolicy { mode, max_age, host })
}
